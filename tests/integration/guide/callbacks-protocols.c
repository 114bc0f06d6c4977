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

static int run_all(void *arg)
{
    *(int *)arg = run_services();
    return 0;
}

static int app(void *arg)
{
    th_scope scope;
    int result = 77;
    (void)arg;
    CHECK(th_scope_open(&scope, NULL) == 0);
    CHECK(th_spawn(&scope, run_all, &result) == 0);
    CHECK(th_spawn(&scope, serve_works, "127.0.0.1:7008") == 0);
    CHECK(th_sleep(TH_SECOND) == 0);
    CHECK(ask_both() == 0);
    CHECK(ask_datagrams() == 0);
    CHECK(th_stop() == 0);
    th_scope_close(&scope);
    CHECK(result == 0);
    CHECK(strcmp(diary, "open;closed;") == 0);
    return 0;
}

int main(void)
{
    th_sim_result result;
    int err = th_sim_run(app, NULL, &(th_sim_opts){ .seed = 1, .workers = 2 }, &result);
    if (err < 0 || result.open_descriptors > 0)
        printf("%s %s, %zu descriptors open\n", th_errname(err), th_err_detail(),
               result.open_descriptors);
    return err < 0;
}
