/* SPDX-License-Identifier: MIT */

/* How OpenSSL reaches the bytes of an engine: a BIO between its two buffers. */
#ifndef THI_TLS_BIO_H
#define THI_TLS_BIO_H

#include "tls/wire.h"

#include <openssl/bio.h>

/* A BIO with one reference, for SSL_set_bio() on both sides; NULL: no memory. */
TH_MUST BIO *thi_tls_bio_new(thi_tls_wire *wire);

#endif
