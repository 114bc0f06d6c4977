/* SPDX-License-Identifier: MIT */

/* One session, as the user holds it: what it was made with, and its form as bytes. */
#ifndef THI_TLS_SESSION_H
#define THI_TLS_SESSION_H

#include <thrum/tls_session.h>

#include <openssl/ssl.h>
#include <stdint.h>

/*
 * Makes a session of OpenSSL's, which it takes on success; of the context of that number, verified
 * for a name or address (NULL: for none). 0; -ENOMEM.
 */
TH_MUST int thi_tls_session_new(SSL_SESSION *state, uint64_t context, const char *name,
                                th_tls_session **session);

/* What it is of OpenSSL's, borrowed. */
SSL_SESSION *thi_tls_session_state(const th_tls_session *session);

/* Whether it may be used with a context, for a name: 0, or -EINVAL with the reason as detail. */
TH_MUST int thi_tls_session_fits(const th_tls_session *session, uint64_t context, const char *name);

/* Whether it is good for one connection only: 1.3. */
int thi_tls_session_is_once(const SSL_SESSION *state);

/* For how many nanoseconds more a session may be resumed, by its server's word and by its peer's
 * certificate; 0: no more. */
int64_t thi_tls_session_left(const SSL_SESSION *state);

/* As th_tls_session_import(), for the context of that number. */
TH_MUST int thi_tls_session_read(uint64_t context, const void *data, size_t size,
                                 th_tls_session **session);

#endif
