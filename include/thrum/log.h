/* SPDX-License-Identifier: MIT */

/* The library's messages: it never prints, it tells them to a function of yours. */
#ifndef THRUM_LOG_H
#define THRUM_LOG_H

#include <thrum/defs.h>
#include <thrum/str.h>

TH_BEGIN_DECLS

/* How much a message matters; a lower number matters more. */
typedef enum th_log_level {
    TH_LOG_OFF = 0,     /* no message has this level */
    TH_LOG_ERROR = 1,   /* something was lost or refused; somebody should look */
    TH_LOG_WARNING = 2, /* something is not as it should be, and was coped with */
    TH_LOG_INFO = 3,    /* the life of the process: start, listen, drain, end */
    TH_LOG_DEBUG = 4    /* for whoever looks for a fault */
} th_log_level;

/**
 * Takes a message.
 *
 * Called by any thread, several at once, on the stack of a fiber if the message comes from one. It
 * must not suspend, and a message that it causes is dropped.
 *
 * @param ctx    in: what was given to th_log_set_sink()
 * @param level  in: TH_LOG_ERROR … TH_LOG_DEBUG
 * @param text   in, borrowed for the call: one line without a newline; a NUL follows it
 */
typedef void (*th_log_fn)(void *ctx, th_log_level level, th_str text);

/**
 * Says where messages go. Until then they go nowhere.
 *
 * A message that repeats is given at most ten times a second for each place in the code (except
 * debug messages); the next one after that says how many were left out.
 *
 * @param fn     in: the function that takes messages; NULL for nowhere
 * @param ctx    in: handed to fn. A thread that is just logging may use fn and ctx a moment after
 *               they were replaced, so let them live as long as threads may log
 * @param level  in: the least important level that is wanted; TH_LOG_OFF for none
 * @return 0
 * @return -EINVAL  level is none of th_log_level
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_log_set_sink(th_log_fn fn, void *ctx, th_log_level level);

/**
 * Names a level.
 *
 * @param level  in: any value
 * @return a static text: "off", "error", "warning", "info", "debug"; "?" for another value
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API const char *th_log_level_name(th_log_level level);

TH_END_DECLS

#endif
