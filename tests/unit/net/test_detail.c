/* SPDX-License-Identifier: MIT */

/* The detail of a failure on the network is its own: none of them leaves the text of another. */
#include "net/pair.h"

#include "base/alloc.h"
#include "base/error.h"
#include "sys/fault.h"

#include <thrum/addr.h>
#include <thrum/dial.h>
#include <thrum/http.h>
#include <thrum/serve.h>

/* The call fails so after another failure, whose text must be gone. */
#define fails_bare(call, code)                                                                     \
    do {                                                                                           \
        thi_err_set(-EIO, "of another call");                                                      \
        ck_assert_int_eq(call, code);                                                              \
        ck_assert_str_eq(th_err_detail(), "");                                                     \
    } while (0)

/* The same, with a text of its own that contains `part`. */
#define fails_with(call, code, part)                                                               \
    do {                                                                                           \
        thi_err_set(-EIO, "of another call");                                                      \
        ck_assert_int_eq(call, code);                                                              \
        ck_assert_msg(strstr(th_err_detail(), part) != NULL, "%s", th_err_detail());               \
    } while (0)

static int serve_nobody(th_stream *stream, void *arg)
{
    (void)stream;
    (void)arg;
    return 0;
}

static int answer_nobody(th_http_request *request, th_http_reply *reply, void *arg)
{
    (void)request;
    (void)reply;
    (void)arg;
    return 0;
}

/* ---- streams --------------------------------------------------------------------------------- */

FIBER_TEST(steps_that_are_refused)
{
    char buf[4];
    th_addr addr;
    pair p = open_pair();
    th_stream_close(p.stream);
    fails_bare(th_stream_read(p.stream, buf, 1), -EBADF);
    fails_bare(th_stream_write(p.stream, buf, 1), -EBADF);
    fails_bare(th_stream_sendfile(p.stream, 0, 0, 1), -EBADF);
    fails_bare(th_stream_shutdown(p.stream), -EBADF);
    fails_bare(th_stream_close(p.stream), -EBADF);
    fails_bare(th_stream_peer(p.stream, &addr), -EBADF);
    fails_bare(th_stream_local(p.stream, &addr), -EBADF);
    close_pair(&p);
}

FIBER_TEST(a_write_to_a_peer_that_has_gone)
{
    pair p = open_pair();
    close_peer(&p);
    fails_bare(th_stream_write(p.stream, "x", 1), -EPIPE);
    fails_bare(th_stream_writev(p.stream, &(struct iovec){ "x", 1 }, 1), -EPIPE);
    close_pair(&p);
}

FIBER_TEST(the_end_of_a_stream)
{
    char buf[4];
    pair p = open_pair();
    close_peer(&p);
    fails_bare(th_stream_read(p.stream, buf, 1), TH_EOF);
    fails_bare(th_stream_read_all(p.stream, buf, 1), TH_EOF);
    close_pair(&p);
}

FIBER_TEST(the_end_of_a_scope)
{
    char buf[4];
    th_scope scope;
    pair p = open_pair();
    open_cancelled_scope(&scope);
    fails_bare(th_stream_read(p.stream, buf, 1), -ECANCELED);
    fails_bare(th_stream_write(p.stream, buf, 1), -ECANCELED);
    th_scope_close(&scope);
    open_scope_for(&scope, TH_MILLISECOND);
    fails_bare(th_stream_read(p.stream, buf, 1), -ETIMEDOUT); /* having waited */
    th_scope_close(&scope);
    close_pair(&p);
}

FIBER_TEST(a_file_that_is_none_and_a_peer_that_has_gone)
{
    pair p = open_tcp_pair();
    th_addr addr;
    fails_bare(th_stream_sendfile(p.stream, 1000, 0, 1), -EBADF);
    reset_peer(&p);
    fails_bare(th_stream_peer(p.stream, &addr), -ENOTCONN);
    fails_bare(th_stream_shutdown(p.stream), -ENOTCONN);
    close_pair(&p);
}

/* A connection ends with a failure as a rule: that must not cost each of them a text's memory. */
FIBER_TEST(a_fiber_that_has_nothing_to_tell_keeps_no_text)
{
    char buf[4];
    pair p = open_pair();
    close_peer(&p);
    ck_assert_int_eq(th_stream_read(p.stream, buf, 1), TH_EOF);
    ck_assert_int_eq(th_stream_write(p.stream, buf, 1), -EPIPE);
    ck_assert_str_eq(th_err_detail(), "");
    ck_assert_ptr_null(thi_sched_self()->detail);
    close_pair(&p);
}

static int fail_without_memory(void *arg)
{
    (void)arg;
    thi_alloc_fail_at(1);
    ck_assert_int_eq(thi_err_set(-EIO, "a text for which there is no room"), -EIO);
    ck_assert_str_eq(th_err_detail(), "");
    return 0;
}

START_TEST(a_text_that_finds_no_memory_is_nobody_elses)
{
    thi_err_set(-EIO, "of the thread");
    run_in_fiber(1, 0, fail_without_memory, NULL);
    ck_assert_str_eq(th_err_detail(), "of the thread");
}
END_TEST

/* ---- dialling and listening -------------------------------------------------------------------
 */

FIBER_TEST(dialling)
{
    th_stream *stream = NULL;
    th_addr addr;
    th_scope scope;
    fails_bare(th_addr_parse(NULL, &addr), -EINVAL);
    fails_bare(th_dial(NULL, NULL, &stream), -EINVAL);
    fails_bare(th_dial("127.0.0.1:1", NULL, NULL), -EINVAL);
    fails_with(th_dial("nonsense", NULL, &stream), TH_EADDRESS, "nonsense");
    fails_with(th_dial("unix:/nowhere/at/all", NULL, &stream), -ENOENT, "/nowhere/at/all");
    open_cancelled_scope(&scope);
    fails_with(th_dial("127.0.0.1:1", NULL, &stream), -ECANCELED, "127.0.0.1:1");
    th_scope_close(&scope);
}

START_TEST(outside_of_a_fiber)
{
    th_stream *stream = NULL;
    th_listener *l = NULL;
    ck_assert_int_eq(th_listen("127.0.0.1:0", NULL, &l), 0);
    fails_bare(th_dial("127.0.0.1:1", NULL, &stream), -EPERM);
    fails_bare(th_serve("127.0.0.1:0", serve_nobody, NULL, NULL), -EPERM);
    fails_bare(th_serve_on(&l, 1, serve_nobody, NULL, NULL), -EPERM);
    fails_bare(th_http_serve("127.0.0.1:0", answer_nobody, NULL, NULL), -EPERM);
    fails_bare(th_http_serve_on(&l, 1, answer_nobody, NULL, NULL), -EPERM);
    th_listener_close(l);
}
END_TEST

START_TEST(listening)
{
    th_listener *l = NULL;
    fails_bare(th_listen(NULL, NULL, &l), -EINVAL);
    fails_bare(th_listen("127.0.0.1:0", NULL, NULL), -EINVAL);
    fails_bare(th_listen("127.0.0.1:0", &(th_listen_opts){ .backlog = -1 }, &l), -EINVAL);
    fails_with(th_listen("nonsense", NULL, &l), TH_EADDRESS, "nonsense");
    fails_with(th_listen("unix:/nowhere/at/all", NULL, &l), -ENOENT, "/nowhere/at/all");
    thi_alloc_fail_at(1);
    fails_bare(th_listen("127.0.0.1:0", NULL, &l), -ENOMEM);
    thi_fault_begin(1, EMFILE);
    fails_with(th_listen("127.0.0.1:0", NULL, &l), -EMFILE, "127.0.0.1:0");
    thi_fault_end();
}
END_TEST

/* ---- serving --------------------------------------------------------------------------------- */

FIBER_TEST(serving)
{
    th_listener *l = NULL;
    th_http_opts wrong = { .size = sizeof wrong + 1 };
    ck_assert_int_eq(th_listen("127.0.0.1:0", NULL, &l), 0);
    fails_bare(th_serve_on(NULL, 1, serve_nobody, NULL, NULL), -EINVAL);
    fails_bare(th_serve_on(&l, 1, NULL, NULL, NULL), -EINVAL);
    fails_bare(th_serve(NULL, serve_nobody, NULL, NULL), -EINVAL);
    fails_with(th_serve("nonsense", serve_nobody, NULL, NULL), TH_EADDRESS, "nonsense");
    fails_bare(th_http_serve_on(NULL, 1, answer_nobody, NULL, NULL), -EINVAL);
    fails_bare(th_http_serve_on(&l, 1, answer_nobody, NULL, &wrong), -EINVAL);
    fails_bare(th_http_serve(NULL, answer_nobody, NULL, NULL), -EINVAL);
    fails_with(th_http_serve("nonsense", answer_nobody, NULL, NULL), TH_EADDRESS, "nonsense");
    thi_alloc_fail_at(1);
    fails_bare(th_serve_on(&l, 1, serve_nobody, NULL, NULL), -ENOMEM);
    th_listener_close(l);
}

FIBER_TEST_ON(2, serving_in_a_scope_that_ends)
{
    th_scope scope;
    open_cancelled_scope(&scope);
    fails_bare(th_serve("127.0.0.1:0", serve_nobody, NULL, NULL), -ECANCELED);
    fails_bare(th_http_serve("127.0.0.1:0", answer_nobody, NULL, NULL), -ECANCELED);
    th_scope_close(&scope);
    open_scope_for(&scope, 5 * TH_MILLISECOND);
    fails_bare(th_serve("127.0.0.1:0", serve_nobody, NULL, NULL), -ETIMEDOUT);
    th_scope_close(&scope);
    open_scope_for(&scope, 5 * TH_MILLISECOND);
    fails_bare(th_http_serve("127.0.0.1:0", answer_nobody, NULL, NULL), -ETIMEDOUT);
    th_scope_close(&scope);
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "streams");
    tcase_add_test(tcase, steps_that_are_refused);
    tcase_add_test(tcase, a_write_to_a_peer_that_has_gone);
    tcase_add_test(tcase, the_end_of_a_stream);
    tcase_add_test(tcase, the_end_of_a_scope);
    tcase_add_test(tcase, a_file_that_is_none_and_a_peer_that_has_gone);
    tcase_add_test(tcase, a_fiber_that_has_nothing_to_tell_keeps_no_text);
    tcase_add_test(tcase, a_text_that_finds_no_memory_is_nobody_elses);
    tcase = thi_check_case(suite, "endpoints");
    tcase_add_test(tcase, dialling);
    tcase_add_test(tcase, outside_of_a_fiber);
    tcase_add_test(tcase, listening);
    tcase = thi_check_case(suite, "serving");
    tcase_add_test(tcase, serving);
    tcase_add_test(tcase, serving_in_a_scope_that_ends);
}

int main(void)
{
    return thi_check_run("net/detail", fill_suite);
}
