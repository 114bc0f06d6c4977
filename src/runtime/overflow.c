/* SPDX-License-Identifier: MIT */

/*
 * Telling an overflow from other faults.
 *
 * The faulting address lies in the guard page below the stack of the fiber that was running; the
 * pool knows whose guard that is. Everything here runs in a signal handler on the thread's
 * alternate stack, so only write(2) and what computes is used.
 *
 * A stack that has only a canary is found out when its fiber ends. By then a neighbour's memory may
 * have been overwritten, so nothing but the message is left to do.
 */
#include "runtime/overflow.h"

#include "base/alloc.h"
#include "runtime/worker.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define HANDLER_STACK (64 * 1024)

static struct sigaction former_segv;
static struct sigaction former_bus;

/* A bounded text that needs no library. */
typedef struct text {
    char at[512];
    size_t len;
} text;

static void add(text *t, const char *s)
{
    for (; *s && t->len < sizeof t->at; s++)
        t->at[t->len++] = *s;
}

static void add_number(text *t, uint64_t n, unsigned base)
{
    char digits[24];
    size_t i = sizeof digits;
    digits[--i] = '\0';
    do
        digits[--i] = "0123456789abcdef"[n % base];
    while ((n /= base) > 0 && i > 0);
    add(t, &digits[i]);
}

static void report(const th_fiber *fiber, const char *how, const void *address)
{
    size_t size = fiber->stack_size + (fiber->guarded ? THI_STACK_GUARD : 0);
    text t = { .len = 0 };
    add(&t, "thrum: stack overflow in fiber '");
    add(&t, thi_fiber_text(fiber->name, fiber->origin));
    add(&t, "' #");
    add_number(&t, fiber->id, 10);
    if (fiber->name && fiber->origin) {
        add(&t, ", spawned at ");
        add(&t, thi_origin_place(fiber->origin));
    }
    add(&t, ": its ");
    add_number(&t, size / 1024, 10);
    add(&t, " KiB stack at 0x");
    add_number(&t, (uintptr_t)fiber->stack_low, 16);
    add(&t, " is used up (");
    add(&t, how);
    add(&t, " at 0x");
    add_number(&t, (uintptr_t)address, 16);
    add(&t, "); spawn it with a larger stack_size\n");
    (void)!write(STDERR_FILENO, t.at, t.len);
}

static void on_fault(int signo, siginfo_t *info, void *context)
{
    thi_worker *worker = thi_worker_self;
    const th_fiber *fiber =
        worker ? thi_fiber_pool_overflowed(&worker->fibers, info->si_addr) : NULL;
    if (fiber && fiber == worker->current)
        report(fiber, "fault", info->si_addr);
    const struct sigaction *former = signo == SIGSEGV ? &former_segv : &former_bus;
    if (former->sa_flags & SA_SIGINFO) {
        former->sa_sigaction(signo, info, context);
        return;
    }
    /* The faulting instruction runs again when this returns, and then the former action applies. */
    (void)sigaction(signo, former, NULL);
}

void thi_overflow_found(const th_fiber *fiber)
{
    report(fiber, "overwritten", fiber->stack_low);
    abort();
}

static void catch_faults(void)
{
    struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK };
    action.sa_sigaction = on_fault;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGSEGV, &action, &former_segv);
    (void)sigaction(SIGBUS, &action, &former_bus);
}

void *thi_overflow_watch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    stack_t now;
    if (sigaltstack(NULL, &now) == 0 && !(now.ss_flags & SS_DISABLE)) {
        (void)pthread_once(&once, catch_faults); /* somebody gave this thread one: a sanitizer */
        return NULL;
    }
    void *memory = thi_alloc(HANDLER_STACK);
    if (!memory)
        return NULL;
    stack_t ss = { .ss_sp = memory, .ss_size = HANDLER_STACK };
    (void)sigaltstack(&ss, NULL);
    (void)pthread_once(&once, catch_faults);
    return memory;
}

void thi_overflow_unwatch(void *memory)
{
    if (!memory)
        return;
    stack_t none = { .ss_flags = SS_DISABLE };
    (void)sigaltstack(&none, NULL);
    thi_free(memory);
}
