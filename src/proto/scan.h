/* SPDX-License-Identifier: MIT */

/*
 * Finds the first byte that does not belong to a class, many bytes at a time.
 *
 * Each class is described once more here, next to the table of chars.h, as an expression on vectors
 * that the compiler turns into SSE2, AVX2 or NEON. The platform's own part is small and sits in
 * scan_x86.h and scan_neon.h; without one, the table alone does the work. All variants see the same
 * bytes and stop at the same one: a unit test compares them.
 *
 * A scan never reads outside [lo, end). Its last vector is aligned to the end and overlaps what was
 * seen before, so that the tail of a short head, which is all of it as a rule, goes as fast as the
 * middle of a long one.
 */
#ifndef THI_PROTO_SCAN_H
#define THI_PROTO_SCAN_H

#include <thrum/defs.h>

#include "proto/chars.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(THI_SCAN_PLAIN)
#define THI_SCAN_VECTORS 0
#elif defined(__SSE2__)
#define THI_SCAN_VECTORS 1
#include "proto/scan_x86.h"
#elif defined(__ARM_NEON) && defined(__aarch64__)
#define THI_SCAN_VECTORS 1
#include "proto/scan_neon.h"
#else
#define THI_SCAN_VECTORS 0
#endif

/* The loop that defines a scan: everything else is a faster way to the same byte. */
static inline const char *thi_scan_table(const char *p, const char *end, unsigned classes)
{
    while (p < end && thi_char_is(*p, classes))
        p++;
    return p;
}

#if THI_SCAN_VECTORS

/* Each returns a vector with all bits of a lane set where the byte stops the scan. */

static inline thi_vec thi_stop_value(thi_vec c)
{
    return (thi_vec)(((c < 0x20) & (c != '\t')) | (c == 0x7f));
}

/* Stops early, at rare tokens bytes too: names consist of letters, digits and hyphens. */
static inline thi_vec thi_stop_name(thi_vec c)
{
    return (thi_vec) ~((((c | 0x20) - 'a') < 26) | ((c - '0') < 10) | (c == '-'));
}

/*
 * Outside of "!" to "~"; DQUOTE and "#"; "%"; "<" and ">"; "?"; "[\]" and "{|}", which differ in
 * one bit; "^"; "`".
 */
static inline thi_vec thi_stop_target(thi_vec c)
{
    return (thi_vec)(((c - 0x21) > 0x5d) | ((c & 0xfe) == '"') | (c == '%') | ((c & 0xfd) == '<') |
                     (c == '?') | (((c & 0xdf) - '[') < 3) | (c == '^') | (c == '`'));
}

/* Makes the scan of a class from its stop expression; see the top of the file for lo. */
#define THI_SCAN_DEFINE(name, stop, classes)                                                       \
    static inline const char *name(const char *lo, const char *p, const char *end)                 \
    {                                                                                              \
        for (; end - p >= THI_VEC_LEN; p += THI_VEC_LEN) {                                         \
            uint64_t found = thi_vec_mask(stop(thi_vec_load(p)));                                  \
            if (found)                                                                             \
                return p + thi_vec_first(found);                                                   \
        }                                                                                          \
        if (TH_UNLIKELY(end - lo < THI_VEC_LEN))                                                   \
            return thi_scan_table(p, end, classes);                                                \
        uint64_t found = thi_vec_mask(stop(thi_vec_load(end - THI_VEC_LEN)));                      \
        found = thi_vec_skip(found, (unsigned)(THI_VEC_LEN - (end - p)));                          \
        return found ? p + thi_vec_first(found) : end;                                             \
    }

#else

#define THI_SCAN_DEFINE(name, stop, classes)                                                       \
    static inline const char *name(const char *lo, const char *p, const char *end)                 \
    {                                                                                              \
        (void)lo;                                                                                  \
        return thi_scan_table(p, end, classes);                                                    \
    }

#endif

/* First byte in [p, end) that a field value may not contain, or end. */
THI_SCAN_DEFINE(thi_scan_value, thi_stop_value, THI_CHAR_VALUE)

/* First byte in [p, end) that is neither pchar nor "/", or end; "%" and "?" stop it too. */
THI_SCAN_DEFINE(thi_scan_target, thi_stop_target, THI_CHAR_TARGET)

THI_SCAN_DEFINE(thi_scan_name, thi_stop_name, THI_CHAR_TOKEN)

/* First byte in [p, end) that is no tchar, or end. */
static inline const char *thi_scan_token(const char *lo, const char *p, const char *end)
{
    for (;;) {
        p = thi_scan_name(lo, p, end);
        if (TH_LIKELY(p == end || !thi_char_is(*p, THI_CHAR_TOKEN)))
            return p;
        p++;
    }
}

#endif
