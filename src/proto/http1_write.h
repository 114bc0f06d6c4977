/* SPDX-License-Identifier: MIT */

/* The small writers on the sending side: status lines, decimal numbers, chunk headers. */
#ifndef THI_PROTO_HTTP1_WRITE_H
#define THI_PROTO_HTTP1_WRITE_H

#include <thrum/str.h>

#include <stddef.h>
#include <stdint.h>

/* Enough room for any result of the two writers of numbers. */
#define THI_DECIMAL_MAX      20u
#define THI_CHUNK_HEADER_MAX 18u

/* Standard reason phrase (RFC 9110, 15, and its registry); "" for a status without one. Static. */
th_str thi_http_reason(int status);

/* "HTTP/1.1 200 OK\r\n" ready made, for the statuses with a standard reason; else empty. Static. */
th_str thi_http1_status_line(int status);

/* Writes n in decimal, without a terminator; returns the number of digits. */
size_t thi_write_decimal(char *out, uint64_t n);

/* Writes "<n in hex>\r\n"; returns its length. n is not 0: that would be the last chunk. */
size_t thi_http1_write_chunk_header(char *out, uint64_t n);

#endif
