/* SPDX-License-Identifier: MIT */

/* Sockets to listen or receive on that the process was given when it was started. */
#ifndef THI_NET_INHERIT_H
#define THI_NET_INHERIT_H

#include <thrum/defs.h>

#include <stdbool.h>

/* Whether an address means an inherited socket: "fd:N", or "systemd:NAME". */
bool thi_inherit_means(const char *address);

/*
 * Takes the socket that an address means, makes it close-on-exec and non-blocking, and returns its
 * number. TH_EADDRESS for what cannot be read; -ENOENT when none of that name was passed, or all
 * are taken; -EBUSY when this one is; -EBADF; -ENOTSOCK; -EPROTOTYPE for another type than is
 * wanted: SOCK_STREAM or SOCK_DGRAM.
 */
TH_MUST int thi_inherit_take(const char *address, int type);

/* It may be taken again: it was closed, or could not be used. */
void thi_inherit_release(int fd);

#endif
