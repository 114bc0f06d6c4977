/* SPDX-License-Identifier: MIT */

/* What the descriptors of a process are, as far as /proc tells: the process does not notice. */
#ifndef THRUM_PROGRAM_INSPECT_SOCKETS_H
#define THRUM_PROGRAM_INSPECT_SOCKETS_H

#include "inspect_target.h"

typedef struct sockets sockets;

/* NULL without memory. Nothing is read before the first question. */
sockets *sockets_open(const target *t);
void sockets_close(sockets *n);

/*
 * Says what a descriptor is: "tcp 127.0.0.1:80 - 127.0.0.1:4242", "unix /run/x", or what its link
 * in /proc says. "" when that is not known, as in a core.
 */
void sockets_describe(sockets *n, int fd, char *text, size_t size);

/* Forgets what was read, so that the next question reads anew. */
void sockets_forget(sockets *n);

#endif
