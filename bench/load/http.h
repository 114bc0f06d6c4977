/* SPDX-License-Identifier: MIT */

/* HTTP/1.1 as the load client speaks it: one GET again and again, answers checked, bodies dropped.
 */
#ifndef BENCH_LOAD_HTTP_H
#define BENCH_LOAD_HTTP_H

#include "load/engine.h"

/* A protocol that requests `path`, `pipeline` requests at a time. 0 or -ENOMEM. */
int load_http_init(struct load_protocol *p, const char *path, unsigned pipeline, uint64_t expect);

/* Frees what init allocated. */
void load_http_deinit(struct load_protocol *p);

#endif
