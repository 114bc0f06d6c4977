/* SPDX-License-Identifier: MIT */

/*
 * Chats: dispatchers that take what arrives apart at terminators, and send what producers make.
 *
 * A chat always has a terminator: some bytes, a number of bytes, or none. What arrives before it is
 * collected; when it has arrived the handler `found` is called, which may set another one, and that
 * applies to what comes next at once, wherever the peer's packets end.
 *
 *     static int on_line(th_chat *chat, void *arg)
 *     {
 *         th_str line = th_chat_collected(chat);
 *         return th_chat_push(chat, line.ptr, line.len);
 *     }
 *
 *     static const th_chat_ops echo = { .found = on_line };
 *
 *     th_chat *chat;
 *     err = th_chat_new(&echo, NULL, th_dispatcher_map(listener), NULL, &chat);
 *     if (err == 0)
 *         err = th_chat_set_terminator(chat, "\r\n", 2);
 *     if (err == 0)
 *         err = th_dispatcher_attach(th_chat_dispatcher(chat), fd, 0);
 *
 * A chat is a dispatcher: it is opened, connected, closed and looked at as one, lives in its map,
 * and ends like it. What handlers return means the same. See <thrum/dispatcher.h>.
 */
#ifndef THRUM_CHAT_H
#define THRUM_CHAT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <thrum/defs.h>
#include <thrum/dispatcher.h>
#include <thrum/file.h>
#include <thrum/log.h>
#include <thrum/str.h>

TH_BEGIN_DECLS

typedef struct th_chat th_chat;
typedef struct th_producer th_producer;

/* Something that makes bytes when there is room to send them. Its maker's storage, or one of those
 * below. */
struct th_producer {
    /* Puts up to `room` bytes into buf: how many; 0 when there are no more; a failure, which is the
     * chat's. Called from the loop; it may suspend. */
    ssize_t (*more)(th_producer *producer, void *buf, size_t room);
    /* It is not needed any more, whether or not all was sent; may be NULL. */
    void (*release)(th_producer *producer);
};

/* The longest terminator of bytes. */
#define TH_CHAT_TERMINATOR_MAX 4096

/* The handlers. Each but `found` may be NULL, which does what stands beside it. */
typedef struct th_chat_ops {
    size_t size;      /* sizeof(th_chat_ops), or 0 for the present one */
    const char *name; /* in messages, static; NULL: "chat" */

    /* Bytes before the terminator: never none, but perhaps only a part of them; they are gone when
     * this returns. NULL: they are kept for th_chat_collected(). */
    int (*collect)(th_chat *chat, void *arg, const void *data, size_t size);
    /* The terminator has arrived. After a number of bytes there is none until one is set. */
    int (*found)(th_chat *chat, void *arg);

    int (*connect)(th_chat *chat, void *arg);        /* the connection is there; NULL: nothing */
    int (*close)(th_chat *chat, void *arg);          /* it has ended; NULL: the chat is closed */
    int (*error)(th_chat *chat, void *arg, int err); /* NULL: logged, then `close` */
    int (*expt)(th_chat *chat, void *arg);           /* urgent data; NULL: told once */
    int (*drained)(th_chat *chat, void *arg);        /* all was sent; NULL: nothing */
    /* A message; NULL: it goes where the library's go. */
    void (*log)(th_chat *chat, void *arg, th_log_level level, const char *text);
    /* The chat ends: the last that is called. NULL: nothing. */
    void (*release)(void *arg);
} th_chat_ops;

/* How a chat behaves; all zero is the default. */
typedef struct th_chat_opts {
    size_t size;        /* sizeof(th_chat_opts), or 0 for the present one */
    size_t collect_max; /* bytes that a peer may send before a terminator, and that are kept in any
                           case; what is more is the failure TH_ELIMIT. 0: 1 MiB, SIZE_MAX: no
                           limit */
} th_chat_opts;

/**
 * Makes a chat, without a descriptor and without a terminator yet.
 *
 * @param ops   its handlers, which must stay as they are
 * @param arg   handed to them; on success the chat's, until ops->release
 * @param map   a map, or NULL for the worker's default one
 * @param opts  options, or NULL for the defaults; read during the call only
 * @param chat  out: the chat
 * @return 0; -EINVAL for NULL, for unknown handlers or options, and without `found`; -EPERM on
 *         another worker; -ENOMEM
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_chat_new(const th_chat_ops *ops, void *arg, th_dispatch_map *map,
                               const th_chat_opts *opts, th_chat **chat);

/**
 * Gives the dispatcher that a chat is, to attach, connect, close it, and so on.
 *
 * @param chat  a chat
 * @return the dispatcher; its argument is the chat's business
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_dispatcher *th_chat_dispatcher(th_chat *chat);

/**
 * Sets bytes as terminator.
 *
 * @param chat   a chat
 * @param bytes  the bytes, which are copied; may be NULL when size is 0
 * @param size   their number; 0: no terminator, all is collected
 * @return 0; -EINVAL above TH_CHAT_TERMINATOR_MAX, and for NULL; -ENOMEM; the terminator is then
 *         the one before
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_chat_set_terminator(th_chat *chat, const void *bytes, size_t size);

/**
 * Sets a number of bytes as terminator: `found` is called when so many have been collected.
 *
 * @param chat   a chat
 * @param count  the number; 0: no terminator, all is collected
 * @return 0; -EINVAL for a negative number, with nothing changed
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_chat_set_count(th_chat *chat, int64_t count);

/**
 * Tells how many bytes are missing until a number of bytes is complete.
 *
 * @param chat  a chat
 * @return bytes; 0 when the terminator is no number
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int64_t th_chat_missing(const th_chat *chat);

/**
 * Gives what has been collected since the last terminator, in a chat without a handler `collect`.
 *
 * @param chat  a chat
 * @return the bytes, with a NUL after them; borrowed until the handler that runs returns
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_str th_chat_collected(const th_chat *chat);

/**
 * Sends bytes, in order with all else that was pushed; as th_dispatcher_push().
 *
 * @param chat  a chat
 * @param data  the bytes, copied if need be
 * @param size  their number
 * @return as th_dispatcher_push()
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_chat_push(th_chat *chat, const void *data, size_t size);

/**
 * Sends what a producer makes, in order with all else that was pushed.
 *
 * It is asked from the loop, never by this call, each time when what it made before has been sent.
 *
 * @param chat      a chat
 * @param producer  the producer; on success the chat's, until its `release`
 * @return 0; -EBADF when the chat is not open; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_chat_push_producer(th_chat *chat, th_producer *producer);

/**
 * Has a chat end when all that was pushed has been sent; as th_dispatcher_close_when_done().
 *
 * @param chat  an open chat
 * @return as th_dispatcher_close_when_done()
 *
 * Suspends: no
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_chat_close_when_done(th_chat *chat);

/**
 * Drops what was collected, what arrived and was not taken apart yet, and what was to be sent.
 *
 * @param chat  a chat
 *
 * Suspends: no, unless the release of a producer does
 * Thread: worker
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_chat_discard(th_chat *chat);

/**
 * Makes a producer of bytes.
 *
 * @param data      the bytes, which are copied
 * @param size      their number
 * @param piece     so many at a time, at most; 0: 512
 * @param producer  out: the producer, for th_chat_push_producer()
 * @return 0; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_producer_of_bytes(const void *data, size_t size, size_t piece,
                                        th_producer **producer);

/**
 * Makes a producer of a part of a file, which is read as it is sent.
 *
 * @param file      the file; on success the producer's, which frees it
 * @param offset    where to start, bytes
 * @param size      bytes; negative: up to the end. A file that ends before is the failure
 *                  TH_ETRUNCATED of the chat
 * @param producer  out: the producer, for th_chat_push_producer()
 * @return 0; -EINVAL for NULL and a negative offset; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_producer_of_file(th_file *file, int64_t offset, int64_t size,
                                       th_producer **producer);

/**
 * Releases a producer that was given to no chat.
 *
 * @param producer  a producer; NULL is allowed and does nothing
 *
 * Suspends: yes, if its release does
 * Thread: any
 * On cancel: releases all the same
 * Since: 0.1
 */
TH_API void th_producer_release(th_producer *producer);

TH_END_DECLS

#endif
