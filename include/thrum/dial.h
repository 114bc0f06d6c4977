/* SPDX-License-Identifier: MIT */

/* Connecting to an address. */
#ifndef THRUM_DIAL_H
#define THRUM_DIAL_H

#include <stddef.h>

#include <thrum/defs.h>
#include <thrum/stream.h>

TH_BEGIN_DECLS

/**
 * Connects to an address.
 *
 * The scope is obeyed as by a th_stream_read(): when it has ended before, no attempt is made; when
 * it ends meanwhile, an attempt that has succeeded or failed by then returns that.
 *
 * @param address  where, as th_addr_parse() reads it; `0.0.0.0` and `[::]` mean this machine
 * @param stream   out: the connection, to be given back with th_stream_free()
 * @return 0; TH_EADDRESS; -ECONNREFUSED, -EHOSTUNREACH and other -errno of the attempt, with the
 *         address as detail; -ECANCELED or -ETIMEDOUT when the caller's scope says so; -EPERM
 *         outside a fiber; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: yes, until the connection is made
 * Thread: fiber
 * On cancel: gives the attempt up
 * Since: 0.1
 */
TH_API TH_MUST int th_dial(const char *address, th_stream **stream);

TH_END_DECLS

#endif
