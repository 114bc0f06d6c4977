/* SPDX-License-Identifier: MIT */

/*
 * Scopes across workers, by messages alone.
 *
 * A child on another worker lives in a proxy scope there, which has no parent. The object that
 * holds the proxy travels: to the target to start the child, back when the child has ended. A
 * second message in the same object carries a cancellation out and comes back empty; the object is
 * freed by the scope's worker when both are home. So no field is ever used by two threads at once,
 * and nothing here takes a lock.
 *
 * Calls on a scope from elsewhere are counted in scope->inflight before they are sent. The caller
 * knows that the scope is open until its call returns, so a scope that is being closed sees every
 * such message in the count and waits for it.
 */
#include "runtime/remote.h"

#include "base/alloc.h"
#include "runtime/place.h"
#include "runtime/worker.h"

#include <errno.h>

typedef struct remote {
    thi_msg msg;       /* out to start, back when the child has ended */
    thi_msg cancel;    /* out with a status, back empty */
    thi_far_child far; /* in scope->far */
    thi_scope *scope;
    thi_worker *owner; /* the scope's worker; the scope may be gone when `cancel` comes back */
    thi_worker *target;
    thi_start start;
    int64_t deadline;
    int status; /* to be told */
    int reason;
    int result;
    bool cancelling; /* `cancel` is out */
    bool ended;      /* `msg` is back for good */
    thi_scope proxy; /* the target's while `msg` is out */
} remote;

static void release(remote *r)
{
    if (r->ended && !r->cancelling)
        thi_free(r);
}

/* On the owner: the child has ended. */
static void on_ended(thi_msg *msg)
{
    remote *r = thi_container_of(msg, remote, msg);
    thi_list_remove(&r->far.link);
    r->ended = true;
    thi_scope_child_ended(r->scope, r->result);
    release(r);
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
    r->proxy.live = 1;
    int err = thi_start_here(&r->proxy, &r->start, NULL);
    if (err < 0) {
        thi_scope_deinit(&r->proxy);
        send_ended(r, err);
    }
}

static void send_status(remote *r);

/* On the owner: a cancellation has been delivered. What has changed since goes out after it. */
static void on_cancel_back(thi_msg *msg)
{
    remote *r = thi_container_of(msg, remote, cancel);
    r->cancelling = false;
    if (!r->ended)
        send_status(r);
    release(r);
}

/* On the target: cancel what is left of the child. */
static void on_cancel(thi_msg *msg)
{
    remote *r = thi_container_of(msg, remote, cancel);
    if (thi_scope_is_open(&r->proxy))
        thi_scope_mark(&r->proxy, r->status, r->reason);
    msg->fn = on_cancel_back;
    thi_loop_post(&r->owner->loop, msg);
}

/* Tells the target what the scope's status is, unless it knows or will hear of it. */
static void send_status(remote *r)
{
    if (r->cancelling || r->status == r->scope->status)
        return;
    r->cancelling = true;
    r->status = r->scope->status;
    r->reason = r->scope->reason;
    r->cancel.fn = on_cancel;
    thi_loop_post(&r->target->loop, &r->cancel);
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
    r->deadline = scope->deadline;
    r->msg.fn = on_start;
    r->far.tell = tell;
    thi_list_push_back(&scope->far, &r->far.link);
    thi_loop_post(&target->loop, &r->msg);
    return 0;
}

int thi_remote_start(thi_scope *scope, const thi_start *start)
{
    thi_worker *target = thi_worker_place(scope->worker, start->place);
    if (target == scope->worker)
        return thi_start_here(scope, start, NULL);
    return start_far(scope, target, start);
}

/* A call on a scope that comes from elsewhere. A start stays on until there is room for it. */
typedef struct request {
    thi_msg msg;
    thi_place_wait place;
    thi_scope *scope;
    int reason;
    thi_start start;
} request;

static int send_request(thi_scope *scope, request template)
{
    request *rq = thi_alloc(sizeof *rq);
    if (!rq)
        return -ENOMEM;
    *rq = template;
    rq->scope = scope;
    atomic_fetch_add(&scope->inflight, 1);
    thi_loop_post(&scope->worker->loop, &rq->msg);
    return 0;
}

/* The message has been dealt with: whoever closes the scope may look again. */
static void settle(thi_scope *scope)
{
    atomic_fetch_sub(&scope->inflight, 1);
    if (scope->closer)
        scope->closer->abort(scope->closer, 0);
}

static void on_cancel_request(thi_msg *msg)
{
    request *rq = thi_container_of(msg, request, msg);
    thi_scope *scope = rq->scope;
    thi_scope_mark(scope, -ECANCELED, rq->reason);
    thi_free(rq);
    settle(scope);
}

int thi_remote_send_cancel(thi_scope *scope, int reason)
{
    return send_request(scope, (request){ .msg.fn = on_cancel_request, .reason = reason });
}

static void admit_request(thi_place_wait *place)
{
    request *rq = thi_container_of(place, request, place);
    thi_scope *scope = rq->scope;
    int err = thi_remote_start(scope, &rq->start);
    thi_free(rq);
    if (err < 0)
        thi_scope_child_ended(scope, err);
}

static void on_start_request(thi_msg *msg)
{
    request *rq = thi_container_of(msg, request, msg);
    thi_scope *scope = rq->scope;
    rq->place.admit = admit_request;
    if (scope->live < scope->limit) {
        scope->live++;
        admit_request(&rq->place);
    } else {
        thi_list_push_back(&scope->waiting, &rq->place.link);
    }
    settle(scope);
}

int thi_remote_send_start(thi_scope *scope, const thi_start *start)
{
    return send_request(scope, (request){ .msg.fn = on_start_request, .start = *start });
}
