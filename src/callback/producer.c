/* SPDX-License-Identifier: MIT */

/* Producers that stand ready: of bytes, and of files. */
#include <thrum/chat.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"

#include <thrum/error.h>

#include <errno.h>
#include <string.h>

#define PIECE 512

void th_producer_release(th_producer *producer)
{
    if (producer && producer->release)
        producer->release(producer);
}

/* ---- bytes ---- */

typedef struct of_bytes {
    th_producer base;
    size_t at;
    size_t size;
    size_t piece;
    char bytes[];
} of_bytes;

static ssize_t more_bytes(th_producer *producer, void *buf, size_t room)
{
    of_bytes *p = thi_container_of(producer, of_bytes, base);
    size_t n = thi_min(p->piece, room);
    n = thi_min(n, p->size - p->at);
    memcpy(buf, p->bytes + p->at, n);
    p->at += n;
    return (ssize_t)n;
}

static void free_bytes(th_producer *producer)
{
    thi_free(thi_container_of(producer, of_bytes, base));
}

int th_producer_of_bytes(const void *data, size_t size, size_t piece, th_producer **producer)
{
    if (!producer || (!data && size > 0))
        return thi_err_clear(-EINVAL);
    of_bytes *p = size < SIZE_MAX / 2 ? thi_alloc(sizeof *p + size) : NULL;
    if (!p)
        return thi_err_clear(-ENOMEM);
    *p = (of_bytes){ .base = { .more = more_bytes, .release = free_bytes },
                     .size = size,
                     .piece = piece ? piece : PIECE };
    if (size > 0)
        memcpy(p->bytes, data, size);
    *producer = &p->base;
    return 0;
}

/* ---- files ---- */

typedef struct of_file {
    th_producer base;
    th_file *file;
    int64_t at;
    int64_t left; /* negative: up to the end */
} of_file;

static ssize_t more_of_file(th_producer *producer, void *buf, size_t room)
{
    of_file *p = thi_container_of(producer, of_file, base);
    size_t want = p->left < 0 ? room : thi_min((size_t)p->left, room);
    if (want == 0)
        return 0;
    ssize_t n = th_file_pread(p->file, buf, want, p->at);
    if (n <= 0)
        return n == 0 && p->left > 0 ? thi_err_set(TH_ETRUNCATED, "the file has become shorter")
                                     : n;
    p->at += n;
    if (p->left > 0)
        p->left -= n;
    return n;
}

static void free_of_file(th_producer *producer)
{
    of_file *p = thi_container_of(producer, of_file, base);
    th_file_free(p->file);
    thi_free(p);
}

int th_producer_of_file(th_file *file, int64_t offset, int64_t size, th_producer **producer)
{
    if (!file || !producer || offset < 0)
        return thi_err_clear(-EINVAL);
    of_file *p = thi_alloc(sizeof *p);
    if (!p)
        return thi_err_clear(-ENOMEM);
    *p = (of_file){ .base = { .more = more_of_file, .release = free_of_file },
                    .file = file,
                    .at = offset,
                    .left = size };
    *producer = &p->base;
    return 0;
}
