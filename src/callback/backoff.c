/* SPDX-License-Identifier: MIT */

/*
 * Growing and scattering delays.
 *
 * Scattered is by the normal distribution, as the sum of twelve uniform numbers has it near enough:
 * its standard deviation is that of one, and it ends at six. No floating point, no library.
 */
#include "callback/backoff.h"

#include "base/util.h"
#include "sys/sys.h"

#include <thrum/time.h>

#define FIRST   TH_SECOND
#define MOST    TH_HOUR
#define FACTOR  2718 /* e */
#define SCATTER 120
#define UNIT    65536 /* one standard deviation */
#define TERMS   12

__extension__ typedef __int128 wide;

void thi_backoff_init(thi_backoff *b, const th_reconnect_opts *opts)
{
    uint64_t seed = 0;
    if (thi_sys_random(&seed, sizeof seed) < 0)
        seed = (uint64_t)thi_sys_clock(); /* better than none: it is not a secret */
    *b = (thi_backoff){ .first = opts->first ? opts->first : FIRST,
                        .most = opts->most ? opts->most : MOST,
                        .factor = opts->factor ? opts->factor : FACTOR };
    b->scatter = opts->scatter < 0 ? 0 : opts->scatter > 0 ? (unsigned)opts->scatter : SCATTER;
    thi_random_seed(&b->random, seed);
    thi_backoff_reset(b);
}

void thi_backoff_reset(thi_backoff *b)
{
    b->delay = b->first;
}

/* Normally distributed about 0, in units of UNIT, from -6 to 6. */
static int64_t draw(thi_backoff *b)
{
    int64_t sum = -(TERMS / 2) * (int64_t)UNIT;
    for (int i = 0; i < TERMS; i++)
        sum += (int64_t)thi_random_below(&b->random, UNIT + 1);
    return sum;
}

int64_t thi_backoff_next(thi_backoff *b)
{
    wide grown = (wide)b->delay * b->factor / 1000;
    b->delay = grown < b->most ? (int64_t)grown : b->most;
    wide off = (wide)b->delay * b->scatter * draw(b) / 1000 / UNIT;
    wide delay = b->delay + off;
    return delay < 1 ? 1 : delay > TH_NEVER - 1 ? TH_NEVER - 1 : (int64_t)delay;
}
