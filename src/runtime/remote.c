/* SPDX-License-Identifier: MIT */

/*
 * Scopes across workers, by messages alone.
 *
 * A child on another worker lives in a proxy scope there, which has no parent. The object that
 * holds the proxy travels: to the target to start the child, back when the child has ended. A
 * second message in the same object carries a status out and comes back empty; the object is freed
 * by the scope's worker when both are home. So no field is ever used by two threads at once, and
 * nothing here takes a lock.
 *
 * Messages about a scope are counted in scope->inflight before they are sent, except those that a
 * child stands for, and a scope closes only when none is left. A caller from elsewhere knows that
 * the scope is open until its call returns, so the count is never too late.
 */
#include "runtime/remote.h"

#include "base/alloc.h"
#include "runtime/delay.h"
#include "runtime/place.h"
#include "runtime/worker.h"

#include <errno.h>

typedef struct remote {
    thi_msg msg;       /* out to start, back when the child has ended */
    thi_msg tell;      /* out with a status, back empty */
    thi_far_child far; /* in scope->far */
    thi_scope *scope;
    thi_worker *owner; /* the scope's worker */
    thi_worker *target;
    thi_start start;
    int64_t deadline; /* to start with */
    int64_t moved;    /* that the target has been told since; as are these */
    int status;
    int reason;
    int result;
    bool telling;    /* `tell` is out */
    bool ended;      /* `msg` is back for good */
    thi_scope proxy; /* the target's while `msg` is out */
} remote;

/* A message has been dealt with: whoever closes the scope may look again. */
static void settle(thi_scope *scope)
{
    atomic_fetch_sub(&scope->inflight, 1);
    if (scope->closer)
        scope->closer->abort(scope->closer, 0);
}

/* On the owner: the child has ended. */
static void on_ended(thi_msg *msg)
{
    remote *r = thi_container_of(msg, remote, msg);
    thi_scope *scope = r->scope;
    int result = r->result;
    thi_list_remove(&r->far.link);
    r->ended = true;
    if (!r->telling)
        thi_free(r);
    thi_scope_child_ended(scope, result);
}

static void send_ended(remote *r, int result)
{
    r->result = result;
    r->msg.fn = on_ended;
    thi_loop_post(&r->owner->loop, &r->msg);
}

/* On the target: the only child of the proxy has ended. */
static void on_emptied(thi_scope *proxy)
{
    remote *r = thi_container_of(proxy, remote, proxy);
    thi_scope_deinit(proxy);
    send_ended(r, proxy->first_error);
}

/* On the target: start the child. */
static void on_start(thi_msg *msg)
{
    remote *r = thi_container_of(msg, remote, msg);
    thi_scope_init(&r->proxy, NULL, &(th_scope_opts){ .deadline = r->deadline });
    r->proxy.emptied = on_emptied;
    r->proxy.origin = r->scope;
    r->proxy.live = 1;
    int err = thi_start_here(&r->proxy, &r->start);
    atomic_fetch_sub_explicit(&r->target->coming, 1, memory_order_relaxed);
    if (err < 0)
        thi_start_lost(&r->proxy, &r->start, err);
}

static void send_status(remote *r);

/* On the owner: a status has been delivered. What has changed since goes out after it. */
static void on_told(thi_msg *msg)
{
    remote *r = thi_container_of(msg, remote, tell);
    thi_scope *scope = r->scope;
    r->telling = false;
    if (r->ended)
        thi_free(r);
    else
        send_status(r);
    settle(scope);
}

/* On the target: gives what is left of the child the status, and the deadline. */
static void on_tell(thi_msg *msg)
{
    remote *r = thi_container_of(msg, remote, tell);
    if (thi_scope_is_open(&r->proxy)) {
        if (r->moved != r->proxy.own)
            thi_scope_move_deadline(&r->proxy, r->moved);
        if (r->status != 0)
            thi_scope_mark(&r->proxy, r->status, r->reason);
    }
    msg->fn = on_told;
    thi_loop_post(&r->owner->loop, msg);
}

/* Tells the target what the scope's status and deadline are, unless it knows or will hear of it. */
static void send_status(remote *r)
{
    if (r->telling || (r->status == r->scope->status && r->moved == r->scope->deadline))
        return;
    r->telling = true;
    r->moved = r->scope->deadline;
    r->status = r->scope->status;
    r->reason = r->scope->reason;
    r->tell.fn = on_tell;
    atomic_fetch_add(&r->scope->inflight, 1);
    thi_loop_post(&r->target->loop, &r->tell);
}

static void tell(thi_far_child *child)
{
    send_status(thi_container_of(child, remote, far));
}

static int start_far(thi_scope *scope, thi_worker *target, const thi_start *start)
{
    remote *r = thi_calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    r->scope = scope;
    r->owner = scope->worker;
    r->target = target;
    r->start = *start;
    r->deadline = r->moved = scope->deadline;
    r->msg.fn = on_start;
    r->far.tell = tell;
    thi_list_push_back(&scope->far, &r->far.link);
    atomic_fetch_add_explicit(&target->coming, 1, memory_order_relaxed);
    thi_loop_post(&target->loop, &r->msg);
    send_status(r); /* a start that waited for room may find its scope cancelled */
    return 0;
}

int thi_remote_start(thi_scope *scope, const thi_start *start)
{
    thi_worker *target = thi_worker_place(scope->worker, start->place);
    if (target == scope->worker)
        return thi_start_here(scope, start);
    return start_far(scope, target, start);
}

/* A start that comes from elsewhere; it stays until there is room for it. */
typedef struct start_request {
    thi_msg msg;
    thi_place_wait place;
    thi_scope *scope;
    thi_start start;
} start_request;

static int admit_request(thi_place_wait *place)
{
    start_request *rq = thi_container_of(place, start_request, place);
    thi_scope *scope = rq->scope;
    thi_start start = rq->start;
    thi_free(rq);
    int err = start.at ? thi_delay_start(scope, &start, thi_remote_start)
                       : thi_remote_start(scope, &start);
    if (err < 0)
        thi_start_lost(scope, &start, err);
    return 0;
}

static void on_start_request(thi_msg *msg)
{
    start_request *rq = thi_container_of(msg, start_request, msg);
    thi_scope *scope = rq->scope;
    thi_list_push_back(&scope->waiting, &rq->place.link);
    thi_scope_admit(scope);
    settle(scope);
}

int thi_remote_send_start(thi_scope *scope, const thi_start *start)
{
    start_request *rq = thi_alloc(sizeof *rq);
    if (!rq)
        return -ENOMEM;
    *rq = (start_request){
        .msg.fn = on_start_request, .place.admit = admit_request, .scope = scope, .start = *start
    };
    atomic_fetch_add(&scope->inflight, 1);
    thi_loop_post(&scope->worker->loop, &rq->msg);
    return 0;
}

static void on_cancel_request(thi_msg *msg)
{
    thi_scope *scope = thi_container_of(msg, thi_scope, cancel_msg);
    thi_scope_mark(scope, -ECANCELED, atomic_load(&scope->cancel_asked));
    settle(scope);
}

void thi_remote_send_cancel(thi_scope *scope, int reason)
{
    int nobody = 0;
    if (!atomic_compare_exchange_strong(&scope->cancel_asked, &nobody, reason))
        return;
    scope->cancel_msg.fn = on_cancel_request;
    atomic_fetch_add(&scope->inflight, 1);
    thi_loop_post(&scope->worker->loop, &scope->cancel_msg);
}
