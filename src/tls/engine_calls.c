/* SPDX-License-Identifier: MIT */

/*
 * The public calls on engines: checks of what the caller gives, around the engine's own steps.
 *
 * Such an engine may be used on any thread, also where no worker runs, and so it has a pool of its
 * own, which keeps nothing.
 */
#include "tls/engine.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"

#include <errno.h>

#define LIMIT_DEFAULT ((size_t)64 * 1024)

struct th_tls_engine {
    thi_tls_engine core;
    thi_bufpool pool;
    size_t in_limit;
};

static int check(const th_tls_engine_opts *opts)
{
    if (!opts)
        return 0;
    if (opts->size > sizeof *opts)
        return thi_err_set(-EINVAL, "th_tls_engine_opts of a later version");
    return thi_tls_engine_check(&opts->connection);
}

int th_tls_engine_new(struct th_tls *tls, int role, const th_tls_engine_opts *opts,
                      th_tls_engine **engine)
{
    if (!tls || !engine)
        return thi_err_clear(-EINVAL);
    if (role != TH_TLS_SERVER && role != TH_TLS_CLIENT)
        return thi_err_set(-EINVAL, "a role has to be chosen: TH_TLS_SERVER or TH_TLS_CLIENT");
    int err = check(opts);
    if (err < 0)
        return err;
    th_tls_engine *e = thi_calloc(1, sizeof *e);
    if (!e)
        return thi_err_clear(-ENOMEM);
    thi_bufpool_init(&e->pool);
    e->pool.keep = 0;
    thi_tls_config *config = thi_tls_config_of(tls);
    err = thi_tls_engine_init(&e->core, config, role == TH_TLS_SERVER,
                              opts ? &opts->connection : NULL, &e->pool);
    thi_tls_config_unref(config);
    if (err < 0) {
        thi_free(e);
        return err;
    }
    e->in_limit = opts && opts->in_limit > 0 ? opts->in_limit : LIMIT_DEFAULT;
    e->core.wire.out_limit = opts && opts->out_limit > 0 ? opts->out_limit : LIMIT_DEFAULT;
    *engine = e;
    return 0;
}

void th_tls_engine_free(th_tls_engine *engine)
{
    if (!engine)
        return;
    thi_tls_engine_deinit(&engine->core);
    thi_bufpool_deinit(&engine->pool);
    thi_free(engine);
}

/* ---- the network's side ---- */

ssize_t th_tls_engine_feed(th_tls_engine *engine, const void *buf, size_t size)
{
    if (!engine || (!buf && size > 0))
        return thi_err_clear(-EINVAL);
    if (engine->core.ended)
        return thi_err_clear(-EPIPE);
    size_t there = thi_buf_len(&engine->core.wire.in);
    size_t n = there < engine->in_limit ? thi_min(size, engine->in_limit - there) : 0;
    if (n == 0)
        return size > 0 ? thi_err_clear(-ENOBUFS) : 0;
    int err = thi_tls_engine_feed(&engine->core, buf, n);
    return err < 0 ? err : (ssize_t)n;
}

int th_tls_engine_feed_end(th_tls_engine *engine)
{
    if (!engine)
        return thi_err_clear(-EINVAL);
    engine->core.ended = true;
    return 0;
}

ssize_t th_tls_engine_take(th_tls_engine *engine, void *buf, size_t size)
{
    if (!engine || (!buf && size > 0))
        return thi_err_clear(-EINVAL);
    return (ssize_t)thi_buf_read(&engine->core.wire.out, buf, thi_min(size, (size_t)SSIZE_MAX));
}

size_t th_tls_engine_to_take(const th_tls_engine *engine)
{
    return engine ? thi_buf_len(&engine->core.wire.out) : 0;
}

/* ---- the user's side ---- */

int th_tls_engine_handshake(th_tls_engine *engine)
{
    return engine ? thi_tls_engine_handshake(&engine->core) : thi_err_clear(-EINVAL);
}

ssize_t th_tls_engine_read(th_tls_engine *engine, void *buf, size_t size)
{
    if (!engine || (!buf && size > 0))
        return thi_err_clear(-EINVAL);
    return size > 0 ? thi_tls_engine_read(&engine->core, buf, thi_min(size, (size_t)SSIZE_MAX)) : 0;
}

ssize_t th_tls_engine_peek(th_tls_engine *engine, void *buf, size_t size)
{
    if (!engine || (!buf && size > 0))
        return thi_err_clear(-EINVAL);
    return size > 0 ? thi_tls_engine_peek(&engine->core, buf, thi_min(size, (size_t)SSIZE_MAX)) : 0;
}

size_t th_tls_engine_pending(const th_tls_engine *engine)
{
    return engine ? (size_t)SSL_pending(engine->core.link.ssl) : 0;
}

ssize_t th_tls_engine_write(th_tls_engine *engine, const void *buf, size_t size)
{
    if (!engine || (!buf && size > 0))
        return thi_err_clear(-EINVAL);
    size = thi_min(size, (size_t)SSIZE_MAX);
    struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = size };
    return size > 0 ? thi_tls_engine_writev(&engine->core, &iov, 1, size) : 0;
}

int th_tls_engine_shutdown(th_tls_engine *engine)
{
    return engine ? thi_tls_engine_shutdown(&engine->core) : thi_err_clear(-EINVAL);
}

int th_tls_engine_set_closed(th_tls_engine *engine, int sent, int received)
{
    if (!engine)
        return thi_err_clear(-EINVAL);
    thi_tls_engine_set_closed(&engine->core, sent, received);
    return 0;
}

int th_tls_engine_info(th_tls_engine *engine, th_tls_info *info)
{
    return engine && info ? thi_tls_engine_info(&engine->core, info) : thi_err_clear(-EINVAL);
}

ssize_t th_tls_engine_cert(th_tls_engine *engine, int chain, size_t at, void *buf, size_t size)
{
    return engine ? thi_tls_engine_cert(&engine->core, chain, at, buf, size)
                  : thi_err_clear(-EINVAL);
}

int th_tls_engine_session(th_tls_engine *engine, struct th_tls_session **session)
{
    return engine && session ? thi_tls_engine_session(&engine->core, session)
                             : thi_err_clear(-EINVAL);
}
