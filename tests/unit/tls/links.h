/* SPDX-License-Identifier: MIT */

/* Two connections that shake hands in memory, one step of OpenSSL at a time. */
#ifndef THI_TEST_TLS_LINKS_H
#define THI_TEST_TLS_LINKS_H

#include "issue.h"

#include "tls/link.h"

#include <thrum/tls.h>

#include <errno.h>
#include <openssl/err.h>

typedef struct side {
    thi_tls_link link;
    int result;      /* of the handshake: 1 while it goes on, 0 when it is complete, a failure */
    char words[300]; /* the detail of a failure */
} side;

typedef struct pair {
    side client, server;
} pair;

static inline void open_side(side *s, th_tls *tls, bool server, const thi_tls_link_opts *opts)
{
    thi_tls_config *config = thi_tls_config_of(tls);
    int err = thi_tls_link_open(&s->link, config, server, opts ? opts : &(thi_tls_link_opts){ 0 });
    thi_tls_config_unref(config);
    ck_assert_msg(err == 0, "%s: %s", th_errname(err), th_err_detail());
    s->result = 1;
    s->words[0] = '\0';
}

static inline void open_pair(pair *p, th_tls *server, const thi_tls_link_opts *server_opts,
                             th_tls *client, const thi_tls_link_opts *client_opts)
{
    BIO *one, *other;
    open_side(&p->server, server, true, server_opts);
    open_side(&p->client, client, false, client_opts);
    ck_assert_int_eq(BIO_new_bio_pair(&one, 65536, &other, 65536), 1);
    SSL_set_bio(p->server.link.ssl, one, one);
    SSL_set_bio(p->client.link.ssl, other, other);
}

static inline void step(side *s)
{
    if (s->result != 1)
        return;
    ERR_clear_error();
    int answer = SSL_do_handshake(s->link.ssl);
    int error = SSL_get_error(s->link.ssl, answer);
    if (answer == 1) {
        s->result = 0;
    } else if (error == SSL_ERROR_SSL) {
        s->result = thi_tls_link_failure(&s->link, "handshake");
        snprintf(s->words, sizeof s->words, "%s", th_err_detail());
    }
}

static inline void shake(pair *p)
{
    for (int i = 0; i < 20; i++) {
        step(&p->client);
        step(&p->server);
    }
}

/* What a side says when it reads: 0 for nothing yet; of 1.3, refusals come so late. */
static inline int read_side(side *s, char *buf, int size)
{
    ERR_clear_error();
    int n = SSL_read(s->link.ssl, buf, size);
    if (n > 0)
        return n;
    if (SSL_get_error(s->link.ssl, n) != SSL_ERROR_SSL)
        return 0;
    s->result = thi_tls_link_failure(&s->link, "read");
    snprintf(s->words, sizeof s->words, "%s", th_err_detail());
    return s->result;
}

static inline void close_pair(pair *p)
{
    thi_tls_link_close(&p->server.link);
    thi_tls_link_close(&p->client.link);
}

/* One handshake; what both said is left in p, which is closed. */
static inline void try_pair(pair *p, th_tls *server, th_tls *client, const char *name)
{
    thi_tls_link_opts opts = { .name = name };
    char buf[16];
    open_pair(p, server, NULL, client, &opts);
    shake(p);
    if (p->client.result == 0)
        (void)!read_side(&p->client, buf, sizeof buf);
}

#define EXPECT_DONE(p)                                                                             \
    do {                                                                                           \
        ck_assert_msg((p)->server.result == 0, "server: %s", (p)->server.words);                   \
        ck_assert_msg((p)->client.result == 0, "client: %s", (p)->client.words);                   \
    } while (0)

#define EXPECT_WORDS(s, text)                                                                      \
    ck_assert_msg(strstr((s)->words, text) != NULL, "'%s' is not in '%s' (%s)", text, (s)->words,  \
                  th_errname((s)->result))

/* A context that has to come about. */
static inline th_tls *new_tls(th_tls_opts opts)
{
    th_tls *tls = NULL;
    int err = th_tls_new(&opts, &tls);
    ck_assert_msg(err == 0, "%s: %s", th_errname(err), th_err_detail());
    return tls;
}

/* A context that must not. */
#define EXPECT_REFUSED(code, text, ...)                                                            \
    do {                                                                                           \
        th_tls *none_ = NULL;                                                                      \
        th_tls_opts opts_ = __VA_ARGS__;                                                           \
        int err_ = th_tls_new(&opts_, &none_);                                                     \
        ck_assert_msg(err_ == (code), "%s: %s", th_errname(err_), th_err_detail());                \
        ck_assert_msg(strstr(th_err_detail(), text) != NULL, "'%s' is not in '%s'", text,          \
                      th_err_detail());                                                            \
        ck_assert_ptr_null(none_);                                                                 \
        ck_assert_uint_eq(ERR_peek_error(), 0);                                                    \
    } while (0)

/* A certificate and its key, in memory. */
static inline th_tls_cert cert_of(const issued *made)
{
    char *both = joined(PEM_OF(made->cert), pem_of_key(made->key, NULL, 0));
    return (th_tls_cert){ .cert_pem = th_str_of(both) };
}

static inline th_tls *new_server(const issued *made, th_tls_opts opts)
{
    th_tls_cert cert = cert_of(made);
    opts.certs = &cert;
    opts.certs_count = 1;
    return new_tls(opts);
}

static inline th_tls *new_client(const issued *authority, th_tls_opts opts)
{
    opts.trust.memory = th_str_of(PEM_OF(authority->cert));
    return new_tls(opts);
}

#endif
