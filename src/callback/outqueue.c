/* SPDX-License-Identifier: MIT */

/*
 * The blocks of a queue.
 *
 * A block is a header and its bytes in one allocation; one that was read from a file has its bytes
 * elsewhere, and one that stands for a file has none. What is added fills the last block first, and
 * all the rest of it goes into a single new one: so it is all or nothing.
 */
#include "callback/outqueue.h"

#include "base/alloc.h"
#include "base/util.h"

#include <errno.h>
#include <string.h>

#define BLOCK_MIN 2048 /* bytes of a block, at least: what comes next may fit as well */

struct thi_outblock {
    thi_outblock *next;
    size_t at;         /* bytes before this have left */
    size_t end;        /* bytes before this are filled */
    size_t room;       /* bytes there are */
    thi_outfile *file; /* what it stands for, or whose bytes it has */
    char *bytes;       /* NULL: it stands for the file */
    char own[];
};

static size_t total(const struct iovec *iov, int count)
{
    size_t sum = 0;
    for (int i = 0; i < count; i++)
        sum += iov[i].iov_len;
    return sum;
}

static thi_outblock *new_block(size_t room)
{
    thi_outblock *block = thi_alloc(sizeof *block + room);
    if (block)
        *block = (thi_outblock){ .room = room, .bytes = block->own };
    return block;
}

static void free_block(thi_outblock *block)
{
    if (block->bytes != block->own)
        thi_free(block->bytes);
    thi_free(block);
}

static void link_last(thi_outqueue *queue, thi_outblock *block)
{
    if (queue->first)
        queue->last->next = block;
    else
        queue->first = block;
    queue->last = block;
}

/* Room in the last block, if that is one to be filled. */
static size_t spare(const thi_outqueue *queue)
{
    const thi_outblock *last = queue->last;
    return queue->first && !last->file ? last->room - last->end : 0;
}

static void fill(thi_outqueue *queue, const char *bytes, size_t size)
{
    thi_outblock *block = queue->last;
    memcpy(block->bytes + block->end, bytes, size);
    block->end += size;
    queue->bytes += size;
}

int thi_outqueue_add(thi_outqueue *queue, const struct iovec *iov, int count, size_t skip)
{
    size_t size = total(iov, count) - skip;
    size_t here = thi_min(spare(queue), size);
    thi_outblock *more = NULL;
    if (here < size && !(more = new_block(thi_max(size - here, (size_t)BLOCK_MIN))))
        return -ENOMEM;
    for (int i = 0; i < count; i++) {
        size_t gone = thi_min(skip, iov[i].iov_len);
        const char *bytes = (const char *)iov[i].iov_base + gone;
        size_t left = iov[i].iov_len - gone;
        skip -= gone;
        size_t part = thi_min(here, left);
        if (part > 0)
            fill(queue, bytes, part);
        here -= part;
        if (part == left)
            continue;
        if (more)
            link_last(queue, more);
        more = NULL;
        fill(queue, bytes + part, left - part);
    }
    return 0;
}

int thi_outqueue_add_file(thi_outqueue *queue, thi_outfile *file)
{
    thi_outblock *block = new_block(0);
    if (!block)
        return -ENOMEM;
    block->bytes = NULL;
    block->file = file;
    link_last(queue, block);
    return 0;
}

int thi_outqueue_put_piece(thi_outqueue *queue, char *bytes, size_t size)
{
    thi_outblock *block = new_block(0);
    if (!block)
        return -ENOMEM;
    block->bytes = bytes;
    block->end = block->room = size;
    block->file = queue->first->file;
    block->next = queue->first;
    queue->first = block;
    queue->bytes += size;
    return 0;
}

thi_outfile *thi_outqueue_file(const thi_outqueue *queue)
{
    return queue->first && !queue->first->bytes ? queue->first->file : NULL;
}

static void drop_first(thi_outqueue *queue)
{
    thi_outblock *block = queue->first;
    queue->first = block->next;
    free_block(block);
}

void thi_outqueue_drop_file(thi_outqueue *queue)
{
    drop_first(queue);
}

int thi_outqueue_iov(const thi_outqueue *queue, struct iovec *iov, int max)
{
    int count = 0;
    for (thi_outblock *b = queue->first; b && b->bytes && count < max; b = b->next)
        iov[count++] = (struct iovec){ b->bytes + b->at, b->end - b->at };
    return count;
}

void thi_outqueue_drop(thi_outqueue *queue, size_t n)
{
    queue->bytes -= n;
    while (n > 0) {
        thi_outblock *block = queue->first;
        size_t part = thi_min(n, block->end - block->at);
        block->at += part;
        n -= part;
        if (block->file)
            block->file->sent += part;
        if (block->at == block->end)
            drop_first(queue);
    }
}

size_t thi_outqueue_read(thi_outqueue *queue, void *buf, size_t size)
{
    char *to = buf;
    size_t done = 0;
    while (done < size && queue->first && queue->first->bytes) {
        const thi_outblock *block = queue->first;
        size_t part = thi_min(size - done, block->end - block->at);
        memcpy(to + done, block->bytes + block->at, part);
        done += part;
        thi_outqueue_drop(queue, part);
    }
    return done;
}

thi_outfile *thi_outqueue_clear(thi_outqueue *queue)
{
    thi_outfile *files = NULL;
    thi_outfile **end = &files;
    while (queue->first) {
        if (!queue->first->bytes) {
            *end = queue->first->file;
            (*end)->next = NULL;
            end = &(*end)->next;
        }
        drop_first(queue);
    }
    queue->bytes = 0;
    return files;
}
