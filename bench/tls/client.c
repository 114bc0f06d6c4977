/* SPDX-License-Identifier: MIT */

/*
 * Connections of the TLS load client, on OpenSSL alone: the same client for every server.
 *
 * A handshake counts when the server has ended it, too: the client says goodbye right behind its
 * Finished and waits for the end of the stream. A client that leaves at its own Finished would
 * spare servers the tickets, and the reading of that message, by as much as they are slow.
 */
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TICKET_SECONDS = 5 };

static int open_socket(const struct tls_run *run, int flags)
{
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_port = htons(run->o->port),
                                    .sin_addr = { htonl(INADDR_LOOPBACK) } };
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        connect(fd, (const struct sockaddr *)&to, sizeof to) != 0 ||
        fcntl(fd, F_SETFL, flags) != 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    return fd;
}

int tls_conn_open(const struct tls_run *run, struct tls_conn *c)
{
    /* Once for everything: the first event, that there is room, begins the handshake. */
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                 .data.ptr = c };
    char *carry = c->state.carry;

    c->state = (struct load_conn){ .fd = open_socket(run, O_NONBLOCK), .carry = carry };
    if (c->state.fd < 0)
        return c->state.fd;
    c->phase = TLS_SHAKING;
    c->ssl = SSL_new(run->ctx);
    if (c->ssl == NULL || SSL_set_fd(c->ssl, c->state.fd) != 1)
        return -ENOMEM;
    if (run->session != NULL && SSL_set_session(c->ssl, run->session) != 1)
        return -EINVAL;
    SSL_set_connect_state(c->ssl);
    return epoll_ctl(run->epoll, EPOLL_CTL_ADD, c->state.fd, &event) == 0 ? 0 : -errno;
}

void tls_conn_close(struct tls_conn *c)
{
    const struct linger reset = { .l_onoff = 1, .l_linger = 0 };

    if (c->ssl != NULL) {
        /* Without that, the session that it shares would be marked as one not to go on with. */
        SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(c->ssl);
    }
    c->ssl = NULL;
    if (c->state.fd >= 0) {
        (void)setsockopt(c->state.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(c->state.fd);
    }
    c->state.fd = -1;
    c->phase = TLS_CLOSED;
}

static enum tls_outcome failed(enum load_error *error, enum load_error what)
{
    *error = what;
    return TLS_FAILED;
}

/* What a result below 1 means: to wait, or an error. */
static enum tls_outcome not_now(const struct tls_conn *c, int result, enum load_error *error)
{
    switch (SSL_get_error(c->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return TLS_PENDING;
    case SSL_ERROR_ZERO_RETURN:
        return failed(error, LOAD_CLOSED);
    case SSL_ERROR_SYSCALL:
        return failed(error, LOAD_IO);
    default:
        return failed(error, LOAD_PROTOCOL);
    }
}

/* After the goodbye: the end of the stream, however the server puts it. */
static enum tls_outcome part(const struct tls_run *run, struct tls_conn *c, enum load_error *error)
{
    ssize_t n;

    while ((n = recv(c->state.fd, run->buffer, TLS_READ_SIZE, MSG_DONTWAIT)) > 0)
        continue;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return TLS_PENDING;
    if (n == 0 || errno == ECONNRESET)
        return TLS_DONE;
    return failed(error, LOAD_IO);
}

static enum tls_outcome shake(const struct tls_run *run, struct tls_conn *c, enum load_error *error)
{
    int result = SSL_do_handshake(c->ssl);

    if (result != 1)
        return not_now(c, result, error);
    if (run->mode == TLS_RESUMED && !SSL_session_reused(c->ssl))
        return failed(error, LOAD_STATUS);
    if (run->mode == TLS_HTTP) {
        c->phase = TLS_IDLE;
        return TLS_READY;
    }
    c->phase = TLS_PARTING;
    if (SSL_shutdown(c->ssl) < 0)
        return failed(error, LOAD_IO);
    (void)shutdown(c->state.fd, SHUT_WR);
    return part(run, c, error);
}

enum tls_outcome tls_conn_ask(const struct tls_run *run, struct tls_conn *c, enum load_error *error)
{
    int result = SSL_write(c->ssl, run->p.requests, (int)run->p.request_size);

    c->phase = TLS_WAITING;
    return result > 0 ? TLS_PENDING : not_now(c, result, error);
}

/* Reads all that is there; an answer must end what was read, for one request is under way. */
static enum tls_outcome receive(const struct tls_run *run, struct tls_conn *c,
                                enum load_error *error)
{
    struct load_conn *s = &c->state;
    unsigned answers = 0;

    for (;;) {
        if (s->carry_size > 0)
            memcpy(run->buffer, s->carry, s->carry_size);
        int n = SSL_read(c->ssl, run->buffer + s->carry_size, TLS_READ_SIZE);
        if (n <= 0)
            return not_now(c, n, error);
        run->r->bytes += (uint64_t)n;
        ssize_t left = run->p.consume(&run->p, s, run->buffer, s->carry_size + (size_t)n, &answers);
        if (left < 0 || answers > 1 || (answers == 1 && left > 0))
            return failed(error, left < 0 ? (enum load_error)(-1 - left) : LOAD_PROTOCOL);
        memcpy(s->carry, run->buffer + s->carry_size + (size_t)n - (size_t)left, (size_t)left);
        s->carry_size = (uint32_t)left;
        if (answers == 1) {
            c->phase = TLS_IDLE;
            return TLS_DONE;
        }
    }
}

enum tls_outcome tls_conn_go_on(const struct tls_run *run, struct tls_conn *c,
                                enum load_error *error)
{
    ERR_clear_error();
    switch (c->phase) {
    case TLS_SHAKING:
        return shake(run, c, error);
    case TLS_PARTING:
        return part(run, c, error);
    case TLS_WAITING:
        return receive(run, c, error);
    default: /* idle: nothing but tickets may come */
        if (SSL_peek(c->ssl, run->buffer, 1) > 0)
            return failed(error, LOAD_PROTOCOL);
        return not_now(c, -1, error);
    }
}

/* ---- the ticket ---- */

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_run *run = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    if (run->session != NULL)
        return 0;
    run->session = session;
    return 1;
}

/* Handshake, request and one read of the answer: the ticket comes before that. */
static int ask_once(const struct tls_run *run, SSL *ssl, int fd)
{
    const struct timeval limit = { .tv_sec = TICKET_SECONDS };

    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
        SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1 ||
        SSL_write(ssl, run->p.requests, (int)run->p.request_size) <= 0 ||
        SSL_read(ssl, run->buffer, TLS_READ_SIZE) <= 0)
        return -EPROTO;
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    return run->session != NULL ? 0 : -ENOENT;
}

int tls_take_ticket(struct tls_run *run)
{
    int fd = open_socket(run, 0);
    if (fd < 0)
        return fd;
    SSL_CTX_set_app_data(run->ctx, run);
    SSL_CTX_set_session_cache_mode(run->ctx,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(run->ctx, keep_session);
    SSL *ssl = SSL_new(run->ctx);
    int err = ssl != NULL ? ask_once(run, ssl, fd) : -ENOMEM;
    SSL_free(ssl);
    close(fd);
    SSL_CTX_sess_set_new_cb(run->ctx, NULL);
    SSL_CTX_set_session_cache_mode(run->ctx, SSL_SESS_CACHE_OFF);
    return err;
}
