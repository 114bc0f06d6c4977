/* SPDX-License-Identifier: MIT */

/* The pools that are there without being made. */
#ifndef THI_POOL_DEFAULTS_H
#define THI_POOL_DEFAULTS_H

#include "pool/crew.h"

/* The one called "default", of the process or of the simulation that the caller is in. */
th_pool *thi_default_pool(void);

#endif
