/* SPDX-License-Identifier: MIT */

/* Ends: in agreement, cut, reset, closed by another fiber, and back to plain. */
#include "streams.h"

#include "io/stream.h"

#include <unistd.h>

static void open_pair(int max_version)
{
    make_contexts((th_tls_opts){ .max_version = max_version }, (th_tls_opts){ 0 });
    open_sockets();
    shake_well();
}

static th_tls_info info_of(th_stream *stream)
{
    th_tls_info info = { .size = sizeof info };
    ck_assert_int_eq(th_tls_info_get(stream, &info), 0);
    return info;
}

static const int versions[] = { TH_TLS_1_2, TH_TLS_1_3 };

#define FOR_BOTH_VERSIONS(i) for (size_t i = 0; i < 2; i++)

FIBER_TEST(a_shutdown_ends_one_direction_in_order)
{
    char byte;
    FOR_BOTH_VERSIONS(i)
    {
        open_pair(versions[i]);
        write_text(client_side, "last words");
        ck_assert_int_eq(th_stream_shutdown(client_side), 0);
        ck_assert_int_eq(info_of(client_side).sent_close, 1);
        ck_assert_int_eq(info_of(client_side).received_close, 0);
        ck_assert_int_eq(th_stream_write(client_side, "x", 1), -EPIPE);
        ck_assert_int_eq(th_stream_shutdown(client_side), 0);
        read_text(server_side, "last words");
        for (int times = 0; times < 3; times++)
            ck_assert_int_eq(th_stream_read(server_side, &byte, 1), TH_EOF);
        ck_assert_int_eq(th_stream_try_read(server_side, &byte, 1), TH_EOF);
        ck_assert_int_eq(th_stream_peek(server_side, &byte, 1), TH_EOF);
        ck_assert_int_eq(info_of(server_side).received_close, 1);
        write_text(server_side, "an answer");
        ck_assert_int_eq(th_stream_shutdown(server_side), 0);
        read_text(client_side, "an answer");
        ck_assert_int_eq(th_stream_read(client_side, &byte, 1), TH_EOF);
        ck_assert_int_eq(info_of(client_side).received_close, 1);
        free_sides();
    }
}

FIBER_TEST(a_close_says_the_end_as_well)
{
    char byte;
    open_pair(0);
    write_text(client_side, "last words");
    ck_assert_int_eq(th_stream_close(client_side), 0);
    ck_assert_int_eq(th_stream_close(client_side), -EBADF);
    ck_assert_int_eq(th_stream_read(client_side, &byte, 1), -EBADF);
    ck_assert_int_eq(th_stream_try_read(client_side, &byte, 1), -EBADF);
    ck_assert_int_eq(th_stream_write(client_side, "x", 1), -EBADF);
    ck_assert_int_eq(th_stream_shutdown(client_side), -EBADF);
    ck_assert_int_eq(th_stream_reset(client_side), -EBADF);
    ck_assert_int_eq(info_of(client_side).done, 1); /* what is known is known still */
    read_text(server_side, "last words");
    ck_assert_int_eq(th_stream_read(server_side, &byte, 1), TH_EOF);
    free_sides();
}

static int end_politely(void *arg)
{
    return th_stream_finish(arg, 100);
}

FIBER_TEST(two_that_finish_agree)
{
    th_scope scope;
    open_pair(0);
    write_text(server_side, "unread");
    open_scope(&scope);
    spawn(&scope, end_politely, server_side);
    ck_assert_int_eq(th_stream_finish(client_side, 100), 0);
    close_scope(&scope);
    free_sides();
}

FIBER_TEST(a_finish_has_a_limit)
{
    open_pair(0);
    write_text(server_side, "more than four");
    ck_assert_int_eq(th_stream_finish(client_side, 4), TH_ELIMIT);
    free_sides();
}

/* Whoever sits between the two can end the connection below, and must not be taken for the peer. */
FIBER_TEST(an_end_below_is_no_end)
{
    char buf[16];
    FOR_BOTH_VERSIONS(i)
    {
        open_pair(versions[i]);
        write_text(client_side, "half");
        ck_assert_int_eq(th_stream_shutdown(client_plain), 0);
        read_text(server_side, "half");
        for (int times = 0; times < 3; times++)
            ck_assert_int_eq(th_stream_read(server_side, buf, 1), TH_ETRUNCATED);
        ck_assert_ptr_nonnull(strstr(th_err_detail(), "without the end"));
        ck_assert_int_eq(th_stream_peek(server_side, buf, 1), TH_ETRUNCATED);
        ck_assert_int_eq(th_stream_try_read(server_side, buf, 1), TH_ETRUNCATED);
        ck_assert_int_eq(th_stream_finish(server_side, 0), TH_ETRUNCATED);
        free_sides();
    }
}

FIBER_TEST(an_end_within_a_record_is_a_cut)
{
    char record[64], byte;
    open_pair(0);
    write_text(client_side, "twelve bytes");
    ssize_t n = th_stream_read(server_plain, record, sizeof record); /* from under it */
    ck_assert_int_gt(n, 20);
    ck_assert_int_eq(th_stream_write(client_plain, record, (size_t)n - 1), n - 1);
    ck_assert_int_eq(th_stream_shutdown(client_plain), 0);
    ck_assert_int_eq(th_stream_read(server_side, &byte, 1), TH_ETRUNCATED);
    free_sides();
}

FIBER_TEST(a_reset_is_no_end_either)
{
    char byte;
    open_pair(0);
    write_text(server_side, "x");
    read_text(client_side, "x"); /* and the tickets: a socket with unread bytes would be reset */
    ck_assert_int_eq(th_stream_reset(client_side), 0);
    ck_assert_int_eq(th_stream_read(server_side, &byte, 1), TH_ETRUNCATED);
    free_sides();
    make_contexts((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    open_memory(0);
    shake_well();
    ck_assert_int_eq(th_stream_reset(client_side), 0);
    ck_assert_int_eq(th_stream_read(server_side, &byte, 1), -ECONNRESET);
    free_sides();
}

FIBER_TEST(data_and_end_in_one_piece_come_in_this_order)
{
    char record[128], buf[8];
    open_pair(0);
    write_text(client_side, "abc");
    ck_assert_int_eq(th_stream_shutdown(client_side), 0);
    ssize_t n = th_stream_read(server_plain, record, sizeof record);
    ck_assert_int_gt(n, 0);
    ck_assert_int_eq(th_stream_write(client_plain, record, (size_t)n), n);
    ck_assert_int_eq(th_stream_read(server_side, buf, sizeof buf), 3);
    ck_assert_int_eq(th_stream_read(server_side, buf, sizeof buf), TH_EOF);
    free_sides();
}

FIBER_TEST(a_shutdown_on_what_was_shut_below_reports_it)
{
    open_pair(0);
    ck_assert_int_eq(th_stream_shutdown(client_plain), 0);
    ck_assert_int_eq(th_stream_shutdown(client_side), -EPIPE);
    free_sides();
}

FIBER_TEST(a_write_to_one_who_is_gone_fails)
{
    static char data[100000];
    ssize_t n = 0;
    open_pair(0);
    th_stream_free(server_side);
    server_side = NULL;
    for (int i = 0; i < 10 && n >= 0; i++)
        n = th_stream_write(client_side, data, sizeof data);
    ck_assert_msg(n == -EPIPE || n == -ECONNRESET, "%s", th_errname((int)n));
    free_sides();
}

/* What it had said is still there to be read. */
FIBER_TEST(a_write_that_fails_leaves_what_there_is_to_read)
{
    char byte;
    FOR_BOTH_VERSIONS(i)
    {
        open_pair(versions[i]);
        write_text(server_side, "last words");
        ck_assert_int_eq(th_stream_reset(server_side), 0);
        for (int times = 0; times < 2; times++)
            ck_assert_int_eq(th_stream_write(client_side, "x", 1), -EPIPE);
        read_text(client_side, "last words");
        ck_assert_int_eq(th_stream_read(client_side, &byte, 1), TH_ETRUNCATED);
        free_sides();
    }
}

/* The server's tickets, which a client that only writes never reads, must not turn its close into a
 * reset, in which the server would lose what was written. */
FIBER_TEST(a_client_that_never_reads_closes_in_order)
{
    char byte;
    open_pair(0);
    write_text(client_side, "all there is");
    th_stream_free(client_side);
    client_side = NULL;
    read_text(server_side, "all there is");
    ck_assert_int_eq(th_stream_read(server_side, &byte, 1), TH_EOF);
    ck_assert_int_eq(th_stream_read(server_plain, &byte, 1), TH_EOF);
    free_sides();
}

/* ---- closed by another fiber ---- */

static int read_one(void *arg)
{
    char byte;
    return (int)th_stream_read(arg, &byte, 1);
}

static int write_without_end(void *arg)
{
    static char data[100000];
    ssize_t n;
    while ((n = th_stream_write(arg, data, sizeof data)) > 0)
        ;
    return (int)n;
}

static int result_of(th_fiber *fiber)
{
    int result = 1;
    ck_assert_int_eq(th_join(fiber, &result), 0);
    th_fiber_unref(fiber);
    return result;
}

FIBER_TEST(a_close_wakes_who_reads_and_who_writes)
{
    th_scope scope;
    open_pair(0);
    open_scope(&scope);
    th_fiber *reader = spawn_handle(&scope, read_one, client_side);
    th_fiber *writer = spawn_handle(&scope, write_without_end, client_side);
    let_others_run();
    ck_assert_int_eq(th_stream_close(client_side), 0);
    ck_assert_int_eq(result_of(reader), -ECANCELED);
    ck_assert_int_eq(result_of(writer), -ECANCELED);
    (void)th_scope_close(&scope);
    free_sides();
}

FIBER_TEST(what_is_kept_below_is_neither_closed_nor_freed)
{
    th_scope scope;
    th_tls_stream_opts keep = { .name = "server.test", .keep_below = 1 };
    make_contexts((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    open_sockets();
    ck_assert_int_eq(shake_as(NULL, &keep, NULL), 0);
    open_scope(&scope);
    th_fiber *reader = spawn_handle(&scope, read_one, client_side);
    let_others_run();
    ck_assert_int_eq(th_stream_close(client_side), -EBUSY);
    write_text(server_side, "x");
    ck_assert_int_eq(result_of(reader), 1);
    (void)th_scope_close(&scope);
    ck_assert_int_eq(th_stream_close(client_side), 0);
    th_stream_free(client_side);
    client_side = client_plain;
    write_text(client_plain, "still there");
    free_sides();
}

/* ---- back to plain ---- */

static th_stream *unwrapped;

static int unwrap(void *arg)
{
    return th_tls_unwrap(arg, &unwrapped);
}

FIBER_TEST(behind_tls_the_connection_is_plain_again)
{
    FOR_BOTH_VERSIONS(i)
    {
        th_scope scope;
        th_stream *plain;
        open_pair(versions[i]);
        write_text(client_side, "safe");
        read_text(server_side, "safe");
        open_scope(&scope);
        spawn(&scope, unwrap, server_side);
        ck_assert_int_eq(th_tls_unwrap(client_side, &plain), 0);
        close_scope(&scope);
        client_side = plain;
        server_side = unwrapped;
        write_text(client_side, "plain");
        read_text(server_side, "plain");
        write_text(server_side, "as well");
        read_text(client_side, "as well");
        free_sides();
    }
}

/* What follows the end at once has been read together with it, and is not lost. */
FIBER_TEST(plain_bytes_right_behind_the_end_are_read)
{
    char buf[64] = "";
    open_pair(0);
    ck_assert_int_eq(th_stream_shutdown(client_side), 0);
    write_text(client_plain, "plain words");
    ck_assert_int_eq(th_tls_unwrap(server_side, &server_side), 0);
    ck_assert_int_eq(th_stream_peek(server_side, buf, 5), 5);
    ck_assert_str_eq(buf, "plain");
    ck_assert_int_eq(server_side->ops->wait(server_side), 0);
    ck_assert_int_eq(th_stream_try_read(server_side, buf, 2), 2);
    read_text(server_side, "ain words");
    ck_assert_int_eq(th_stream_try_read(server_side, buf, 2), -EAGAIN);
    write_text(client_plain, "and more");
    ck_assert_int_eq(th_stream_peek(server_side, buf, 3), 3);
    read_text(server_side, "and more");
    write_text(server_side, "answer");
    ck_assert_int_eq(th_stream_shutdown(server_side), 0);
    ck_assert_int_eq(th_stream_close(server_side), 0);
    ck_assert_int_eq(th_stream_read(server_side, buf, 2), -EBADF);
    free_sides();
}

FIBER_TEST(closed_with_bytes_ahead_nothing_is_read)
{
    char byte;
    th_scope scope;
    open_pair(0);
    ck_assert_int_eq(th_stream_shutdown(client_side), 0);
    write_text(client_plain, "plain words");
    ck_assert_int_eq(th_tls_unwrap(server_side, &server_side), 0);
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_stream_read(server_side, &byte, 1), -ECANCELED);
    ck_assert_int_eq(th_stream_peek(server_side, &byte, 1), -ECANCELED);
    (void)th_scope_close(&scope);
    ck_assert_int_eq(th_stream_close(server_side), 0);
    ck_assert_int_eq(th_stream_read(server_side, &byte, 1), -EBADF);
    ck_assert_int_eq(th_stream_try_read(server_side, &byte, 1), -EBADF);
    free_sides();
}

FIBER_TEST(unread_bytes_stand_against_the_way_back)
{
    th_stream *plain = NULL;
    th_scope scope;
    open_pair(0);
    write_text(client_side, "unread");
    ck_assert_int_eq(th_tls_unwrap(server_side, &plain), -EBUSY);
    ck_assert_ptr_null(plain);
    read_text(server_side, "unread");
    open_scope(&scope);
    spawn(&scope, unwrap, client_side);
    ck_assert_int_eq(th_tls_unwrap(server_side, &server_side), 0);
    close_scope(&scope);
    client_side = unwrapped;
    free_sides();
}

FIBER_TEST(a_cut_is_no_way_back)
{
    th_stream *plain = NULL;
    open_pair(0);
    ck_assert_int_eq(th_stream_shutdown(client_plain), 0);
    ck_assert_int_eq(th_tls_unwrap(server_side, &plain), TH_ETRUNCATED);
    ck_assert_ptr_null(plain);
    free_sides();
}

FIBER_TEST(a_way_back_that_was_broken_off_can_be_taken_again)
{
    th_scope scope;
    th_stream *plain = NULL;
    open_pair(0);
    open_scope_for(&scope, 2 * TH_MILLISECOND);
    ck_assert_int_eq(th_tls_unwrap(server_side, &plain), -ETIMEDOUT);
    (void)th_scope_close(&scope);
    open_scope(&scope);
    spawn(&scope, unwrap, client_side);
    ck_assert_int_eq(th_tls_unwrap(server_side, &server_side), 0);
    close_scope(&scope);
    client_side = unwrapped;
    free_sides();
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "ends");
    add_on_engines(tcase, a_shutdown_ends_one_direction_in_order);
    tcase_add_test(tcase, a_close_says_the_end_as_well);
    add_on_engines(tcase, two_that_finish_agree);
    tcase_add_test(tcase, a_finish_has_a_limit);
    add_on_engines(tcase, an_end_below_is_no_end);
    tcase_add_test(tcase, an_end_within_a_record_is_a_cut);
    tcase_add_test(tcase, a_reset_is_no_end_either);
    tcase_add_test(tcase, data_and_end_in_one_piece_come_in_this_order);
    tcase_add_test(tcase, a_shutdown_on_what_was_shut_below_reports_it);
    tcase_add_test(tcase, a_write_to_one_who_is_gone_fails);
    tcase_add_test(tcase, a_write_that_fails_leaves_what_there_is_to_read);
    add_on_engines(tcase, a_client_that_never_reads_closes_in_order);
    tcase = thi_check_case(suite, "closed by another");
    add_on_engines(tcase, a_close_wakes_who_reads_and_who_writes);
    tcase_add_test(tcase, what_is_kept_below_is_neither_closed_nor_freed);
    tcase = thi_check_case(suite, "back to plain");
    add_on_engines(tcase, behind_tls_the_connection_is_plain_again);
    tcase_add_test(tcase, plain_bytes_right_behind_the_end_are_read);
    tcase_add_test(tcase, closed_with_bytes_ahead_nothing_is_read);
    tcase_add_test(tcase, unread_bytes_stand_against_the_way_back);
    tcase_add_test(tcase, a_cut_is_no_way_back);
    tcase_add_test(tcase, a_way_back_that_was_broken_off_can_be_taken_again);
}

int main(void)
{
    return thi_check_run("tls/close", fill);
}
