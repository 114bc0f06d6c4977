/* SPDX-License-Identifier: MIT */

/*
 * A protocol that cuts what arrives into frames.
 *
 * As long as no frame is cut by the end of a chunk, nothing is copied: frames are shown where they
 * were received. What is left of a chunk is kept, and the next one put behind it. Frames are taken
 * one by one in a loop, never by a call from within a call, so that a handler may change the
 * framing ten thousand times within a chunk and the stack does not grow.
 *
 * When the handler pauses the transport, or gives it another protocol, what has not been looked at
 * goes back to the transport, which knows when to hand it out again, and to whom. So nothing has to
 * be remembered here for that.
 */
#include <thrum/framing.h>

#include "base/alloc.h"
#include "callback/transport.h"
#include "proto/line.h"
#include "proto/netstring.h"
#include "proto/prefix.h"

#include <thrum/error.h>

#include <string.h>

struct th_framing {
    th_transport *transport;
    const th_frames *frames;
    void *self;
    int kind;
    size_t limit;
    size_t length;
    thi_line line;
    char *partial; /* bytes of a frame that is not whole, from its beginning on */
    size_t len;
    size_t room;
    bool feeding; /* a chunk is being looked at */
    bool left;    /* the transport has another protocol: free it when that is over */
};

static void free_framing(th_framing *f)
{
    thi_free(f->partial);
    thi_free(f);
}

/* ---- kinds ---- */

static unsigned width_of(int kind)
{
    return kind == TH_FRAMING_PREFIX8 ? 1 : kind == TH_FRAMING_PREFIX16 ? 2 : 4;
}

static size_t limit_of(const th_framing_opts *opts)
{
    size_t limit = opts->limit;
    if (limit == 0)
        limit = opts->kind == TH_FRAMING_LINES ? TH_FRAMING_LINE_LIMIT : TH_FRAMING_FRAME_LIMIT;
    size_t most = opts->kind == TH_FRAMING_PREFIX8    ? UINT8_MAX
                  : opts->kind == TH_FRAMING_PREFIX16 ? UINT16_MAX
                  : opts->kind == TH_FRAMING_PREFIX32 ? UINT32_MAX
                                                      : SIZE_MAX / 2;
    if (limit > most)
        return opts->limit == 0 ? most : 0;
    return limit;
}

static int set_kind(th_framing *f, const th_framing_opts *opts, const th_frames *frames)
{
    if (!opts || opts->size > sizeof *opts || opts->kind < TH_FRAMING_LINES ||
        opts->kind > TH_FRAMING_RAW || limit_of(opts) == 0 ||
        opts->delimiter.len > THI_LINE_DELIMITER_MAX)
        return -EINVAL;
    if (opts->kind == TH_FRAMING_RAW ? !frames->raw : !frames->frame)
        return -EINVAL;
    if (opts->kind == TH_FRAMING_FIXED && opts->length == 0)
        return -EINVAL;
    th_str delimiter = opts->delimiter.len > 0 ? opts->delimiter : TH_STR("\r\n");
    f->kind = opts->kind;
    f->limit = limit_of(opts);
    f->length = opts->length;
    f->line = (thi_line){ .delimiter_len = delimiter.len, .limit = f->limit };
    memcpy(f->line.delimiter, delimiter.ptr, delimiter.len);
    return 0;
}

/* The first frame of what is there: as the parsers say it. */
static ssize_t next_frame(th_framing *f, th_str bytes, th_str *frame)
{
    switch (f->kind) {
    case TH_FRAMING_LINES:
        return thi_line_next(&f->line, bytes, frame);
    case TH_FRAMING_NETSTRINGS:
        return thi_netstring_next(f->limit, bytes, frame);
    case TH_FRAMING_FIXED:
        *frame = th_str_make(bytes.ptr, f->length);
        return bytes.len < f->length ? 0 : (ssize_t)f->length;
    case TH_FRAMING_RAW:
        *frame = bytes;
        return (ssize_t)bytes.len;
    default:
        return thi_prefix_next(width_of(f->kind), f->limit, bytes, frame);
    }
}

/* ---- what arrives ---- */

static bool may_go_on(const th_framing *f)
{
    const th_transport *t = f->transport;
    return !f->left && !t->paused && !t->closing && !t->dead;
}

static int deliver(th_framing *f, th_str frame)
{
    return f->kind == TH_FRAMING_RAW ? f->frames->raw(f, f->self, frame)
                                     : f->frames->frame(f, f->self, frame);
}

/* What is too long, or no frame; whether to go on. */
static int refuse(th_framing *f, int error, size_t told, th_str rest)
{
    if (error != TH_ELIMIT || !f->frames->exceeded)
        return error;
    int go = f->frames->exceeded(f, f->self, told > 0 ? told : rest.len, rest);
    if (go == 0 && !f->left)
        th_transport_close(f->transport);
    return go;
}

/* Takes whole frames off the front, as long as the handler wants them: bytes that are done with. */
static ssize_t take_frames(th_framing *f, th_str bytes)
{
    size_t at = 0;
    while (at < bytes.len && may_go_on(f)) {
        th_str rest = th_str_make(bytes.ptr + at, bytes.len - at);
        th_str frame = th_str_make(NULL, 0);
        ssize_t n = next_frame(f, rest, &frame);
        if (n == 0)
            break;
        int err = n > 0 ? deliver(f, frame) : refuse(f, (int)n, frame.len, rest);
        if (err < 0)
            return err;
        at = n > 0 ? at + (size_t)n : bytes.len;
        if (n < 0)
            thi_line_restart(&f->line);
    }
    return (ssize_t)at;
}

/* Puts a chunk behind what is kept. */
static int append(th_framing *f, th_str data)
{
    size_t need = f->len + data.len;
    if (need > f->room) {
        size_t room = need > 2 * f->room ? need : 2 * f->room;
        char *grown = thi_realloc(f->partial, room);
        if (!grown)
            return -ENOMEM;
        f->partial = grown;
        f->room = room;
    }
    memcpy(f->partial + f->len, data.ptr, data.len);
    f->len = need;
    return 0;
}

/* Forgets what is kept. */
static void drop_partial(th_framing *f)
{
    thi_free(f->partial);
    f->partial = NULL;
    f->len = f->room = 0;
    thi_line_restart(&f->line);
}

/* Keeps what is left, which may be the end of what is kept already. */
static int keep(th_framing *f, th_str rest)
{
    if (rest.len == 0) {
        drop_partial(f);
        return 0;
    }
    if (f->len == 0)
        return append(f, rest);
    memmove(f->partial, rest.ptr, rest.len);
    f->len = rest.len;
    return 0;
}

/* What is not wanted now, or not by this one, goes back to the transport. */
static int give_back(th_framing *f, th_str rest)
{
    int err = th_transport_unread(f->transport, rest.ptr, rest.len);
    drop_partial(f);
    return err;
}

static int feed(th_framing *f, th_str data)
{
    int err = f->len > 0 ? append(f, data) : 0;
    if (err < 0)
        return err;
    th_str bytes = f->len > 0 ? th_str_make(f->partial, f->len) : data;
    ssize_t done = take_frames(f, bytes);
    if (done < 0)
        return (int)done;
    th_str rest = th_str_make(bytes.ptr + done, bytes.len - (size_t)done);
    return may_go_on(f) ? keep(f, rest) : give_back(f, rest);
}

/* ---- as a protocol ---- */

static int on_data(th_transport *t, void *self, th_str data)
{
    th_framing *f = self;
    (void)t;
    f->feeding = true;
    int err = feed(f, data);
    f->feeding = false;
    if (f->left)
        free_framing(f);
    return err;
}

/* The transport gets another protocol, which gets what was kept. */
static int on_left(th_transport *t, void *self)
{
    th_framing *f = self;
    int err = 0;
    f->left = true;
    if (f->feeding)
        return 0;
    if (f->len > 0)
        err = th_transport_unread(t, f->partial, f->len);
    free_framing(f);
    return err;
}

static int on_made(th_transport *t, void *self)
{
    th_framing *f = self;
    (void)t;
    return f->frames->made ? f->frames->made(f, f->self) : 0;
}

static int on_eof(th_transport *t, void *self)
{
    th_framing *f = self;
    (void)t;
    return f->frames->eof ? f->frames->eof(f, f->self, th_str_make(f->partial, f->len)) : 0;
}

static void on_pause(th_transport *t, void *self)
{
    th_framing *f = self;
    (void)t;
    if (f->frames->pause_writing)
        f->frames->pause_writing(f, f->self);
}

static void on_resume(th_transport *t, void *self)
{
    th_framing *f = self;
    (void)t;
    if (f->frames->resume_writing)
        f->frames->resume_writing(f, f->self);
}

static void on_stopping(th_transport *t, void *self)
{
    th_framing *f = self;
    (void)t;
    if (f->frames->stopping)
        f->frames->stopping(f, f->self);
}

static void on_lost(th_transport *t, void *self, int reason)
{
    th_framing *f = self;
    t->left = NULL;
    if (f->frames->lost)
        f->frames->lost(f, f->self, reason);
    free_framing(f);
}

static const th_protocol framing_protocol = {
    .connection_made = on_made,
    .data_received = on_data,
    .eof_received = on_eof,
    .pause_writing = on_pause,
    .resume_writing = on_resume,
    .stopping = on_stopping,
    .connection_lost = on_lost,
};

/* ---- calls ---- */

int th_framing_start(th_transport *t, const th_framing_opts *opts, const th_frames *frames,
                     void *self, th_framing **framing)
{
    int err = thi_transport_check(t);
    if (err < 0)
        return err;
    if (!frames || frames->size > sizeof *frames)
        return -EINVAL;
    th_framing *f = thi_calloc(1, sizeof *f);
    if (!f)
        return -ENOMEM;
    f->transport = t;
    f->frames = frames;
    f->self = self;
    err = set_kind(f, opts, frames);
    if (err == 0)
        err = th_transport_set_protocol(t, &framing_protocol, f);
    if (err < 0) {
        thi_free(f);
        return err;
    }
    t->left = on_left;
    if (framing)
        *framing = f;
    return 0;
}

int th_framing_set(th_framing *f, const th_framing_opts *opts)
{
    if (!f)
        return -EINVAL;
    int err = set_kind(f, opts, f->frames);
    if (err < 0 || f->feeding || f->len == 0)
        return err;
    /* What was kept may be several frames by now. */
    return give_back(f, th_str_make(f->partial, f->len));
}

int th_framing_send(th_framing *f, th_str frame)
{
    char head[THI_NETSTRING_HEAD];
    struct iovec pieces[3] = { { head, 0 }, { (void *)(uintptr_t)frame.ptr, frame.len } };
    if (!f)
        return -EINVAL;
    switch (f->kind) {
    case TH_FRAMING_RAW:
        break;
    case TH_FRAMING_LINES:
        pieces[2] = (struct iovec){ f->line.delimiter, f->line.delimiter_len };
        break;
    case TH_FRAMING_NETSTRINGS:
        pieces[0].iov_len = thi_netstring_head(frame.len, head);
        pieces[2] = (struct iovec){ (void *)(uintptr_t) ",", 1 };
        break;
    case TH_FRAMING_FIXED:
        if (frame.len != f->length)
            return -EMSGSIZE;
        break;
    default:
        pieces[0].iov_len = width_of(f->kind);
        if (!thi_prefix_head(width_of(f->kind), frame.len, (unsigned char *)head))
            return -EMSGSIZE;
    }
    return th_transport_writev(f->transport, pieces, 3);
}

th_transport *th_framing_transport(const th_framing *f)
{
    return f ? f->transport : NULL;
}
