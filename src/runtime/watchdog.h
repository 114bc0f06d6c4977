/* SPDX-License-Identifier: MIT */

/* Noticing fibers that do not let go of their worker. */
#ifndef THI_RUNTIME_WATCHDOG_H
#define THI_RUNTIME_WATCHDOG_H

#include "runtime/worker.h"

#include <thrum/time.h>

/* The limit of a runtime's watchdog; TH_NEVER: it has none. */
static inline int64_t thi_watchdog_limit(const thi_runtime *rt)
{
    return rt->opts.watchdog ? rt->opts.watchdog : 100 * TH_MILLISECOND;
}

/*
 * Starts to watch the workers of a runtime, whose threads have been started; nothing where the
 * options say so. -ENOMEM, or -errno when there is no thread to be had.
 */
TH_MUST int thi_watchdog_start(thi_runtime *runtime);

/*
 * Stops that, before any of the threads is joined; and frees it, when all of them have been, for a
 * signal may have been on its way. NULL is allowed.
 */
void thi_watchdog_stop(thi_watchdog *watchdog);
void thi_watchdog_free(thi_watchdog *watchdog);

/* The signal that threads of workers must let through, since it asks them where they are. */
int thi_watchdog_signal(void);

#endif
