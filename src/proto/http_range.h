/* SPDX-License-Identifier: MIT */

/* Byte ranges of a Range field (RFC 9110, 14.1.2 and 14.2). */
#ifndef THI_PROTO_HTTP_RANGE_H
#define THI_PROTO_HTTP_RANGE_H

#include <thrum/defs.h>
#include <thrum/str.h>

#include <stddef.h>
#include <stdint.h>

typedef struct thi_http_range {
    uint64_t first; /* offset of the first byte */
    uint64_t last;  /* and of the last, which belongs to the range; below the size */
} thi_http_range;

/*
 * Reads a Range field's value against the size of what it is about, and puts the ranges that it has
 * into ranges[0..max), in the order in which they were asked for. Returns their number;
 * 0: ignore the field and send everything (it is malformed, of another unit, or
 * asks for the end of nothing);
 * -ERANGE: none of the ranges exists (416);
 * TH_ELIMIT: more than max ranges, or more than two overlap, which nobody needs: ignore it or 416.
 */
TH_MUST int thi_http_range_parse(th_str value, uint64_t size, thi_http_range *ranges, size_t max);

#endif
