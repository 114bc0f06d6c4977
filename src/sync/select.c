/* SPDX-License-Identifier: MIT */

/*
 * Waiting for the first of several things.
 *
 * First each case is attempted, beginning at one that differs from call to call, so that none of
 * those that are always ready keeps the others from their turn. If none completes, the call becomes
 * a party with a waiter in the queue of each case's object. Whoever has something for one of these
 * waiters must win the party before he hands it over; if he does not, it is as if the waiter were
 * not there, and he goes on to the next one in the queue. While it enters the queues, the call may
 * find that a case can complete after all: then it has to win itself first, like anybody else.
 *
 * Won, the call wakes, ends the case that won, and takes its waiters out of the other queues.
 *
 * Times have no queue: a fiber sets a timer for the earliest, a thread sleeps no longer than that.
 * Timer and descriptors call on the loop of the fiber's worker, and win like wakers.
 */
#include "sync/select.h"

#include "sync/event.h"
#include "sync/queue.h"
#include "sync/sem.h"
#include "sys/sys.h"

#include <thrum/error.h>

#include <limits.h>

/* ---- kinds ---- */

/* Prepares the case's waiter for a queue; gives it. */
static thi_waiter *waiter_for(thi_select *s, th_case *c, thi_waitq *queue)
{
    thi_waiter *w = thi_case_waiter(c);
    thi_waiter_init_for(w, queue, &s->party);
    c->result = 0;
    return w;
}

static void take_out(thi_waitq *queue, th_case *c)
{
    thi_waitq_lock(queue);
    thi_waitq_remove(queue, thi_case_waiter(c));
    thi_waitq_unlock(queue);
}

static void note_result(thi_select *s, th_case *c, int result)
{
    (void)s;
    c->result = result;
}

static int attempt_sem(th_case *c)
{
    c->result = 0;
    return thi_sem_take(thi_sem_of(c->sem)) ? 0 : -EAGAIN;
}

static int enter_sem(thi_select *s, th_case *c)
{
    thi_sem *sem = thi_sem_of(c->sem);
    return thi_sem_enter(sem, waiter_for(s, c, &sem->queue));
}

static void leave_sem(thi_select *s, th_case *c)
{
    (void)s;
    take_out(&thi_sem_of(c->sem)->queue, c);
}

static const thi_case_kind case_sem = { attempt_sem, enter_sem, leave_sem, note_result };

static int attempt_event(th_case *c)
{
    c->result = 0;
    return thi_event_take(thi_event_of(c->event)) ? 0 : -EAGAIN;
}

static int enter_event(thi_select *s, th_case *c)
{
    thi_event *event = thi_event_of(c->event);
    return thi_event_enter(event, waiter_for(s, c, &event->queue));
}

static void leave_event(thi_select *s, th_case *c)
{
    (void)s;
    take_out(&thi_event_of(c->event)->queue, c);
}

static const thi_case_kind case_event = { attempt_event, enter_event, leave_event, note_result };

/* The end of a closed queue completes a case as well as an item does. */
static int note_end(th_case *c, int result)
{
    if (result != TH_EOF && result != TH_ECLOSED)
        return result;
    c->result = result;
    return THI_TAKEN;
}

static int attempt_get(th_case *c)
{
    c->result = 0;
    return note_end(c, thi_sync_queue_get(c->queue, &c->item, NULL));
}

static int enter_get(thi_select *s, th_case *c)
{
    thi_waiter *w = waiter_for(s, c, &c->queue->waiting);
    return note_end(c, thi_sync_queue_get(c->queue, &c->item, w));
}

static int attempt_put(th_case *c)
{
    c->result = 0;
    return note_end(c, thi_sync_queue_put(c->queue, c->item, NULL));
}

static int enter_put(thi_select *s, th_case *c)
{
    thi_waiter *w = waiter_for(s, c, &c->queue->waiting);
    return note_end(c, thi_sync_queue_put(c->queue, c->item, w));
}

static void leave_queue(thi_select *s, th_case *c)
{
    (void)s;
    thi_sync_queue_leave(c->queue, thi_case_waiter(c));
}

static void finish_queue(thi_select *s, th_case *c, int result)
{
    const thi_waiter *w = thi_case_waiter(c);
    (void)s;
    if (result == 0 && c->kind == TH_CASE_KIND_GET)
        c->item = (void *)w->request;
    c->result = thi_sync_queue_waited(c->queue, w, result);
}

static const thi_case_kind case_get = { attempt_get, enter_get, leave_queue, finish_queue };
static const thi_case_kind case_put = { attempt_put, enter_put, leave_queue, finish_queue };

/* Times and cases that are switched off are nobody's matter but the call's. */
static int attempt_nothing(th_case *c)
{
    c->result = 0;
    return -EAGAIN;
}

static int enter_nothing(thi_select *s, th_case *c)
{
    (void)s;
    (void)c;
    return THI_QUEUED;
}

static void leave_nothing(thi_select *s, th_case *c)
{
    (void)s;
    (void)c;
}

static const thi_case_kind case_call = { attempt_nothing, enter_nothing, leave_nothing,
                                         note_result };

static const thi_case_kind *const kinds[] = {
    [TH_CASE_NONE] = &case_call,
    [TH_CASE_KIND_GET] = &case_get,
    [TH_CASE_KIND_PUT] = &case_put,
    [TH_CASE_KIND_EVENT] = &case_event,
    [TH_CASE_KIND_SEM] = &case_sem,
    [TH_CASE_KIND_TIME] = &case_call,
    [TH_CASE_KIND_READABLE] = &thi_case_fd,
    [TH_CASE_KIND_WRITABLE] = &thi_case_fd,
};

static const thi_case_kind *kind_of(const th_case *c)
{
    return kinds[c->kind];
}

/* ---- what is asked for ---- */

static int check_case(const th_case *c)
{
    switch (c->kind) {
    case TH_CASE_KIND_GET:
    case TH_CASE_KIND_PUT:
        return c->queue ? 0 : -EINVAL;
    case TH_CASE_KIND_EVENT:
        return c->event ? 0 : -EINVAL;
    case TH_CASE_KIND_SEM:
        return c->sem ? 0 : -EINVAL;
    case TH_CASE_KIND_READABLE:
    case TH_CASE_KIND_WRITABLE:
        if (!thi_sched_self())
            return -EPERM;
        return c->fd >= 0 ? 0 : -EBADF;
    default:
        return c->kind == TH_CASE_NONE || c->kind == TH_CASE_KIND_TIME ? 0 : -EINVAL;
    }
}

static bool never_completes(const th_case *c)
{
    return c->kind == TH_CASE_NONE || (c->kind == TH_CASE_KIND_TIME && c->time == TH_NEVER);
}

/* A wait that neither a case nor a deadline would end is a mistake. */
static int check(const th_case *cases, size_t count)
{
    const th_fiber *self = thi_sched_self();
    bool ends = self && self->scope->deadline != TH_NEVER;
    for (size_t i = 0; i < count; i++) {
        int err = check_case(&cases[i]);
        if (err < 0)
            return err;
        ends |= !never_completes(&cases[i]);
    }
    return ends ? 0 : -EINVAL;
}

/*
 * Where a round begins. The multiples of the golden ratio are spread evenly, and fall into no step
 * with what the caller does in between. A worker counts for itself, so that a simulation repeats.
 */
static size_t choose(size_t count)
{
    static _Thread_local uint32_t choices;
    uint32_t *made = thi_worker_self ? &thi_worker_self->choices : &choices;
    return (size_t)((uint64_t)(++*made * UINT32_C(0x9e3779b9)) * count >> 32);
}

/* ---- without waiting ---- */

static bool is_earlier(const th_case *c, const th_case *than)
{
    return c->kind == TH_CASE_KIND_TIME && c->time != TH_NEVER && (!than || c->time < than->time);
}

static th_case *earliest(thi_select *s)
{
    th_case *due = NULL;
    for (size_t i = 0; i < s->count; i++)
        if (is_earlier(thi_select_at(s, i), due))
            due = thi_select_at(s, i);
    return due;
}

static bool is_past(int64_t time)
{
    return time <= (thi_worker_self ? thi_worker_self->loop.now : thi_sys_clock());
}

/* The case that completes at once in *completed; -EAGAIN, or why the call must fail. */
static int attempt_all(thi_select *s, th_case **completed)
{
    for (size_t i = 0; i < s->count; i++) {
        th_case *c = thi_select_at(s, i);
        int err = kind_of(c)->attempt(c);
        if (err == -EAGAIN)
            continue;
        *completed = c;
        return err;
    }
    s->due = earliest(s);
    if (!s->due || !is_past(s->due->time))
        return -EAGAIN;
    *completed = s->due;
    return 0;
}

/* ---- waiting ---- */

/* THI_QUEUED in all, or what came of the case that ended it; that one is not counted as entered. */
static int enter_all(thi_select *s)
{
    int result = THI_QUEUED;
    for (s->entered = 0; s->entered < s->count; s->entered++) {
        th_case *c = thi_select_at(s, s->entered);
        result = kind_of(c)->enter(s, c);
        if (result != THI_QUEUED)
            break;
    }
    return result;
}

static void leave_all_but(thi_select *s, const th_case *winner)
{
    for (size_t i = 0; i < s->entered; i++) {
        th_case *c = thi_select_at(s, i);
        if (c != winner)
            kind_of(c)->leave(s, c);
    }
}

static void on_time(thi_timer *timer)
{
    thi_select *s = thi_container_of(timer, thi_select, timer);
    thi_select_complete(&s->party, s->due);
}

static int sleep_as_fiber(thi_select *s)
{
    thi_loop *loop = &s->party.fiber->worker->loop;
    thi_timer_init(&s->timer, on_time);
    if (s->due)
        thi_loop_timer(loop, &s->timer, s->due->time);
    int result = thi_waiter_sleep(&s->party);
    thi_timer_cancel(&loop->timers, &s->timer);
    return result;
}

static int sleep_as_thread(thi_select *s)
{
    if (s->due && !thi_waiter_sleep_until(&s->party, s->due->time) &&
        thi_waiter_decide(&s->party, thi_case_waiter(s->due)))
        return 0;
    return thi_waiter_sleep(&s->party);
}

/* Sleeps until the party is won, and ends the case that won it, unless that was the canceller. */
static int sleep_and_finish(thi_select *s, th_case **completed)
{
    int result = s->party.fiber ? sleep_as_fiber(s) : sleep_as_thread(s);
    const thi_waiter *winner = atomic_load_explicit(&s->party.winner, memory_order_acquire);
    th_case *won = NULL;
    for (size_t i = 0; i < s->entered && !won; i++)
        if (winner == thi_case_waiter(thi_select_at(s, i)))
            won = thi_select_at(s, i);
    leave_all_but(s, won);
    if (!won)
        return result;
    kind_of(won)->finish(s, won, result);
    *completed = won;
    return 0;
}

/* A call that has to fail must win itself as well, unless the case that failed has done so. */
static bool may_give_up(thi_select *s, th_case *c)
{
    return thi_waiter_decide(&s->party, &s->party) ||
           atomic_load_explicit(&s->party.winner, memory_order_acquire) == thi_case_waiter(c);
}

static const thi_wait_kind selecting = { "select", THI_BY_ANYBODY, 0 };

static int wait_for_one(thi_select *s, th_case **completed)
{
    int err = thi_waiter_init(&s->party, NULL, &selecting, s->cases);
    if (err < 0)
        return err;
    int result = enter_all(s);
    th_case *last = s->entered < s->count ? thi_select_at(s, s->entered) : NULL;
    if (result == THI_TAKEN || (result < 0 && may_give_up(s, last))) {
        leave_all_but(s, NULL);
        *completed = last;
        return result < 0 ? result : 0;
    }
    return sleep_and_finish(s, completed);
}

int th_select(th_case *cases, size_t count, unsigned flags)
{
    if ((!cases && count > 0) || count > INT_MAX || (flags & ~TH_SELECT_IN_ORDER))
        return -EINVAL;
    int err = check(cases, count);
    if (err < 0)
        return err;
    thi_select s = { .cases = cases, .count = count };
    s.first = flags & TH_SELECT_IN_ORDER ? 0 : choose(count);
    th_case *completed = NULL;
    err = attempt_all(&s, &completed);
    if (err == -EAGAIN)
        err = wait_for_one(&s, &completed);
    else if (err == 0)
        thi_sched_spend(1);
    return err < 0 ? err : (int)(completed - cases);
}
