/* SPDX-License-Identifier: MIT */

/* Delays that grow, up to a bound, and are scattered. */
#ifndef THI_CALLBACK_BACKOFF_H
#define THI_CALLBACK_BACKOFF_H

#include "base/random.h"

#include <thrum/reconnect.h>

typedef struct thi_backoff {
    int64_t first; /* ns */
    int64_t most;
    int64_t delay;    /* the last one, before it was scattered */
    unsigned factor;  /* thousandths */
    unsigned scatter; /* likewise */
    thi_random random;
} thi_backoff;

/* Takes first, most, factor and scatter of the options, and a seed of the system's. */
void thi_backoff_init(thi_backoff *backoff, const th_reconnect_opts *opts);

/* Begins anew. */
void thi_backoff_reset(thi_backoff *backoff);

/* The next delay: the last one by the factor, at most the bound, then scattered; ns, above 0. */
int64_t thi_backoff_next(thi_backoff *backoff);

#endif
