/* SPDX-License-Identifier: MIT */

/*
 * The life of a transport.
 *
 * It is a child of a scope, as a fiber is, but holds no stack: it hangs in the list of those whom
 * the scope tells of a cancellation, and is counted among its children until connection_lost() has
 * returned. So a scope that closes waits for its connections, and a server, whose parts have scopes
 * of their own, needs to know nothing of them.
 *
 * States follow one another: not made, open, closing, dead, lost. To close is to wait for what is
 * to be sent; to be dead is to have a reason, nothing that waits, and nothing left but the end,
 * which the deferred function tells. What dies before connection_made() was told is told of both,
 * in this order, because its factory has made something that wants to be freed.
 */
#include "callback/transport.h"

#include "base/alloc.h"
#include "base/log.h"
#include "runtime/place.h"
#include "runtime/sched.h"
#include "runtime/turn.h"

#define LOW_SHARE 4 /* the low mark is this part of the high one */

/* ---- making one ---- */

static void on_later(thi_deferred *deferred);

th_transport *thi_transport_new(const thi_carrier *carrier)
{
    th_transport *t = thi_worker_scratch() ? thi_calloc(1, sizeof *t) : NULL;
    if (!t)
        return NULL;
    t->carrier = carrier;
    t->worker = thi_worker_self;
    t->high = TH_TRANSPORT_HIGH;
    t->low = TH_TRANSPORT_HIGH / LOW_SHARE;
    t->refs = 1;
    t->reads = true;
    t->watch.fd = -1;
    thi_deferred_init(&t->later, on_later);
    return t;
}

void thi_transport_discard(th_transport *t)
{
    if (t->left)
        (void)t->left(t, t->self);
    thi_transport_drop_waiting(t);
    thi_transport_drop_unread(t);
    thi_transport_drop_upgrade(t);
    thi_loop_undefer(&t->later);
    t->carrier->close(t, t->resets);
    thi_free(t);
}

int thi_transport_take_place(thi_scope *scope)
{
    if (scope->status < 0)
        return scope->status;
    if (scope->live >= scope->limit || !thi_list_empty(&scope->waiting))
        return -EAGAIN;
    scope->live++;
    return 0;
}

int thi_transport_find_scope(const th_protocol_opts *opts, thi_scope **scope)
{
    if (!thi_worker_self)
        return -EPERM;
    if (opts && (opts->size > sizeof *opts || opts->time < 0))
        return -EINVAL;
    th_fiber *self = thi_sched_self();
    thi_scope *found = opts && opts->scope ? thi_scope_of(opts->scope) : self ? self->scope : NULL;
    if (!thi_scope_is_open(found) || found->worker != thi_worker_self)
        return -EINVAL;
    *scope = found;
    return 0;
}

/* Its scope is cancelled, or its time is up. */
static void on_told(thi_far_child *child)
{
    th_transport *t = thi_container_of(child, th_transport, told);
    if (t->scope->status < 0)
        thi_transport_fail(t, t->scope->reason);
}

int thi_transport_start(th_transport *t, thi_scope *scope, th_protocol_factory factory, void *arg)
{
    t->scope = scope;
    int err = factory(t, arg);
    if (err == 0 && !t->protocol)
        err = -EINVAL;
    if (err < 0) {
        t->scope = NULL;
        return err;
    }
    t->told.tell = on_told;
    thi_list_push_back(&scope->far, &t->told.link);
    thi_worker_add_guests(t->worker, 1);
    thi_transport_later(t);
    if (scope->status < 0) /* since the place was taken */
        thi_transport_fail(t, scope->reason);
    return 0;
}

int thi_transport_start_lent(th_transport *t, thi_scope *scope, th_protocol_factory factory,
                             void *arg)
{
    t->lent = true;
    int err = thi_transport_start(t, scope, factory, arg);
    if (err < 0)
        thi_transport_discard(t);
    else
        t->lent = false;
    return err;
}

/* ---- its end ---- */

void thi_transport_fail(th_transport *t, int reason)
{
    if (t->dead)
        return;
    t->dead = true;
    t->reason = reason;
    t->resets = t->resets || reason < 0;
    thi_transport_drop_waiting(t);
    thi_transport_later(t);
}

void thi_transport_condemn(th_transport *t, const char *what, int result)
{
    if (!t->dead)
        thi_log(TH_LOG_DEBUG, "a connection ends: %s: %s", what, th_strerror(result));
    thi_transport_fail(t, result);
}

/* Whether nothing keeps one that closes from being dead. */
static bool is_drained(const th_transport *t)
{
    return t->closing && !t->dead && thi_transport_is_idle(t) && !t->producer && !t->finished;
}

/* Where the peer is to know of an orderly end, it is told before that. */
static void say_end(th_transport *t)
{
    if (!t->carrier->says_end || t->end_sent || t->lent)
        return;
    t->end_sent = true;
    t->end_sent_told = true; /* nobody has asked for it */
    (void)t->carrier->shutdown(t);
}

static void lose(th_transport *t)
{
    t->lost = true;
    if (t->reason < 0 && t->carrier->explain)
        t->carrier->explain(t);
    if (t->protocol->connection_lost)
        t->protocol->connection_lost(t, t->self, t->reason);
    thi_transport_drop_unread(t);
    thi_transport_drop_upgrade(t);
    t->carrier->close(t, t->resets);
    thi_origin_free(t->origin);
    t->origin = NULL;
    thi_scope *scope = t->scope;
    thi_list_remove(&t->told.link);
    thi_worker_add_guests(t->worker, (size_t)-1);
    t->scope = NULL;
    if (t->ended)
        t->ended(t);
    thi_scope_child_ended(scope, 0);
    th_transport_unref(t);
}

/* ---- what the protocol is told ---- */

static void tell_made(th_transport *t)
{
    t->made = true;
    if (!t->reads) /* nothing comes that way but the news that nobody reads */
        thi_transport_want(t, THI_READ);
    if (t->protocol->connection_made)
        thi_transport_judge(t, "connection_made", t->protocol->connection_made(t, t->self));
}

static void tell_mark(th_transport *t, bool over)
{
    void (*fn)(th_transport *, void *) =
        over ? t->protocol->pause_writing : t->protocol->resume_writing;
    t->over_told = over;
    t->promised = false;
    if (fn)
        fn(t, t->self);
}

/* Both in a row if a write said that resuming would be told, and all has left since. */
static void tell_marks(th_transport *t)
{
    if (!t->dead && !t->over_told && (t->over || t->promised))
        tell_mark(t, true);
    if (!t->dead && t->over_told && !t->over)
        tell_mark(t, false);
}

/* Each half that has ended, and that both have. */
static void tell_ends(th_transport *t)
{
    if (t->end_sent && !t->end_sent_told && !t->dead) {
        t->end_sent_told = true;
        if (t->protocol->eof_sent)
            thi_transport_judge(t, "eof_sent", t->protocol->eof_sent(t, t->self));
    }
    if (t->at_end && !t->unread && !t->end_told && !t->dead && !t->closing) {
        t->end_told = true;
        int keep = t->protocol->eof_received ? t->protocol->eof_received(t, t->self) : 0;
        thi_transport_judge(t, "eof_received", keep);
        if (keep == 0)
            t->closing = true;
    }
    if (t->end_told && t->end_sent_told)
        t->closing = true;
}

static void tell_stopping(th_transport *t)
{
    if (!t->stop_asked || t->dead || t->closing)
        return;
    t->stop_asked = false;
    if (t->protocol->stopping)
        t->protocol->stopping(t, t->self);
}

/* Looks at the state and tells what follows from it, in this order. */
static void on_later(thi_deferred *deferred)
{
    th_transport *t = thi_container_of(deferred, th_transport, later);
    thi_loop_stay_awake(&t->worker->loop); /* what it tells may wake fibers */
    t->refs++;
    if (!t->lost) {
        if (!t->made)
            tell_made(t);
        thi_transport_flush(t);
        if (TH_UNLIKELY(t->upgrade != NULL))
            thi_transport_begin_upgrade(t);
        thi_transport_tell_files(t);
        tell_marks(t);
        tell_stopping(t);
        thi_transport_read(t);
        tell_ends(t);
    }
    thi_transport_tell_producer(t);
    if (!t->lost) {
        if (is_drained(t))
            say_end(t);
        if (is_drained(t))
            thi_transport_fail(t, 0);
        if (t->dead && !t->file_busy && !t->finished)
            lose(t);
    }
    th_transport_unref(t);
}

void thi_transport_event(th_transport *t, unsigned events)
{
    if (TH_UNLIKELY(!t->made || t->dead))
        return; /* the deferred function looks at everything anyway */
    if ((events & THI_WRITE) && !thi_transport_is_idle(t))
        thi_transport_flush(t);
    if (events & THI_READ)
        thi_transport_read(t);
    if (TH_UNLIKELY(!t->reads) && t->carrier->is_gone && t->carrier->is_gone(t, events))
        thi_transport_fail(t, -EPIPE);
}

/* ---- calls ---- */

int th_transport_close(th_transport *t)
{
    int err = thi_transport_check(t);
    if (err < 0 || t->closing || t->dead)
        return err;
    t->closing = true;
    thi_transport_later(t);
    return 0;
}

int th_transport_abort(th_transport *t, int reason)
{
    int err = reason > 0 ? -EINVAL : thi_transport_check(t);
    if (err < 0 || t->dead)
        return err;
    thi_transport_fail(t, reason < 0 ? reason : -ECONNABORTED);
    return 0;
}

int th_transport_set_marks(th_transport *t, size_t high, size_t low)
{
    int err = thi_transport_check(t);
    if (low == SIZE_MAX)
        low = high / LOW_SHARE;
    if (err < 0 || low > high)
        return err < 0 ? err : -EINVAL;
    t->high = high;
    t->low = low;
    thi_transport_settle(t);
    return 0;
}

/* Whether a transport can be served by it. */
static bool suffices(const th_transport *t, const th_protocol *protocol)
{
    if (!protocol || protocol->size > sizeof *protocol)
        return false;
    if (t->carrier->datagrams)
        return protocol->datagram_received != NULL;
    bool buffered = protocol->get_buffer && protocol->buffer_updated;
    return !t->reads || protocol->data_received || buffered;
}

int th_transport_set_protocol(th_transport *t, const th_protocol *protocol, void *self)
{
    int err = thi_transport_check(t);
    if (err < 0)
        return err;
    if (!suffices(t, protocol))
        return -EINVAL;
    if (t->lost)
        return -EBADF;
    int (*left)(th_transport *, void *) = t->left;
    void *former = t->self;
    t->protocol = protocol;
    t->self = self;
    t->left = NULL;
    return left ? left(t, former) : 0;
}

void *th_transport_self(const th_transport *t)
{
    return t ? t->self : NULL;
}

th_scope *th_transport_scope(const th_transport *t)
{
    return t ? (th_scope *)(void *)t->scope : NULL;
}

int th_transport_get_info(const th_transport *t, th_transport_info *info)
{
    int err = info ? thi_transport_check(t) : -EINVAL;
    if (err < 0)
        return err;
    *info = (th_transport_info){ .carrier = t->carrier->name,
                                 .fd = t->watch.fd,
                                 .reading = t->reads && !t->paused && !t->at_end && !t->closing &&
                                            !t->dead,
                                 .closing = t->closing || t->dead,
                                 .waiting = t->out.bytes,
                                 .high = t->high,
                                 .low = t->low,
                                 .received = t->received,
                                 .sent = t->sent,
                                 .dropped = t->dropped };
    return 0;
}

static int tell_address(const th_transport *t, th_addr *addr,
                        int (*fn)(const th_transport *, th_addr *))
{
    if (!t->scope)
        return -EBADF;
    if (fn)
        return fn(t, addr);
    *addr = (th_addr){ .kind = TH_ADDR_NONE };
    return 0;
}

int th_transport_peer(const th_transport *t, th_addr *addr)
{
    int err = addr ? thi_transport_check(t) : -EINVAL;
    if (err < 0)
        return err;
    const th_addr *client = thi_origin_source(t->origin);
    if (!client)
        return tell_address(t, addr, t->carrier->peer);
    *addr = *client;
    return 0;
}

int th_transport_local(const th_transport *t, th_addr *addr)
{
    int err = addr ? thi_transport_check(t) : -EINVAL;
    return err < 0 ? err : tell_address(t, addr, t->carrier->local);
}

th_transport *th_transport_ref(th_transport *t)
{
    if (t)
        t->refs++;
    return t;
}

void th_transport_unref(th_transport *t)
{
    if (!t || --t->refs > 0)
        return;
    thi_loop_undefer(&t->later);
    thi_free(t);
}
