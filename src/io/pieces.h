/* SPDX-License-Identifier: MIT */

/* What is left of scattered memory after a part of it was read or written. */
#ifndef THI_IO_PIECES_H
#define THI_IO_PIECES_H

#include <sys/uio.h>

#define THI_PIECES 64 /* that are handed to the kernel in one step; more are taken in several */

/* How far it is done. Starts as { iov, count }. */
typedef struct thi_pieces {
    const struct iovec *iov;
    int count;
    int first;   /* the piece it is at */
    size_t skip; /* bytes of it, and of what follows, that are done */
} thi_pieces;

/* Copies what is left, but for empty pieces, and returns how many there are; 0: all is done. */
int thi_pieces_left(thi_pieces *pieces, struct iovec out[THI_PIECES]);

/* All sizes added up, or -EINVAL for more than SSIZE_MAX. */
ssize_t thi_pieces_size(const struct iovec *iov, int count);

#endif
