/* SPDX-License-Identifier: MIT */

/*
 * The select back end: for systems and habits older than poll.
 *
 * Like poll it repeats itself, so a direction is asked for by want(), reported once and dropped.
 * select knows no hang-up: it calls such a descriptor readable, and the owner finds the end of the
 * stream or the error by reading. Its sets are bit fields of FD_SETSIZE (1024) descriptors; higher
 * ones are refused, because the macros would write beyond the set.
 *
 * One closed descriptor makes the whole call fail with EBADF. Then every descriptor is asked
 * whether it is open, and those that are not are reported as hung up and left out from there on.
 */
#include "loop/engines.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "loop/watchset.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/select.h>

#define SETS 3

typedef struct select_state {
    thi_watchset set;
    int top;             /* one more than the highest descriptor watched */
    fd_set wanted[SETS]; /* by direction */
    fd_set got[SETS];    /* what select said, less what was dispatched or removed since */
} select_state;

/* Which bit field belongs to which direction. */
static const unsigned dir_of[SETS] = { THI_READ, THI_WRITE, THI_PRI };

static int select_open(thi_loop *loop)
{
    loop->state = thi_calloc(1, sizeof(select_state));
    return loop->state ? 0 : -ENOMEM;
}

static void select_close(thi_loop *loop)
{
    select_state *st = loop->state;
    thi_watchset_deinit(&st->set);
    thi_free(st);
}

/* Writes what the watch wants into the bit fields. */
static void arm(select_state *st, const thi_watch *watch)
{
    for (size_t i = 0; i < thi_array_len(dir_of); i++) {
        if (watch->wanted & dir_of[i])
            FD_SET(watch->fd, &st->wanted[i]);
        else
            FD_CLR(watch->fd, &st->wanted[i]);
    }
}

static int select_add(thi_loop *loop, thi_watch *watch)
{
    select_state *st = loop->state;
    if (watch->fd >= FD_SETSIZE)
        return thi_err_set(-ENFILE,
                           "select cannot watch descriptor %d: it ends at %d; "
                           "the other back ends have no such limit",
                           watch->fd, FD_SETSIZE - 1);
    int err = thi_watchset_add(&st->set, watch);
    if (err < 0)
        return err;
    watch->wanted = watch->flags & THI_WATCH_SHARED ? THI_READ : 0;
    arm(st, watch);
    st->top = thi_max(st->top, watch->fd + 1);
    return 0;
}

static void select_remove(thi_loop *loop, thi_watch *watch)
{
    select_state *st = loop->state;
    thi_watchset_remove(&st->set, watch);
    watch->wanted = 0;
    arm(st, watch);
    for (size_t i = 0; i < thi_array_len(st->got); i++)
        FD_CLR(watch->fd, &st->got[i]);
    while (st->top > 0 && !thi_watchset_find(&st->set, st->top - 1))
        st->top--;
}

static int select_want(thi_loop *loop, thi_watch *watch, unsigned dirs)
{
    watch->wanted |= dirs & (THI_READ | THI_WRITE | THI_PRI);
    arm(loop->state, watch);
    return 0;
}

/* Reports once what was wanted. After a hang-up even a shared watch falls silent. */
static void report(thi_loop *loop, thi_watch *watch, unsigned events)
{
    if (events & THI_HUP)
        watch->wanted = 0;
    else if (!(watch->flags & THI_WATCH_SHARED))
        watch->wanted &= (uint8_t)~events;
    arm(loop->state, watch);
    thi_loop_deliver(loop, watch, events);
}

/* Takes out what select said about a descriptor. */
static unsigned take(select_state *st, int fd)
{
    unsigned events = 0;
    for (size_t i = 0; i < thi_array_len(dir_of); i++) {
        if (FD_ISSET(fd, &st->got[i]))
            events |= dir_of[i];
        FD_CLR(fd, &st->got[i]);
    }
    return events;
}

/* Finds the descriptors that were closed behind the back; returns how many. */
static int report_closed(thi_loop *loop)
{
    select_state *st = loop->state;
    int count = 0;
    for (int fd = 0; fd < st->top; fd++) {
        thi_watch *watch = thi_watchset_find(&st->set, fd);
        if (!watch || !watch->wanted || thi_sys_fcntl(fd, F_GETFD, 0) != -EBADF)
            continue;
        report(loop, watch, THI_HUP);
        count++;
    }
    return count;
}

static int select_wait_and_dispatch(thi_loop *loop, int64_t timeout)
{
    select_state *st = loop->state;
    for (size_t i = 0; i < thi_array_len(st->got); i++)
        st->got[i] = st->wanted[i];
    int count = thi_sys_select(st->top, &st->got[0], &st->got[1], &st->got[2], timeout);
    if (count == -EBADF)
        return report_closed(loop);
    if (count < 0)
        return count;
    int seen = 0;
    for (int fd = 0; count > 0 && fd < st->top; fd++) {
        unsigned events = take(st, fd);
        if (events == 0)
            continue;
        report(loop, thi_watchset_find(&st->set, fd), events);
        seen++;
    }
    return seen;
}

const thi_engine thi_engine_select = {
    .name = "select",
    .open = select_open,
    .close = select_close,
    .add = select_add,
    .remove = select_remove,
    .want = select_want,
    .wait = select_wait_and_dispatch,
};
