/* SPDX-License-Identifier: MIT */

/* The cache of a client's sessions: bounded, by destination, for any thread. */
#ifndef THI_TLS_SESSIONS_CACHE_H
#define THI_TLS_SESSIONS_CACHE_H

#include <thrum/str.h>
#include <thrum/tls_session.h>

#include <openssl/ssl.h>

/*
 * Keeps a session, which it takes in any case, for the destination of that name. Does nothing but
 * free it when there is no memory, or when the session cannot be resumed.
 */
void thi_sessions_put(th_tls_sessions *sessions, th_str destination, SSL_SESSION *session);

/* The session for a destination that came last, for the caller alone; NULL: none. One of TLS 1.3 is
 * not there any more afterwards. */
SSL_SESSION *thi_sessions_get(th_tls_sessions *sessions, th_str destination);

/* Forgets all of one destination. */
void thi_sessions_drop(th_tls_sessions *sessions, th_str destination);

#endif
