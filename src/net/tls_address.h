/* SPDX-License-Identifier: MIT */

/*
 * Addresses that ask for TLS: `tls://HOST:PORT` and `tls+ADDRESS`, with parameters behind a `?`.
 *
 * Where a connection goes and what is spoken on it are two things. A th_addr is the former; the
 * text may say the latter as well, so that a program takes both from one argument. Here the two are
 * parted; what the parameters mean is for src/tls to say.
 */
#ifndef THI_NET_TLS_ADDRESS_H
#define THI_NET_TLS_ADDRESS_H

#include <thrum/defs.h>

#include <stdbool.h>

#define THI_TLS_PLACE 320 /* bytes: schemes, the longest name or path, and a port */

/* Not to be copied: it points into itself. */
typedef struct thi_tls_address {
    const char *params;        /* in the text, behind its '?'; NULL: there are none */
    const char *place;         /* the address below: "HOST:PORT", "unix:/path", "systemd:NAME" */
    char shown[THI_TLS_PLACE]; /* the text without parameters */
} thi_tls_address;

/* Whether the text asks for TLS. */
bool thi_tls_address_means(const char *text);

/* Parts a text that does; 0, or TH_EADDRESS with a detail. */
TH_MUST int thi_tls_address_read(const char *text, thi_tls_address *address);

#endif
