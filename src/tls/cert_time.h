/* SPDX-License-Identifier: MIT */

/* Times as certificates have them, and as seconds since 1970. */
#ifndef THI_TLS_CERT_TIME_H
#define THI_TLS_CERT_TIME_H

#include <thrum/cert_name.h>

#include <openssl/asn1.h>

/* The second that the calendar shows. */
int64_t thi_cert_now(void);

/* TH_ETLS for a time that OpenSSL cannot read. */
TH_MUST int thi_cert_time_of(const ASN1_TIME *time, int64_t *seconds);

/* A new time, in the form that RFC 5280 wants for the year. 0; -ERANGE for one that it does not
 * have; -ENOMEM. */
TH_MUST int thi_cert_time_make(int64_t seconds, ASN1_TIME **time);

/* "2026-01-02 03:04:05 UTC". */
const char *thi_cert_time_words(int64_t seconds, char text[32]);

#endif
