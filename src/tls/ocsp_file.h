/* SPDX-License-Identifier: MIT */

/* A response of OCSP in a file, which somebody else renews. */
#ifndef THI_TLS_OCSP_FILE_H
#define THI_TLS_OCSP_FILE_H

#include <thrum/defs.h>

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct thi_ocsp_file thi_ocsp_file;

/*
 * Reads the file, in DER, for a certificate; issuer may be NULL, then the signature is not looked
 * at. A response whose time is not yet, or no longer, is taken, with a warning, and not shown to
 * anybody before another one is there. 0; -errno with the path as detail; TH_ETLS when the response
 * is broken, about another certificate or not signed by the issuer; -ENOMEM. Blocks.
 */
TH_MUST int thi_ocsp_file_new(const char *path, X509 *cert, X509 *issuer, thi_ocsp_file **file);

/* These are no-ops for NULL. */
thi_ocsp_file *thi_ocsp_file_ref(thi_ocsp_file *file);
void thi_ocsp_file_unref(thi_ocsp_file *file);

/* Whether it was made for that certificate. */
bool thi_ocsp_file_is_of(const thi_ocsp_file *file, const X509 *cert);

/* What it holds and may be shown now, in memory of OpenSSL's for the caller; NULL when there is
 * nothing. Sees to it that the file is looked at again when it is time. Any thread. */
unsigned char *thi_ocsp_file_copy(thi_ocsp_file *file, size_t *size);

/* Between two looks at the file, ns; for tests to change before one is made. */
extern int64_t thi_ocsp_file_look_after;

#endif
