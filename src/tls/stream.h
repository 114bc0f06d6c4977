/* SPDX-License-Identifier: MIT */

/* A stream of TLS over another one, from inside the library. */
#ifndef THI_TLS_STREAM_H
#define THI_TLS_STREAM_H

#include "io/stream.h"
#include "tls/engine.h"

/*
 * Makes a stream as th_tls_server() and th_tls_client() do, from a configuration, to which it takes
 * a reference; without its handshake. `opts` are checked.
 */
TH_MUST int thi_tls_stream_new(thi_tls_config *config, bool server, th_stream *below,
                               const th_tls_stream_opts *opts, th_stream **stream);

/* The engine of a stream; NULL when it is none of TLS. Belongs to the stream. */
thi_tls_engine *thi_tls_stream_engine(th_stream *stream);

/* The stream below; NULL when it is none of TLS. Borrowed; valid as long as the stream. */
th_stream *thi_tls_stream_below(th_stream *stream);

#endif
