/* SPDX-License-Identifier: MIT */

/* Reading and writing lengths in network order. */
#include "proto/prefix.h"

#include <thrum/error.h>

ssize_t thi_prefix_next(unsigned width, size_t limit, th_str bytes, th_str *payload)
{
    size_t len = 0;
    if (bytes.len < width)
        return 0;
    for (unsigned i = 0; i < width; i++)
        len = len << 8 | (unsigned char)bytes.ptr[i];
    if (len > limit) {
        *payload = th_str_make(NULL, len);
        return TH_ELIMIT;
    }
    if (bytes.len - width < len)
        return 0;
    *payload = th_str_make(bytes.ptr + width, len);
    return (ssize_t)(width + len);
}

bool thi_prefix_head(unsigned width, size_t len, unsigned char head[THI_PREFIX_MAX])
{
    if (len >> (8 * width) != 0) /* a length has 64 bits, a prefix at most 32 */
        return false;
    for (unsigned i = 0; i < width; i++)
        head[i] = (unsigned char)(len >> (8 * (width - 1 - i)));
    return true;
}
