/* SPDX-License-Identifier: MIT */

/* What happens in handshakes, told to the user's callback; and the alerts, kept for messages. */
#ifndef THI_TLS_INFO_H
#define THI_TLS_INFO_H

#include <openssl/ssl.h>

/* Makes connections of an SSL_CTX, which have links, tell. */
void thi_tls_info_attach(SSL_CTX *ctx);

#endif
