/* SPDX-License-Identifier: MIT */

/*
 * Frames with their length in front, in 1, 2 or 4 bytes of network order.
 *
 * The parser is shown all bytes from the beginning of a frame on, again and longer as long as it is
 * incomplete. It keeps nothing.
 */
#ifndef THI_PROTO_PREFIX_H
#define THI_PROTO_PREFIX_H

#include <thrum/str.h>

#include <sys/types.h>

/* Bytes of the longest prefix. */
#define THI_PREFIX_MAX 4

/*
 * Looks at the first frame in `bytes`, with a prefix of `width` bytes (1, 2 or 4). Returns how many
 * bytes it takes, and its payload; 0 when it is not complete yet; TH_ELIMIT when the prefix says
 * more than the limit, as soon as the prefix is there. Then *payload has no bytes, and the length
 * that was told.
 */
ssize_t thi_prefix_next(unsigned width, size_t limit, th_str bytes, th_str *payload);

/* Writes the prefix of a payload; false when the length does not fit into it. */
bool thi_prefix_head(unsigned width, size_t len, unsigned char head[THI_PREFIX_MAX]);

#endif
