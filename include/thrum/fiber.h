/* SPDX-License-Identifier: MIT */

/*
 * Fibers: functions with stacks of their own that run side by side on few threads.
 *
 * A fiber runs until it calls something that suspends. It is born on one worker and stays there for
 * life, so thread-local variables, errno among them, keep their meaning across every call. A
 * spawned fiber runs for the first time when the running one suspends, in the order of spawning.
 */
#ifndef THRUM_FIBER_H
#define THRUM_FIBER_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/defs.h>
#include <thrum/scope.h>

TH_BEGIN_DECLS

typedef struct th_fiber th_fiber;

/* What a fiber runs; a negative result is a failure, which the scope keeps if it is the first. */
typedef int (*th_fiber_fn)(void *arg);

/* Where a new fiber shall live. */
enum {
    TH_PLACE_HERE = 0,   /* on the worker of the caller (of the scope, from outside a fiber) */
    TH_PLACE_LEAST = -1, /* on the worker with the fewest fibers */
    TH_PLACE_ROUND = -2  /* on each worker in turn */
};

/*
 * Who runs first of those that are ready on a worker. In each round HIGH has 16 starts, NORMAL 4
 * and LOW 1 (th_run_opts.weight_...), the highest first, so none of them is ever left waiting for
 * good; among equals it is the one that has waited longest.
 */
enum { TH_PRIO_LOW = -1, TH_PRIO_NORMAL = 0, TH_PRIO_HIGH = 1 };

/* How to spawn; all zero is the default. */
typedef struct th_spawn_opts {
    size_t size;       /* sizeof(th_spawn_opts), or 0 for the present one */
    const char *name;  /* for messages and listings; static text, or valid for the fiber's life;
                          NULL: "fn at file.c:12", from where it is spawned */
    size_t stack_size; /* bytes, rounded up to a power of two; 0: the runtime's default */
    int place;         /* TH_PLACE_*, or 1 + the number of a worker */
    int64_t delay;     /* nanoseconds until it starts; 0: none */
    int priority;      /* TH_PRIO_*; 0: TH_PRIO_NORMAL, whoever spawns it */
} th_spawn_opts;

/**
 * Starts a fiber in a scope.
 *
 * While the scope has as many children as its limit allows, the caller waits: that is the
 * back-pressure. From outside the scope's worker the start is sent there as a message and never
 * waits; the scope's limit then delays the start itself.
 *
 * @param scope  an open scope, in which the fiber will live
 * @param fn     what to run
 * @param arg    handed to fn; if this call fails it still belongs to the caller
 * @return 0; -ECANCELED or -ETIMEDOUT when the scope, or that of the waiting caller, says so;
 *         -EINVAL for a NULL fn or scope or one that is not open; -ENOMEM
 *
 * Suspends: yes, while the scope's limit is reached
 * Thread: any
 * On cancel: nothing started
 * Since: 0.1
 */
TH_API TH_MUST int th_spawn(th_scope *scope, th_fiber_fn fn, void *arg);

/**
 * Starts a fiber as th_spawn() does, and says from where.
 *
 * For functions that spawn on behalf of others, and for other languages.
 *
 * @param scope   an open scope, in which the fiber will live
 * @param fn      what to run
 * @param arg     handed to fn; if this call fails it still belongs to the caller
 * @param origin  static text: what TH_ORIGIN(fn) makes, or NULL when it is not known
 * @return as th_spawn()
 *
 * Suspends: yes, while the scope's limit is reached
 * Thread: any
 * On cancel: nothing started
 * Since: 0.1
 */
TH_API TH_MUST int th_spawn_from(th_scope *scope, th_fiber_fn fn, void *arg, const char *origin);

/**
 * Starts a fiber as th_spawn() does, with options and a handle.
 *
 * With a delay the child counts in its scope from now on, and has neither a stack nor a worker
 * before its time. When its scope is cancelled or past its deadline before, it never runs, and what
 * the scope says is its result.
 *
 * @param scope  an open scope, in which the fiber will live
 * @param fn     what to run
 * @param arg    handed to fn; if this call fails it still belongs to the caller
 * @param opts   options, or NULL for the defaults; read during the call only
 * @param fiber  out: a handle, to be given back with th_fiber_unref(); NULL if none is wanted
 * @return 0; as th_spawn(); -EINVAL also for unknown options, a stack above 4 MiB, a place that
 *         does not exist, a priority that does not, or a negative delay
 *
 * Suspends: yes, while the scope's limit is reached
 * Thread: any
 * On cancel: nothing started
 * Since: 0.1
 */
TH_API TH_MUST int th_spawn_with(th_scope *scope, th_fiber_fn fn, void *arg,
                                 const th_spawn_opts *opts, th_fiber **fiber);

/**
 * Starts a fiber as th_spawn_with() does, and says from where.
 *
 * @param origin  static text: what TH_ORIGIN(fn) makes, or NULL when it is not known
 * @param scope   an open scope, in which the fiber will live
 * @param fn      what to run
 * @param arg     handed to fn; if this call fails it still belongs to the caller
 * @param opts    options, or NULL for the defaults; read during the call only
 * @param fiber   out: as for th_spawn_with()
 * @return as th_spawn_with()
 *
 * Suspends: yes, while the scope's limit is reached
 * Thread: any
 * On cancel: nothing started
 * Since: 0.1
 */
TH_API TH_MUST int th_spawn_with_from(const char *origin, th_scope *scope, th_fiber_fn fn,
                                      void *arg, const th_spawn_opts *opts, th_fiber **fiber);

/*
 * Each call of th_spawn() and th_spawn_with() says by itself where it stands: "fn at file.c:12" is
 * the name of a fiber that is given none. Both are functions as well: (th_spawn)(scope, fn, arg).
 */
#ifdef __FILE_NAME__
#define TH_FILE_ __FILE_NAME__
#else
#define TH_FILE_ __FILE__
#endif
#define TH_TEXT_OF_(x)   #x
#define TH_TEXT_(x)      TH_TEXT_OF_(x)
#define TH_ORIGIN_(text) text " at " TH_FILE_ ":" TH_TEXT_(__LINE__)
#define TH_ORIGIN(fn)    TH_ORIGIN_(#fn)

#define th_spawn(scope, fn, ...)      th_spawn_from(scope, fn, __VA_ARGS__, TH_ORIGIN_(#fn))
#define th_spawn_with(scope, fn, ...) th_spawn_with_from(TH_ORIGIN_(#fn), scope, fn, __VA_ARGS__)

/**
 * Waits for the end of a fiber. Any number of fibers and threads may wait for the same one.
 *
 * @param fiber   a handle; or a running fiber of the caller's worker
 * @param result  out: what its function returned; may be NULL
 * @return 0; -EDEADLK for the caller itself; -ECANCELED or -ETIMEDOUT when the caller's scope says
 *         so; -EINVAL for NULL, or a fiber of another worker that is no handle; -EPERM on a worker
 *         outside a fiber; -ENOMEM
 *
 * Suspends: yes, until the fiber has ended; a plain thread blocks
 * Thread: fiber, or any that runs no fibers
 * On cancel: nothing done, the fiber runs on and may be joined again
 * Since: 0.1
 */
TH_API TH_MUST int th_join(th_fiber *fiber, int *result);

/**
 * Cancels one fiber, what it has opened and what it has started there.
 *
 * From then on its calls fail as if a scope around all that it does had been cancelled. One that
 * has not yet run, because of its delay or because its start waits for room or travels, never does;
 * its result is then -ECANCELED. A fiber that was cancelled alone and returns -ECANCELED does not
 * count as failed in its scope.
 *
 * @param fiber   a handle; or th_fiber_self(), or another running fiber of the caller's worker
 * @param reason  a negative code to be read with th_cancel_reason(); 0 means -ECANCELED. The first
 *                one is kept.
 * @return 0, also when it has ended; -EINVAL for a positive reason, NULL, or a fiber of another
 *         worker that is no handle; -ENOMEM for what is no handle
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_fiber_cancel(th_fiber *fiber, int reason);

/**
 * Changes the priority of a fiber.
 *
 * It counts from the next time on that the fiber becomes ready. What it spawns does not inherit it.
 *
 * @param fiber     a handle, or th_fiber_self(), of a running fiber of the calling worker
 * @param priority  TH_PRIO_*
 * @return 0; -EINVAL for NULL, another priority, or a fiber of another worker or that does not run
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_fiber_set_priority(th_fiber *fiber, int priority);

/**
 * Tells why the calls of the calling fiber fail.
 *
 * @return 0 while nothing is cancelled; the reason given to th_fiber_cancel() or to
 *         th_scope_cancel(); -ETIMEDOUT after a deadline; 0 outside a fiber
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_cancel_reason(void);

/**
 * Lets every other fiber that is ready run before it goes on.
 *
 * @return 0; -ECANCELED or -ETIMEDOUT when the caller's scope says so; -EPERM outside a fiber
 *
 * Suspends: yes, if another one is ready
 * Thread: fiber
 * On cancel: nothing done
 * Since: 0.1
 */
TH_API int th_yield(void);

/**
 * Suspends the calling fiber for a span of time.
 *
 * @param span  nanoseconds; zero and less is th_yield(), TH_NEVER waits for the end of the scope
 * @return 0 when the time is over, never before; -ECANCELED or -ETIMEDOUT when the caller's scope
 *         says so; -EPERM outside a fiber
 *
 * Suspends: yes
 * Thread: fiber
 * On cancel: returns at once
 * Since: 0.1
 */
TH_API int th_sleep(int64_t span);

/**
 * Suspends the calling fiber until a point in time.
 *
 * @param time  a time of th_now(); a past one is th_yield(), TH_NEVER waits for the end of the
 * scope
 * @return as th_sleep()
 *
 * Suspends: yes
 * Thread: fiber
 * On cancel: returns at once
 * Since: 0.1
 */
TH_API int th_sleep_until(int64_t time);

/**
 * Asks whether the work at hand should stop: for loops that compute and never suspend.
 *
 * @return 0 to go on; -ECANCELED or -ETIMEDOUT when the caller's scope says so; -EPERM outside a
 *         fiber
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_check(void);

/**
 * Gives the calling fiber.
 *
 * @return the running fiber, valid as long as it runs; NULL outside a fiber
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_fiber *th_fiber_self(void);

/**
 * Gives the name of a fiber.
 *
 * @param fiber  a handle, or th_fiber_self()
 * @return the name it was spawned with, else the function and the place of the call, "work at
 *         main.c:12", or "fiber" when that is not known; never NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API const char *th_fiber_name(const th_fiber *fiber);

/**
 * Tells where a fiber was spawned.
 *
 * @param fiber  a handle, or th_fiber_self()
 * @return file and line, "main.c:12", static; "" when that is not known, as for the main fiber and
 *         those that the library starts; never NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API const char *th_fiber_place(const th_fiber *fiber);

/**
 * Gives the number of a fiber.
 *
 * @param fiber  a handle, or th_fiber_self()
 * @return a number that no other fiber of the process ever has; 0 for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API uint64_t th_fiber_id(const th_fiber *fiber);

/**
 * Gives a handle back. The fiber itself runs on.
 *
 * @param fiber  a handle from th_spawn_with(); NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_fiber_unref(th_fiber *fiber);

TH_END_DECLS

#endif
