/* SPDX-License-Identifier: MIT */

/* An access log that never holds up a request: a thread of its own writes it. */
#ifndef THRUM_ACCESS_LOG_H
#define THRUM_ACCESS_LOG_H

#include <stdint.h>

#include <thrum/defs.h>
#include <thrum/http.h>

TH_BEGIN_DECLS

typedef struct th_access_log th_access_log;

typedef enum th_access_log_format {
    TH_ACCESS_LOG_COMMON, /* the Common Log Format of NCSA httpd: one line a request */
    TH_ACCESS_LOG_JSON /* one JSON object a line: time, peer, method, target, version, host, status,
                          bytes, duration_us, referer, user_agent */
} th_access_log_format;

/**
 * Opens a log on a descriptor and starts its thread.
 *
 * What strangers sent is escaped, so that a line stays a line. When the descriptor takes lines more
 * slowly than they come, lines are dropped and counted, and the log says how many.
 *
 * @param fd      where to write; stays the caller's and must outlive the log
 * @param format  how a line looks
 * @param log     out: the log, to be given back with th_access_log_close()
 * @return 0; -EINVAL for NULL or an unknown format; -ENOMEM; -EAGAIN when there is no thread
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_access_log_open(int fd, th_access_log_format format, th_access_log **log);

/**
 * Adds a line for one request: for th_http_opts.log, with the log as its argument.
 *
 * @param record  what is known of the request; borrowed
 * @param log     a th_access_log
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_access_log_record(const th_http_record *record, void *log);

/**
 * Tells how many lines were dropped so far.
 *
 * @param log  the log
 * @return their number
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API uint64_t th_access_log_dropped(const th_access_log *log);

/**
 * Writes what is left, ends the thread and frees the log. Nobody may add lines any more.
 *
 * When the descriptor takes nothing for a second, what is left is dropped. A warning then tells how
 * many lines the log could not own up to.
 *
 * @param log  the log; NULL is allowed and does nothing
 *
 * Suspends: no, but the calling thread waits while the descriptor takes the rest
 * Thread: any that runs no fibers
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_access_log_close(th_access_log *log);

TH_END_DECLS

#endif
