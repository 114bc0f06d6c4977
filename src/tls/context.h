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

#include "tls/alpn.h"
#include "tls/pins.h"
#include "tls/sni.h"

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

/* Immutable once published, but for the count of references. */
typedef struct thi_tls_config {
    atomic_uint refs;
    uint64_t id;          /* no two of a process have the same */
    SSL_CTX *server;      /* of the first certificate, or without one when hooks.choose finds other
                             contexts; NULL: no server can be made */
    SSL_CTX *client;      /* always there */
    SSL_CTX *dtls_server; /* the same for datagrams; NULL: not asked for, or as above */
    SSL_CTX *dtls_client; /* likewise */
    SSL_CTX **others;     /* the server's for further certificates; owned */
    size_t others_count;
    thi_tls_sni sni;   /* the server's SSL_CTXs by name; all have the same settings */
    thi_tls_alpn alpn; /* best first */
    bool alpn_go_on;   /* without a protocol in common */
    thi_tls_pins pins;
    thi_tls_hooks hooks;
    th_tls_facts facts;         /* with the defaults filled in; generation is the handle's */
    char *groups;               /* as policy.h has them */
    unsigned long verify_flags; /* X509_V_FLAG_* */
    bool any_name;              /* client: names of servers are not verified */
    bool kernel_sends;          /* where the kernel can, it encrypts what is sent */
    unsigned handshakes_max;    /* under way on a worker; 0: the default of who counts them */
    int ocsp;                   /* TH_TLS_OCSP_* */
    struct th_tls_ticket_keys *ticket_keys; /* of extras.h, as are these; NULL: none */
    struct th_tls_sessions *sessions;
    struct thi_tls_keylog *keylog;
    struct thi_early_once *hellos; /* with early data; NULL: none is taken */
    unsigned char sid_ctx[32];     /* what sessions belong to */
    unsigned sid_ctx_len;
} thi_tls_config;

/* A zeroed snapshot with one reference; NULL: -ENOMEM. */
thi_tls_config *thi_tls_config_new(void);

/* A reference to the present snapshot, to be given back. Any thread; never NULL. */
thi_tls_config *thi_tls_config_of(const th_tls *tls);

thi_tls_config *thi_tls_config_ref(thi_tls_config *config);

/* NULL is a no-op. Any thread. */
void thi_tls_config_unref(thi_tls_config *config);

/* Makes a handle that has the snapshot, whose reference it takes on success. 0; -ENOMEM. */
TH_MUST int thi_tls_handle_new(thi_tls_config *config, th_tls **tls);

#endif
