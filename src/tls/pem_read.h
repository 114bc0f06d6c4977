/* SPDX-License-Identifier: MIT */

/* Certificates and lists of files and of memory, as stacks of OpenSSL's; blocking, all or nothing.
 */
#ifndef THI_TLS_PEM_READ_H
#define THI_TLS_PEM_READ_H

#include <thrum/str.h>

#include <openssl/x509.h>
#include <stddef.h>

/* The most bytes that a file of ours may have; the bundles of systems have a quarter of a MiB. */
#define THI_TLS_FILE_MAX ((size_t)16 << 20)

/* A file in memory, to be given back; its bytes are wiped then. */
typedef struct thi_tls_file {
    unsigned char *bytes; /* with a NUL behind them */
    size_t len;
} thi_tls_file;

/* Reads a whole file; blocks. 0; -errno, TH_ELIMIT with the path as detail; -ENOMEM. */
TH_MUST int thi_tls_file_load(const char *path, thi_tls_file *file);

/* The same of what is in memory. 0; -ENOMEM. */
TH_MUST int thi_tls_file_copy(th_str text, thi_tls_file *file);

void thi_tls_file_deinit(thi_tls_file *file);

/*
 * Reads all certificates of a text, in order, at least one; other things in PEM between them are
 * passed over, DER is read as well. 0 and a stack; TH_ETLS with `what` and the reason as detail:
 * nothing in it, a broken one, rubbish behind DER; -ENOMEM.
 */
TH_MUST int thi_tls_read_certs(th_str text, const char *what, STACK_OF(X509) * *certs);

/* The same for revocation lists. */
TH_MUST int thi_tls_read_crls(th_str text, const char *what, STACK_OF(X509_CRL) * *crls);

#endif
