/* SPDX-License-Identifier: MIT */

/* Parts of what a certificate says that requests and revocation lists say, too. */
#ifndef THI_TLS_CERT_INFO_H
#define THI_TLS_CERT_INFO_H

#include <thrum/cert.h>

#include <openssl/x509.h>

/* A name as plain data and as text. */
TH_MUST int thi_info_name(const X509_NAME *from, th_arena *arena, th_cert_name *name, th_str *text);

/* What is known about a public key; NULL: it cannot be read. */
TH_MUST int thi_info_key(EVP_PKEY *pkey, th_arena *arena, th_key_info *info);

/* How something is signed, by the number of the method; both are static. */
void thi_info_signature(int nid, const char **signature, const char **digest);

#endif
