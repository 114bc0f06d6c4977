/* SPDX-License-Identifier: MIT */

/* The public clock calls, read through the seam so that a simulation's time is virtual. */
#include <thrum/time.h>

#include "sys/sys.h"

int64_t th_now(void)
{
    return thi_sys_clock();
}

int64_t th_after(int64_t span)
{
    int64_t at;
    if (span == TH_NEVER || __builtin_add_overflow(thi_sys_clock(), span, &at))
        return span < 0 ? INT64_MIN : TH_NEVER;
    return at;
}

int64_t th_wall(void)
{
    return thi_sys_wall();
}
