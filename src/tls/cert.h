/* SPDX-License-Identifier: MIT */

/* The inside of a certificate, for those that hand it to OpenSSL. */
#ifndef THI_TLS_CERT_H
#define THI_TLS_CERT_H

#include "tls/pem.h"

#include <thrum/cert.h>

#include <openssl/x509.h>
#include <stdatomic.h>

/* Nothing changes after it was made, but for refs. */
struct th_cert {
    atomic_uint refs;
    X509 *x509; /* owned; X509 counts itself, so others may keep it longer */
};

extern const thi_pem_kind thi_cert_kind;

/* Makes a certificate of OpenSSL's, which is taken over also on failure. */
TH_MUST int thi_cert_wrap(X509 *x509, th_cert **cert);

/* The certificates as OpenSSL wants them, each counted once more; to be freed with pop_free. */
TH_MUST int thi_certs_stack(const th_certs *certs, STACK_OF(X509) * *stack);

/* Adds what is in a stack, which stays the caller's, from the given index on. */
TH_MUST int thi_certs_add_stack(th_certs *certs, const STACK_OF(X509) * stack, int from);

#endif
