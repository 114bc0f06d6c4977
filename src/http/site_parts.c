/* SPDX-License-Identifier: MIT */

/*
 * multipart/byteranges.
 *
 * The heads of the parts are written twice: once to learn the length of the whole, which the reply
 * announces, and once to send them. The boundary is a random number, so that no file can contain
 * it on purpose.
 */
#include "http/site_parts.h"

#include "io/fileway.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define BOUNDARY_SIZE  17 /* 16 hexadecimal digits and a NUL */
#define PART_HEAD_SIZE 320
#define BUFFER_SIZE    (16 * 1024)

typedef struct parts {
    const thi_site_file *file;
    const thi_http_range *ranges;
    size_t count;
    char boundary[BOUNDARY_SIZE];
} parts;

/* Writes what stands before the bytes of part i, or behind the last one; its length. */
static size_t write_head(const parts *p, size_t i, char *out)
{
    const thi_site_meta *meta = &p->file->meta;
    const thi_http_range *range = &p->ranges[i];
    int type_len = meta->fields_len - meta->common_len; /* the whole line */
    if (i == p->count)
        return (size_t)snprintf(out, PART_HEAD_SIZE, "\r\n--%s--\r\n", p->boundary);
    return (size_t)snprintf(
        out, PART_HEAD_SIZE,
        "%s--%s\r\n%.*sContent-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRId64 "\r\n\r\n",
        i > 0 ? "\r\n" : "", p->boundary, type_len, meta->fields + meta->common_len, range->first,
        range->last, meta->stamp.size);
}

static uint64_t range_size(const thi_http_range *range)
{
    return range->last - range->first + 1;
}

static int64_t total_size(const parts *p)
{
    char head[PART_HEAD_SIZE];
    uint64_t total = write_head(p, p->count, head);
    for (size_t i = 0; i < p->count; i++)
        total += write_head(p, i, head) + range_size(&p->ranges[i]);
    return (int64_t)total;
}

/* Sends a stretch of the file through the buffer. */
static int send_stretch(th_http_reply *r, int fd, const thi_http_range *range, char *buffer)
{
    thi_filefacts facts = { .endpoint = THI_ENDPOINT_DISK };
    uint64_t at = range->first;
    while (at <= range->last) {
        uint64_t left = range->last - at + 1;
        ssize_t n = thi_fileway_pread(fd, buffer, left < BUFFER_SIZE ? left : BUFFER_SIZE,
                                      (int64_t)at, &facts);
        if (n <= 0)
            return n == 0 ? TH_ETRUNCATED : (int)n;
        int err = th_http_reply_write(r, buffer, (size_t)n);
        if (err < 0)
            return err;
        at += (uint64_t)n;
    }
    return 0;
}

static int send_all(th_http_reply *r, const parts *p, char *buffer)
{
    char head[PART_HEAD_SIZE];
    int err = 0;
    for (size_t i = 0; err == 0 && i < p->count; i++) {
        const thi_http_range *range = &p->ranges[i];
        err = th_http_reply_write(r, head, write_head(p, i, head));
        if (err == 0 && p->file->content)
            err = th_http_reply_write(r, p->file->content + range->first, range_size(range));
        else if (err == 0)
            err = send_stretch(r, p->file->fd, range, buffer);
    }
    return err < 0 ? err : th_http_reply_write(r, head, write_head(p, p->count, head));
}

int thi_site_send_parts(th_http_request *q, th_http_reply *r, const thi_site_file *file,
                        const thi_http_range *ranges, size_t count)
{
    parts p = { .file = file, .ranges = ranges, .count = count };
    char type[64];
    uint64_t number;
    char *buffer = NULL;
    int err = thi_sys_random(&number, sizeof number);
    if (err < 0)
        return err;
    if (!file->content && !(buffer = th_arena_alloc(&q->arena, BUFFER_SIZE)))
        return -ENOMEM;
    (void)snprintf(p.boundary, sizeof p.boundary, "%016" PRIx64, number);
    (void)snprintf(type, sizeof type, "multipart/byteranges; boundary=%s", p.boundary);
    err = th_http_reply_header(r, "Content-Type", type);
    if (err == 0)
        err = th_http_reply_begin(r, 206, total_size(&p));
    return err < 0 ? err : send_all(r, &p, buffer);
}
