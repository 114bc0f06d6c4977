/* SPDX-License-Identifier: MIT */

/*
 * Queues of pointers between fibers of any worker and plain threads.
 *
 * Items leave in the order in which they came, in the opposite one, or by priority. A queue may be
 * bounded: then putting waits while it is full. It is fair: an item goes to the party that has
 * waited longest for one, and a place to the one that has waited longest for that. An item is
 * handed over directly where somebody waits; none is ever lost or delivered twice, whatever
 * deadline or cancellation comes in between.
 *
 * A consumer takes items until the queue is closed and empty:
 *
 *     while ((err = th_queue_get(jobs, &job)) == 0)
 *         work_on(job);
 *     return err == TH_EOF ? 0 : err;
 *
 * None of these calls may be made from a signal handler.
 */
#ifndef THRUM_QUEUE_H
#define THRUM_QUEUE_H

#include <stddef.h>

#include <thrum/defs.h>

TH_BEGIN_DECLS

typedef struct th_queue th_queue;

/* Which item leaves next. */
enum {
    TH_QUEUE_FIFO = 0, /* the oldest */
    TH_QUEUE_LIFO,     /* the newest */
    TH_QUEUE_PRIORITY  /* the first as the comparison has it, of equal ones the oldest */
};

/*
 * Compares two items: negative when a leaves before b, 0 when they are equal, positive otherwise.
 * It is called with the queue locked: it must be quick, and must not call Thrum.
 */
typedef int th_queue_compare_fn(const void *a, const void *b, void *arg);

/* How a queue behaves; all zero is the default. */
typedef struct th_queue_opts {
    size_t size;                  /* sizeof(th_queue_opts), or 0 for the present one */
    size_t capacity;              /* the most items in it; 0: no bound */
    int order;                    /* TH_QUEUE_* */
    th_queue_compare_fn *compare; /* for TH_QUEUE_PRIORITY, and for nothing else */
    void *compare_arg;            /* handed to compare */
} th_queue_opts;

/**
 * Makes an empty queue.
 *
 * @param opts   options, or NULL for the defaults; read during the call only
 * @param queue  out: the queue, to be given back with th_queue_free()
 * @return 0; -EINVAL for unknown options, a comparison without need or none where one is needed,
 *         or NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_queue_new(const th_queue_opts *opts, th_queue **queue);

/**
 * Closes a queue, wakes everybody who waits in it, and frees it.
 *
 * Those who wait need not have returned, but nobody may come to it any more. What is left in it is
 * forgotten: whoever owns the items drains it first.
 *
 * @param queue  a queue; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_queue_free(th_queue *queue);

/**
 * Puts an item in, and waits for a place if need be.
 *
 * @param queue  a queue
 * @param item   any pointer, NULL as well; while the call waits it is not in the queue yet
 * @return 0; TH_ECLOSED when the queue is closed, or is closed while the call waits; -ECANCELED or
 *         -ETIMEDOUT when the caller would have to wait and its scope says so; -EPERM when it would
 *         have to wait and is a worker's loop, not a fiber; -EINVAL for a NULL queue; -ENOMEM
 *
 * Suspends: yes, while the queue is full
 * Thread: any
 * On cancel: the item is not put in, now or later
 * Since: 0.1
 */
TH_API TH_MUST int th_queue_put(th_queue *queue, void *item);

/**
 * Puts an item in if there is a place.
 *
 * @param queue  a queue
 * @param item   any pointer, NULL as well
 * @return 0; -EAGAIN when the queue is full; TH_ECLOSED when it is closed; -EINVAL for a NULL
 *         queue; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_queue_tryput(th_queue *queue, void *item);

/**
 * Takes the next item out, and waits for one if need be.
 *
 * @param queue  a queue
 * @param item   out: the item
 * @return 0; TH_EOF when the queue is closed and nothing is left in it; -ECANCELED or -ETIMEDOUT
 *         when the caller would have to wait and its scope says so; -EPERM when it would have to
 *         wait and is a worker's loop, not a fiber; -EINVAL for NULL
 *
 * Suspends: yes, while the queue is empty
 * Thread: any
 * On cancel: nothing is taken out
 * Since: 0.1
 */
TH_API TH_MUST int th_queue_get(th_queue *queue, void **item);

/**
 * Takes the next item out if there is one.
 *
 * @param queue  a queue
 * @param item   out: the item
 * @return 0; -EAGAIN when the queue is empty; TH_EOF when it is closed as well; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_queue_tryget(th_queue *queue, void **item);

/**
 * Closes a queue: nothing more can be put in, and what is in it can still be taken out.
 *
 * Those who wait for a place are told TH_ECLOSED, and their items stay with them; those who wait
 * for an item are told TH_EOF. Those who wait in th_queue_join() wait on.
 *
 * @param queue  a queue
 * @return 0; TH_ECLOSED when it is closed already; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_queue_close(th_queue *queue);

/**
 * Says that an item that was put in has been dealt with.
 *
 * @param queue  a queue
 * @return 0; -EINVAL when that was said of all that were put in, with nothing changed, or for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_queue_task_done(th_queue *queue);

/**
 * Waits until th_queue_task_done() was said of every item that was put in.
 *
 * @param queue  a queue
 * @return 0; -ECANCELED or -ETIMEDOUT when the caller would have to wait and its scope says so;
 *         TH_ECLOSED when the queue is freed meanwhile; -EPERM when it would have to wait and is a
 *         worker's loop, not a fiber; -EINVAL for NULL
 *
 * Suspends: yes, while an item is not done
 * Thread: any
 * On cancel: nothing done
 * Since: 0.1
 */
TH_API TH_MUST int th_queue_join(th_queue *queue);

/**
 * Counts the items in a queue.
 *
 * @param queue  a queue
 * @return how many there were a moment ago; 0 for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API size_t th_queue_len(const th_queue *queue);

TH_END_DECLS

#endif
