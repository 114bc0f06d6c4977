/* SPDX-License-Identifier: MIT */

/* th_main: a whole program as one fiber, with an exit status and a message when it fails. */
#include <thrum/error.h>
#include <thrum/runtime.h>

#include <errno.h>
#include <stdio.h>

typedef struct program {
    int (*app)(int argc, char **argv);
    int argc;
    char **argv;
    int called;
    char detail[256]; /* of the main fiber's failure, whose own goes with the fiber */
} program;

static int call_app(void *arg)
{
    program *p = arg;
    p->called = 1;
    int result = p->app(p->argc, p->argv);
    snprintf(p->detail, sizeof p->detail, "%s", th_err_detail());
    return result;
}

/*
 * The one place besides broken invariants and overflows where the library writes to standard error:
 * th_main stands in for main() itself.
 */
static int fail(const program *p, int err)
{
    const char *name = p->argc > 0 && p->argv[0] ? p->argv[0] : "program";
    const char *detail = p->called ? p->detail : th_err_detail();
    fprintf(stderr, "%s: %s%s%s%s\n", name, p->called ? "" : "cannot start: ", th_strerror(err),
            *detail ? ": " : "", detail);
    return 1;
}

int th_main(int (*app)(int argc, char **argv), int argc, char **argv, const th_run_opts *opts)
{
    program p = { .app = app, .argc = argc, .argv = argv };
    int result = app ? th_run(call_app, &p, opts) : -EINVAL;
    if (result < 0)
        return fail(&p, result);
    return result > 255 ? 255 : result;
}
