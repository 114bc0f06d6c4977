/* SPDX-License-Identifier: MIT */

/* Host and port as URLs and the Host field write them (RFC 3986, 3.2; RFC 9110, 7.2). */
#ifndef THI_PROTO_AUTHORITY_H
#define THI_PROTO_AUTHORITY_H

#include <thrum/defs.h>
#include <thrum/str.h>

#include <stdbool.h>
#include <stdint.h>

typedef enum thi_host_kind {
    THI_HOST_NAME, /* a reg-name, possibly percent-encoded, in the case that was sent; an IPv4
                      address is one, too: thi_host_is_ipv4() tells */
    THI_HOST_IPV6, /* without its brackets */
    THI_HOST_IPVFUTURE
} thi_host_kind;

typedef struct thi_authority {
    th_str host; /* points into the parsed text; may be empty */
    thi_host_kind kind;
    int32_t port; /* 0 to 65535, or -1 when none was given ("host" and "host:" alike) */
} thi_authority;

/*
 * Reads "host" or "host:port". User information is refused (RFC 9110, 4.2.4).
 * Returns 0, or TH_EADDRESS.
 */
TH_MUST int thi_authority_parse(th_str text, thi_authority *out);

/* Whether a host is an IPv4 address in dotted form (RFC 3986, 3.2.2). */
bool thi_host_is_ipv4(th_str host);

#endif
