/* SPDX-License-Identifier: MIT */

/* TCP echo as the load client speaks it: messages of one size, each byte compared on its return. */
#ifndef BENCH_LOAD_ECHO_H
#define BENCH_LOAD_ECHO_H

#include "load/engine.h"

/* A protocol of `size`-byte messages, `pipeline` of them in flight. 0 or -ENOMEM. */
int load_echo_init(struct load_protocol *p, size_t size, unsigned pipeline);

/* Frees what init allocated. */
void load_echo_deinit(struct load_protocol *p);

#endif
