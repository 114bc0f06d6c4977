/* SPDX-License-Identifier: MIT */

/* Work that waits for files or computes for long, done off the loop, with its detail. */
#include "tls/offloop.h"

#include "base/error.h"
#include "io/fileway.h"

#include <stdbool.h>
#include <stdio.h>

typedef struct job {
    int (*work)(void *arg);
    void *arg;
    bool done;
    char detail[THI_ERR_DETAIL_SIZE];
} job;

static int run(void *arg)
{
    job *j = arg;
    thi_err_clear(0);
    int result = j->work(j->arg);
    snprintf(j->detail, sizeof j->detail, "%s", th_err_detail());
    j->done = true;
    return result;
}

int thi_tls_offloop(int (*work)(void *arg), void *arg)
{
    job j = { .work = work, .arg = arg };
    int result = thi_fileway_run(run, &j);
    if (result >= 0 || !j.done)
        return result;
    return thi_err_set(result, "%s", j.detail);
}
