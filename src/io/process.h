/* SPDX-License-Identifier: MIT */

/* The handle of a child process, shared by the files that start it and that run it to its end. */
#ifndef THI_IO_PROCESS_H
#define THI_IO_PROCESS_H

#include "sys/child.h"

#include <thrum/process.h>

struct th_process {
    thi_child *child;
    th_stream *in; /* NULL where there is none; `out` may be the same one */
    th_stream *out;
    th_stream *err;
    int terminal; /* the master's descriptor, which is the stream's; -1: none */
    int64_t grace;
    bool detached;
};

/* Waits in the present scope until a child has ended. */
TH_MUST int thi_process_await(thi_child *child, thi_child_end *end);

/* Ends a child: SIGTERM, after the grace SIGKILL; waits until it has ended, whatever the scope. */
void thi_process_terminate(thi_child *child, int64_t grace);

/* The public form of an end. */
void thi_process_tell(const thi_child_end *from, th_process_end *end);

#endif
