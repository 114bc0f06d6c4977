/* SPDX-License-Identifier: MIT */

/*
 * Taking apart what arrives.
 *
 * All chats of a map receive into one buffer, for only one of them reads at a time. What is left at
 * the end, because it may be the beginning of a terminator or because a handler has failed, is held
 * by the chat and put in front of what comes next. An idle chat therefore has no buffer.
 *
 * Before a handler is called what it is told of has been taken out of `in`, so that it may change
 * the terminator, discard everything, or close: whatever it does applies to the rest.
 */
#include "callback/chat.h"
#include "callback/chat_find.h"

#include "base/alloc.h"
#include "base/error.h"

#include <thrum/error.h>

#include <string.h>

/* Memory for collecting that is not given back in between. */
#define KEEP 4096

/* ---- bytes in memory ---- */

static int reserve(thi_chat_bytes *bytes, size_t n)
{
    size_t need = bytes->len + n + 1;
    if (bytes->ptr && need <= bytes->room)
        return 0;
    size_t room = thi_max(bytes->room * 2, (size_t)64);
    room = thi_max(room, need);
    char *ptr = thi_realloc(bytes->ptr, room);
    if (!ptr)
        return -ENOMEM;
    bytes->ptr = ptr;
    bytes->room = room;
    return 0;
}

static int append(thi_chat_bytes *bytes, const char *data, size_t n)
{
    int err = reserve(bytes, n);
    if (err < 0)
        return err;
    memcpy(bytes->ptr + bytes->len, data, n);
    bytes->len += n;
    bytes->ptr[bytes->len] = '\0';
    return 0;
}

static void forget(thi_chat_bytes *bytes)
{
    bytes->len = 0;
    if (bytes->ptr)
        *bytes->ptr = '\0';
    if (bytes->room <= KEEP)
        return;
    thi_free(bytes->ptr);
    *bytes = (thi_chat_bytes){ 0 };
}

/* ---- collecting ---- */

static int too_much(const th_chat *chat)
{
    return thi_err_set(TH_ELIMIT, "more than %zu bytes without a terminator", chat->collect_max);
}

static int keep(th_chat *chat, th_str piece)
{
    if (piece.len > chat->collect_max - thi_min(chat->collected.len, chat->collect_max))
        return too_much(chat);
    return (int)thi_err_plain(append(&chat->collected, piece.ptr, piece.len));
}

/* A piece before the terminator, if there is one at all. */
static int collect(th_chat *chat, th_str piece, bool counts)
{
    if (piece.len > chat->collect_max - thi_min(chat->record, chat->collect_max) && counts)
        return too_much(chat);
    chat->record += counts ? piece.len : 0;
    if (chat->ops->collect)
        return chat->ops->collect(chat, chat->arg, piece.ptr, piece.len);
    return keep(chat, piece);
}

static int found(th_chat *chat)
{
    chat->record = 0;
    int code = chat->ops->found(chat, chat->arg);
    forget(&chat->collected);
    return code;
}

/* Takes bytes out of what is being taken apart. */
static th_str take(th_chat *chat, size_t n)
{
    th_str taken = th_str_make(chat->in.ptr, n);
    chat->in = th_str_make(chat->in.ptr + n, chat->in.len - n);
    return taken;
}

/* ---- one step: a result other than 0 ends the steps, -EAGAIN because more has to come ---- */

static int step_none(th_chat *chat)
{
    return collect(chat, take(chat, chat->in.len), false);
}

static int step_count(th_chat *chat)
{
    size_t n = thi_min(chat->count, chat->in.len);
    chat->count -= n;
    bool complete = chat->count == 0;
    if (complete)
        chat->until = THI_CHAT_NONE;
    uint32_t serial = chat->d.serial;
    int code = collect(chat, take(chat, n), true);
    if (code != 0 || !complete || chat->d.serial != serial)
        return code;
    return found(chat);
}

/* What a failing `collect` has not been told of, the terminator, stays. */
static int step_found(th_chat *chat, size_t at)
{
    size_t size = chat->terminator.len;
    uint32_t serial = chat->d.serial;
    if (at > 0) {
        int code = collect(chat, take(chat, at), true);
        if (code != 0 || chat->d.serial != serial || chat->in.len < size)
            return code;
    }
    (void)take(chat, size);
    return found(chat);
}

static int step_bytes(th_chat *chat)
{
    size_t at = thi_chat_find(chat->in, chat->terminator);
    if (at != THI_CHAT_NOT_FOUND)
        return step_found(chat, at);
    size_t part = thi_chat_prefix_at_end(chat->in, chat->terminator);
    int code = 0;
    if (part < chat->in.len)
        code = collect(chat, take(chat, chat->in.len - part), true);
    return code == 0 && part > 0 ? -EAGAIN : code;
}

static int take_apart(th_chat *chat)
{
    uint32_t serial = chat->d.serial;
    int code = 0;
    while (code == 0 && chat->in.len > 0 && chat->d.serial == serial) {
        if (chat->until == THI_CHAT_BYTES)
            code = step_bytes(chat);
        else
            code = chat->until == THI_CHAT_COUNT ? step_count(chat) : step_none(chat);
    }
    return code;
}

/* ---- reading ---- */

/* The one buffer of the map. */
static char *buffer_of(th_dispatch_map *map)
{
    if (!map->in)
        map->in = thi_alloc(THI_DISPATCH_IN_SIZE);
    return map->in;
}

int thi_chat_read(th_chat *chat)
{
    char *buf = buffer_of(chat->d.map);
    if (!buf)
        return thi_err_clear(-ENOMEM);
    size_t held = chat->held.len;
    ssize_t n = 0;
    if (held <= THI_DISPATCH_IN_SIZE / 2) {
        n = th_dispatcher_recv(&chat->d, buf + held, THI_DISPATCH_IN_SIZE - held);
        if (n <= 0) /* the end was told by then */
            return (int)n;
    }
    if (held > 0)
        memcpy(buf, chat->held.ptr, held);
    forget(&chat->held);
    chat->in = th_str_make(buf, held + (size_t)n);
    int code = take_apart(chat);
    int err = chat->in.len > 0 ? append(&chat->held, chat->in.ptr, chat->in.len) : 0;
    chat->in = th_str_make(NULL, 0);
    return code == 0 && err < 0 ? thi_err_clear(err) : code;
}
