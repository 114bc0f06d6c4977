/* SPDX-License-Identifier: MIT */

/*
 * Netstrings (D. J. Bernstein, 1997): the length in decimal digits, a colon, the bytes, a comma.
 *
 * The parser is shown all bytes from the beginning of a netstring on, again and longer as long as
 * it is incomplete. It keeps nothing: the head is a few digits.
 */
#ifndef THI_PROTO_NETSTRING_H
#define THI_PROTO_NETSTRING_H

#include <thrum/str.h>

#include <sys/types.h>

/* Room for the head of any netstring. */
#define THI_NETSTRING_HEAD 24

/*
 * Looks at the first netstring in `bytes`. Returns how many bytes it takes, and its payload; 0 when
 * it is not complete yet; TH_ELIMIT when it is longer than the limit, which is found out by the
 * digits alone, before the colon; TH_EPROTO for leading zeros, no digits, or anything else instead
 * of the colon or the comma.
 */
ssize_t thi_netstring_next(size_t limit, th_str bytes, th_str *payload);

/* Writes the head for a payload of so many bytes and returns its length. A comma comes at the end.
 */
size_t thi_netstring_head(size_t len, char head[THI_NETSTRING_HEAD]);

#endif
