/* SPDX-License-Identifier: MIT */

/* What the connections of a worker have in common: segments for bytes on their way, and the list of
 * those that nobody has any more. */
#ifndef THI_TLS_POOL_H
#define THI_TLS_POOL_H

#include "base/bufpool.h"
#include "base/list.h"

/* The pool of the running worker, valid until the worker ends; NULL outside of one, or when there
 * is no memory. */
TH_MUST thi_bufpool *thi_tls_pool(void);

/* Something that waits for a fiber to take it away. Should that not come, because the worker ends,
 * it is told so then. */
typedef struct thi_tls_orphan {
    thi_list link;
    void (*never)(struct thi_tls_orphan *orphan);
} thi_tls_orphan;

/* Leaves one to the running worker, which has a pool. thi_list_remove() takes it back. */
void thi_tls_pool_leave(thi_tls_orphan *orphan);

#endif
