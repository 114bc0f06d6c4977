/* SPDX-License-Identifier: MIT */

/*
 * What is to be sent and has not been taken yet: bytes that were copied, and stretches of files, in
 * the order in which they were given.
 *
 * An empty queue holds no memory. Small pieces share a block, so that a thousand short writes do
 * not become a thousand allocations.
 */
#ifndef THI_CALLBACK_OUTQUEUE_H
#define THI_CALLBACK_OUTQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

typedef struct thi_outblock thi_outblock;
typedef struct thi_outfile thi_outfile;

typedef struct thi_outqueue {
    thi_outblock *first; /* NULL when it is empty */
    thi_outblock *last;
    size_t bytes; /* of blocks; files count for nothing */
} thi_outqueue;

/* A stretch of a file in a queue; its owner's storage until it is out of it. */
struct thi_outfile {
    thi_outfile *next; /* of those that thi_outqueue_clear() returns */
    int fd;
    int64_t at;    /* where the next byte to be queued or sent is */
    int64_t left;  /* bytes; negative: up to the end of the file */
    uint64_t sent; /* bytes that have left */
};

/* Copies all pieces but their first `skip` bytes to the end: 0, or -ENOMEM with nothing queued. */
int thi_outqueue_add(thi_outqueue *queue, const struct iovec *iov, int count, size_t skip);

/* Queues a stretch of a file: 0, or -ENOMEM. */
int thi_outqueue_add_file(thi_outqueue *queue, thi_outfile *file);

/*
 * Puts bytes of the file that is first in front of it, as an allocation of `size` bytes of which
 * the queue becomes the owner. They count as sent when they have left.
 */
int thi_outqueue_put_piece(thi_outqueue *queue, char *bytes, size_t size);

static inline bool thi_outqueue_empty(const thi_outqueue *queue)
{
    return !queue->first;
}

/* The file that is first; NULL when bytes are, or nothing is. */
thi_outfile *thi_outqueue_file(const thi_outqueue *queue);

/* Takes the file that is first out. */
void thi_outqueue_drop_file(thi_outqueue *queue);

/* Describes the first bytes, up to a file, in at most max pieces; returns how many. */
int thi_outqueue_iov(const thi_outqueue *queue, struct iovec *iov, int max);

/* Drops the first n bytes, which are no file's but those of its pieces. */
void thi_outqueue_drop(thi_outqueue *queue, size_t n);

/* Moves up to size bytes out, up to a file; returns how many. */
size_t thi_outqueue_read(thi_outqueue *queue, void *buf, size_t size);

/* Drops everything; the files that were in it, linked in order. */
thi_outfile *thi_outqueue_clear(thi_outqueue *queue);

#endif
