/* SPDX-License-Identifier: MIT */

/* Pools in storage that is not theirs: for the default ones. */
#ifndef THI_POOL_POOL_H
#define THI_POOL_POOL_H

#include "pool/crew.h"

/* Makes a pool of real threads or of virtual ones; -EINVAL for wrong options. */
TH_MUST int thi_pool_init(th_pool *pool, const th_pool_opts *opts, bool simulated);

#endif
