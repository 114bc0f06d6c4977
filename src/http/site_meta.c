/* SPDX-License-Identifier: MIT */

/*
 * Metadata of a file.
 *
 * The entity tag is a hash of inode, size and time of modification: strong, because a file whose
 * bytes have changed differs in one of them; hashed, because inode numbers are nobody's business.
 * Its key is fixed, so that all workers, and the program after a restart, say the same.
 *
 * The field lines are written once for each file that is cached and then copied whole.
 */
#include "http/site_meta.h"

#include "base/siphash.h"
#include "base/util.h"
#include "http/site_type.h"
#include "proto/http_date.h"

#include <thrum/time.h>

#include <string.h>

#define ETAG_LEN 18 /* 16 hexadecimal digits in quotes */

/* Seconds that do not fit stand for a time beyond every date, in its direction. */
static int64_t nanoseconds(struct timespec ts)
{
    int64_t ns;
    if (__builtin_mul_overflow((int64_t)ts.tv_sec, TH_SECOND, &ns) ||
        __builtin_add_overflow(ns, (int64_t)ts.tv_nsec, &ns))
        return ts.tv_sec < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

thi_site_stamp thi_site_stamp_of(const struct stat *st)
{
    return (thi_site_stamp){ .dev = st->st_dev,
                             .ino = st->st_ino,
                             .size = st->st_size,
                             .changed = nanoseconds(st->st_ctim),
                             .modified = nanoseconds(st->st_mtim) };
}

static char *put(char *to, th_str text)
{
    return mempcpy(to, text.ptr, text.len);
}

/* The file's tag in its quotes. */
static char *put_etag(char *to, const thi_site_stamp *stamp)
{
    static const thi_siphash_key key = { 0x746872756d207369, 0x7465206574616773 };
    uint64_t facts[] = { stamp->ino, (uint64_t)stamp->size, (uint64_t)stamp->modified };
    uint64_t hash = thi_siphash(key, facts, sizeof facts);
    *to++ = '"';
    for (int shift = 60; shift >= 0; shift -= 4)
        *to++ = "0123456789abcdef"[hash >> shift & 15];
    *to++ = '"';
    return to;
}

void thi_site_meta_make(const struct stat *st, th_str type, int64_t wall, thi_site_meta *meta)
{
    char *to = meta->fields;
    meta->stamp = thi_site_stamp_of(st);
    to = put(to, TH_STR("ETag: "));
    to = put_etag(to, &meta->stamp);
    to = put(to, TH_STR("\r\n"));
    meta->etag_len = (uint16_t)(to - meta->fields);

    /* RFC 9110, 8.8.2.1: no date that is still to come. */
    meta->modified = meta->stamp.modified / TH_SECOND;
    char date[THI_HTTP_DATE_LEN];
    if (meta->stamp.modified < 0 || meta->stamp.modified > wall ||
        thi_http_date_write(date, meta->modified) < 0) {
        meta->modified = -1;
    } else {
        to = put(to, TH_STR("Last-Modified: "));
        to = put(to, th_str_make(date, sizeof date));
        to = put(to, TH_STR("\r\n"));
    }
    to = put(to, TH_STR("Accept-Ranges: bytes\r\nX-Content-Type-Options: nosniff\r\n"));
    meta->common_len = (uint16_t)(to - meta->fields);
    to = put(to, TH_STR("Content-Type: "));
    to = put(to, type);
    to = put(to, TH_STR("\r\n"));
    meta->fields_len = (uint16_t)(to - meta->fields);
}

thi_http_version thi_site_version(const thi_site_meta *meta)
{
    return (thi_http_version){ .etag = th_str_make(meta->fields + sizeof "ETag: " - 1, ETAG_LEN),
                               .modified = meta->modified,
                               .exists = true };
}
