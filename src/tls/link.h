/* SPDX-License-Identifier: MIT */

/*
 * What ties one SSL to its settings: made with it, found again by OpenSSL's callbacks.
 *
 * The engine embeds one per connection. It holds the references (to the snapshot, and to that of
 * another context when a server name has chosen one) and what callbacks leave for the caller of the
 * handshake: their own failure, which beats whatever OpenSSL makes of it.
 */
#ifndef THI_TLS_LINK_H
#define THI_TLS_LINK_H

#include "tls/context.h"

#include <thrum/error.h>

/* What one connection wants otherwise than its context; all zero: nothing. Read during the call. */
typedef struct thi_tls_link_opts {
    const char *name;        /* client: host name or address, verified and (a name) told to the
                                server; NULL: neither, see `nameless` */
    const char *verify_name; /* client: verified instead of `name`; NULL: `name` */
    bool nameless;           /* client: no name is a choice: the chain alone is verified. Without
                                it, and without insecure_no_verification, a NULL name is -EINVAL */
    const char *const *alpn; /* ended by NULL; NULL: the context's */
    int client_auth;         /* server: TH_TLS_CLIENT_AUTH_*, when has_client_auth */
    bool has_client_auth;    /* client_auth counts */
    int (*verify)(const th_tls_verify *seen, void *user, void *arg); /* NULL: the context's */
    void *user;                                                      /* for the callbacks */
} thi_tls_link_opts;

typedef struct thi_tls_link {
    SSL *ssl;               /* owned */
    thi_tls_config *config; /* a reference: the snapshot in effect */
    bool server;
    bool named; /* client: the peer's name is verified */
    void *user;
    int (*verify)(const th_tls_verify *seen, void *user, void *arg);
    char *name; /* client: as asked for; server: what the client said; NULL: none */
    int failed; /* negative: a callback's own failure, with its detail here */
    char detail[256];
    long verdict;    /* X509_V_ERR_* that ended the verification; 0: none */
    char words[256]; /* the same, told about the certificate and its chain */
    int alert_sent;  /* number, -1: none */
    int alert_received;
} thi_tls_link;

/*
 * Makes the SSL of a connection, without a BIO, in the role's state (SSL_set_accept_state or
 * SSL_set_connect_state), with all callbacks and checks. Takes a reference to the snapshot. The
 * link's address must not change while it is open.
 *
 * 0; -EINVAL with a detail: no certificate for a server, an empty name or one with strange bytes,
 * no name where one is needed, a bad protocol list; failures of thi_tls_config_client_ready();
 * -ENOMEM. May suspend the first time for a client. On failure nothing is open.
 */
TH_MUST int thi_tls_link_open(thi_tls_link *link, thi_tls_config *config, bool server,
                              const thi_tls_link_opts *opts);

/* Frees the SSL and gives the references back. A zeroed link is a no-op. */
void thi_tls_link_close(thi_tls_link *link);

/* The link of an SSL that was made by thi_tls_link_open(), or NULL. */
thi_tls_link *thi_tls_link_of(const SSL *ssl);

/*
 * Says why a call on the SSL failed: called right after SSL_ERROR_SSL, with the queue as OpenSSL
 * left it; empties the queue. Returns, each with its words as detail, behind `doing` ("handshake
 * with db.example") and a colon:
 *  - what a callback has failed with;
 *  - TH_ETLS "certificate of db.example expired on 2026-01-02; chain: db.example <- R3 <- X1";
 *  - TH_ETLS "the peer sent the alert 'unknown ca'";
 *  - TH_ETLS "the peer speaks HTTP, not TLS";
 *  - TH_ETLS and OpenSSL's reason; -ENOMEM.
 */
int thi_tls_link_failure(thi_tls_link *link, const char *doing);

/* The name of an alert in plain words, "unknown ca"; never NULL. */
const char *thi_tls_alert_name(int number);

#endif
