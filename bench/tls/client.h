/* SPDX-License-Identifier: MIT */

/* Connections of the TLS load client: what one does until its handshake, or its answer, is there.
 */
#ifndef BENCH_TLS_CLIENT_H
#define BENCH_TLS_CLIENT_H

#include "load/engine.h"

#include <openssl/ssl.h>

enum tls_mode {
    TLS_FULL,    /* handshakes from nothing, each on a connection of its own */
    TLS_RESUMED, /* handshakes by the ticket of an earlier connection */
    TLS_HTTP,    /* requests on connections that stay */
};

enum { TLS_READ_SIZE = 256 * 1024 };

/* What the connections of a run share. */
struct tls_run {
    const struct load_options *o;
    struct load_protocol p;
    struct load_result *r;
    enum tls_mode mode;
    SSL_CTX *ctx;
    SSL_SESSION *session; /* TLS_RESUMED: what a connection before the run was given */
    char *buffer;         /* LOAD_HEAD_MAX for what was carried over, then TLS_READ_SIZE */
    int epoll;
};

enum tls_phase { TLS_SHAKING, TLS_PARTING, TLS_IDLE, TLS_WAITING, TLS_CLOSED };

struct tls_conn {
    SSL *ssl;
    enum tls_phase phase;
    int64_t since;          /* when what is under way began, or was due */
    struct load_conn state; /* fd and how far the answer is read */
};

/* What came of an event. */
enum tls_outcome {
    TLS_PENDING, /* nothing yet */
    TLS_DONE,    /* the handshake, or the answer, is complete */
    TLS_READY,   /* TLS_HTTP: the handshake is made, a request may be sent */
    TLS_FAILED,  /* *error says why */
};

/* Opens a connection and begins its handshake. 0 or -errno. */
int tls_conn_open(const struct tls_run *run, struct tls_conn *c);

/* Sends one request on a connection that is ready or idle. */
enum tls_outcome tls_conn_ask(const struct tls_run *run, struct tls_conn *c,
                              enum load_error *error);

/* Goes on with whatever the connection is about. */
enum tls_outcome tls_conn_go_on(const struct tls_run *run, struct tls_conn *c,
                                enum load_error *error);

/* Closes it by a reset, so that no port stays in TIME_WAIT. */
void tls_conn_close(struct tls_conn *c);

/* Asks once on a connection of its own, waiting, and keeps the ticket. 0 or -errno. */
int tls_take_ticket(struct tls_run *run);

#endif
