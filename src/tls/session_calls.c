/* SPDX-License-Identifier: MIT */

/* Sessions and early data of streams, engines and contexts, as the user asks for them. */
#include "tls/engine_early.h"
#include "tls/session.h"
#include "tls/sessions.h"
#include "tls/stream.h"

#include <thrum/tls_session.h>

#include <errno.h>

int th_tls_was_early(th_stream *stream)
{
    const thi_tls_engine *engine = stream ? thi_tls_stream_engine(stream) : NULL;
    if (!engine)
        return thi_err_clear(-EINVAL);
    return engine->early && engine->early->last;
}

int th_tls_session_import(struct th_tls *tls, const void *data, size_t size,
                          th_tls_session **session)
{
    if (!tls || !data || !session)
        return thi_err_clear(-EINVAL);
    thi_tls_config *config = thi_tls_config_of(tls);
    uint64_t context = thi_tls_sessions_number(config->client);
    thi_tls_config_unref(config);
    return thi_tls_session_read(context, data, size, session);
}
