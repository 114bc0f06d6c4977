/* SPDX-License-Identifier: MIT */

/*
 * Passing messages to the sink, and keeping one place in the code from flooding it.
 *
 * The limit is a count per place and second of the clock. Its three numbers are separate relaxed
 * atomics: where threads race over a new second, a message more or less is given, which is no harm.
 */
#include "base/log.h"

#include "base/util.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct sink {
    th_log_fn fn;
    void *ctx;
};

atomic_int thi_log_level = TH_LOG_OFF;
int64_t (*thi_log_clock)(void);

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* guards `current` */
static struct sink current;
static _Thread_local bool in_sink; /* this thread is calling the sink right now */

int th_log_set_sink(th_log_fn fn, void *ctx, th_log_level level)
{
    if ((int)level < TH_LOG_OFF || (int)level > TH_LOG_DEBUG)
        return -EINVAL;
    pthread_mutex_lock(&gate);
    current = (struct sink){ .fn = fn, .ctx = ctx };
    atomic_store_explicit(&thi_log_level, fn ? (int)level : TH_LOG_OFF, memory_order_relaxed);
    pthread_mutex_unlock(&gate);
    return 0;
}

const char *th_log_level_name(th_log_level level)
{
    static const char *const names[] = { "off", "error", "warning", "info", "debug" };
    return (size_t)level < thi_array_len(names) ? names[level] : "?";
}

/* Whether the place may speak; then *left_out is the number of messages to own up to. */
static bool may_speak(thi_log_site *site, unsigned *left_out)
{
    if (!thi_log_clock)
        return true;
    int64_t second = thi_log_clock() / 1000000000 + 1; /* never that of a new place */
    if (atomic_exchange_explicit(&site->second, second, memory_order_relaxed) != second)
        atomic_store_explicit(&site->given, 0, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&site->given, 1, memory_order_relaxed) >= THI_LOG_BURST) {
        atomic_fetch_add_explicit(&site->left_out, 1, memory_order_relaxed);
        return false;
    }
    *left_out = atomic_exchange_explicit(&site->left_out, 0, memory_order_relaxed);
    return true;
}

/* Puts a remark after the text of len bytes, which gives way where the two do not fit. */
static size_t own_up(char *text, size_t len, unsigned left_out)
{
    char remark[64];
    size_t size =
        (size_t)snprintf(remark, sizeof remark, " (%u more like this left out)", left_out);
    len = thi_min(len, THI_LOG_SIZE - 1 - size);
    memcpy(text + len, remark, size + 1);
    return len + size;
}

static void pass_on(th_log_level level, th_str text)
{
    pthread_mutex_lock(&gate);
    struct sink sink = current;
    pthread_mutex_unlock(&gate);
    if (!sink.fn)
        return;
    in_sink = true;
    sink.fn(sink.ctx, level, text);
    in_sink = false;
}

void thi_log_write(thi_log_site *site, th_log_level level, const char *format, ...)
{
    int saved = errno;
    unsigned left_out = 0;
    if (in_sink || (level < TH_LOG_DEBUG && !may_speak(site, &left_out)))
        return;
    char text[THI_LOG_SIZE];
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t len = thi_min(wanted < 0 ? 0 : (size_t)wanted, sizeof text - 1);
    text[len] = '\0';
    if (left_out > 0)
        len = own_up(text, len, left_out);
    pass_on(level, th_str_make(text, len));
    errno = saved;
}
