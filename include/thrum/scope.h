/* SPDX-License-Identifier: MIT */

/*
 * Scopes: they own the fibers spawned in them, carry a deadline and a cancellation, and do not
 * close before all that was started in them has ended.
 *
 * A scope nests inside the scope its fiber was in when it opened it. Every suspending call obeys
 * the innermost scope: once that scope, or one around it, is cancelled or past its deadline, each
 * such call returns -ECANCELED or -ETIMEDOUT, again and again, until the scope is closed. Calls
 * therefore take no time-out of their own. They ask when they begin, so one that would not have had
 * to wait is turned away as well; th_join() and th_scope_wait() alone tell what is so already. A
 * call that waits and gets its result before its fiber runs again returns the result.
 */
#ifndef THRUM_SCOPE_H
#define THRUM_SCOPE_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/defs.h>
#include <thrum/time.h>

TH_BEGIN_DECLS

/* A scope is the caller's storage, usually on the stack. Its contents are private. */
typedef struct th_scope {
    uint64_t private_[36];
} th_scope;

/* How a scope behaves; all zero is the default. */
typedef struct th_scope_opts {
    size_t size;      /* sizeof(th_scope_opts), or 0 for the present one */
    int64_t deadline; /* point in time (th_after); 0: none of its own */
    uint32_t limit;   /* children at the same time; 0: no limit */
    int shield;       /* 1: what happens to the scopes around it does not reach inside */
    int cancel_rest;  /* 1: the first child that fails cancels the others */
} th_scope_opts;

/**
 * Opens a scope inside the present one of the calling fiber.
 *
 * It must be closed before the fiber's function returns: a scope that is left open ends the
 * process, for its storage is gone.
 *
 * @param scope  storage for the scope, not in use; it must stay where it is until it is closed
 * @param opts   options, or NULL for the defaults; read during the call only. A deadline after that
 *               of the scope around has no effect unless the scope is a shield.
 * @return 0; -EINVAL for a NULL scope or unknown options; -EPERM outside a fiber
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: opens the scope, which is cancelled from the start (unless it is a shield)
 * Since: 0.1
 */
TH_API TH_MUST int th_scope_open(th_scope *scope, const th_scope_opts *opts);

/**
 * Waits until all children of a scope have ended, then closes it.
 *
 * The wait itself is not cut short by a deadline or a cancellation: these reach the children, which
 * end because of them.
 *
 * @param scope  the calling fiber's innermost scope
 * @return 0 when all children returned >= 0, otherwise the result of the first that failed; one
 *         that returned what the scope's cancellation or deadline told it counts only if none
 * failed otherwise; -EINVAL when the scope is not the fiber's innermost one; -EPERM outside a fiber
 *
 * Suspends: yes, while children run
 * Thread: fiber
 * On cancel: waits on
 * Since: 0.1
 */
TH_API int th_scope_close(th_scope *scope);

/**
 * Waits until no child of a scope runs, and leaves it open for more.
 *
 * @param scope  a scope of the calling fiber, open
 * @return 0 when no child is left; -ECANCELED or -ETIMEDOUT when the innermost scope of the calling
 *         fiber says so before; -EINVAL for another fiber's scope; -EPERM outside a fiber
 *
 * Suspends: yes, while children run
 * Thread: fiber
 * On cancel: nothing done, the children are still there
 * Since: 0.1
 */
TH_API TH_MUST int th_scope_wait(th_scope *scope);

/**
 * Cancels everything in a scope: its children, the scopes inside it, and its own fiber's calls.
 *
 * Cancellation is a state, not an event: it stays until the scope is closed. It reaches into
 * nested scopes, except shields. The first reason is kept.
 *
 * @param scope   an open scope; from another thread the caller must know that it stays open
 * meanwhile
 * @param reason  a negative code to be read with th_scope_reason(); 0 means -ECANCELED
 * @return 0, also when it is cancelled already; -EINVAL for a positive reason or a closed scope
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_scope_cancel(th_scope *scope, int reason);

/**
 * Tells why a scope was cancelled.
 *
 * @param scope  an open scope of the calling fiber, or of one of its parents
 * @return 0 as long as it is not; else the reason given to th_scope_cancel() for it or for the
 * scope around it, or -ETIMEDOUT after a deadline
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_scope_reason(const th_scope *scope);

/**
 * Tells when the time of a scope is up.
 *
 * @param scope  an open scope
 * @return the earliest deadline of the scope and those around it (shields end the search);
 *         TH_NEVER without one
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int64_t th_scope_deadline(const th_scope *scope);

/**
 * Moves the deadline of a scope, or takes it away, for all that runs in it.
 *
 * @param scope     an open scope of the calling fiber, or of one of its parents
 * @param deadline  the new point in time: a past one ends the scope at once, TH_NEVER means none of
 *                  its own. One after that of the scope around has no effect unless the scope is a
 *                  shield. A child on another worker that meets the former deadline before it has
 *                  heard of a later one ends.
 * @return 0; -ECANCELED or -ETIMEDOUT when the scope has been cancelled or its time was up before,
 *         with nothing changed; -EINVAL for a scope that is not open or of another worker
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_scope_set_deadline(th_scope *scope, int64_t deadline);

/**
 * Changes how many children a scope has at the same time.
 *
 * Those that run are left alone when there are more; spawns that wait for room go on at once when
 * there is some.
 *
 * @param scope  an open scope of the calling fiber, or of one of its parents
 * @param limit  the new limit; 0: none
 * @return 0; -EINVAL for a scope that is not open or of another worker
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_scope_set_limit(th_scope *scope, uint32_t limit);

/**
 * Runs a function whose calls the cancellations and deadlines around it do not reach, for a while.
 *
 * For clean-up that has to suspend: the last word to a peer, the removal of a file. It runs in a
 * shield with a deadline of its own, so that it ends. What it spawns it spawns in scopes of its
 * own.
 *
 * @param span  how long it may take, in nanoseconds; then its suspending calls return -ETIMEDOUT
 * @param fn    what to run
 * @param arg   handed to fn
 * @return what fn returned; -EINVAL for a NULL fn or a span of zero or less; -EPERM outside a fiber
 *
 * Suspends: yes, when fn does
 * Thread: fiber
 * On cancel: goes on, that is its purpose
 * Since: 0.1
 */
TH_API TH_MUST int th_shielded(int64_t span, int (*fn)(void *arg), void *arg);

/**
 * Counts the children of a scope that have not ended.
 *
 * @param scope  an open scope
 * @return their number, those that run on other workers included
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API size_t th_scope_children(const th_scope *scope);

/**
 * Gives the scope for work that outlives the one who starts it.
 *
 * It is opened before the program's main fiber starts and cancelled when that returns.
 *
 * @return the runtime's root scope; NULL outside a running runtime
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_scope *th_scope_root(void);

TH_END_DECLS

#endif
