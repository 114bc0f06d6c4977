/* SPDX-License-Identifier: MIT */

/* Certificates and revocation lists of a text, as stacks of OpenSSL's; all or nothing. */
#ifndef THI_TLS_STACKS_H
#define THI_TLS_STACKS_H

#include <thrum/str.h>

#include <openssl/x509.h>
#include <stddef.h>

/* The most bytes that a text may have; the bundles of systems have a quarter of a MiB. */
#define THI_STACK_LIMIT ((size_t)16 << 20)

/*
 * Reads all certificates of a text, in order, at least one; other things in PEM between them are
 * passed over, DER is read as well. 0 and a stack; TH_ETLS with `what` and the reason as detail:
 * nothing in it, a broken one, rubbish behind DER; TH_ELIMIT; -ENOMEM.
 */
TH_MUST int thi_stack_certs(th_str text, const char *what, STACK_OF(X509) * *certs);

/* The same for revocation lists. */
TH_MUST int thi_stack_crls(th_str text, const char *what, STACK_OF(X509_CRL) * *crls);

#endif
