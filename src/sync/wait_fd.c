/* SPDX-License-Identifier: MIT */

/* One wait for a foreign descriptor. */
#include "base/util.h"
#include "runtime/sched.h"
#include "sync/fd_hub.h"

#include <thrum/fiber.h>

typedef struct fd_wait {
    thi_wait wait;
    thi_fd_wait of_hub;
    th_fiber *fiber;
    int fd;
} fd_wait;

static const thi_wait_kind waiting = { "descriptor", THI_BY_DESCRIPTOR, offsetof(fd_wait, fd) };

static void on_end(thi_fd_wait *wait, int result)
{
    thi_sched_ready(thi_container_of(wait, fd_wait, of_hub)->fiber, result);
}

static void break_off(thi_wait *wait, int result)
{
    fd_wait *w = thi_container_of(wait, fd_wait, wait);
    if (!w->of_hub.entry) /* it is over, and the fiber ready */
        return;
    thi_fd_leave(&w->of_hub);
    thi_sched_ready(w->fiber, result);
}

static int park(th_fiber *self, int fd, unsigned dirs)
{
    fd_wait w = { .of_hub = { .dirs = dirs, .fn = on_end }, .fiber = self, .fd = fd };
    w.wait = (thi_wait){ .kind = &waiting, .object = &w, .abort = break_off };
    int err = thi_fd_enter(&w.of_hub, fd);
    return err < 0 ? err : thi_sched_park(&w.wait);
}

/* What has happened beats the end of the scope: after that the descriptor is looked at once more.
 */
static int wait_as_fiber(th_fiber *self, int fd, unsigned dirs)
{
    int err = thi_sched_may_park_as(self);
    if (err < 0)
        return err;
    thi_sched_spend(THI_COST_DESCRIPTOR); /* what is ready at once must let the others run */
    int found = thi_fd_look(fd, dirs);
    if (found != 0)
        return found;
    int result = park(self, fd, dirs);
    if (result != -ECANCELED && result != -ETIMEDOUT)
        return result;
    if (self->scope->status == 0) /* it is the descriptor that ends */
        return result;
    found = thi_fd_look(fd, dirs);
    return found > 0 ? found : result;
}

static int wait_anywhere(int fd, unsigned dirs)
{
    th_fiber *self = thi_sched_self();
    if (self)
        return wait_as_fiber(self, fd, dirs);
    if (!thi_worker_self)
        return thi_fd_wait_as_thread(fd, dirs);
    int found = thi_fd_look(fd, dirs);
    return found == 0 ? -EPERM : found;
}

int th_wait_fd(int fd, unsigned dirs, unsigned *ready)
{
    if (dirs == 0 || (dirs & ~(unsigned)(TH_FD_READ | TH_FD_WRITE)))
        return -EINVAL;
    if (fd < 0)
        return -EBADF;
    int result = wait_anywhere(fd, dirs);
    if (result < 0)
        return result;
    if (ready)
        *ready = (unsigned)result;
    return 0;
}
