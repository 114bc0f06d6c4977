/* SPDX-License-Identifier: MIT */

/* Listening sockets: made once, shared by all workers. */
#ifndef THI_NET_LISTENER_H
#define THI_NET_LISTENER_H

#include <thrum/serve.h>

#include <sys/types.h>

struct th_listener {
    int fd; /* -1 once it has been retired */
    th_addr addr;
    dev_t dev; /* of the Unix socket file that was made here */
    ino_t ino;
    int made_file;
};

/*
 * Stops listening, as th_listener_close() does, but leaves the object to its owner. No worker may
 * watch it any more.
 */
void thi_listener_retire(th_listener *listener);

#endif
