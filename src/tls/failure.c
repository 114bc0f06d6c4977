/* SPDX-License-Identifier: MIT */

/* Why a handshake or a read failed: whose words are told, and the names of alerts. */
#include "tls/link.h"

#include "tls/ossl.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/proverr.h>
#include <openssl/sslerr.h>
#include <stdio.h>

/* OpenSSL's texts are short words, "unknown CA"; what it does not know it calls "unknown". */
const char *thi_tls_alert_name(int number)
{
    static const struct {
        int number;
        const char *name;
    } names[] = {
        { 0, "close notify" },
        { 10, "unexpected message" },
        { 20, "bad record mac" },
        { 21, "decryption failed" },
        { 22, "record overflow" },
        { 30, "decompression failure" },
        { 40, "handshake failure" },
        { 41, "no certificate" },
        { 42, "bad certificate" },
        { 43, "unsupported certificate" },
        { 44, "certificate revoked" },
        { 45, "certificate expired" },
        { 46, "certificate unknown" },
        { 47, "illegal parameter" },
        { 48, "unknown ca" },
        { 49, "access denied" },
        { 50, "decode error" },
        { 51, "decrypt error" },
        { 60, "export restriction" },
        { 70, "protocol version" },
        { 71, "insufficient security" },
        { 80, "internal error" },
        { 86, "inappropriate fallback" },
        { 90, "user canceled" },
        { 100, "no renegotiation" },
        { 109, "missing extension" },
        { 110, "unsupported extension" },
        { 111, "certificate unobtainable" },
        { 112, "unrecognized name" },
        { 113, "bad certificate status response" },
        { 114, "bad certificate hash value" },
        { 115, "unknown psk identity" },
        { 116, "certificate required" },
        { 120, "no application protocol" },
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].number == number)
            return names[i].name;
    return "of an unknown kind";
}

/* An alert of the peer's stands in the queue as a reason of its own. -1: it is none. */
static int alert_in_queue(void)
{
    unsigned long error = thi_ossl_peek();
    int reason = ERR_GET_REASON(error);
    if (ERR_GET_LIB(error) != ERR_LIB_SSL || reason < SSL_AD_REASON_OFFSET ||
        reason > SSL_AD_REASON_OFFSET + 255)
        return -1;
    return reason - SSL_AD_REASON_OFFSET;
}

/* What came was no TLS: OpenSSL has looked at it. */
static const char *other_language(void)
{
    unsigned long error = thi_ossl_peek();
    if (ERR_GET_LIB(error) != ERR_LIB_SSL)
        return NULL;
    switch (ERR_GET_REASON(error)) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        return "the peer speaks HTTP, not TLS";
    case SSL_R_WRONG_VERSION_NUMBER:
        return "what the peer sends is not TLS, or of a version that nobody speaks";
    default:
        return NULL;
    }
}

/*
 * What lies below TLS tells of causes that say nothing of the peer ("cipher operation failed",
 * "too small"). Then it is told what they mean to TLS, which is OpenSSL's last word, or ours where
 * that is none ("internal error").
 */
static const char *meaning(void)
{
    unsigned long first = thi_ossl_peek();
    unsigned long last = ERR_peek_last_error();
    int lib = ERR_GET_LIB(first);
    if (ERR_GET_REASON(first) & ERR_RFLAG_COMMON) /* no memory, for one */
        return NULL;
    if (lib == ERR_LIB_ASN1)
        return "what the peer sent is not in DER";
    if (lib == ERR_LIB_PROV && ERR_GET_REASON(first) == PROV_R_INVALID_AAD)
        return "a record is shorter than what protects it";
    if (lib != ERR_LIB_PROV || ERR_GET_LIB(last) != ERR_LIB_SSL ||
        (ERR_GET_REASON(last) & ERR_RFLAG_COMMON))
        return NULL;
    return ERR_reason_error_string(last);
}

static bool is_verdict(void)
{
    unsigned long error = thi_ossl_peek();
    return ERR_GET_LIB(error) == ERR_LIB_SSL &&
           ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED;
}

int thi_tls_link_failure(thi_tls_link *link, const char *doing)
{
    int alert = alert_in_queue();
    const char *known = other_language();
    known = known ? known : meaning();
    bool verdict = link->verdict != 0 && is_verdict();
    if (link->failed < 0 || verdict || alert >= 0 || known) {
        ERR_clear_error();
        if (link->failed < 0)
            return link->detail[0] ? thi_err_set(link->failed, "%s: %s", doing, link->detail)
                                   : thi_err_set(link->failed, "%s", doing);
        if (verdict)
            return thi_err_set(TH_ETLS, "%s: %s", doing, link->detail);
        if (alert >= 0)
            return thi_err_set(TH_ETLS, "%s: the peer sent the alert '%s'", doing,
                               thi_tls_alert_name(alert));
        return thi_err_set(TH_ETLS, "%s: %s", doing, known);
    }
    if (thi_ossl_no_memory()) {
        ERR_clear_error();
        return thi_err_clear(-ENOMEM);
    }
    return thi_ossl_fail(TH_ETLS, "%s", doing);
}
