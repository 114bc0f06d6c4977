/* SPDX-License-Identifier: MIT */

/* Runs the fragments of docs/guide/datagrams.md. */
#include <thrum.h>

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            return -EINVAL;                                                                        \
        }                                                                                          \
    } while (0)

#include "echo_batches.inc"
#include "groups.inc"

static char address[TH_ADDR_TEXT];

static int ask(const char *question, char *buf, size_t size)
{
    th_udp *udp;
    CHECK(th_udp_dial(address, NULL, &udp) == 0);
    CHECK(th_udp_send(udp, question, strlen(question), NULL) == 0);
    ssize_t n = th_udp_recv(udp, buf, size, NULL, NULL);
    th_udp_free(udp);
    return (int)n;
}

static void listening(const th_addr *addr, void *arg)
{
    (void)arg;
    th_addr_format(addr, address, sizeof address);
}

static int serve(void *arg)
{
    th_udp_serve_opts opts = { .listening = listening };
    (void)arg;
    return th_udp_serve("127.0.0.1:0", echo_batches, NULL, &opts);
}

static int app(int argc, char **argv)
{
    char buf[64] = "";
    th_scope scope;
    (void)argc;
    (void)argv;
    CHECK(th_scope_open(&scope, NULL) == 0);
    CHECK(th_spawn(&scope, serve, NULL) == 0);
    while (!address[0])
        CHECK(th_yield() == 0);
    CHECK(ask("well?", buf, sizeof buf) == 5);
    CHECK(strcmp(buf, "well?") == 0);
    CHECK(speak_to_group(buf, sizeof buf) == 5);
    CHECK(strcmp(buf, "hello") == 0);
    CHECK(th_stop() == 0);
    return th_scope_close(&scope);
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
