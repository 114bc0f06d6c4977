/* SPDX-License-Identifier: MIT */

/*
 * The search for a terminator.
 *
 * Most are one or two bytes, as "\n" and "\r\n". memchr(3) for the last byte, which uses the
 * processor's vectors, then a look at what is before it, is faster for these than memmem(3): in
 * what is collected the last byte of a terminator is rare. A text made of nothing but that byte
 * costs a comparison for each, so longer ones, where that would matter, are left to memmem(3),
 * whose time grows with the text alone.
 */
#include "callback/chat_find.h"

#include "base/util.h"

#include <string.h>

#define SHORT 4

static size_t find_short(th_str text, th_str terminator)
{
    size_t before = terminator.len - 1;
    const char *end = text.ptr + text.len;
    const char *from = text.ptr + before;
    const char *at;
    while (from < end &&
           (at = memchr(from, terminator.ptr[before], (size_t)(end - from))) != NULL) {
        if (memcmp(at - before, terminator.ptr, before) == 0)
            return (size_t)(at - before - text.ptr);
        from = at + 1;
    }
    return THI_CHAT_NOT_FOUND;
}

size_t thi_chat_find(th_str text, th_str terminator)
{
    if (text.len < terminator.len)
        return THI_CHAT_NOT_FOUND;
    if (terminator.len <= SHORT)
        return find_short(text, terminator);
    const char *at = memmem(text.ptr, text.len, terminator.ptr, terminator.len);
    return at ? (size_t)(at - text.ptr) : THI_CHAT_NOT_FOUND;
}

size_t thi_chat_prefix_at_end(th_str text, th_str terminator)
{
    size_t n = thi_min(terminator.len - 1, text.len);
    while (n > 0 && memcmp(text.ptr + text.len - n, terminator.ptr, n) != 0)
        n--;
    return n;
}
