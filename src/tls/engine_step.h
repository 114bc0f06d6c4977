/* SPDX-License-Identifier: MIT */

/* An engine, and its one call of OpenSSL at a time; for the engine's own files. */
#ifndef THI_TLS_ENGINE_STEP_H
#define THI_TLS_ENGINE_STEP_H

#include "base/error_kept.h"
#include "tls/bio.h"
#include "tls/link.h"

#include <stdint.h>
#include <sys/types.h>

/* Of th_tls_stream_opts.first. */
#define THI_TLS_FIRST_MAX ((size_t)64 * 1024)

typedef struct thi_tls_engine {
    thi_tls_link link; /* with the SSL, and its settings */
    thi_tls_wire wire;
    thi_err_kept failed; /* what every later call returns */
    unsigned records;    /* that came since the peer last sent something for the user */
    bool done;           /* the handshake is complete */
    bool busy;           /* inside OpenSSL */
    bool ended;          /* nothing will be added to wire.in */
    bool sent_close;     /* the peer has been told of the end, or will be by what is in wire.out */
    bool received_close; /* and has told of its own */
    struct thi_tls_engine_early *early; /* engine_early.h; NULL: nothing of the kind */
    bool flooded;                       /* there were more records than a sound peer sends */
    struct thi_tap *tap;                /* for whoever captures; NULL: of no use to him */
} thi_tls_engine;

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

/* Writes a record at most, whatever is in wire.out: how much, or as thi_tls_engine_writev(). */
TH_MUST ssize_t thi_tls_engine_write_record(thi_tls_engine *engine, const void *data, size_t size);

#endif
