/* SPDX-License-Identifier: MIT */

/*
 * Failed verifications in words.
 *
 * OpenSSL's texts are kept, so that they can be searched for; what they leave out is put around
 * them: which certificate, which date, which names, which chain.
 */
#include "tls/verify_words.h"

#include "tls/cert_time.h"

#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Longest title of a certificate; longer ones are cut. */
#define TITLE_SIZE 72

/* ---- a text that grows, and is cut at the end of its room ---- */

typedef struct words {
    char *text;
    size_t size;
    size_t len;
} words;

__attribute__((format(printf, 2, 3))) static void say(words *w, const char *format, ...)
{
    va_list args;
    if (w->len + 1 >= w->size)
        return;
    va_start(args, format);
    int n = vsnprintf(w->text + w->len, w->size - w->len, format, args);
    va_end(args);
    if (n > 0)
        w->len = w->len + (size_t)n < w->size ? w->len + (size_t)n : w->size - 1;
}

/* ---- titles ---- */

/* What a peer wrote goes into logs and terminals: nothing but printable ASCII. */
static char *clean(const char *bytes, size_t len, char *text, size_t size)
{
    size_t n = 0;
    for (; n < len && n + 1 < size; n++)
        text[n] = bytes[n] >= ' ' && bytes[n] < 0x7f ? bytes[n] : '?';
    text[n] = '\0';
    return text;
}

static char *clean_string(const ASN1_STRING *s, char *text, size_t size)
{
    return clean((const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s), text, size);
}

static bool title_of_name(const X509_NAME *name, char *text, size_t size)
{
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    if (at < 0)
        at = X509_NAME_entry_count(name) - 1;
    if (at < 0)
        return false;
    clean_string(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)), text, size);
    return text[0] != '\0';
}

/* Returns how many alternative names there are, and writes the first ones. */
static int list_alts(const X509 *cert, int max, words *w)
{
    GENERAL_NAMES *alts = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    char one[TITLE_SIZE];
    int count = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(alts); i++) {
        const GENERAL_NAME *alt = sk_GENERAL_NAME_value(alts, i);
        const unsigned char *ip = alt->type == GEN_IPADD ? alt->d.iPAddress->data : NULL;
        if (count >= max || (alt->type != GEN_DNS && !ip))
            continue;
        if (ip && alt->d.iPAddress->length == 4)
            say(w, "%s%u.%u.%u.%u", count ? ", " : "", ip[0], ip[1], ip[2], ip[3]);
        else if (ip)
            say(w, "%san IPv6 address", count ? ", " : "");
        else
            say(w, "%s%s", count ? ", " : "", clean_string(alt->d.dNSName, one, sizeof one));
        count++;
    }
    if (count == max && sk_GENERAL_NAME_num(alts) > max)
        say(w, ", ...");
    GENERAL_NAMES_free(alts);
    return count;
}

char *thi_tls_cert_title(const X509 *cert, char *text, size_t size)
{
    words w = { text, size, 0 };
    if (cert && title_of_name(X509_get_subject_name(cert), text, size))
        return text;
    text[0] = '\0';
    if (!cert || list_alts(cert, 1, &w) == 0)
        say(&w, "(no name)");
    return text;
}

/* ---- reasons ---- */

static void say_date(words *w, const ASN1_TIME *time)
{
    int64_t seconds;
    char text[32];
    if (thi_cert_time_of(time, &seconds) == 0)
        say(w, "%.*s", (int)strlen("2026-01-02"), thi_cert_time_words(seconds, text));
    else
        say(w, "a date that cannot be read");
}

static void say_other_name(words *w, const thi_tls_blame *blame, const char *title)
{
    say(w, "certificate is for ");
    if (list_alts(blame->cert, 4, w) == 0)
        say(w, "%s", title);
    say(w, ", not for %s", blame->name ? blame->name : "the host");
}

static void say_issuer(words *w, const X509 *cert)
{
    char issuer[TITLE_SIZE];
    if (title_of_name(X509_get_issuer_name(cert), issuer, sizeof issuer))
        say(w, " %s", issuer);
}

/* The errors of which there is more to say; false for the others. */
static bool say_known(words *w, const thi_tls_blame *blame, const char *title)
{
    const char *plain = X509_verify_cert_error_string(blame->error);
    switch (blame->error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        say(w, "certificate of %s expired on ", title);
        say_date(w, X509_get0_notAfter(blame->cert));
        return true;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        say(w, "certificate of %s is not valid before ", title);
        say_date(w, X509_get0_notBefore(blame->cert));
        return true;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        say_other_name(w, blame, title);
        return true;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_CRL_HAS_EXPIRED:
        say(w, "certificate of %s: %s: its issuer is", title, plain);
        say_issuer(w, blame->cert);
        return true;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        say(w, "certificate of %s is signed by itself and not among the trusted ones (%s)", title,
            plain);
        return true;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        say(w, "authority %s is not among the trusted ones (%s)", title, plain);
        return true;
    default:
        return false;
    }
}

static void say_chain(words *w, const STACK_OF(X509) * chain)
{
    char title[TITLE_SIZE];
    for (int i = 0; i < sk_X509_num(chain); i++)
        say(w, "%s%s", i == 0 ? "; chain: " : " <- ",
            thi_tls_cert_title(sk_X509_value(chain, i), title, sizeof title));
}

char *thi_tls_verify_words(const thi_tls_blame *blame, char *text, size_t size)
{
    char title[TITLE_SIZE];
    words w = { text, size, 0 };
    text[0] = '\0';
    thi_tls_cert_title(blame->cert, title, sizeof title);
    if (!blame->cert)
        say(&w, "%s", X509_verify_cert_error_string(blame->error));
    else if (!say_known(&w, blame, title))
        say(&w, "certificate of %s: %s", title, X509_verify_cert_error_string(blame->error));
    say_chain(&w, blame->chain);
    return text;
}
