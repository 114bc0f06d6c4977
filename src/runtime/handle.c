/* SPDX-License-Identifier: MIT */

/* Joining, cancelling and telling of single fibers. */
#include "runtime/handle.h"

#include "base/spares.h"

#include <thrum/fiber.h>

#include <string.h>

/* The numbers of fibers whose handle is older than they are; above those of all workers. */
#define AWAY_IDS (UINT64_C(0xffff) << 48)

static thi_handle *handle_of(const th_fiber *fiber)
{
    union {
        const th_fiber *in;
        thi_handle *out;
    } u = { .in = fiber };
    return *(const uint32_t *)(const void *)fiber == THI_IS_HANDLE ? u.out : NULL;
}

/* Whoever gives the last one back need not be on the worker that made it. */
static thi_spares handles = { .size = sizeof(thi_handle) };

static void leave_own(thi_follower *follower);
static void ended(thi_follower *follower, thi_scope *home, int result);

thi_handle *thi_handle_new(thi_worker *worker, const char *name, const char *origin, bool away)
{
    thi_handle *h = thi_spares_alloc(&handles);
    if (!h)
        return NULL;
    memset(h, 0, offsetof(thi_handle, own)); /* the large rest is set up by whoever cancels it */
    h->own.magic = 0;
    h->kind = THI_IS_HANDLE;
    h->follower = (thi_follower){ .leaves = leave_own, .ended = ended };
    h->name = name;
    h->origin = origin;
    atomic_init(&h->refs, 2);
    if (away)
        h->id = AWAY_IDS + atomic_fetch_add(&worker->runtime->away_ids, 1) + 1;
    return h;
}

static thi_handle *ref(thi_handle *h)
{
    atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
    return h;
}

void thi_handle_unref(thi_handle *h)
{
    if (h && atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) == 1)
        thi_spares_free(&handles, h);
}

/* ---- the life of a handle ---- */

bool thi_handle_start(thi_handle *h, thi_worker *worker)
{
    thi_waitq_lock(&h->joiners);
    bool starts = h->reason == 0;
    if (starts) {
        h->state = THI_HANDLE_RUNNING;
        h->worker = worker;
    }
    thi_waitq_unlock(&h->joiners);
    return starts;
}

void thi_handle_attach(thi_handle *h, th_fiber *fiber)
{
    if (h->id)
        fiber->id = h->id;
    else
        h->id = fiber->id;
    __atomic_store_n(&h->fiber, fiber, __ATOMIC_RELAXED); /* joiners look at it, without the lock */
    fiber->follower = &h->follower;
}

/* On the worker of a delay: it is over, in the next turn. */
static void hurry(thi_handle *h)
{
    thi_loop *loop = &h->worker->loop;
    thi_loop_timer(loop, h->delay, loop->now);
}

void thi_handle_delay(thi_handle *h, thi_worker *worker, thi_timer *delay)
{
    thi_waitq_lock(&h->joiners);
    h->state = THI_HANDLE_DELAYED;
    h->worker = worker;
    h->delay = delay;
    bool cancelled = h->reason != 0;
    thi_waitq_unlock(&h->joiners);
    if (cancelled)
        hurry(h);
}

bool thi_handle_undelay(thi_handle *h)
{
    thi_waitq_lock(&h->joiners);
    bool goes_on = h->reason == 0;
    if (goes_on)
        h->state = THI_HANDLE_WAITING;
    h->delay = NULL;
    thi_waitq_unlock(&h->joiners);
    return goes_on;
}

/* Whoever is cancelled alone and says so has not failed, unless all around it has been as well. */
static int counted(const thi_handle *h, const thi_scope *home, int result)
{
    return h->reason != 0 && result == -ECANCELED && home->status == 0 ? 0 : result;
}

void thi_handle_end(thi_handle *h, thi_scope *home, int result)
{
    thi_waitq_lock(&h->joiners);
    h->state = THI_HANDLE_ENDED;
    __atomic_store_n(&h->fiber, NULL, __ATOMIC_RELAXED);
    h->result = result;
    int counts = counted(h, home, result);
    bool told = !h->telling;
    if (!told) {
        h->owing = home;
        h->owed = counts;
    }
    thi_waiter *joiners = thi_waitq_take_all(&h->joiners);
    atomic_store_explicit(&h->ended, true, memory_order_release);
    thi_waitq_unlock(&h->joiners);
    thi_waiter_wake_all(joiners);
    if (!told)
        return;
    thi_handle_unref(h);
    thi_scope_child_ended(home, counts);
}

static void ended(thi_follower *follower, thi_scope *home, int result)
{
    thi_handle_end(thi_container_of(follower, thi_handle, follower), home, result);
}

/* ---- cancelling ---- */

/* The outermost scope that the fiber has opened; NULL when it is in its home. */
static thi_scope *outermost(const th_fiber *fiber)
{
    thi_scope *scope = fiber->scope;
    if (scope == fiber->home)
        return NULL;
    while (scope->parent != fiber->home)
        scope = scope->parent;
    return scope;
}

static void cancel_fiber(thi_handle *h, th_fiber *fiber)
{
    thi_scope *top = outermost(fiber);
    thi_scope_init(&h->own, fiber->home, NULL);
    if (top) {
        thi_list_remove(&top->sibling);
        top->parent = &h->own;
        thi_list_push_back(&h->own.scopes, &top->sibling);
    } else {
        thi_scope_leave(fiber);
        thi_scope_enter(&h->own, fiber);
    }
    thi_scope_mark(&h->own, -ECANCELED, h->reason);
}

/* Takes a fiber that was cancelled alone out of the scope that it has for that. */
static void leave_own(thi_follower *follower)
{
    thi_handle *h = thi_container_of(follower, thi_handle, follower);
    if (!thi_scope_is_open(&h->own) || h->fiber->scope != &h->own)
        return; /* it was not cancelled, or has left a scope open */
    thi_scope_leave(h->fiber);
    thi_scope_enter(h->fiber->home, h->fiber);
    thi_scope_deinit(&h->own);
}

/* On its worker. */
static void carry_out(thi_handle *h)
{
    if (h->delay)
        hurry(h);
    else if (h->fiber)
        cancel_fiber(h, h->fiber);
}

static void on_cancelled(thi_msg *msg)
{
    thi_handle *h = thi_container_of(msg, thi_handle, msg);
    thi_waitq_lock(&h->joiners);
    h->telling = false;
    bool over = h->state == THI_HANDLE_ENDED;
    thi_waitq_unlock(&h->joiners);
    thi_scope *home = h->owing;
    int counts = h->owed;
    if (!over)
        carry_out(h);
    thi_handle_unref(h);
    if (!over)
        return;
    thi_handle_unref(h); /* the start's */
    thi_scope_child_ended(home, counts);
}

/* Once `telling` is set the worker stays until the message has come. */
static void cancel(thi_handle *h, int reason)
{
    bool here = false;
    bool elsewhere = false;
    thi_waitq_lock(&h->joiners);
    thi_worker *worker = h->worker;
    if (h->reason == 0 && h->state != THI_HANDLE_ENDED) {
        h->reason = reason;
        here = h->state != THI_HANDLE_WAITING && worker == thi_worker_self;
        elsewhere = h->state != THI_HANDLE_WAITING && !here;
        h->telling = elsewhere;
    }
    thi_waitq_unlock(&h->joiners);
    if (here) {
        carry_out(h);
    } else if (elsewhere) {
        h->msg.fn = on_cancelled;
        thi_worker_post(worker, &ref(h)->msg);
    }
}

/* The handle of what the user holds; a fiber itself gets one when it has none. */
static thi_handle *followed_by(const th_fiber *fiber)
{
    return fiber->follower ? thi_container_of(fiber->follower, thi_handle, follower) : NULL;
}

static int take_handle(th_fiber *fiber, thi_handle **out)
{
    thi_handle *h = handle_of(fiber);
    if (!h &&
        (!thi_worker_self || fiber->worker != thi_worker_self || fiber->state == THI_FIBER_FREE))
        return -EINVAL;
    if (!h)
        h = followed_by(fiber);
    if (!h) {
        h = thi_handle_new(fiber->worker, fiber->name, fiber->origin, false);
        if (!h)
            return -ENOMEM;
        h->state = THI_HANDLE_RUNNING;
        h->worker = fiber->worker;
        thi_handle_attach(h, fiber);
        *out = h;
        return 0;
    }
    *out = ref(h);
    return 0;
}

int th_fiber_cancel(th_fiber *fiber, int reason)
{
    thi_handle *h;
    if (!fiber || reason > 0)
        return -EINVAL;
    int err = take_handle(fiber, &h);
    if (err < 0)
        return err;
    cancel(h, reason ? reason : -ECANCELED);
    thi_handle_unref(h);
    return 0;
}

int th_fiber_set_priority(th_fiber *fiber, int priority)
{
    int rank = thi_rank_of(priority);
    if (!fiber || rank < 0)
        return -EINVAL;
    thi_handle *h = handle_of(fiber);
    if (h) {
        thi_waitq_lock(&h->joiners);
        bool here = h->state == THI_HANDLE_RUNNING && h->worker == thi_worker_self;
        thi_waitq_unlock(&h->joiners);
        fiber = here ? h->fiber : NULL; /* nobody but this worker changes that */
    }
    if (!fiber || fiber->worker != thi_worker_self)
        return -EINVAL;
    fiber->rank = (uint8_t)rank;
    return 0;
}

int th_cancel_reason(void)
{
    const th_fiber *self = thi_sched_self();
    return self ? self->scope->reason : 0;
}

/* ---- joining ---- */

static const thi_wait_kind joining = { "join", THI_BY_FIBER, offsetof(thi_handle, fiber) };

static int wait_for_end(thi_handle *h)
{
    thi_waiter w;
    int err = thi_waiter_init(&w, &h->joiners, &joining, h);
    if (err < 0)
        return err;
    thi_waitq_lock(&h->joiners);
    bool ended = h->state == THI_HANDLE_ENDED;
    if (!ended)
        thi_waitq_push(&h->joiners, &w);
    thi_waitq_unlock(&h->joiners);
    return ended ? 0 : thi_waiter_sleep_tied(&w);
}

int th_join(th_fiber *fiber, int *result)
{
    const th_fiber *self = thi_sched_self();
    thi_handle *h;
    if (!fiber)
        return -EINVAL;
    if (self && (fiber == self || (self->follower && handle_of(fiber) == followed_by(self))))
        return -EDEADLK;
    int err = take_handle(fiber, &h);
    if (err < 0)
        return err;
    if (!atomic_load_explicit(&h->ended, memory_order_acquire))
        err = wait_for_end(h);
    if (err == 0 && result)
        *result = h->result;
    thi_handle_unref(h);
    return err;
}

/* ---- telling ---- */

th_fiber *th_fiber_self(void)
{
    return thi_sched_self();
}

const char *th_fiber_name(const th_fiber *fiber)
{
    if (!fiber)
        return "fiber";
    const thi_handle *h = handle_of(fiber);
    return h ? thi_fiber_text(h->name, h->origin) : thi_fiber_text(fiber->name, fiber->origin);
}

const char *th_fiber_place(const th_fiber *fiber)
{
    if (!fiber)
        return "";
    const thi_handle *h = handle_of(fiber);
    return thi_origin_place(h ? h->origin : fiber->origin);
}

uint64_t th_fiber_id(const th_fiber *fiber)
{
    if (!fiber)
        return 0;
    const thi_handle *h = handle_of(fiber);
    return h ? h->id : fiber->id;
}

void th_fiber_unref(th_fiber *fiber)
{
    if (fiber)
        thi_handle_unref(handle_of(fiber));
}
