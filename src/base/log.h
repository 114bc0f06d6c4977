/* SPDX-License-Identifier: MIT */

/* Logging from inside the library. */
#ifndef THI_BASE_LOG_H
#define THI_BASE_LOG_H

#include <thrum/log.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Longest message with its NUL; what is longer is cut. */
#define THI_LOG_SIZE 1024

/* So many messages a second of one place in the code are passed on. */
#define THI_LOG_BURST 10

/* One per place in the code; zeroed is new. */
typedef struct thi_log_site {
    _Atomic int64_t second; /* the clock's second that `given` belongs to */
    atomic_uint given;      /* messages in that second, including those left out */
    atomic_uint left_out;   /* messages since the last one that said how many */
} thi_log_site;

/* The least important level that somebody wants to hear. */
extern atomic_int thi_log_level;

/*
 * Tells monotonic nanoseconds, for the limit on repetition; set once, before threads start. While
 * it is NULL nothing is limited.
 */
extern int64_t (*thi_log_clock)(void);

static inline bool thi_log_enabled(th_log_level level)
{
    return (int)level <= atomic_load_explicit(&thi_log_level, memory_order_relaxed);
}

/* Formats and passes on a message, unless its place has said enough for now. Keeps errno. */
void thi_log_write(thi_log_site *site, th_log_level level, const char *format, ...) TH_PRINTF(3, 4);

/* thi_log(TH_LOG_INFO, "listening on %s", name): costs one load where the level is not wanted. */
#define thi_log(level, ...)                                                                        \
    do {                                                                                           \
        static thi_log_site thi_log_site_;                                                         \
        if (TH_UNLIKELY(thi_log_enabled(level)))                                                   \
            thi_log_write(&thi_log_site_, level, __VA_ARGS__);                                     \
    } while (0)

#endif
