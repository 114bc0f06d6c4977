/* SPDX-License-Identifier: MIT */

/*
 * What an address says of TLS behind its `?`: files, a name, the certificate for developing.
 *
 *     tls://0.0.0.0:443?cert=server.pem&key=server-key.pem
 *     tls://db.example:5432?ca=company.pem
 *     tls://localhost:7000?dev
 *
 * So a program that takes an address speaks TLS without a line about it. Who says more gives a
 * context.
 */
#ifndef THI_TLS_PARAMS_H
#define THI_TLS_PARAMS_H

#include <thrum/tls.h>

#include <stdbool.h>

typedef struct thi_tls_params {
    char *text; /* holds what the others point into; NULL: nothing was said */
    const char *cert;
    const char *key;  /* NULL: in the file of cert */
    const char *ca;   /* whom to believe; NULL: nothing was said */
    const char *name; /* client: what the certificate must be for */
    bool dev;         /* the certificate for developing, or its authority */
} thi_tls_params;

/*
 * Reads them, or NULL for none; `address` is for details. 0, TH_EADDRESS for a word that is unknown
 * or said twice, -ENOMEM; on failure there is nothing to be given back.
 */
TH_MUST int thi_tls_params_read(const char *text, const char *address, thi_tls_params *params);

void thi_tls_params_deinit(thi_tls_params *params);

/* Whether they say how to make a context. */
bool thi_tls_params_make(const thi_tls_params *params);

/*
 * The context of a server, of a client: the one given, which may be NULL, or what the parameters
 * say, or the default there is. With a reference for the caller. -EINVAL with a detail where there
 * is both or, for a server, neither; else as th_tls_new(). May suspend.
 */
TH_MUST int thi_tls_params_server(const thi_tls_params *params, th_tls *given, const char *address,
                                  th_tls **tls);
TH_MUST int thi_tls_params_client(const thi_tls_params *params, th_tls *given, const char *address,
                                  th_tls **tls);

#endif
