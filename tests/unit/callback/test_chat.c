/* SPDX-License-Identifier: MIT */

/* What a chat takes apart, however it arrives, and what it sends. */
#include "callback/channels.h"

#include "base/alloc.h"

/* A chat that notes what it collects, [in brackets] what one terminator ended. */
typedef struct talk {
    th_chat *chat;
    char told[512];
    size_t pieces;  /* calls of `collect` */
    bool keeps;     /* has the chat collect */
    int fail_after; /* the n-th call of `found` returns `result` */
    int found;
    int result;
    int errors;
    int err;
    int closed;
    int released;
    bool tolerant; /* an error does not close */
    void (*act)(struct talk *t);
} talk;

static void add(talk *t, const char *data, size_t size)
{
    size_t len = strlen(t->told);
    ck_assert_uint_lt(len + size, sizeof t->told);
    memcpy(t->told + len, data, size);
}

static int on_collect(th_chat *chat, void *arg, const void *data, size_t size)
{
    talk *t = arg;
    ck_assert_ptr_eq(chat, t->chat);
    ck_assert_uint_gt(size, 0);
    t->pieces++;
    add(t, data, size);
    return 0;
}

static int on_found(th_chat *chat, void *arg)
{
    talk *t = arg;
    th_str kept = th_chat_collected(chat);
    ck_assert_int_eq(kept.ptr[kept.len], '\0');
    add(t, kept.ptr, kept.len);
    add(t, "|", 1);
    t->found++;
    if (t->act)
        t->act(t);
    return t->fail_after == t->found ? t->result : 0;
}

static int on_chat_error(th_chat *chat, void *arg, int err)
{
    talk *t = arg;
    t->errors++;
    t->err = err;
    if (!t->tolerant)
        ck_assert_int_eq(th_dispatcher_close(th_chat_dispatcher(chat)), 0);
    return 0;
}

static int on_chat_close(th_chat *chat, void *arg)
{
    talk *t = arg;
    t->closed++;
    return th_dispatcher_close(th_chat_dispatcher(chat));
}

static void on_chat_release(void *arg)
{
    talk *t = arg;
    t->released++;
}

static const th_chat_ops collecting = { .name = "collecting",
                                        .collect = on_collect,
                                        .found = on_found,
                                        .close = on_chat_close,
                                        .error = on_chat_error,
                                        .release = on_chat_release };
static const th_chat_ops keeping = {
    .found = on_found, .close = on_chat_close, .error = on_chat_error, .release = on_chat_release
};

static void make_chat(talk *t, const th_chat_opts *opts)
{
    ck_assert_int_eq(th_chat_new(t->keeps ? &keeping : &collecting, t, NULL, opts, &t->chat), 0);
}

static int open_talk_with(talk *t, const th_chat_opts *opts, int family)
{
    int fds[2];
    connected_pair(family, fds);
    make_chat(t, opts);
    ck_assert_int_eq(th_dispatcher_attach(th_chat_dispatcher(t->chat), fds[0], 0), 0);
    return fds[1];
}

static int open_talk(talk *t)
{
    return open_talk_with(t, NULL, AF_UNIX);
}

static void end_talk(talk *t, int peer)
{
    close(peer);
    end_channels(NULL);
    ck_assert_int_eq(t->released, 1);
}

static void set(talk *t, const char *terminator)
{
    ck_assert_int_eq(th_chat_set_terminator(t->chat, terminator, strlen(terminator)), 0);
}

/* Sends in pieces of so many bytes, each of which the chat has read before the next one comes. */
static void send_in_pieces(int peer, const char *text, size_t size, size_t piece)
{
    for (size_t at = 0; at < size; at += piece) {
        size_t n = thi_min(piece, size - at);
        ck_assert_int_eq(send(peer, text + at, n, 0), (ssize_t)n);
        turn_a_few(NULL);
    }
}

/* ---- terminators ---- */

FIBER_TEST(a_terminator_of_bytes_is_found_however_it_is_cut)
{
    static const char *const terminators[] = { "\n", "\r\n", "qqq", "\r\n.\r\n",
                                               "-----------------" };
    for (size_t i = 0; i < thi_array_len(terminators); i++) {
        char text[128];
        snprintf(text, sizeof text, "hello world%sI'm not dead yet!%s%srest\r", terminators[i],
                 terminators[i], terminators[i]);
        for (size_t piece = 1; piece <= strlen(text); piece++) {
            for (int keeps = 0; keeps < 2; keeps++) {
                talk t = { .keeps = keeps };
                int peer = open_talk(&t);
                set(&t, terminators[i]);
                send_in_pieces(peer, text, strlen(text), piece);
                turn_until(NULL, t.found == 3);
                ck_assert_int_eq(strncmp(t.told, "hello world|I'm not dead yet!||", 31), 0);
                end_talk(&t, peer);
            }
        }
    }
}

FIBER_TEST(it_is_found_over_each_family)
{
    each_family(family)
    {
        talk t = { 0 };
        int peer = open_talk_with(&t, NULL, family);
        set(&t, "\r\n");
        peer_sends(peer, "one\r\ntwo\r\n");
        turn_until(NULL, t.found == 2);
        ck_assert_str_eq(t.told, "one|two|");
        end_talk(&t, peer);
    }
}

FIBER_TEST(a_number_of_bytes_is_collected_piece_by_piece)
{
    static const char text[] = "hello world, I'm not dead yet!\n";
    for (size_t piece = 1; piece < sizeof text; piece++) {
        talk t = { 0 };
        int peer = open_talk(&t);
        ck_assert_int_eq(th_chat_set_count(t.chat, 11), 0);
        ck_assert_int_eq(th_chat_missing(t.chat), 11);
        send_in_pieces(peer, text, thi_min(piece, (size_t)10), piece);
        ck_assert_int_eq(th_chat_missing(t.chat), (int64_t)(11 - thi_min(piece, (size_t)10)));
        send_in_pieces(peer, text + thi_min(piece, (size_t)10),
                       sizeof text - 1 - thi_min(piece, (size_t)10), piece);
        /* After that there is none, and all is collected. */
        ck_assert_int_eq(t.found, 1);
        ck_assert_int_eq(th_chat_missing(t.chat), 0);
        ck_assert_str_eq(t.told, "hello world|, I'm not dead yet!\n");
        end_talk(&t, peer);
    }
}

FIBER_TEST(without_a_terminator_all_is_collected)
{
    for (int how = 0; how < 3; how++) {
        talk t = { 0 };
        int peer = open_talk(&t);
        if (how == 1)
            ck_assert_int_eq(th_chat_set_count(t.chat, 0), 0);
        if (how == 2)
            ck_assert_int_eq(th_chat_set_terminator(t.chat, NULL, 0), 0);
        peer_sends(peer, "all\r\nof\nit");
        turn_until(NULL, t.pieces);
        ck_assert_str_eq(t.told, "all\r\nof\nit");
        ck_assert_int_eq(t.found, 0);
        end_talk(&t, peer);
    }
}

FIBER_TEST(terminators_that_are_none_are_refused_and_the_present_one_stays)
{
    static char long_one[TH_CHAT_TERMINATOR_MAX + 1];
    talk t = { 0 };
    int peer = open_talk(&t);
    set(&t, "\n");
    ck_assert_int_eq(th_chat_set_count(t.chat, -1), -EINVAL);
    ck_assert_int_eq(th_chat_set_terminator(t.chat, long_one, sizeof long_one), -EINVAL);
    ck_assert_int_eq(th_chat_set_terminator(t.chat, NULL, 1), -EINVAL);
    peer_sends(peer, "still\n");
    turn_until(NULL, t.found);
    /* The longest one works. */
    memset(long_one, 'x', sizeof long_one - 1);
    ck_assert_int_eq(th_chat_set_terminator(t.chat, long_one, sizeof long_one - 1), 0);
    peer_sends(peer, "y");
    send_in_pieces(peer, long_one, sizeof long_one - 1, 1000);
    turn_until(NULL, t.found == 2);
    ck_assert_str_eq(t.told, "still|y|");
    end_talk(&t, peer);
}

FIBER_TEST(an_empty_record_is_found_and_nothing_collected)
{
    talk t = { 0 };
    int peer = open_talk(&t);
    set(&t, "\n");
    peer_sends(peer, "hello world\n\nI'm not dead yet!\n");
    turn_until(NULL, t.found == 3);
    ck_assert_str_eq(t.told, "hello world||I'm not dead yet!|");
    ck_assert_uint_eq(t.pieces, 2);
    end_talk(&t, peer);
}

FIBER_TEST(what_may_begin_a_terminator_waits_for_the_rest)
{
    talk t = { 0 };
    int peer = open_talk(&t);
    set(&t, "\r\n");
    send_in_pieces(peer, "qwerty\r", 7, 7);
    ck_assert_str_eq(t.told, "qwerty");
    send_in_pieces(peer, "x\r", 2, 2); /* it was none */
    ck_assert_str_eq(t.told, "qwerty\rx");
    send_in_pieces(peer, "\n", 1, 1);
    ck_assert_str_eq(t.told, "qwerty\rx|");
    end_talk(&t, peer);
}

/* A header of a length, then a body of that length, then lines again: all in one packet. */
static void change(talk *t)
{
    if (t->found == 1)
        ck_assert_int_eq(th_chat_set_count(t->chat, 5), 0);
    else if (t->found == 2)
        set(t, "--");
    else
        set(t, "\n");
}

FIBER_TEST(a_terminator_changed_by_a_handler_applies_to_the_rest_at_once)
{
    static const char text[] = "5\n1\n3-5a\nb--c--d\n";
    for (size_t piece = 1; piece < sizeof text; piece++) {
        talk t = { .act = change };
        int peer = open_talk(&t);
        set(&t, "\n");
        send_in_pieces(peer, text, sizeof text - 1, piece);
        ck_assert_str_eq(t.told, "5|1\n3-5|a\nb|c--d|");
        end_talk(&t, peer);
    }
}

static void set_part_of_present(talk *t)
{
    ck_assert_int_eq(th_chat_set_terminator(t->chat, t->told, 1), 0);
}

FIBER_TEST(terminators_are_copied)
{
    char own[4] = "end";
    talk t = { .act = set_part_of_present };
    int peer = open_talk(&t);
    set(&t, own);
    memset(own, 0, sizeof own);
    peer_sends(peer, "xyendyyx");
    turn_until(NULL, t.found == 2);
    ck_assert_str_eq(t.told, "xy|yy|");
    end_talk(&t, peer);
}

/* ---- limits and failures ---- */

FIBER_TEST(a_record_of_the_limit_passes_and_one_byte_more_is_an_error)
{
    for (int keeps = 0; keeps < 2; keeps++) {
        for (int over = 0; over < 2; over++) {
            th_chat_opts opts = { .collect_max = 10 };
            talk t = { .keeps = keeps };
            int peer = open_talk_with(&t, &opts, AF_UNIX);
            set(&t, "\n");
            peer_sends(peer, "ten bytes!\n");
            peer_sends(peer, over ? "eleven byte\n" : "ten again!\n");
            turn_until(NULL, t.found == 2 || t.errors);
            ck_assert_int_eq(t.err, over ? TH_ELIMIT : 0);
            ck_assert_str_eq(t.told, over ? "ten bytes!|" : "ten bytes!|ten again!|");
            end_talk(&t, peer);
        }
    }
}

FIBER_TEST(without_terminator_only_what_is_kept_has_a_limit)
{
    for (int keeps = 0; keeps < 2; keeps++) {
        th_chat_opts opts = { .collect_max = 10 };
        talk t = { .keeps = keeps };
        int peer = open_talk_with(&t, &opts, AF_UNIX);
        send_in_pieces(peer, "more than ten bytes", 19, 19);
        ck_assert_int_eq(t.err, keeps ? TH_ELIMIT : 0);
        ck_assert_str_eq(t.told, keeps ? "" : "more than ten bytes");
        end_talk(&t, peer);
    }
}

FIBER_TEST(a_failing_handler_leaves_the_rest_for_the_next_time)
{
    talk t = { .fail_after = 1, .result = -EIO, .tolerant = true };
    int peer = open_talk(&t);
    set(&t, "\n");
    peer_sends(peer, "one\ntwo\nthr");
    turn_until(NULL, t.errors == 1);
    ck_assert_str_eq(t.told, "one|");
    peer_sends(peer, "ee\n");
    turn_until(NULL, t.found == 3);
    ck_assert_str_eq(t.told, "one|two|three|");
    end_talk(&t, peer);
}

FIBER_TEST(a_handler_that_leaves_the_loop_loses_nothing)
{
    talk t = { .fail_after = 2, .result = 5 };
    int peer = open_talk(&t);
    set(&t, "\n");
    peer_sends(peer, "one\ntwo\nthree\n");
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_NEVER, -1), 5);
    ck_assert_str_eq(t.told, "one|two|");
    peer_sends(peer, "four\n");
    turn_until(NULL, t.found == 4);
    ck_assert_str_eq(t.told, "one|two|three|four|");
    end_talk(&t, peer);
}

static void close_now(talk *t)
{
    ck_assert_int_eq(th_dispatcher_close(th_chat_dispatcher(t->chat)), 0);
}

FIBER_TEST(a_chat_that_closes_itself_hears_nothing_of_the_rest)
{
    talk t = { .act = close_now };
    int peer = open_talk(&t);
    set(&t, "\n");
    peer_sends(peer, "one\ntwo\n");
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_SECOND, -1), 0);
    ck_assert_str_eq(t.told, "one|");
    ck_assert_int_eq(t.closed, 0);
    end_talk(&t, peer);
}

FIBER_TEST(what_was_collected_when_the_peer_ends_was_told)
{
    talk t = { 0 };
    int peer = open_talk(&t);
    set(&t, "\n");
    peer_sends(peer, "no end");
    close(peer);
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_SECOND, -1), 0);
    ck_assert_str_eq(t.told, "no end");
    ck_assert_int_eq(t.closed, 1);
    ck_assert_int_eq(t.released, 1);
}

FIBER_TEST(nothing_to_read_is_no_error)
{
    talk t = { 0 };
    int peer = open_talk(&t);
    set(&t, "\n");
    th_dispatcher *d = th_chat_dispatcher(t.chat);
    /* Somebody else takes what the event was about. */
    peer_sends(peer, "x");
    th_yield();
    char byte;
    ck_assert_int_eq(recv(th_dispatcher_fd(d), &byte, 1, 0), 1);
    turn_a_few(NULL);
    ck_assert_int_eq(t.errors, 0);
    ck_assert_uint_eq(th_dispatch_map_count(NULL), 1);
    end_talk(&t, peer);
}

static void discard(talk *t)
{
    th_chat_discard(t->chat);
}

FIBER_TEST(discarding_drops_all_that_is_there)
{
    static char much[900 * 1024];
    th_producer *producer = NULL;
    talk t = { .act = discard, .keeps = true };
    int peer = open_talk(&t);
    set(&t, "\r\n");
    ck_assert_int_eq(th_chat_push(t.chat, much, sizeof much), 0);
    ck_assert_int_eq(th_producer_of_bytes(much, 100, 0, &producer), 0);
    ck_assert_int_eq(th_chat_push_producer(t.chat, producer), 0);
    ck_assert_uint_gt(th_dispatcher_pending(th_chat_dispatcher(t.chat)), 0);
    peer_sends(peer, "one\r\ntwo\r\nthree\r");
    turn_until(NULL, t.found);
    ck_assert_uint_eq(th_dispatcher_pending(th_chat_dispatcher(t.chat)), 0);
    turn_a_few(NULL);
    peer_sends(peer, "\nfour\r\n");
    turn_until(NULL, t.found == 2);
    ck_assert_str_eq(t.told, "one|\nfour|");
    end_talk(&t, peer);
}

/* ---- sending ---- */

static char sent[64];

/* Makes "ab", then "c", and then fails or ends. */
typedef struct maker {
    th_producer base;
    int at;
    int end;
    int released;
    bool sleeps;
    bool makes; /* it is at it */
} maker;

static ssize_t more(th_producer *producer, void *buf, size_t room)
{
    maker *m = thi_container_of(producer, maker, base);
    ck_assert_uint_gt(room, 2);
    m->makes = true;
    if (m->sleeps)
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    m->at++;
    if (m->at > 2)
        return m->end;
    memcpy(buf, m->at == 1 ? "ab" : "c", 2);
    return m->at == 1 ? 2 : 1;
}

static void released(th_producer *producer)
{
    thi_container_of(producer, maker, base)->released++;
}

FIBER_TEST(bytes_and_producers_are_sent_in_the_order_in_which_they_were_pushed)
{
    each_family(family)
    {
        for (int sleeps = 0; sleeps < 2; sleeps++) {
            maker m = { .base = { more, released }, .sleeps = sleeps };
            th_producer *producer = NULL;
            talk t = { 0 };
            int peer = open_talk_with(&t, NULL, family);
            ck_assert_int_eq(th_chat_push(t.chat, "1", 1), 0);
            ck_assert_int_eq(th_chat_push_producer(t.chat, &m.base), 0);
            ck_assert_int_eq(m.at, 0); /* it is asked by the loop only */
            ck_assert_int_eq(th_chat_push(t.chat, "2", 1), 0);
            ck_assert_int_eq(th_producer_of_bytes("a text in pieces of three", 25, 3, &producer),
                             0);
            ck_assert_int_eq(th_chat_push_producer(t.chat, producer), 0);
            ck_assert_int_eq(th_producer_of_bytes("", 0, 0, &producer), 0);
            ck_assert_int_eq(th_chat_push_producer(t.chat, producer), 0);
            ck_assert_int_eq(th_chat_push(t.chat, "3", 1), 0);
            ck_assert_int_eq(th_chat_close_when_done(t.chat), 0);
            ck_assert_int_eq(t.closed, 0);
            ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_SECOND, -1), 0);
            ck_assert_int_eq(t.closed, 1);
            ck_assert_int_eq(m.released, 1);
            memset(sent, 0, sizeof sent);
            ck_assert_int_eq(recv(peer, sent, sizeof sent, MSG_WAITALL), 31);
            ck_assert_str_eq(sent, "1abc2a text in pieces of three3");
            end_talk(&t, peer);
        }
    }
}

FIBER_TEST(a_producer_that_fails_is_an_error_of_its_chat)
{
    maker m = { .base = { more, released }, .end = -EIO };
    talk t = { 0 };
    int peer = open_talk(&t);
    ck_assert_int_eq(th_chat_push_producer(t.chat, &m.base), 0);
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_SECOND, -1), 0);
    ck_assert_int_eq(t.err, -EIO);
    ck_assert_int_eq(m.released, 1);
    peer_receives(peer, "abc");
    end_talk(&t, peer);
}

static maker *running;

static int close_while_it_makes(void *arg)
{
    talk *t = arg;
    while (!running->makes)
        th_yield();
    ck_assert_int_eq(th_dispatcher_close(th_chat_dispatcher(t->chat)), 0);
    ck_assert_int_eq(running->released, 0); /* it is not taken away under its own feet */
    return 0;
}

FIBER_TEST(a_chat_may_be_closed_while_its_producer_makes_something)
{
    maker m = { .base = { more, released }, .sleeps = true };
    talk t = { 0 };
    th_scope scope;
    int peer = open_talk(&t);
    running = &m;
    ck_assert_int_eq(th_chat_push_producer(t.chat, &m.base), 0);
    open_scope(&scope);
    spawn(&scope, close_while_it_makes, &t);
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_SECOND, -1), 0);
    close_scope(&scope);
    ck_assert_int_eq(m.released, 1);
    ck_assert_int_eq(t.released, 1);
    close(peer);
}

FIBER_TEST(closing_when_done_waits_for_the_connection_and_what_was_pushed)
{
    char text[TH_ADDR_TEXT];
    talk t = { 0 };
    int listener = listen_bare(AF_INET, text);
    make_chat(&t, NULL);
    ck_assert_int_eq(th_chat_close_when_done(t.chat), -EBADF);
    ck_assert_int_eq(th_dispatcher_connect(th_chat_dispatcher(t.chat), text), 0);
    ck_assert_int_eq(th_chat_push(t.chat, "bye", 3), 0);
    ck_assert_int_eq(th_chat_close_when_done(t.chat), 0);
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_SECOND, -1), 0);
    ck_assert_int_eq(t.closed, 1);
    int peer = accept(listener, NULL, NULL);
    peer_receives(peer, "bye");
    close(listener);
    end_talk(&t, peer);
}

static int content_of(size_t size)
{
    char path[] = "/tmp/thrum-chat-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    unlink(path);
    for (size_t i = 0; i < size; i++) {
        char byte = (char)(i * 7 + i / 1000);
        ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)i), 1);
    }
    return fd;
}

FIBER_TEST(a_file_is_sent_from_where_to_where_it_was_told)
{
    static const struct {
        int64_t from;
        int64_t size;
        ssize_t sent;
        int err;
    } cases[] = { { 0, -1, 3000, 0 },  { 1000, 500, 500, 0 },
                  { 2990, -1, 10, 0 }, { 2990, 20, 10, TH_ETRUNCATED },
                  { 100, 0, 0, 0 },    { 5000, -1, 0, 0 } };
    for (size_t i = 0; i < thi_array_len(cases); i++) {
        char got[4096];
        th_file *file = NULL;
        th_producer *producer = NULL;
        talk t = { 0 };
        int peer = open_talk(&t);
        ck_assert_int_eq(th_file_adopt(content_of(3000), &file), 0);
        ck_assert_int_eq(th_producer_of_file(file, -1, 1, &producer), -EINVAL);
        ck_assert_int_eq(th_producer_of_file(file, cases[i].from, cases[i].size, &producer), 0);
        ck_assert_int_eq(th_chat_push_producer(t.chat, producer), 0);
        ck_assert_int_eq(th_chat_close_when_done(t.chat), 0);
        ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_SECOND, -1), 0);
        ck_assert_int_eq(t.err, cases[i].err);
        ck_assert_int_eq(recv(peer, got, sizeof got, MSG_WAITALL), cases[i].sent);
        for (ssize_t k = 0; k < cases[i].sent; k++) {
            size_t at = (size_t)(cases[i].from + k);
            ck_assert_int_eq(got[k], (char)(at * 7 + at / 1000));
        }
        end_talk(&t, peer);
    }
    th_producer_release(NULL);
}

FIBER_TEST(a_producer_nobody_sends_is_released)
{
    maker m = { .base = { more, released } };
    talk t = { 0 };
    int peer = open_talk(&t);
    ck_assert_int_eq(th_chat_push_producer(t.chat, &m.base), 0);
    ck_assert_int_eq(th_chat_push_producer(t.chat, NULL), -EINVAL);
    ck_assert_int_eq(th_dispatcher_close(th_chat_dispatcher(t.chat)), 0);
    ck_assert_int_eq(m.released, 1);
    ck_assert_int_eq(th_chat_push_producer(t.chat, &m.base), -EBADF);
    ck_assert_int_eq(th_chat_push(t.chat, "x", 1), -EBADF);
    end_talk(&t, peer);
    th_producer_release(&m.base);
    ck_assert_int_eq(m.released, 2);
}

FIBER_TEST(misuse_is_refused_and_changes_nothing)
{
    th_chat *chat = NULL;
    th_chat_ops none = { .name = "none" };
    th_chat_ops large = collecting;
    th_chat_opts opts = { .size = sizeof opts + 1 };
    large.size = sizeof large + 1;
    ck_assert_int_eq(th_chat_new(NULL, NULL, NULL, NULL, &chat), -EINVAL);
    ck_assert_int_eq(th_chat_new(&none, NULL, NULL, NULL, &chat), -EINVAL);
    ck_assert_int_eq(th_chat_new(&large, NULL, NULL, NULL, &chat), -EINVAL);
    ck_assert_int_eq(th_chat_new(&collecting, NULL, NULL, &opts, &chat), -EINVAL);
    ck_assert_int_eq(th_chat_new(&collecting, NULL, NULL, NULL, NULL), -EINVAL);
    ck_assert_ptr_null(chat);
}

static void fill_suite(Suite *suite)
{
    TCase *tc = thi_check_case(suite, "terminators");
    tcase_set_timeout(tc, 60);
    add_on_engines(tc, a_terminator_of_bytes_is_found_however_it_is_cut);
    add_on_engines(tc, it_is_found_over_each_family);
    add_on_engines(tc, a_number_of_bytes_is_collected_piece_by_piece);
    add_on_engines(tc, without_a_terminator_all_is_collected);
    add_on_engines(tc, terminators_that_are_none_are_refused_and_the_present_one_stays);
    add_on_engines(tc, an_empty_record_is_found_and_nothing_collected);
    add_on_engines(tc, what_may_begin_a_terminator_waits_for_the_rest);
    add_on_engines(tc, a_terminator_changed_by_a_handler_applies_to_the_rest_at_once);
    add_on_engines(tc, terminators_are_copied);
    tc = thi_check_case(suite, "failures");
    add_on_engines(tc, a_record_of_the_limit_passes_and_one_byte_more_is_an_error);
    add_on_engines(tc, without_terminator_only_what_is_kept_has_a_limit);
    add_on_engines(tc, a_failing_handler_leaves_the_rest_for_the_next_time);
    add_on_engines(tc, a_handler_that_leaves_the_loop_loses_nothing);
    add_on_engines(tc, a_chat_that_closes_itself_hears_nothing_of_the_rest);
    add_on_engines(tc, what_was_collected_when_the_peer_ends_was_told);
    add_on_engines(tc, nothing_to_read_is_no_error);
    add_on_engines(tc, discarding_drops_all_that_is_there);
    tc = thi_check_case(suite, "sending");
    add_on_engines(tc, bytes_and_producers_are_sent_in_the_order_in_which_they_were_pushed);
    add_on_engines(tc, a_producer_that_fails_is_an_error_of_its_chat);
    add_on_engines(tc, a_chat_may_be_closed_while_its_producer_makes_something);
    add_on_engines(tc, closing_when_done_waits_for_the_connection_and_what_was_pushed);
    add_on_engines(tc, a_file_is_sent_from_where_to_where_it_was_told);
    add_on_engines(tc, a_producer_nobody_sends_is_released);
    tcase_add_test(tc, misuse_is_refused_and_changes_nothing);
}

int main(void)
{
    return thi_check_run("callback/chat", fill_suite);
}
