/* SPDX-License-Identifier: MIT */

/* thrum serve: files of a folder, or the built-in site, over HTTP. */
#include "builtin_site.h"
#include "commands.h"
#include "common.h"
#include "serve_tls.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_ADDRESS     "127.0.0.1:8080"
#define DEFAULT_TLS_ADDRESS "127.0.0.1:8443"

typedef enum log_kind { LOG_COMMON, LOG_JSON, LOG_OFF } log_kind;

typedef struct serve_settings {
    tls_settings tls; /* first: the common options set it */
    const char *dir;
    log_kind log;
    bool log_chosen;
    th_http_site_opts site;
    bool metrics;
    th_access_log *access_log;
} serve_settings;

static const char *set_log(void *settings, const char *value)
{
    static const char *const names[] = { "common", "json", "off" };
    serve_settings *s = settings;
    for (int i = 0; i < 3; i++) {
        if (strcmp(names[i], value) == 0) {
            s->log = (log_kind)i;
            s->log_chosen = true;
            return NULL;
        }
    }
    return "must be common, json or off";
}

static const char *set_listing(void *settings, const char *value)
{
    (void)value;
    ((serve_settings *)settings)->site.listing = 1;
    return NULL;
}

static const char *set_symlinks(void *settings, const char *value)
{
    (void)value;
    ((serve_settings *)settings)->site.follow_symlinks = 1;
    return NULL;
}

static const char *set_no_metrics(void *settings, const char *value)
{
    (void)value;
    ((serve_settings *)settings)->metrics = false;
    return NULL;
}

static const char *set_dir(void *settings, const char *text)
{
    serve_settings *s = settings;
    if (s->dir)
        return "only one folder can be served";
    if (!*text)
        return "no folder has an empty name";
    s->dir = text;
    return NULL;
}

static const option options[] = {
    SERVER_OPTIONS(DEFAULT_ADDRESS),
    TLS_OPTIONS,
    { "access-log", "KIND", "common, json or off, on standard output; common", set_log },
    { "listing", NULL, "list folders without an index file", set_listing },
    { "follow-symlinks", NULL, "follow symbolic links, but never out of DIR", set_symlinks },
    { "no-metrics", NULL, "do not answer /metrics", set_no_metrics },
    { NULL, NULL, NULL, NULL },
};

const command serve_command = {
    .name = "serve",
    .arguments = "[DIR]",
    .purpose = "Serves the files of a folder over HTTP or HTTPS, or a built-in site.",
    .details = "/metrics answers with the counters of the process, for Prometheus.\n"
               "SIGTERM and Ctrl-C stop it when requests in progress are answered.\n"
               "Over TLS, certificates are read again at SIGHUP and when their files change.\n",
    .options = options,
    .argument = set_dir,
};

/* What to serve, as routes. */
static int add_routes(serve_settings *s, th_http_router *router, th_http_site *site)
{
    int err = 0;
    if (s->metrics)
        err = th_http_router_add(router, "GET", "/metrics", th_metrics_handle, NULL);
    if (err == 0 && site)
        err = th_http_router_add(router, "*", "/*path", th_http_site_handle, site);
    else if (err == 0)
        err = th_http_router_add(router, "GET", "/", builtin_site_handle, &s->metrics);
    return err;
}

static int serve_routes(serve_settings *s, th_http_router *router)
{
    server_settings *server = &s->tls.server;
    th_http_opts opts = { .size = sizeof opts,
                          .max_per_peer = server->max_per_peer,
                          .tls = s->tls.tls,
                          .hsts = s->tls.hsts };
    if (s->access_log) {
        opts.log = th_access_log_record;
        opts.log_arg = s->access_log;
    }
    return th_http_serve_on(server->listeners, server->listener_count, th_http_router_handle,
                            router, &opts);
}

static int run(void *arg)
{
    serve_settings *s = arg;
    server_settings *server = &s->tls.server;
    th_http_router *router = NULL;
    th_http_site *site = NULL;
    char what[300];
    int err = s->dir ? th_http_site_new(s->dir, &s->site, &site) : 0;
    if (err == 0)
        err = th_http_router_new(&router);
    if (err == 0)
        err = add_routes(s, router, site);
    if (err == 0)
        err = open_tls(&s->tls);
    if (err == 0)
        err = open_listeners(server, s->tls.tls_on ? DEFAULT_TLS_ADDRESS : DEFAULT_ADDRESS);
    if (err == 0)
        err =
            start_renewing_tls(&s->tls); /* before anybody is told that it runs, and sends SIGHUP */
    if (err == 0) {
        snprintf(what, sizeof what, "serving %s", s->dir ? s->dir : "the built-in site");
        print_start(server, (const char *const[]){ "http://", "https://" }, what);
        print_tls(&s->tls);
        err = serve_routes(s, router);
    }
    stop_renewing_tls(&s->tls);
    close_listeners(server);
    close_tls(&s->tls);
    th_http_router_free(router);
    th_http_site_free(site);
    return err;
}

int serve_main(int argc, char **argv)
{
    serve_settings s = { .log = LOG_COMMON, .metrics = true };
    int status = options_read(&serve_command, argc, argv, &s);
    if (status >= 0)
        return status;
    const char *wrong = check_tls(&s.tls);
    if (wrong) {
        print_error("thrum serve: %s (see thrum serve --help)", wrong);
        return 2;
    }
    if (s.tls.server.quiet && !s.log_chosen)
        s.log = LOG_OFF;
    if (s.log != LOG_OFF) {
        th_access_log_format format = s.log == LOG_JSON ? TH_ACCESS_LOG_JSON : TH_ACCESS_LOG_COMMON;
        int err = th_access_log_open(STDOUT_FILENO, format, &s.access_log);
        if (err < 0) {
            print_error("thrum serve: no access log: %s", th_strerror(err));
            return 1;
        }
    }
    status = run_program("serve", run, &s.tls.server);
    th_access_log_close(s.access_log);
    return status;
}
