/* SPDX-License-Identifier: MIT */

/* The keys of tickets: three at a time, from memory, a file or a source. */
#ifndef THI_TLS_TICKET_KEYS_H
#define THI_TLS_TICKET_KEYS_H

#include "tls/ticket_set.h"

#include <stdbool.h>

/* What a key is to the present moment. */
typedef enum thi_ticket_age {
    THI_TICKET_UNKNOWN,  /* none of the three */
    THI_TICKET_PREVIOUS, /* its tickets are to be replaced */
    THI_TICKET_CURRENT,
    THI_TICKET_NEXT
} thi_ticket_age;

/* The key that makes tickets now. Rotates, and looks for others', when it is time. */
void thi_ticket_keys_current(th_tls_ticket_keys *keys, th_tls_ticket_key *key);

/* The key of that name. As above. */
thi_ticket_age thi_ticket_keys_find(th_tls_ticket_keys *keys, const unsigned char *name,
                                    th_tls_ticket_key *key);

static inline const unsigned char *thi_ticket_mac(const th_tls_ticket_key *key)
{
    return key->bytes + THI_TICKET_NAME;
}

static inline const unsigned char *thi_ticket_aes(const th_tls_ticket_key *key)
{
    return key->bytes + THI_TICKET_NAME + THI_TICKET_MAC;
}

/* Those of the process, in memory, for contexts that have none of their own; with a reference for
 * the caller. Made at the first call. 0; -ENOMEM. */
TH_MUST int thi_ticket_keys_default(th_tls_ticket_keys **keys);

#endif
