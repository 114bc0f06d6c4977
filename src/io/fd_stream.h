/* SPDX-License-Identifier: MIT */

/* Streams on descriptors, for those who make the descriptors. */
#ifndef THI_IO_FD_STREAM_H
#define THI_IO_FD_STREAM_H

#include <thrum/fd_stream.h>

/*
 * A stream of the running worker that owns a descriptor which is non-blocking already and can be
 * waited for (a pipe's end, a terminal's master), from success on.
 */
TH_MUST int thi_fd_stream_new(int fd, th_stream **stream);

#endif
