/* SPDX-License-Identifier: MIT */

/* Counts handshakes, by role and by what became of them. */
#ifndef THI_TLS_TALLY_H
#define THI_TLS_TALLY_H

#include "base/metrics.h"

#include <openssl/ssl.h>
#include <stdbool.h>

/* Called once for each handshake that is complete. */
static inline void thi_tls_count_done(SSL *ssl)
{
    bool resumed = SSL_session_reused(ssl);
    if (SSL_is_server(ssl))
        thi_metric_add(resumed ? THI_M_TLS_SERVER_RESUMED : THI_M_TLS_SERVER_FULL, 1);
    else
        thi_metric_add(resumed ? THI_M_TLS_CLIENT_RESUMED : THI_M_TLS_CLIENT_FULL, 1);
}

/* Called once for each that has failed or was given up. */
static inline void thi_tls_count_failed(bool server)
{
    thi_metric_add(server ? THI_M_TLS_SERVER_FAILED : THI_M_TLS_CLIENT_FAILED, 1);
}

#endif
