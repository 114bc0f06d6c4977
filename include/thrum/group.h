/* SPDX-License-Identifier: MIT */

/*
 * Groups: fibers whose results are wanted, and maps of a function over many items.
 *
 * A group is a scope that remembers. Each child has an index, in the order of spawning, and its
 * result can be had by that index, or in the order in which the children end. What the first
 * failure or the first success means for the others is the group's mode. For work whose results
 * nobody asks for, and for groups that last for long, a plain scope with a limit does: it keeps
 * nothing of a child that has ended.
 *
 *     err = th_group_open(&(th_group_opts){ .limit = 10 }, &group);
 *     for (size_t i = 0; i < n && err >= 0; i++)
 *         err = th_group_spawn(group, fetch, &jobs[i]);
 *     while ((i = th_group_next(group, &result)) >= 0)
 *         show(&jobs[i], result);
 *     err = th_group_close(group);
 *
 * A group's scope is the innermost one of its host, the fiber that opened it, as with
 * th_scope_open(): groups and scopes are closed in the opposite order of opening. Children may live
 * on any worker. The host's waits for children are not cut short by the group's own scope, nor by
 * those around it: these reach the children, which end because of them. To wait for a shorter time
 * and leave the children alone, the host opens a scope with a deadline inside the group.
 */
#ifndef THRUM_GROUP_H
#define THRUM_GROUP_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/defs.h>
#include <thrum/fiber.h>
#include <thrum/scope.h>

TH_BEGIN_DECLS

typedef struct th_group th_group;

/* What the end of one child means for the others. */
enum {
    TH_GROUP_FAIL_FAST = 0, /* the first failure cancels the rest */
    TH_GROUP_COLLECT,       /* nothing: all run to their end */
    TH_GROUP_RACE           /* the first success cancels the rest */
};

/* How a group behaves; all zero is the default. */
typedef struct th_group_opts {
    size_t size;      /* sizeof(th_group_opts), or 0 for the present one */
    uint32_t limit;   /* children at the same time; 0: no limit */
    int mode;         /* TH_GROUP_* */
    int64_t deadline; /* of the group's scope (th_after); 0: none of its own */
    int place;        /* where the children live, as in th_spawn_opts */
    const char *name; /* of the children, as in th_spawn_opts; NULL: none */
} th_group_opts;

/* How far a group is. */
typedef struct th_group_info {
    size_t spawned; /* children so far, those that have ended included */
    size_t ended;   /* of these, have ended */
    size_t waiting; /* spawns that wait for room */
    uint32_t limit; /* in force; 0: none */
} th_group_info;

/**
 * Opens a group inside the present scope of the calling fiber, its host.
 *
 * It must be closed before the fiber's function returns.
 *
 * @param opts   options, or NULL for the defaults; read during the call only
 * @param group  out: the group, to be given back with th_group_close()
 * @return 0; -EINVAL for unknown options, a place that does not exist, or NULL; -EPERM outside a
 *         fiber; -ENOMEM
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: opens the group, which is cancelled from the start
 * Since: 0.1
 */
TH_API TH_MUST int th_group_open(const th_group_opts *opts, th_group **group);

/**
 * Waits until all children of a group have ended, closes it and frees it.
 *
 * @param group  the group whose scope is the calling fiber's innermost one; NULL is allowed
 * @return what th_group_verdict() says when all have ended; 0 for NULL; -EINVAL when the group is
 *         not the innermost one of its host; -EPERM outside a fiber
 *
 * Suspends: yes, while children run
 * Thread: fiber
 * On cancel: waits on; the children are cancelled as well
 * Since: 0.1
 */
TH_API int th_group_close(th_group *group);

/**
 * Starts a child.
 *
 * While the group has as many children as its limit allows, the caller waits. One that is itself a
 * child of the group, or lives in a scope of one, is refused instead: it would wait for an end that
 * may have to wait for it. From elsewhere than the host's worker the call never waits; the limit
 * then delays the start itself.
 *
 * @param group  an open group; from elsewhere than its fibers the caller must know that it stays
 *               open meanwhile
 * @param fn     what to run; a negative result is a failure
 * @param arg    handed to fn; if this call fails it still belongs to the caller
 * @return the child's index: they are numbered from 0 in the order of spawning; -ECANCELED or
 *         -ETIMEDOUT when the group's scope, or that of the waiting caller, says so; -EDEADLK when
 *         a child would have to wait for room; TH_ELIMIT after INT_MAX children; -EINVAL for NULL;
 *         -ENOMEM
 *
 * Suspends: yes, while the limit is reached
 * Thread: any
 * On cancel: nothing started, and no index used
 * Since: 0.1
 */
TH_API TH_MUST int th_group_spawn(th_group *group, th_fiber_fn fn, void *arg);

/**
 * Starts a child as th_group_spawn() does, and says from where.
 *
 * @param group   an open group
 * @param fn      what to run; a negative result is a failure
 * @param arg     handed to fn; if this call fails it still belongs to the caller
 * @param origin  static text: what TH_ORIGIN(fn) makes, or NULL when it is not known
 * @return as th_group_spawn()
 *
 * Suspends: yes, while the limit is reached
 * Thread: any
 * On cancel: nothing started, and no index used
 * Since: 0.1
 */
TH_API TH_MUST int th_group_spawn_from(th_group *group, th_fiber_fn fn, void *arg,
                                       const char *origin);

/* Each call says by itself where it stands, as those of th_spawn() do. It is a function as well. */
#define th_group_spawn(group, fn, ...) th_group_spawn_from(group, fn, __VA_ARGS__, TH_ORIGIN_(#fn))

/**
 * Gives the next child that has ended, in the order of their ends, each once.
 *
 * @param group   a group of the calling fiber
 * @param result  out: what the child returned; may be NULL
 * @return the child's index; TH_EOF when all that were spawned have been given; -ECANCELED or
 *         -ETIMEDOUT when a scope that was opened inside the group says so; -EINVAL for NULL and
 *         for another fiber's group; -EPERM outside a fiber
 *
 * Suspends: yes, unless one has ended
 * Thread: fiber
 * On cancel: no child is given; by its own scope and those around it waits on, the children end
 * Since: 0.1
 */
TH_API TH_MUST int th_group_next(th_group *group, int *result);

/**
 * Waits for the end of one child, and gives its result.
 *
 * One after the other in the order of spawning makes a pile: results in order, whoever ends first.
 *
 * @param group   a group of the calling fiber
 * @param index   of the child, as th_group_spawn() gave it
 * @param result  out: what the child returned; may be NULL
 * @return 0; -ECANCELED or -ETIMEDOUT when the child has not ended and a scope that was opened
 *         inside the group says so; -EINVAL for an index that does not exist, NULL, and another
 *         fiber's group; -EPERM outside a fiber
 *
 * Suspends: yes, until the child has ended
 * Thread: fiber
 * On cancel: nothing done; by its own scope and those around it waits on, the child ends
 * Since: 0.1
 */
TH_API TH_MUST int th_group_result(th_group *group, size_t index, int *result);

/**
 * Waits until no child of a group runs, and leaves it open for more, and for its results.
 *
 * @param group  a group of the calling fiber
 * @return 0 when none runs, whatever they returned; -ECANCELED or -ETIMEDOUT when a scope that was
 *         opened inside the group says so before; -EINVAL for NULL and for another fiber's group,
 *         its children among them; -EPERM outside a fiber
 *
 * Suspends: yes, while children run
 * Thread: fiber
 * On cancel: nothing done; by its own scope and those around it waits on, the children end
 * Since: 0.1
 */
TH_API TH_MUST int th_group_wait(th_group *group);

/**
 * Tells how the group stands.
 *
 * A child that ended only because of the group's cancellation or deadline, and says so, decides
 * nothing as long as there is another.
 *
 * @param group    a group of the calling fiber
 * @param decided  out: the index of the child that the result is from, SIZE_MAX for none; may be
 *                 NULL
 * @return the result of the first child that failed, 0 if none has; in a race the result of the
 *         first that did not fail, else the first failure; -EINVAL for NULL and for another
 *         fiber's group; -EPERM outside a fiber
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_group_verdict(th_group *group, size_t *decided);

/**
 * Gives the scope of a group: to cancel it, to change its limit or deadline, to count its children.
 *
 * @param group  an open group
 * @return its scope, valid until the group is closed; it is not to be closed by itself; NULL for
 *         NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_scope *th_group_scope(th_group *group);

/**
 * Tells how far a group is.
 *
 * @param group  an open group
 * @param info   out: its counts
 * @return 0; -EINVAL for NULL; -EPERM elsewhere than on the host's worker
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_group_get_info(th_group *group, th_group_info *info);

/* What a map calls for each index. */
typedef int (*th_map_fn)(size_t index, void *arg);

/**
 * Calls a function for each index below a count, on as many fibers as the limit allows.
 *
 * The fibers take the indices in ascending order. With TH_GROUP_FAIL_FAST the first failure, with
 * TH_GROUP_RACE the first success, cancels those that run, and what has not begun never does.
 *
 * @param count    how many
 * @param fn       what to call
 * @param arg      handed to fn; used by several fibers at once
 * @param opts     options, or NULL for the defaults; without a limit there is a fiber for each
 * @param results  out: what fn returned, by index; of one that never began -ETIMEDOUT after a
 *                 deadline, otherwise -ECANCELED; room for `count`, or NULL
 * @return 0 when none failed, in a race when one did not; otherwise the first failure; -ECANCELED
 *         or -ETIMEDOUT when the caller's scope said so before all had begun; -EINVAL for a NULL
 *         fn, unknown options, or a place that does not exist; -EPERM outside a fiber; -ENOMEM
 *
 * Suspends: yes, until all have ended
 * Thread: fiber
 * On cancel: those that run are cancelled and waited for, what has not begun never does
 * Since: 0.1
 */
TH_API TH_MUST int th_map(size_t count, th_map_fn fn, void *arg, const th_group_opts *opts,
                          int *results);

/* The parts of an ordered map. */
typedef struct th_map_stream {
    size_t size; /* sizeof(th_map_stream), or 0 for the present one */
    /* Gives the next item: 0, TH_EOF when there is none, or a failure, which ends the input. Called
     * on the caller's fiber; may suspend. */
    int (*next)(void **item, void *arg);
    /* What to do with an item, on a fiber of its own. */
    int (*each)(void *item, void *arg);
    /* Told of each item that `next` gave and its result, in the order of the input; of the last one
     * maybe that it could not be begun. Called on the caller's fiber; may suspend. A negative
     * result cancels the rest. May be NULL. */
    int (*done)(void *item, int result, void *arg);
    void *arg; /* handed to all three */
} th_map_stream;

/* The limit of an ordered map that gives none. */
#define TH_MAP_LIMIT 64u

/**
 * Does something with each item of a stream, several at once, and tells the results in order.
 *
 * At most as many items as the limit allows are between `next` and `done`, so the memory is
 * bounded however long the stream is; while one item takes long, so many others are done at most.
 *
 * @param stream  where the items come from and go to; read during the call only
 * @param opts    options, or NULL for the defaults; without a limit TH_MAP_LIMIT is it
 * @return 0 when none failed, in a race when one did not; the first failure of `next` or `done`,
 *         otherwise of an item; -ECANCELED or -ETIMEDOUT when the scope of the map or the caller
 *         said so before the end of the input; -EINVAL for NULL, without `next` or `each`, for
 *         unknown options, or a place that does not exist; -EPERM outside a fiber; -ENOMEM
 *
 * Suspends: yes, until all that was begun has ended
 * Thread: fiber
 * On cancel: no more items are asked for; those begun are cancelled, waited for and told to `done`
 * Since: 0.1
 */
TH_API TH_MUST int th_map_ordered(const th_map_stream *stream, const th_group_opts *opts);

TH_END_DECLS

#endif
