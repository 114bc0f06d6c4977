/* SPDX-License-Identifier: MIT */

/* The ring itself, with requests that do nothing and requests that wait. */
#include "check_main.h"

#include "sys/sys.h"
#include "sys/uring.h"

#include <thrum/error.h>

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

static thi_uring ring;

static void open_ring(unsigned requests, unsigned completions)
{
    ck_assert_int_eq(thi_uring_open(&ring, requests, completions), 0);
    ck_assert_int_eq(thi_uring_start(&ring), 0);
}

static void enter(int64_t timeout)
{
    ck_assert_int_eq(thi_uring_enter(&ring, timeout), 0);
}

/* Fills in a request that completes at once. */
static bool fill_nop(uint64_t number)
{
    struct io_uring_sqe *request = thi_uring_request(&ring);
    if (!request)
        return false;
    request->opcode = IORING_OP_NOP;
    request->user_data = number;
    return true;
}

/* Fills in a poll for reading that goes on. */
static void fill_poll(int fd, uint64_t number)
{
    struct io_uring_sqe *request = thi_uring_request(&ring);
    ck_assert_ptr_nonnull(request);
    request->opcode = IORING_OP_POLL_ADD;
    request->fd = fd;
    request->poll_events = POLLIN;
    request->len = IORING_POLL_ADD_MULTI;
    request->user_data = number;
}

START_TEST(request_completes_with_its_number)
{
    open_ring(4, 8);
    ck_assert_uint_eq(thi_uring_pending(&ring), 0);
    ck_assert(fill_nop(77));
    ck_assert_uint_eq(thi_uring_pending(&ring), 0); /* not handed over yet */
    enter(-1);
    ck_assert_uint_eq(thi_uring_pending(&ring), 1);
    thi_uring_done done = thi_uring_take(&ring);
    ck_assert_uint_eq(done.data, 77);
    ck_assert_int_eq(done.result, 0);
    ck_assert_uint_eq(done.flags, 0);
    ck_assert_uint_eq(thi_uring_pending(&ring), 0);
    thi_uring_close(&ring);
}
END_TEST

START_TEST(rings_go_round_many_times)
{
    open_ring(4, 8);
    uint64_t filled = 0, taken = 0;
    for (int round = 0; round < 500; round++) {
        for (int i = 0; i < 3; i++)
            ck_assert(fill_nop(filled++));
        enter(-1);
        while (thi_uring_pending(&ring) > 0)
            ck_assert_uint_eq(thi_uring_take(&ring).data, taken++);
    }
    ck_assert_uint_eq(taken, filled);
    thi_uring_close(&ring);
}
END_TEST

START_TEST(more_requests_than_fit_are_handed_over_on_the_way)
{
    open_ring(4, 8);
    enum { COUNT = 50 }; /* and more completions than fit: the kernel keeps the rest */
    for (uint64_t i = 0; i < COUNT; i++)
        ck_assert(fill_nop(i));
    uint64_t taken = 0;
    while (taken < COUNT) {
        enter(-1);
        for (unsigned n = thi_uring_pending(&ring); n > 0; n--)
            ck_assert_uint_eq(thi_uring_take(&ring).data, taken++);
    }
    enter(0);
    ck_assert_uint_eq(thi_uring_pending(&ring), 0);
    thi_uring_close(&ring);
}
END_TEST

START_TEST(nothing_is_handed_over_before_the_start)
{
    ck_assert_int_eq(thi_uring_open(&ring, 4, 8), 0);
    for (uint64_t i = 0; i < ring.sq_size; i++)
        ck_assert(fill_nop(i));
    ck_assert(!fill_nop(99));
    ck_assert_int_eq(thi_uring_enter(&ring, 0), -EBADFD);
    ck_assert_uint_eq(thi_uring_pending(&ring), 0);
    ck_assert_int_eq(thi_uring_start(&ring), 0);
    enter(-1);
    ck_assert_uint_eq(thi_uring_pending(&ring), ring.sq_size);
    thi_uring_close(&ring);
}
END_TEST

START_TEST(wait_ends_at_its_time_and_not_before)
{
    open_ring(4, 8);
    for (int64_t span = 1; span <= 10000000; span *= 100) {
        int64_t until = thi_sys_clock() + span;
        enter(span);
        ck_assert_int_ge(thi_sys_clock(), until);
        ck_assert_uint_eq(thi_uring_pending(&ring), 0);
    }
    enter(0);
    thi_uring_close(&ring);
}
END_TEST

START_TEST(wait_does_not_begin_while_something_is_pending)
{
    open_ring(4, 8);
    ck_assert(fill_nop(1));
    enter(-1);
    enter(-1); /* nobody took it: a wait would never end */
    ck_assert_uint_eq(thi_uring_pending(&ring), 1);
    thi_uring_close(&ring);
}
END_TEST

START_TEST(finish_goes_on_until_the_request_is_done_for_good)
{
    open_ring(64, 256);
    int fds[60];
    for (int i = 0; i < 60; i++) {
        fds[i] = eventfd(0, EFD_NONBLOCK);
        fill_poll(fds[i], (uint64_t)i + 100);
    }
    enter(0);
    for (int i = 0; i < 60; i++) /* work for the kernel before it gets to the removal */
        ck_assert_int_eq(eventfd_write(fds[i], 1), 0);
    struct io_uring_sqe *request = thi_uring_request(&ring);
    ck_assert_ptr_nonnull(request);
    request->opcode = IORING_OP_ASYNC_CANCEL;
    request->fd = -1;
    request->addr = 159;
    ck_assert_int_eq(thi_uring_finish(&ring, 159), 0);
    int last = 0;
    for (unsigned n = thi_uring_pending(&ring); n > 0; n--) {
        thi_uring_done done = thi_uring_take(&ring);
        if (done.data == 159 && !(done.flags & IORING_CQE_F_MORE))
            last = done.result;
    }
    ck_assert_int_eq(last, -ECANCELED);
    ck_assert_int_eq(thi_uring_finish(&ring, 1), 0); /* there is none: ends too */
    thi_uring_close(&ring);
}
END_TEST

START_TEST(closing_gives_the_descriptor_back)
{
    open_ring(4, 8);
    int fd = ring.fd;
    thi_uring_close(&ring);
    ck_assert_int_eq(close(fd), -1);
    ck_assert_int_eq(errno, EBADF);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "ring");
    tcase_add_test(tcase, request_completes_with_its_number);
    tcase_add_test(tcase, rings_go_round_many_times);
    tcase_add_test(tcase, more_requests_than_fit_are_handed_over_on_the_way);
    tcase_add_test(tcase, nothing_is_handed_over_before_the_start);
    tcase_add_test(tcase, wait_ends_at_its_time_and_not_before);
    tcase_add_test(tcase, wait_does_not_begin_while_something_is_pending);
    tcase_add_test(tcase, finish_goes_on_until_the_request_is_done_for_good);
    tcase_add_test(tcase, closing_gives_the_descriptor_back);
}

int main(void)
{
    int err = thi_uring_open(&ring, 4, 8);
    if (err < 0)
        return thi_check_skip_all("io_uring", th_strerror(err));
    thi_uring_close(&ring);
    return thi_check_run("sys/uring", fill_suite);
}
