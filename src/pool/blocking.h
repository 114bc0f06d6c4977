/* SPDX-License-Identifier: MIT */

/* Work that waits for a disk or computes for long, done where it holds up no worker. */
#ifndef THI_POOL_BLOCKING_H
#define THI_POOL_BLOCKING_H

#include <thrum/pool.h>

#include <stdbool.h>

/* Whether the caller may block: a plain thread, and who runs work of a pool. */
bool thi_may_block(void);

/*
 * Runs work on a thread of the default pool of that name, by the caller's table of system calls,
 * while the calling fiber waits for its end; who may block runs it himself. What it needs may be on
 * the caller's stack. The work's result with its detail; or why it was not run: -ECANCELED,
 * -ETIMEDOUT, and what else th_offload() says; -EPERM on a worker outside of a fiber.
 */
TH_MUST int thi_blocking_run(const char *pool, th_work_fn work, void *arg);

/* The same for what computes: in the pool "crypto". */
TH_MUST int thi_compute(th_work_fn work, void *arg);

#endif
