/* SPDX-License-Identifier: MIT */

/*
 * Forwards connections to another server, and tells it who the client is by a PROXY header.
 *
 *     announce LISTEN NEXT [VERSION]      VERSION of the header: 1 or 2
 *
 * With PROXY_FROM in the environment, a list of networks, it believes what proxies from there say
 * of their clients, and hands that on.
 */
#include <thrum.h>

#include <stdio.h>
#include <stdlib.h>

typedef struct settings {
    const char *listen;
    const char *next;
    int version;
} settings;

/* One direction of a connection; its end is told to the other side. */
typedef struct direction {
    th_stream *from;
    th_stream *to;
} direction;

static int copy(void *arg)
{
    direction *d = arg;
    char buf[16384];
    ssize_t n;
    while ((n = th_stream_read(d->from, buf, sizeof buf)) > 0)
        if ((n = th_stream_write(d->to, buf, (size_t)n)) < 0)
            return (int)n;
    (void)th_stream_shutdown(d->to);
    return n == TH_EOF ? 0 : (int)n;
}

/* Both directions at once; when one fails, the other is given up as well. */
static int relay(th_stream *a, th_stream *b)
{
    th_scope scope;
    direction there = { a, b };
    direction back = { b, a };
    int err = th_scope_open(&scope, &(th_scope_opts){ .cancel_rest = 1 });
    if (err < 0)
        return err;
    err = th_spawn(&scope, copy, &there);
    if (err == 0)
        err = copy(&back);
    if (err < 0)
        (void)th_scope_cancel(&scope, err);
    int ended = th_scope_close(&scope);
    return err < 0 ? err : ended;
}

static int forward(th_stream *client, void *arg)
{
    const settings *s = arg;
    th_stream *next;
    th_proxied header;
    int err = th_proxied_of(client, &header);
    if (err < 0)
        return err;
    header.version = s->version;
    err = th_dial(s->next, &(th_dial_opts){ .proxied = &header }, &next);
    if (err < 0)
        return err;
    err = relay(client, next);
    th_stream_free(next);
    return err;
}

static void listening(const th_addr *addr, void *arg)
{
    char text[TH_ADDR_TEXT];
    (void)arg;
    printf("listening on %s\n", th_addr_format(addr, text, sizeof text));
    fflush(stdout);
}

static int app(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: announce LISTEN NEXT [VERSION]\n");
        return 2;
    }
    settings s = { argv[1], argv[2], argc > 3 ? atoi(argv[3]) : 2 };
    const char *from = getenv("PROXY_FROM");
    th_listen_opts how = { .proxy_protocol = from ? TH_PROXY_OPTIONAL : TH_PROXY_NONE,
                           .proxy_from = from,
                           .tune = "latency" };
    th_serve_opts opts = { .listening = listening, .listen = &how };
    return th_serve(s.listen, forward, &s, &opts);
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
