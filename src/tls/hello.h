/* SPDX-License-Identifier: MIT */

/* What a server chooses by the client's hello: the context, the certificate, the protocol. */
#ifndef THI_TLS_HELLO_H
#define THI_TLS_HELLO_H

#include "tls/context.h"

/* Makes connections of a server's SSL_CTX choose by the settings of the snapshot. */
void thi_tls_hello_attach(SSL_CTX *ctx, const thi_tls_config *config);

#endif
