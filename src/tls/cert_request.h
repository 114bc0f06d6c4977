/* SPDX-License-Identifier: MIT */

/* The inside of a request, for those that make a certificate of it. */
#ifndef THI_TLS_CERT_REQUEST_H
#define THI_TLS_CERT_REQUEST_H

#include <thrum/cert_issue.h>

#include <openssl/x509.h>
#include <stdatomic.h>

/* Nothing changes after it was made, but for refs. */
struct th_cert_request {
    atomic_uint refs;
    X509_REQ *req; /* owned */
};

#endif
