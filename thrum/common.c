/* SPDX-License-Identifier: MIT */

/* Settings, start-up lines and the frame of the subcommands that run a server. */
#include "common.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Sockets that the process was given, and what is to be known of TLS, are found when it listens. */
static bool is_read_later(const char *address)
{
    static const char *const kinds[] = { "systemd:", "fd:", "tls://", "tls+" };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strncmp(address, kinds[i], strlen(kinds[i])) == 0)
            return true;
    return false;
}

const char *set_listen(void *settings, const char *value)
{
    server_settings *s = settings;
    th_addr addr;
    if (s->listen_count == LISTEN_MAX)
        return "at most 64 addresses are possible";
    if (!is_read_later(value) && th_addr_parse(value, &addr) < 0)
        return th_err_detail();
    s->listen[s->listen_count++] = value;
    return NULL;
}

const char *set_workers(void *settings, const char *value)
{
    long n;
    if (!options_number(value, 1, 1024, &n))
        return "must be a number from 1 to 1024";
    ((server_settings *)settings)->run.workers = (unsigned)n;
    return NULL;
}

const char *set_backend(void *settings, const char *value)
{
    static const char *const names[] = { "auto", "epoll", "uring", "poll", "select" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], value) == 0) {
            ((server_settings *)settings)->run.backend = value;
            return NULL;
        }
    }
    return "must be auto, epoll, uring, poll or select";
}

const char *set_quiet(void *settings, const char *value)
{
    (void)value;
    ((server_settings *)settings)->quiet = true;
    return NULL;
}

const char *set_tune(void *settings, const char *value)
{
    th_tune tune = { .size = sizeof tune };
    if (th_tune_parse(value, &tune) < 0)
        return th_err_detail();
    ((server_settings *)settings)->how.tune = value;
    return NULL;
}

const char *set_reuse_port(void *settings, const char *value)
{
    (void)value;
    ((server_settings *)settings)->how.reuse_port = 1;
    return NULL;
}

const char *set_proxy_protocol(void *settings, const char *value)
{
    int kind = TH_PROXY_NONE;
    if (strcmp(value, "required") == 0)
        kind = TH_PROXY_REQUIRED;
    else if (strcmp(value, "optional") == 0)
        kind = TH_PROXY_OPTIONAL;
    ((server_settings *)settings)->how.proxy_protocol = kind;
    return kind == TH_PROXY_NONE ? "must be required or optional" : NULL;
}

const char *set_proxy_from(void *settings, const char *value)
{
    ((server_settings *)settings)->how.proxy_from = value;
    return NULL;
}

const char *set_max_per_peer(void *settings, const char *value)
{
    long n;
    if (!options_number(value, 1, INT32_MAX, &n))
        return "must be a number above 0";
    ((server_settings *)settings)->max_per_peer = (uint32_t)n;
    return NULL;
}

static int open_listener(server_settings *s, const char *address)
{
    if (s->listener_count == LISTEN_MAX)
        return -E2BIG;
    int err = th_listen(address, &s->how, &s->listeners[s->listener_count]);
    if (err == 0)
        s->listener_count++;
    return err;
}

/* systemd may have passed several sockets of one name. */
static int open_more(server_settings *s, const char *address)
{
    int err;
    do {
        err = open_listener(s, address);
    } while (err == 0);
    return err == -ENOENT ? 0 : err;
}

int open_listeners(server_settings *s, const char *default_address)
{
    int err = 0;
    if (s->listen_count == 0)
        s->listen[s->listen_count++] = default_address;
    for (size_t i = 0; err == 0 && i < s->listen_count; i++) {
        err = open_listener(s, s->listen[i]);
        if (err == 0 && strncmp(s->listen[i], "systemd:", 8) == 0)
            err = open_more(s, s->listen[i]);
    }
    return err;
}

void close_listeners(server_settings *s)
{
    for (size_t i = 0; i < s->listener_count; i++)
        th_listener_close(s->listeners[i]);
}

void print_start(const server_settings *s, const char *const schemes[2], const char *what)
{
    th_run_info info;
    if (s->quiet || th_run_get_info(&info) < 0)
        return;
    printf("thrum %s: %s\n", TH_VERSION, what);
    for (size_t i = 0; i < s->listener_count; i++) {
        char text[TH_ADDR_TEXT];
        th_addr addr;
        const char *scheme = schemes[th_listener_is_tls(s->listeners[i]) == 1];
        th_listener_addr(s->listeners[i], &addr);
        th_addr_format(&addr, text, sizeof text);
        if (addr.kind == TH_ADDR_UNIX)
            printf("  listening on %s\n", text);
        else
            printf("  listening on %s%s%s\n", scheme, text, *scheme == 'h' ? "/" : "");
    }
    printf("  %u worker%s, back end %s (%s)\n", info.workers, info.workers == 1 ? "" : "s",
           info.backend, info.backend_why);
    printf("  stop with Ctrl-C or SIGTERM: what is in progress is finished first\n");
    fflush(stdout);
}

static void print_log(void *ctx, th_log_level level, th_str text)
{
    (void)ctx;
    fprintf(stderr, "thrum: %s: %.*s\n", th_log_level_name(level), (int)text.len, text.ptr);
}

void log_to_stderr(void)
{
    (void)!th_log_set_sink(print_log, NULL, TH_LOG_WARNING);
}

void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* The program's function with its settings, and what it said when it failed. */
typedef struct call {
    int (*app)(void *settings);
    void *settings;
    char detail[256];
} call;

static int call_app(void *arg)
{
    call *c = arg;
    int result = c->app(c->settings);
    snprintf(c->detail, sizeof c->detail, "%s", th_err_detail());
    return result;
}

int run_program(const char *name, int (*app)(void *settings), server_settings *settings)
{
    call c = { .app = app, .settings = settings };
    log_to_stderr();
    raise_descriptor_limit();
    int result = th_run(call_app, &c, &settings->run);
    if (result >= 0)
        return 0;
    if (result == -ECANCELED) {
        print_error("thrum %s: stopped before all that was in progress had ended", name);
        return 1;
    }
    const char *detail = *c.detail ? c.detail : th_err_detail();
    const char *code = th_strerror(result);
    size_t len = strlen(detail);
    size_t tail = strlen(code);
    if (len >= tail && strcmp(detail + len - tail, code) == 0)
        code = ""; /* the detail says it already */
    print_error("thrum %s: %s%s%s", name, detail, *detail && *code ? ": " : "", code);
    return 1;
}
