/* SPDX-License-Identifier: MIT */

/* Answers of one worker that leave together, when the events of the loop's turn have been seen. */
#ifndef THI_HTTP_OUTBOX_H
#define THI_HTTP_OUTBOX_H

#include "net/socket.h"

#include <thrum/str.h>

#define THI_OUTBOX_ENTRIES 256
#define THI_OUTBOX_BYTES   (32 * 1024)
#define THI_OUTBOX_ENTRY   (4 * 1024) /* of one connection; more gains nothing by waiting */

/*
 * Called when an answer has been sent as far as the kernel took it at once. The bytes that it did
 * not take are borrowed for the call, which may begin anything but put new answers here.
 */
typedef void (*thi_http_outbox_fn)(thi_socket *socket, th_str rest);

typedef struct thi_http_outbox {
    thi_deferred later;
    thi_http_outbox_fn done;
    bool sending;
    unsigned count; /* entries, of which those before `sent` have been dealt with */
    unsigned sent;
    size_t used; /* of bytes */
    size_t gone; /* of those, what belongs to entries that have been dealt with */
    struct {
        thi_socket *socket;
        size_t size;
    } entries[THI_OUTBOX_ENTRIES];
    char bytes[THI_OUTBOX_BYTES];
} thi_http_outbox;

/* Prepares an empty outbox. */
void thi_http_outbox_init(thi_http_outbox *outbox, thi_http_outbox_fn done);

/* Makes sure that it is not called any more; it must be empty. */
void thi_http_outbox_deinit(thi_http_outbox *outbox);

/*
 * Whether an answer of this size had better leave with others; makes room for it if need be. True
 * holds until something else is done with the outbox.
 */
TH_MUST bool thi_http_outbox_takes(thi_http_outbox *outbox, size_t size);

/* Copies an answer; the socket has no other in the outbox, and stays until this one is done. */
void thi_http_outbox_put(thi_http_outbox *outbox, thi_socket *socket, const char *bytes,
                         size_t size);

/* Sends all that is in it. */
void thi_http_outbox_send(thi_http_outbox *outbox);

#endif
