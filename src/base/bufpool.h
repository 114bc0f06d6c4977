/* SPDX-License-Identifier: MIT */

/*
 * Segments of byte buffers, and the cache that a thread keeps of them.
 */
#ifndef THI_BASE_BUFPOOL_H
#define THI_BASE_BUFPOOL_H

#include <thrum/defs.h>

#include <stdbool.h>
#include <stddef.h>

typedef struct thi_seg thi_seg;

/* Where a segment's bytes come from, and go to. */
typedef enum thi_seg_kind {
    THI_SEG_SMALL,   /* 4 KiB with its header; cached */
    THI_SEG_LARGE,   /* 16 KiB with its header; cached */
    THI_SEG_SINGLE,  /* larger, made for one purpose; not cached */
    THI_SEG_BORROWED /* bytes of somebody else: not to be written to */
} thi_seg_kind;

/* Bytes in use are [start, end); what lies around them within [base, limit) is free. */
struct thi_seg {
    thi_seg *next; /* the user's; NULL from thi_bufpool_get() */
    char *start;
    char *end;
    char *base;
    char *limit;
    thi_seg_kind kind;
    void (*release)(void *ctx); /* BORROWED only, may be NULL: to be called when it is put back */
    void *ctx;
};

/* Bytes that fit into the two cached kinds. */
#define THI_SEG_SMALL_ROOM (4 * (size_t)1024 - sizeof(thi_seg))
#define THI_SEG_LARGE_ROOM (16 * (size_t)1024 - sizeof(thi_seg))

/* How many bytes of free segments a pool keeps unless told otherwise. */
#define THI_BUFPOOL_KEEP ((size_t)1 << 20)

typedef struct thi_bufpool {
    thi_seg *free[2];  /* SMALL and LARGE, last used first */
    size_t free_bytes; /* in the two lists */
    size_t used_bytes; /* in segments that are out, with their headers */
    size_t keep;       /* most free_bytes to keep */
    bool plain;        /* keep nothing: see thi_alloc_plain() */
} thi_bufpool;

/* Makes an empty pool, for one thread. Allocates nothing. */
void thi_bufpool_init(thi_bufpool *pool);

/* Frees what the pool keeps; no segment may be out. */
void thi_bufpool_deinit(thi_bufpool *pool);

/* Frees kept segments until at most `keep` bytes of them are left; returns the bytes freed. */
size_t thi_bufpool_trim(thi_bufpool *pool, size_t keep);

/* An empty segment with room for at least n bytes, start and end at its base; NULL: no memory. */
TH_MUST thi_seg *thi_bufpool_get(thi_bufpool *pool, size_t n);

/* A segment around n bytes at data, which it does not own; NULL: no memory, release not called. */
TH_MUST thi_seg *thi_bufpool_borrow(thi_bufpool *pool, const char *data, size_t n);

/* Takes a segment back, and calls its release. */
void thi_bufpool_put(thi_bufpool *pool, thi_seg *seg);

#endif
