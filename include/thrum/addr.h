/* SPDX-License-Identifier: MIT */

/* Addresses of endpoints: TCP over IPv4 and IPv6, and Unix sockets, as text and as values. */
#ifndef THRUM_ADDR_H
#define THRUM_ADDR_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/defs.h>

TH_BEGIN_DECLS

enum { TH_ADDR_NONE, TH_ADDR_IP4, TH_ADDR_IP6, TH_ADDR_UNIX };

/* An address, to be copied freely. All zero is TH_ADDR_NONE: an unbound peer. */
typedef struct th_addr {
    uint16_t kind;     /* TH_ADDR_* */
    uint16_t port;     /* IP4, IP6 */
    uint32_t scope;    /* IP6: the zone's number, 0 for none */
    uint16_t path_len; /* UNIX: bytes of path; 0 for an unnamed socket */
    uint8_t ip[16];    /* IP4: the first four, in network order */
    char path[110];    /* UNIX: an abstract name starts with a NUL byte */
} th_addr;

/* Room for any address as text, with its NUL. */
#define TH_ADDR_TEXT 128

/**
 * Reads an address from text.
 *
 * Understood are `tcp://HOST:PORT`, `HOST:PORT`, `unix:/path`, `unix://path` and `unix:@abstract`.
 * HOST is an IPv4 address, an IPv6 address in brackets, `localhost` (127.0.0.1), or `*` or nothing
 * for all addresses of IPv4. PORT is a decimal number up to 65535. Old forms of IPv4 addresses
 * (octal, short) are refused.
 *
 * @param text  the text; borrowed
 * @param addr  out: the address
 * @return 0; TH_EADDRESS with a detail that says what is wrong; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_addr_parse(const char *text, th_addr *addr);

/**
 * Writes an address as text that th_addr_parse() reads.
 *
 * That is `127.0.0.1:80`, `[::1]:80`, `unix:/path`, `unix:@name`; `unix:` stands for an unnamed
 * socket and `-` for none.
 *
 * @param addr  the address
 * @param text  out: the text, cut if there is no room, with a NUL unless size is 0
 * @param size  bytes at text; TH_ADDR_TEXT is always enough
 * @return text
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API char *th_addr_format(const th_addr *addr, char *text, size_t size);

/**
 * Compares two addresses.
 *
 * @param a  an address
 * @param b  another
 * @return 1 when both mean the same endpoint, else 0
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_addr_equal(const th_addr *a, const th_addr *b);

TH_END_DECLS

#endif
