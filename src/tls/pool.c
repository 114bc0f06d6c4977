/* SPDX-License-Identifier: MIT */

/*
 * The segments in which connections of a worker keep bytes on their way.
 *
 * A connection has bytes on their way for the time of a call, so that few segments serve many
 * connections if they are kept between calls: one pool for each worker, made when it is first
 * wanted.
 */
#include "tls/pool.h"

#include "base/alloc.h"
#include "base/util.h"
#include "runtime/annex.h"

/* What a worker keeps when nobody needs it: four records each way. */
#define KEEP ((size_t)128 * 1024)

typedef struct pool_annex {
    thi_annex annex;
    thi_bufpool pool;
} pool_annex;

static const char pool_kind;

static void close_pool(thi_annex *annex, thi_worker *worker)
{
    pool_annex *p = thi_container_of(annex, pool_annex, annex);
    (void)worker;
    thi_bufpool_deinit(&p->pool);
    thi_free(p);
}

thi_bufpool *thi_tls_pool(void)
{
    thi_worker *worker = thi_worker_self;
    if (!worker)
        return NULL;
    thi_annex *annex = thi_annex_find(worker, &pool_kind);
    if (annex)
        return &thi_container_of(annex, pool_annex, annex)->pool;
    pool_annex *made = thi_alloc(sizeof *made);
    if (!made)
        return NULL;
    made->annex = (thi_annex){ .kind = &pool_kind, .close = close_pool };
    thi_bufpool_init(&made->pool);
    made->pool.keep = KEEP;
    thi_annex_add(worker, &made->annex);
    return &made->pool;
}
