/* SPDX-License-Identifier: MIT */

/*
 * The turn of the loop, and how other threads wake it.
 *
 * A loop that is about to wait sets `sleeping` and then looks at its inbox once more; a sender
 * first puts its message into the inbox and then looks at `sleeping`. Both are sequentially
 * consistent, so one of the two sees the other: no message is ever left behind a sleeping loop. The
 * sender that takes the flag down is the one that writes to the eventfd, so a burst of messages
 * costs one system call, and a loop that is awake costs none.
 */
#include "loop/loop.h"

#include "base/assert.h"
#include "base/metrics.h"
#include "base/util.h"
#include "sys/sys.h"

#include <errno.h>

/* The counter is reset by the read; its value means nothing. */
static void on_wake(thi_watch *watch, unsigned events)
{
    (void)events;
    uint64_t count;
    (void)thi_sys_read(watch->fd, &count, sizeof count);
    thi_metric_add(THI_M_LOOP_WAKEUPS, 1);
}

int thi_loop_open(thi_loop *loop, const thi_engine *engine)
{
    *loop = (thi_loop){ .engine = engine, .now = thi_sys_clock(), .stale = true };
    thi_timers_init(&loop->timers, loop->now);
    thi_list_init(&loop->deferred);
    thi_mpsc_init(&loop->inbox);
    atomic_init(&loop->sleeping, false);
    atomic_init(&loop->guests, 0);
    int err = engine->open(loop);
    if (err < 0)
        return err;
    int fd = thi_sys_eventfd();
    if (fd < 0) {
        engine->close(loop);
        return fd;
    }
    err = thi_loop_watch(loop, &loop->waker, fd, THI_WATCH_SHARED, on_wake);
    if (err < 0) {
        thi_sys_close(fd);
        engine->close(loop);
    }
    return err;
}

void thi_loop_close(thi_loop *loop)
{
    while (atomic_load(&loop->guests) > 0)
        (void)thi_sys_yield();
    int fd = loop->waker.fd;
    thi_loop_unwatch(loop, &loop->waker);
    thi_sys_close(fd);
    loop->engine->close(loop);
}

int thi_loop_watch(thi_loop *loop, thi_watch *watch, int fd, unsigned flags,
                   void (*fn)(thi_watch *watch, unsigned events))
{
    thi_watch before = *watch; /* perhaps one in use, watched a second time */
    *watch = (thi_watch){ .fd = fd, .fn = fn, .flags = (uint8_t)flags };
    watch->ready = THI_READ | THI_WRITE;
    int err = loop->engine->add(loop, watch);
    if (err < 0)
        *watch = before;
    else
        loop->watches++;
    return err;
}

void thi_loop_unwatch(thi_loop *loop, thi_watch *watch)
{
    loop->engine->remove(loop, watch);
    loop->watches--;
    watch->fd = -1;
    watch->ready = 0;
}

void thi_loop_wake(thi_loop *loop)
{
    uint64_t one = 1;
    /* EAGAIN means that the counter is at its maximum: the loop will wake all the same. */
    (void)thi_sys_write(loop->waker.fd, &one, sizeof one);
}

void thi_loop_post(thi_loop *loop, thi_msg *msg)
{
    thi_mpsc_push(&loop->inbox, &msg->node);
    if (atomic_load(&loop->sleeping) && atomic_exchange(&loop->sleeping, false))
        thi_loop_wake(loop);
}

void thi_loop_post_as_guest(thi_loop *loop, thi_msg *msg)
{
    atomic_fetch_add_explicit(&loop->guests, 1, memory_order_relaxed);
    thi_loop_post(loop, msg);
    atomic_fetch_sub_explicit(&loop->guests, 1, memory_order_release);
}

/* Messages that arrive while these are handled wait for the next turn. */
static bool read_inbox(thi_loop *loop)
{
    thi_queue taken;
    thi_queue_init(&taken);
    thi_mpsc_drain(&loop->inbox, &taken);
    thi_qnode *node = thi_queue_pop(&taken);
    if (!node)
        return false;
    do {
        thi_msg *msg = thi_container_of(node, thi_msg, node);
        int64_t began = thi_trace_begin();
        uintptr_t fn = (uintptr_t)msg->fn;
        msg->fn(msg);
        thi_trace_end(began, TH_TRACE_MESSAGE, (uintptr_t)msg, 0, fn);
    } while ((node = thi_queue_pop(&taken)));
    return true;
}

/* How long this turn may wait: 0 not at all, negative for ever. */
static int64_t time_to_wait(thi_loop *loop, int64_t until)
{
    if (until == 0 || loop->restless || !thi_list_empty(&loop->deferred))
        return 0; /* the list is not empty if something that was deferred deferred something */
    int64_t next = thi_timers_next(&loop->timers);
    if (next < until)
        until = next;
    if (until == INT64_MAX)
        return -1;
    int64_t now = thi_sys_clock();
    return until > now ? until - now : 0;
}

void thi_loop_look_at_clock(thi_loop *loop)
{
    __atomic_store_n(&loop->now, thi_sys_clock(), __ATOMIC_RELAXED);
    thi_loop_set_stale(loop, false);
}

int64_t thi_loop_leave(thi_loop *loop)
{
    int err = loop->engine->settle(loop);
    thi_loop_set_stale(loop, true);
    thi_raise(&loop->sleeping);
    if (err < 0 || !thi_list_empty(&loop->deferred) || !thi_mpsc_empty(&loop->inbox))
        return 0;
    return thi_timers_next(&loop->timers);
}

void thi_loop_return(thi_loop *loop)
{
    atomic_store_explicit(&loop->sleeping, false, memory_order_relaxed);
    thi_loop_look_at_clock(loop);
}

/* What one of them defers anew waits for the next time. */
static void run_deferred(thi_loop *loop)
{
    thi_list present;
    thi_list *node;
    if (thi_list_empty(&loop->deferred))
        return;
    thi_list_init(&present);
    thi_list_splice_back(&present, &loop->deferred);
    while ((node = thi_list_pop_front(&present))) {
        thi_deferred *deferred = thi_list_item(node, thi_deferred, link);
        deferred->set = false;
        int64_t began = thi_trace_begin();
        uintptr_t fn = (uintptr_t)deferred->fn;
        deferred->fn(deferred);
        thi_trace_end(began, TH_TRACE_DEFERRED, (uintptr_t)deferred, 0, fn);
    }
}

int thi_loop_turn(thi_loop *loop, int64_t until)
{
    loop->turns++;
    loop->restless = false;
    run_deferred(loop);
    int64_t timeout = time_to_wait(loop, until);
    if (timeout != 0) {
        thi_raise(&loop->sleeping);
        if (!thi_mpsc_empty(&loop->inbox))
            timeout = 0;
        else
            loop->slept++;
    }
    thi_loop_set_stale(loop, true);
    loop->dispatching = true;
    int64_t began = timeout != 0 ? thi_trace_begin() : 0;
    int err = loop->engine->wait(loop, timeout);
    loop->dispatching = false;
    atomic_store_explicit(&loop->sleeping, false, memory_order_relaxed);
    if (loop->stale)
        thi_loop_look_at_clock(loop);
    if (TH_UNLIKELY(began != 0)) /* until the first event; those have records of their own */
        thi_trace_record_until(began, loop->now, TH_TRACE_SLEEP, 0, 0, 0);
    run_deferred(loop);
    read_inbox(loop);
    size_t fired = thi_timers_run(&loop->timers, loop->now);
    thi_metric_add(THI_M_LOOP_TURNS, 1);
    thi_metric_add(THI_M_TIMERS_FIRED, (int64_t)fired);
    return err == -EINTR ? 0 : err;
}
