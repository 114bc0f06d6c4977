/* SPDX-License-Identifier: MIT */

/* One call of OpenSSL by an engine; for the engine's own files. */
#ifndef THI_TLS_ENGINE_STEP_H
#define THI_TLS_ENGINE_STEP_H

#include "tls/engine.h"

/* What a step is made of: OpenSSL's arguments, and how much it did. */
typedef struct thi_tls_step {
    void *buf;
    const void *data;
    size_t size;
    size_t done;
    bool early; /* writing: the handshake is not complete; reading: early data is over */
} thi_tls_step;

typedef int thi_tls_step_fn(SSL *ssl, thi_tls_step *s);

/* Calls OpenSSL once: 0 when it did something, else what it means. */
TH_MUST int thi_tls_engine_attempt(thi_tls_engine *engine, thi_tls_step_fn *fn, thi_tls_step *s);

/* Keeps a failure and the present detail for ever; returns the code. */
int thi_tls_engine_fail(thi_tls_engine *engine, int code);

/* Writes a record at most, whatever is in wire.out: how much, or as thi_tls_engine_writev(). */
TH_MUST ssize_t thi_tls_engine_write_record(thi_tls_engine *engine, const void *data, size_t size);

#endif
