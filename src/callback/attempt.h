/* SPDX-License-Identifier: MIT */

/*
 * An attempt to connect, or to agree on TLS with who is connected already: a fiber that dials and
 * makes the handshake, and what it finds told by the loop.
 */
#ifndef THI_CALLBACK_ATTEMPT_H
#define THI_CALLBACK_ATTEMPT_H

#include "base/error.h"
#include "runtime/tree.h"
#include "runtime/worker.h"

#include <thrum/protocol.h>
#include <thrum/tls.h>

typedef struct thi_attempt thi_attempt;

/*
 * Called once by the loop: result is a connected descriptor, to be taken over, or why there is
 * none, with the detail of that in force. Over it there is TLS when attempt->tls_stream is set; who
 * takes that sets it to NULL. The attempt's place in the scope is the function's: to be used or
 * given back.
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
    void *origin;             /* its maker's, as all above */
    th_stream *tls_stream;    /* found: TLS, its handshake made; its stream below is an empty shell
                               */
    /* its own */
    int fd;           /* of who is connected already; -1: there is nobody */
    th_tls *tls;      /* with whom TLS is to be agreed on; a reference */
    bool server;      /* this end is */
    char *ahead;      /* bytes of TLS that were received already; allocated, or NULL */
    size_t ahead_len; /* so many */
    thi_deferred later;
    th_scope inner; /* of the fiber, while it tries */
    bool trying;
    bool cancelled;
    int64_t time;
    int result;
    char detail[THI_ERR_DETAIL_SIZE];
    char address[]; /* or the name of who is connected already; "": none */
};

/* A description to be filled in, of an attempt to connect; NULL: no memory. */
TH_MUST thi_attempt *thi_attempt_new(const char *address);

/*
 * The same, of an attempt to agree on TLS: as a server, or as the client of who has that name. The
 * descriptor is taken when it begins, and closed when it fails.
 */
TH_MUST thi_attempt *thi_attempt_new_tls(int fd, th_tls *tls, bool server, const char *name);

/*
 * Begins it in a scope of this worker, on which a place is taken. From then on it frees itself
 * after `done`; on failure (the scope's status, -EAGAIN, -ENOMEM) it is freed and done not called.
 */
TH_MUST int thi_attempt_begin(thi_attempt *attempt, thi_scope *scope);

/* Frees one that has not begun. NULL is allowed. */
void thi_attempt_free(thi_attempt *attempt);

/* In `done`: makes a transport of what was found, which is the transport's on success; the
 * descriptor as thi_transport_start_lent() has it. */
TH_MUST int thi_attempt_carrier(thi_attempt *attempt, int fd, th_transport **transport);

/* Asks for its end: done is called with -ECANCELED, or with what has been found by then. */
void thi_attempt_cancel(thi_attempt *attempt);

#endif
