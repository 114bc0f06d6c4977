/* SPDX-License-Identifier: MIT */

/* Connecting without TLS. */
#ifndef THI_NET_DIAL_H
#define THI_NET_DIAL_H

#include <thrum/dial.h>

/*
 * As th_dial(), to an address that asks for no TLS; its options of TLS are not looked at. `shown`
 * is the address in details, as the caller's user wrote it.
 */
TH_MUST int thi_dial(const char *address, const char *shown, const th_dial_opts *opts,
                     th_stream **stream);

#endif
