/* SPDX-License-Identifier: MIT */

/*
 * The parts of a server: accept, share out, stop.
 *
 * All workers watch the same listening sockets exclusively, so the kernel wakes one of them. A
 * worker that is busier than another picked at random hands the connection over; it never moves
 * later.
 *
 * The start: a part that has begun accepts only once all have, for it would keep a burst that is
 * there already: it has nobody to hand it to. The last one to begin tells the others. A worker
 * whose fibers do not let go must not hold up the service, so the patience with it is bounded.
 *
 * The end: a part that stops takes back `ready` and then waits until nothing is on its way to it.
 * Who hands over counts the connection in `incoming` first and then looks at `ready`; both are
 * sequentially consistent, so either the sender sees that the part has stopped, and keeps the
 * connection, or the part sees that something will come. What was counted is always delivered, be
 * it only the news that it is not coming.
 *
 * When there are no descriptors left, a level-triggered listener would spin. Accepting is suspended
 * for a moment instead, and clients wait in the kernel's queue: that is better than to accept and
 * close them with a descriptor kept in reserve, because the queue is as long as the system allows
 * and the lack mostly passes. The pause grows to a second; the end of one of the part's connections
 * ends it at once. The lack belongs to the server: the first part that meets it warns, and the
 * one that finds the queue empty again tells that it is over.
 *
 * Who may come in is asked where a connection is accepted, so that a refusal costs nobody else
 * anything; only a client behind a proxy is not known before its header has been read, by the part
 * that will serve it.
 */
#include "net/server.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "base/metrics.h"
#include "net/addr.h"
#include "net/proxy_reader.h"
#include "runtime/place.h"
#include "sys/sys.h"

#include <thrum/fiber.h>

#define ACCEPT_BATCH 16
#define PAUSE_MIN    (100 * TH_MILLISECOND)
#define PAUSE_MAX    TH_SECOND
#define PATIENCE     TH_SECOND /* with parts that have not begun */

/* One listener in one part. */
struct thi_acceptor {
    thi_watch watch;
    thi_server_part *part;
    const th_listener *listener;
};

static void wake_part(thi_server_part *part)
{
    if (part->sleeper)
        part->sleeper->abort(part->sleeper, 0);
}

/* ---- accepting on and off ---- */

static void on_acceptable(thi_watch *watch, unsigned events);

static void unlisten(thi_server_part *part)
{
    if (!part->listens)
        return;
    part->listens = false;
    for (size_t i = 0; i < part->server->listener_count; i++)
        thi_loop_unwatch(&part->worker->loop, &part->acceptors[i].watch);
}

static int listen_here(thi_server_part *part)
{
    thi_server *server = part->server;
    for (size_t i = 0; i < server->listener_count; i++) {
        thi_acceptor *a = &part->acceptors[i];
        a->part = part;
        a->listener = server->listeners[i];
        int err = thi_loop_watch(&part->worker->loop, &a->watch, a->listener->fd, THI_WATCH_SHARED,
                                 on_acceptable);
        if (err < 0) {
            while (i > 0)
                thi_loop_unwatch(&part->worker->loop, &part->acceptors[--i].watch);
            return err;
        }
    }
    part->listens = true;
    part->has_listened = true;
    return 0;
}

static void suspend_accepting(thi_server_part *part)
{
    unlisten(part);
    part->pause = part->exhausted ? thi_min(2 * part->pause, PAUSE_MAX) : PAUSE_MIN;
    part->exhausted = true;
    thi_loop_timer(&part->worker->loop, &part->retry, th_after(part->pause));
}

/* Accepting met a lack of descriptors or memory. */
static void begin_lack(thi_server_part *part, int err)
{
    int64_t none = 0;
    int64_t now = thi_sys_clock();
    suspend_accepting(part);
    if (atomic_compare_exchange_strong(&part->server->exhausted_since, &none, now))
        thi_log(TH_LOG_WARNING, "accepting is suspended, clients wait: %s", th_strerror(err));
}

/*
 * Nobody waits any more, and there was a descriptor: accept(2) takes one before it looks into the
 * queue. A connection that was accepted proves less; the next one may meet the lack again.
 */
static void end_lack(thi_server *server)
{
    int64_t since = atomic_exchange(&server->exhausted_since, 0);
    if (since != 0)
        thi_log(TH_LOG_INFO, "accepting goes on after %lld ms",
                (long long)((thi_sys_clock() - since) / TH_MILLISECOND));
}

/* A descriptor may have become free. */
static void retry_now(thi_server_part *part)
{
    if (part->exhausted && thi_timer_active(&part->retry))
        thi_loop_timer(&part->worker->loop, &part->retry, part->worker->loop.now);
}

static void stop_part(thi_server_part *part);

/* What cannot listen even once is a start that failed; later it is a lack that may pass. */
static void try_listening(thi_server_part *part)
{
    if (part->stopping || part->listens || part->full)
        return;
    int err = listen_here(part);
    if (err < 0 && part->has_listened) {
        suspend_accepting(part);
    } else if (err < 0) {
        part->failure = err;
        stop_part(part);
    }
}

/* Not while the part is full because of the limit: then nothing is retried. */
static void on_retry(thi_timer *timer)
{
    thi_server_part *part = thi_container_of(timer, thi_server_part, retry);
    if (atomic_exchange(&part->wants_resume, false)) /* the patience is over */
        part->full = false;
    try_listening(part);
}

static void on_resume(thi_msg *msg)
{
    thi_server_part *part = thi_container_of(msg, thi_server_part, resume);
    part->full = false;
    thi_timer_cancel(&part->worker->loop.timers, &part->retry);
    try_listening(part);
    wake_part(part);
}

static void resume_one(thi_server_part *part)
{
    if (atomic_exchange(&part->wants_resume, false))
        thi_loop_post(&part->worker->loop, &part->resume);
}

static void resume_all(thi_server *server)
{
    for (unsigned i = 0; i < server->part_count; i++)
        resume_one(&server->parts[i]);
}

/* Stops a part from accepting until somebody resumes it. */
static void hold(thi_server_part *part)
{
    unlisten(part);
    part->full = true;
    part->resume.fn = on_resume;
    atomic_store(&part->wants_resume, true);
}

/* ---- the limit ---- */

/*
 * Takes a place under the limit. Otherwise the part stops listening until somebody frees one; it
 * asks for that first and then looks again, so that no place is freed unseen in between.
 */
static bool take_place(thi_server_part *part)
{
    thi_server *server = part->server;
    if (server->limit == 0)
        return true;
    if (atomic_fetch_add(&server->open, 1) < server->limit)
        return true;
    hold(part);
    if (atomic_fetch_sub(&server->open, 1) - 1 < server->limit)
        resume_one(part);
    return false;
}

static void free_place(thi_server *server)
{
    if (server->limit == 0)
        return;
    atomic_fetch_sub(&server->open, 1);
    resume_all(server);
}

/* ---- connections ---- */

static void close_arrival(const thi_arrival *a)
{
    thi_sys_close(a->fd);
    thi_origin_free(a->origin);
}

/* Resets it, so that it costs nothing any more, and the client knows. */
static void refuse_arrival(const thi_arrival *a)
{
    static const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
    (void)thi_sys_setsockopt(a->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close_arrival(a);
}

void thi_server_conn_ended(thi_server_part *part)
{
    part->open--;
    thi_metric_add(THI_M_CONNS_OPEN, -1);
    thi_metric_add(THI_M_CONNS_CLOSED, 1);
    free_place(part->server);
    retry_now(part);
    if (part->open == 0 && part->stopping)
        wake_part(part);
}

static void drop_arrival(thi_server_part *part, const thi_arrival *a, int err)
{
    close_arrival(a);
    thi_metric_add(THI_M_ACCEPT_ERRORS, 1);
    thi_log(TH_LOG_WARNING, "a connection was dropped: %s", th_strerror(err));
    thi_server_conn_ended(part);
}

static void hand_to_user(thi_server_part *part, const thi_arrival *a)
{
    int err = part->server->ops->arrived(part, a);
    if (err < 0)
        drop_arrival(part, a, err);
}

/* Counts the connection among those of its peer; TH_ELIMIT when that has enough. */
static int enter_peer(thi_server *server, const th_addr *from, thi_origin *origin)
{
    if (!server->peers)
        return 0;
    int err = thi_peers_enter(server->peers, from, &origin->peer);
    if (err == TH_ELIMIT)
        thi_metric_add(THI_M_CONNS_REFUSED_PEER, 1);
    return err;
}

/* ---- PROXY headers ---- */

/* A connection whose header is being read. */
typedef struct proxied_arrival {
    thi_proxy_reader reader;
    thi_server_part *part;
    thi_arrival arrival;
} proxied_arrival;

/* Whoever sends a wrong header is told nothing: the specification wants the connection dropped. */
static void on_header(thi_proxy_reader *reader, int result, const thi_proxy_header *header,
                      const char *reason)
{
    proxied_arrival *p = thi_container_of(reader, proxied_arrival, reader);
    thi_server_part *part = p->part;
    thi_arrival a = p->arrival;
    int err = result < 0 ? 0 : thi_origin_keep(a.origin, header);
    const th_addr *source = thi_origin_source(a.origin);
    if (result == 0 && err == 0 && source)
        err = enter_peer(part->server, source, a.origin);
    thi_list_remove(&p->reader.link);
    thi_free(p);
    if (result == 0 && err == 0) {
        hand_to_user(part, &a);
    } else if (result == 0 && err != TH_ELIMIT) {
        drop_arrival(part, &a, err);
    } else {
        if (result < 0) {
            thi_metric_add(THI_M_CONNS_REFUSED_PROXY, 1);
            thi_log(TH_LOG_WARNING, "a connection was refused: %s", reason);
        }
        refuse_arrival(&a);
        thi_server_conn_ended(part);
    }
}

static int read_header(thi_server_part *part, const thi_arrival *a)
{
    thi_loop *loop = &part->worker->loop;
    proxied_arrival *p = thi_alloc(sizeof *p);
    if (!p)
        return -ENOMEM;
    p->part = part;
    p->arrival = *a;
    p->reader.done = on_header;
    int err = thi_proxy_reader_start(&p->reader, loop, a->fd, th_after(a->listener->proxy_time));
    if (err < 0) {
        thi_free(p);
        return err;
    }
    thi_list_push_back(&part->arriving, &p->reader.link);
    return 0;
}

static void close_arriving(thi_server_part *part)
{
    thi_list *node;
    while ((node = thi_list_pop_front(&part->arriving))) {
        proxied_arrival *p = thi_container_of(thi_container_of(node, thi_proxy_reader, link),
                                              proxied_arrival, reader);
        thi_proxy_reader_stop(&p->reader);
        refuse_arrival(&p->arrival);
        thi_free(p);
        thi_server_conn_ended(part);
    }
}

static void take_connection(thi_server_part *part, const thi_arrival *a)
{
    int err = 0;
    part->open++;
    thi_metric_add(THI_M_CONNS_OPEN, 1);
    if (a->listener->has_own && thi_tune_set(a->fd, &a->listener->tune, THI_TUNE_ACCEPTED) < 0)
        thi_log(TH_LOG_DEBUG, "a connection is not tuned: %s", th_err_detail());
    if (!a->has_header)
        hand_to_user(part, a);
    else if (part->stopping || (err = read_header(part, a)) < 0)
        drop_arrival(part, a, part->stopping ? -ESHUTDOWN : err);
}

/* A connection on its way to another part. */
typedef struct handover {
    thi_msg msg;
    thi_server_part *part;
    thi_arrival arrival;
} handover;

static void on_handover(thi_msg *msg)
{
    handover h = *thi_container_of(msg, handover, msg);
    thi_free(thi_container_of(msg, handover, msg));
    atomic_fetch_sub(&h.part->incoming, 1);
    if (h.arrival.fd >= 0)
        take_connection(h.part, &h.arrival);
    if (h.part->stopping)
        wake_part(h.part);
}

static size_t load_of(thi_server_part *part)
{
    return atomic_load_explicit(&part->worker->load, memory_order_relaxed) +
           atomic_load_explicit(&part->incoming, memory_order_relaxed);
}

/* The part that should have the next connection: this one, or a random one with clearly less. */
static thi_server_part *choose_part(thi_server_part *here)
{
    thi_server *server = here->server;
    if (server->part_count == 1)
        return here;
    here->dice = here->dice * UINT64_C(6364136223846793005) + 1442695040888963407;
    unsigned skip = 1 + (unsigned)((here->dice >> 33) % (server->part_count - 1));
    unsigned index = ((unsigned)(here - server->parts) + skip) % server->part_count;
    thi_server_part *other = &server->parts[index];
    bool better = atomic_load(&other->ready) && load_of(other) + 1 < load_of(here) &&
                  !thi_worker_is_held_up(other->worker, here->worker->loop.now);
    return better ? other : here;
}

static void share_out(thi_server_part *here, const thi_arrival *a)
{
    thi_server_part *part = choose_part(here);
    handover *h = part == here ? NULL : thi_alloc(sizeof *h);
    if (!h) {
        take_connection(here, a);
        return;
    }
    *h = (handover){ .msg.fn = on_handover, .part = part, .arrival = *a };
    atomic_fetch_add(&part->incoming, 1);
    bool kept = !atomic_load(&part->ready);
    if (kept)
        h->arrival.fd = -1;
    else
        thi_metric_add(THI_M_CONNS_HANDED_OVER, 1);
    thi_loop_post(&part->worker->loop, &h->msg);
    if (kept)
        take_connection(here, a);
}

/* Whether accept(2) failed because of the one connection, not because of us: accept(2) lists them.
 */
static bool is_of_connection(int err)
{
    switch (err) {
    case -ECONNABORTED:
    case -EPROTO:
    case -EPERM:
    case -ENETDOWN:
    case -ENOPROTOOPT:
    case -EHOSTDOWN:
    case -ENONET:
    case -EHOSTUNREACH:
    case -EOPNOTSUPP:
    case -ENETUNREACH:
        return true;
    default:
        return false;
    }
}

/*
 * Asks whether a connection from an address may come in, and what has to be known of it; only where
 * the server or the listener wants to know anything. TH_ELIMIT: it may not; -ENOMEM.
 */
static int admit(thi_server *server, thi_arrival *a, const th_addr *from)
{
    thi_proxy_rule rule = thi_listener_proxy_rule(a->listener, from);
    if (rule == THI_PROXY_STRANGER) {
        thi_metric_add(THI_M_CONNS_REFUSED_PROXY, 1);
        thi_log(TH_LOG_WARNING, "a connection was refused: it came from no known proxy");
        return TH_ELIMIT;
    }
    if (rule == THI_PROXY_PLAIN && !server->peers)
        return 0;
    a->origin = thi_calloc(1, sizeof *a->origin);
    if (!a->origin)
        return -ENOMEM;
    a->has_header = rule == THI_PROXY_HEADER;
    return a->has_header ? 0 : enter_peer(server, from, a->origin);
}

static bool looks_at_peer(const thi_acceptor *a)
{
    return a->part->server->peers || a->listener->proxy != TH_PROXY_NONE;
}

/* Accepts one connection; whether to go on. */
static bool accept_one(thi_acceptor *a)
{
    thi_server_part *part = a->part;
    thi_sockaddr sa;
    socklen_t len = sizeof sa;
    th_addr from;
    bool look = looks_at_peer(a);
    if (!take_place(part))
        return false;
    int fd = thi_sys_accept(a->listener->fd, look ? &sa.sa : NULL, look ? &len : NULL);
    if (fd >= 0) {
        thi_arrival new = { .fd = fd, .listener = a->listener };
        thi_metric_add(THI_M_CONNS_ACCEPTED, 1);
        part->exhausted = false;
        if (look)
            thi_addr_from_sockaddr(&sa, len, &from);
        if (TH_LIKELY(!look || admit(part->server, &new, &from) == 0)) {
            share_out(part, &new);
        } else {
            refuse_arrival(&new);
            free_place(part->server);
        }
        return true;
    }
    free_place(part->server);
    if (fd == -EAGAIN) {
        if (TH_UNLIKELY(atomic_load_explicit(&part->server->exhausted_since, memory_order_relaxed)))
            end_lack(part->server);
        return false;
    }
    thi_metric_add(THI_M_ACCEPT_ERRORS, 1);
    if (is_of_connection(fd))
        return true;
    begin_lack(part, fd);
    return false;
}

static void on_acceptable(thi_watch *watch, unsigned events)
{
    (void)events;
    thi_acceptor *a = thi_container_of(watch, thi_acceptor, watch);
    for (int i = 0; i < ACCEPT_BATCH && accept_one(a); i++)
        continue;
}

/* ---- the life of a part ---- */

static void stop_part(thi_server_part *part)
{
    thi_server *server = part->server;
    if (part->stopping)
        return;
    part->stopping = true;
    atomic_store(&part->ready, false);
    unlisten(part);
    close_arriving(part);
    thi_timer_cancel(&part->worker->loop.timers, &part->retry);
    if (atomic_exchange(&part->wants_resume, false))
        part->full = false; /* otherwise the message is on its way, and is waited for */
    if (part->begun && server->ops->stopping)
        server->ops->stopping(part);
    wake_part(part);
}

/*
 * The last part to hear of the stop ends listening altogether: clients that come later are refused
 * by the kernel, and can go elsewhere, instead of waiting in a queue that nobody will look at.
 */
static void on_stop(thi_stopper *stopper)
{
    thi_server_part *part = thi_container_of(stopper, thi_server_part, stopper);
    thi_server *server = part->server;
    stop_part(part);
    if (atomic_fetch_sub(&server->active, 1) > 1)
        return;
    for (size_t i = 0; i < server->listener_count; i++)
        thi_listener_retire(server->listeners[i]);
}

/* The wait of a part's fiber for something to change. */
typedef struct part_sleep {
    thi_wait wait;
    thi_server_part *part;
    th_fiber *fiber;
} part_sleep;

static void part_sleep_wake(thi_wait *wait, int result)
{
    part_sleep *s = thi_container_of(wait, part_sleep, wait);
    s->part->sleeper = NULL;
    thi_sched_ready(s->fiber, result);
}

static bool is_over(const thi_server_part *part)
{
    return part->stopping && part->open == 0 && !part->full && atomic_load(&part->incoming) == 0;
}

static const thi_wait_kind serving = { "serve", THI_BY_ANYBODY, 0 };
static const thi_wait_kind draining = { "drain", THI_BY_ANYBODY, 0 };

/*
 * Sleeps until the part is over. The first cancellation makes it close everything; after that the
 * wait cannot be broken off any more.
 */
static int wait_for_end(thi_server_part *part)
{
    int cancelled = 0;
    while (!is_over(part)) {
        part_sleep s = { .wait = { .kind = &serving, .object = part, .abort = part_sleep_wake },
                         .part = part,
                         .fiber = thi_sched_self() };
        thi_wait shown = { .kind = &draining, .object = part };
        int err = cancelled ? 0 : thi_sched_may_park();
        if (err == 0) {
            part->sleeper = &s.wait;
            err = thi_sched_park(cancelled ? &shown : &s.wait);
        }
        if (err < 0) {
            cancelled = err;
            stop_part(part);
            if (part->begun && part->server->ops->abort)
                part->server->ops->abort(part);
        }
    }
    return cancelled;
}

static int begin(thi_server_part *part)
{
    const thi_server_ops *ops = part->server->ops;
    int err = ops->begin ? ops->begin(part) : 0;
    if (err < 0)
        return err;
    part->begun = true;
    thi_loop_timer(&part->worker->loop, &part->retry, th_after(PATIENCE));
    hold(part);
    atomic_store(&part->ready, true);
    if (atomic_fetch_sub(&part->server->awaited, 1) == 1)
        resume_all(part->server);
    return 0;
}

static int run_part(void *arg)
{
    thi_server_part *part = arg;
    int err = th_scope_open(&part->scope, NULL);
    if (err < 0)
        return err;
    thi_timer_init(&part->retry, on_retry);
    thi_list_init(&part->conns);
    thi_list_init(&part->arriving);
    err = begin(part);
    thi_stopper_add(&part->stopper, on_stop);
    if (err < 0) /* all parts or none: the others are waited for below */
        (void)th_scope_cancel(&part->server->scope, err);
    int cancelled = wait_for_end(part);
    if (err == 0)
        err = part->failure;
    thi_stopper_remove(&part->stopper);
    (void)th_scope_close(&part->scope);
    if (part->begun && part->server->ops->end)
        part->server->ops->end(part);
    return err < 0 ? err : cancelled;
}

static int make_parts(thi_server *server, thi_runtime *rt)
{
    thi_acceptor *acceptors = thi_calloc(rt->count * server->listener_count, sizeof *acceptors);
    server->parts = thi_calloc(rt->count, sizeof *server->parts);
    if (!acceptors || !server->parts) {
        thi_free(acceptors);
        thi_free(server->parts);
        return -ENOMEM;
    }
    server->part_count = rt->count;
    atomic_init(&server->awaited, rt->count);
    atomic_init(&server->active, rt->count);
    for (unsigned i = 0; i < rt->count; i++) {
        thi_server_part *part = &server->parts[i];
        part->server = server;
        part->worker = &rt->workers[i];
        part->dice = i;
        part->acceptors = &acceptors[i * server->listener_count];
    }
    return 0;
}

static int run_parts(thi_server *server)
{
    th_fiber *self = thi_sched_self();
    int err = make_parts(server, self->worker->runtime);
    if (err < 0)
        return thi_err_clear(err);
    err = th_scope_open(&server->scope, &(th_scope_opts){ .cancel_rest = 1 });
    TH_ASSERT(err == 0);
    for (unsigned i = 0; i < server->part_count && err == 0; i++) {
        th_spawn_opts opts = { .name = "server", .place = 1 + (int)i };
        err = th_spawn_with(&server->scope, run_part, &server->parts[i], &opts, NULL);
        if (err < 0)
            (void)th_scope_cancel(&server->scope, err);
    }
    int ended = th_scope_close(&server->scope);
    thi_free(server->parts[0].acceptors);
    thi_free(server->parts);
    return (int)thi_err_plain(err < 0 ? err : ended);
}

/* ---- starting one ---- */

static bool is_valid(const thi_server_plan *plan)
{
    return plan->listeners && plan->listener_count >= 1 &&
           plan->listener_count <= THI_SERVER_LISTENERS && plan->peer_bits4 <= 32 &&
           plan->peer_bits6 <= 128;
}

int thi_server_run(thi_server *server, const thi_server_plan *plan)
{
    if (!is_valid(plan))
        return thi_err_clear(-EINVAL);
    int err = thi_sched_may_park();
    if (err < 0)
        return thi_err_clear(err);
    for (size_t i = 0; i < plan->listener_count; i++)
        if (plan->listeners[i]->tls && !plan->has_tls)
            return thi_err_set(-EOPNOTSUPP, "no TLS is spoken here");
    *server = (thi_server){ .ops = plan->ops,
                            .data = plan->data,
                            .listeners = plan->listeners,
                            .listener_count = plan->listener_count,
                            .limit = plan->max_connections };
    err = thi_peers_new(plan->max_per_peer, plan->peer_bits4, plan->peer_bits6, &server->peers);
    if (err < 0)
        return thi_err_clear(err);
    for (size_t i = 0; plan->listening && i < plan->listener_count; i++)
        plan->listening(&plan->listeners[i]->addr, plan->listening_arg);
    err = run_parts(server);
    thi_peers_free(server->peers);
    return err;
}
