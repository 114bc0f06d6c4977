/* SPDX-License-Identifier: MIT */

/* Walking over the pieces of scattered memory. */
#include "io/pieces.h"

#include <errno.h>
#include <limits.h>

int thi_pieces_left(thi_pieces *p, struct iovec out[THI_PIECES])
{
    while (p->first < p->count && p->skip >= p->iov[p->first].iov_len) {
        p->skip -= p->iov[p->first].iov_len;
        p->first++;
    }
    int n = 0;
    for (int i = p->first; i < p->count && n < THI_PIECES; i++) {
        size_t from = i == p->first ? p->skip : 0;
        out[n].iov_base = (char *)p->iov[i].iov_base + from;
        out[n].iov_len = p->iov[i].iov_len - from;
        n += out[n].iov_len > 0;
    }
    return n;
}

ssize_t thi_pieces_size(const struct iovec *iov, int count)
{
    size_t sum = 0;
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len > SSIZE_MAX - sum)
            return -EINVAL;
        sum += iov[i].iov_len;
    }
    return (ssize_t)sum;
}
