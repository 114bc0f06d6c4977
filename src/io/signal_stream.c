/* SPDX-License-Identifier: MIT */

/*
 * Signals to be read: a sink with a ring, and whoever waits waits for its descriptor.
 *
 * The descriptor is readable while there is something to take, so any number of fibers and threads
 * may wait for it. Who reads holds a reference, because the watcher may be closed meanwhile: then
 * the descriptor is made readable, and each who finds that it is closed passes the word on.
 */
#include <thrum/signals.h>

#include "base/alloc.h"
#include "loop/sim_world.h"
#include "sys/signals.h"

#include <thrum/wait_fd.h>

#include <errno.h>
#include <stdatomic.h>

#define INFOS 64

struct th_signals {
    thi_sigsink sink;
    atomic_int refs; /* one of the program, one of each who reads */
    atomic_bool closed;
};

static void unref(th_signals *watcher)
{
    if (atomic_fetch_sub(&watcher->refs, 1) != 1)
        return;
    thi_sigsink_deinit(&watcher->sink);
    thi_free(watcher);
}

int th_signals_open(const int *signals, unsigned flags, th_signals **watcher)
{
    if (!signals || !watcher || (flags & ~TH_SIGNALS_NO_STOP))
        return -EINVAL;
    th_signals *made = thi_calloc(1, sizeof *made);
    if (!made)
        return -ENOMEM;
    thi_sigsink_opts opts = { .infos = INFOS,
                              .instead = flags & TH_SIGNALS_NO_STOP,
                              .world = thi_sim_self };
    int err = thi_sigsink_open_with(&made->sink, signals, &opts);
    if (err < 0) {
        thi_free(made);
        return err;
    }
    atomic_init(&made->refs, 1);
    *watcher = made;
    return 0;
}

static void tell(const thi_siginfo *from, th_signal_info *info)
{
    if (!info)
        return;
    *info = (th_signal_info){ .signo = from->signo, .known = from->known, .code = from->code };
    info->status = from->status;
    info->pid = from->pid;
    info->uid = from->uid;
    info->value = from->value;
}

static int take(th_signals *watcher, th_signal_info *info)
{
    thi_siginfo taken;
    if (!thi_sigsink_next(&watcher->sink, &taken))
        return -EAGAIN;
    tell(&taken, info);
    return taken.signo;
}

int th_signals_tryread(th_signals *watcher, th_signal_info *info)
{
    return watcher ? take(watcher, info) : -EINVAL;
}

static int wait_and_take(th_signals *watcher, th_signal_info *info)
{
    int result;
    do {
        result = th_wait_fd(watcher->sink.fd, TH_FD_READ, NULL);
        if (atomic_load(&watcher->closed))
            return -ECANCELED;
        if (result == 0)
            result = take(watcher, info);
    } while (result == -EAGAIN && !atomic_load(&watcher->closed));
    return result == -EAGAIN ? -ECANCELED : result;
}

int th_signals_read(th_signals *watcher, th_signal_info *info)
{
    if (!watcher)
        return -EINVAL;
    atomic_fetch_add(&watcher->refs, 1);
    int result = wait_and_take(watcher, info);
    if (atomic_load(&watcher->closed))
        thi_sigsink_nudge(&watcher->sink);
    unref(watcher);
    return result;
}

int th_signals_fd(const th_signals *watcher)
{
    return watcher ? watcher->sink.fd : -EINVAL;
}

void th_signals_close(th_signals *watcher)
{
    if (!watcher)
        return;
    thi_sigsink_stop(&watcher->sink);
    atomic_store(&watcher->closed, true);
    thi_sigsink_nudge(&watcher->sink);
    unref(watcher);
}
