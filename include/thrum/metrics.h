/* SPDX-License-Identifier: MIT */

/* The counters of the process, in the text form that Prometheus reads. */
#ifndef THRUM_METRICS_H
#define THRUM_METRICS_H

#include <thrum/defs.h>
#include <thrum/http.h>
#include <thrum/mem.h>
#include <thrum/str.h>

TH_BEGIN_DECLS

/* The media type of the text. */
#define TH_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/**
 * Writes all metrics as text (Prometheus exposition format 0.0.4).
 *
 * @param arena  where the text is put
 * @param text   out: the text; valid as long as the arena
 * @return 0; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_metrics_text(th_arena *arena, th_str *text);

/**
 * Answers a request with all metrics: a handler for a route such as GET /metrics.
 *
 * @param request  the request
 * @param reply    its reply
 * @param arg      not used
 * @return 0 or a failure, as handlers do
 *
 * Suspends: yes, while the client takes no more
 * Thread: fiber
 * On cancel: the connection will be cut
 * Since: 0.1
 */
TH_API int th_metrics_handle(th_http_request *request, th_http_reply *reply, void *arg);

TH_END_DECLS

#endif
