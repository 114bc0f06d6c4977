/* SPDX-License-Identifier: MIT */

/*
 * Early data of an engine: a server that takes some before its handshake is complete, a client that
 * sends some with its hello.
 *
 * Connections that have to do with it have one of these; of all others engine->early is NULL.
 */
#ifndef THI_TLS_ENGINE_EARLY_H
#define THI_TLS_ENGINE_EARLY_H

#include "tls/engine_step.h"

#include <thrum/tls_stream.h>

struct thi_tls_engine_early {
    thi_buf bytes; /* server: what came early and was not read */
    char *out;     /* client: what is sent first; owned */
    size_t out_size;
    size_t out_sent; /* of that, with the hello */
    bool open;       /* server: it is not over */
    bool ready;      /* server: some has come, and answers may be written */
    bool begun;      /* client: the hello was made */
    bool last;       /* server: what was read last had come early */
};

/* Of an engine that is being made: 0, also when there is nothing to do; -ENOMEM. */
TH_MUST int thi_tls_engine_early_open(thi_tls_engine *engine, const th_tls_stream_opts *opts,
                                      thi_bufpool *pool);
void thi_tls_engine_early_close(thi_tls_engine *engine);

/* Before a step of the handshake: 0: go on with it; 1: some has come that can be read; or as the
 * handshake itself. */
TH_MUST int thi_tls_engine_early_step(thi_tls_engine *engine);

/* Once the handshake is complete: sends what the server has not taken. 0, or as a write. */
TH_MUST int thi_tls_engine_early_done(thi_tls_engine *engine);

/* Takes (peek: shows) what came early: how much, 0 when nothing is left. */
TH_MUST size_t thi_tls_engine_early_read(thi_tls_engine *engine, void *buf, size_t size, bool peek);

/* Whether some has come and the handshake is not complete: reading and writing is possible. */
static inline bool thi_tls_engine_early_ready(const thi_tls_engine *engine)
{
    return engine->early && engine->early->ready;
}

#endif
