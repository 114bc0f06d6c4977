/* SPDX-License-Identifier: MIT */

/*
 * What ties one SSL to its settings: made with it, found again by OpenSSL's callbacks.
 *
 * The engine embeds one per connection. It holds the reference to the snapshot (that of another
 * context, when a server name has chosen one) and what callbacks leave for the caller of the
 * handshake: their own failure, which beats whatever OpenSSL makes of it.
 */
#ifndef THI_TLS_LINK_H
#define THI_TLS_LINK_H

#include "base/error.h"
#include "tls/context.h"

#include <thrum/tls_stream.h>

/* What one connection wants otherwise than its context; all zero: nothing. Read during the call. */
typedef struct thi_tls_link_opts {
    const char *name;        /* client: the host name or address to verify; NULL only where neither
                                chain nor names are verified */
    const char *sent_name;   /* client: told to the server instead of `name`; "": nothing */
    const char *const *alpn; /* client: ended by NULL; NULL: the context's */
    int verify;              /* TH_TLS_VERIFY_* */
    uint16_t record;         /* bytes in a record that is sent, at most; 0: as the context says */
    uint16_t port;           /* client: of the server, as far as sessions are concerned; 0: none */
    bool dtls;               /* for datagrams */
    struct th_tls_session *session; /* client: to be resumed; NULL: one of the context's cache */
    void *user;                     /* for the callbacks */
} thi_tls_link_opts;

typedef struct thi_tls_link {
    SSL *ssl;               /* owned */
    thi_tls_config *config; /* a reference: the snapshot in effect */
    bool server;
    bool insecure;      /* whoever the peer is, it is believed (pins aside) */
    bool has_verify;    /* the connection has its own idea of verification, */
    bool has_record;    /* and of records */
    uint16_t record;    /* bytes of the user's in one record that is sent, at most */
    bool chosen;        /* server: by the name that the client said */
    bool started, done; /* the handshake, as told to th_tls_opts.info */
    int alert_sent;     /* its number; -1: none */
    int alert_received; /* likewise, the peer's */
    void *user;
    char *name;  /* client: what is verified; server: what the client said; NULL: none; owned */
    int failed;  /* why a callback has ended the handshake, with its detail; 0: none has */
    int verdict; /* X509_V_ERR_* that speaks against the peer, in words in the detail; 0: none */
    char detail[THI_ERR_DETAIL_SIZE];
} thi_tls_link;

/*
 * Makes the SSL of a connection, without a BIO, in the role's state (SSL_set_accept_state or
 * SSL_set_connect_state), with all callbacks and checks. Takes a reference to the snapshot. The
 * link's address must not change while it is open.
 *
 * 0; -EINVAL with a detail: no certificate for a server, an empty name or one with strange bytes,
 * no name where one is needed, a bad protocol list; -ENOMEM. On failure nothing is open.
 */
TH_MUST int thi_tls_link_open(thi_tls_link *link, thi_tls_config *config, bool server,
                              const thi_tls_link_opts *opts);

/* Frees the SSL and gives the reference back. A zeroed link is a no-op. */
void thi_tls_link_close(thi_tls_link *link);

/* The link of an SSL that was made by thi_tls_link_open(), or NULL. */
thi_tls_link *thi_tls_link_of(const SSL *ssl);

/*
 * For callbacks of OpenSSL: keeps why the handshake ends. The first one counts. With a NULL format
 * the present detail is kept. Returns code.
 */
int thi_tls_link_fail(thi_tls_link *link, int code, const char *format, ...) TH_PRINTF(3, 4);

/*
 * For the engine: says why a call on the SSL failed. Called right after one that ended with
 * SSL_ERROR_SSL, with the queue as OpenSSL left it; empties the queue. Returns, each with `doing`
 * ("handshake with db.example") and a colon before its words:
 *  - what a callback has failed with;
 *  - TH_ETLS "certificate of db.example expired on 2026-01-02; chain: db.example <- R3 <- X1";
 *  - TH_ETLS "the peer sent the alert 'unknown ca'";
 *  - TH_ETLS "the peer speaks HTTP, not TLS";
 *  - TH_ETLS and OpenSSL's reason; -ENOMEM.
 */
int thi_tls_link_failure(thi_tls_link *link, const char *doing);

/*
 * In peer_info.c: fills in what the SSL knows; what is not known before the handshake is `done`
 * is absent. 0; -EINVAL for an info of another size.
 */
TH_MUST int thi_tls_link_info(const thi_tls_link *link, bool done, th_tls_info *info);

/* The name of an alert in plain words, "unknown ca"; never NULL. */
const char *thi_tls_alert_name(int number);

/* How OpenSSL is told whom to verify: SSL_VERIFY_*. */
int thi_tls_verify_mode(int client_auth);

#endif
