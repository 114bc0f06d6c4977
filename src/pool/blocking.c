/* SPDX-License-Identifier: MIT */

/* Work that waits for a disk or computes for long, done where it holds up no worker. */
#include "pool/blocking.h"

#include "base/error.h"
#include "pool/crew.h"
#include "runtime/sched.h"
#include "sys/sys.h"

#include <errno.h>

typedef struct handed {
    const thi_sys *sys;
    th_work_fn work;
    void *arg;
    bool silent; /* it has failed and says no more about it */
} handed;

/* The caller's system calls are made, also if a thread makes them for him. */
static int run_handed(void *arg)
{
    handed *h = arg;
    const thi_sys *own = thi_sys_table;
    thi_sys_table = h->sys;
    int result = h->work(h->arg);
    thi_sys_table = own;
    h->silent = result < 0 && !*th_err_detail();
    return result;
}

bool thi_may_block(void)
{
    return !thi_worker_self || thi_pool_self;
}

int thi_blocking_run(const char *pool, th_work_fn work, void *arg)
{
    if (!thi_sched_self())
        return thi_may_block() ? work(arg) : thi_err_clear(-EPERM);
    handed h = { .sys = thi_sys_table, .work = work, .arg = arg };
    int result = th_offload(th_pool_default(pool), run_handed, &h);
    return h.silent ? thi_err_clear(result) : result;
}

int thi_compute(th_work_fn work, void *arg)
{
    return thi_blocking_run("crypto", work, arg);
}
