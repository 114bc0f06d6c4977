/* SPDX-License-Identifier: MIT */

/* Time: signed 64-bit nanoseconds of the monotonic clock, and points in time made from spans. */
#ifndef THRUM_TIME_H
#define THRUM_TIME_H

#include <stdint.h>

#include <thrum/defs.h>

TH_BEGIN_DECLS

#define TH_NANOSECOND  INT64_C(1)
#define TH_MICROSECOND INT64_C(1000)
#define TH_MILLISECOND INT64_C(1000000)
#define TH_SECOND      INT64_C(1000000000)
#define TH_MINUTE      (60 * TH_SECOND)
#define TH_HOUR        (60 * TH_MINUTE)

/* The only point in time that never comes. */
#define TH_NEVER INT64_MAX

/**
 * Reads the monotonic clock.
 *
 * @return nanoseconds since an arbitrary start; never runs backwards, stands still while the
 * machine sleeps (clock_gettime(2), CLOCK_MONOTONIC); virtual time in a simulation
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int64_t th_now(void);

/**
 * Gives the point in time that lies a span from now.
 *
 * @param span  nanoseconds; zero and negative spans give a time that is already past
 * @return th_now() + span without overflow; TH_NEVER when the sum does not fit or span is TH_NEVER
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int64_t th_after(int64_t span);

/**
 * Reads the calendar clock.
 *
 * @return nanoseconds since 1970-01-01 00:00 UTC; may jump when somebody sets the clock
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int64_t th_wall(void);

TH_END_DECLS

#endif
