/* SPDX-License-Identifier: MIT */

/* Threads as servers of a pool. */
#ifndef THI_POOL_THREADS_H
#define THI_POOL_THREADS_H

#include "pool/crew.h"

/* Starts a thread that serves the pool; a negative code when there can be none. */
TH_MUST int thi_threads_start(th_pool *pool);

#endif
