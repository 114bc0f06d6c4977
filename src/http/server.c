/* SPDX-License-Identifier: MIT */

/* Starting and ending the HTTP server; its options and their defaults. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "http/serve.h"
#include "tls/context.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HEAD_MIN  1024
#define HEAD_MAX  (1024 * 1024)
#define TLS_STACK (64 * 1024)

static int begin_part(thi_server_part *part)
{
    thi_http_part *own = thi_calloc(1, sizeof *own);
    if (!own)
        return -ENOMEM;
    thi_http_serve_begin(own);
    part->user = own;
    return 0;
}

static void end_part(thi_server_part *part)
{
    thi_http_part *own = part->user;
    thi_http_outbox_deinit(&own->outbox);
    thi_http_part_clear(own);
    thi_free(own);
}

static const thi_server_ops http_ops = {
    .begin = begin_part,
    .end = end_part,
    .arrived = thi_http_serve_new,
    .stopping = thi_http_serve_close_idle,
    .abort = thi_http_serve_close_all,
};

static void fill_in_defaults(th_http_opts *opts)
{
    opts->head_size = opts->head_size ? opts->head_size : 16 * 1024;
    opts->head_count = opts->head_count ? opts->head_count : 100;
    opts->target_size = opts->target_size ? opts->target_size : 8 * 1024;
    opts->body_size = opts->body_size ? opts->body_size : 16 * 1024 * 1024;
    opts->head_time = opts->head_time ? opts->head_time : 10 * TH_SECOND;
    opts->idle_time = opts->idle_time ? opts->idle_time : 60 * TH_SECOND;
    opts->min_rate = opts->min_rate ? opts->min_rate : 240;
    /* A handshake takes more of a stack than most handlers do. */
    if (opts->tls && opts->stack_size != 0)
        opts->stack_size = thi_max(opts->stack_size, (size_t)TLS_STACK);
}

/* RFC 6797, 6.1. */
static void prepare_hsts(thi_http_service *service)
{
    if (service->opts.tls && service->opts.hsts > 0)
        service->hsts_len = (size_t)snprintf(service->hsts, sizeof service->hsts,
                                             "Strict-Transport-Security: max-age=%" PRIu32 "\r\n",
                                             service->opts.hsts);
}

/* Better told at the start than with each connection. */
static int check_tls(const th_tls *tls)
{
    thi_tls_config *config = thi_tls_config_of(tls);
    bool can_serve = config->server || config->hooks.choose;
    thi_tls_config_unref(config);
    return can_serve ? 0 : thi_err_set(-EINVAL, "the TLS context has no certificate to show");
}

static int check_opts(const th_http_opts *opts)
{
    if (opts->size > sizeof *opts || opts->head_time < 0 || opts->idle_time < 0 ||
        opts->body_size < -1 || thi_stack_class(opts->stack_size) < 0)
        return thi_err_clear(-EINVAL);
    if (opts->head_size != 0 && (opts->head_size < HEAD_MIN || opts->head_size > HEAD_MAX))
        return thi_err_set(-EINVAL, "head_size must be %d to %d bytes", HEAD_MIN, HEAD_MAX);
    if (opts->head_count > 10000)
        return thi_err_set(-EINVAL, "head_count must be at most 10000");
    return opts->tls ? check_tls(opts->tls) : 0;
}

int th_http_serve_on(th_listener *const *listeners, size_t count, th_http_handler handler,
                     void *arg, const th_http_opts *opts)
{
    if (!handler)
        return thi_err_clear(-EINVAL);
    if (!thi_sched_self())
        return thi_err_clear(-EPERM);
    int err = opts ? check_opts(opts) : 0;
    if (err < 0)
        return err;
    thi_http_service service = { .handler = handler, .arg = arg };
    if (opts)
        service.opts = *opts;
    fill_in_defaults(&service.opts);
    prepare_hsts(&service);
    th_tls_ref(service.opts.tls);
    thi_server_plan plan = { .ops = &http_ops,
                             .data = &service,
                             .listeners = listeners,
                             .listener_count = count,
                             .max_connections = service.opts.max_connections,
                             .max_per_peer = service.opts.max_per_peer,
                             .peer_bits4 = service.opts.peer_bits4,
                             .peer_bits6 = service.opts.peer_bits6,
                             .listening = service.opts.listening,
                             .listening_arg = service.opts.listening_arg };
    err = thi_server_run(&service.server, &plan);
    th_tls_unref(service.opts.tls);
    return err;
}

/* Takes the scheme off an address; what it says has to be what the options say. */
static int check_scheme(const char **address, bool tls)
{
    if (strncmp(*address, "http://", 7) == 0) {
        if (tls)
            return thi_err_set(-EINVAL, "http:// is without TLS; write https://, or leave .tls");
        *address += 7;
    } else if (strncmp(*address, "https://", 8) == 0) {
        if (!tls)
            return thi_err_set(-EINVAL,
                               "https:// needs a certificate: set .tls (th_tls_new()), or make one "
                               "with `thrum cert dev`");
        *address += 8;
    }
    return 0;
}

int th_http_serve(const char *address, th_http_handler handler, void *arg, const th_http_opts *opts)
{
    th_listener *listener;
    if (!address)
        return thi_err_clear(-EINVAL);
    int err = thi_sched_may_park();
    if (err < 0)
        return thi_err_clear(err);
    err = check_scheme(&address, opts && opts->tls);
    if (err < 0)
        return err;
    err = th_listen(address, opts ? opts->listen : NULL, &listener);
    if (err < 0)
        return err;
    err = th_http_serve_on(&listener, 1, handler, arg, opts);
    th_listener_close(listener);
    return err;
}
