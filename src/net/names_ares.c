/* SPDX-License-Identifier: MIT */

/*
 * c-ares on a loop: it makes questions and believes answers or not, asks again and asks others,
 * turns to TCP when an answer is too long. Here are its sockets and its clock.
 *
 * All that it wants of the kernel goes through the seam. A socket is watched once it is connected.
 * Events only note that it is ready; what is ready is worked off when the events of the turn have
 * been dispatched, because c-ares closes sockets while it works. It reads a TCP socket once for
 * each time it is told to, but an engine may tell only once: so it is told again until the kernel
 * has said EAGAIN, or until it did not even try.
 *
 * That nobody listens at a name server's port is told by the kernel once, to whichever call comes
 * next on that socket. If that is the sending of another question, c-ares moves that one alone to
 * the next server. So it is told of it when it reads, which moves all of them.
 *
 * A loop may be unable to watch for want of memory. Nobody could be told: then the sockets are
 * looked at from time to time until it works.
 *
 * c-ares keeps the allocator of the process, since other libraries may use it as well.
 */
#include "net/names_wire.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "net/addr.h"
#include "sys/sys.h"

#include <thrum/error.h>
#include <thrum/time.h>

#include <ares.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/time.h>

#define CLASS_IN   1
#define ROUNDS_MAX 64 /* that one turn of the loop may spend on answers */
#define LOOK_AGAIN (20 * TH_MILLISECOND)
#define SOONEST    TH_MILLISECOND
#define EDNS_SIZE  1232 /* what surely goes over every path: DNS flag day 2020 */

typedef struct ares_wire {
    thi_wire base;
    thi_loop *loop;
    ares_channel channel;
    thi_list sockets;
    thi_timer timer;
    thi_deferred work;
    bool blind;   /* some socket could not be wanted */
    bool at_work; /* c-ares is called, or calls */
    th_addr servers[THI_NAMES_SERVERS_MAX];
    unsigned server_count;
} ares_wire;

typedef struct wire_socket {
    thi_list link;
    thi_watch watch;
    ares_wire *wire;
    uint8_t wants; /* directions that c-ares wants to hear of */
    bool watched;
    bool datagrams;
    int error;    /* that the next reading finds; 0: none */
    bool touched; /* c-ares has read from it since it was told to */
} wire_socket;

static ares_wire *of(thi_wire *wire)
{
    return thi_container_of(wire, ares_wire, base);
}

static wire_socket *socket_at(thi_list *node)
{
    return thi_list_item(node, wire_socket, link);
}

static wire_socket *find(ares_wire *w, int fd)
{
    thi_list_each (node, &w->sockets) {
        if (socket_at(node)->watch.fd == fd)
            return socket_at(node);
    }
    return NULL;
}

/* ---- what c-ares wants of the kernel ---- */

static ssize_t by_errno(ssize_t result)
{
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

static int on_socket(int domain, int type, int protocol, void *arg)
{
    ares_wire *w = arg;
    wire_socket *s = thi_calloc(1, sizeof *s);
    int fd = s ? thi_sys_socket(domain, type, protocol) : -ENOMEM;
    if (fd < 0) {
        thi_free(s);
        return (int)by_errno(fd);
    }
    s->watch.fd = fd;
    s->wire = w;
    s->datagrams = type == SOCK_DGRAM;
    thi_list_push_back(&w->sockets, &s->link);
    return fd;
}

static int on_close(int fd, void *arg)
{
    ares_wire *w = arg;
    wire_socket *s = find(w, fd);
    TH_ASSERT(s != NULL);
    if (s->watched)
        thi_loop_unwatch(w->loop, &s->watch);
    thi_list_remove(&s->link);
    thi_free(s);
    return (int)by_errno(thi_sys_close(fd));
}

static void want(wire_socket *s)
{
    unsigned dirs = s->wants & (unsigned)~s->watch.ready;
    if (s->watched && dirs != 0 && thi_loop_want(s->wire->loop, &s->watch, dirs) < 0)
        s->wire->blind = true;
}

static void on_event(thi_watch *watch, unsigned events)
{
    (void)events; /* watch->ready has them */
    ares_wire *w = thi_container_of(watch, wire_socket, watch)->wire;
    thi_loop_defer(w->loop, &w->work);
}

/* c-ares drops the zone of a server's address. */
static uint32_t zone_of(const ares_wire *w, const struct sockaddr_in6 *sa)
{
    for (unsigned i = 0; i < w->server_count; i++)
        if (w->servers[i].kind == TH_ADDR_IP6 && memcmp(w->servers[i].ip, &sa->sin6_addr, 16) == 0)
            return w->servers[i].scope;
    return 0;
}

/* EAGAIN means "later" to c-ares, which is not what a loop without room means. */
static int watch_socket(ares_wire *w, wire_socket *s)
{
    int err = thi_loop_watch(w->loop, &s->watch, s->watch.fd, 0, on_event);
    if (err == 0) {
        s->watched = true;
        s->watch.ready = 0;
    }
    return err == -EAGAIN ? -ENOMEM : err;
}

static int on_connect(int fd, const struct sockaddr *sa, ares_socklen_t len, void *arg)
{
    ares_wire *w = arg;
    wire_socket *s = find(w, fd);
    thi_sockaddr to = { .sa.sa_family = AF_UNSPEC };
    TH_ASSERT(s != NULL && len <= sizeof to.storage);
    memcpy(&to, sa, len);
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)&to;
    if (to.sa.sa_family == AF_INET6 && six->sin6_scope_id == 0)
        six->sin6_scope_id = zone_of(w, six);
    int verdict = thi_sys_connect(fd, &to.sa, len);
    int err = verdict == 0 || verdict == -EINPROGRESS ? watch_socket(w, s) : verdict;
    return (int)by_errno(err < 0 ? err : verdict);
}

/* NOLINTNEXTLINE(readability-function-size): seven parameters, because c-ares wants seven */
static ssize_t on_receive(int fd, void *buf, size_t size, int flags, struct sockaddr *from,
                          ares_socklen_t *from_len, void *arg)
{
    struct iovec piece = { buf, size };
    struct msghdr msg = {
        .msg_name = from, .msg_namelen = from ? *from_len : 0, .msg_iov = &piece, .msg_iovlen = 1
    };
    ares_wire *w = arg;
    wire_socket *s = find(w, fd);
    TH_ASSERT(s != NULL);
    s->touched = true;
    if (s->error)
        return by_errno(s->error);
    ssize_t n = thi_sys_recvmsg(fd, &msg, flags);
    if (n >= 0 && from)
        *from_len = msg.msg_namelen;
    if (n == -EAGAIN)
        s->watch.ready &= (uint8_t)~THI_READ;
    return by_errno(n);
}

static ssize_t bytes_of(const struct iovec *iov, int count)
{
    size_t sum = 0;
    while (count > 0)
        sum += iov[--count].iov_len;
    return (ssize_t)sum;
}

static ssize_t on_send(int fd, const struct iovec *iov, int count, void *arg)
{
    struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count };
    ares_wire *w = arg;
    wire_socket *s = find(w, fd);
    TH_ASSERT(s != NULL);
    ssize_t n = thi_sys_sendmsg(fd, &msg, 0);
    if (n != -ECONNREFUSED || !s->datagrams)
        return by_errno(n);
    s->error = (int)n;
    s->watch.ready |= THI_READ;
    return bytes_of(iov, count);
}

static const struct ares_socket_functions calls = { .asocket = on_socket,
                                                    .aclose = on_close,
                                                    .aconnect = on_connect,
                                                    .arecvfrom = on_receive,
                                                    .asendv = on_send };

/* Which directions of a socket matter from now on. */
static void on_state(void *arg, int fd, int readable, int writable)
{
    wire_socket *s = find(arg, fd);
    if (!s)
        return;
    s->wants = (uint8_t)((readable ? THI_READ : 0) | (writable ? THI_WRITE : 0));
    want(s);
}

/* ---- turns ---- */

/* One that something can be done on; NULL when there is none. */
static wire_socket *find_ready(ares_wire *w)
{
    thi_list_each (node, &w->sockets) {
        if (socket_at(node)->wants & socket_at(node)->watch.ready)
            return socket_at(node);
    }
    return NULL;
}

/* Has c-ares called again when its next time-out is due, or at once if there is something to do.
 * Not by what is deferred: a fiber that this makes ready would find the loop asleep. */
static void set_timer(ares_wire *w)
{
    struct timeval tv;
    int64_t span = TH_NEVER;
    if (find_ready(w)) {
        thi_loop_timer(w->loop, &w->timer, w->loop->now);
        return;
    }
    if (ares_timeout(w->channel, NULL, &tv))
        span = (int64_t)tv.tv_sec * TH_SECOND + tv.tv_usec * TH_MICROSECOND;
    if (w->blind)
        span = thi_min(span, LOOK_AGAIN);
    if (span == TH_NEVER)
        thi_timer_cancel(&w->loop->timers, &w->timer);
    else
        thi_loop_timer(w->loop, &w->timer, thi_sys_clock() + thi_max(span, SOONEST));
}

static void work_on(ares_wire *w, wire_socket *s)
{
    int fd = s->watch.fd;
    bool reads = s->wants & s->watch.ready & THI_READ;
    bool writes = s->wants & s->watch.ready & THI_WRITE;
    s->touched = false;
    s->watch.ready &= (uint8_t)~THI_WRITE; /* it sends all that it has, or until EAGAIN */
    ares_process_fd(w->channel, reads ? fd : ARES_SOCKET_BAD, writes ? fd : ARES_SOCKET_BAD);
    s = find(w, fd);
    if (s && reads && !s->touched)
        s->watch.ready &= (uint8_t)~THI_READ;
}

static void work(ares_wire *w)
{
    wire_socket *s;
    w->at_work = true;
    for (int i = 0; i < ROUNDS_MAX && (s = find_ready(w)); i++)
        work_on(w, s);
    w->at_work = false;
    w->blind = false;
    thi_list_each (node, &w->sockets)
        want(socket_at(node));
    set_timer(w);
}

static void on_deferred(thi_deferred *deferred)
{
    work(thi_container_of(deferred, ares_wire, work));
}

static void on_timer(thi_timer *timer)
{
    ares_wire *w = thi_container_of(timer, ares_wire, timer);
    if (w->blind)
        thi_list_each (node, &w->sockets)
            socket_at(node)->watch.ready |= THI_READ | THI_WRITE;
    w->at_work = true;
    ares_process_fd(w->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    w->at_work = false;
    work(w);
}

/* ---- questions ---- */

/* Why there is no answer. */
static const char *why(int status)
{
    switch (status) {
    case ARES_ETIMEOUT:
        return "the name servers did not answer in time";
    case ARES_ECONNREFUSED:
        return "no name server can be reached";
    case ARES_EREFUSED:
        return "the name servers refused to answer";
    case ARES_EBADRESP:
    case ARES_EFORMERR:
        return "the answer of the name server is broken";
    default:
        return "the name servers failed";
    }
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *msg, int len)
{
    (void)timeouts;
    thi_wire_query *q = arg;
    thi_names_set *set = NULL;
    bool answered = status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND;
    if (answered && msg)
        set = thi_names_set_read(msg, (size_t)len, q->name, q->type);
    else if (status != ARES_ENOMEM && status != ARES_EDESTRUCTION && status != ARES_ECANCELLED)
        set = thi_names_set_fail(q->type, TH_ENAMESERVER, why(status));
    thi_wire_done(q, set);
}

static void ask(thi_wire *wire, thi_wire_query *q)
{
    ares_wire *w = of(wire);
    bool nested = w->at_work;
    w->at_work = true;
    ares_query(w->channel, q->name, CLASS_IN, q->type, on_answer, q);
    w->at_work = nested;
    if (!nested)
        set_timer(w);
}

/* ---- beginning and end ---- */

static int library_status;

static void begin_library(void)
{
    library_status = ares_library_init(ARES_LIB_INIT_ALL);
}

static int to_errno(int status)
{
    return status == ARES_SUCCESS ? 0 : status == ARES_ENOMEM ? -ENOMEM : -EIO;
}

static int set_servers(ares_wire *w)
{
    struct ares_addr_port_node nodes[THI_NAMES_SERVERS_MAX];
    memset(nodes, 0, sizeof nodes);
    for (unsigned i = 0; i < w->server_count; i++) {
        nodes[i].next = i + 1 < w->server_count ? &nodes[i + 1] : NULL;
        nodes[i].family = thi_addr_family(&w->servers[i]);
        nodes[i].udp_port = nodes[i].tcp_port = w->servers[i].port;
        memcpy(&nodes[i].addr, w->servers[i].ip, nodes[i].family == AF_INET ? 4 : 16);
    }
    return to_errno(ares_set_servers_ports(w->channel, nodes));
}

/* Without a server in resolv.conf it is this machine: resolv.conf(5). */
static void take_servers(ares_wire *w, const thi_names_conf *conf)
{
    memcpy(w->servers, conf->servers, sizeof w->servers);
    w->server_count = conf->server_count;
    if (w->server_count > 0)
        return;
    w->servers[w->server_count++] =
        (th_addr){ .kind = TH_ADDR_IP4, .port = THI_NAMES_PORT, .ip = { 127, 0, 0, 1 } };
}

/* c-ares is to read no file and no environment: that has been done. */
static int open_channel(ares_wire *w, const thi_names_conf *conf)
{
    static char no_file[] = "/dev/null";
    static char by_dns[] = "b";
    struct ares_options o = {
        .flags = (conf->use_tcp ? ARES_FLAG_USEVC : 0) | (conf->edns ? ARES_FLAG_EDNS : 0) |
                 ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES,
        .timeout = (int)conf->seconds * 1000,
        .tries = (int)conf->tries,
        .ndots = (int)conf->ndots,
        .ednspsz = EDNS_SIZE,
        .lookups = by_dns,
        .resolvconf_path = no_file,
        .sock_state_cb = on_state,
        .sock_state_cb_data = w,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
               ARES_OPT_EDNSPSZ | ARES_OPT_LOOKUPS | ARES_OPT_RESOLVCONF | ARES_OPT_DOMAINS |
               ARES_OPT_SOCK_STATE_CB | (conf->rotate ? ARES_OPT_ROTATE : ARES_OPT_NOROTATE);
    int err = to_errno(ares_init_options(&w->channel, &o, mask));
    if (err < 0)
        return err;
    ares_set_socket_functions(w->channel, &calls, w);
    err = set_servers(w);
    if (err < 0)
        ares_destroy(w->channel);
    return err;
}

static void close_wire(thi_wire *wire)
{
    ares_wire *w = of(wire);
    TH_ASSERT(!w->at_work);
    w->at_work = true;
    ares_destroy(w->channel);
    thi_timer_cancel(&w->loop->timers, &w->timer);
    thi_loop_undefer(&w->work);
    thi_free(w);
}

static const thi_wire_ops ops = { .ask = ask, .close = close_wire };

int thi_wire_open_ares(thi_loop *loop, const thi_names_conf *conf, thi_wire **wire)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, begin_library);
    if (library_status != ARES_SUCCESS)
        return to_errno(library_status);
    ares_wire *w = thi_calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->base.ops = &ops;
    w->loop = loop;
    thi_list_init(&w->sockets);
    thi_timer_init(&w->timer, on_timer);
    thi_deferred_init(&w->work, on_deferred);
    take_servers(w, conf);
    int err = open_channel(w, conf);
    if (err < 0) {
        thi_free(w);
        return err;
    }
    *wire = &w->base;
    return 0;
}
