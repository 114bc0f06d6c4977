/* SPDX-License-Identifier: MIT */

/* The verdict on a peer's chain: OpenSSL's, the pins', the user's callback's; and its words. */
#ifndef THI_TLS_VERIFY_H
#define THI_TLS_VERIFY_H

#include <openssl/ssl.h>

/* Makes connections of an SSL_CTX, which have links, be judged here. */
void thi_tls_verify_attach(SSL_CTX *ctx);

#endif
