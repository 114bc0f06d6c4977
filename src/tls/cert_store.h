/* SPDX-License-Identifier: MIT */

/* The inside of a store, for those that hand it to OpenSSL. */
#ifndef THI_TLS_CERT_STORE_H
#define THI_TLS_CERT_STORE_H

#include <thrum/cert_store.h>

#include <openssl/x509_vfy.h>

/*
 * Adds what is in a store now to one of OpenSSL's, which nobody else uses yet. -ENOMEM, TH_ETLS; on
 * failure some may have been added.
 */
TH_MUST int thi_cert_store_fill(const th_cert_store *store, X509_STORE *into);

/*
 * Gives a reference to OpenSSL's form of what is in a store now. Nobody adds to it any more: it is
 * for checking, by any number of threads. It goes back by thi_cert_store_give_back(). 0; TH_ETLS,
 * -ENOMEM.
 */
TH_MUST int thi_cert_store_get(th_cert_store *store, X509_STORE **got);

/* Gives that reference back to the store it came from. NULL is a no-op. */
void thi_cert_store_give_back(th_cert_store *store, X509_STORE *got);

#endif
