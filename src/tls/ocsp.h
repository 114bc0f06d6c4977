/* SPDX-License-Identifier: MIT */

/* Responses of OCSP (RFC 6960): what one says about a certificate, and whether to believe it. */
#ifndef THI_TLS_OCSP_H
#define THI_TLS_OCSP_H

#include <thrum/defs.h>
#include <thrum/str.h>

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

/* Bytes of a response at most. */
#define THI_OCSP_MAX ((size_t)64 * 1024)

/* What a response says. Each but GOOD is a reason to refuse it. */
typedef enum thi_ocsp_verdict {
    THI_OCSP_GOOD,
    THI_OCSP_NONE,      /* there is none: empty */
    THI_OCSP_BROKEN,    /* it cannot be read, or says that the responder failed */
    THI_OCSP_OTHER,     /* it is about other certificates */
    THI_OCSP_UNTRUSTED, /* it is not signed by the issuer or on its behalf */
    THI_OCSP_EARLY,     /* it is valid in the future only */
    THI_OCSP_STALE,     /* its time is up */
    THI_OCSP_REVOKED,   /* the certificate is revoked */
    THI_OCSP_UNKNOWN,   /* the responder does not know the certificate */
    THI_OCSP_UNJUDGED   /* there was no memory */
} thi_ocsp_verdict;

typedef struct thi_ocsp_findings {
    thi_ocsp_verdict verdict;
    bool unsigned_; /* the issuer is not known: the signature was not looked at */
    int64_t since;  /* seconds of Unix time from which on it is valid; 0: not known */
    int64_t until;  /* seconds of Unix time at which it ends; INT64_MAX: it does not say */
    int64_t revoked_at;
    int reason; /* of the revocation, RFC 5280 5.3.1; -1: none given */
} thi_ocsp_findings;

/*
 * Judges a response about `cert` at a point in time, seconds of Unix time. issuer may be NULL at a
 * server that has only its own certificate: then the serial number has to do. Clocks may differ by
 * five minutes.
 */
void thi_ocsp_judge(th_str der, X509 *cert, X509 *issuer, int64_t now, thi_ocsp_findings *findings);

/* The verdict in words, such as "is no longer valid (it ended on 2026-01-02 03:04:05 UTC)". */
char *thi_ocsp_words(const thi_ocsp_findings *findings, char *text, size_t size);

/* Whether a certificate demands a response with each handshake (RFC 7633, "must-staple"). */
bool thi_ocsp_is_demanded(X509 *cert);

#endif
