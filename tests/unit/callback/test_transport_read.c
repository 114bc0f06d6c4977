/* SPDX-License-Identifier: MIT */

/* Receiving: buffers of the protocol's own, what is given back, and a change of protocol. */
#include "callback/probe.h"

#include "net/capture.h"

/* ---- a protocol with its own buffer ---------------------------------------------------------- */

static char room[8];
static size_t room_size = sizeof room;

static int give_room(th_transport *t, void *self, struct iovec *out)
{
    (void)t;
    (void)self;
    *out = (struct iovec){ room, room_size };
    return 0;
}

static int room_filled(th_transport *t, void *self, size_t count)
{
    probe *p = self;
    (void)t;
    ck_assert_uint_ge(count, 1);
    ck_assert_uint_le(count, room_size);
    tell(p, 'd');
    if (p->on_data)
        return p->on_data(p, th_str_make(room, count));
    take(p, room, count);
    return 0;
}

static const th_protocol buffered_protocol = {
    .connection_made = probe_made,
    .get_buffer = give_room,
    .buffer_updated = room_filled,
    .eof_received = probe_eof,
    .connection_lost = probe_lost,
};

FIBER_TEST(a_protocol_with_its_own_buffer_is_told_how_much_is_in_it)
{
    probe p = { .protocol = &buffered_protocol };
    open_probe(&p);
    peer_sends(&p, "the quick brown fox jumps over the lazy dog");
    await(p.len == 43);
    got_is(&p, "the quick brown fox jumps over the lazy dog");
    close_peer(&p);
    await(is_lost(&p));
    ck_assert_str_eq(p.told, "mdel");
    close_probe(&p);
}

FIBER_TEST(one_that_offers_no_room_is_ended)
{
    probe p = { .protocol = &buffered_protocol };
    room_size = 0;
    open_probe(&p);
    peer_sends(&p, "warp");
    await(is_lost(&p));
    ck_assert_str_eq(p.told, "ml");
    ck_assert_int_eq(p.reason, -ENOBUFS);
    close_probe(&p);
}

/* ---- where reads stop ------------------------------------------------------------------------ */

/* The kernel ends a read before a descriptor that was passed, though there is more. */
FIBER_TEST(descriptors_that_nobody_wants_do_not_hide_what_follows)
{
    char control[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec iov = { "cd", 2 };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control
    };
    probe p = { .peer = -1 };
    open_probe(&p);
    await(was_told(&p, "m"));
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    *c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
                           .cmsg_level = SOL_SOCKET,
                           .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(c), &p.peer, sizeof(int));
    for (int i = 0; i < 3; i++) {
        peer_sends(&p, "ab");
        ck_assert_int_eq(sendmsg(p.peer, &msg, 0), 2);
        peer_sends(&p, "ef");
        await(p.len == 6 * (size_t)(i + 1));
    }
    got_is(&p, "abcdefabcdefabcdef");
    close_probe(&p);
}

/* And before an urgent byte, which is left out. */
FIBER_TEST(urgent_bytes_do_not_hide_what_follows)
{
    probe p = { .peer = -1 };
    open_tcp_probe(&p);
    await(was_told(&p, "m"));
    for (int i = 0; i < 3; i++) {
        peer_sends(&p, "ab");
        ck_assert_int_eq(send(p.peer, "!", 1, MSG_OOB), 1);
        peer_sends(&p, "cd");
        await(p.len == 4 * (size_t)(i + 1));
    }
    got_is(&p, "abcdabcdabcd");
    close_probe(&p);
}

/* ---- what is captured ------------------------------------------------------------------------ */

static char captured[4096];
static size_t captured_size;

static int keep_captured(void *arg, const void *bytes, size_t size)
{
    (void)arg;
    ck_assert_uint_le(captured_size + size, sizeof captured);
    memcpy(captured + captured_size, bytes, size);
    captured_size += size;
    return 0;
}

/* What was captured: kinds and bytes, as text. */
static void in_words(char *out, size_t size)
{
    size_t len = 0;
    for (size_t at = 0; at < captured_size;) {
        th_capture_record r;
        memcpy(&r, captured + at, sizeof r);
        at += sizeof r;
        bool bytes = r.kind == TH_CAPTURE_RECEIVED || r.kind == TH_CAPTURE_SENT;
        len += (size_t)snprintf(out + len, size - len, "%u%.*s;", r.kind, bytes ? (int)r.size : 0,
                                captured + at);
        at += r.size;
    }
}

FIBER_TEST(what_passes_can_be_captured)
{
    char words[256] = "";
    probe p = { .peer = -1 };
    open_tcp_probe(&p);
    await(was_told(&p, "m"));
    ck_assert_int_eq(thi_capture_begin("*", false), 0);
    peer_sends(&p, "warp");
    await(p.len == 4);
    ck_assert_int_eq(CALL(th_transport_write(p.t, "weft", 4)), 0);
    ck_assert_int_eq(CALL(th_transport_write_eof(p.t)), 0);
    peer_gets(&p, "weft");
    close_peer(&p);
    await(is_lost(&p));
    ck_assert_int_gt(thi_capture_drain(keep_captured, NULL), 0);
    thi_capture_finish();
    in_words(words, sizeof words);
    ck_assert_str_eq(words, "1;2warp;3weft;5;4;6;");
    close_probe(&p);
}

/* ---- what is given back ---------------------------------------------------------------------- */

/* Takes one byte, gives the rest back and pauses. */
static int take_one(probe *p, th_str data)
{
    take(p, data.ptr, 1);
    ck_assert_int_eq(CALL(th_transport_unread(p->t, data.ptr + 1, data.len - 1)), 0);
    return CALL(th_transport_pause_reading(p->t));
}

FIBER_TEST(what_is_given_back_comes_again_after_resuming_without_new_bytes)
{
    probe p = { .on_data = take_one };
    open_probe(&p);
    peer_sends(&p, "warp and weft");
    for (size_t i = 1; i <= 13; i++) {
        await(p.len == i);
        let_loop_run();
        ck_assert_uint_eq(p.len, i);
        ck_assert_int_eq(CALL(th_transport_resume_reading(p.t)), 0);
    }
    got_is(&p, "warp and weft");
    close_peer(&p);
    await(is_lost(&p));
    ck_assert_str_eq(p.told, "mdel");
    close_probe(&p);
}

/* A megabyte, of which each call takes one byte: quadratic work would not end. */
static int take_one_and_go_on(probe *p, th_str data)
{
    take(p, data.ptr, 1);
    return CALL(th_transport_unread(p->t, data.ptr + 1, data.len - 1));
}

FIBER_TEST(giving_back_the_rest_again_and_again_copies_it_once)
{
    enum { SIZE = 60000 };
    char *bytes = pattern(SIZE);
    probe p = { .on_data = take_one_and_go_on };
    open_probe(&p);
    ck_assert_int_eq(write(p.peer, bytes, SIZE), SIZE);
    await(p.len == SIZE);
    ck_assert_mem_eq(p.got, bytes, SIZE);
    free(bytes);
    close_probe(&p);
}

FIBER_TEST(a_fiber_may_give_bytes_to_be_received)
{
    probe p = { .peer = -1 };
    open_probe(&p);
    await(was_told(&p, "m"));
    ck_assert_int_eq(CALL(th_transport_unread(p.t, "second", 6)), 0);
    ck_assert_int_eq(CALL(th_transport_unread(p.t, "first ", 6)), 0);
    ck_assert_int_eq(CALL(th_transport_unread(p.t, NULL, 0)), 0);
    ck_assert_int_eq(CALL(th_transport_unread(p.t, NULL, 1)), -EINVAL);
    close_peer(&p);
    await(is_lost(&p));
    got_is(&p, "first second");
    ck_assert_str_eq(p.told, "mdel");
    close_probe(&p);
}

static int give_back_and_abort(probe *p, th_str data)
{
    ck_assert_int_eq(th_transport_unread(p->t, data.ptr + 1, data.len - 1), 0);
    ck_assert_int_eq(th_transport_abort(p->t, 0), 0);
    take(p, data.ptr, data.len); /* they are still there */
    return 0;
}

FIBER_TEST(bytes_stay_valid_during_the_call_whatever_is_done)
{
    probe p = { .on_data = give_back_and_abort };
    open_probe(&p);
    await(was_told(&p, "m"));
    ck_assert_int_eq(CALL(th_transport_unread(p.t, "warp", 4)), 0);
    await(is_lost(&p));
    got_is(&p, "warp");
    close_probe(&p);
}

/* ---- another protocol ------------------------------------------------------------------------ */

static probe *next; /* who gets the rest */

static int hand_over(probe *p, th_str data)
{
    probe *to = next;
    take(p, data.ptr, 4);
    next = p;
    to->t = p->t;
    ck_assert_int_eq(CALL(th_transport_unread(p->t, data.ptr + 4, data.len - 4)), 0);
    return CALL(th_transport_set_protocol(p->t, to->protocol, to));
}

FIBER_TEST(the_rest_of_a_chunk_goes_to_the_new_protocol)
{
    probe a = { .on_data = hand_over, .protocol = &probe_protocol };
    probe b = { .protocol = &probe_protocol };
    next = &b;
    open_probe(&a);
    peer_sends(&a, "warpweft");
    await(b.len == 4);
    got_is(&a, "warp");
    got_is(&b, "weft");
    close_peer(&a);
    await(is_lost(&b));
    ck_assert_str_eq(a.told, "md");
    ck_assert_str_eq(b.told, "del");
    free(a.got);
    free(b.got);
}

/* Between one that is handed bytes and one that has a buffer, to and fro. */
FIBER_TEST(the_kind_of_protocol_may_change_between_two_reads)
{
    probe a = { .on_data = hand_over, .protocol = &probe_protocol };
    probe b = { .on_data = hand_over, .protocol = &buffered_protocol };
    next = &b;
    open_probe(&a);
    peer_sends(&a, "111122223333444455556666");
    await(a.len + b.len == 24);
    ck_assert_uint_eq(a.len, b.len);
    ck_assert_mem_eq(a.got, "111133335555", 12);
    ck_assert_mem_eq(b.got, "222244446666", 12);
    probe *last = next == &a ? &b : &a;
    close_peer(&a);
    await(is_lost(last));
    free(a.got);
    free(b.got);
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "buffers");
    add_on_engines(tcase, a_protocol_with_its_own_buffer_is_told_how_much_is_in_it);
    tcase_add_test(tcase, one_that_offers_no_room_is_ended);
    tcase = thi_check_case(suite, "where reads stop");
    add_on_engines(tcase, descriptors_that_nobody_wants_do_not_hide_what_follows);
    /* Not on uring, which tells of urgent bytes only who has asked for them: net/socket.c. */
    tcase_add_loop_test(tcase, urgent_bytes_do_not_hide_what_follows, 0, 1);
    tcase_add_loop_test(tcase, urgent_bytes_do_not_hide_what_follows, 2, 4);
    tcase_add_test(tcase, what_passes_can_be_captured);
    tcase = thi_check_case(suite, "given back");
    add_on_engines(tcase, what_is_given_back_comes_again_after_resuming_without_new_bytes);
    tcase_add_test(tcase, giving_back_the_rest_again_and_again_copies_it_once);
    tcase_add_test(tcase, a_fiber_may_give_bytes_to_be_received);
    tcase_add_test(tcase, bytes_stay_valid_during_the_call_whatever_is_done);
    tcase = thi_check_case(suite, "another protocol");
    add_on_engines(tcase, the_rest_of_a_chunk_goes_to_the_new_protocol);
    add_on_engines(tcase, the_kind_of_protocol_may_change_between_two_reads);
}

int main(void)
{
    return thi_check_run("callback/transport_read", fill_suite);
}
