/* SPDX-License-Identifier: MIT */

/*
 * A program from start to end. Fibers of one scope write its input and read its output and its
 * errors; the caller's waits for them, then for the process. What fails cancels the rest.
 */
#include "io/process.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"

#include <thrum/error.h>
#include <thrum/fiber.h>

#include <errno.h>
#include <string.h>

#define PIECE (64 * 1024)

/* What is to be written. */
typedef struct feed {
    th_stream *to;
    const void *bytes;
    size_t size;
} feed;

/* What has been read. */
typedef struct collection {
    th_stream *from;
    size_t limit;
    char *bytes;
    size_t size;
    size_t room;
} collection;

/* Programs need not want all of it. */
static int write_input(void *arg)
{
    const feed *f = arg;
    ssize_t n = th_stream_write(f->to, f->bytes, f->size);
    (void)th_stream_close(f->to);
    return n < 0 && n != -EPIPE && n != -ECONNRESET ? (int)n : 0;
}

/* Room for one more byte than there is, for the NUL. */
static int make_room(collection *c)
{
    if (c->room - c->size > PIECE / 16)
        return 0;
    size_t room = thi_max(c->room * 2, (size_t)4096);
    char *bytes = thi_realloc(c->bytes, room);
    if (!bytes)
        return -ENOMEM;
    c->bytes = bytes;
    c->room = room;
    return 0;
}

static int collect(void *arg)
{
    collection *c = arg;
    for (;;) {
        int err = make_room(c);
        if (err < 0)
            return err;
        ssize_t n = th_stream_read(c->from, c->bytes + c->size,
                                   thi_min(c->room - c->size - 1, (size_t)PIECE));
        if (n == TH_EOF)
            return 0;
        if (n < 0)
            return (int)n;
        c->size += (size_t)n;
        if (c->limit > 0 && c->size > c->limit) {
            c->size = c->limit;
            return TH_ELIMIT;
        }
    }
}

static int spawn_all(th_scope *scope, th_process *p, feed *f, collection *out, collection *err)
{
    int result = 0;
    f->to = th_process_stdin(p);
    out->from = th_process_stdout(p);
    err->from = th_process_stderr(p);
    if (f->to && f->size > 0)
        result = th_spawn(scope, write_input, f);
    else if (f->to && f->to != out->from)
        (void)th_stream_close(f->to);
    if (result == 0 && out->from)
        result = th_spawn(scope, collect, out);
    if (result == 0 && err->from)
        result = th_spawn(scope, collect, err);
    return result;
}

/* What the scope around says comes before what it made the fibers return. */
static int talk(th_process *p, feed *f, collection *out, collection *err)
{
    th_scope scope;
    int result = th_scope_open(&scope, &(th_scope_opts){ .cancel_rest = 1 });
    if (result < 0)
        return result;
    int spawned = spawn_all(&scope, p, f, out, err);
    if (spawned < 0)
        (void)th_scope_cancel(&scope, 0);
    result = th_scope_close(&scope);
    return spawned < 0 ? spawned : result;
}

/* A stream that is not said to lead elsewhere is ours. */
static void choose(th_process_stdio *io, int kind)
{
    if (io->kind == TH_PROCESS_INHERIT)
        io->kind = kind;
}

static void hand_over(collection *c, char **bytes, size_t *size)
{
    if (c->bytes)
        c->bytes[c->size] = '\0';
    *bytes = c->bytes;
    *size = c->size;
}

int th_process_run(const th_process_opts *opts, const void *input, size_t size, size_t limit,
                   th_process_output *output)
{
    th_process *p = NULL;
    if (!output || !opts || opts->size > sizeof *opts || (!input && size > 0))
        return thi_err_clear(-EINVAL);
    th_process_opts o = *opts;
    choose(&o.in, size > 0 ? TH_PROCESS_PIPE : TH_PROCESS_NULL);
    choose(&o.out, TH_PROCESS_PIPE);
    choose(&o.err, TH_PROCESS_PIPE);
    *output = (th_process_output){ 0 };
    int err = th_check();
    if (err == 0)
        err = th_process_spawn(&o, &p);
    if (err < 0)
        return err;
    feed f = { .bytes = input, .size = size };
    collection out = { .limit = limit };
    collection errors = { .limit = limit };
    err = talk(p, &f, &out, &errors);
    if (err == 0)
        err = th_process_wait(p, NULL);
    th_process_close(p, &output->end);
    hand_over(&out, &output->out, &output->out_size);
    hand_over(&errors, &output->err, &output->err_size);
    return thi_err_clear(err);
}

void th_process_output_free(th_process_output *output)
{
    if (!output)
        return;
    thi_free(output->out);
    thi_free(output->err);
    *output = (th_process_output){ 0 };
}
