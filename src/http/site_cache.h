/* SPDX-License-Identifier: MIT */

/* A worker's memory of the files of a site: contents of small ones, descriptors of large ones. */
#ifndef THI_HTTP_SITE_CACHE_H
#define THI_HTTP_SITE_CACHE_H

#include "http/site_meta.h"
#include "http/site_open.h"
#include "loop/loop.h"

#include <stdatomic.h>

/* A file up to this is kept in memory: what a reply copies behind its head. Larger ones are cheaper
 * to send without copying. */
#define THI_SITE_CONTENT_MAX ((int64_t)8 * 1024)
#define THI_SITE_BYTES_MAX   ((size_t)16 * 1024 * 1024) /* of memory for a worker and site */
#define THI_SITE_ENTRIES_MAX ((size_t)8 * 1024)         /* files in memory for a worker and site */

typedef struct thi_site_cache thi_site_cache;

/* A regular file that may be sent, as it is now. */
typedef struct thi_site_file {
    thi_site_meta meta;
    const char *content;   /* all of it; NULL: read it from fd */
    int fd;                /* -1 when there is content */
    thi_site_cache *cache; /* whose it is; NULL: the caller's own storage */
} thi_site_file;

/* The caches of one site. */
typedef struct thi_site_caches {
    _Atomic(thi_site_cache *) first; /* each belongs to one loop; only ever added to */
} thi_site_caches;

/* The cache that belongs to the calling thread's loop, made with the first call; or NULL. */
thi_site_cache *thi_site_cache_of(thi_site_caches *caches, thi_loop *loop);

/* Frees all of them, from any thread. No file of theirs may be in use any more. */
void thi_site_caches_free(thi_site_caches *caches);

/*
 * Finds a file by its name below the root (see thi_site_open(); a NUL follows the name). *out is
 * the cache's or, where that cannot hold the file or is NULL, `spare`; give it back with
 * thi_site_file_put(). -EISDIR for a directory, else as thi_site_open().
 */
TH_MUST int thi_site_cache_get(thi_site_cache *cache, const thi_site_root *root, th_str name,
                               thi_site_file *spare, thi_site_file **out);

void thi_site_file_put(thi_site_file *file);

/* Bytes held in memory, and files held at all; for tests. */
size_t thi_site_cache_bytes(const thi_site_cache *cache);
size_t thi_site_cache_count(const thi_site_cache *cache);

#endif
