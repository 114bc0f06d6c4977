/* SPDX-License-Identifier: MIT */

/* Runs the fragments of docs/guide/tls-connections.md. */
#include <thrum.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "starttls.inc"

#include "who.inc"

#include "whole.inc"

#include "kernel.inc"

#include "by_hand.inc"

static th_tls *server_tls, *client_tls;

/* A certificate that signed itself, a context that shows it, and one that trusts it. */
static int make_contexts(void)
{
    static const char *const protocols[] = { "smtp", NULL };
    th_cert_alt name = { TH_ALT_DNS, TH_STR("db.example") };
    th_cert_opts what = { .alts = &name, .alts_count = 1 };
    th_certs certs = { 0 };
    th_key *key = NULL;
    th_cert *cert = NULL;
    th_arena arena;
    th_str pem;
    th_arena_init(&arena, NULL, 0, SIZE_MAX);
    int err = th_key_new("ec", &key);
    if (err == 0)
        err = th_cert_self_sign(key, &what, &cert);
    if (err == 0)
        err = th_certs_add(&certs, cert);
    if (err == 0)
        err = th_cert_pem(cert, &arena, &pem);
    if (err == 0) {
        th_tls_cert own = { .cert_object = &certs, .key_object = key };
        th_tls_opts opts = { .certs = &own, .certs_count = 1, .alpn = protocols };
        err = th_tls_new(&opts, &server_tls);
    }
    if (err == 0)
        err = th_tls_new(&(th_tls_opts){ .trust = { .memory = pem }, .alpn = protocols },
                         &client_tls);
    th_certs_clear(&certs);
    th_cert_unref(cert);
    th_key_unref(key);
    th_arena_deinit(&arena);
    return err;
}

static int serve(void *arg)
{
    return greet(server_tls, arg);
}

/* The other side of greet(). */
static int ask(th_stream *plain)
{
    char buf[64];
    th_stream *safe;
    ssize_t n = th_stream_read_all(plain, buf, 6);
    if (n >= 0)
        n = th_stream_write(plain, "STARTTLS\n", 9);
    if (n >= 0)
        n = th_stream_read_all(plain, buf, 6);
    int err = n < 0 ? (int)n
                    : th_tls_client(client_tls, plain,
                                    &(th_tls_stream_opts){ .name = "db.example" }, &safe);
    if (err < 0) {
        th_stream_free(plain);
        return err;
    }
    n = read_whole(safe, buf, sizeof buf);
    if (n >= 0)
        printf("%.*s\n", (int)n, buf);
    err = n < 0 ? (int)n : say_who(safe);
    printf("encrypted by %s\n", who_encrypts(safe));
    th_stream_free(safe);
    return err;
}

static int talk(void)
{
    th_stream *ends[2];
    th_scope scope;
    int err = th_stream_pair(ends);
    if (err == 0)
        err = th_scope_open(&scope, NULL);
    if (err < 0)
        return err;
    err = th_spawn(&scope, serve, ends[0]);
    if (err == 0)
        err = ask(ends[1]);
    int closed = th_scope_close(&scope);
    return err < 0 ? err : closed;
}

static int shake_by_hand(int fd, int role)
{
    th_tls_engine *engine = NULL;
    th_tls_engine_opts opts = { .connection.name = role == TH_TLS_CLIENT ? "db.example" : NULL };
    int err =
        th_tls_engine_new(role == TH_TLS_CLIENT ? client_tls : server_tls, role, &opts, &engine);
    if (err == 0)
        err = shake(engine, fd);
    th_tls_engine_free(engine);
    return err;
}

static int be_server(void *arg)
{
    return shake_by_hand(*(int *)arg, TH_TLS_SERVER);
}

/* Two threads, each with an engine. */
static int talk_by_hand(void)
{
    int fds[2], result = -EPROTO;
    th_future *future;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        return -errno;
    int err = th_pool_submit(th_pool_default("default"), be_server, &fds[0], 0, &future);
    if (err == 0) {
        err = shake_by_hand(fds[1], TH_TLS_CLIENT);
        int waited = th_future_wait(future, &result);
        th_future_unref(future);
        err = err < 0 ? err : waited < 0 ? waited : result;
    }
    close(fds[0]);
    close(fds[1]);
    return err;
}

/* What has been printed is what the page is about. */
static int check_said(void)
{
    char text[512] = "";
    fflush(stdout);
    FILE *said = fopen("said", "r");
    size_t n = said ? fread(text, 1, sizeof text - 1, said) : 0;
    if (said)
        fclose(said);
    text[n] = '\0';
    return strstr(text, "nobody hears this\nTLSv1.3, ") &&
                   strstr(text, "asked for db.example, speaks smtp\nresumed: no\n"
                                "verified: yes, a chain of 1\n"
                                "encrypted by OpenSSL\n")
               ? 0
               : -EPROTO;
}

static int app(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    if (!freopen("said", "w", stdout))
        return -errno;
    int err = make_contexts();
    if (err == 0)
        err = talk();
    if (err == 0)
        err = check_said();
    if (err == 0)
        err = talk_by_hand();
    th_tls_unref(server_tls);
    th_tls_unref(client_tls);
    if (err < 0)
        fprintf(stderr, "%s: %s\n", th_errname(err), th_err_detail());
    return err;
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
