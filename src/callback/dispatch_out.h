/* SPDX-License-Identifier: MIT */

/*
 * What a dispatcher has yet to send: bytes, producers of bytes, and the mark "close when done", in
 * the order in which they were pushed.
 *
 * An empty one holds no memory. Small pieces share a block. What is added is added whole or not at
 * all.
 */
#ifndef THI_CALLBACK_DISPATCH_OUT_H
#define THI_CALLBACK_DISPATCH_OUT_H

#include <thrum/chat.h>
#include <thrum/defs.h>

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

typedef struct thi_out_block thi_out_block;

typedef struct thi_out {
    thi_out_block *first; /* NULL: it is empty */
    thi_out_block *last;  /* likewise */
    size_t bytes;         /* of those that are here; producers count for nothing */
} thi_out;

/* What comes next. BYTES: thi_out_iov() gives some. */
typedef enum thi_out_kind {
    THI_OUT_EMPTY,
    THI_OUT_BYTES,
    THI_OUT_PRODUCER,
    THI_OUT_END
} thi_out_kind;

/* Copies bytes to the end: 0 or -ENOMEM. */
TH_MUST int thi_out_add(thi_out *out, const void *data, size_t size);

/* Adds a producer, which is its own from then on: 0 or -ENOMEM. */
TH_MUST int thi_out_add_producer(thi_out *out, th_producer *producer);

/* Adds the mark: 0 or -ENOMEM. */
TH_MUST int thi_out_add_end(thi_out *out);

thi_out_kind thi_out_next(const thi_out *out);

/* Describes the bytes up to the next producer or mark in at most max pieces; returns how many. */
int thi_out_iov(const thi_out *out, struct iovec *iov, int max);

/* Drops the first n bytes. */
void thi_out_drop(thi_out *out, size_t n);

/*
 * Asks the producer that comes next for more, which goes in front of it; one that has no more is
 * taken out and released. 1: there are bytes; 0: there is no producer any more; what it said, with
 * everything as before; -ENOMEM.
 */
TH_MUST int thi_out_produce(thi_out *out);

/* Whether the producer that comes next is making something just now, for somebody else. */
bool thi_out_busy(const thi_out *out);

/* Takes out the mark that comes next. */
void thi_out_drop_end(thi_out *out);

/* Drops everything and releases all producers. */
void thi_out_clear(thi_out *out);

#endif
