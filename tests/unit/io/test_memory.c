/* SPDX-License-Identifier: MIT */

/* Connections in memory: bytes, back-pressure, ends, resets, misuse, lack of memory. */
#include "memory.h"

#include "base/alloc.h"

#include <thrum/addr.h>
#include <thrum/sim.h>

typedef struct call {
    th_stream *stream;
    ssize_t result;
    char buf[64];
} call;

static int read_once(void *arg)
{
    call *c = arg;
    c->result = th_stream_read(c->stream, c->buf, sizeof c->buf - 1);
    return 0;
}

static int write_text(void *arg)
{
    call *c = arg;
    c->result = th_stream_write(c->stream, c->buf, strlen(c->buf));
    return 0;
}

FIBER_TEST(what_is_written_to_one_end_is_read_from_the_other)
{
    char buf[16] = "";
    open_ends(0);
    ck_assert_int_eq(th_stream_write(ends[0], "to and", 6), 6);
    ck_assert_int_eq(th_stream_write(ends[1], "fro", 3), 3);
    ck_assert_int_eq(th_stream_read(ends[1], buf, 2), 2);
    ck_assert_int_eq(th_stream_read(ends[1], buf + 2, sizeof buf - 2), 4);
    ck_assert_str_eq(buf, "to and");
    ck_assert_int_eq(th_stream_read_all(ends[0], buf, 3), 3);
    ck_assert_mem_eq(buf, "fro", 3);
    close_ends();
}

FIBER_TEST(a_reader_waits_for_the_first_byte)
{
    call c = { 0 };
    th_scope scope;
    open_ends(0);
    c.stream = ends[0];
    open_scope(&scope);
    spawn(&scope, read_once, &c);
    let_others_run();
    ck_assert_int_eq(c.result, 0);
    send_text("late");
    close_scope(&scope);
    ck_assert_str_eq(c.buf, "late");
    close_ends();
}

/* Every size of the ring, so that pieces wrap around its end in every way. */
FIBER_TEST(a_writer_waits_for_room_and_order_is_kept)
{
    for (size_t size = 1; size < 12; size++) {
        call c = { .buf = "abcdefghijklmnopqrstuvwxyz0123456789" };
        char got[64] = "";
        size_t len = strlen(c.buf);
        th_scope scope;
        open_ends(size);
        c.stream = ends[1];
        open_scope(&scope);
        spawn(&scope, write_text, &c);
        let_others_run();
        ck_assert_int_eq(c.result, 0);
        for (size_t at = 0; at < len;) {
            ssize_t n = th_stream_read(ends[0], got + at, 1 + at % 5);
            ck_assert_int_gt(n, 0);
            ck_assert_int_le(n, (ssize_t)size);
            at += (size_t)n;
        }
        close_scope(&scope);
        ck_assert_int_eq(c.result, (ssize_t)len);
        ck_assert_str_eq(got, c.buf);
        close_ends();
    }
}

FIBER_TEST(pieces_and_empty_ones_are_written_in_order)
{
    char buf[8] = "";
    struct iovec iov[] = { { "ab", 2 }, { NULL, 0 }, { "c", 1 }, { "def", 3 } };
    open_ends(0);
    ck_assert_int_eq(th_stream_writev(ends[1], iov, 4), 6);
    ck_assert_int_eq(th_stream_read_all(ends[0], buf, 6), 6);
    ck_assert_str_eq(buf, "abcdef");
    close_ends();
}

FIBER_TEST(a_look_leaves_the_bytes_there)
{
    char buf[8] = "";
    open_ends(0);
    send_text("abc");
    ck_assert_int_eq(th_stream_peek(ends[0], buf, 2), 2);
    ck_assert_int_eq(th_stream_peek(ends[0], buf, sizeof buf), 3);
    ck_assert_int_eq(th_stream_peek(ends[0], buf, 0), 0);
    ck_assert_int_eq(th_stream_read(ends[0], buf, sizeof buf), 3);
    ck_assert_str_eq(buf, "abc");
    close_ends();
}

FIBER_TEST(a_try_does_not_wait)
{
    char buf[8];
    open_ends(4);
    ck_assert_int_eq(th_stream_try_read(ends[0], buf, sizeof buf), -EAGAIN);
    ck_assert_int_eq(th_stream_try_read(ends[0], buf, 0), 0);
    ck_assert_int_eq(th_stream_try_write(ends[1], "abcdef", 6), 4);
    ck_assert_int_eq(th_stream_try_write(ends[1], "ef", 2), -EAGAIN);
    ck_assert_int_eq(th_stream_try_write(ends[1], "", 0), 0);
    ck_assert_int_eq(th_stream_try_read(ends[0], buf, sizeof buf), 4);
    send_end();
    ck_assert_int_eq(th_stream_try_write(ends[1], "g", 1), -EPIPE);
    ck_assert_int_eq(th_stream_try_read(ends[0], buf, sizeof buf), TH_EOF);
    close_ends();
}

FIBER_TEST(the_end_comes_after_the_bytes_and_the_other_way_stays_open)
{
    char buf[8];
    open_ends(0);
    send_text("abc");
    send_end();
    ck_assert_int_eq(th_stream_write(ends[1], "d", 1), -EPIPE);
    ck_assert_int_eq(th_stream_read(ends[0], buf, sizeof buf), 3);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(th_stream_read(ends[0], buf, sizeof buf), TH_EOF);
    ck_assert_int_eq(th_stream_write(ends[0], "back", 4), 4);
    ck_assert_int_eq(th_stream_read(ends[1], buf, sizeof buf), 4);
    close_ends();
}

FIBER_TEST(a_closed_end_leaves_its_bytes_and_takes_none)
{
    char buf[8];
    th_addr addr;
    open_ends(0);
    send_text("abc");
    ck_assert_int_eq(th_stream_close(ends[1]), 0);
    ck_assert_int_eq(th_stream_close(ends[1]), -EBADF);
    ck_assert_int_eq(th_stream_read(ends[1], buf, sizeof buf), -EBADF);
    ck_assert_int_eq(th_stream_write(ends[1], buf, 1), -EBADF);
    ck_assert_int_eq(th_stream_shutdown(ends[1]), -EBADF);
    ck_assert_int_eq(th_stream_peer(ends[1], &addr), -EBADF);
    ck_assert_int_eq(th_stream_write(ends[0], "d", 1), -EPIPE);
    ck_assert_int_eq(th_stream_shutdown(ends[0]), -ENOTCONN);
    ck_assert_int_eq(th_stream_read(ends[0], buf, sizeof buf), 3);
    ck_assert_int_eq(th_stream_read(ends[0], buf, sizeof buf), TH_EOF);
    close_ends();
}

FIBER_TEST(a_reset_takes_back_what_was_not_read)
{
    char buf[8];
    open_ends(0);
    send_text("abc");
    ck_assert_int_eq(th_stream_reset(ends[1]), 0);
    ck_assert_int_eq(th_stream_reset(ends[1]), -EBADF);
    ck_assert_int_eq(th_stream_read(ends[0], buf, sizeof buf), -ECONNRESET);
    ck_assert_int_eq(th_stream_write(ends[0], "d", 1), -EPIPE);
    close_ends();
}

FIBER_TEST(a_close_wakes_who_waits_at_both_ends)
{
    call reads = { 0 };
    call writes = { .buf = "too much" };
    call other = { 0 };
    th_scope scope;
    open_ends(4);
    reads.stream = writes.stream = ends[1];
    other.stream = ends[0];
    open_scope(&scope);
    spawn(&scope, read_once, &reads);
    spawn(&scope, write_text, &writes);
    let_others_run();
    ck_assert_int_eq(th_stream_close(ends[1]), 0);
    spawn(&scope, read_once, &other);
    close_scope(&scope);
    ck_assert_int_eq(reads.result, -ECANCELED);
    ck_assert_int_eq(writes.result, -ECANCELED);
    ck_assert_int_eq(other.result, 4);
    close_ends();
}

FIBER_TEST(the_end_of_the_reader_wakes_the_writer)
{
    call c = { .buf = "too much" };
    th_scope scope;
    open_ends(4);
    c.stream = ends[1];
    open_scope(&scope);
    spawn(&scope, write_text, &c);
    let_others_run();
    ck_assert_int_eq(th_stream_close(ends[0]), 0);
    close_scope(&scope);
    ck_assert_int_eq(c.result, -EPIPE);
    close_ends();
}

FIBER_TEST(a_second_reader_and_a_second_writer_are_refused)
{
    call reads = { 0 };
    call writes = { .buf = "too much" };
    char buf[8];
    th_scope scope;
    open_ends(4);
    reads.stream = writes.stream = ends[1];
    open_scope(&scope);
    spawn(&scope, read_once, &reads);
    spawn(&scope, write_text, &writes);
    let_others_run();
    ck_assert_int_eq(th_stream_read(ends[1], buf, sizeof buf), -EBUSY);
    ck_assert_int_eq(th_stream_peek(ends[1], buf, sizeof buf), -EBUSY);
    ck_assert_int_eq(th_stream_try_read(ends[1], buf, sizeof buf), -EBUSY);
    ck_assert_int_eq(th_stream_write(ends[1], buf, 1), -EBUSY);
    ck_assert_int_eq(th_stream_try_write(ends[1], buf, 1), -EBUSY);
    ck_assert_int_eq(th_stream_close(ends[1]), 0);
    close_scope(&scope);
    close_ends();
}

FIBER_TEST(the_scope_is_obeyed)
{
    char buf[8];
    th_scope scope;
    open_ends(4);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_stream_read(ends[0], buf, sizeof buf), -ETIMEDOUT);
    close_scope(&scope);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_stream_write(ends[1], "abcdef", 6), -ETIMEDOUT);
    ck_assert_str_eq(th_err_detail(), "4 bytes were written before");
    close_scope(&scope);
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_stream_read(ends[0], buf, sizeof buf), -ECANCELED);
    close_scope(&scope);
    ck_assert_int_eq(th_stream_read(ends[0], buf, sizeof buf), 4);
    close_ends();
}

FIBER_TEST(it_has_no_addresses_and_no_descriptor)
{
    th_addr addr;
    open_ends(0);
    ck_assert_int_eq(th_stream_peer(ends[0], &addr), 0);
    ck_assert_int_eq(addr.kind, TH_ADDR_NONE);
    ck_assert_int_eq(th_stream_detach(ends[0]), -EOPNOTSUPP);
    close_ends();
}

FIBER_TEST(without_memory_nothing_is_made_or_taken)
{
    int64_t live = thi_alloc_live();
    thi_alloc_fail_at(1);
    ck_assert_int_eq(th_stream_memory(0, ends), -ENOMEM);
    thi_alloc_fail_at(0);
    open_ends(0);
    thi_alloc_fail_at(1);
    ck_assert_int_eq(th_stream_write(ends[1], "a", 1), -ENOMEM);
    thi_alloc_fail_at(0);
    send_text("a");
    close_ends();
    ck_assert_int_eq(thi_alloc_live(), live);
}

FIBER_TEST(misuse_is_refused)
{
    ck_assert_int_eq(th_stream_memory(0, NULL), -EINVAL);
    ck_assert_int_eq(th_stream_memory(SIZE_MAX, ends), -EINVAL);
    ck_assert_int_eq(th_stream_peek(NULL, NULL, 0), -EINVAL);
    ck_assert_int_eq(th_stream_try_read(NULL, NULL, 0), -EINVAL);
    ck_assert_int_eq(th_stream_try_write(NULL, NULL, 0), -EINVAL);
    ck_assert_int_eq(th_stream_reset(NULL), -EINVAL);
    ck_assert_int_eq(th_stream_detach(NULL), -EINVAL);
    ck_assert_int_eq(th_stream_finish(NULL, 0), -EINVAL);
}

START_TEST(outside_of_a_worker_there_is_none)
{
    ck_assert_int_eq(th_stream_memory(0, ends), -EPERM);
}
END_TEST

static int send_and_end(void *arg)
{
    (void)arg;
    send_text("bye");
    send_end();
    return 0;
}

FIBER_TEST(a_finish_waits_for_the_peers_end_and_closes)
{
    char buf[8];
    th_scope scope;
    open_ends(0);
    open_scope(&scope);
    spawn(&scope, send_and_end, NULL);
    ck_assert_int_eq(th_stream_finish(ends[0], 3), 0);
    close_scope(&scope);
    ck_assert_int_eq(th_stream_read(ends[0], buf, 1), -EBADF);
    ck_assert_int_eq(th_stream_read(ends[1], buf, 1), TH_EOF);
    ck_assert_int_eq(th_stream_finish(ends[0], 3), -EBADF);
    close_ends();
}

FIBER_TEST(a_finish_beyond_its_limit_or_time_resets)
{
    char buf[8];
    th_scope scope;
    open_ends(0);
    send_text("more");
    ck_assert_int_eq(th_stream_finish(ends[0], 3), TH_ELIMIT);
    ck_assert_int_eq(th_stream_read(ends[1], buf, 1), -ECONNRESET);
    close_ends();
    open_ends(0);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_stream_finish(ends[0], 3), -ETIMEDOUT);
    close_scope(&scope);
    ck_assert_int_eq(th_stream_read(ends[1], buf, 1), -ECONNRESET);
    close_ends();
}

static int in_simulation(void *arg)
{
    (void)arg;
    what_is_written_to_one_end_is_read_from_the_other_body();
    a_writer_waits_for_room_and_order_is_kept_body();
    the_scope_is_obeyed_body();
    return 0;
}

START_TEST(it_works_in_a_simulation)
{
    ck_assert_int_eq(th_sim_run(in_simulation, NULL, &(th_sim_opts){ .seed = (uint64_t)_i }, NULL),
                     0);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "memory");
    tcase_add_test(tcase, what_is_written_to_one_end_is_read_from_the_other);
    tcase_add_test(tcase, a_reader_waits_for_the_first_byte);
    tcase_add_test(tcase, a_writer_waits_for_room_and_order_is_kept);
    tcase_add_test(tcase, pieces_and_empty_ones_are_written_in_order);
    tcase_add_test(tcase, a_look_leaves_the_bytes_there);
    tcase_add_test(tcase, a_try_does_not_wait);
    tcase_add_test(tcase, the_end_comes_after_the_bytes_and_the_other_way_stays_open);
    tcase_add_test(tcase, a_closed_end_leaves_its_bytes_and_takes_none);
    tcase_add_test(tcase, a_reset_takes_back_what_was_not_read);
    tcase_add_test(tcase, a_close_wakes_who_waits_at_both_ends);
    tcase_add_test(tcase, the_end_of_the_reader_wakes_the_writer);
    tcase_add_test(tcase, a_second_reader_and_a_second_writer_are_refused);
    tcase_add_test(tcase, the_scope_is_obeyed);
    tcase_add_test(tcase, it_has_no_addresses_and_no_descriptor);
    tcase_add_test(tcase, without_memory_nothing_is_made_or_taken);
    tcase_add_test(tcase, misuse_is_refused);
    tcase_add_test(tcase, outside_of_a_worker_there_is_none);
    tcase_add_test(tcase, a_finish_waits_for_the_peers_end_and_closes);
    tcase_add_test(tcase, a_finish_beyond_its_limit_or_time_resets);
    tcase_add_loop_test(tcase, it_works_in_a_simulation, 0, 8);
}

int main(void)
{
    return thi_check_run("io/memory", fill);
}
