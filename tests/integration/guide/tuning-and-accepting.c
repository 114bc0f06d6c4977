/* SPDX-License-Identifier: MIT */

/* Runs the fragments of docs/guide/tuning-and-accepting.md, in a simulation. */
#include <thrum.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            return -EINVAL;                                                                        \
        }                                                                                          \
    } while (0)

#include "options.inc"
#include "info.inc"

/* Tells each client who it is. */
static int greet(th_stream *stream, void *arg)
{
    char text[TH_ADDR_TEXT];
    th_addr peer;
    (void)arg;
    CHECK(th_stream_peer(stream, &peer) == 0);
    (void)th_addr_format(&peer, text, sizeof text);
    return (int)th_stream_write(stream, text, strlen(text));
}

#include "proxied.inc"
#include "announce.inc"

static int serve(void *arg)
{
    (void)arg;
    return serve_behind_proxies();
}

static int check_options(th_stream *stream)
{
    char text[200];
    th_tune tune;
    CHECK(make_watchful(stream) == 0);
    CHECK(th_stream_tuning(stream, &tune) == 0);
    CHECK(tune.keepalive_interval == 10 * TH_SECOND && tune.user_timeout == 2 * TH_MINUTE);
    CHECK(make_as_configured(stream, "keepalive=70/10/5,user_timeout=3m") == 0);
    CHECK(th_stream_tuning(stream, &tune) == 0);
    CHECK(tune.keepalive_idle == 70 * TH_SECOND && tune.user_timeout == 3 * TH_MINUTE);
    CHECK(make_as_configured(stream, "keepalives=on") == -ENOPROTOOPT);
    CHECK(describe(stream, text, sizeof text) == 0 && strstr(text, "cwnd"));
    return 0;
}

/* A client of a server of the test's own, for whom the guide's function dials the next one. */
static int be_proxy(th_stream *client, void *arg)
{
    char text[TH_ADDR_TEXT] = "";
    char own[TH_ADDR_TEXT];
    th_addr peer;
    th_stream *next;
    (void)arg;
    CHECK(check_options(client) == 0);
    CHECK(th_stream_peer(client, &peer) == 0);
    CHECK(dial_for(client, "127.0.0.1:7000", &next) == 0);
    CHECK(th_stream_read(next, text, sizeof text - 1) > 0);
    th_stream_free(next);
    CHECK(strcmp(text, th_addr_format(&peer, own, sizeof own)) == 0);
    return (int)th_stream_write(client, "well", 4);
}

static int serve_proxy(void *arg)
{
    return th_serve_on((th_listener *const *)arg, 1, be_proxy, NULL, NULL);
}

static int app(void *arg)
{
    char buf[8];
    char text[TH_ADDR_TEXT];
    th_addr addr;
    th_listener *listener;
    th_stream *stream;
    (void)arg;
    CHECK(th_listen("127.0.0.1:0", NULL, &listener) == 0);
    th_listener_addr(listener, &addr);
    CHECK(th_spawn(th_scope_root(), serve, NULL) == 0);
    CHECK(th_spawn(th_scope_root(), serve_proxy, &listener) == 0);
    CHECK(th_sleep(50 * TH_MILLISECOND) == 0);
    CHECK(th_dial(th_addr_format(&addr, text, sizeof text), NULL, &stream) == 0);
    CHECK(th_stream_read_all(stream, buf, 4) == 4 && memcmp(buf, "well", 4) == 0);
    th_stream_free(stream);
    th_stop();
    th_listener_close(listener);
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
