/* SPDX-License-Identifier: MIT */

/* Waiting for a bell. */
#include "net/bell.h"

static void break_off(thi_wait *wait, int result)
{
    thi_bell *bell = thi_container_of(wait, thi_bell, wait);
    if (!bell->waits) /* it has rung, and the fiber is ready */
        return;
    bell->waits = false;
    thi_sched_ready(bell->fiber, result);
}

void thi_bell_init(thi_bell *bell, const thi_wait_kind *kind)
{
    *bell = (thi_bell){ .wait = { .kind = kind, .object = bell, .abort = break_off },
                        .fiber = thi_sched_self(),
                        .fd = -1 };
}

void thi_bell_ring(thi_bell *bell)
{
    bell->rung = true;
    if (!bell->waits)
        return;
    bell->waits = false;
    thi_sched_ready(bell->fiber, 0);
}

int thi_bell_wait(thi_bell *bell)
{
    int err = thi_sched_may_park();
    if (err == 0 && !bell->rung) {
        bell->waits = true;
        err = thi_sched_park(&bell->wait);
    }
    bell->rung = false;
    return err;
}
