/* SPDX-License-Identifier: MIT */

/*
 * The buffered reader.
 *
 * Bytes in use are [start, end) of one block, so that whatever is found can be shown in its place
 * and need not be copied. They move to the front of the block when there is no room behind them,
 * and the block grows when that is not enough: to what the limit needs and no further, so that a
 * peer cannot make it larger. Nothing is read from the stream before somebody asks for more than
 * there is.
 *
 * No call loses bytes. One that cannot be carried out, because the scope ends or a limit is met,
 * leaves them in the buffer, or puts back what it had taken; the next call finds them.
 *
 * What the stream says for good, its end or an error, is kept and told again, but only when the
 * buffer is empty.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"

#include <thrum/reader.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

#define LIMIT_DEFAULT ((size_t)64 * 1024)
#define ROOM_MIN      ((size_t)4096)

struct th_reader {
    th_stream *stream; /* borrowed */
    char *block;       /* NULL before the first byte */
    size_t room;       /* bytes at block */
    size_t start;
    size_t end;
    size_t limit;
    int over;      /* the end or the error of the stream; 0: neither yet */
    bool busy;     /* a call waits */
    bool dropping; /* what comes up to the next end of a line belongs to one that was too long */
};

int th_reader_new(th_stream *stream, const th_reader_opts *opts, th_reader **reader)
{
    if (!stream || !reader || (opts && opts->size > sizeof *opts))
        return thi_err_clear(-EINVAL);
    size_t limit = opts && opts->limit > 0 ? opts->limit : LIMIT_DEFAULT;
    if (limit > SIZE_MAX / 4)
        return thi_err_clear(-EINVAL);
    th_reader *r = thi_calloc(1, sizeof *r);
    if (!r)
        return thi_err_clear(-ENOMEM);
    r->stream = stream;
    r->limit = limit;
    *reader = r;
    return 0;
}

void th_reader_free(th_reader *reader)
{
    if (!reader)
        return;
    thi_free(reader->block);
    thi_free(reader);
}

size_t th_reader_buffered(const th_reader *reader)
{
    return reader ? reader->end - reader->start : 0;
}

/* ---- the buffer ------------------------------------------------------------------------------ */

static const char *first(const th_reader *r)
{
    return r->block + r->start;
}

/* Drops bytes, which stay where they are until more are read. */
static void drop(th_reader *r, size_t n)
{
    r->start += n;
    if (r->start == r->end)
        r->start = r->end = 0;
}

/* Shows the first bytes and drops them. */
static void give(th_reader *r, size_t n, th_str *bytes)
{
    *bytes = th_str_make(n > 0 ? first(r) : "", n);
    drop(r, n);
}

/* A larger block with the bytes at `at`. */
static int move_to_block(th_reader *r, size_t room, size_t at)
{
    size_t n = th_reader_buffered(r);
    char *block = thi_alloc(room);
    if (!block)
        return -ENOMEM;
    if (n > 0)
        memcpy(block + at, first(r), n);
    thi_free(r->block);
    r->block = block;
    r->room = room;
    r->start = at;
    r->end = at + n;
    return 0;
}

/* Makes room behind the bytes: the block holds up to `most` of them. */
static int make_room(th_reader *r, size_t most)
{
    size_t n = th_reader_buffered(r);
    if (r->end < r->room)
        return 0;
    if (r->start > 0 && n <= r->room / 2) {
        memmove(r->block, first(r), n);
        r->start = 0;
        r->end = n;
        return 0;
    }
    size_t room = thi_max(thi_min(r->room * 2, most), thi_min(ROOM_MIN, most));
    return move_to_block(r, thi_max(room, n + 1), 0);
}

/* Makes room in front of them. */
static int make_room_before(th_reader *r, size_t size)
{
    size_t n = th_reader_buffered(r);
    if (r->start >= size)
        return 0;
    if (size > SIZE_MAX / 2 - n)
        return -ENOMEM;
    if (size + n > r->room)
        return move_to_block(r, size + n, size);
    if (n > 0)
        memmove(r->block + size, first(r), n);
    r->start = size;
    r->end = size + n;
    return 0;
}

/* ---- the stream ------------------------------------------------------------------------------ */

/* Whether an error is that of the call and not that of the stream. */
static bool passes(ssize_t err)
{
    return err == -ECANCELED || err == -ETIMEDOUT || err == -EBUSY || err == -EPERM ||
           err == -ENOMEM;
}

static ssize_t read_stream(th_reader *r, void *buf, size_t size)
{
    if (r->over < 0)
        return thi_err_clear(r->over);
    r->busy = true;
    ssize_t n = th_stream_read(r->stream, buf, size);
    r->busy = false;
    if (n < 0 && !passes(n))
        r->over = (int)n;
    return n;
}

/* Reads at least one byte more into the buffer, which is to hold at most `most`. */
static ssize_t fill(th_reader *r, size_t most)
{
    if (r->over < 0)
        return thi_err_clear(r->over);
    int err = make_room(r, most);
    if (err < 0)
        return thi_err_clear(err);
    ssize_t n = read_stream(r, r->block + r->end, r->room - r->end);
    if (n > 0)
        r->end += (size_t)n;
    return n;
}

/* What every call asks. */
#define CHECK(sound)                                                                               \
    do {                                                                                           \
        if (!r || !(sound))                                                                        \
            return thi_err_clear(-EINVAL);                                                         \
        if (r->busy)                                                                               \
            return thi_err_clear(-EBUSY);                                                          \
    } while (0)

/* ---- bytes ----------------------------------------------------------------------------------- */

ssize_t th_reader_read(th_reader *reader, void *buf, size_t size)
{
    th_reader *r = reader;
    CHECK(buf || size == 0);
    if (size == 0)
        return 0;
    if (th_reader_buffered(r) == 0) {
        if (size >= ROOM_MIN)
            return read_stream(r, buf, thi_min(size, (size_t)SSIZE_MAX));
        ssize_t n = fill(r, ROOM_MIN);
        if (n < 0)
            return n;
    }
    size_t n = thi_min(size, th_reader_buffered(r));
    memcpy(buf, first(r), n);
    drop(r, n);
    return (ssize_t)n;
}

/* What a call that fails had taken goes back. Without memory for it, that is what it tells. */
static ssize_t put_back(th_reader *r, const char *buf, size_t size, ssize_t err)
{
    if (size > 0 && th_reader_unread(r, buf, size) < 0)
        return thi_err_set(-ENOMEM, "%zu bytes are lost", size);
    return err;
}

ssize_t th_reader_read_all(th_reader *reader, void *buf, size_t size, size_t *got)
{
    th_reader *r = reader;
    char *to = buf;
    size_t done = 0;
    CHECK((buf || size == 0) && size <= SSIZE_MAX);
    while (done < size) {
        ssize_t n = th_reader_read(r, to + done, size - done);
        if (n > 0) {
            done += (size_t)n;
            continue;
        }
        if (n != TH_EOF || done == 0)
            return put_back(r, to, done, n);
        if (got)
            *got = done;
        return thi_err_clear(TH_ETRUNCATED);
    }
    return (ssize_t)size;
}

int th_reader_peek(th_reader *reader, size_t size, th_str *bytes)
{
    th_reader *r = reader;
    CHECK(bytes && size > 0);
    if (size > r->limit)
        return thi_err_set(TH_ELIMIT, "%zu bytes are more than the limit of %zu", size, r->limit);
    while (th_reader_buffered(r) < size) {
        ssize_t n = fill(r, thi_max(r->limit, ROOM_MIN));
        if (n == TH_EOF && th_reader_buffered(r) > 0)
            break;
        if (n < 0)
            return (int)n;
    }
    *bytes = th_str_make(first(r), thi_min(size, th_reader_buffered(r)));
    return 0;
}

int th_reader_skip(th_reader *reader, size_t size)
{
    th_reader *r = reader;
    CHECK(size <= th_reader_buffered(r));
    drop(r, size);
    return 0;
}

int th_reader_unread(th_reader *reader, const void *buf, size_t size)
{
    th_reader *r = reader;
    CHECK(buf || size == 0);
    if (size == 0)
        return 0;
    int err = make_room_before(r, size);
    if (err < 0)
        return thi_err_clear(err);
    r->start -= size;
    memcpy(r->block + r->start, buf, size);
    return 0;
}

int th_reader_rest(th_reader *reader, th_str *rest)
{
    th_reader *r = reader;
    ssize_t n = 0;
    CHECK(rest != NULL);
    while (n >= 0) {
        if (th_reader_buffered(r) > r->limit)
            return thi_err_set(TH_ELIMIT, "there are more than %zu bytes", r->limit);
        n = fill(r, r->limit + 1);
    }
    if (n != TH_EOF)
        return (int)n;
    give(r, th_reader_buffered(r), rest);
    return 0;
}

/* ---- records --------------------------------------------------------------------------------- */

/* Where the separator is, counted from the first byte; -1: not among those there are. */
static ssize_t find(const th_reader *r, size_t from, const char *sep, size_t size)
{
    size_t n = th_reader_buffered(r);
    if (n < size || from > n - size)
        return -1;
    const char *at = size == 1 ? memchr(first(r) + from, sep[0], n - from)
                               : memmem(first(r) + from, n - from, sep, size);
    return at ? at - first(r) : -1;
}

/* 1 with the size of the record and its separator; 0 with that of what has none and is the last. */
static int seek(th_reader *r, const char *sep, size_t size, size_t *length)
{
    size_t most = thi_max(r->limit * 2, r->limit + size);
    size_t from = 0;
    for (;;) {
        ssize_t at = find(r, from, sep, size);
        size_t n = th_reader_buffered(r);
        *length = at >= 0 ? (size_t)at + size : n;
        from = n >= size ? n - size + 1 : 0;
        if (at < 0 ? from > r->limit : (size_t)at > r->limit)
            return thi_err_set(TH_ELIMIT, "there is no separator within %zu bytes", r->limit);
        if (at >= 0)
            return 1;
        ssize_t err = fill(r, most);
        if (err == TH_EOF && n > 0)
            return 0;
        if (err < 0)
            return (int)err;
    }
}

int th_reader_until(th_reader *reader, const void *sep, size_t size, th_str *record)
{
    th_reader *r = reader;
    size_t length = 0;
    CHECK(sep && size > 0 && size <= SIZE_MAX / 4 && record);
    int found = seek(r, sep, size, &length);
    if (found < 0)
        return found;
    give(r, length, record);
    return found ? 0 : thi_err_clear(TH_ETRUNCATED);
}

/* Throws away what there is of a line, up to and with its end. */
static void drop_line(th_reader *r)
{
    ssize_t at = find(r, 0, "\n", 1);
    r->dropping = at < 0;
    drop(r, at < 0 ? th_reader_buffered(r) : (size_t)at + 1);
}

/* The rest of a line that was too long. */
static int pass_line(th_reader *r)
{
    ssize_t n = 0;
    while (r->dropping && n >= 0) {
        drop_line(r);
        if (r->dropping)
            n = fill(r, ROOM_MIN);
    }
    r->dropping = r->dropping && n != TH_EOF;
    return n < 0 ? (int)n : 0;
}

int th_reader_line(th_reader *reader, th_str *line)
{
    th_reader *r = reader;
    size_t length = 0;
    CHECK(line != NULL);
    int err = pass_line(r);
    if (err < 0)
        return err;
    int found = seek(r, "\n", 1, &length);
    if (found == TH_ELIMIT)
        drop_line(r);
    if (found < 0)
        return found;
    give(r, length, line);
    return 0;
}
