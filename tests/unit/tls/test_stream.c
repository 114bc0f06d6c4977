/* SPDX-License-Identifier: MIT */

/* Streams of TLS: bytes both ways over whatever carries them, by every call that streams have. */
#include "streams.h"

#include "base/alloc.h"
#include "io/stream.h"

#include <thrum/addr.h>
#include <thrum/file.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- carriers ---- */

#define BIG ((size_t)1000 * 1000)

static char big_out[BIG], big_in[BIG];

static int write_big(void *arg)
{
    ssize_t n = th_stream_write(arg, big_out, BIG);
    return n < 0 ? (int)n : th_stream_shutdown(arg);
}

/* A lot in each direction at the same time, each end with a reader and a writer. */
static void talk_both_ways(void)
{
    static char other_in[BIG];
    char byte;
    th_scope scope;
    for (size_t i = 0; i < BIG; i++)
        big_out[i] = (char)(i * 31 + i / 509);
    open_scope(&scope);
    spawn(&scope, write_big, client_side);
    spawn(&scope, write_big, server_side);
    ck_assert_int_eq(th_stream_read_all(server_side, big_in, BIG), (ssize_t)BIG);
    ck_assert_int_eq(th_stream_read_all(client_side, other_in, BIG), (ssize_t)BIG);
    ck_assert_mem_eq(big_in, big_out, BIG);
    ck_assert_mem_eq(other_in, big_out, BIG);
    ck_assert_int_eq(th_stream_read(server_side, &byte, 1), TH_EOF);
    ck_assert_int_eq(th_stream_read(client_side, &byte, 1), TH_EOF);
    ck_assert_int_eq(th_stream_read(client_side, &byte, 1), TH_EOF);
    close_scope(&scope);
}

/* The smallest leaves room for one byte at a time. */
static const size_t memory_sizes[] = { 1, 7, 1000, 0 };

static int write_hello(void *arg)
{
    ssize_t n = th_stream_write(arg, "hello", 5);
    return n < 0 ? (int)n : 0;
}

FIBER_TEST(everything_arrives_over_memory)
{
    th_scope scope;
    for (size_t i = 0; i < thi_array_len(memory_sizes); i++) {
        make_contexts((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
        open_memory(memory_sizes[i]);
        shake_well();
        open_scope(&scope);
        spawn(&scope, write_hello, client_side);
        read_text(server_side, "hello");
        close_scope(&scope);
        if (memory_sizes[i] != 1) /* which takes its time */
            talk_both_ways();
        free_sides();
    }
}

FIBER_TEST(everything_arrives_over_sockets)
{
    make_contexts((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    open_sockets();
    shake_well();
    talk_both_ways();
    free_sides();
}

FIBER_TEST(everything_arrives_in_tls_1_2)
{
    make_contexts((th_tls_opts){ .max_version = TH_TLS_1_2 }, (th_tls_opts){ 0 });
    open_sockets();
    shake_well();
    talk_both_ways();
    free_sides();
}

FIBER_TEST(tls_carries_tls)
{
    make_contexts((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    open_sockets();
    shake_well();
    server_plain = server_side;
    client_plain = client_side;
    shake_well();
    talk_both_ways();
    free_sides();
}

/* ---- the calls ---- */

static void open_pair(void)
{
    make_contexts((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    open_sockets();
    shake_well();
}

FIBER_TEST(peeked_bytes_stay)
{
    char buf[8] = "";
    open_pair();
    write_text(client_side, "abcdef");
    ck_assert_int_eq(th_stream_peek(server_side, buf, 3), 3);
    ck_assert_str_eq(buf, "abc");
    ck_assert_int_eq(th_stream_peek(server_side, buf, 0), 0);
    read_text(server_side, "abcdef");
    free_sides();
}

FIBER_TEST(tries_do_not_wait)
{
    char buf[8] = "";
    open_pair();
    ck_assert_int_eq(th_stream_try_read(server_side, buf, sizeof buf), -EAGAIN);
    ck_assert_int_eq(th_stream_try_write(client_side, "abc", 3), 3);
    ck_assert_int_eq(server_side->ops->wait(server_side), 0);
    ck_assert_int_eq(th_stream_try_read(server_side, buf, sizeof buf), 3);
    ck_assert_str_eq(buf, "abc");
    ck_assert_int_eq(th_stream_try_read(server_side, buf, sizeof buf), -EAGAIN);
    ck_assert_int_eq(th_stream_try_read(server_side, buf, 0), 0);
    free_sides();
}

static int wait_for_bytes(void *arg)
{
    th_stream *stream = arg;
    int err = stream->ops->wait(stream);
    note('w');
    return err;
}

/* Records that carry nothing for the user are no reason to wake who waits for bytes. */
FIBER_TEST(a_wait_ends_with_bytes_of_the_users)
{
    th_scope scope;
    open_pair();
    open_scope(&scope);
    spawn(&scope, wait_for_bytes, client_side);
    let_others_run();
    ck_assert_str_eq(trace, ""); /* though the tickets of the server have come */
    write_text(server_side, "abc");
    close_scope(&scope);
    ck_assert_str_eq(trace, "w");
    ck_assert_int_eq(client_side->ops->wait(client_side), 0); /* they are decrypted, and count */
    read_text(client_side, "abc");
    free_sides();
}

/* What a try has taken and the carrier has not goes its way although nobody comes back for it. */
FIBER_TEST(what_a_try_has_taken_arrives)
{
    static char data[10000], got[sizeof data];
    make_contexts((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    open_memory(100);
    shake_well();
    let_others_run();
    memset(data, 'x', sizeof data);
    ssize_t n = th_stream_try_write(client_side, data, sizeof data);
    ck_assert_int_eq(n, (ssize_t)sizeof data);
    ck_assert_int_eq(th_stream_try_write(client_side, data, sizeof data), -EAGAIN);
    ck_assert_int_eq(th_stream_read_all(server_side, got, sizeof got), (ssize_t)sizeof got);
    ck_assert_mem_eq(data, got, sizeof got);
    free_sides();
}

FIBER_TEST(a_stream_may_go_and_its_rest_still_arrives)
{
    static char data[10000];
    make_contexts((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    open_memory(100);
    shake_well();
    let_others_run();
    ck_assert_int_gt(th_stream_try_write(client_side, data, sizeof data), 0);
    let_others_run();
    th_stream_free(client_side);
    client_side = NULL;
    ck_assert_int_eq(th_stream_read_all(server_side, data, sizeof data), (ssize_t)sizeof data);
    ck_assert_int_eq(th_stream_read(server_side, data, 1), TH_EOF);
    free_sides();
}

FIBER_TEST(small_pieces_share_a_record)
{
    char head[5];
    struct iovec iov[4] = { { (void *)(uintptr_t) "abc", 3 },
                            { NULL, 0 },
                            { (void *)(uintptr_t) "de", 2 },
                            { (void *)(uintptr_t) "f", 1 } };
    open_pair();
    ck_assert_int_eq(th_stream_writev(client_side, iov, 4), 6);
    ck_assert_int_eq(th_stream_peek(server_plain, head, sizeof head), sizeof head);
    ck_assert_int_eq(head[4], 6 + 17); /* one record: the bytes, their type, the tag */
    read_text(server_side, "abcdef");
    free_sides();
}

FIBER_TEST(a_file_is_sent)
{
    char name[] = "/tmp/thrum-tls-XXXXXX";
    static char data[100 * 1000], got[sizeof data];
    int fd = mkstemp(name);
    ck_assert_int_ge(fd, 0);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 13 + i / 301);
    ck_assert_int_eq(write(fd, data, sizeof data), (ssize_t)sizeof data);
    open_pair();
    ck_assert_int_eq(th_stream_sendfile(client_side, fd, 7, sizeof data), (ssize_t)sizeof data - 7);
    ck_assert_int_eq(th_stream_read_all(server_side, got, sizeof data - 7),
                     (ssize_t)sizeof data - 7);
    ck_assert_mem_eq(data + 7, got, sizeof data - 7);
    close(fd);
    unlink(name);
    free_sides();
}

FIBER_TEST(addresses_and_descriptor_are_those_below)
{
    th_addr below, above;
    open_pair();
    ck_assert_int_eq(th_stream_local(server_plain, &below), 0);
    ck_assert_int_eq(th_stream_local(server_side, &above), 0);
    ck_assert_int_eq(below.kind, above.kind);
    ck_assert_int_eq(th_stream_peer(server_side, &above), 0);
    ck_assert_int_eq(server_side->ops->descriptor(server_side),
                     server_plain->ops->descriptor(server_plain));
    ck_assert_int_eq(th_stream_detach(server_side), -EOPNOTSUPP);
    free_sides();
}

static int read_one(void *arg)
{
    char byte;
    ssize_t n = th_stream_read(arg, &byte, 1);
    return n == 1 ? 0 : (int)n;
}

FIBER_TEST(a_second_reader_is_busy)
{
    char byte;
    th_scope scope;
    open_pair();
    open_scope(&scope);
    th_fiber *first = spawn_handle(&scope, read_one, server_side);
    let_others_run();
    ck_assert_int_eq(th_stream_read(server_side, &byte, 1), -EBUSY);
    ck_assert_int_eq(th_stream_peek(server_side, &byte, 1), -EBUSY);
    ck_assert_int_eq(th_stream_try_read(server_side, &byte, 1), -EBUSY);
    write_text(server_side, "written while another one reads");
    write_text(client_side, "x");
    int result;
    ck_assert_int_eq(th_join(first, &result), 0);
    ck_assert_int_eq(result, 0);
    th_fiber_unref(first);
    close_scope(&scope);
    read_text(client_side, "written while another one reads");
    free_sides();
}

FIBER_TEST(a_cancelled_scope_reads_and_writes_nothing)
{
    char byte;
    th_scope scope;
    open_pair();
    write_text(client_side, "x");
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_stream_read(server_side, &byte, 1), -ECANCELED);
    ck_assert_int_eq(th_stream_write(server_side, "y", 1), -ECANCELED);
    (void)th_scope_close(&scope);
    read_text(server_side, "x");
    ck_assert_int_eq(th_stream_try_read(client_side, &byte, 1), -EAGAIN);
    free_sides();
}

FIBER_TEST(a_deadline_ends_a_read_and_the_next_one_goes_on)
{
    char byte;
    th_scope scope;
    open_pair();
    open_scope_for(&scope, 5 * TH_MILLISECOND);
    ck_assert_int_eq(th_stream_read(server_side, &byte, 1), -ETIMEDOUT);
    (void)th_scope_close(&scope);
    write_text(client_side, "x");
    read_text(server_side, "x");
    free_sides();
}

/* The record was made, so its bytes count as written; they arrive with what comes next. */
FIBER_TEST(a_write_that_was_broken_off_loses_nothing)
{
    static char data[50000], got[sizeof data];
    th_scope scope;
    make_contexts((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    open_memory(1000);
    shake_well();
    let_others_run();
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i % 127);
    open_scope_for(&scope, 5 * TH_MILLISECOND);
    struct iovec iov = { data, sizeof data };
    ssize_t n = client_side->ops->writev(client_side, &iov, 1);
    ck_assert_int_eq(n, (ssize_t)sizeof data); /* fewer than the four records of a step */
    (void)th_scope_close(&scope);
    open_scope(&scope);
    spawn(&scope, read_one, client_side);
    ck_assert_int_gt(th_stream_try_write(client_side, "end", 3), -EBUSY);
    ck_assert_int_eq(th_stream_read_all(server_side, got, sizeof got), (ssize_t)sizeof got);
    ck_assert_mem_eq(data, got, sizeof got);
    write_text(server_side, "x");
    close_scope(&scope);
    free_sides();
}

/* ---- misuse ---- */

FIBER_TEST(misuse_is_told)
{
    th_stream *stream = NULL, *plain = NULL;
    th_tls_info info = { .size = 1 };
    make_contexts((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    open_sockets();
    ck_assert_int_eq(th_tls_server(NULL, server_plain, NULL, &stream), -EINVAL);
    ck_assert_int_eq(th_tls_server(server_tls, NULL, NULL, &stream), -EINVAL);
    ck_assert_int_eq(th_tls_server(server_tls, server_plain, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_tls_server(client_tls, server_plain, NULL, &stream), -EINVAL);
    ck_assert_int_eq(th_tls_client(client_tls, client_plain, NULL, &stream), -EINVAL);
    th_tls_stream_opts opts = { .size = sizeof opts + 1 };
    ck_assert_int_eq(th_tls_server(server_tls, server_plain, &opts, &stream), -EINVAL);
    ck_assert_ptr_null(stream);
    ck_assert_int_eq(th_tls_handshake(NULL), -EINVAL);
    ck_assert_int_eq(th_tls_handshake(server_plain), -EINVAL);
    ck_assert_int_eq(th_tls_info_get(server_plain, &info), -EINVAL);
    ck_assert_int_eq(th_tls_unwrap(server_plain, &plain), -EINVAL);
    ck_assert_int_eq(th_tls_cert_get(server_plain, TH_TLS_CERTS_SENT, 0, NULL, 0), -EINVAL);
    shake_well();
    ck_assert_int_eq(th_tls_info_get(server_side, &info), -EINVAL);
    ck_assert_int_eq(th_tls_info_get(server_side, NULL), -EINVAL);
    ck_assert_int_eq(th_tls_cert_get(server_side, 0, 0, NULL, 0), -EINVAL);
    ck_assert_int_eq(th_tls_cert_get(server_side, 4, 0, NULL, 0), -EINVAL);
    ck_assert_int_eq(th_tls_unwrap(server_side, NULL), -EINVAL);
    free_sides();
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "carriers");
    tcase_set_timeout(tcase, 30);
    add_on_engines(tcase, everything_arrives_over_memory);
    add_on_engines(tcase, everything_arrives_over_sockets);
    add_on_engines(tcase, everything_arrives_in_tls_1_2);
    add_on_engines(tcase, tls_carries_tls);
    tcase = thi_check_case(suite, "calls");
    tcase_add_test(tcase, peeked_bytes_stay);
    add_on_engines(tcase, tries_do_not_wait);
    add_on_engines(tcase, a_wait_ends_with_bytes_of_the_users);
    tcase_add_test(tcase, what_a_try_has_taken_arrives);
    tcase_add_test(tcase, a_stream_may_go_and_its_rest_still_arrives);
    tcase_add_test(tcase, small_pieces_share_a_record);
    tcase_add_test(tcase, a_file_is_sent);
    tcase_add_test(tcase, addresses_and_descriptor_are_those_below);
    add_on_engines(tcase, a_second_reader_is_busy);
    add_on_engines(tcase, a_cancelled_scope_reads_and_writes_nothing);
    add_on_engines(tcase, a_deadline_ends_a_read_and_the_next_one_goes_on);
    tcase_add_test(tcase, a_write_that_was_broken_off_loses_nothing);
    tcase_add_test(tcase, misuse_is_told);
}

int main(void)
{
    return thi_check_run("tls/stream", fill);
}
