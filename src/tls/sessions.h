/* SPDX-License-Identifier: MIT */

/* The sessions of clients: a cache per destination, and single ones handed over by the user. */
#ifndef THI_TLS_SESSIONS_H
#define THI_TLS_SESSIONS_H

#include <thrum/tls_session.h>

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a client goes, as far as sessions are concerned. Borrowed for the call. */
typedef struct thi_tls_destination {
    uint64_t context;          /* of the snapshot: no two in a process have the same */
    const char *name;          /* the name or address that is verified; NULL: none is */
    const char *server_name;   /* as told to the server; NULL: none */
    uint16_t port;             /* 0 where there is none */
    const unsigned char *alpn; /* the protocols offered, in wire form */
    size_t alpn_len;
} thi_tls_destination;

/* Makes a client's SSL_CTX hand its sessions over; of those that want one, by the calls below. */
TH_MUST int thi_tls_sessions_attach(SSL_CTX *ctx);

/*
 * Before the handshake of a client: from now on its sessions are kept, and one of earlier is
 * offered to the server if there is one. `session` instead of one of the cache, if not NULL; then
 * -EINVAL with a detail when it was made with another context or for another name. sessions may be
 * NULL: nothing is kept but the last one, for thi_tls_session_of(). 0; -ENOMEM.
 */
TH_MUST int thi_tls_sessions_begin(SSL *ssl, const thi_tls_destination *to,
                                   th_tls_sessions *sessions, th_tls_session *session);

/* A handshake that an offered session was part of has failed: forgets those of the destination. */
void thi_tls_sessions_forget(SSL *ssl);

/*
 * The last session that the server gave. 0; -EAGAIN when none has come yet: of 1.3 they come with
 * what is read after the handshake; -EINVAL where thi_tls_sessions_begin() was not called; -ENOMEM.
 */
TH_MUST int thi_tls_session_of(SSL *ssl, th_tls_session **session);

/* As th_tls_session_import(), for a context of that number. */
TH_MUST int thi_tls_session_read(uint64_t context, const void *data, size_t size,
                                 th_tls_session **session);

#endif
