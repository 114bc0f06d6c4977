/* SPDX-License-Identifier: MIT */

/* UDP echo as the load client speaks it: numbered messages, a window of them on each socket. */
#ifndef BENCH_LOAD_DATAGRAM_H
#define BENCH_LOAD_DATAGRAM_H

#include "load/engine.h"

enum { LOAD_DATAGRAM_MIN = 8, LOAD_DATAGRAM_MAX = 1400 };

/*
 * Runs warm-up and measurement with `size`-byte messages, o->pipeline in flight on each of
 * o->connections sockets; what is lost is asked again and counted as unanswered. With `packed` the
 * client lets the kernel split what it sends and join what it receives, as a program does that has
 * much to send. 0, or -errno when no measurement came about.
 */
int load_datagram_run(const struct load_options *o, size_t size, bool packed,
                      struct load_result *r);

#endif
