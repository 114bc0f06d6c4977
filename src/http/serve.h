/* SPDX-License-Identifier: MIT */

/* The life of a connection: from its arrival through its requests to its end. */
#ifndef THI_HTTP_SERVE_H
#define THI_HTTP_SERVE_H

#include "http/conn.h"

/* Prepares a part for its connections. */
void thi_http_serve_begin(thi_http_part *part);

/* Takes a new connection of the part; -errno leaves the descriptor to the caller. */
TH_MUST int thi_http_serve_new(thi_server_part *part, const thi_arrival *arrival);

/* Closes connections that wait for a request. */
void thi_http_serve_close_idle(thi_server_part *part);

/* Closes all connections; requests in progress fail. */
void thi_http_serve_close_all(thi_server_part *part);

#endif
