/* SPDX-License-Identifier: MIT */

/* Looking for a delimiter, each byte once. */
#include "proto/line.h"

#include "base/util.h"

#include <thrum/error.h>

/* The offset of the first delimiter at or after `from`; bytes.len when there is none. */
static size_t find(const thi_line *line, th_str bytes, size_t from)
{
    const char *at = from < bytes.len ? memmem(bytes.ptr + from, bytes.len - from, line->delimiter,
                                               line->delimiter_len)
                                      : NULL;
    return at ? (size_t)(at - bytes.ptr) : bytes.len;
}

ssize_t thi_line_next(thi_line *line, th_str bytes, th_str *frame)
{
    /* Beyond this nothing may be looked at: a peer's endless line must not cost more each time. */
    size_t most = line->limit + line->delimiter_len;
    th_str seen = th_str_make(bytes.ptr, thi_min(bytes.len, most));
    size_t at = find(line, seen, line->looked);
    if (at < seen.len) {
        line->looked = 0;
        *frame = th_str_make(bytes.ptr, at);
        return (ssize_t)(at + line->delimiter_len);
    }
    if (bytes.len >= most)
        return TH_ELIMIT;
    size_t split = line->delimiter_len - 1; /* of a delimiter these may be there already */
    line->looked = seen.len > split ? seen.len - split : 0;
    return 0;
}
