/* SPDX-License-Identifier: MIT */

/*
 * A server of files and routes for tests: `files_probe ROOT [OPTION...] [name=value...]`.
 *
 * It serves ROOT at "/" and, by a route, below "/files/". The options are the fields of
 * th_http_site_opts, and what the system shall answer to openat2: ENOSYS or EPERM. Below "/routes/"
 * are routes that tell which of them was chosen.
 */
#include "settings.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static const char *const routes[][2] = {
    { "GET", "/routes/plain" },   { "POST", "/routes/plain" },   { "GET", "/routes/:a" },
    { "DELETE", "/routes/:a" },   { "GET", "/routes/:a/:b" },    { "GET", "/routes/:a/*rest" },
    { "*", "/routes/any/thing" }, { "PUT", "/routes/put/only" }, { "BREW", "/routes/tea pot" },
};

static settings set;
static const char *root;
static th_http_site_opts site_opts;

/* Answers with the route's method and pattern and what its parameters stand for. */
static int tell_route(th_http_request *q, th_http_reply *r, void *arg)
{
    static const char *const names[] = { "a", "b", "rest", "none" };
    const char *const *route = arg;
    th_arena *arena = th_http_request_arena(q);
    char *text = th_arena_printf(arena, "%s %s", route[0], route[1]);
    for (size_t i = 0; text && i < sizeof names / sizeof *names; i++) {
        th_str value = th_http_request_param(q, names[i]);
        if (value.ptr)
            text = th_arena_printf(arena, "%s %s=%.*s", text, names[i], (int)value.len, value.ptr);
    }
    return text ? th_http_reply_text(r, 200, text) : -ENOMEM;
}

static int add_routes(th_http_router *router, th_http_site *site)
{
    int err = th_http_router_add(router, "GET", "/*path", th_http_site_handle, site);
    if (err == 0)
        err = th_http_router_add(router, "*", "/files/*path", th_http_site_handle, site);
    for (size_t i = 0; err == 0 && i < sizeof routes / sizeof *routes; i++)
        err = th_http_router_add(router, routes[i][0], routes[i][1], tell_route,
                                 (void *)(uintptr_t)routes[i]);
    return err;
}

static int app(void *arg)
{
    (void)arg;
    th_http_router *router = NULL;
    th_http_site *site = NULL;
    int err = th_http_router_new(&router);
    if (err == 0)
        err = th_http_site_new(root, &site_opts, &site);
    if (err < 0)
        fprintf(stderr, "%s\n", th_err_detail());
    if (err == 0)
        err = add_routes(router, site);
    if (err == 0)
        err = settings_listen(&set);
    if (err == 0)
        err = th_http_serve_on(set.listeners, set.listen_count, th_http_router_handle, router,
                               &set.http);
    th_http_site_free(site);
    th_http_router_free(router);
    return err;
}

/* From now on the kernel has no openat2. */
static void refuse_openat2(int number)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)number),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
        perror("seccomp");
        exit(77);
    }
}

/* Reads an option of the site, or says that it is none. */
static bool read_option(const char *text)
{
    if (strcmp(text, "listing") == 0)
        site_opts.listing = 1;
    else if (strcmp(text, "follow_symlinks") == 0)
        site_opts.follow_symlinks = 1;
    else if (strcmp(text, "dot_files") == 0)
        site_opts.dot_files = 1;
    else if (strncmp(text, "index=", 6) == 0)
        site_opts.index = text + 6;
    else if (strcmp(text, "ENOSYS") == 0)
        refuse_openat2(ENOSYS);
    else if (strcmp(text, "EPERM") == 0)
        refuse_openat2(EPERM);
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    int left = 1;
    if (argc < 2)
        return 2;
    root = argv[1];
    for (int i = 2; i < argc; i++)
        if (!read_option(argv[i]))
            argv[left++] = argv[i];
    settings_read(&set, left, argv);
    return settings_run(&set, app);
}
