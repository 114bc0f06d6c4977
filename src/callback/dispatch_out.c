/* SPDX-License-Identifier: MIT */

/*
 * The blocks of what is to be sent.
 *
 * A block is a header with its bytes behind it; that of a producer has room for one helping of what
 * it makes, and is asked again when that has been sent. While a producer makes something the queue
 * may change under it, for it may suspend: so its block is marked as busy, and whoever clears the
 * queue leaves that block to it.
 */
#include "callback/dispatch_out.h"

#include "base/alloc.h"
#include "base/util.h"

#include <errno.h>
#include <string.h>

/* Bytes of a block, at least: what comes next may fit as well. */
#define BLOCK_MIN 2048

/* What a producer is asked for at a time. */
#define HELPING (64 * 1024)

struct thi_out_block {
    thi_out_block *next;
    thi_out_kind kind;
    bool busy;             /* its producer is making something */
    bool dropped;          /* while it was */
    th_producer *producer; /* of PRODUCER */
    size_t at;             /* bytes before this have been sent */
    size_t end;            /* bytes before this are filled */
    size_t room;
    char bytes[];
};

static thi_out_block *new_block(thi_out_kind kind, size_t room)
{
    thi_out_block *block = thi_alloc(sizeof *block + room);
    if (block)
        *block = (thi_out_block){ .kind = kind, .room = room };
    return block;
}

static void link_last(thi_out *out, thi_out_block *block)
{
    if (out->last)
        out->last->next = block;
    else
        out->first = block;
    out->last = block;
}

static void release(th_producer *producer)
{
    if (producer->release)
        producer->release(producer);
}

static void free_block(thi_out_block *block)
{
    if (block->kind == THI_OUT_PRODUCER)
        release(block->producer);
    thi_free(block);
}

static void drop_first(thi_out *out)
{
    thi_out_block *block = out->first;
    out->first = block->next;
    if (!out->first)
        out->last = NULL;
    if (block->busy)
        block->dropped = true;
    else
        free_block(block);
}

static void fill(thi_out *out, const char *data, size_t size)
{
    thi_out_block *block = out->last;
    memcpy(block->bytes + block->end, data, size);
    block->end += size;
    out->bytes += size;
}

int thi_out_add(thi_out *out, const void *data, size_t size)
{
    const thi_out_block *last = out->last;
    size_t spare = last && last->kind == THI_OUT_BYTES ? last->room - last->end : 0;
    size_t here = thi_min(spare, size);
    thi_out_block *more = NULL;
    if (here < size) {
        more = new_block(THI_OUT_BYTES, thi_max(size - here, (size_t)BLOCK_MIN));
        if (!more)
            return -ENOMEM;
    }
    if (here > 0)
        fill(out, data, here);
    if (more) {
        link_last(out, more);
        fill(out, (const char *)data + here, size - here);
    }
    return 0;
}

int thi_out_add_producer(thi_out *out, th_producer *producer)
{
    thi_out_block *block = new_block(THI_OUT_PRODUCER, HELPING);
    if (!block)
        return -ENOMEM;
    block->producer = producer;
    link_last(out, block);
    return 0;
}

int thi_out_add_end(thi_out *out)
{
    thi_out_block *block = new_block(THI_OUT_END, 0);
    if (!block)
        return -ENOMEM;
    link_last(out, block);
    return 0;
}

static bool has_bytes(const thi_out_block *block)
{
    return block->end > block->at;
}

thi_out_kind thi_out_next(const thi_out *out)
{
    if (!out->first)
        return THI_OUT_EMPTY;
    return has_bytes(out->first) ? THI_OUT_BYTES : out->first->kind;
}

int thi_out_iov(const thi_out *out, struct iovec *iov, int max)
{
    int count = 0;
    for (thi_out_block *b = out->first; b && has_bytes(b) && count < max; b = b->next) {
        iov[count++] = (struct iovec){ b->bytes + b->at, b->end - b->at };
        if (b->kind == THI_OUT_PRODUCER) /* more of it comes before what is behind */
            break;
    }
    return count;
}

void thi_out_drop(thi_out *out, size_t n)
{
    out->bytes -= n;
    while (n > 0) {
        thi_out_block *block = out->first;
        size_t part = thi_min(n, block->end - block->at);
        block->at += part;
        n -= part;
        if (!has_bytes(block) && block->kind == THI_OUT_BYTES)
            drop_first(out);
    }
}

int thi_out_produce(thi_out *out)
{
    thi_out_block *block = out->first;
    block->busy = true;
    ssize_t n = block->producer->more(block->producer, block->bytes, block->room);
    block->busy = false;
    if (block->dropped) {
        free_block(block);
        return 0;
    }
    if (n < 0)
        return (int)n;
    block->at = 0;
    block->end = thi_min((size_t)n, block->room);
    out->bytes += block->end;
    if (n == 0)
        drop_first(out);
    return n > 0;
}

bool thi_out_busy(const thi_out *out)
{
    return out->first && out->first->busy;
}

void thi_out_drop_end(thi_out *out)
{
    drop_first(out);
}

void thi_out_clear(thi_out *out)
{
    while (out->first)
        drop_first(out);
    out->bytes = 0;
}
