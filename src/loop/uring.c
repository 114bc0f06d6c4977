/* SPDX-License-Identifier: MIT */

/*
 * The io_uring back end: each watch is one poll request that stays in the kernel.
 *
 * A multishot poll completes at once if the descriptor is ready, and then once for each edge: the
 * promise of an edge-triggered epoll, so that nothing above can tell them apart. The kernel ends it
 * when it runs out of room or memory; the missing F_MORE tells, and a new one takes its place,
 * which begins with a look at the present state, so no edge is lost. A descriptor that several
 * loops watch gets a single-shot poll, exclusive, and another after each completion: while there is
 * something to accept, each of them completes at once.
 *
 * Requests travel with the call that waits. Only a removal is handed over immediately, because a
 * request holds a reference to its file: the connection of a descriptor that is closed after
 * thi_loop_unwatch() would stay open until the next turn.
 *
 * The kernel hands back the number of a request: the descriptor and a generation that no other
 * request has. watch->slot holds the generation of the one in the kernel (0: none), so a completion
 * that was under way when its watch was removed or armed anew is recognised and ignored.
 * watch->wanted is zero while the watch is silent: after a failed request, and after a hang-up of a
 * shared one, it stays so until it is wanted again.
 *
 * Urgent data is told only to those who have asked for THI_PRI once, and then looked for anew: the
 * kernel reports what it wakes with, and wakes for any bytes with POLLPRI among the rest.
 *
 * Calls on files are requests, too. Their number is the address of the operation, which is even;
 * numbers of watches are odd. Requests are worked on in their order, so one that takes back an
 * operation never meets another one that has come to lie at the same address since. Should the
 * kernel lose completions, all operations are taken back: the answer for one that is already gone,
 * though its own completion has not come before, is that it was lost.
 */
#include "loop/engines.h"

#include "base/alloc.h"
#include "loop/watchset.h"
#include "sys/sys.h"
#include "sys/uring.h"

#include <endian.h>
#include <errno.h>

#define REQUESTS    256
#define COMPLETIONS 4096

/* The number of requests whose completion nobody waits for. */
#define NOBODY 0

/* In numbers: of a watch; of the question whether an operation is still there. */
#define WATCH    1
#define QUESTION 2

typedef struct uring_state {
    thi_uring ring;
    thi_watchset set;
    thi_list ops;        /* that are under way */
    uint32_t generation; /* of the last request */
    int event;           /* an eventfd, readable when something is due; -1: nobody waits for it */
    bool unarmed;        /* some watch is neither silent nor has it a request */
} uring_state;

static int uring_open(thi_loop *loop)
{
    uring_state *st = thi_calloc(1, sizeof *st);
    if (!st)
        return -ENOMEM;
    int err = thi_uring_open(&st->ring, REQUESTS, COMPLETIONS);
    if (err < 0) {
        thi_free(st);
        return err;
    }
    thi_list_init(&st->ops);
    st->event = -1;
    loop->state = st;
    return 0;
}

static uint64_t number_of(int fd, uint32_t generation)
{
    return (uint64_t)generation << 32 | (uint32_t)fd << 1 | WATCH;
}

static uint64_t number_of_op(const thi_op *op)
{
    return (uintptr_t)op;
}

/* The kernel wants the two halves of the events in the order of a little-endian machine. */
static uint32_t kernel_events(uint32_t events)
{
    return BYTE_ORDER == BIG_ENDIAN ? events << 16 | events >> 16 : events;
}

/* Asks the kernel to tell about the descriptor; in the next turn if it takes no requests now. */
static void arm(uring_state *st, thi_watch *watch)
{
    struct io_uring_sqe *request = thi_uring_request(&st->ring);
    if (!request) {
        st->unarmed = true;
        return;
    }
    if (++st->generation == 0)
        st->generation = 1;
    watch->slot = st->generation;
    request->opcode = IORING_OP_POLL_ADD;
    request->fd = watch->fd;
    request->user_data = number_of(watch->fd, watch->slot);
    if (watch->flags & THI_WATCH_SHARED) {
        request->poll32_events = kernel_events(EPOLLIN | EPOLLEXCLUSIVE);
    } else {
        uint32_t urgent = watch->wanted & THI_PRI ? EPOLLPRI : 0;
        request->poll32_events = kernel_events(EPOLLIN | EPOLLOUT | EPOLLRDHUP | urgent);
        request->len = IORING_POLL_ADD_MULTI;
    }
}

/* Takes back a request; the answer to that has a number of its own. */
static void take_back(uring_state *st, uint64_t number, uint64_t answer)
{
    struct io_uring_sqe *request = thi_uring_request(&st->ring);
    if (!request)
        return;
    request->opcode = IORING_OP_ASYNC_CANCEL;
    request->fd = -1;
    request->addr = number;
    request->user_data = answer;
}

/*
 * Takes back a watch's request. Not by POLL_REMOVE, which fails (EALREADY) while an event is under
 * way. Should the kernel take nothing at all, the request outlives its watch; its next completion
 * then leads here again.
 */
static void disarm(uring_state *st, uint64_t number)
{
    take_back(st, number, NOBODY);
}

/* Takes back the requests of all watches. */
static void disarm_all(uring_state *st)
{
    for (size_t fd = 0; fd < st->set.size; fd++) {
        thi_watch *watch = st->set.by_fd[fd];
        if (!watch || watch->slot == 0)
            continue;
        disarm(st, number_of(watch->fd, watch->slot));
        watch->slot = 0;
    }
}

/* Arms what lost its request and is not silent. */
static void arm_all(uring_state *st)
{
    st->unarmed = false;
    for (size_t fd = 0; fd < st->set.size && !st->unarmed; fd++) {
        thi_watch *watch = st->set.by_fd[fd];
        if (watch && watch->wanted && watch->slot == 0)
            arm(st, watch);
    }
}

/* Takes back all operations, to learn which of them the kernel does not know any more. */
static void question_ops(uring_state *st)
{
    thi_list_each (node, &st->ops) {
        thi_op *op = thi_list_item(node, thi_op, link);
        op->doubted = true;
        take_back(st, number_of_op(op), number_of_op(op) | QUESTION);
    }
}

/* When completions were lost, nobody knows whose: all start anew. */
static int check(uring_state *st, int err)
{
    if (err == -EBADR) {
        disarm_all(st);
        st->unarmed = true;
        question_ops(st);
    }
    return err;
}

/* A closing ring ends its requests later, in the background: files would stay open until then. */
static void uring_close(thi_loop *loop)
{
    uring_state *st = loop->state;
    disarm_all(st);
    while (thi_uring_enter(&st->ring, 0) == 0 && thi_uring_pending(&st->ring) > 0)
        for (unsigned n = thi_uring_pending(&st->ring); n > 0; n--)
            (void)thi_uring_take(&st->ring);
    thi_uring_close(&st->ring);
    if (st->event >= 0)
        thi_sys_close(st->event);
    thi_watchset_deinit(&st->set);
    thi_free(st);
}

static int uring_add(thi_loop *loop, thi_watch *watch)
{
    uring_state *st = loop->state;
    int err = thi_watchset_add(&st->set, watch);
    if (err < 0)
        return err;
    watch->wanted = THI_READ | THI_WRITE;
    arm(st, watch);
    return 0;
}

/* Events come without being asked for, except urgent ones, and those of a watch that has fallen
 * silent. */
static int uring_want(thi_loop *loop, thi_watch *watch, unsigned dirs)
{
    uring_state *st = loop->state;
    unsigned wanted = watch->wanted | THI_READ | THI_WRITE | (dirs & THI_PRI);
    if (wanted == watch->wanted)
        return 0;
    watch->wanted = (uint8_t)wanted;
    if (watch->slot != 0)
        disarm(st, number_of(watch->fd, watch->slot));
    watch->slot = 0;
    arm(st, watch);
    return 0;
}

static void uring_remove(thi_loop *loop, thi_watch *watch)
{
    uring_state *st = loop->state;
    thi_watchset_remove(&st->set, watch);
    if (watch->slot == 0)
        return;
    uint64_t number = number_of(watch->fd, watch->slot);
    disarm(st, number);
    /* What the kernel does not take now goes with the next call. */
    (void)check(st, thi_uring_finish(&st->ring, number));
}

static unsigned translate(int32_t result)
{
    if (result < 0)
        return THI_HUP;
    uint32_t got = (uint32_t)result;
    unsigned events = 0;
    if (got & EPOLLIN)
        events |= THI_READ;
    if (got & EPOLLOUT)
        events |= THI_WRITE;
    if (got & EPOLLPRI)
        events |= THI_PRI;
    if (got & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        events |= THI_HUP;
    return events;
}

/* Whether this was the last event for now: trying again would give the same one for ever. */
static bool falls_silent(const thi_watch *watch, int32_t result, unsigned events)
{
    return result < 0 || ((watch->flags & THI_WATCH_SHARED) && (events & THI_HUP));
}

static void complete(thi_loop *loop, thi_op *op, int32_t result)
{
    thi_list_remove(&op->link);
    thi_loop_complete(loop, op, result);
}

/* The answer to a question: an operation that nobody knows any more and that is still waited for.
 */
static void on_answer(thi_loop *loop, thi_uring_done done)
{
    uring_state *st = loop->state;
    if (done.result != -ENOENT)
        return;
    thi_list_each (node, &st->ops) {
        thi_op *op = thi_list_item(node, thi_op, link);
        if (op->doubted && (number_of_op(op) | QUESTION) == done.data) {
            complete(loop, op, -EIO);
            return;
        }
    }
}

/* What is there indeed, of what may be urgent. */
static unsigned without_rumour(const thi_watch *watch, unsigned events)
{
    struct pollfd p = { .fd = watch->fd, .events = POLLIN | POLLPRI };
    if (!(events & THI_PRI) || thi_sys_poll(&p, 1, 0) < 0)
        return events;
    if (!(p.revents & POLLPRI))
        events &= ~(unsigned)THI_PRI;
    if (!(p.revents & POLLIN))
        events &= ~(unsigned)THI_READ;
    return events;
}

static void dispatch_event(thi_loop *loop, thi_uring_done done)
{
    uring_state *st = loop->state;
    bool goes_on = done.flags & IORING_CQE_F_MORE;
    thi_watch *watch = thi_watchset_find(&st->set, (int)((uint32_t)done.data >> 1));
    if (!watch || watch->slot != done.data >> 32) {
        if (goes_on)
            disarm(st, done.data);
        return;
    }
    unsigned events = translate(done.result);
    if (!goes_on) {
        watch->slot = 0;
        if (falls_silent(watch, done.result, events))
            watch->wanted = 0;
        else
            arm(st, watch);
    }
    events = without_rumour(watch, events);
    if (events != 0)
        thi_loop_deliver(loop, watch, events);
}

static void dispatch(thi_loop *loop, thi_uring_done done)
{
    if (done.data == NOBODY)
        return;
    if (done.data & WATCH)
        dispatch_event(loop, done);
    else if (done.data & QUESTION)
        on_answer(loop, done);
    else
        complete(loop, (thi_op *)(uintptr_t)done.data, done.result);
}

static int uring_submit(thi_loop *loop, thi_op *op)
{
    uring_state *st = loop->state;
    if (!thi_filecall_fits(op->call, &st->ring))
        return -EOPNOTSUPP;
    struct io_uring_sqe *request = thi_uring_request(&st->ring);
    if (!request)
        return -EAGAIN;
    thi_filecall_fill(op->call, request);
    request->user_data = number_of_op(op);
    op->doubted = false;
    thi_list_push_back(&st->ops, &op->link);
    return 0;
}

static void uring_cancel(thi_loop *loop, thi_op *op)
{
    take_back(loop->state, number_of_op(op), NOBODY);
}

/* Lack of room or memory in the kernel passes; what it has for us is taken first. */
static bool is_passing(int err)
{
    return err == -EBUSY || err == -EAGAIN || err == -ENOMEM || err == -EBADR;
}

static int uring_wait_and_dispatch(thi_loop *loop, int64_t timeout)
{
    uring_state *st = loop->state;
    int err = st->ring.started ? 0 : thi_uring_start(&st->ring);
    if (err < 0)
        return err;
    if (st->unarmed)
        arm_all(st);
    err = check(st, thi_uring_enter(&st->ring, st->unarmed ? 0 : timeout));
    if (err < 0 && !is_passing(err))
        return err;
    /* What completes from here on, by a removal in a callback, is left for the next turn. */
    unsigned count = thi_uring_pending(&st->ring);
    for (unsigned i = 0; i < count; i++)
        dispatch(loop, thi_uring_take(&st->ring));
    return (int)count;
}

/*
 * For whoever waits from outside. The ring's own descriptor would not do: on a ring whose kernel
 * does its part only when we come by, nobody is woken through it. An eventfd is told of that part
 * being due, too.
 */
static int uring_descriptor(thi_loop *loop)
{
    uring_state *st = loop->state;
    if (st->event >= 0)
        return st->event;
    int fd = thi_sys_eventfd();
    if (fd < 0)
        return fd;
    int err = thi_sys_uring_register(st->ring.fd, IORING_REGISTER_EVENTFD, &fd, 1);
    if (err < 0) {
        thi_sys_close(fd);
        return err;
    }
    st->event = fd;
    return fd;
}

/*
 * The eventfd is reset before the kernel is asked to do what is due: whatever comes after that
 * makes it readable again, and what comes of it is pending.
 */
static int uring_settle(thi_loop *loop)
{
    uring_state *st = loop->state;
    uint64_t count;
    if (!st->ring.started)
        return -EAGAIN;
    (void)thi_sys_read(st->event, &count, sizeof count);
    int err = check(st, thi_uring_enter(&st->ring, 0));
    if (err == 0 && (st->unarmed || thi_uring_pending(&st->ring) > 0))
        return -EAGAIN;
    return err;
}

const thi_engine thi_engine_uring = {
    .name = "uring",
    .open = uring_open,
    .close = uring_close,
    .add = uring_add,
    .remove = uring_remove,
    .want = uring_want,
    .wait = uring_wait_and_dispatch,
    .submit = uring_submit,
    .cancel = uring_cancel,
    .descriptor = uring_descriptor,
    .settle = uring_settle,
};
