/* SPDX-License-Identifier: MIT */

/* Starting and ending the HTTP server; its options and their defaults. */
#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "http/serve.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HEAD_MIN  1024
#define HEAD_MAX  (1024 * 1024)
#define TLS_STACK (64 * 1024)
#define TEXT_SIZE 1024 /* of an address: a path, and what it says of TLS */

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
}

/* What is needed where TLS is spoken. The field: RFC 6797, 6.1. */
static void prepare_tls(thi_http_service *service)
{
    th_http_opts *opts = &service->opts;
    /* A handshake takes more of a stack than most handlers do. */
    if (service->doors.contexts && opts->stack_size != 0)
        opts->stack_size = thi_max(opts->stack_size, (size_t)TLS_STACK);
    if (opts->hsts > 0)
        service->hsts_len = (size_t)snprintf(service->hsts, sizeof service->hsts,
                                             "Strict-Transport-Security: max-age=%" PRIu32 "\r\n",
                                             service->opts.hsts);
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
    return 0;
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
    err = thi_tls_doors_open(listeners, count, service.opts.tls, &service.doors);
    if (err < 0)
        return err;
    prepare_tls(&service);
    thi_server_plan plan = { .ops = &http_ops,
                             .data = &service,
                             .listeners = listeners,
                             .listener_count = count,
                             .has_tls = true,
                             .max_connections = service.opts.max_connections,
                             .max_per_peer = service.opts.max_per_peer,
                             .peer_bits4 = service.opts.peer_bits4,
                             .peer_bits6 = service.opts.peer_bits6,
                             .listening = service.opts.listening,
                             .listening_arg = service.opts.listening_arg };
    err = thi_server_run(&service.server, &plan);
    thi_tls_doors_close(&service.doors);
    return err;
}

/*
 * Listens at an address of ours. `https://` is what `tls://` is to other servers, parameters
 * included; without a scheme it is the context that says what is spoken.
 */
static int listen_at(const char *address, const th_http_opts *opts, th_listener **listener)
{
    static const char https[] = "https://";
    static const char tls[] = "tls://";
    th_listen_opts how = { .size = sizeof how };
    char text[TEXT_SIZE];
    if (opts && opts->listen)
        how = *opts->listen;
    if (strncmp(address, "http://", 7) == 0) {
        if (opts && opts->tls)
            return thi_err_set(-EINVAL, "'%.100s' and .tls: TLS is spoken at https://", address);
        return th_listen(address + 7, &how, listener);
    }
    if (strncmp(address, https, sizeof https - 1) == 0) {
        int len = snprintf(text, sizeof text, "%s%s", tls, address + sizeof https - 1);
        if (len < 0 || (size_t)len >= sizeof text)
            return thi_err_set(TH_EADDRESS, "'%.100s' is too long", address);
        return th_listen(text, &how, listener);
    }
    how.tls |= opts && opts->tls;
    return th_listen(address, &how, listener);
}

int th_http_serve(const char *address, th_http_handler handler, void *arg, const th_http_opts *opts)
{
    th_listener *listener = NULL;
    if (!address)
        return thi_err_clear(-EINVAL);
    int err = thi_sched_may_park();
    if (err < 0)
        return thi_err_clear(err);
    err = listen_at(address, opts, &listener);
    if (err < 0)
        return err;
    err = th_http_serve_on(&listener, 1, handler, arg, opts);
    th_listener_close(listener);
    return err;
}
