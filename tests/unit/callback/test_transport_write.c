/* SPDX-License-Identifier: MIT */

/* Sending: order, what waits, the marks, half an end, failures. */
#include "callback/probe.h"

#include "callback/outqueue.h"

static char big[4 << 20];

static void small_buffers(probe *p)
{
    int size = 4096;
    ck_assert_int_eq(setsockopt(info_of(p->t).fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
}

/* Writes until something waits. */
static void stuff(probe *p)
{
    await(p->told[0] == 'm');
    while (info_of(p->t).waiting == 0)
        ck_assert_int_ge(CALL(th_transport_write(p->t, big, 1000)), 0);
}

static void drain(probe *p)
{
    static char sink[1 << 16];
    while (info_of(p->t).waiting > 0) {
        (void)peer_reads(p, sink, sizeof sink);
        ck_assert_int_eq(th_yield(), 0);
    }
}

/* ---- order ----------------------------------------------------------------------------------- */

FIBER_TEST(what_is_not_taken_at_once_follows_in_order_and_the_memory_is_free_at_once)
{
    enum { SIZE = 1 << 20 };
    probe p = { .peer = -1 };
    open_probe(&p);
    small_buffers(&p);
    char *bytes = pattern(SIZE);
    char *got = malloc(SIZE);
    char piece[7000];
    for (size_t at = 0, n = 1; at < SIZE; at += n, n = n * 7 % 6997 + 1) {
        n = thi_min(n, SIZE - at);
        memcpy(piece, bytes + at, n);
        size_t half = n / 2;
        struct iovec two[3] = { { piece, half }, { NULL, 0 }, { piece + half, n - half } };
        ck_assert_int_ge(CALL(th_transport_writev(p.t, two, 3)), 0);
        memset(piece, 0, sizeof piece);
    }
    ck_assert_uint_eq(peer_takes(&p, got, SIZE), SIZE);
    ck_assert_mem_eq(got, bytes, SIZE);
    ck_assert_uint_eq(info_of(p.t).waiting, 0);
    ck_assert_uint_eq(info_of(p.t).sent, SIZE);
    free(bytes);
    free(got);
    close_probe(&p);
}

FIBER_TEST(what_is_written_by_the_factory_goes_out)
{
    probe p = { .peer = -1 };
    open_probe(&p);
    ck_assert_int_eq(CALL(th_transport_write(p.t, "hello", 5)), 0);
    ck_assert_str_eq(p.told, "");
    peer_gets(&p, "hello");
    close_probe(&p);
}

FIBER_TEST(of_what_was_queued_before_an_abort_a_prefix_arrives)
{
    probe p = { .peer = -1 };
    int number = 0;
    int got;
    open_probe(&p);
    for (; number < 10000; number++)
        ck_assert_int_ge(CALL(th_transport_write(p.t, &number, sizeof number)), 0);
    for (; info_of(p.t).waiting == 0; number++)
        ck_assert_int_ge(CALL(th_transport_write(p.t, &number, sizeof number)), 0);
    ck_assert_int_eq(CALL(th_transport_abort(p.t, 0)), 0);
    ck_assert_uint_eq(info_of(p.t).waiting, 0);
    await(is_lost(&p));
    for (int i = 0; peer_reads(&p, (char *)&got, sizeof got) == (ssize_t)sizeof got; i++)
        ck_assert_int_eq(got, i);
    close_probe(&p);
}

/* ---- the marks ------------------------------------------------------------------------------- */

FIBER_TEST(pausing_and_resuming_are_told_in_turns)
{
    probe p = { .peer = -1 };
    open_probe(&p);
    small_buffers(&p);
    stuff(&p);
    for (int round = 0; round < 3; round++) {
        while (CALL(th_transport_write(p.t, big, 5000)) == 0)
            ck_assert_uint_le(info_of(p.t).waiting, TH_TRANSPORT_HIGH);
        ck_assert_int_eq(CALL(th_transport_write(p.t, big, 5000)), 1);
        ck_assert_uint_gt(info_of(p.t).waiting, TH_TRANSPORT_HIGH);
        let_loop_run();
        drain(&p);
        let_loop_run();
    }
    ck_assert_str_eq(p.told, "mprprpr");
    close_probe(&p);
}

FIBER_TEST(what_is_over_the_mark_and_gone_again_is_not_told)
{
    probe p = { .peer = -1 };
    open_probe(&p);
    small_buffers(&p);
    stuff(&p);
    ck_assert_int_eq(CALL(th_transport_set_marks(p.t, 0, 0)), 0);
    ck_assert_int_eq(CALL(th_transport_set_marks(p.t, TH_TRANSPORT_HIGH, SIZE_MAX)), 0);
    let_loop_run();
    ck_assert_str_eq(p.told, "m");
    close_probe(&p);
}

/* The peer takes everything before the loop gets round to telling. */
FIBER_TEST(who_was_held_back_is_told_to_go_on_though_all_has_left_since)
{
    static char sink[1 << 16];
    probe p = { .peer = -1 };
    open_probe(&p);
    small_buffers(&p);
    stuff(&p);
    ck_assert_int_eq(CALL(th_transport_set_marks(p.t, info_of(p.t).waiting, 0)), 0);
    ck_assert_int_eq(CALL(th_transport_write(p.t, big, 10)), 1);
    while (peer_reads(&p, sink, sizeof sink) > 0)
        continue;
    let_loop_run();
    ck_assert_uint_eq(info_of(p.t).waiting, 0);
    ck_assert_str_eq(p.told, "mpr");
    close_probe(&p);
}

FIBER_TEST(new_marks_count_at_once)
{
    probe p = { .peer = -1 };
    open_probe(&p);
    small_buffers(&p);
    ck_assert_uint_eq(info_of(p.t).high, 65536);
    ck_assert_uint_eq(info_of(p.t).low, 16384);
    stuff(&p);
    ck_assert_int_eq(CALL(th_transport_set_marks(p.t, 100, 101)), -EINVAL);
    ck_assert_uint_eq(info_of(p.t).high, 65536);
    ck_assert_int_eq(CALL(th_transport_set_marks(p.t, 0, SIZE_MAX)), 0); /* any byte is too many */
    await(was_told(&p, "mp"));
    ck_assert_int_eq(CALL(th_transport_set_marks(p.t, 1 << 20, 1 << 20)), 0);
    await(was_told(&p, "mpr"));
    ck_assert_int_eq(CALL(th_transport_set_marks(p.t, 1000, SIZE_MAX)), 0);
    ck_assert_uint_eq(info_of(p.t).low, 250);
    close_probe(&p);
}

FIBER_TEST(at_the_mark_nothing_is_told_and_one_byte_above_it_is)
{
    probe p = { .peer = -1 };
    open_probe(&p);
    small_buffers(&p);
    stuff(&p);
    size_t waiting = info_of(p.t).waiting;
    ck_assert_int_eq(CALL(th_transport_set_marks(p.t, waiting + 10, 0)), 0);
    ck_assert_int_eq(CALL(th_transport_write(p.t, big, 10)), 0);
    let_loop_run();
    ck_assert_str_eq(p.told, "m");
    ck_assert_int_eq(CALL(th_transport_write(p.t, big, 1)), 1);
    await(was_told(&p, "mp"));
    close_probe(&p);
}

/* A peer that never reads: who minds what it is told holds no more than the mark and one piece. */
FIBER_TEST(a_peer_that_never_reads_makes_nothing_grow)
{
    probe p = { .peer = -1 };
    open_probe(&p);
    small_buffers(&p);
    for (int i = 0; i < 100000 && CALL(th_transport_write(p.t, big, 100)) == 0; i++)
        continue;
    ck_assert_uint_le(info_of(p.t).waiting, TH_TRANSPORT_HIGH + 100);
    close_probe(&p);
}

/* ---- the end of one direction ---------------------------------------------------------------- */

FIBER_TEST(the_end_of_writing_comes_after_what_waits)
{
    enum { SIZE = 1 << 20 };
    probe p = { .peer = -1 };
    open_probe(&p);
    char *bytes = pattern(SIZE);
    char *got = malloc(SIZE + 1);
    ck_assert_int_eq(CALL(th_transport_write(p.t, bytes, SIZE)), 1);
    ck_assert_int_eq(CALL(th_transport_write_eof(p.t)), 0);
    ck_assert_int_eq(CALL(th_transport_write_eof(p.t)), 0);
    ck_assert_int_eq(CALL(th_transport_write(p.t, "more", 4)), -EINVAL);
    ck_assert_int_eq(th_transport_try_write(p.t, "more", 4), -EINVAL);
    ck_assert_int_eq(th_transport_sendfile(p.t, 0, 0, 1, NULL, NULL), -EINVAL);
    let_loop_run();
    ck_assert_ptr_null(strchr(p.told, 's'));
    ck_assert_uint_eq(peer_takes(&p, got, SIZE + 1), SIZE);
    ck_assert_mem_eq(got, bytes, SIZE);
    await(strchr(p.told, 's'));
    peer_sends(&p, "the other direction");
    await(p.len == 19);
    free(bytes);
    free(got);
    close_peer(&p);
    await(is_lost(&p));
    ck_assert_str_eq(p.told, "mprsdel");
    close_probe(&p);
}

FIBER_TEST(both_ends_may_end_at_the_same_time)
{
    probe p = { .peer = -1 };
    open_tcp_probe(&p);
    ck_assert_int_eq(CALL(th_transport_write_eof(p.t)), 0);
    ck_assert_int_eq(shutdown(p.peer, SHUT_WR), 0);
    await(is_lost(&p));
    ck_assert_int_eq(p.reason, 0);
    close_probe(&p);
}

FIBER_TEST(closing_right_after_the_end_of_writing_is_in_order)
{
    probe p = { .peer = -1 };
    open_probe(&p);
    ck_assert_int_eq(CALL(th_transport_write(p.t, "last", 4)), 0);
    ck_assert_int_eq(CALL(th_transport_write_eof(p.t)), 0);
    ck_assert_int_eq(CALL(th_transport_close(p.t)), 0);
    await(is_lost(&p));
    ck_assert_int_eq(p.reason, 0);
    peer_gets(&p, "last");
    peer_sees_the_end(&p);
    close_probe(&p);
}

/* ---- writes that do nothing, at once, or fail ------------------------------------------------ */

FIBER_TEST(a_write_of_nothing_does_nothing)
{
    struct iovec none = { NULL, 0 };
    probe p = { .peer = -1 };
    open_probe(&p);
    ck_assert_int_eq(CALL(th_transport_write(p.t, NULL, 0)), 0);
    ck_assert_int_eq(CALL(th_transport_writev(p.t, &none, 1)), 0);
    ck_assert_int_eq(th_transport_try_write(p.t, NULL, 0), 0);
    ck_assert_int_eq(CALL(th_transport_write(p.t, NULL, 1)), -EINVAL);
    ck_assert_int_eq(CALL(th_transport_writev(p.t, &none, 0)), -EINVAL);
    ck_assert_int_eq(CALL(th_transport_writev(p.t, NULL, 1)), -EINVAL);
    ck_assert_uint_eq(info_of(p.t).sent, 0);
    close_probe(&p);
}

FIBER_TEST(a_trial_sends_what_goes_and_queues_nothing)
{
    probe p = { .peer = -1 };
    ssize_t n;
    size_t sum = 0;
    open_probe(&p);
    ck_assert_int_eq(th_transport_try_write(p.t, "warp", 4), 4);
    while ((n = CALL(th_transport_try_write(p.t, big, 10000))) > 0)
        sum += (size_t)n;
    ck_assert_int_eq(n, -EAGAIN);
    ck_assert_uint_eq(info_of(p.t).waiting, 0);
    ck_assert_uint_eq(info_of(p.t).sent, sum + 4);
    ck_assert_int_ge(CALL(th_transport_write(p.t, big, 10)), 0);
    ck_assert_uint_eq(info_of(p.t).waiting, 10);
    ck_assert_int_eq(CALL(th_transport_try_write(p.t, "weft", 4)), -EAGAIN);
    close_probe(&p);
}

FIBER_TEST(a_write_that_fails_is_returned_and_then_told_by_the_loop)
{
    probe p = { .peer = -1 };
    open_probe(&p);
    ck_assert_int_eq(CALL(th_transport_pause_reading(p.t)), 0);
    await(was_told(&p, "m"));
    close_peer(&p);
    ck_assert_int_eq(CALL(th_transport_write(p.t, "warp", 4)), -EPIPE);
    ck_assert_str_eq(p.told, "m");
    ck_assert_int_eq(CALL(th_transport_write(p.t, "warp", 4)), 0);
    await(is_lost(&p));
    ck_assert_str_eq(p.told, "ml");
    ck_assert_int_eq(p.reason, -EPIPE);
    close_probe(&p);
}

FIBER_TEST(what_waits_for_a_peer_that_goes_is_dropped)
{
    probe p = { .peer = -1 };
    open_probe(&p);
    stuff(&p);
    th_transport *t = th_transport_ref(p.t);
    close_peer(&p);
    await(is_lost(&p));
    ck_assert_int_lt(p.reason, 0);
    ck_assert_uint_eq(info_of(t).waiting, 0);
    th_transport_unref(t);
    close_probe(&p);
}

FIBER_TEST(writes_after_the_end_are_dropped_and_counted)
{
    probe p = { .peer = -1 };
    open_probe(&p);
    ck_assert_int_eq(CALL(th_transport_close(p.t)), 0);
    th_transport *t = th_transport_ref(p.t);
    for (int i = 0; i < 7; i++)
        ck_assert_int_eq(CALL(th_transport_write(t, "warp", 4)), 0);
    ck_assert_uint_eq(info_of(t).dropped, 7);
    await(is_lost(&p));
    peer_sees_the_end(&p);
    th_transport_unref(t);
    close_probe(&p);
}

/* ---- the queue by itself --------------------------------------------------------------------- */

START_TEST(the_queue_gives_back_what_was_put_in)
{
    enum { SIZE = 100000 };
    thi_outqueue queue = { 0 };
    char *bytes = pattern(SIZE);
    char *got = malloc(SIZE);
    size_t out = 0;
    for (size_t at = 0, n = 1; at < SIZE; at += n, n = n * 5 % 4099 + 1) {
        n = thi_min(n, SIZE - at);
        size_t skip = thi_min(at, (size_t)3);
        struct iovec iov[2] = { { bytes + at - skip, skip + n / 3 },
                                { bytes + at + n / 3, n - n / 3 } };
        ck_assert_int_eq(thi_outqueue_add(&queue, iov, 2, skip), 0);
        ck_assert_uint_eq(queue.bytes, at + n - out);
        out += thi_outqueue_read(&queue, got + out, n / 2);
    }
    out += thi_outqueue_read(&queue, got + out, SIZE);
    ck_assert_uint_eq(out, SIZE);
    ck_assert_mem_eq(got, bytes, SIZE);
    ck_assert(thi_outqueue_empty(&queue));
    ck_assert_ptr_null(thi_outqueue_clear(&queue));
    free(bytes);
    free(got);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "order");
    add_on_engines(tcase,
                   what_is_not_taken_at_once_follows_in_order_and_the_memory_is_free_at_once);
    tcase_add_test(tcase, what_is_written_by_the_factory_goes_out);
    add_on_engines(tcase, of_what_was_queued_before_an_abort_a_prefix_arrives);
    tcase_add_test(tcase, the_queue_gives_back_what_was_put_in);
    tcase = thi_check_case(suite, "marks");
    add_on_engines(tcase, pausing_and_resuming_are_told_in_turns);
    tcase_add_test(tcase, what_is_over_the_mark_and_gone_again_is_not_told);
    add_on_engines(tcase, who_was_held_back_is_told_to_go_on_though_all_has_left_since);
    tcase_add_test(tcase, new_marks_count_at_once);
    tcase_add_test(tcase, at_the_mark_nothing_is_told_and_one_byte_above_it_is);
    tcase_add_test(tcase, a_peer_that_never_reads_makes_nothing_grow);
    tcase = thi_check_case(suite, "the end");
    add_on_engines(tcase, the_end_of_writing_comes_after_what_waits);
    add_on_engines(tcase, both_ends_may_end_at_the_same_time);
    add_on_engines(tcase, closing_right_after_the_end_of_writing_is_in_order);
    tcase = thi_check_case(suite, "writes");
    tcase_add_test(tcase, a_write_of_nothing_does_nothing);
    add_on_engines(tcase, a_trial_sends_what_goes_and_queues_nothing);
    add_on_engines(tcase, a_write_that_fails_is_returned_and_then_told_by_the_loop);
    add_on_engines(tcase, what_waits_for_a_peer_that_goes_is_dropped);
    tcase_add_test(tcase, writes_after_the_end_are_dropped_and_counted);
}

int main(void)
{
    return thi_check_run("callback/transport_write", fill_suite);
}
