/* SPDX-License-Identifier: MIT */

/*
 * Barriers: a fixed number of parties, fibers of any worker and plain threads, wait for each other
 * before any of them goes on, round after round.
 *
 * A barrier that cannot be reached any more does not keep its parties for ever: when one of them is
 * cancelled, or its time is up, while the others are still to come, the barrier is broken. All who
 * wait at it, and all who come later, get TH_EBROKEN, until somebody resets it.
 */
#ifndef THRUM_BARRIER_H
#define THRUM_BARRIER_H

#include <stdint.h>

#include <thrum/defs.h>

TH_BEGIN_DECLS

/* A barrier. Its contents are private; until all waits at it have returned it must stay where it
 * is. */
typedef struct th_barrier {
    uint64_t private_[6];
} th_barrier;

/* What a barrier for so many parties, at least one, is initialised with. Nothing has to be freed.
 * One that is all zero is for nobody, and refuses to be waited at. */
#define TH_BARRIER_INIT(parties)                                                                   \
    {                                                                                              \
        {                                                                                          \
            (parties)                                                                              \
        }                                                                                          \
    }

/**
 * Initialises a barrier where the static initialiser cannot.
 *
 * @param barrier  out: storage that is not in use
 * @param parties  how many have to come, at least 1
 * @return 0; -EINVAL for NULL or no parties
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_barrier_init(th_barrier *barrier, uint32_t parties);

/**
 * Waits until all parties have come.
 *
 * The last of them does not wait, and lets the others go; the barrier is ready for the next round
 * at once.
 *
 * @param barrier  an initialised barrier
 * @return 1 for the last one, and 0 for the others, when all have come; TH_EBROKEN when the barrier
 *         is broken, or was while the caller waited; -ECANCELED or -ETIMEDOUT when the caller has
 *         to wait and its scope says so before all have come; -EPERM when it has to wait and is a
 *         worker's loop, not a fiber, with nothing changed; -EINVAL for NULL or a barrier for
 *         nobody
 *
 * Suspends: yes, unless it is the last one
 * Thread: any
 * On cancel: the barrier is broken, all others get TH_EBROKEN
 * Since: 0.1
 */
TH_API TH_MUST int th_barrier_wait(th_barrier *barrier);

/**
 * Breaks a barrier: for a party that will not come any more.
 *
 * @param barrier  an initialised barrier
 * @return 0, also when it is broken already; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_barrier_abort(th_barrier *barrier);

/**
 * Makes a barrier as it was at first: not broken, with nobody there. Those who wait get TH_EBROKEN.
 *
 * @param barrier  an initialised barrier
 * @return 0; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_barrier_reset(th_barrier *barrier);

/**
 * Tells whether a barrier is broken.
 *
 * @param barrier  an initialised barrier
 * @return 1 if it is, else 0; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_barrier_is_broken(th_barrier *barrier);

TH_END_DECLS

#endif
