/* SPDX-License-Identifier: MIT */

/* Tickets of a server: what OpenSSL is told to make them with. */
#ifndef THI_TLS_TICKETS_H
#define THI_TLS_TICKETS_H

#include "tls/ticket_keys.h"

#include <openssl/ssl.h>
#include <stdint.h>

typedef struct thi_tls_ticket_rules {
    int count;            /* sent after a full handshake of 1.3, from 0 (no tickets at all) to
                             THI_TLS_TICKETS_MAX */
    int64_t session_time; /* ns that a session may be resumed, 1 s to 7 days */
    const void *id;       /* what sessions belong to: one of another id is not resumed */
    size_t id_size;       /* 1 to 32 bytes */
} thi_tls_ticket_rules;

#define THI_TLS_TICKETS_MAX 16
#define THI_TLS_SESSION_MAX (7 * 24 * 3600 * INT64_C(1000000000))

/*
 * Makes a server's SSL_CTX give and take stateless tickets with the keys, of which it takes a
 * reference, and keep no sessions. A context that is switched to for a server name has to have this
 * as well, and its keys count. 0; -EINVAL for rules outside their bounds; -ENOMEM.
 */
TH_MUST int thi_tls_tickets_attach(SSL_CTX *ctx, th_tls_ticket_keys *keys,
                                   const thi_tls_ticket_rules *rules);

#endif
