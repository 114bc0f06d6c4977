/* SPDX-License-Identifier: MIT */

/* Reading some fibers of one worker with all that belongs to them, until they are settled. */
#ifndef THRUM_PROGRAM_INSPECT_CHUNK_H
#define THRUM_PROGRAM_INSPECT_CHUNK_H

#include "inspect_fibers.h"

#define CHUNK 1024 /* fibers at once */

typedef struct chunk chunk;

/* One for fibers of up to so many bytes; NULL without memory. */
chunk *chunk_new(size_t fiber_size);
void chunk_free(chunk *c);

/*
 * Reads up to CHUNK fibers that lie side by side, and puts those that are not free to `out`; how
 * many. Kinds of waits that are not known yet are added to the snapshot.
 */
size_t chunk_read(chunk *c, snapshot *s, const worker_view *worker, uint64_t at, size_t count,
                  fiber_view *out);

#endif
