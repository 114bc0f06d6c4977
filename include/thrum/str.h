/* SPDX-License-Identifier: MIT */

/* Byte strings: a pointer and a length, borrowed, not terminated, any byte allowed. */
#ifndef THRUM_STR_H
#define THRUM_STR_H

#include <thrum/defs.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

TH_BEGIN_DECLS

/* A view of bytes that somebody else owns. ptr may be NULL when len is 0. Passed by value. */
typedef struct th_str {
    const char *ptr; /* borrowed; valid as long as its owner says */
    size_t len;      /* bytes, without any NUL that may follow */
} th_str;

/* A view of a string literal; only for literals. */
#ifdef __cplusplus
#define TH_STR(literal) (th_str{ "" literal, sizeof(literal) - 1 })
#else
#define TH_STR(literal) ((th_str){ "" literal, sizeof(literal) - 1 })
#endif

/* For printf: printf("%.*s", TH_STR_ARG(s)). Prints at most INT_MAX bytes and stops at a NUL. */
#define TH_STR_ARG(s) (int)((s).len < 0x7fffffff ? (s).len : 0x7fffffff), (s).ptr

/**
 * Makes a view of bytes.
 *
 * @param ptr  in, borrowed: the first byte; may be NULL when len is 0
 * @param len  in: number of bytes
 * @return the view
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
static inline th_str th_str_make(const char *ptr, size_t len)
{
    th_str s;
    s.ptr = ptr;
    s.len = len;
    return s;
}

/**
 * Makes a view of a terminated string.
 *
 * @param text  in, borrowed: a NUL-terminated string; NULL makes an empty view
 * @return the view, without the NUL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
static inline th_str th_str_of(const char *text)
{
    return th_str_make(text, text ? strlen(text) : 0);
}

/**
 * Tells whether two strings have the same bytes. Not for secrets: it stops at the first difference.
 *
 * @param a  in, borrowed
 * @param b  in, borrowed
 * @return true when lengths and bytes are equal
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
static inline bool th_str_eq(th_str a, th_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/**
 * Tells whether two strings are equal when A-Z and a-z count as the same; other bytes must match.
 *
 * @param a  in, borrowed
 * @param b  in, borrowed
 * @return true when equal; never depends on the locale
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API bool th_str_eq_nocase(th_str a, th_str b);

/**
 * Orders two strings by their bytes, unsigned; a prefix comes first.
 *
 * @param a  in, borrowed
 * @param b  in, borrowed
 * @return negative, 0 or positive: a before, equal to, after b
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
static inline int th_str_cmp(th_str a, th_str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.ptr, b.ptr, n) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/**
 * Tells whether a string begins with another.
 *
 * @param s       in, borrowed
 * @param prefix  in, borrowed; the empty string is a prefix of all
 * @return true when it does
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
static inline bool th_str_has_prefix(th_str s, th_str prefix)
{
    return s.len >= prefix.len && th_str_eq(th_str_make(s.ptr, prefix.len), prefix);
}

/**
 * Tells whether a string ends with another.
 *
 * @param s       in, borrowed
 * @param suffix  in, borrowed; the empty string is a suffix of all
 * @return true when it does
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
static inline bool th_str_has_suffix(th_str s, th_str suffix)
{
    if (s.len < suffix.len || suffix.len == 0)
        return suffix.len == 0;
    return th_str_eq(th_str_make(s.ptr + (s.len - suffix.len), suffix.len), suffix);
}

/**
 * Drops ASCII white space (space, \t, \n, \v, \f, \r) from both ends.
 *
 * @param s  in, borrowed
 * @return the part of s that is left, possibly empty
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_str th_str_trim(th_str s);

/**
 * Drops optional white space as HTTP defines it (space, \t) from both ends.
 *
 * @param s  in, borrowed
 * @return the part of s that is left, possibly empty
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 * Source: RFC 9110 section 5.6.3
 */
TH_API th_str th_str_trim_ows(th_str s);

/**
 * Cuts a string at the first occurrence of a byte.
 *
 * @param s       in, borrowed
 * @param sep     in: the byte to cut at
 * @param before  out: what stands before it, a part of s; untouched when there is none
 * @param after   out: what stands after it, a part of s; untouched when there is none
 * @return true when sep occurs in s
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
static inline bool th_str_split_once(th_str s, char sep, th_str *before, th_str *after)
{
    const char *at = s.len ? (const char *)memchr(s.ptr, sep, s.len) : NULL;
    if (!at)
        return false;
    *before = th_str_make(s.ptr, (size_t)(at - s.ptr));
    *after = th_str_make(at + 1, s.len - before->len - 1);
    return true;
}

/**
 * Reads a decimal number: digits and nothing else.
 *
 * @param s      in, borrowed: one or more of 0-9; leading zeros are fine, signs and space are not
 * @param value  out: the number
 * @return 0
 * @return -EINVAL  empty, or another byte than a digit
 * @return -ERANGE  greater than UINT64_MAX
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_str_to_u64(th_str s, uint64_t *value);

/**
 * Reads a hexadecimal number: digits of either case and nothing else, no "0x".
 *
 * @param s      in, borrowed: one or more of 0-9, a-f, A-F
 * @param value  out: the number
 * @return 0
 * @return -EINVAL  empty, or another byte than a hexadecimal digit
 * @return -ERANGE  greater than UINT64_MAX
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_str_hex_to_u64(th_str s, uint64_t *value);

/**
 * Writes bytes as lower-case hexadecimal digits.
 *
 * @param s    in, borrowed: the bytes
 * @param out  out: receives 2 * s.len digits and no NUL; must not overlap s
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_str_hex_encode(th_str s, char *out);

/**
 * Reads bytes that are written as hexadecimal digits of either case.
 *
 * @param s    in, borrowed: an even number of digits
 * @param out  out: receives s.len / 2 bytes; untouched on failure; may be s itself
 * @return 0
 * @return -EINVAL  an odd length, or another byte than a hexadecimal digit
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_str_hex_decode(th_str s, char *out);

TH_END_DECLS

#endif
