/* SPDX-License-Identifier: MIT */

/* What a client of TLS needs to know of an address: where, with which context, as whom. */
#ifndef THI_TLS_TARGET_H
#define THI_TLS_TARGET_H

#include "net/tls_address.h"

#include <thrum/dial.h>
#include <thrum/tls.h>

#define THI_TLS_NAME 256 /* bytes: the longest name of a host, with its NUL */

typedef struct thi_tls_target {
    th_tls *tls;
    thi_tls_address address;
    char name[THI_TLS_NAME]; /* that the certificate must be for; "": none is known */
} thi_tls_target;

/* The host in "HOST:PORT" or "tcp://HOST:PORT", as a view: without brackets, zone and final dot;
 * empty when there is none. */
th_str thi_tls_host_of(const char *place);

/*
 * Reads an address that asks for TLS, and the options of TLS beside it. 0; TH_EADDRESS, -EINVAL or
 * -ENOMEM with a detail; as th_tls_new() for a context that the address describes. Suspends when
 * one has to be built.
 */
TH_MUST int thi_tls_target_open(const char *address, const th_dial_opts *opts,
                                thi_tls_target *target);

void thi_tls_target_close(thi_tls_target *target);

/* The same as NULL where no name is known. */
static inline const char *thi_tls_target_name(const thi_tls_target *target)
{
    return *target->name ? target->name : NULL;
}

#endif
