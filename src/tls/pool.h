/* SPDX-License-Identifier: MIT */

/* The segments in which connections of a worker keep bytes on their way. */
#ifndef THI_TLS_POOL_H
#define THI_TLS_POOL_H

#include "base/bufpool.h"

/* The pool of the running worker, valid until the worker ends; NULL outside of one, or when there
 * is no memory. */
TH_MUST thi_bufpool *thi_tls_pool(void);

#endif
