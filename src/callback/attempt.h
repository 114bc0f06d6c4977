/* SPDX-License-Identifier: MIT */

/* An attempt to connect: a fiber that dials, and what it finds told by the loop. */
#ifndef THI_CALLBACK_ATTEMPT_H
#define THI_CALLBACK_ATTEMPT_H

#include "base/error.h"
#include "runtime/tree.h"
#include "runtime/worker.h"

#include <thrum/protocol.h>

typedef struct thi_attempt thi_attempt;

/*
 * Called once by the loop: result is a connected descriptor, to be taken over, or why there is
 * none, with the detail of that in force. The attempt's place in the scope is the function's: to be
 * used or given back.
 */
typedef void (*thi_attempt_fn)(thi_attempt *attempt, int result);

struct thi_attempt {
    thi_scope *scope;
    thi_attempt_fn done;
    th_protocol_factory factory; /* these are its maker's */
    void *arg;
    void (*failed)(void *arg, int error);
    void *maker;
    const th_dial_opts *dial; /* borrowed until `done`; or NULL */
    /* its own */
    thi_deferred later;
    th_scope inner; /* of the fiber, while it dials */
    bool dialling;
    bool cancelled;
    int64_t time;
    int result;
    char detail[THI_ERR_DETAIL_SIZE];
    char address[];
};

/* A description to be filled in; NULL: no memory. */
TH_MUST thi_attempt *thi_attempt_new(const char *address);

/*
 * Begins it in a scope of this worker, on which a place is taken. From then on it frees itself
 * after `done`; on failure (the scope's status, -EAGAIN, -ENOMEM) it is freed and done not called.
 */
TH_MUST int thi_attempt_begin(thi_attempt *attempt, thi_scope *scope);

/* Asks for its end: done is called with -ECANCELED, or with what has been found by then. */
void thi_attempt_cancel(thi_attempt *attempt);

#endif
