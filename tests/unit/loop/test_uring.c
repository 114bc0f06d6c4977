/* SPDX-License-Identifier: MIT */

/* What only io_uring has: rings that run full, older kernels, and one that refuses or loses. */
#include "engines_table.h"

#include "sys/machine.h"
#include "sys/uring.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>

static void open_uring(void)
{
    ck_assert_int_eq(thi_loop_open(&loop, &thi_engine_uring), 0);
}

#define MANY 4500 /* more than the rings hold */

static thi_watch many[MANY];
static int reads[MANY];
static int told; /* how many of them were told to read */

static void count_reads(thi_watch *watch, unsigned events)
{
    if (events & THI_READ)
        told += reads[watch - many]++ == 0;
}

/* Watches so many descriptors, or as many as the process may have; returns how many. */
static int watch_many(int wanted, unsigned readable)
{
    int count = thi_min(wanted, (int)thi_machine_raise_nofile() - 100);
    for (int i = 0; i < count; i++) {
        int fd = eventfd(readable, EFD_NONBLOCK);
        ck_assert_int_eq(thi_loop_watch(&loop, &many[i], fd, 0, count_reads), 0);
    }
    return count;
}

START_TEST(more_watches_than_requests_fit_before_the_first_turn)
{
    open_uring();
    int count = watch_many(1000, 1);
    turn_until(told == count);
}
END_TEST

START_TEST(more_events_than_completions_fit_all_arrive)
{
    open_uring();
    int count = watch_many(MANY, 0);
    settle();
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(eventfd_write(many[i].fd, 1), 0);
    turn_until(told == count);
}
END_TEST

static unsigned heard;
static int times;

static void hear(thi_watch *watch, unsigned events)
{
    (void)watch;
    heard = events;
    times++;
}

START_TEST(descriptor_closed_before_the_kernel_saw_it_is_told_once_per_want)
{
    open_uring();
    int fd = eventfd(0, EFD_NONBLOCK);
    ck_assert_int_eq(thi_loop_watch(&loop, &many[0], fd, 0, hear), 0);
    close(fd);
    settle();
    ck_assert_int_eq(times, 1);
    ck_assert_uint_eq(heard, THI_READ | THI_WRITE | THI_HUP);
    ck_assert_int_eq(thi_loop_want(&loop, &many[0], THI_READ), 0);
    ck_assert_int_eq(thi_loop_want(&loop, &many[0], THI_WRITE), 0);
    settle();
    ck_assert_int_eq(times, 2);
    thi_loop_unwatch(&loop, &many[0]);
    settle();
    ck_assert_int_eq(times, 2);
}
END_TEST

#define PIPES 400

static int writers[PIPES];

/* Watches the reading ends of many pipes. */
static void watch_pipes(void)
{
    signal(SIGPIPE, SIG_IGN);
    ck_assert_int_gt(thi_machine_raise_nofile(), 2 * PIPES + 50);
    for (int i = 0; i < PIPES; i++) {
        int ends[2];
        ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
        writers[i] = ends[1];
        ck_assert_int_eq(thi_loop_watch(&loop, &many[i], ends[0], 0, count_reads), 0);
    }
    settle();
}

/* Closing the reading end closes the pipe: the kernel holds no reference to it. */
static void assert_given_back(int i, int reader)
{
    close(reader);
    ck_assert_int_eq(write(writers[i], "x", 1), -1);
    ck_assert_int_eq(errno, EPIPE);
}

START_TEST(removing_many_gives_every_file_back_at_once)
{
    open_uring();
    watch_pipes();
    for (int i = 0; i < PIPES; i++) {
        int fd = many[i].fd;
        thi_loop_unwatch(&loop, &many[i]);
        assert_given_back(i, fd);
    }
}
END_TEST

START_TEST(closing_the_loop_gives_every_file_back_at_once)
{
    open_uring();
    watch_pipes();
    thi_loop_close(&loop);
    for (int i = 0; i < PIPES; i++)
        assert_given_back(i, many[i].fd);
}
END_TEST

START_TEST(removal_is_not_held_up_by_the_events_of_others)
{
    open_uring();
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    int count = watch_many(300, 0);
    ck_assert_int_eq(thi_loop_watch(&loop, &many[count], pair[0], 0, count_reads), 0);
    settle();
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(eventfd_write(many[i].fd, 1), 0);
    thi_loop_unwatch(&loop, &many[count]);
    close(pair[0]);
    char byte;
    ck_assert_int_eq(recv(pair[1], &byte, 1, 0), 0);
    turn_until(told == count);
}
END_TEST

/* ---- a kernel with a will of its own ------------------------------------------------------------
 */

/* The table of system calls that a test puts into force for itself. */
static thi_sys table;

static void change_table(void)
{
    table = thi_sys_real;
    thi_sys_table = &table;
}

static int calls_to_refuse;
static int refusal;

static int refusing_enter(int fd, unsigned submit, unsigned want, unsigned flags, void *arg,
                          size_t size)
{
    if (calls_to_refuse == 0)
        return thi_sys_real.uring_enter(fd, submit, want, flags, arg, size);
    calls_to_refuse--;
    return refusal;
}

static void refuse(int calls, int error)
{
    change_table();
    table.uring_enter = refusing_enter;
    calls_to_refuse = calls;
    refusal = error;
}

static const int passing[] = { -EAGAIN, -EBUSY, -ENOMEM };

START_TEST(kernel_out_of_room_for_a_while_loses_no_watch)
{
    open_uring();
    settle();
    refuse(2000, passing[_i]);
    int count = watch_many(1000, 1);
    turn_until(told == count);
    ck_assert_int_eq(calls_to_refuse, 0);
    thi_loop_wake(&loop); /* the loop's own watch lives too */
    ck_assert_int_ge(thi_loop_turn(&loop, INT64_MAX), 0);
}
END_TEST

START_TEST(kernel_without_room_for_a_new_request_of_the_waker_gets_it_later)
{
    open_uring();
    settle();
    thi_loop_wake(&loop);
    refuse(0, -EAGAIN);
    turn_until(loop.events == 1);
    calls_to_refuse = 600; /* the ring fills up while the waker's next request is in it */
    int count = watch_many(300, 1);
    turn_until(told == count);
    for (uint64_t events = loop.events; loop.events == events;) {
        thi_loop_wake(&loop);
        ck_assert_int_ge(thi_loop_turn(&loop, INT64_MAX), 0);
    }
}
END_TEST

START_TEST(other_failure_of_the_wait_is_told)
{
    open_uring();
    settle();
    refuse(1, -EBADF);
    ck_assert_int_eq(thi_loop_turn(&loop, 0), -EBADF);
    ck_assert_int_eq(thi_loop_turn(&loop, 0), 0);
}
END_TEST

/*
 * The submission ring is full and the kernel takes nothing while a watch is removed. Its request
 * then lives until it is heard of again: the peer's byte is that.
 */
START_TEST(removal_that_the_kernel_did_not_take_is_made_up_for)
{
    open_uring();
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    ck_assert_int_eq(thi_loop_watch(&loop, &many[400], pair[0], 0, count_reads), 0);
    settle();
    refuse(1000, -EAGAIN);
    (void)watch_many(300, 0);
    thi_loop_unwatch(&loop, &many[400]);
    close(pair[0]);
    calls_to_refuse = 0;
    settle();
    (void)send(pair[1], "x", 1, MSG_NOSIGNAL);
    settle();
    ck_assert_int_eq(told, 0);
    ck_assert_int_eq(send(pair[1], "x", 1, MSG_NOSIGNAL), -1);
    ck_assert_int_eq(errno, EPIPE);
}
END_TEST

/* The rings as the kernel laid them out for us. */
static struct io_uring_params params;
static char *rings;

static int spying_setup(unsigned entries, void *arg)
{
    int fd = thi_sys_real.uring_setup(entries, arg);
    params = *(struct io_uring_params *)arg;
    return fd;
}

static int spying_mmap(void **at, size_t n, int prot, int flags, int fd, off_t offset)
{
    int err = thi_sys_real.mmap(at, n, prot, flags, fd, offset);
    if (err == 0 && offset == IORING_OFF_SQ_RING)
        rings = *at;
    return err;
}

/* What a kernel does that had no memory to keep completions: they are gone, and it says so. */
static int losing_enter(int fd, unsigned submit, unsigned want, unsigned flags, void *arg,
                        size_t size)
{
    int got = thi_sys_real.uring_enter(fd, submit, want, flags, arg, size);
    if (calls_to_refuse == 0)
        return got;
    calls_to_refuse--;
    memcpy(rings + params.cq_off.head, rings + params.cq_off.tail, sizeof(unsigned));
    return -EBADR;
}

START_TEST(completions_that_the_kernel_lost_are_made_up_for)
{
    change_table();
    table.uring_setup = spying_setup;
    table.mmap = spying_mmap;
    table.uring_enter = losing_enter;
    open_uring();
    settle();
    int count = watch_many(600, 1);
    calls_to_refuse = _i;
    thi_loop_wake(&loop);
    turn_until(told == count);
    ck_assert_int_eq(calls_to_refuse, 0);
    for (uint64_t events = loop.events; loop.events == events;) {
        thi_loop_wake(&loop);
        ck_assert_int_ge(thi_loop_turn(&loop, INT64_MAX), 0);
    }
}
END_TEST

/* ---- older kernels ------------------------------------------------------------------------------
 */

static unsigned known_flags;

static int older_setup(unsigned entries, void *arg)
{
    const struct io_uring_params *asked = arg;
    return asked->flags & ~known_flags ? -EINVAL : thi_sys_real.uring_setup(entries, arg);
}

static const unsigned generations[] = {
    IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED,
    IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED | IORING_SETUP_COOP_TASKRUN,
    IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED | IORING_SETUP_COOP_TASKRUN |
        IORING_SETUP_SINGLE_ISSUER,
};

START_TEST(kernel_that_knows_fewer_flags_does_the_same)
{
    change_table();
    table.uring_setup = older_setup;
    known_flags = generations[_i];
    open_uring();
    int count = watch_many(10, 1);
    turn_until(told == count);
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    ck_assert_int_eq(thi_loop_watch(&loop, &many[10], pair[0], 0, count_reads), 0);
    settle();
    thi_loop_unwatch(&loop, &many[10]);
    close(pair[0]);
    char byte;
    ck_assert_int_eq(recv(pair[1], &byte, 1, 0), 0);
}
END_TEST

START_TEST(kernel_that_knows_none_of_the_flags_is_refused)
{
    int before = count_descriptors();
    change_table();
    table.uring_setup = older_setup;
    ck_assert_int_eq(thi_loop_open(&loop, &thi_engine_uring), -EINVAL);
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

static int featureless_setup(unsigned entries, void *arg)
{
    int fd = thi_sys_real.uring_setup(entries, arg);
    ((struct io_uring_params *)arg)->features &= ~(unsigned)IORING_FEAT_RSRC_TAGS;
    return fd;
}

START_TEST(kernel_without_multishot_polls_is_refused)
{
    int before = count_descriptors();
    change_table();
    table.uring_setup = featureless_setup;
    ck_assert_int_eq(thi_loop_open(&loop, &thi_engine_uring), -ENOSYS);
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "full");
    tcase_add_test(tcase, more_watches_than_requests_fit_before_the_first_turn);
    tcase_add_test(tcase, more_events_than_completions_fit_all_arrive);
    tcase_add_test(tcase, descriptor_closed_before_the_kernel_saw_it_is_told_once_per_want);
    tcase_add_test(tcase, removing_many_gives_every_file_back_at_once);

    tcase_add_test(tcase, closing_the_loop_gives_every_file_back_at_once);
    tcase_add_test(tcase, removal_is_not_held_up_by_the_events_of_others);

    tcase = thi_check_case(suite, "refusing");
    tcase_add_loop_test(tcase, kernel_out_of_room_for_a_while_loses_no_watch, 0,
                        (int)thi_array_len(passing));
    tcase_add_test(tcase, kernel_without_room_for_a_new_request_of_the_waker_gets_it_later);
    tcase_add_test(tcase, other_failure_of_the_wait_is_told);
    tcase_add_test(tcase, removal_that_the_kernel_did_not_take_is_made_up_for);
    tcase_add_loop_test(tcase, completions_that_the_kernel_lost_are_made_up_for, 1, 4);

    tcase = thi_check_case(suite, "older");
    tcase_add_loop_test(tcase, kernel_that_knows_fewer_flags_does_the_same, 0,
                        (int)thi_array_len(generations));
    tcase_add_test(tcase, kernel_that_knows_none_of_the_flags_is_refused);
    tcase_add_test(tcase, kernel_without_multishot_polls_is_refused);
}

int main(void)
{
    /* Without io_uring nothing here has a meaning; that it is refused well is tested elsewhere. */
    int err = thi_loop_open(&loop, &thi_engine_uring);
    if (err < 0)
        return thi_check_skip_all("io_uring", th_strerror(err));
    thi_loop_close(&loop);
    return thi_check_run("loop/uring", fill_suite);
}
