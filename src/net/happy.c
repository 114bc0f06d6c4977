/* SPDX-License-Identifier: MIT */

/*
 * The race.
 *
 * An attempt is a socket whose connect(2) is under way. What the kernel says of it is found out by
 * asking, never taken from the event, so that whoever rings has only rung. A failure lets the next
 * one start at once, silence lets it start after the delay (RFC 8305, 5).
 */
#include "net/happy.h"

#include "base/alloc.h"
#include "base/util.h"
#include "net/addr.h"
#include "sys/sys.h"

#include <thrum/error.h>
#include <thrum/time.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

struct thi_attempt {
    thi_list link;
    thi_race *race;
    th_addr addr;
    thi_socket *socket; /* while it runs */
    thi_wait wait;      /* stands where a fiber that writes would */
    int error;          /* once it has failed */
};

static thi_attempt *attempt_at(thi_list *node)
{
    return thi_list_item(node, thi_attempt, link);
}

static void on_timer(thi_timer *timer)
{
    thi_race *race = thi_container_of(timer, thi_race, timer);
    race->may_start = true;
    thi_bell_ring(race->bell);
}

void thi_race_init(thi_race *race, const thi_race_opts *opts, thi_bell *bell)
{
    *race = (thi_race){ .opts = opts, .bell = bell, .may_start = true };
    for (int i = 0; i < THI_RACE_QUEUES; i++)
        thi_list_init(&race->waiting[i]);
    thi_list_init(&race->running);
    thi_list_init(&race->failed);
    thi_timer_init(&race->timer, on_timer);
}

int thi_race_add(thi_race *race, const th_addr *addr)
{
    thi_attempt *a = thi_calloc(1, sizeof *a);
    if (!a)
        return -ENOMEM;
    a->race = race;
    a->addr = *addr;
    thi_list_push_back(&race->waiting[addr->kind == TH_ADDR_IP6 ? THI_RACE_IP6 : THI_RACE_IP4],
                       &a->link);
    return 0;
}

/* ---- one attempt ---- */

static void on_writable(thi_wait *wait, int result)
{
    (void)result;
    thi_attempt *a = thi_container_of(wait, thi_attempt, wait);
    a->socket->writer = NULL;
    thi_bell_ring(a->race->bell);
}

/*
 * What became of a connection: 0 when it is made, -EINPROGRESS while it is not. A TCP socket on a
 * free local port may meet itself by simultaneous open; nobody listens there.
 */
static int outcome(thi_socket *s)
{
    int verdict = 0;
    socklen_t size = sizeof verdict;
    th_addr here;
    th_addr there = { .kind = TH_ADDR_NONE };
    int err = thi_sys_getsockopt(s->watch.fd, SOL_SOCKET, SO_ERROR, &verdict, &size);
    if (err == 0)
        err = -verdict;
    if (err == 0)
        err = th_stream_peer(&s->base, &there);
    if (err < 0)
        return err == -ENOTCONN ? -EINPROGRESS : err;
    bool itself = there.kind != TH_ADDR_UNIX && th_stream_local(&s->base, &here) == 0 &&
                  th_addr_equal(&here, &there);
    return itself ? -ECONNREFUSED : 0;
}

/* A port of its own is only chosen when it connects: many connections from one address do not use
 * up the ports for all others. */
static int bind_source(int fd, const th_addr *source)
{
    thi_sockaddr sa;
    int one = 1;
    socklen_t len = thi_addr_to_sockaddr(source, &sa);
    if (source->port == 0)
        (void)thi_sys_setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    else
        (void)thi_sys_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    return thi_sys_bind(fd, &sa.sa, len);
}

static int prepare(int fd, const th_addr *addr, const thi_race_opts *opts)
{
    int one = 1;
    if (addr->kind != TH_ADDR_UNIX)
        (void)thi_sys_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int err = opts->tune ? thi_tune_set(fd, opts->tune, THI_TUNE_TO_CONNECT) : 0;
    if (err < 0)
        (void)snprintf(opts->why, THI_RACE_WHY, "%s", th_err_detail());
    if (err < 0 || addr->kind == TH_ADDR_UNIX)
        return err;
    if (opts->device)
        err = thi_sys_setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, opts->device,
                                 (socklen_t)strlen(opts->device) + 1);
    if (err == 0 && opts->source.kind != TH_ADDR_NONE)
        err = bind_source(fd, &opts->source);
    return err;
}

static int open_socket(thi_attempt *a, thi_sockaddr *sa, socklen_t *len)
{
    *len = thi_addr_to_sockaddr(&a->addr, sa);
    int fd = thi_sys_socket(sa->sa.sa_family, SOCK_STREAM, 0);
    if (fd < 0)
        return fd;
    int err = prepare(fd, &a->addr, a->race->opts);
    if (err == 0)
        err = thi_socket_new(fd, &a->socket);
    if (err < 0)
        thi_sys_close(fd);
    return err;
}

static void close_socket(thi_attempt *a)
{
    if (!a->socket)
        return;
    a->socket->writer = NULL;
    th_stream_free(&a->socket->base);
    a->socket = NULL;
}

/* Starts it; what it comes to is for look_at() to find out. */
static int start(thi_attempt *a)
{
    thi_sockaddr sa;
    socklen_t len;
    int err = open_socket(a, &sa, &len);
    if (err == 0)
        err = thi_sys_connect(a->socket->watch.fd, &sa.sa, len);
    if (err < 0 && err != -EINPROGRESS)
        return err;
    a->wait = (thi_wait){ .abort = on_writable };
    return 0;
}

/* 0: connected; -EINPROGRESS: it will ring. */
static int look_at(thi_attempt *a)
{
    thi_socket *s = a->socket;
    if (s->writer) /* nothing has happened since the last look */
        return -EINPROGRESS;
    int err = outcome(s);
    if (err != -EINPROGRESS)
        return err;
    s->watch.ready = 0;
    err = thi_loop_want(&s->worker->loop, &s->watch, THI_WRITE);
    if (err < 0)
        return err;
    s->writer = &a->wait;
    a->race->bell->fd = s->watch.fd;
    return -EINPROGRESS;
}

/* ---- all of them ---- */

static void fail(thi_race *race, thi_attempt *a, int error)
{
    close_socket(a);
    a->error = error;
    thi_list_remove(&a->link);
    thi_list_push_back(&race->failed, &a->link);
    race->may_start = true;
}

static void win(thi_race *race, thi_attempt *a)
{
    a->socket->writer = NULL;
    race->winner = a->socket;
    a->socket = NULL;
}

/* Looks at those that run, the oldest first; true when one has won. */
static bool look_at_all(thi_race *race)
{
    thi_list_each_safe (node, &race->running) {
        thi_attempt *a = attempt_at(node);
        int err = look_at(a);
        if (err == 0) {
            win(race, a);
            return true;
        }
        if (err != -EINPROGRESS)
            fail(race, a, err);
    }
    return false;
}

static bool may_start_more(const thi_race *race)
{
    bool waits = !thi_list_empty(&race->waiting[THI_RACE_IP6]) ||
                 !thi_list_empty(&race->waiting[THI_RACE_IP4]);
    return waits && race->attempts < race->opts->attempts_max;
}

/* Whose turn it is among those that wait; NULL when no more is started. */
static thi_attempt *next(thi_race *race)
{
    if (!may_start_more(race))
        return NULL;
    for (int i = 0; i < THI_RACE_QUEUES; i++) {
        int queue = (race->turn + i) % THI_RACE_QUEUES;
        thi_list *first = thi_list_pop_front(&race->waiting[queue]);
        if (!first)
            continue;
        race->turn = (queue + 1) % THI_RACE_QUEUES;
        return attempt_at(first);
    }
    return NULL;
}

static void begin_next(thi_race *race, thi_attempt *a)
{
    thi_loop *loop = &race->bell->fiber->worker->loop;
    thi_list_push_back(&race->running, &a->link);
    race->attempts++;
    race->may_start = false;
    if (race->opts->delay != TH_NEVER)
        thi_loop_timer(loop, &race->timer, th_after(race->opts->delay));
    int err = start(a);
    if (err < 0)
        fail(race, a, err);
}

const th_addr *thi_race_next(const thi_race *race, int family)
{
    thi_list *first = thi_list_first(&race->waiting[family]);
    return first ? &attempt_at(first)->addr : NULL;
}

bool thi_race_is_on(const thi_race *race)
{
    return !thi_list_empty(&race->running) || may_start_more(race);
}

int thi_race_step(thi_race *race, bool open)
{
    for (;;) {
        if (look_at_all(race))
            return 1;
        thi_attempt *a = open && race->may_start ? next(race) : NULL;
        if (!a)
            break;
        begin_next(race, a);
    }
    if (thi_race_is_on(race))
        return 0;
    thi_list *last = thi_list_last(&race->failed);
    return last ? attempt_at(last)->error : -EAGAIN;
}

void thi_race_rouse(thi_race *race)
{
    thi_list_each (node, &race->running)
        attempt_at(node)->socket->writer = NULL;
}

/* One address; whole ones or none. */
static bool tell_one(const thi_attempt *a, const char *what, char **text, size_t *size)
{
    char addr[TH_ADDR_TEXT];
    int n = snprintf(*text, *size, "; %s: %s", th_addr_format(&a->addr, addr, sizeof addr), what);
    bool fits = n > 0 && (size_t)n < *size;
    (*text)[fits ? n : 0] = '\0';
    *text += fits ? n : 0;
    *size -= fits ? (size_t)n : 0;
    return fits;
}

void thi_race_tell(const thi_race *race, char *text, size_t size)
{
    text[0] = '\0';
    thi_list_each (node, &race->failed) {
        if (!tell_one(attempt_at(node), th_errname(attempt_at(node)->error), &text, &size))
            return;
    }
    thi_list_each (node, &race->running) {
        if (!tell_one(attempt_at(node), "no answer", &text, &size))
            return;
    }
}

static void free_all(thi_list *list)
{
    while (!thi_list_empty(list)) {
        thi_attempt *a = attempt_at(thi_list_pop_front(list));
        close_socket(a);
        thi_free(a);
    }
}

void thi_race_end(thi_race *race)
{
    thi_timer_cancel(&race->bell->fiber->worker->loop.timers, &race->timer);
    for (int i = 0; i < THI_RACE_QUEUES; i++)
        free_all(&race->waiting[i]);
    free_all(&race->running);
    free_all(&race->failed);
}
