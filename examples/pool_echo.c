/* SPDX-License-Identifier: MIT */

/*
 * Echo over TCP and UDP whose answers are made on threads: for work that blocks or computes for
 * long, which no fiber should do itself.
 *
 * pool_echo [TCP-ADDRESS [UDP-ADDRESS]]
 *
 * The fibers move bytes, and are parked while a thread of the pool is at it; other connections are
 * served meanwhile, and no more threads are busy than the pool has.
 */
#include <thrum.h>

#include <stdio.h>
#include <string.h>

typedef struct message {
    char said[4096];
    char answer[4096];
    size_t size;
} message;

/* On a thread: it might as well ask a database, compress, or sleep. */
static int make_answer(void *arg)
{
    message *m = arg;
    memcpy(m->answer, m->said, m->size);
    return 0;
}

static int serve_stream(th_stream *stream, void *arg)
{
    message m;
    ssize_t n;
    while ((n = th_stream_read(stream, m.said, sizeof m.said)) > 0) {
        m.size = (size_t)n;
        n = th_offload(arg, make_answer, &m);
        if (n == 0)
            n = th_stream_write(stream, m.answer, m.size);
        if (n < 0)
            break;
    }
    return (int)n;
}

static int serve_datagrams(th_udp *udp, void *arg)
{
    message m;
    th_addr from;
    ssize_t n;
    while ((n = th_udp_recv(udp, m.said, sizeof m.said, &from, NULL)) >= 0) {
        m.size = (size_t)n;
        n = th_offload(arg, make_answer, &m);
        if (n < 0)
            break;
        (void)th_udp_send(udp, m.answer, m.size, &from); /* what is lost is lost */
    }
    return (int)n;
}

static void tell(const char *what, const th_addr *addr)
{
    char text[TH_ADDR_TEXT];
    printf("%s on %s\n", what, th_addr_format(addr, text, sizeof text));
    fflush(stdout);
}

static void listening(const th_addr *addr, void *arg)
{
    (void)arg;
    tell("listening", addr);
}

static void receiving(const th_addr *addr, void *arg)
{
    (void)arg;
    tell("receiving", addr);
}

typedef struct service {
    th_pool *pool;
    const char *address;
} service;

static int serve_tcp(void *arg)
{
    service *s = arg;
    return th_serve(s->address, serve_stream, s->pool, &(th_serve_opts){ .listening = listening });
}

static int app(int argc, char **argv)
{
    service tcp = { .address = argc > 1 ? argv[1] : "127.0.0.1:7000" };
    const char *udp = argc > 2 ? argv[2] : "udp://127.0.0.1:7000";
    th_scope scope;
    int err = th_pool_new(&(th_pool_opts){ .name = "answers", .threads_max = 4 }, &tcp.pool);
    if (err < 0)
        return err;
    err = th_scope_open(&scope, NULL);
    if (err == 0) {
        err = th_spawn(&scope, serve_tcp, &tcp);
        if (err == 0)
            err = th_udp_serve(udp, serve_datagrams, tcp.pool,
                               &(th_udp_serve_opts){ .listening = receiving });
        if (err < 0)
            th_scope_cancel(&scope, err);
        int other = th_scope_close(&scope);
        err = err < 0 ? err : other;
    }
    (void)th_pool_free(tcp.pool);
    return err;
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
