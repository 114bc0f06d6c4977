/* SPDX-License-Identifier: MIT */

/*
 * The watchdog: a thread that looks at each worker now and then.
 *
 * A worker that is well waits in its loop, or came from there a moment ago; its loop says which by
 * what it stores anyway, so that being watched costs it nothing. One that came long ago is asked
 * where it is, by a signal to its thread. The handler runs on the stuck thread itself, so what it
 * sees does not move: it copies the fiber's number, its names and the return addresses on its
 * stack, and nothing else. Names for the addresses are found by the watchdog, which may take its
 * time.
 *
 * The unwinder takes no lock and allocates nothing in the C library's and the compiler's versions
 * that we build with (glibc 2.35, GCC 12); its tables are found without a lock.
 *
 * The signal is SIGURG, which does nothing by default and which nobody uses; where somebody does,
 * it is left to him, and stalls are reported without a stack. A system call in which the thread is
 * stuck may return EINTR because of it, once for each stall.
 */
#include "runtime/watchdog.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/util.h"
#include "runtime/outside.h"
#include "runtime/sched.h"
#include "sys/machine.h"
#include "sys/symbolize.h"
#include "sys/sys.h"

#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <ucontext.h>
#include <unwind.h>

#define ANSWER_TIME    (200 * TH_MILLISECOND) /* that a thread may take to say where it is */
#define FRAMES_MAX     32
#define TEXT_MAX       96
#define OWN_FRAMES_MAX 8 /* of the handler, below the interrupted function */

/* What a thread says of itself. */
typedef struct answer {
    int64_t since; /* loop.now of the turn in which it is stuck */
    uint64_t id;
    char name[TEXT_MAX];
    char place[TEXT_MAX];
    const void *pcs[FRAMES_MAX];
    unsigned count;
    bool in_fiber;
} answer;

typedef struct probe {
    atomic_bool asked;
    int64_t reported; /* loop.now of the turn that was reported last */
    int64_t since;    /* loop.now of the turn that was seen last, */
    int64_t seen;     /* when that was, */
    int64_t held;     /* how much of its time can be laid to whoever runs there, ns, */
    int64_t delay;    /* and for how long its thread had been kept from a CPU in all */
    answer answer;    /* the thread's while it is asked */
} probe;

struct thi_watchdog {
    thi_helpers helpers; /* its thread ends no wait */
    thi_runtime *runtime;
    int64_t limit;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ends; /* guarded by the lock */
    sem_t answered;
    char stack[FRAMES_MAX * 64]; /* in words */
    probe probes[];
};

int thi_watchdog_signal(void)
{
    return SIGURG;
}

/* ---- on the stuck thread ---- */

static const void *interrupted_at(const void *context)
{
    const ucontext_t *uc = context;
#if defined(__x86_64__)
    return (const void *)uc->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (const void *)uc->uc_mcontext.pc;
#else
    (void)uc;
    return NULL;
#endif
}

typedef struct walk {
    answer *answer;
    const void *from; /* the interrupted instruction; frames before it are the handler's */
    unsigned skipped;
} walk;

static _Unwind_Reason_Code on_frame(struct _Unwind_Context *context, void *arg)
{
    walk *w = arg;
    int exact = 0;
    uintptr_t pc = _Unwind_GetIPInfo(context, &exact);
    answer *a = w->answer;
    if (pc == 0)
        return _URC_END_OF_STACK;
    if (w->from && (const void *)pc != w->from && w->skipped < OWN_FRAMES_MAX) {
        w->skipped++;
        return _URC_NO_REASON;
    }
    w->from = NULL;
    a->pcs[a->count++] = (const void *)(exact ? pc : pc - 1);
    bool last =
        a->count == FRAMES_MAX || _Unwind_GetRegionStart(context) == (uintptr_t)thi_fiber_entry;
    return last ? _URC_END_OF_STACK : _URC_NO_REASON;
}

static void copy(char to[TEXT_MAX], const char *from)
{
    size_t n = strnlen(from, TEXT_MAX - 1);
    memcpy(to, from, n);
    to[n] = '\0';
}

static void answer_with(const thi_worker *worker, answer *a, const void *context)
{
    const th_fiber *fiber = worker->current;
    a->count = 0;
    a->since = worker->loop.now;
    a->in_fiber = fiber != NULL;
    a->id = fiber ? fiber->id : 0;
    copy(a->name, fiber ? thi_fiber_text(fiber->name, fiber->origin) : "the loop");
    copy(a->place, fiber ? thi_origin_place(fiber->origin) : "");
    walk w = { .answer = a, .from = interrupted_at(context) };
    (void)_Unwind_Backtrace(on_frame, &w);
}

static void on_signal(int signo, siginfo_t *info, void *context)
{
    int saved = errno;
    thi_worker *worker = thi_worker_self;
    thi_watchdog *dog = worker ? atomic_load(&worker->runtime->watchdog) : NULL;
    (void)signo;
    (void)info;
    if (dog && atomic_load(&dog->probes[worker->index].asked)) {
        probe *p = &dog->probes[worker->index];
        answer_with(worker, &p->answer, context);
        atomic_store(&p->asked, false);
        (void)sem_post(&dog->answered);
    }
    errno = saved;
}

static bool has_signal; /* written once */

static void take_signal(void)
{
    struct sigaction former;
    struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };
    action.sa_sigaction = on_signal;
    (void)sigemptyset(&action.sa_mask);
    has_signal = sigaction(SIGURG, NULL, &former) == 0 && former.sa_handler == SIG_DFL &&
                 sigaction(SIGURG, &action, NULL) == 0;
}

/* ---- on the watchdog's own ---- */

/* Asks a thread where it is; false when it does not say. */
static bool ask(thi_watchdog *dog, const thi_worker *worker, probe *p)
{
    struct timespec until;
    while (sem_trywait(&dog->answered) == 0) /* late answers to former questions */
        continue;
    atomic_store(&p->asked, true);
    if (!has_signal || pthread_kill(worker->thread, SIGURG) != 0)
        return false;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += ANSWER_TIME;
    until.tv_sec += until.tv_nsec / TH_SECOND;
    until.tv_nsec %= TH_SECOND;
    while (atomic_load(&p->asked))
        if (sem_timedwait(&dog->answered, &until) != 0 && errno != EINTR)
            break;
    return !atomic_load(&p->asked);
}

/* The stack in words, outermost last; the log has a line for it, others one a frame. */
static void describe_stack(const answer *a, const char *between, char *text, size_t size)
{
    size_t len = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < a->count && len < size; i++) {
        char name[THI_SYMBOL_SIZE];
        (void)thi_symbolize(a->pcs[i], name, sizeof name);
        len += (size_t)snprintf(text + len, size - len, "%s%s", i ? between : "", name);
    }
}

static void report(thi_watchdog *dog, const thi_worker *worker, const answer *a, int64_t span)
{
    const th_run_opts *opts = &dog->runtime->opts;
    thi_metric_add(THI_M_STALLS, 1);
    describe_stack(a, " < ", dog->stack, sizeof dog->stack);
    thi_log(TH_LOG_WARNING, "worker %u is held up for %lld ms by %s #%llu%s%s%s%s", worker->index,
            (long long)(span / TH_MILLISECOND), a->name, (unsigned long long)a->id,
            *a->place ? ", spawned at " : "", a->place, *dog->stack ? ": " : "", dog->stack);
    if (!opts->on_stall)
        return;
    describe_stack(a, "\n", dog->stack, sizeof dog->stack);
    th_stall stall = { .worker = worker->index,
                       .fiber = a->id,
                       .name = a->name,
                       .place = a->place,
                       .span = span,
                       .stack = dog->stack };
    opts->on_stall(&stall, opts->stall_arg);
}

/*
 * Adds up for how long a turn has been held up. Time does not count in which the machine is so busy
 * that the worker waits for a CPU, or the watchdog itself comes late: a process that was stopped
 * goes on where it was.
 */
static void account(const thi_watchdog *dog, probe *p, const thi_worker *worker, int64_t since,
                    int64_t now)
{
    int thread = __atomic_load_n(&worker->thread_id, __ATOMIC_RELAXED);
    int64_t delay = thi_machine_run_delay(thread);
    bool same = p->since == since;
    int64_t span = thi_min(now - (same ? p->seen : since), dog->limit);
    if (same)
        p->held += span - thi_min(delay - p->delay, span);
    else
        p->held = thi_min(span, dog->limit / 2);
    p->since = since;
    p->seen = now;
    p->delay = delay;
}

static void look_at(thi_watchdog *dog, const thi_worker *worker)
{
    probe *p = &dog->probes[worker->index];
    int64_t now = thi_sys_clock();
    int64_t span = thi_loop_busy_for(&worker->loop, now);
    int64_t since = now - span;
    if (span == 0 || since == p->reported)
        return;
    account(dog, p, worker, since, now);
    if (p->held <= dog->limit)
        return;
    answer unknown = { .name = "somebody who does not say" };
    bool told = ask(dog, worker, p);
    if (told && p->answer.since != since) /* it is well again */
        return;
    p->reported = since;
    report(dog, worker, told ? &p->answer : &unknown, thi_sys_clock() - since);
}

static bool wait_for_end(thi_watchdog *dog)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t next = until.tv_nsec + dog->limit / 2;
    until.tv_sec += next / TH_SECOND;
    until.tv_nsec = next % TH_SECOND;
    (void)pthread_mutex_lock(&dog->lock);
    int err = 0;
    while (!dog->ends && err == 0)
        err = pthread_cond_timedwait(&dog->changed, &dog->lock, &until);
    bool ends = dog->ends;
    (void)pthread_mutex_unlock(&dog->lock);
    return ends;
}

static void *watch(void *arg)
{
    thi_watchdog *dog = arg;
    while (!wait_for_end(dog))
        for (unsigned i = 0; i < dog->runtime->count; i++)
            look_at(dog, &dog->runtime->workers[i]);
    return NULL;
}

static bool at_rest(thi_helpers *helpers, unsigned *threads)
{
    (void)helpers;
    *threads = 1;
    return true;
}

static int start_thread(thi_watchdog *dog)
{
    sigset_t all;
    sigset_t former;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &former);
    int err = pthread_create(&dog->thread, NULL, watch, dog);
    (void)pthread_sigmask(SIG_SETMASK, &former, NULL);
    return -err;
}

static void free_dog(thi_watchdog *dog)
{
    (void)pthread_cond_destroy(&dog->changed);
    (void)pthread_mutex_destroy(&dog->lock);
    (void)sem_destroy(&dog->answered);
    thi_free(dog);
}

int thi_watchdog_start(thi_runtime *rt)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (rt->opts.watchdog == TH_NEVER)
        return 0;
    thi_watchdog *dog = thi_calloc(1, sizeof *dog + rt->count * sizeof dog->probes[0]);
    if (!dog)
        return -ENOMEM;
    (void)pthread_once(&once, take_signal);
    dog->runtime = rt;
    dog->limit = thi_watchdog_limit(rt);
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&dog->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    (void)pthread_mutex_init(&dog->lock, NULL);
    (void)sem_init(&dog->answered, 0, 0);
    atomic_store(&rt->watchdog, dog);
    int err = start_thread(dog);
    if (err < 0) {
        atomic_store(&rt->watchdog, NULL);
        free_dog(dog);
        return err;
    }
    dog->helpers.at_rest = at_rest;
    thi_helpers_add(&dog->helpers);
    return 0;
}

void thi_watchdog_stop(thi_watchdog *dog)
{
    if (!dog)
        return;
    thi_helpers_remove(&dog->helpers);
    (void)pthread_mutex_lock(&dog->lock);
    dog->ends = true;
    (void)pthread_cond_signal(&dog->changed);
    (void)pthread_mutex_unlock(&dog->lock);
    (void)pthread_join(dog->thread, NULL);
}

void thi_watchdog_free(thi_watchdog *dog)
{
    if (dog)
        free_dog(dog);
}
