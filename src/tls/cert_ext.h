/* SPDX-License-Identifier: MIT */

/* Extensions and alternative names between plain data and OpenSSL. */
#ifndef THI_TLS_CERT_EXT_H
#define THI_TLS_CERT_EXT_H

#include <thrum/cert_name.h>

#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>

/* ---- reading: all of it in the arena ---- */

TH_MUST int thi_exts_read(const STACK_OF(X509_EXTENSION) * from, th_arena *arena,
                          const th_cert_ext **exts, size_t *count);

/* NULL: none. */
TH_MUST int thi_alts_read(const GENERAL_NAMES *from, th_arena *arena, const th_cert_alt **alts,
                          size_t *count);

/* ---- making: what is put into a list replaces what is there of the same kind ---- */

/* Extensions on their way into a certificate, a request or a list. */
typedef struct thi_exts {
    STACK_OF(X509_EXTENSION) * list; /* NULL: none yet */
    X509V3_CTX ctx;                  /* whom they are about */
    CONF *conf;                      /* an empty one, which some of them want */
} thi_exts;

/* NULL for who is not there. To be given back in any case. */
TH_MUST int thi_exts_init(thi_exts *exts, X509 *issuer, X509 *subject, X509_REQ *request,
                          X509_CRL *crl);

void thi_exts_deinit(thi_exts *exts);

/* Adds one by its name and text. -EINVAL with OpenSSL's reason. */
TH_MUST int thi_exts_text(thi_exts *exts, const th_cert_ext *ext);

/* The same for one that is known by its number. "critical," may stand in front of the text. */
TH_MUST int thi_exts_nid(thi_exts *exts, int nid, const char *text);

/* The same with a text of ours: whatever is wrong, TH_ETLS or -ENOMEM. */
TH_MUST int thi_exts_own(thi_exts *exts, int nid, const char *text);

/* Adds one that is ready as OpenSSL's struct. */
TH_MUST int thi_exts_add(thi_exts *exts, int nid, void *value, bool critical);

/* Adds alternative names; -EINVAL with the name in the detail. */
TH_MUST int thi_exts_alts(thi_exts *exts, const th_cert_alt *alts, size_t count, bool critical);

/* Adds where a revocation list is, and who answers by OCSP and has the issuer; NULL: not said. */
TH_MUST int thi_exts_urls(thi_exts *exts, const char *crl, const char *ocsp, const char *issuer);

#endif
