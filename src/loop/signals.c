/* SPDX-License-Identifier: MIT */

/* A sink for signals, watched by a loop. */
#include "loop/signals.h"

#include "base/alloc.h"
#include "base/util.h"
#include "sys/signals.h"

#include <errno.h>

struct thi_signals {
    thi_loop *loop;
    thi_sigsink sink;
    thi_watch watch; /* of the sink's descriptor */
    bool *closed;    /* set by close while a call is under way, else NULL */
    void (*fn)(void *arg, int signo);
    void *arg;
};

static void on_noted(thi_watch *watch, unsigned events)
{
    (void)events;
    thi_signals *signals = thi_container_of(watch, thi_signals, watch);
    bool closed = false;
    signals->closed = &closed;
    for (uint64_t set = thi_sigsink_take(&signals->sink); set && !closed; set &= set - 1)
        signals->fn(signals->arg, __builtin_ctzll(set) + 1);
    if (!closed)
        signals->closed = NULL;
}

static int open_sink(thi_signals *made, thi_loop *loop, const int *signals, bool is_fallback)
{
    thi_sigsink_opts opts = { .is_fallback = is_fallback };
    int err = thi_sigsink_open_with(&made->sink, signals, &opts);
    if (err < 0)
        return err;
    err = thi_loop_watch(loop, &made->watch, made->sink.fd, THI_WATCH_SHARED, on_noted);
    if (err < 0)
        thi_sigsink_close(&made->sink);
    return err;
}

static int open_with(const thi_signals *like, const int *signals, bool is_fallback,
                     thi_signals **opened)
{
    thi_signals *made = thi_alloc(sizeof *made);
    if (!made)
        return -ENOMEM;
    *made = *like;
    int err = open_sink(made, made->loop, signals, is_fallback);
    if (err < 0)
        thi_free(made);
    else
        *opened = made;
    return err;
}

int thi_signals_open(thi_loop *loop, const int *signals, void (*fn)(void *arg, int signo),
                     void *arg, thi_signals **opened)
{
    thi_signals like = { .loop = loop, .fn = fn, .arg = arg };
    return open_with(&like, signals, false, opened);
}

int thi_signals_open_fallback(thi_loop *loop, const int *signals, void (*fn)(void *arg, int signo),
                              void *arg, thi_signals **opened)
{
    thi_signals like = { .loop = loop, .fn = fn, .arg = arg };
    return open_with(&like, signals, true, opened);
}

void thi_signals_close(thi_signals *signals)
{
    if (!signals)
        return;
    if (signals->closed)
        *signals->closed = true;
    thi_loop_unwatch(signals->loop, &signals->watch);
    thi_sigsink_close(&signals->sink);
    thi_free(signals);
}
