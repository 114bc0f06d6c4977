/* SPDX-License-Identifier: MIT */

/* Echo over TCP and UDP by dispatchers: no fiber for each connection, functions that are called. */
#include <thrum.h>

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

enum { WAITING = 64 * 1024 }; /* who has so much to be sent is not read from */

/* ---- TCP ---- */

/* A client that does not read is not read from: it makes no memory grow. */
static int on_read(th_dispatcher *d, void *arg)
{
    char buf[16 * 1024];
    (void)arg;
    ssize_t n = th_dispatcher_recv(d, buf, sizeof buf);
    int err = n > 0 ? th_dispatcher_push(d, buf, (size_t)n) : (int)n;
    if (err < 0 || th_dispatcher_pending(d) <= WAITING)
        return err;
    return th_dispatcher_set_gates(d, false, false);
}

static int on_drained(th_dispatcher *d, void *arg)
{
    (void)arg;
    return th_dispatcher_set_gates(d, true, false);
}

/* The end of what the client sends: what it has yet to get is sent first. */
static int on_close(th_dispatcher *d, void *arg)
{
    (void)arg;
    return th_dispatcher_close_when_done(d);
}

static int on_accepted(th_dispatcher *listener, void *arg, int fd, const th_addr *peer)
{
    static const th_dispatcher_ops ops = {
        .name = "echo", .read = on_read, .drained = on_drained, .close = on_close
    };
    th_dispatcher *d;
    (void)arg;
    (void)peer;
    int err = th_dispatcher_new(&ops, NULL, th_dispatcher_map(listener), &d);
    return err < 0 ? err : th_dispatcher_attach(d, fd, 0);
}

/* ---- UDP ---- */

static int on_datagram(th_dispatcher *d, void *arg)
{
    char buf[16 * 1024];
    th_addr from;
    ssize_t n;
    (void)arg;
    while ((n = th_dispatcher_recv_from(d, buf, sizeof buf, &from)) >= 0)
        if ((n = th_dispatcher_send_to(d, buf, (size_t)n, &from)) < 0)
            break;
    return (int)n; /* -EAGAIN: that was all */
}

/* ---- both ---- */

static int start(const char *address)
{
    static const th_dispatcher_ops tcp = { .name = "tcp", .accepted = on_accepted };
    static const th_dispatcher_ops udp = { .name = "udp", .read = on_datagram };
    th_dispatcher *d;
    th_addr addr;
    char text[TH_ADDR_TEXT];
    int err = th_dispatcher_new(&tcp, NULL, NULL, &d);
    if (err == 0)
        err = th_dispatcher_bind(d, address);
    if (err == 0)
        err = th_dispatcher_listen(d, 0);
    if (err < 0)
        return err;
    th_dispatcher_addr(d, &addr);
    th_addr_format(&addr, text, sizeof text);
    if (addr.kind != TH_ADDR_UNIX) {
        err = th_dispatcher_new(&udp, NULL, NULL, &d);
        if (err == 0)
            err =
                th_dispatcher_create(d, addr.kind == TH_ADDR_IP6 ? AF_INET6 : AF_INET, SOCK_DGRAM);
        if (err == 0)
            err = th_dispatcher_bind(d, text); /* the same port */
    }
    if (err < 0)
        return err;
    printf("listening on %s\n", text);
    fflush(stdout);
    return 0;
}

static int app(int argc, char **argv)
{
    int err = start(argc > 1 ? argv[1] : "127.0.0.1:7000");
    if (err == 0)
        err = th_dispatch_map_loop(NULL, TH_NEVER, -1);
    th_dispatch_map_close_all(NULL);
    return err == -ECANCELED ? 0 : err; /* SIGTERM */
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, &(th_run_opts){ .workers = 1 });
}
