/* SPDX-License-Identifier: MIT */

/*
 * Blocks of memory of one size that one thread allocates and another may free.
 *
 * A heap with a cache per thread is slow at that: blocks pile up with the threads that free them,
 * and have to be taken back to where the other one finds them. Here they go onto a stack by one
 * compare-and-swap, and whoever allocates takes the stack as a whole and then block by block. If
 * somebody else is just doing so, or there is none, the heap gives one.
 */
#ifndef THI_BASE_SPARES_H
#define THI_BASE_SPARES_H

#include <thrum/defs.h>

#include <stdatomic.h>
#include <stddef.h>

typedef struct thi_spare thi_spare;

/* All zero but the size is empty. */
typedef struct thi_spares {
    size_t size;       /* of a block; at least a pointer's */
    atomic_bool taken; /* somebody is allocating; guards the next two */
    thi_spare *hand;   /* blocks that were taken from the stack */
    size_t used;       /* how many of them have been given out since */
    char between[64];
    _Atomic(thi_spare *) freed;
    atomic_size_t count; /* of all blocks kept, or a few more */
} thi_spares;

/* A block with undefined content; NULL without memory. Any thread. */
TH_MUST void *thi_spares_alloc(thi_spares *spares);

/* Frees a block that came from there, or keeps it for the next one. Any thread. */
void thi_spares_free(thi_spares *spares, void *block);

#endif
