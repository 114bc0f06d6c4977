/* SPDX-License-Identifier: MIT */

/* th_main: a whole program as one fiber, with an exit status and a message when it fails. */
#include <thrum/error.h>
#include <thrum/runtime.h>

#include "base/error.h"
#include "runtime/points.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

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

static const char *name_of(const program *p)
{
    return p->argc > 0 && p->argv[0] ? p->argv[0] : "program";
}

/*
 * The one place besides broken invariants and overflows where the library writes to standard error:
 * th_main stands in for main() itself.
 */
static int fail(const program *p, int err)
{
    const char *name = name_of(p);
    const char *detail = p->called ? p->detail : th_err_detail();
    fprintf(stderr, "%s: %s%s%s%s\n", name, p->called ? "" : "cannot start: ", th_strerror(err),
            *detail ? ": " : "", detail);
    return 1;
}

/* The number that THRUM_CANCEL_AT has. */
static int parse_cancel_at(const char *text, uint64_t *n)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *end || *text < '0' || *text > '9')
        return thi_err_set(-EINVAL, "THRUM_CANCEL_AT is '%.40s', not a number", text);
    *n = value;
    return 0;
}

/* A run of a test, in which one wait is cancelled. */
static int run_cancelled(program *p, const th_run_opts *given, const char *at)
{
    uint64_t waits = 0;
    th_run_opts opts = given ? *given : (th_run_opts){ 0 };
    opts.waits = &waits;
    int result = parse_cancel_at(at, &opts.cancel_at);
    if (result < 0)
        return result;
    thi_leftovers before = thi_points_leftovers();
    result = th_run(call_app, p, &opts);
    thi_leftovers after = thi_points_leftovers();
    if (opts.cancel_at > 0 && opts.cancel_at <= waits)
        fprintf(stderr, "%s: cancelled at wait %" PRIu64 " of %" PRIu64, name_of(p), opts.cancel_at,
                waits);
    else
        fprintf(stderr, "%s: %" PRIu64 " waits, not cancelled", name_of(p), waits);
    fprintf(stderr, "; left: %d descriptors, %" PRId64 " allocations\n",
            after.descriptors - before.descriptors, after.allocations - before.allocations);
    return result;
}

int th_main(int (*app)(int argc, char **argv), int argc, char **argv, const th_run_opts *opts)
{
    program p = { .app = app, .argc = argc, .argv = argv };
    const char *cancel_at = getenv("THRUM_CANCEL_AT");
    bool wrong = !app || (opts && opts->size > sizeof *opts);
    int result = -EINVAL;
    if (cancel_at && !wrong)
        result = run_cancelled(&p, opts, cancel_at);
    else if (app)
        result = th_run(call_app, &p, opts);
    if (result < 0)
        return fail(&p, result);
    return result > 255 ? 255 : result;
}
