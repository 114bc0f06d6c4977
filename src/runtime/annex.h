/* SPDX-License-Identifier: MIT */

/*
 * What later layers keep with a worker: made when it is first wanted, closed with the worker.
 *
 * Found by its kind, the address of something static. There are few, so they are a list.
 */
#ifndef THI_RUNTIME_ANNEX_H
#define THI_RUNTIME_ANNEX_H

#include "runtime/worker.h"

/* Embedded in its owner. */
struct thi_annex {
    thi_annex *next;
    const void *kind;
    /* On the thread that runs the runtime, when no fiber is left and the loop is still open. */
    void (*close)(thi_annex *annex, thi_worker *worker);
};

/* That of the calling worker; NULL while there is none. */
static inline thi_annex *thi_annex_find(const thi_worker *worker, const void *kind)
{
    thi_annex *annex = worker->annexes;
    while (annex && annex->kind != kind)
        annex = annex->next;
    return annex;
}

/* Adds one whose kind the worker does not have yet. */
static inline void thi_annex_add(thi_worker *worker, thi_annex *annex)
{
    annex->next = worker->annexes;
    worker->annexes = annex;
}

/* Closes all, those first that came last. */
static inline void thi_annex_close_all(thi_worker *worker)
{
    while (worker->annexes) {
        thi_annex *annex = worker->annexes;
        worker->annexes = annex->next;
        annex->close(annex, worker);
    }
}

#endif
