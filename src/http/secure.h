/* SPDX-License-Identifier: MIT */

/* What a connection over TLS does otherwise: how it begins, how it goes idle, how it ends. */
#ifndef THI_HTTP_SECURE_H
#define THI_HTTP_SECURE_H

#include "http/conn.h"

/*
 * Looks at the first byte of a new connection: 1 when it begins TLS, or anything else but words;
 * 0 when it begins plain HTTP; or an error. Takes nothing.
 */
TH_MUST int thi_http_secure_look(thi_http_conn *conn);

/*
 * Agrees on TLS; conn->stream carries messages then. 0; an error, after which the connection can
 * only be closed: it has been counted and told to the log.
 */
TH_MUST int thi_http_secure_begin(thi_http_conn *conn);

/*
 * Whether something has arrived, when no input is left: what has is read into the input. False: the
 * connection may wait without a fiber. An error is found again by the next read.
 */
TH_MUST bool thi_http_secure_has_arrival(thi_http_conn *conn);

/* The same, though nothing is known to have arrived. */
TH_MUST bool thi_http_secure_look_again(thi_http_conn *conn);

/* Notes whether what was read last had come before the handshake was complete. */
void thi_http_secure_note_read(thi_http_conn *conn);

/* Waits until the handshake is complete: then nothing is early any more. 0 or an error. */
TH_MUST int thi_http_secure_complete(thi_http_conn *conn);

/* Whether the present request came before that, and it still is not. */
bool thi_http_secure_is_early(const thi_http_conn *conn);

/* Of an output that is sealed, bytes: what a small answer becomes. */
#define THI_HTTP_SEALED ((size_t)THI_OUTBOX_ENTRY)

/*
 * Makes TLS of what was gathered, in its place, so that it can leave by the outbox: at most
 * THI_HTTP_SEALED - 256 bytes. False: it has to be flushed.
 */
TH_MUST bool thi_http_secure_seal(thi_http_conn *conn);

/* Sends what TLS has made by itself, or of an answer that was not sealed. 0 or an error. */
TH_MUST int thi_http_secure_flush(thi_http_conn *conn);

/* Adds to a record for the log what was agreed on; of a connection over TLS. */
void thi_http_secure_tell(const thi_http_conn *conn, th_http_record *record);

/*
 * Says to the client that nothing more comes, and waits for no answer, only until the socket takes
 * that. No-op for a connection that has failed.
 */
void thi_http_secure_end(thi_http_conn *conn);

/* Frees the stream. No-op without TLS. */
void thi_http_secure_free(thi_http_conn *conn);

#endif
