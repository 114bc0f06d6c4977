/* SPDX-License-Identifier: MIT */

/* A buffer in front of a stream: marks, turns, failures, its end. */
#include "memory.h"

#include "base/alloc.h"

#include <thrum/fiber.h>
#include <thrum/writer.h>

static th_writer *writer;
static th_scope around;

static void open_writer(size_t room, size_t high, size_t low)
{
    th_writer_opts opts = { .high = high, .low = low };
    open_ends(room);
    open_scope(&around);
    ck_assert_int_eq(th_writer_open(&around, ends[1], &opts, &writer), 0);
}

static void close_writer(int result)
{
    ck_assert_int_eq(th_writer_close(writer), result);
    close_scope(&around);
    close_ends();
}

static void put(const char *text)
{
    ck_assert_int_eq(th_writer_write(writer, text, strlen(text)), (ssize_t)strlen(text));
}

static void expect(const char *text)
{
    char buf[256] = "";
    ck_assert_int_eq(th_stream_read_all(ends[0], buf, strlen(text)), (ssize_t)strlen(text));
    ck_assert_str_eq(buf, text);
}

typedef struct call {
    const char *text;
    ssize_t result;
} call;

static int put_text(void *arg)
{
    call *c = arg;
    c->result = th_writer_write(writer, c->text, strlen(c->text));
    return 0;
}

static int flush(void *arg)
{
    call *c = arg;
    c->result = th_writer_flush(writer);
    return 0;
}

FIBER_TEST(small_writes_do_not_wait_and_arrive_in_order)
{
    open_writer(0, 0, 0);
    put("a");
    put("bc");
    put("");
    put("def");
    ck_assert_uint_eq(th_writer_pending(writer), 6);
    ck_assert_int_eq(th_writer_flush(writer), 0);
    ck_assert_uint_eq(th_writer_pending(writer), 0);
    expect("abcdef");
    close_writer(0);
}

FIBER_TEST(what_was_written_is_sent_without_a_flush)
{
    open_writer(0, 0, 0);
    put("by itself");
    expect("by itself");
    close_writer(0);
}

/* 4 bytes are with the peer, 8 wait at most. */
FIBER_TEST(at_the_high_mark_one_waits_until_the_low_one)
{
    char buf[16];
    call c = { .text = "more" };
    open_writer(4, 8, 3);
    put("0123");
    let_others_run();
    put("456789ab");
    ck_assert_uint_eq(th_writer_pending(writer), 8);
    spawn(&around, put_text, &c);
    let_others_run();
    ck_assert_int_eq(c.result, 0);
    ck_assert_int_eq(th_stream_read(ends[0], buf, 4), 4);
    let_others_run();
    ck_assert_uint_eq(th_writer_pending(writer), 4); /* there is room, but it is above the mark */
    ck_assert_int_eq(c.result, 0);
    ck_assert_int_eq(th_stream_read(ends[0], buf, 1), 1);
    let_others_run();
    ck_assert_int_eq(c.result, 4);
    expect("56789abmore");
    close_writer(0);
}

FIBER_TEST(a_slow_reader_never_makes_memory_grow)
{
    static char much[1 << 20];
    th_scope scope;
    open_writer(16, 64, 0);
    let_others_run();
    int64_t live = thi_alloc_live();
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_writer_write(writer, much, sizeof much), -ETIMEDOUT);
    ck_assert_str_eq(th_err_detail(), "64 bytes were taken before");
    close_scope(&scope);
    ck_assert_uint_eq(th_writer_pending(writer), 48); /* 16 are with the peer */
    ck_assert_int_le(thi_alloc_live() - live, 3);     /* two rings, the detail */
    ck_assert_int_eq(th_stream_close(ends[0]), 0);
    close_writer(-EPIPE);
}

FIBER_TEST(a_write_up_to_the_mark_is_whole_or_not_at_all)
{
    th_scope scope;
    open_writer(4, 8, 0);
    put("0123");
    let_others_run();
    put("45");
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_writer_write(writer, "abcdefgh", 8), -ETIMEDOUT);
    ck_assert_str_eq(th_err_detail(), "");
    close_scope(&scope);
    ck_assert_uint_eq(th_writer_pending(writer), 2);
    put("67");
    expect("01234567");
    close_writer(0);
}

FIBER_TEST(a_large_write_is_not_mixed_with_others)
{
    char buf[40] = "";
    call large = { .text = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
    call small = { .text = "bbb" };
    open_writer(4, 8, 0);
    spawn(&around, put_text, &large);
    spawn(&around, put_text, &small);
    let_others_run();
    ck_assert_int_eq(th_stream_read_all(ends[0], buf, 33), 33);
    ck_assert_str_eq(buf, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbb");
    let_others_run();
    ck_assert_int_eq(large.result, 30);
    ck_assert_int_eq(small.result, 3);
    close_writer(0);
}

FIBER_TEST(all_who_wait_go_on_when_it_is_drained)
{
    call flushes[3] = { { 0 } };
    call writes[3] = { { .text = "one" }, { .text = "two" }, { .text = "six" } };
    open_writer(4, 4, 0);
    put("0123");
    let_others_run();
    put("4567");
    for (int i = 0; i < 3; i++) {
        flushes[i].result = 1;
        spawn(&around, flush, &flushes[i]);
        spawn(&around, put_text, &writes[i]);
    }
    let_others_run();
    ck_assert_int_eq(flushes[0].result, 1);
    expect("01234567onetwosix");
    let_others_run();
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(flushes[i].result, 0);
        ck_assert_int_eq(writes[i].result, 3);
    }
    close_writer(0);
}

FIBER_TEST(a_failure_reaches_all_who_wait_and_all_who_come)
{
    call flushes[3] = { { 0 } };
    call writes[3] = { { .text = "one" }, { .text = "two" }, { .text = "six" } };
    open_writer(4, 4, 0);
    put("0123");
    let_others_run();
    put("4567");
    for (int i = 0; i < 3; i++) {
        spawn(&around, flush, &flushes[i]);
        spawn(&around, put_text, &writes[i]);
    }
    let_others_run();
    ck_assert_int_eq(th_stream_close(ends[0]), 0);
    let_others_run();
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(flushes[i].result, -EPIPE);
        ck_assert_int_eq(writes[i].result, -EPIPE);
    }
    ck_assert_int_eq(th_writer_write(writer, "x", 1), -EPIPE);
    ck_assert_int_eq(th_writer_flush(writer), -EPIPE);
    ck_assert_uint_eq(th_writer_pending(writer), 0);
    close_writer(-EPIPE);
}

static int read_to_end(void *arg)
{
    char buf[8];
    ssize_t n;
    size_t *total = arg;
    while ((n = th_stream_read(ends[0], buf, sizeof buf)) > 0)
        *total += (size_t)n;
    return n == TH_EOF ? 0 : (int)n;
}

FIBER_TEST(to_close_writes_what_is_left)
{
    size_t total = 0;
    th_scope scope;
    open_writer(4, 64, 0);
    open_scope(&scope);
    spawn(&scope, read_to_end, &total);
    put("0123456789012345678901234567890123456789");
    ck_assert_int_eq(th_writer_close(writer), 0);
    send_end();
    close_scope(&scope);
    ck_assert_uint_eq(total, 40);
    close_scope(&around);
    close_ends();
}

FIBER_TEST(to_close_obeys_the_scope_and_drops_what_is_left)
{
    th_scope scope;
    open_writer(4, 64, 0);
    put("0123456789");
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_writer_close(writer), -ETIMEDOUT);
    close_scope(&scope);
    close_scope(&around);
    expect("0123");
    close_ends();
}

static int wait_for_drop(void *arg)
{
    (void)arg;
    while (th_writer_pending(writer) > 0)
        ck_assert_int_eq(th_yield(), 0);
    return 0;
}

FIBER_TEST(when_its_scope_is_cancelled_it_fails)
{
    open_writer(4, 64, 0);
    put("0123456789");
    let_others_run();
    ck_assert_int_eq(th_scope_cancel(&around, 0), 0);
    ck_assert_int_eq(th_shielded(TH_SECOND, wait_for_drop, NULL), 0);
    ck_assert_int_eq(th_writer_write(writer, "x", 1), -ECANCELED);
    ck_assert_int_eq(th_writer_flush(writer), -ECANCELED);
    close_writer(-ECANCELED);
}

FIBER_TEST(an_empty_one_holds_no_memory_for_bytes)
{
    open_writer(0, 0, 0);
    let_others_run();
    put("x");
    expect("x");
    int64_t live = thi_alloc_live();
    put("x");
    ck_assert_int_eq(thi_alloc_live(), live + 1);
    expect("x");
    let_others_run();
    ck_assert_int_eq(thi_alloc_live(), live);
    close_writer(0);
}

FIBER_TEST(without_memory_nothing_is_taken)
{
    open_writer(0, 0, 0);
    let_others_run();
    thi_alloc_fail_at(1);
    ck_assert_int_eq(th_writer_write(writer, "x", 1), -ENOMEM);
    thi_alloc_fail_at(0);
    put("y");
    expect("y");
    close_writer(0);
}

FIBER_TEST(misuse_is_refused)
{
    th_writer_opts wrong = { .high = 4, .low = 5 };
    th_writer_opts newer = { .size = sizeof newer + 1 };
    open_ends(0);
    open_scope(&around);
    ck_assert_int_eq(th_writer_open(NULL, ends[1], NULL, &writer), -EINVAL);
    ck_assert_int_eq(th_writer_open(&around, NULL, NULL, &writer), -EINVAL);
    ck_assert_int_eq(th_writer_open(&around, ends[1], NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_writer_open(&around, ends[1], &wrong, &writer), -EINVAL);
    ck_assert_int_eq(th_writer_open(&around, ends[1], &newer, &writer), -EINVAL);
    ck_assert_int_eq(th_writer_write(NULL, "x", 1), -EINVAL);
    ck_assert_int_eq(th_writer_flush(NULL), -EINVAL);
    ck_assert_uint_eq(th_writer_pending(NULL), 0);
    ck_assert_int_eq(th_writer_close(NULL), 0);
    ck_assert_int_eq(th_writer_open(&around, ends[1], NULL, &writer), 0);
    ck_assert_int_eq(th_writer_write(writer, NULL, 1), -EINVAL);
    ck_assert_int_eq(th_writer_write(writer, NULL, 0), 0);
    close_writer(0);
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "writer");
    tcase_add_test(tcase, small_writes_do_not_wait_and_arrive_in_order);
    tcase_add_test(tcase, what_was_written_is_sent_without_a_flush);
    tcase_add_test(tcase, at_the_high_mark_one_waits_until_the_low_one);
    tcase_add_test(tcase, a_slow_reader_never_makes_memory_grow);
    tcase_add_test(tcase, a_write_up_to_the_mark_is_whole_or_not_at_all);
    tcase_add_test(tcase, a_large_write_is_not_mixed_with_others);
    tcase_add_test(tcase, all_who_wait_go_on_when_it_is_drained);
    tcase_add_test(tcase, a_failure_reaches_all_who_wait_and_all_who_come);
    tcase_add_test(tcase, to_close_writes_what_is_left);
    tcase_add_test(tcase, to_close_obeys_the_scope_and_drops_what_is_left);
    tcase_add_test(tcase, when_its_scope_is_cancelled_it_fails);
    tcase_add_test(tcase, an_empty_one_holds_no_memory_for_bytes);
    tcase_add_test(tcase, without_memory_nothing_is_taken);
    tcase_add_test(tcase, misuse_is_refused);
}

int main(void)
{
    return thi_check_run("io/writer", fill);
}
