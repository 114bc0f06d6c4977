/* SPDX-License-Identifier: MIT */

/* The key log, by which Wireshark reads connections: lines in NSS's format, off unless asked for.
 */
#ifndef THI_TLS_KEYLOG_H
#define THI_TLS_KEYLOG_H

#include <thrum/defs.h>

#include <openssl/ssl.h>

typedef struct thi_tls_keylog thi_tls_keylog;

/* Gets each line, without its end, in the middle of a handshake. */
typedef void (*thi_tls_keylog_fn)(const SSL *ssl, const char *line, void *arg);

/*
 * Makes a log that appends to a file, calls a function, or does both. A file that is not there is
 * made, for its owner alone. 0; -errno with the path as detail, -EACCES also for a file that others
 * may read or that is none; -ENOMEM. Blocks.
 */
TH_MUST int thi_tls_keylog_new(const char *path, thi_tls_keylog_fn fn, void *arg,
                               thi_tls_keylog **log);

/* NULL is a no-op. Attached SSL_CTXs hold references. */
void thi_tls_keylog_unref(thi_tls_keylog *log);

/* Logs what connections of an SSL_CTX agree upon. 0; -ENOMEM. */
TH_MUST int thi_tls_keylog_attach(SSL_CTX *ctx, thi_tls_keylog *log);

#endif
