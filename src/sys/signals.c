/* SPDX-License-Identifier: MIT */

/*
 * The one signal handler of the library and the list of sinks that it serves.
 *
 * The handler may run in any thread at any instant, so it takes no lock: it walks a list of atomic
 * pointers, sets bits and writes to descriptors. Whoever changes the list holds a mutex against
 * others who do, never against the handler. A sink that leaves is unlinked first; then its owner
 * waits until no handler is running. A handler that starts later cannot find it, so its memory and
 * its descriptor number may be used for something else.
 *
 * It runs with all signals blocked, on the thread's alternate stack where there is one (the stack
 * it interrupts may be a fiber's small one), and restarts the system call that it interrupts.
 */
#include "sys/signals.h"

#include "sys/sys.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

#define SIGNAL_MAX 64

/* What was there before us, for a signal that is wanted. */
typedef struct takeover {
    unsigned sinks; /* that want it */
    struct sigaction former;
} takeover;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows */
static takeover takeovers[SIGNAL_MAX + 1];
static _Atomic(thi_sigsink *) sinks; /* changed under the lock, read without it by the handler */
static atomic_uint running;          /* handlers under way */

static uint64_t bit_of(int signo)
{
    return UINT64_C(1) << (signo - 1);
}

/* The lowest signal of a set that is not empty. */
static int first_of(uint64_t set)
{
    return __builtin_ctzll(set) + 1;
}

static void on_signal(int signo)
{
    int saved = errno;
    atomic_fetch_add(&running, 1);
    for (thi_sigsink *sink = atomic_load(&sinks); sink; sink = atomic_load(&sink->next)) {
        if (!(sink->wanted & bit_of(signo)))
            continue;
        atomic_fetch_or(&sink->noted, bit_of(signo));
        /* Past the thread's table, which need not be safe here. Fails only when it is full. */
        uint64_t one = 1;
        (void)thi_sys_real.write(sink->fd, &one, sizeof one);
    }
    atomic_fetch_sub(&running, 1);
    errno = saved;
}

static bool can_be_noted(int signo)
{
    switch (signo) {
    case SIGKILL:
    case SIGSTOP:
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
        return false;
    default:
        return signo >= 1 && signo <= SIGNAL_MAX;
    }
}

/* Puts the handler in place for the first sink that wants the signal. */
static int take_over(int signo)
{
    takeover *of = &takeovers[signo];
    if (of->sinks == 0) {
        struct sigaction ours = { .sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK };
        sigfillset(&ours.sa_mask);
        if (sigaction(signo, &ours, &of->former) < 0)
            return -errno; /* libc keeps some numbers to itself */
    }
    of->sinks++;
    return 0;
}

/* Puts the former action back after the last sink, unless somebody replaced ours meanwhile. */
static void hand_back(int signo)
{
    takeover *of = &takeovers[signo];
    struct sigaction present;
    if (--of->sinks == 0 && sigaction(signo, NULL, &present) == 0 &&
        present.sa_handler == on_signal)
        (void)sigaction(signo, &of->former, NULL);
}

static void hand_back_all(uint64_t set)
{
    for (; set; set &= set - 1)
        hand_back(first_of(set));
}

/* All or none. */
static int take_over_all(uint64_t set)
{
    for (uint64_t left = set; left; left &= left - 1) {
        int err = take_over(first_of(left));
        if (err < 0) {
            hand_back_all(set & ~left);
            return err;
        }
    }
    return 0;
}

static void unlink_sink(thi_sigsink *sink)
{
    _Atomic(thi_sigsink *) *link = &sinks;
    while (atomic_load(link) != sink)
        link = &atomic_load(link)->next;
    atomic_store(link, atomic_load(&sink->next));
}

/* A handler is short, and it never waits for us. */
static void wait_for_handlers(void)
{
    while (atomic_load(&running) > 0)
        sched_yield();
}

/* The set of a list that ends with 0; empty when a number in it is refused. */
static uint64_t set_of(const int *signals)
{
    uint64_t set = 0;
    for (; *signals != 0; signals++) {
        if (!can_be_noted(*signals))
            return 0;
        set |= bit_of(*signals);
    }
    return set;
}

int thi_sigsink_open(thi_sigsink *sink, const int *signals)
{
    uint64_t wanted = set_of(signals);
    if (wanted == 0)
        return -EINVAL;
    int fd = thi_sys_eventfd();
    if (fd < 0)
        return fd;
    sink->wanted = wanted;
    sink->fd = fd;
    atomic_init(&sink->noted, 0);
    pthread_mutex_lock(&lock);
    atomic_init(&sink->next, atomic_load(&sinks));
    atomic_store(&sinks, sink);
    int err = take_over_all(wanted);
    if (err < 0)
        unlink_sink(sink);
    pthread_mutex_unlock(&lock);
    if (err < 0) {
        wait_for_handlers();
        thi_sys_close(fd);
    }
    return err;
}

uint64_t thi_sigsink_take(thi_sigsink *sink)
{
    /* In this order: a signal that comes in between is taken now, and the next call finds nothing.
     */
    uint64_t count;
    (void)thi_sys_read(sink->fd, &count, sizeof count);
    return atomic_exchange(&sink->noted, 0);
}

void thi_sigsink_close(thi_sigsink *sink)
{
    pthread_mutex_lock(&lock);
    hand_back_all(sink->wanted);
    unlink_sink(sink);
    pthread_mutex_unlock(&lock);
    wait_for_handlers();
    thi_sys_close(sink->fd);
}

/* ---- SIGPIPE ---- */

_Thread_local bool thi_sigpipe_held;

bool thi_sigpipe_hold(void)
{
    sigset_t pipe_only;
    sigset_t before;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    thi_sigpipe_held = true;
    return !sigismember(&before, SIGPIPE);
}

void thi_sigpipe_release(bool held)
{
    static const struct timespec at_once;
    sigset_t pipe_only;
    thi_sigpipe_held = false;
    if (!held)
        return;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    (void)sigtimedwait(&pipe_only, NULL, &at_once);
    (void)pthread_sigmask(SIG_UNBLOCK, &pipe_only, NULL);
}
