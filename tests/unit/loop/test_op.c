/* SPDX-License-Identifier: MIT */

/* Calls that an engine makes by itself: done once, taken back, lost by the kernel. */
#include "engines_table.h"

#include "sys/uring.h"

#include <errno.h>

/* A read of a pipe, which lasts as long as the test likes. */
typedef struct reading {
    thi_op op;
    thi_filecall call;
    struct iovec iov;
    char bytes[8];
    int done;
} reading;

static int ends[2];

static void count_done(thi_op *op)
{
    reading *r = thi_container_of(op, reading, op);
    r->done++;
}

static int submit(reading *r)
{
    *r = (reading){ .op = { .call = &r->call, .fn = count_done } };
    r->iov = (struct iovec){ r->bytes, sizeof r->bytes };
    r->call = (thi_filecall){
        .kind = THI_FILE_READ, .fd = ends[0], .iov = &r->iov, .count = 1, .at = -1
    };
    return thi_loop_submit(&loop, &r->op);
}

static void open_uring(void)
{
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(thi_loop_open(&loop, &thi_engine_uring), 0);
}

static void feed(const char *text)
{
    ck_assert_int_eq(write(ends[1], text, strlen(text)), (ssize_t)strlen(text));
}

START_TEST(a_call_is_done_once_and_not_at_once)
{
    reading r;
    open_uring();
    feed("1234");
    ck_assert_int_eq(submit(&r), 0);
    ck_assert_int_eq(r.done, 0);
    turn_until(r.done);
    ck_assert_int_eq(r.op.result, 4);
    ck_assert_mem_eq(r.bytes, "1234", 4);
    settle();
    ck_assert_int_eq(r.done, 1);
    thi_loop_close(&loop);
}
END_TEST

START_TEST(a_call_that_waits_wakes_the_loop)
{
    reading r;
    open_uring();
    ck_assert_int_eq(submit(&r), 0);
    settle();
    ck_assert_int_eq(r.done, 0);
    feed("x");
    turn_until(r.done);
    ck_assert_int_eq(r.op.result, 1);
    thi_loop_close(&loop);
}
END_TEST

START_TEST(a_call_that_is_taken_back_is_done_with_that)
{
    reading r, other;
    open_uring();
    ck_assert_int_eq(submit(&r), 0);
    ck_assert_int_eq(submit(&other), 0);
    settle();
    thi_loop_cancel(&loop, &r.op);
    ck_assert_int_eq(r.done, 0);
    turn_until(r.done);
    ck_assert_int_eq(r.op.result, -ECANCELED);
    feed("for the other");
    turn_until(other.done);
    ck_assert_int_eq(other.op.result, 8);
    ck_assert_int_eq(r.done, 1);
    thi_loop_close(&loop);
}
END_TEST

/* What was submitted and taken back in the same turn is either done or not, but told. */
START_TEST(a_call_may_be_taken_back_before_the_kernel_sees_it)
{
    reading r;
    open_uring();
    ck_assert_int_eq(submit(&r), 0);
    thi_loop_cancel(&loop, &r.op);
    turn_until(r.done);
    ck_assert_int_eq(r.op.result, -ECANCELED);
    thi_loop_close(&loop);
}
END_TEST

/* The address of an operation is soon that of another one, as on a stack. */
START_TEST(taking_back_does_not_meet_the_next_one_at_the_same_place)
{
    reading r;
    open_uring();
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(submit(&r), 0);
        feed("x");
        if (i % 2)
            settle();
        thi_loop_cancel(&loop, &r.op);
        turn_until(r.done);
        if (r.op.result < 0)
            ck_assert_int_eq(read(ends[0], r.bytes, 8), 1);
        ck_assert_int_eq(submit(&r), 0);
        feed("yy");
        turn_until(r.done);
        ck_assert_int_eq(r.op.result, 2);
    }
    thi_loop_close(&loop);
}
END_TEST

START_TEST(engines_that_make_no_calls_say_so)
{
    reading r;
    open_loop(_i);
    if (!is_engine(&thi_engine_uring))
        ck_assert_int_eq(submit(&r), -EOPNOTSUPP);
    thi_loop_close(&loop);
}
END_TEST

/* ---- kernels that know less ---- */

static thi_sys table;
static unsigned lacking; /* the opcode that the kernel does not have; 0: it tells none */

static int register_without(int fd, unsigned op, void *arg, unsigned n)
{
    if (op != IORING_REGISTER_PROBE)
        return thi_sys_real.uring_register(fd, op, arg, n);
    if (lacking == 0)
        return -EINVAL;
    int err = thi_sys_real.uring_register(fd, op, arg, n);
    struct io_uring_probe *probe = arg;
    probe->ops[lacking].flags = 0;
    return err;
}

START_TEST(calls_that_the_kernel_lacks_are_refused)
{
    char text[8];
    reading r;
    table = thi_sys_real;
    table.uring_register = register_without;
    thi_sys_table = &table;
    lacking = _i == 0 ? 0 : IORING_OP_READV;
    open_uring();
    ck_assert_int_eq(submit(&r), -EOPNOTSUPP);
    r.call = (thi_filecall){ .kind = THI_FILE_SYNC, .fd = ends[0] };
    ck_assert_int_eq(thi_loop_submit(&loop, &r.op), _i == 0 ? -EOPNOTSUPP : 0);
    if (_i == 1) {
        turn_until(r.done);
        ck_assert_int_eq(r.op.result, -EINVAL); /* pipes have no disk */
    }
    r.call = (thi_filecall){ .kind = THI_FILE_READLINK, .path = "/", .buf = text, .size = 8 };
    ck_assert_int_eq(thi_loop_submit(&loop, &r.op), -EOPNOTSUPP);
    thi_loop_close(&loop);
}
END_TEST

/* ---- kernels in trouble ---- */

static int refusals; /* of the next calls that hand over requests */
static int refusal;

static int enter_refusing(int fd, unsigned n, unsigned want, unsigned flags, void *arg, size_t size)
{
    if (refusals > 0) {
        refusals--;
        return refusal;
    }
    return thi_sys_real.uring_enter(fd, n, want, flags, arg, size);
}

static void refuse(int times, int error)
{
    table = thi_sys_real;
    table.uring_enter = enter_refusing;
    thi_sys_table = &table;
    refusals = times;
    refusal = error;
}

START_TEST(a_full_ring_says_that_it_can_make_no_call_now)
{
    static reading many[257];
    open_uring();
    settle();
    refuse(1000, -EBUSY);
    int count = 0;
    while (count < 257 && submit(&many[count]) == 0)
        count++;
    ck_assert_int_lt(count, 257);
    ck_assert_int_eq(submit(&many[count]), -EAGAIN);
    refusals = 0;
    for (int i = 0; i < count; i++)
        feed("12345678");
    for (int i = 0; i < count; i++)
        turn_until(many[i].done);
    thi_loop_close(&loop);
}
END_TEST

START_TEST(calls_go_on_after_the_kernel_was_out_of_memory)
{
    static const int errors[] = { -EBUSY, -EAGAIN, -ENOMEM, -EINTR };
    reading r;
    open_uring();
    settle();
    refuse(3, errors[_i]);
    ck_assert_int_eq(submit(&r), 0);
    feed("x");
    turn_until(r.done);
    ck_assert_int_eq(r.op.result, 1);
    thi_loop_close(&loop);
}
END_TEST

/* -EBADR: completions were lost. Of these calls one is still there, one is done, one is lost. */
START_TEST(calls_whose_completion_was_lost_are_told)
{
    reading there, done, lost;
    thi_uring *ring;
    open_uring();
    settle();
    ck_assert_int_eq(submit(&done), 0);
    feed("x");
    ck_assert_int_eq(submit(&there), 0);
    ck_assert_int_eq(submit(&lost), 0);
    ring = loop.state;
    ring->filled--; /* the kernel never hears of it */
    refuse(1, -EBADR);
    turn_until(done.done && there.done && lost.done);
    ck_assert(done.op.result == 1 || done.op.result == -ECANCELED);
    ck_assert(there.op.result == 1 || there.op.result == -ECANCELED);
    ck_assert_int_eq(lost.op.result, -EIO);
    reading next;
    feed("y");
    ck_assert_int_eq(submit(&next), 0);
    turn_until(next.done);
    ck_assert_int_ge(next.op.result, 1);
    settle();
    ck_assert_int_eq(lost.done + there.done + done.done + next.done, 4);
    thi_loop_close(&loop);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "calls");
    tcase_add_test(tcase, a_call_is_done_once_and_not_at_once);
    tcase_add_test(tcase, a_call_that_waits_wakes_the_loop);
    tcase_add_test(tcase, a_call_that_is_taken_back_is_done_with_that);
    tcase_add_test(tcase, a_call_may_be_taken_back_before_the_kernel_sees_it);
    tcase_add_test(tcase, taking_back_does_not_meet_the_next_one_at_the_same_place);
    add_for_engines(tcase, engines_that_make_no_calls_say_so);
    tcase = thi_check_case(suite, "trouble");
    tcase_add_loop_test(tcase, calls_that_the_kernel_lacks_are_refused, 0, 2);
    tcase_add_test(tcase, a_full_ring_says_that_it_can_make_no_call_now);
    tcase_add_loop_test(tcase, calls_go_on_after_the_kernel_was_out_of_memory, 0, 4);
    tcase_add_test(tcase, calls_whose_completion_was_lost_are_told);
}

int main(void)
{
    int err = thi_loop_open(&loop, &thi_engine_uring);
    if (err < 0) {
        fprintf(stderr, "not tested: io_uring: %s\n", th_strerror(err));
        return 77; /* what Meson calls skipped */
    }
    thi_loop_close(&loop);
    return thi_check_run("loop/op", fill_suite);
}
