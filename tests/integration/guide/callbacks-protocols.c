/* SPDX-License-Identifier: MIT */

/* Runs the fragments of docs/guide/callbacks-protocols.md, in a simulation. */
#include <thrum.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            return -EINVAL;                                                                        \
        }                                                                                          \
    } while (0)

#include "echo.inc"
#include "spawn.inc"
#include "await.inc"
#include "datagrams.inc"
#include "services.inc"
#include "starttls.inc"

static int make_work(th_transport *transport, void *arg)
{
    static const th_protocol protocol = { .data_received = work_received };
    return th_transport_set_protocol(transport, &protocol, arg);
}

static int serve_works(void *address)
{
    return th_protocol_serve(address, make_work, NULL, NULL);
}

static int ask_both(void)
{
    request r = { .answer = "" };
    request q = { .answer = "" };
    request none = { .answer = "" };
    CHECK(ask("127.0.0.1:7008", &r) == 0);
    CHECK(strncmp(r.answer, "done\n", 5) == 0); /* once for each piece of the question */
    CHECK(ask("127.0.0.1:7007", &q) == 0);
    CHECK(strcmp(q.answer, "question\n") == 0);
    CHECK(ask("127.0.0.1:7009", &none) == -ECONNREFUSED);
    return 0;
}

static int ask_datagrams(void)
{
    th_scope scope;
    th_addr addr;
    char text[TH_ADDR_TEXT];
    char got[16];
    th_udp *udp;
    CHECK(th_scope_open(&scope, NULL) == 0);
    CHECK(open_datagrams("udp://127.0.0.1:0", &addr) == 0);
    CHECK(th_udp_dial(th_addr_format(&addr, text, sizeof text), NULL, &udp) == 0);
    for (int i = 0;; i++) { /* the network of a simulation loses some */
        th_scope patient;
        CHECK(th_udp_send(udp, "warp", 4, NULL) == 0);
        CHECK(th_scope_open(&patient, &(th_scope_opts){ .deadline = th_after(TH_SECOND) }) == 0);
        ssize_t n = th_udp_recv(udp, got, sizeof got, NULL, NULL);
        th_scope_close(&patient);
        if (n == 4)
            break;
        CHECK(n == -ETIMEDOUT && i < 100);
    }
    th_udp_free(udp);
    th_scope_cancel(&scope, 0);
    th_scope_close(&scope);
    return 0;
}

static int make_starttls(th_transport *transport, void *tls)
{
    static const th_protocol protocol = { .data_received = line_received };
    return th_transport_set_protocol(transport, &protocol, tls);
}

static int serve_starttls(void *tls)
{
    return th_protocol_serve("127.0.0.1:7010", make_starttls, tls, NULL);
}

/* A certificate of its own making, in which nobody else believes. */
static int make_context(th_tls **tls)
{
    th_cert_alt name = { .kind = TH_ALT_DNS, .value = TH_STR("localhost") };
    th_key *key;
    th_cert *cert;
    CHECK(th_key_new("ec", &key) == 0);
    CHECK(th_cert_self_sign(key, &(th_cert_opts){ .alts = &name, .alts_count = 1 }, &cert) == 0);
    th_arena arena;
    th_arena_init(&arena, NULL, 0, 0);
    th_tls_cert own = { .cert = NULL };
    CHECK(th_cert_pem(cert, &arena, &own.cert_pem) == 0);
    CHECK(th_key_pem(key, NULL, &arena, &own.key_pem) == 0);
    th_tls_opts opts = { .certs = &own, .certs_count = 1, .insecure_no_verification = 1 };
    CHECK(th_tls_new(&opts, tls) == 0);
    th_arena_deinit(&arena);
    th_cert_unref(cert);
    th_key_unref(key);
    return 0;
}

static int ask_starttls(th_tls *tls)
{
    th_stream *plain, *safe;
    char got[32] = "";
    CHECK(th_dial("127.0.0.1:7010", NULL, &plain) == 0);
    CHECK(th_stream_write(plain, "STARTTLS\n", 9) == 9);
    CHECK(th_stream_read_all(plain, got, 6) == 6);
    CHECK(strcmp(got, "go on\n") == 0);
    CHECK(th_tls_client(tls, plain, NULL, &safe) == 0);
    CHECK(th_stream_read_all(safe, got, 17) == 17);
    CHECK(strcmp(got, "hello, once more\n") == 0);
    th_stream_free(safe);
    return 0;
}

static int run_all(void *arg)
{
    *(int *)arg = run_services();
    return 0;
}

static int app(void *arg)
{
    th_scope scope;
    int result = 77;
    th_tls *tls;
    (void)arg;
    CHECK(make_context(&tls) == 0);
    CHECK(th_scope_open(&scope, NULL) == 0);
    CHECK(th_spawn(&scope, serve_starttls, tls) == 0);
    CHECK(th_spawn(&scope, run_all, &result) == 0);
    CHECK(th_spawn(&scope, serve_works, "127.0.0.1:7008") == 0);
    CHECK(th_sleep(TH_SECOND) == 0);
    CHECK(ask_both() == 0);
    CHECK(ask_datagrams() == 0);
    CHECK(ask_starttls(tls) == 0);
    CHECK(th_stop() == 0);
    th_scope_close(&scope);
    th_tls_unref(tls);
    CHECK(result == 0);
    CHECK(strcmp(diary, "open;closed;") == 0);
    return 0;
}

int main(void)
{
    th_sim_result result;
    /* A seed by which no line comes in pieces, which the fragments do not expect. */
    int err = th_sim_run(app, NULL, &(th_sim_opts){ .seed = 5, .workers = 2 }, &result);
    if (err < 0 || result.open_descriptors > 0)
        printf("%s %s, %zu descriptors open\n", th_errname(err), th_err_detail(),
               result.open_descriptors);
    return err < 0;
}
