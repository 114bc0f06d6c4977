/* SPDX-License-Identifier: MIT */

/* Which worker the calling thread is. */
#include "runtime/worker.h"

_Thread_local thi_worker *thi_worker_self;
