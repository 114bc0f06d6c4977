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

#include "base/alloc.h"
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

/* ---- the ring ---- */

/*
 * Many handlers put in, whoever has the lock takes out, no handler waits. A cell's turn says whose
 * it is: the one of its number in this round, to be filled; one more, to be emptied. A handler
 * takes a number and fills the cell then; the owner, who comes to one that is not filled yet, takes
 * it for empty, and is told by the descriptor, to which the handler writes afterwards.
 */
typedef struct cell {
    atomic_uint turn;
    thi_siginfo info;
} cell;

struct thi_sigring {
    pthread_mutex_t taking; /* of those who take out; the handlers know nothing of it */
    unsigned size;          /* a power of 2 */
    atomic_uint in;
    unsigned out;
    cell cells[];
};

static thi_sigring *make_ring(unsigned size)
{
    thi_sigring *ring = thi_calloc(1, sizeof *ring + size * sizeof(cell));
    if (!ring)
        return NULL;
    ring->size = size;
    (void)pthread_mutex_init(&ring->taking, NULL);
    for (unsigned i = 0; i < size; i++)
        atomic_init(&ring->cells[i].turn, i);
    return ring;
}

/* False when it is full. */
static bool put(thi_sigring *ring, const thi_siginfo *info)
{
    unsigned at = atomic_load(&ring->in);
    for (;;) {
        cell *c = &ring->cells[at & (ring->size - 1)];
        int ahead = (int)(atomic_load(&c->turn) - at);
        if (ahead < 0)
            return false;
        if (ahead > 0) {
            at = atomic_load(&ring->in);
        } else if (atomic_compare_exchange_weak(&ring->in, &at, at + 1)) {
            c->info = *info;
            atomic_store(&c->turn, at + 1);
            return true;
        }
    }
}

static void free_ring(thi_sigring *ring)
{
    if (ring)
        (void)pthread_mutex_destroy(&ring->taking);
    thi_free(ring);
}

static bool take(thi_sigring *ring, thi_siginfo *info)
{
    cell *c = &ring->cells[ring->out & (ring->size - 1)];
    if (atomic_load(&c->turn) != ring->out + 1)
        return false;
    *info = c->info;
    atomic_store(&c->turn, ring->out + ring->size);
    ring->out++;
    return true;
}

/* ---- the handler ---- */

/* Past the thread's table, which need not be safe here. Fails only when it is full. */
void thi_sigsink_nudge(const thi_sigsink *sink)
{
    uint64_t one = 1;
    if (sink->opts.world)
        (void)thi_sys_write(sink->fd, &one, sizeof one);
    else
        (void)thi_sys_real.write(sink->fd, &one, sizeof one);
}

static bool wants(const thi_sigsink *sink, const void *world, int signo)
{
    return sink->opts.world == world && (sink->wanted & bit_of(signo));
}

static bool is_taken_instead(const void *world, int signo)
{
    for (thi_sigsink *sink = atomic_load(&sinks); sink; sink = atomic_load(&sink->next))
        if (wants(sink, world, signo) && sink->opts.instead)
            return true;
    return false;
}

static int note(const void *world, const thi_siginfo *info, bool instead)
{
    int count = 0;
    for (thi_sigsink *sink = atomic_load(&sinks); sink; sink = atomic_load(&sink->next)) {
        if (!wants(sink, world, info->signo) || (instead && sink->opts.is_fallback))
            continue;
        if (!sink->ring || !put(sink->ring, info))
            atomic_fetch_or(&sink->noted, bit_of(info->signo));
        thi_sigsink_nudge(sink);
        count++;
    }
    return count;
}

static void on_signal(int signo, siginfo_t *from, void *context)
{
    int saved = errno;
    thi_siginfo info = { .signo = signo, .code = from->si_code, .known = true };
    (void)context;
    info.pid = from->si_pid;
    info.uid = from->si_uid;
    if (signo == SIGCHLD)
        info.status = from->si_status;
    else
        info.value = (intptr_t)from->si_value.sival_ptr;
    atomic_fetch_add(&running, 1);
    (void)note(NULL, &info, is_taken_instead(NULL, signo));
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
        struct sigaction ours = { .sa_sigaction = on_signal,
                                  .sa_flags = SA_RESTART | SA_ONSTACK | SA_SIGINFO };
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
        present.sa_sigaction == on_signal)
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

/* Puts it into the list, and the handler in place. */
static int enlist(thi_sigsink *sink)
{
    pthread_mutex_lock(&lock);
    atomic_init(&sink->next, atomic_load(&sinks));
    atomic_store(&sinks, sink);
    int err = sink->opts.world ? 0 : take_over_all(sink->wanted);
    if (err < 0)
        unlink_sink(sink);
    pthread_mutex_unlock(&lock);
    if (err < 0)
        wait_for_handlers();
    return err;
}

int thi_sigsink_open_with(thi_sigsink *sink, const int *signals, const thi_sigsink_opts *opts)
{
    uint64_t wanted = set_of(signals);
    if (wanted == 0)
        return -EINVAL;
    int fd = thi_sys_eventfd();
    if (fd < 0)
        return fd;
    sink->wanted = wanted;
    sink->fd = fd;
    sink->opts = *opts;
    sink->ring = opts->infos ? make_ring(opts->infos) : NULL;
    atomic_init(&sink->noted, 0);
    int err = opts->infos && !sink->ring ? -ENOMEM : enlist(sink);
    if (err < 0) {
        free_ring(sink->ring);
        thi_sys_close(fd);
    }
    return err;
}

int thi_sigsink_open(thi_sigsink *sink, const int *signals)
{
    return thi_sigsink_open_with(sink, signals, &(thi_sigsink_opts){ 0 });
}

uint64_t thi_sigsink_take(thi_sigsink *sink)
{
    /* In this order: a signal that comes in between is taken now, and the next call finds nothing.
     */
    uint64_t count;
    (void)thi_sys_read(sink->fd, &count, sizeof count);
    return atomic_exchange(&sink->noted, 0);
}

/* What has merged comes after the others, the lowest number first. */
static bool take_merged(thi_sigsink *sink, thi_siginfo *info)
{
    uint64_t noted = atomic_load(&sink->noted);
    if (!noted)
        return false;
    *info = (thi_siginfo){ .signo = first_of(noted) };
    atomic_fetch_and(&sink->noted, ~bit_of(info->signo));
    return true;
}

static bool take_any(thi_sigsink *sink, thi_siginfo *info)
{
    pthread_mutex_lock(&sink->ring->taking);
    bool taken = take(sink->ring, info) || take_merged(sink, info);
    pthread_mutex_unlock(&sink->ring->taking);
    return taken;
}

/* A signal that comes after the descriptor was read makes it readable again. */
bool thi_sigsink_next(thi_sigsink *sink, thi_siginfo *info)
{
    uint64_t count;
    if (take_any(sink, info))
        return true;
    (void)thi_sys_read(sink->fd, &count, sizeof count);
    if (!take_any(sink, info))
        return false;
    thi_sigsink_nudge(sink); /* there may be more, which have been told by what was just read */
    return true;
}

int thi_sigsink_raise(const void *world, const thi_siginfo *info, bool *instead)
{
    *instead = is_taken_instead(world, info->signo);
    return note(world, info, *instead);
}

void thi_sigsink_stop(thi_sigsink *sink)
{
    pthread_mutex_lock(&lock);
    if (!sink->opts.world)
        hand_back_all(sink->wanted);
    unlink_sink(sink);
    pthread_mutex_unlock(&lock);
    wait_for_handlers();
}

void thi_sigsink_deinit(thi_sigsink *sink)
{
    free_ring(sink->ring);
    thi_sys_close(sink->fd);
}

void thi_sigsink_close(thi_sigsink *sink)
{
    thi_sigsink_stop(sink);
    thi_sigsink_deinit(sink);
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
