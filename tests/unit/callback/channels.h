/* SPDX-License-Identifier: MIT */

/* Dispatchers that note what they are told, and peers that are bare descriptors. */
#ifndef THI_TEST_CHANNELS_H
#define THI_TEST_CHANNELS_H

#include "runtime/in_fiber.h"

#include "net/addr.h"
#include "sys/sys.h"

#include <thrum/chat.h>
#include <thrum/dispatcher.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* Where a test listens; the port is free, the abstract name is this process' own. */
static inline const char *address_of(int family)
{
    static char text[64];
    if (family == AF_INET)
        return "127.0.0.1:0";
    if (family == AF_INET6)
        return "[::1]:0";
    snprintf(text, sizeof text, "unix:@thrum-callback-%d", (int)getpid());
    return text;
}

static const int families[] = { AF_INET, AF_INET6, AF_UNIX };

/* A body that is run for each of them. */
#define each_family(family)                                                                        \
    for (size_t family##_at = 0, family##_end = thi_array_len(families);                           \
         family##_at < family##_end; family##_at++)                                                \
        for (int family = families[family##_at], family##_once = 1; family##_once;                 \
             family##_once = 0)

/* What a channel does when it is told something, and what it was told: c(onnect), a(ccepted),
 * r(ead), w(rite), x (urgent), z (closed), e(rror), d(rained), R(eleased). */
typedef struct channel {
    th_dispatcher *d;
    char told[64];
    char got[256]; /* read, as far as there is room */
    size_t got_len;
    ssize_t last;    /* result of the last receive */
    size_t step;     /* reads at most so many bytes; 0: all there is room for */
    bool reads_not;  /* leaves what is there */
    bool keeps_open; /* does not close when it is told to */
    bool writable;   /* the gate of `gated` */
    bool readable;
    char fails_in; /* the event whose handler returns `result` */
    int result;
    int err;        /* what `error` was told */
    unsigned asked; /* gates: how often */
    unsigned asked_w;
    int accepted; /* the last descriptor */
    th_addr peer;
    void (*act)(struct channel *c, char event);
    char log[256];
    unsigned logged;
    th_log_level level;
} channel;

static inline int tell(channel *c, char event)
{
    size_t len = strlen(c->told);
    if (len < sizeof c->told - 1)
        c->told[len] = event;
    if (c->act)
        c->act(c, event);
    return c->fails_in == event ? c->result : 0;
}

static int on_connect(th_dispatcher *d, void *arg)
{
    channel *c = arg;
    ck_assert_uint_eq(th_dispatcher_state(d) & TH_DISPATCHER_CONNECTED, 0);
    return tell(c, 'c');
}

static int on_accepted(th_dispatcher *d, void *arg, int fd, const th_addr *peer)
{
    channel *c = arg;
    (void)d;
    c->accepted = fd;
    c->peer = *peer;
    return tell(c, 'a');
}

static int on_read(th_dispatcher *d, void *arg)
{
    channel *c = arg;
    char buf[256];
    if (!c->reads_not) {
        size_t size = c->step ? c->step : sizeof buf;
        c->last = th_dispatcher_recv(d, buf, size);
        if (c->last > 0) {
            size_t n = thi_min((size_t)c->last, sizeof c->got - 1 - c->got_len);
            memcpy(c->got + c->got_len, buf, n);
            c->got_len += n;
        }
    }
    return tell(c, 'r');
}

static int on_write(th_dispatcher *d, void *arg)
{
    (void)d;
    return tell(arg, 'w');
}

static int on_expt(th_dispatcher *d, void *arg)
{
    (void)d;
    return tell(arg, 'x');
}

static int on_close(th_dispatcher *d, void *arg)
{
    channel *c = arg;
    int result = tell(c, 'z');
    if (!c->keeps_open)
        ck_assert_int_eq(th_dispatcher_close(d), 0);
    return result;
}

static int on_error(th_dispatcher *d, void *arg, int err)
{
    channel *c = arg;
    (void)d;
    c->err = err;
    return tell(c, 'e');
}

static int on_drained(th_dispatcher *d, void *arg)
{
    (void)d;
    return tell(arg, 'd');
}

static bool is_readable(th_dispatcher *d, void *arg)
{
    channel *c = arg;
    (void)d;
    c->asked++;
    return c->readable;
}

static bool is_writable(th_dispatcher *d, void *arg)
{
    channel *c = arg;
    (void)d;
    c->asked_w++;
    return c->writable;
}

static void on_log(th_dispatcher *d, void *arg, th_log_level level, const char *text)
{
    channel *c = arg;
    (void)d;
    if (c->logged++ > 0 && level > c->level)
        return; /* the most severe is kept, and of these the last */
    c->level = level;
    snprintf(c->log, sizeof c->log, "%s", text);
}

static void on_release(void *arg)
{
    (void)tell(arg, 'R');
}

/* Reads, and is told of all but room to write. */
static const th_dispatcher_ops reading = { .name = "reading",
                                           .connect = on_connect,
                                           .accepted = on_accepted,
                                           .read = on_read,
                                           .expt = on_expt,
                                           .close = on_close,
                                           .error = on_error,
                                           .drained = on_drained,
                                           .release = on_release };

/* With gates of its own, and told of room to write. */
static const th_dispatcher_ops gated = { .name = "gated",
                                         .connect = on_connect,
                                         .accepted = on_accepted,
                                         .read = on_read,
                                         .write = on_write,
                                         .expt = on_expt,
                                         .close = on_close,
                                         .error = on_error,
                                         .drained = on_drained,
                                         .readable = is_readable,
                                         .writable = is_writable,
                                         .release = on_release };

/* Handles nothing, and has its messages told. */
static const th_dispatcher_ops deaf = { .name = "deaf", .log = on_log, .release = on_release };

static inline void make(channel *c, const th_dispatcher_ops *ops, th_dispatch_map *map)
{
    ck_assert_int_eq(th_dispatcher_new(ops, c, map, &c->d), 0);
}

/* ---- turns ---- */

/* Takes turns until something is so; it comes with an event, however long that takes. */
#define turn_until(map, condition)                                                                 \
    do {                                                                                           \
        for (int turn_ = 0; !(condition); turn_++) {                                               \
            ck_assert_int_lt(turn_, 1000);                                                         \
            ck_assert_int_eq(th_dispatch_map_loop(map, TH_SECOND, 1), 0);                          \
        }                                                                                          \
    } while (0)

/* Some turns that do not wait: what is going to happen by itself has happened then. */
static inline void turn_a_few(th_dispatch_map *map)
{
    ck_assert_int_eq(th_dispatch_map_loop(map, 0, 8), 0);
}

/* ---- peers ---- */

static inline int flags_of(int fd)
{
    return fcntl(fd, F_GETFL);
}

/* A socket that listens, without Thrum; its address as text. */
static inline int listen_bare(int family, char text[TH_ADDR_TEXT])
{
    th_addr addr;
    thi_sockaddr sa;
    ck_assert_int_eq(th_addr_parse(address_of(family), &addr), 0);
    socklen_t len = thi_addr_to_sockaddr(&addr, &sa);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, &sa.sa, len), 0);
    ck_assert_int_eq(listen(fd, 16), 0);
    len = sizeof sa;
    ck_assert_int_eq(getsockname(fd, &sa.sa, &len), 0);
    thi_addr_from_sockaddr(&sa, len, &addr);
    th_addr_format(&addr, text, TH_ADDR_TEXT);
    return fd;
}

/* A client of an address, without Thrum. */
static inline int connect_bare(const th_addr *addr)
{
    thi_sockaddr sa;
    socklen_t len = thi_addr_to_sockaddr(addr, &sa);
    int fd = socket(sa.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, &sa.sa, len), 0);
    return fd;
}

/* Two connected sockets; fds[0] is to be attached. */
static inline void connected_pair(int family, int fds[2])
{
    if (family == AF_UNIX) {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        return;
    }
    char text[TH_ADDR_TEXT];
    th_addr addr;
    int listener = listen_bare(family, text);
    ck_assert_int_eq(th_addr_parse(text, &addr), 0);
    fds[1] = connect_bare(&addr);
    fds[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    ck_assert_int_ge(fds[0], 0);
    close(listener);
}

/* A channel that is attached to a socket; its other end. */
static inline int open_channel(channel *c, const th_dispatcher_ops *ops, th_dispatch_map *map,
                               int family)
{
    int fds[2];
    connected_pair(family, fds);
    make(c, ops, map);
    ck_assert_int_eq(th_dispatcher_attach(c->d, fds[0], 0), 0);
    ck_assert_int_eq(th_dispatcher_state(c->d), TH_DISPATCHER_OPEN | TH_DISPATCHER_CONNECTED);
    return fds[1];
}

static inline void peer_sends(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static inline void peer_receives(int fd, const char *text)
{
    char got[256] = "";
    ck_assert_int_eq(recv(fd, got, strlen(text), MSG_WAITALL), (ssize_t)strlen(text));
    ck_assert_str_eq(got, text);
}

/* The connection breaks off instead of ending in order. */
static inline void peer_resets(int fd)
{
    struct linger now = { .l_onoff = 1 };
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(fd);
}

/* Closes what is left, and sees that everything was released. */
static inline void end_channels(th_dispatch_map *map)
{
    ck_assert_int_eq(th_dispatch_map_close_all(map), 0);
    ck_assert_int_eq(th_dispatch_map_loop(map, 0, 1), 0);
    ck_assert_uint_eq(th_dispatch_map_count(map), 0);
}

#endif
