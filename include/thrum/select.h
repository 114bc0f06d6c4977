/* SPDX-License-Identifier: MIT */

/*
 * Waiting for the first of several things: an item, a place for one, an event, a unit of a
 * semaphore, a point in time, a descriptor.
 *
 *     th_case cases[] = { TH_CASE_GET(jobs), TH_CASE_EVENT(&stop), TH_CASE_TIME(th_after(span)) };
 *     switch (th_select(cases, 3, 0)) {
 *     case 0:
 *         return cases[0].result == 0 ? work_on(cases[0].item) : 0;
 *     ...
 *
 * Exactly one case completes; the others leave no trace. So what one case takes, an item or a unit,
 * is taken, and nothing is taken by any other.
 */
#ifndef THRUM_SELECT_H
#define THRUM_SELECT_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/defs.h>
#include <thrum/event.h>
#include <thrum/queue.h>
#include <thrum/sem.h>

TH_BEGIN_DECLS

/* What a case waits for. */
enum {
    TH_CASE_NONE = 0,      /* nothing: it never completes; to switch a case off */
    TH_CASE_KIND_GET,      /* that th_queue_get() would take an item, and takes it */
    TH_CASE_KIND_PUT,      /* that th_queue_put() would find a place, and puts an item there */
    TH_CASE_KIND_EVENT,    /* that an event is set; as th_event_wait() */
    TH_CASE_KIND_SEM,      /* that a semaphore has a unit, and takes it */
    TH_CASE_KIND_TIME,     /* a point in time */
    TH_CASE_KIND_READABLE, /* that a descriptor can be read from, if only its end or an error */
    TH_CASE_KIND_WRITABLE  /* that it can be written to, likewise */
};

/* One case: the caller's storage, made by one of the macros below; it may be used again and again.
 */
typedef struct th_case {
    int kind;        /* TH_CASE_KIND_... */
    int fd;          /* READABLE, WRITABLE: no stream's; stays the caller's, as in th_wait_fd() */
    int64_t time;    /* TIME: of th_now(); TH_NEVER never completes */
    th_queue *queue; /* GET, PUT */
    th_event *event; /* EVENT */
    th_sem *sem;     /* SEM */
    void *item;      /* PUT: what to put in; GET, out: what was got */
    int result; /* out, of the case that completed: 0; of a closed queue TH_EOF (GET, and nothing
                   is left) or TH_ECLOSED (PUT); of a descriptor -ECANCELED when somebody is about
                   to close it (th_fd_closing()), or -EBADF */
    uint64_t private_[18];
} th_case;

#define TH_CASE_GET(from)                                                                          \
    {                                                                                              \
        TH_CASE_KIND_GET, -1, 0, (from), NULL, NULL, NULL, 0,                                      \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
#define TH_CASE_PUT(to, what)                                                                      \
    {                                                                                              \
        TH_CASE_KIND_PUT, -1, 0, (to), NULL, NULL, (what), 0,                                      \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
#define TH_CASE_EVENT(which)                                                                       \
    {                                                                                              \
        TH_CASE_KIND_EVENT, -1, 0, NULL, (which), NULL, NULL, 0,                                   \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
#define TH_CASE_SEM(which)                                                                         \
    {                                                                                              \
        TH_CASE_KIND_SEM, -1, 0, NULL, NULL, (which), NULL, 0,                                     \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
/* A time that is past already completes only if no other case does at once: that makes a call
 * which does not wait. */
#define TH_CASE_TIME(when)                                                                         \
    {                                                                                              \
        TH_CASE_KIND_TIME, -1, (when), NULL, NULL, NULL, NULL, 0,                                  \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
#define TH_CASE_READABLE(which)                                                                    \
    {                                                                                              \
        TH_CASE_KIND_READABLE, (which), 0, NULL, NULL, NULL, NULL, 0,                              \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }
#define TH_CASE_WRITABLE(which)                                                                    \
    {                                                                                              \
        TH_CASE_KIND_WRITABLE, (which), 0, NULL, NULL, NULL, NULL, 0,                              \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/* Of several cases that could complete at once the first in the array does; otherwise each may. */
#define TH_SELECT_IN_ORDER 1u

/**
 * Waits until one of several cases completes.
 *
 * The cases may be about the same object, or the same descriptor; a queue's put is never met by its
 * get of the same call. As after poll(2), a descriptor that was ready may no longer be when it is
 * read.
 *
 * @param cases  the cases; they must stay where they are during the call
 * @param count  how many
 * @param flags  0 or TH_SELECT_IN_ORDER
 * @return the index of the case that has completed; otherwise none has, and it is -ECANCELED or
 *         -ETIMEDOUT when the caller would have to wait and its scope says so; -EPERM when it would
 *         have to wait and is a worker's loop, not a fiber, or when a case of a descriptor is not
 *         asked for by a fiber; -EINVAL for an unknown kind or flag, a NULL object, or when nothing
 *         could ever end the wait; -EBADF for a descriptor that is not open; -EEXIST for one that
 *         a stream of this worker has; -ECANCELED for one that is about to be closed; -ENOMEM
 *
 * Suspends: yes, unless a case completes at once
 * Thread: any; fiber for descriptors
 * On cancel: no case completes
 * Since: 0.1
 */
TH_API TH_MUST int th_select(th_case *cases, size_t count, unsigned flags);

TH_END_DECLS

#endif
