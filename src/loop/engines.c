/* SPDX-License-Identifier: MIT */

/*
 * The choice of a back end.
 *
 * epoll is the default: for small messages it ties with io_uring, and every kernel has it. What a
 * user asks for is tried by opening it once, because only the kernel knows whether a sandbox, a
 * sysctl or a memory limit refuses it; a refusal is no failure, but it is told.
 */
#include "loop/engines.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const thi_engine *const engines[] = {
    &thi_engine_epoll,
    &thi_engine_uring,
    &thi_engine_poll,
    &thi_engine_select,
};

static const thi_engine *find(const char *name)
{
    for (size_t i = 0; i < thi_array_len(engines); i++)
        if (strcmp(engines[i]->name, name) == 0)
            return engines[i];
    return NULL;
}

/* Opens and closes a loop on the engine. */
static int probe(const thi_engine *engine)
{
    thi_loop *loop = thi_calloc(1, sizeof *loop);
    if (!loop)
        return -ENOMEM;
    int err = thi_loop_open(loop, engine);
    if (err == 0)
        thi_loop_close(loop);
    thi_free(loop);
    return err;
}

static bool is_auto(const char *name)
{
    return !name || !*name || strcmp(name, "auto") == 0;
}

int thi_engine_choose(const char *name, thi_engine_choice *choice)
{
    const char *source = "asked for";
    if (is_auto(name)) {
        name = getenv("THRUM_BACKEND");
        source = "asked for by THRUM_BACKEND";
    }
    if (is_auto(name)) {
        choice->engine = &thi_engine_epoll;
        snprintf(choice->why, sizeof choice->why, "default");
        return 0;
    }
    const thi_engine *engine = find(name);
    if (!engine)
        return thi_err_set(-EINVAL,
                           "no back end is called '%.40s'; there are epoll, uring, poll, "
                           "select",
                           name);
    int err = probe(engine);
    if (err == 0) {
        choice->engine = engine;
        snprintf(choice->why, sizeof choice->why, "%s", source);
    } else {
        choice->engine = &thi_engine_epoll;
        snprintf(choice->why, sizeof choice->why, "%s was %s, but the system refuses it: %s",
                 engine->name, source, th_strerror(err));
    }
    return 0;
}
