/* SPDX-License-Identifier: MIT */

/* A stream of which some bytes have been read already, and are to be read again. */
#ifndef THI_TLS_AHEAD_H
#define THI_TLS_AHEAD_H

#include "base/buf.h"
#include "io/stream.h"

/*
 * Puts bytes in front of a stream: what is read from the new one is first these, then what is read
 * from `below`, and all else is below's. Takes the bytes out of the buffer, and the stream below.
 * 0, or -ENOMEM with everything as it was.
 */
TH_MUST int thi_ahead_new(th_stream *below, thi_buf *bytes, th_stream **stream);

#endif
