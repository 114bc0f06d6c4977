/* SPDX-License-Identifier: MIT */

/*
 * What the connections of a worker have in common.
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
    thi_list orphans;
} pool_annex;

static const char pool_kind;

static void close_pool(thi_annex *annex, thi_worker *worker)
{
    pool_annex *p = thi_container_of(annex, pool_annex, annex);
    (void)worker;
    while (!thi_list_empty(&p->orphans)) {
        thi_list *first = thi_list_pop_front(&p->orphans);
        thi_tls_orphan *orphan = thi_container_of(first, thi_tls_orphan, link);
        orphan->never(orphan);
    }
    thi_bufpool_deinit(&p->pool);
    thi_free(p);
}

static pool_annex *find(const thi_worker *worker)
{
    thi_annex *annex = thi_annex_find(worker, &pool_kind);
    return annex ? thi_container_of(annex, pool_annex, annex) : NULL;
}

void thi_tls_pool_leave(thi_tls_orphan *orphan)
{
    thi_list_push_back(&find(thi_worker_self)->orphans, &orphan->link);
}

thi_bufpool *thi_tls_pool(void)
{
    thi_worker *worker = thi_worker_self;
    pool_annex *there = worker ? find(worker) : NULL;
    if (there || !worker)
        return there ? &there->pool : NULL;
    pool_annex *made = thi_alloc(sizeof *made);
    if (!made)
        return NULL;
    made->annex = (thi_annex){ .kind = &pool_kind, .close = close_pool };
    thi_bufpool_init(&made->pool);
    made->pool.keep = KEEP;
    thi_list_init(&made->orphans);
    thi_annex_add(worker, &made->annex);
    return &made->pool;
}
