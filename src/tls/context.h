/* SPDX-License-Identifier: MIT */

/*
 * The configuration of connections: a handle that changes, and snapshots that do not.
 *
 * A `th_tls` is what users hold; it points to one `thi_tls_config`, the snapshot, with a reference.
 * All of OpenSSL's is in the snapshot, which is immutable once it is published: connections take a
 * reference to it (thi_tls_config_of) and need no lock afterwards. th_tls_replace() changes the
 * pointer; the former snapshot dies with its last connection.
 */
#ifndef THI_TLS_CONTEXT_H
#define THI_TLS_CONTEXT_H

#include "tls/sni.h"
#include "tls/verify.h"

#include <thrum/tls.h>

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* The callbacks of th_tls_opts, as they were given. */
typedef struct thi_tls_hooks {
    int (*choose)(const char *name, th_tls **other, void *user, void *arg);
    int (*alpn_choose)(const th_str *offered, size_t count, void *user, void *arg);
    int (*verify)(const th_tls_verify *seen, void *user, void *arg);
    int (*ocsp_check)(th_str response, void *user, void *arg);
    int (*ocsp_staple)(th_str *response, void *user, void *arg);
    void (*keylog)(const char *line, void *user, void *arg);
    void (*info)(int what, int number, const char *text, void *user, void *arg);
    void *arg;
} thi_tls_hooks;

/* Immutable but for refs and the late trust of clients. */
typedef struct thi_tls_config {
    atomic_uint refs;
    SSL_CTX *server; /* of the first certificate; NULL when there is none: no server, unless
                        hooks.choose finds another context */
    SSL_CTX *client; /* always there */
    thi_tls_sni sni; /* the server's SSL_CTX by name; each has the settings of all */
    thi_tls_pins pins;
    thi_tls_hooks hooks;
    th_tls_facts facts;  /* with the defaults filled in */
    unsigned char *alpn; /* the server's protocols in wire form, best first; NULL: none */
    size_t alpn_len;
    bool alpn_go_on;
    bool late_trust;         /* the client's store is the system's, attached at the first need */
    atomic_bool trusted;     /* it has been */
    unsigned handshakes_max; /* 0: the default of handshakes.h */
    int ocsp;
    int post_handshake_auth;
    uint32_t early_data_max;
} thi_tls_config;

/* A reference to the present snapshot, to be given back. Any thread; never NULL. */
thi_tls_config *thi_tls_config_of(const th_tls *tls);

thi_tls_config *thi_tls_config_ref(thi_tls_config *config);

/* NULL is a no-op. Any thread. */
void thi_tls_config_unref(thi_tls_config *config);

/* The snapshot that an SSL_CTX of ours belongs to, without a reference. */
thi_tls_config *thi_tls_config_of_ctx(const SSL_CTX *ctx);

/*
 * Sees to it that clients can be made from it: loads the system's authorities if that is still to
 * be done (may suspend, on a fiber). 0 or a failure with its detail.
 */
TH_MUST int thi_tls_config_client_ready(thi_tls_config *config);

#endif
