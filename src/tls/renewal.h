/* SPDX-License-Identifier: MIT */

/*
 * Looking again, from time to time and in the background, at what others may have changed: a file,
 * a shared source.
 *
 * There is no timer. Whoever uses the thing asks on the way, and when the last look was long ago, a
 * job for a pool is put that looks. So what nobody uses costs nothing and nobody has to be stopped;
 * what is used is at most one look old, and what was idle is used once more as it was.
 */
#ifndef THI_TLS_RENEWAL_H
#define THI_TLS_RENEWAL_H

#include "pool/job.h"

#include <thrum/defs.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct thi_renewal thi_renewal;

typedef struct thi_renewal_ops {
    void (*look)(thi_renewal *renewal);    /* on a thread of the pool; never two at once */
    void (*hold)(thi_renewal *renewal);    /* takes a reference to what is looked after ... */
    void (*release)(thi_renewal *renewal); /* ... and gives it back, perhaps the last one */
    const char *pool;                      /* "files" or "default" */
} thi_renewal_ops;

struct thi_renewal {
    thi_job job;
    const thi_renewal_ops *ops;
    int64_t every;       /* ns between looks */
    _Atomic int64_t due; /* when the next one is */
    atomic_bool busy;    /* somebody looks, or will */
};

/* The first look is `every` nanoseconds from now, a span of at most THI_RENEWAL_MAX. */
void thi_renewal_init(thi_renewal *renewal, int64_t every, const thi_renewal_ops *ops);

#define THI_RENEWAL_MAX (3600 * INT64_C(1000000000))

/* Has somebody look if it is time. Any thread; costs a look at the clock. */
void thi_renewal_ask(thi_renewal *renewal);

/* Becomes the one who looks, for a look of the caller's own: false when another one is. */
TH_MUST bool thi_renewal_begin(thi_renewal *renewal);
void thi_renewal_end(thi_renewal *renewal);

#endif
