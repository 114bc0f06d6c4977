/* SPDX-License-Identifier: MIT */

/* The public calls of the event trace: the clock that it tells times by, and the file. */
#include "runtime/trace.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "base/trace.h"
#include "base/util.h"
#include "runtime/worker.h"
#include "sys/symbolize.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVENTS_DEFAULT ((size_t)1 << 16)
#define EVENTS_MAX     ((size_t)1 << 24)

/* Of the thread that records: a simulation tells its own time. */
static int64_t clock_of_thread(void)
{
    return thi_sys_clock();
}

int th_trace_start(const th_trace_opts *opts)
{
    size_t wanted = opts && opts->events ? opts->events : EVENTS_DEFAULT;
    if ((opts && opts->size > sizeof *opts) || wanted > EVENTS_MAX)
        return (int)thi_err_clear(-EINVAL);
    size_t events = 2;
    while (events < wanted)
        events *= 2;
    return (int)thi_err_plain(thi_trace_on(clock_of_thread, events));
}

int th_trace_stop(void)
{
    return (int)thi_err_plain(thi_trace_off());
}

int th_trace_mark(const char *text, int64_t since)
{
    union {
        char text[16];
        struct {
            uint64_t channel;
            uint64_t function;
        } words;
    } kept = { { 0 } };
    if (!text)
        return (int)thi_err_clear(-EINVAL);
    if (!thi_trace_is_enlisted())
        return (int)thi_err_clear(-EPERM);
    int64_t now = thi_trace_begin();
    memcpy(kept.text, text, strnlen(text, sizeof kept.text));
    if (now != 0)
        thi_trace_record_until(since != 0 ? since : now, now, TH_TRACE_MARK, kept.words.channel, 0,
                               kept.words.function);
    return 0;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* A file that is written in pieces; the first failure stays. */
typedef struct output {
    int fd;
    int err;
    size_t fill;
    char buf[1 << 15];
} output;

static void flush(output *out)
{
    size_t done = 0;
    while (out->err == 0 && done < out->fill) {
        ssize_t n = thi_sys_write(out->fd, out->buf + done, out->fill - done);
        if (n <= 0)
            out->err = n < 0 ? (int)n : -EIO;
        else
            done += (size_t)n;
    }
    out->fill = 0;
}

static void put(output *out, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        size_t piece = thi_min(size, sizeof out->buf - out->fill);
        memcpy(out->buf + out->fill, at, piece);
        out->fill += piece;
        at += piece;
        size -= piece;
        if (out->fill == sizeof out->buf)
            flush(out);
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool has_function(const th_trace_record *r)
{
    return r->function != 0 && r->kind != TH_TRACE_MARK;
}

/* All functions that occur, each once; NULL without memory. */
static uint64_t *collect_functions(const thi_trace_copy *copies, size_t *count)
{
    size_t all = 0;
    for (const thi_trace_copy *c = copies; c; c = c->next)
        all += c->ring.count;
    uint64_t *functions = thi_calloc(all + 1, sizeof *functions);
    *count = 0;
    if (!functions)
        return NULL;
    for (const thi_trace_copy *c = copies; c; c = c->next)
        for (uint64_t i = 0; i < c->ring.count; i++)
            if (has_function(&c->records[i]))
                functions[(*count)++] = c->records[i].function;
    if (*count == 0)
        return functions;
    qsort(functions, *count, sizeof *functions, compare);
    size_t kept = 1;
    for (size_t i = 1; i < *count; i++)
        if (functions[i] != functions[kept - 1])
            functions[kept++] = functions[i];
    *count = kept;
    return functions;
}

static void put_all(output *out, const thi_trace_copy *copies, const uint64_t *functions,
                    size_t count)
{
    th_trace_head head = { .magic = TH_TRACE_MAGIC,
                           .version = TH_TRACE_VERSION,
                           .record = sizeof(th_trace_record),
                           .now = thi_sys_clock(),
                           .wall = thi_sys_wall(),
                           .pid = (uint32_t)getpid(),
                           .names = count };
    for (const thi_trace_copy *c = copies; c; c = c->next)
        head.rings++;
    put(out, &head, sizeof head);
    for (const thi_trace_copy *c = copies; c; c = c->next) {
        put(out, &c->ring, sizeof c->ring);
        put(out, c->records, (size_t)c->ring.count * sizeof c->records[0]);
    }
    for (size_t i = 0; i < count; i++) {
        char text[THI_SYMBOL_SIZE];
        (void)thi_symbolize((const void *)(uintptr_t)functions[i], text, sizeof text);
        th_trace_name name = { .address = functions[i], .size = (uint32_t)strlen(text) };
        put(out, &name, sizeof name);
        put(out, text, name.size);
    }
    flush(out);
}

static void free_copies(thi_trace_copy *copies)
{
    while (copies) {
        thi_trace_copy *next = copies->next;
        thi_free(copies);
        copies = next;
    }
}

static int save_copies(const char *path, const thi_trace_copy *copies)
{
    size_t count;
    uint64_t *functions = collect_functions(copies, &count);
    output *out = thi_alloc(sizeof *out);
    int err = functions && out ? 0 : -ENOMEM;
    if (err == 0) {
        out->fd = thi_sys_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        out->err = thi_min(out->fd, 0);
        out->fill = 0;
    }
    if (err == 0 && out->err == 0) {
        put_all(out, copies, functions, count);
        int closed = thi_sys_close(out->fd);
        out->err = out->err < 0 ? out->err : closed;
    }
    if (err == 0)
        err = out->err;
    thi_free(out);
    thi_free(functions);
    return err;
}

int th_trace_save(const char *path)
{
    thi_trace_copy *copies = NULL;
    if (!path)
        return (int)thi_err_clear(-EINVAL);
    int err = thi_trace_take(&copies);
    if (err == 0)
        err = save_copies(path, copies);
    free_copies(copies);
    return err == 0 ? 0 : thi_err_set(err, "%.200s", path);
}

/* ---- by the environment ---------------------------------------------------------------------- */

static const char *file_wanted(void)
{
    const char *path = getenv("THRUM_TRACE");
    return path && *path ? path : NULL;
}

bool thi_trace_by_environment(void)
{
    return file_wanted() && th_trace_start(NULL) == 0;
}

void thi_trace_by_environment_ends(void)
{
    const char *path = file_wanted();
    int err = th_trace_stop();
    if (err == 0 && path)
        err = th_trace_save(path);
    if (err < 0)
        thi_log(TH_LOG_ERROR, "the trace is lost: %s: %s", path ? path : "", th_strerror(err));
}
