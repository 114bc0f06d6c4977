/* SPDX-License-Identifier: MIT */

/*
 * The outbox of a worker.
 *
 * When many connections become readable in one turn of the loop, answering each at once makes the
 * processor change between our code and the kernel's long way to the wire once for every answer,
 * and neither stays in its caches. So an answer that is complete, small, and the last that its
 * connection has to give, waits here until all events of the turn have been looked at; then all
 * leave in a row. With a single event in the turn nothing waits for anything.
 *
 * What `done` begins may call for sending again, which then goes on where it is.
 */
#include "http/outbox.h"

#include <string.h>

static void on_later(thi_deferred *later)
{
    thi_http_outbox_send(thi_container_of(later, thi_http_outbox, later));
}

void thi_http_outbox_init(thi_http_outbox *outbox, thi_http_outbox_fn done)
{
    thi_deferred_init(&outbox->later, on_later);
    outbox->done = done;
    outbox->sending = false;
    outbox->count = outbox->sent = 0;
    outbox->used = outbox->gone = 0;
}

void thi_http_outbox_deinit(thi_http_outbox *outbox)
{
    TH_ASSERT(outbox->count == 0);
    thi_loop_undefer(&outbox->later);
}

bool thi_http_outbox_takes(thi_http_outbox *outbox, size_t size)
{
    if (outbox->sending || size > THI_OUTBOX_ENTRY)
        return false;
    if (outbox->count == THI_OUTBOX_ENTRIES || outbox->used + size > THI_OUTBOX_BYTES)
        thi_http_outbox_send(outbox);
    return true;
}

void thi_http_outbox_put(thi_http_outbox *outbox, thi_socket *socket, const char *bytes,
                         size_t size)
{
    TH_DEBUG_ASSERT(outbox->used + size <= THI_OUTBOX_BYTES);
    memcpy(outbox->bytes + outbox->used, bytes, size);
    outbox->entries[outbox->count].socket = socket;
    outbox->entries[outbox->count++].size = size;
    outbox->used += size;
    thi_loop_defer(&socket->worker->loop, &outbox->later);
}

void thi_http_outbox_send(thi_http_outbox *outbox)
{
    outbox->sending = true;
    while (outbox->sent < outbox->count) {
        thi_socket *socket = outbox->entries[outbox->sent].socket;
        size_t size = outbox->entries[outbox->sent++].size;
        const char *bytes = outbox->bytes + outbox->gone;
        outbox->gone += size;
        ssize_t n = thi_socket_send_now(socket, bytes, size);
        size_t taken = n > 0 ? (size_t)n : 0;
        outbox->done(socket, (th_str){ bytes + taken, size - taken });
    }
    outbox->count = outbox->sent = 0;
    outbox->used = outbox->gone = 0;
    outbox->sending = false;
}
