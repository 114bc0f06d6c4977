/* SPDX-License-Identifier: MIT */

/*
 * What a chat is beside a dispatcher: its terminator, and what it passes on.
 *
 * The events come through a table of handlers that all chats share. Reading is chat_read.c's, and
 * writing is done by the dispatcher itself, which sends whatever was pushed.
 */
#include "callback/chat.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"

#include <string.h>

#define COLLECT_MAX ((size_t)1024 * 1024)

/* ---- events ---- */

static int on_connect(th_dispatcher *d, void *arg)
{
    th_chat *chat = arg;
    (void)d;
    return chat->ops->connect ? chat->ops->connect(chat, chat->arg) : 0;
}

static int on_read(th_dispatcher *d, void *arg)
{
    (void)d;
    return thi_chat_read(arg);
}

static int on_expt(th_dispatcher *d, void *arg)
{
    th_chat *chat = arg;
    if (chat->ops->expt)
        return chat->ops->expt(chat, chat->arg);
    d->told |= THI_PRI;
    thi_dispatch_log(d, TH_LOG_DEBUG, "unhandled exceptional event");
    return 0;
}

static int on_close(th_dispatcher *d, void *arg)
{
    th_chat *chat = arg;
    if (chat->ops->close)
        return chat->ops->close(chat, chat->arg);
    (void)th_dispatcher_close(d);
    return 0;
}

static int on_error(th_dispatcher *d, void *arg, int err)
{
    th_chat *chat = arg;
    return chat->ops->error ? chat->ops->error(chat, chat->arg, err) : thi_dispatch_fail(d, err);
}

static int on_drained(th_dispatcher *d, void *arg)
{
    th_chat *chat = arg;
    (void)d;
    return chat->ops->drained ? chat->ops->drained(chat, chat->arg) : 0;
}

static void on_log(th_dispatcher *d, void *arg, th_log_level level, const char *text)
{
    th_chat *chat = arg;
    (void)d;
    if (chat->ops->log)
        chat->ops->log(chat, chat->arg, level, text);
    else
        thi_log(level, "%s", text);
}

static void on_release(void *arg)
{
    th_chat *chat = arg;
    if (chat->ops->release)
        chat->ops->release(chat->arg);
}

static const th_dispatcher_ops handlers = {
    .name = "chat",
    .connect = on_connect,
    .read = on_read,
    .expt = on_expt,
    .close = on_close,
    .error = on_error,
    .drained = on_drained,
    .log = on_log,
    .release = on_release,
};

/* ---- its life ---- */

static void forget_arrived(th_chat *chat)
{
    chat->in = th_str_make(NULL, 0);
    chat->held.len = 0;
    chat->record = 0;
}

/* What was collected stays for the handler that may be looking at it. */
static void on_closed(th_dispatcher *d)
{
    forget_arrived(thi_container_of(d, th_chat, d));
}

static void end(th_dispatcher *d)
{
    th_chat *chat = thi_container_of(d, th_chat, d);
    thi_free(chat->heap);
    thi_free(chat->held.ptr);
    thi_free(chat->collected.ptr);
    thi_free(chat);
}

static bool are_known(const th_chat_ops *ops, const th_chat_opts *opts)
{
    return ops && ops->size <= sizeof *ops && ops->found && (!opts || opts->size <= sizeof *opts);
}

int th_chat_new(const th_chat_ops *ops, void *arg, th_dispatch_map *map, const th_chat_opts *opts,
                th_chat **chat)
{
    if (!are_known(ops, opts) || !chat)
        return thi_err_clear(-EINVAL);
    th_chat *c = thi_calloc(1, sizeof *c);
    if (!c)
        return thi_err_clear(-ENOMEM);
    int err = thi_dispatcher_init(&c->d, &handlers, c, map);
    if (err < 0) {
        thi_free(c);
        return thi_err_clear(err);
    }
    c->ops = ops;
    c->arg = arg;
    c->collect_max = opts && opts->collect_max ? opts->collect_max : COLLECT_MAX;
    c->d.closed = on_closed;
    c->d.end = end;
    c->d.quiet = THI_WRITE;
    if (ops->name)
        c->d.name = ops->name;
    *chat = c;
    return 0;
}

th_dispatcher *th_chat_dispatcher(th_chat *chat)
{
    return &chat->d;
}

/* ---- terminators ---- */

int th_chat_set_terminator(th_chat *chat, const void *bytes, size_t size)
{
    if (!chat || (!bytes && size > 0) || size > TH_CHAT_TERMINATOR_MAX)
        return thi_err_clear(-EINVAL);
    char *heap = NULL;
    if (size > sizeof chat->own && !(heap = thi_strdup_n(bytes, size)))
        return thi_err_clear(-ENOMEM);
    if (!heap && size > 0)
        memmove(chat->own, bytes, size); /* it may be the present one, or a part of it */
    thi_free(chat->heap);
    chat->heap = heap;
    chat->terminator = th_str_make(heap ? heap : chat->own, size);
    chat->until = size > 0 ? THI_CHAT_BYTES : THI_CHAT_NONE;
    return 0;
}

int th_chat_set_count(th_chat *chat, int64_t count)
{
    if (!chat || count < 0)
        return thi_err_clear(-EINVAL);
    chat->count = (size_t)count;
    chat->until = count > 0 ? THI_CHAT_COUNT : THI_CHAT_NONE;
    return 0;
}

int64_t th_chat_missing(const th_chat *chat)
{
    return chat->until == THI_CHAT_COUNT ? (int64_t)chat->count : 0;
}

th_str th_chat_collected(const th_chat *chat)
{
    return th_str_make(chat->collected.ptr ? chat->collected.ptr : "", chat->collected.len);
}

/* ---- sending ---- */

int th_chat_push(th_chat *chat, const void *data, size_t size)
{
    return th_dispatcher_push(chat ? &chat->d : NULL, data, size);
}

int th_chat_push_producer(th_chat *chat, th_producer *producer)
{
    if (!chat || !producer)
        return thi_err_clear(-EINVAL);
    int err = thi_dispatch_may_use(&chat->d);
    if (err == 0)
        err = thi_out_add_producer(&chat->d.out, producer);
    if (err < 0)
        return thi_err_clear(err);
    chat->d.owing = true;
    thi_dispatch_review(&chat->d);
    return 0;
}

int th_chat_close_when_done(th_chat *chat)
{
    return th_dispatcher_close_when_done(chat ? &chat->d : NULL);
}

void th_chat_discard(th_chat *chat)
{
    forget_arrived(chat);
    chat->collected.len = 0;
    if (chat->collected.ptr)
        *chat->collected.ptr = '\0';
    thi_out_clear(&chat->d.out);
}
