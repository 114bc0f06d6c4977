/* SPDX-License-Identifier: MIT */

/* The sessions of clients: of a connection, and the cache of many by destination. */
#ifndef THI_TLS_SESSIONS_H
#define THI_TLS_SESSIONS_H

#include <thrum/tls_session.h>

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a client goes, as far as sessions are concerned. Borrowed for the call. */
typedef struct thi_tls_destination {
    const char *name;          /* the name or address that is verified; NULL: none is */
    bool insecure;             /* whoever is there is believed */
    const char *server_name;   /* as told to the server; NULL: none */
    uint16_t port;             /* 0 where there is none */
    const unsigned char *alpn; /* the protocols offered, in wire form */
    size_t alpn_len;
} thi_tls_destination;

/*
 * Makes a client's SSL_CTX hand its sessions over: of the connections that began as below. It gets
 * a number that no other in the process has or will have, by which its sessions are told from those
 * of others. 0; -ENOMEM.
 */
TH_MUST int thi_tls_sessions_attach(SSL_CTX *ctx);

/* That number, which is even; 0 for one that was not attached. What was found when nothing was
 * verified has the odd number behind it. */
uint64_t thi_tls_sessions_number(const SSL_CTX *ctx);

/*
 * Before the handshake of a client: from now on its sessions are kept, and one of earlier is
 * offered to the server if there is one; `session` instead of one of the cache, if not NULL: then
 * -EINVAL with a detail when it was made with another context or for another name. sessions may be
 * NULL: nothing is kept but the last one, for thi_tls_session_of(). 0; -ENOMEM.
 */
TH_MUST int thi_tls_sessions_begin(SSL *ssl, const thi_tls_destination *to,
                                   th_tls_sessions *sessions, th_tls_session *session);

/* After a handshake that failed: forgets what is kept of its destination. */
void thi_tls_sessions_forget(SSL *ssl);

/*
 * The last session that the server gave. 0; -EAGAIN when none has come yet: of 1.3 they come with
 * what is read after the handshake; -EINVAL where thi_tls_sessions_begin() was not called; -ENOMEM.
 */
TH_MUST int thi_tls_session_of(SSL *ssl, th_tls_session **session);

#endif
