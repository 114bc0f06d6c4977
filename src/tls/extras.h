/* SPDX-License-Identifier: MIT */

/*
 * What a snapshot has besides certificates and trust: sessions, tickets, OCSP, early data, the key
 * log. From options to what is attached to its SSL_CTXs.
 */
#ifndef THI_TLS_EXTRAS_H
#define THI_TLS_EXTRAS_H

#include "tls/context.h"
#include "tls/identity.h"

#include <stdint.h>

/* What the snapshot shares among its SSL_CTXs, and gives back when it goes. Opens files; off the
 * loop. 0, or as th_tls_new(). */
TH_MUST int thi_tls_extras_open(const th_tls_opts *opts, thi_tls_config *config);

/* To a server's SSL_CTX. */
TH_MUST int thi_tls_extras_server(const th_tls_opts *opts, const thi_tls_config *config,
                                  SSL_CTX *ctx);

/* The responses for the certificates of a server's SSL_CTX, of which some have a file; NULL ends
 * them. Reads the files; off the loop. */
TH_MUST int thi_tls_extras_staple(const thi_tls_config *config,
                                  const thi_tls_identity *const *identities, SSL_CTX *ctx);

/* Certificates of an SSL_CTX at most, and the end. */
#define THI_TLS_EXTRAS_CERTS 8

/* To the client's SSL_CTX. */
TH_MUST int thi_tls_extras_client(const th_tls_opts *opts, const thi_tls_config *config,
                                  SSL_CTX *ctx);

#endif
