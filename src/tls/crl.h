/* SPDX-License-Identifier: MIT */

/* The inside of a revocation list, for those that hand it to OpenSSL. */
#ifndef THI_TLS_CRL_H
#define THI_TLS_CRL_H

#include "tls/pem.h"

#include <thrum/crl.h>

#include <openssl/x509.h>
#include <stdatomic.h>

/* Nothing changes after it was made, but for refs. */
struct th_crl {
    atomic_uint refs;
    X509_CRL *crl; /* owned, and handed to nobody who looks something up in it: OpenSSL sorts the
                      entries then. A copy is for that. */
};

extern const thi_pem_kind thi_crl_kind;

/* Makes a list of OpenSSL's, which is taken over also on failure. */
TH_MUST int thi_crl_wrap(X509_CRL *from, th_crl **crl);

#endif
