/* SPDX-License-Identifier: MIT */

/* What is said about a file: its entity tag, its date, and both with its type as field lines. */
#ifndef THI_HTTP_SITE_META_H
#define THI_HTTP_SITE_META_H

#include "proto/http_condition.h"

#include <sys/stat.h>

#define THI_SITE_FIELDS_MAX 256

/* One state of one file: what must be equal for it to be the same as before. */
typedef struct thi_site_stamp {
    dev_t dev;
    ino_t ino;
    int64_t size;
    int64_t changed;  /* content or metadata, by the kernel alone (ctime); ns since 1970 */
    int64_t modified; /* content, but anybody can set it (mtime); ns since 1970 */
} thi_site_stamp;

typedef struct thi_site_meta {
    thi_site_stamp stamp;
    int64_t modified;    /* as in Last-Modified; -1 when there is none */
    uint16_t etag_len;   /* of fields: the ETag line alone, for 304 */
    uint16_t common_len; /* of fields: all but Content-Type, for several ranges */
    uint16_t fields_len; /* of fields: everything */
    char fields[THI_SITE_FIELDS_MAX];
} thi_site_meta;

thi_site_stamp thi_site_stamp_of(const struct stat *st);

static inline bool thi_site_stamp_same(const thi_site_stamp *a, const thi_site_stamp *b)
{
    return a->ino == b->ino && a->size == b->size && a->changed == b->changed &&
           a->modified == b->modified && a->dev == b->dev;
}

/* Fills meta; type is at most THI_SITE_TYPE_MAX bytes, wall is the time in ns since 1970. */
void thi_site_meta_make(const struct stat *st, th_str type, int64_t wall, thi_site_meta *meta);

/* For conditional requests; the tag is a view into meta. */
thi_http_version thi_site_version(const thi_site_meta *meta);

#endif
