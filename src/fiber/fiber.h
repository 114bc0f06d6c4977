/* SPDX-License-Identifier: MIT */

/*
 * The fiber object: a context with its stack for life, and what the runtime knows of who runs in
 * it.
 *
 * Objects and stacks are glued together and reused together, so that a spawn touches memory that is
 * warm. The objects lie densely in arrays beside the stacks, not on them: whoever looks at a
 * million fibers walks arrays and touches no stack.
 */
#ifndef THI_FIBER_FIBER_H
#define THI_FIBER_FIBER_H

#include "base/error.h"
#include "base/list.h"
#include "fiber/context.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct th_fiber th_fiber;
typedef struct thi_wait thi_wait;

/* What a pointer of the user's to a th_fiber points to: the word that it begins with. */
enum { THI_IS_FIBER, THI_IS_HANDLE };

/* FREE: in a pool; READY: in a run queue; RUNNING; PARKED: waits; ENDED: no fiber is for long. */
enum { THI_FIBER_FREE, THI_FIBER_READY, THI_FIBER_RUNNING, THI_FIBER_PARKED, THI_FIBER_ENDED };

/* Who can end a wait, and what thi_wait_kind.at is the offset of in the wait's object. */
enum {
    THI_BY_ANYBODY,    /* any party of the process: it sets the event, puts the item in */
    THI_BY_OWNER,      /* who holds the object: `const void *`, a fiber or a mark of a thread; the
                        * lowest bit does not count */
    THI_BY_FIBER,      /* the end of a fiber: `const th_fiber *`, NULL until it has started */
    THI_BY_CHILDREN,   /* the ends of the children of a scope, which the object is; `at` is 0 if all
                        * have to end, 1 if one is enough */
    THI_BY_DESCRIPTOR, /* the kernel: `int`, the descriptor */
    THI_BY_TIME,       /* the clock: `int64_t`, when */
    THI_BY_POOL,       /* the threads of a pool: `char[]`, its name */
    THI_BY_WORK        /* a thread that does work for it: `int (*)(void *)`, which */
};

/*
 * A kind of wait, as static data beside the code that waits. Whoever looks inside, from the same
 * process or another one, or at a core, runs none of that code and needs to know none of its types.
 * <thrum/inspect.h> tells it where all this lies.
 */
typedef struct thi_wait_kind {
    const char *what; /* "read", "sleep", "join", ... */
    uint16_t ends;    /* THI_BY_* */
    uint16_t at;      /* offset in the object */
} thi_wait_kind;

/*
 * What a parked fiber waits for, on its own stack. `abort` takes the fiber off whatever it waits in
 * and makes it ready with the given result; NULL where a wait cannot be broken off.
 */
struct thi_wait {
    const thi_wait_kind *kind;
    const void *object;
    int64_t since; /* when it was parked, as far as its loop knew */
    void (*abort)(thi_wait *wait, int result);
};

/*
 * What kind of wait it is. Who waits for a condition is moved to the wait for its mutex by whoever
 * signals, on any thread: from when it can be found there, ask here. What the kind says of the
 * object holds for the object that is read afterwards.
 */
static inline const thi_wait_kind *thi_wait_kind_of(const thi_wait *wait)
{
    return __atomic_load_n(&wait->kind, __ATOMIC_ACQUIRE);
}

/* The values of a fiber, of which only their end matters here. */
typedef struct thi_locals thi_locals;
struct thi_locals {
    void (*end)(thi_locals **locals); /* destroys all; *locals is NULL afterwards */
};

struct th_fiber {
    uint32_t kind;   /* THI_IS_FIBER */
    int wake_result; /* what the wait returns */
    thi_context context;
    th_fiber *next; /* in the run queue, or in the pool's list of free ones */
    struct thi_worker *worker;
    struct thi_scope *scope; /* the innermost scope it is in */
    thi_list member;         /* in scope->fibers */
    int (*fn)(void *arg);
    void *arg;
    thi_wait *waits; /* while PARKED */
    uint8_t state;
    uint8_t rank;           /* THI_RANK_*, in whose queue it stands when it is ready */
    uint8_t stack_class;    /* which pool list it goes back to */
    bool stack_bare;        /* the stack's memory was given back: the context must be made anew */
    bool guarded;           /* a guard page is in place; otherwise a canary is */
    uint16_t stands_for;    /* its depth is measured, for so many of its place; 0: it is not */
    uint64_t id;            /* never used twice in a process */
    thi_list tied;          /* while PARKED by thi_sched_park_tied(): in its worker's list */
    int64_t told;           /* the wait that began then has been reported as one without an end */
    struct thi_scope *home; /* the scope it was spawned in */
    const char *name;       /* static text or NULL; borrowed for the fiber's life */
    const char *origin;     /* "fn at file.c:12", static, or NULL */
    thi_err_slot *detail;   /* made at its first failure that has details */
    thi_locals *locals;     /* made when the first value is set */
    struct thi_follower *follower; /* a handle, for those who join or cancel it; mostly none */
    char *stack_low;               /* the lowest byte it may use */
    size_t stack_size;
};

/* What a fiber is called in messages. Async-signal-safe. */
static inline const char *thi_fiber_text(const char *name, const char *origin)
{
    return name ? name : origin ? origin : "fiber";
}

/* The part "file.c:12" of an origin; "" without one. Async-signal-safe. */
static inline const char *thi_origin_place(const char *origin)
{
    const char *at = origin ? strstr(origin, " at ") : NULL;
    return at ? at + 4 : "";
}

#endif
