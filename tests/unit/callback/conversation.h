/* SPDX-License-Identifier: MIT */

/*
 * A conversation between a chat that serves lines and a dispatcher that sends some, in one map:
 * what torture and simulation do something to.
 *
 * The client sends its lines, and the chat answers each with the same, from a producer; after "bye"
 * it closes when done. The client has succeeded when it has got everything and then the end.
 */
#ifndef THI_TEST_CONVERSATION_H
#define THI_TEST_CONVERSATION_H

#include <thrum/chat.h>
#include <thrum/dispatcher.h>
#include <thrum/error.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LINES "warp\nweft and weft\n\nbye\n"

typedef struct conversation {
    th_dispatch_map *map;
    th_dispatcher *listener; /* NULL: it has failed */
    char got[64];
    size_t got_len;
    int server; /* what went wrong with the listener */
    int chats;  /* what went wrong with a chat */
    int client; /* 1 while it is at it, 0 when it has succeeded, or what went wrong */
    int alive;  /* chats and dispatchers that were not released */
} conversation;

/* ---- the server ---- */

static int on_line(th_chat *chat, void *arg)
{
    th_producer *producer = NULL;
    th_str line = th_chat_collected(chat);
    (void)arg;
    int err = th_producer_of_bytes(line.ptr, line.len, 3, &producer);
    if (err == 0) {
        err = th_chat_push_producer(chat, producer);
        if (err < 0)
            th_producer_release(producer);
    }
    if (err == 0)
        err = th_chat_push(chat, "\n", 1);
    if (err == 0 && th_str_eq(line, TH_STR("bye")))
        err = th_chat_close_when_done(chat);
    return err;
}

static int on_chat_error(th_chat *chat, void *arg, int err)
{
    conversation *c = arg;
    c->chats = err;
    return th_dispatcher_close(th_chat_dispatcher(chat));
}

static void on_gone(void *arg)
{
    ((conversation *)arg)->alive--;
}

static const th_chat_ops talking = { .found = on_line, .error = on_chat_error, .release = on_gone };

static int on_client(th_dispatcher *listener, void *arg, int fd, const th_addr *peer)
{
    conversation *c = arg;
    th_chat *chat = NULL;
    (void)peer;
    int err = th_chat_new(&talking, c, th_dispatcher_map(listener), NULL, &chat);
    if (err < 0)
        return err;
    c->alive++;
    err = th_chat_set_terminator(chat, "\n", 1);
    if (err < 0)
        (void)th_dispatcher_close(th_chat_dispatcher(chat));
    return err < 0 ? err : th_dispatcher_attach(th_chat_dispatcher(chat), fd, 0);
}

static int on_listener_error(th_dispatcher *listener, void *arg, int err)
{
    conversation *c = arg;
    c->server = err;
    c->listener = NULL;
    return th_dispatcher_close(listener);
}

static const th_dispatcher_ops listening = { .accepted = on_client,
                                             .error = on_listener_error,
                                             .release = on_gone };

/* ---- the client ---- */

static int on_there(th_dispatcher *d, void *arg)
{
    (void)arg;
    return th_dispatcher_push(d, LINES, sizeof LINES - 1);
}

static int on_answer(th_dispatcher *d, void *arg)
{
    conversation *c = arg;
    ssize_t n = th_dispatcher_recv(d, c->got + c->got_len, sizeof c->got - c->got_len);
    if (n > 0)
        c->got_len += (size_t)n;
    return n < 0 ? (int)n : 0;
}

static int end_client(th_dispatcher *d, conversation *c, int result)
{
    if (c->client == 1)
        c->client = result;
    (void)th_dispatcher_close(d);
    return TH_DISPATCH_LEAVE;
}

static int on_end(th_dispatcher *d, void *arg)
{
    conversation *c = arg;
    bool all = c->got_len == sizeof LINES - 1 && memcmp(c->got, LINES, sizeof LINES - 1) == 0;
    return end_client(d, c, all ? 0 : TH_ETRUNCATED);
}

static int on_client_error(th_dispatcher *d, void *arg, int err)
{
    return end_client(d, arg, err);
}

static const th_dispatcher_ops asking = { .connect = on_there,
                                          .read = on_answer,
                                          .close = on_end,
                                          .error = on_client_error,
                                          .release = on_gone };

/* ---- both ---- */

static int start_server(conversation *c, const char *address)
{
    int err = th_dispatcher_new(&listening, c, c->map, &c->listener);
    if (err < 0)
        return err;
    c->alive++;
    err = th_dispatcher_bind(c->listener, address);
    if (err == 0)
        err = th_dispatcher_listen(c->listener, 0);
    if (err < 0) {
        (void)th_dispatcher_close(c->listener);
        c->listener = NULL;
    }
    return err;
}

/* One client, to its end; the result is its own. */
static int ask_once(conversation *c)
{
    char text[TH_ADDR_TEXT];
    th_addr addr;
    th_dispatcher *d = NULL;
    c->client = 1;
    c->got_len = 0;
    th_dispatcher_addr(c->listener, &addr);
    int err = th_dispatcher_new(&asking, c, c->map, &d);
    if (err < 0)
        return err;
    c->alive++;
    err = th_dispatcher_connect(d, th_addr_format(&addr, text, sizeof text));
    if (err < 0) {
        (void)th_dispatcher_close(d);
        return err;
    }
    err = th_dispatch_map_loop(c->map, TH_NEVER, -1);
    if (err < 0) /* the loop's own failure */
        (void)th_dispatcher_close(d);
    return err < 0 ? err : c->client;
}

static void end_conversation(conversation *c)
{
    (void)th_dispatch_map_close_all(c->map);
    (void)!th_dispatch_map_loop(c->map, 0, 1);
}

#endif
