/* SPDX-License-Identifier: MIT */

/* What the public calls make of the steps of a carrier: whole reads and writes, and their details.
 */
#include "io/stream.h"

#include "check_main.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- a carrier in memory ----------------------------------------------------------------------
 */

typedef struct carrier {
    th_stream base;
    size_t step;       /* bytes moved by one step at most */
    size_t room;       /* bytes that it takes until it fails */
    int error;         /* what it fails with then, and when there is nothing to read */
    const char *says;  /* the detail of that; NULL: none */
    const char *input; /* what there is to read */
    size_t taken;
    char output[64 * 1024];
} carrier;

static int fails(const carrier *c)
{
    return c->says ? thi_err_set(c->error, "%s", c->says) : thi_err_clear(c->error);
}

static ssize_t carrier_read(th_stream *stream, void *buf, size_t size)
{
    carrier *c = thi_container_of(stream, carrier, base);
    size_t step = thi_min(size, c->step);
    size_t n = thi_min(step, strlen(c->input));
    if (n == 0)
        return fails(c);
    memcpy(buf, c->input, n);
    c->input += n;
    return (ssize_t)n;
}

static ssize_t carrier_writev(th_stream *stream, const struct iovec *iov, int count)
{
    carrier *c = thi_container_of(stream, carrier, base);
    size_t left = thi_min(c->step, c->room);
    size_t done = 0;
    for (int i = 0; i < count && left > 0; i++) {
        size_t n = thi_min(left, iov[i].iov_len);
        memcpy(c->output + c->taken, iov[i].iov_base, n);
        c->taken += n;
        done += n;
        left -= n;
    }
    c->room -= done;
    return done > 0 ? (ssize_t)done : fails(c);
}

static int carrier_fails(th_stream *stream)
{
    return fails(thi_container_of(stream, carrier, base));
}

static int carrier_knows_no_address(th_stream *stream, struct th_addr *addr)
{
    (void)addr;
    return carrier_fails(stream);
}

/* Without sendfile: files go through memory. */
static const thi_stream_ops carrier_ops = {
    .name = "memory",
    .read = carrier_read,
    .writev = carrier_writev,
    .shutdown = carrier_fails,
    .close = carrier_fails,
    .peer = carrier_knows_no_address,
    .local = carrier_knows_no_address,
};

/* One that moves `step` bytes at a time and fails with -EPIPE after `room` bytes. */
static carrier *carrier_of(size_t step, size_t room)
{
    static carrier c;
    c = (carrier){ .base.ops = &carrier_ops, .step = step, .room = room, .error = -EPIPE };
    c.input = "";
    return &c;
}

/* A file of so many bytes. */
static int file_of(size_t size)
{
    char bytes[1000];
    int fd = memfd_create("stream", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    for (size_t at = 0; at < size; at++) {
        bytes[at % sizeof bytes] = (char)(at % 251);
        if (at % sizeof bytes == sizeof bytes - 1 || at == size - 1)
            ck_assert_int_gt(write(fd, bytes, at % sizeof bytes + 1), 0);
    }
    return fd;
}

/* ---- whole calls ------------------------------------------------------------------------------
 */

START_TEST(reads_are_as_the_carrier_makes_them_and_read_all_is_whole)
{
    char buf[16] = "";
    carrier *c = carrier_of(3, 0);
    c->input = "abcdefgh";
    ck_assert_int_eq(th_stream_read(&c->base, buf, sizeof buf), 3);
    ck_assert_int_eq(th_stream_read_all(&c->base, buf, 4), 4);
    ck_assert_mem_eq(buf, "defg", 4);
    c->error = TH_EOF;
    ck_assert_int_eq(th_stream_read_all(&c->base, buf, 2), TH_ETRUNCATED);
    ck_assert_int_eq(th_stream_read_all(&c->base, buf, 2), TH_EOF);
}
END_TEST

START_TEST(writes_are_whole_whatever_the_step)
{
    static const size_t steps[] = { 1, 2, 3, 1000, 40000 };
    static char bytes[40000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i % 253);
    struct iovec iov[3] = { { bytes, 10 }, { bytes + 10, 0 }, { bytes + 10, 39990 } };
    for (size_t i = 0; i < thi_array_len(steps); i++) {
        carrier *c = carrier_of(steps[i], SIZE_MAX);
        ck_assert_int_eq(th_stream_write(&c->base, bytes, sizeof bytes), sizeof bytes);
        ck_assert_mem_eq(c->output, bytes, sizeof bytes);
        c = carrier_of(steps[i], SIZE_MAX);
        ck_assert_int_eq(th_stream_writev(&c->base, iov, 3), sizeof bytes);
        ck_assert_mem_eq(c->output, bytes, sizeof bytes);
    }
}
END_TEST

START_TEST(a_carrier_without_a_way_for_files_gets_copies)
{
    static const size_t sizes[] = { 1, 16383, 16384, 16385, 50000 };
    int fd = file_of(50000);
    for (size_t i = 0; i < thi_array_len(sizes); i++) {
        carrier *c = carrier_of(1000, SIZE_MAX);
        ck_assert_int_eq(th_stream_sendfile(&c->base, fd, 0, sizes[i]), (ssize_t)sizes[i]);
        ck_assert_uint_eq(c->taken, sizes[i]);
        for (size_t at = 0; at < sizes[i]; at++)
            ck_assert_uint_eq((unsigned char)c->output[at], at % 251);
    }
    carrier *c = carrier_of(1000, SIZE_MAX);
    ck_assert_int_eq(th_stream_sendfile(&c->base, fd, 49990, 100), 10); /* the file ends */
    ck_assert_int_eq(th_stream_sendfile(&c->base, fd, 50000, 1), 0);
    close(fd);
}
END_TEST

/* ---- details ----------------------------------------------------------------------------------
 */

/* A failing call, with the text of an earlier failure still there. */
#define after_another(call) (thi_err_set(-EIO, "of another call"), (call))

/* The call fails so, and has that detail. */
#define fails_with(call, code, detail)                                                             \
    do {                                                                                           \
        ck_assert_int_eq(after_another(call), code);                                               \
        ck_assert_str_eq(th_err_detail(), detail);                                                 \
    } while (0)

/* Every call of a carrier that fails at once. */
static void every_call_fails(carrier *c, int fd, const char *detail)
{
    char buf[4] = "";
    struct iovec iov[2] = { { buf, 1 }, { buf, 2 } };
    struct th_addr *addr = (void *)buf;
    fails_with(th_stream_read(&c->base, buf, 4), -EPIPE, detail);
    fails_with(th_stream_read_all(&c->base, buf, 4), -EPIPE, detail);
    fails_with(th_stream_write(&c->base, buf, 4), -EPIPE, detail);
    fails_with(th_stream_writev(&c->base, iov, 2), -EPIPE, detail);
    fails_with(th_stream_sendfile(&c->base, fd, 0, 4), -EPIPE, detail);
    fails_with(th_stream_shutdown(&c->base), -EPIPE, detail);
    fails_with(th_stream_close(&c->base), -EPIPE, detail);
    fails_with(th_stream_peer(&c->base, addr), -EPIPE, detail);
    fails_with(th_stream_local(&c->base, addr), -EPIPE, detail);
}

START_TEST(a_call_that_fails_at_once_has_the_detail_of_its_carrier)
{
    int fd = file_of(10);
    carrier *c = carrier_of(1, 0);
    every_call_fails(c, fd, "");
    c->says = "the certificate has expired";
    every_call_fails(c, fd, "the certificate has expired");
    close(fd);
}
END_TEST

START_TEST(a_write_that_fails_later_tells_how_far_it_came)
{
    char buf[10] = "";
    struct iovec iov[2] = { { buf, 4 }, { buf, 6 } };
    fails_with(th_stream_write(&carrier_of(3, 7)->base, buf, 10), -EPIPE,
               "7 bytes were written before");
    fails_with(th_stream_writev(&carrier_of(3, 7)->base, iov, 2), -EPIPE,
               "7 bytes were written before");
}
END_TEST

/* Inside of a piece of the copy as well as between two. */
START_TEST(a_copy_that_fails_later_tells_how_far_it_came)
{
    int fd = file_of(50000);
    fails_with(th_stream_sendfile(&carrier_of(1000, 7)->base, fd, 0, 50000), -EPIPE,
               "7 bytes were written before");
    fails_with(th_stream_sendfile(&carrier_of(1000, 16384)->base, fd, 0, 50000), -EPIPE,
               "16384 bytes were written before");
    fails_with(th_stream_sendfile(&carrier_of(1000, 20000)->base, fd, 0, 50000), -EPIPE,
               "20000 bytes were written before");
    close(fd);
    fails_with(th_stream_sendfile(&carrier_of(1000, 7)->base, fd, 0, 50000), -EBADF, "");
}
END_TEST

START_TEST(a_copy_without_memory_has_nothing_to_add)
{
    int fd = file_of(10);
    thi_alloc_fail_at(1);
    fails_with(th_stream_sendfile(&carrier_of(1000, 7)->base, fd, 0, 10), -ENOMEM, "");
    close(fd);
}
END_TEST

START_TEST(misuse_has_nothing_to_add)
{
    char buf[1] = "";
    struct iovec iov = { buf, 1 };
    struct th_addr *addr = (void *)buf;
    carrier *c = carrier_of(1, 1);
    fails_with(th_stream_read(NULL, buf, 1), -EINVAL, "");
    fails_with(th_stream_read(&c->base, NULL, 1), -EINVAL, "");
    fails_with(th_stream_read_all(NULL, buf, 1), -EINVAL, "");
    fails_with(th_stream_write(NULL, buf, 1), -EINVAL, "");
    fails_with(th_stream_write(&c->base, NULL, 1), -EINVAL, "");
    fails_with(th_stream_write(&c->base, buf, (size_t)SSIZE_MAX + 1), -EINVAL, "");
    fails_with(th_stream_writev(NULL, &iov, 1), -EINVAL, "");
    fails_with(th_stream_writev(&c->base, &iov, 0), -EINVAL, "");
    fails_with(th_stream_sendfile(NULL, 0, 0, 1), -EINVAL, "");
    fails_with(th_stream_sendfile(&c->base, -1, 0, 1), -EINVAL, "");
    fails_with(th_stream_sendfile(&c->base, 0, -1, 1), -EINVAL, "");
    fails_with(th_stream_shutdown(NULL), -EINVAL, "");
    fails_with(th_stream_close(NULL), -EINVAL, "");
    fails_with(th_stream_peer(NULL, addr), -EINVAL, "");
    fails_with(th_stream_local(&c->base, NULL), -EINVAL, "");
    ck_assert_uint_eq(c->taken, 0);
}
END_TEST

START_TEST(success_leaves_the_detail_of_the_last_failure)
{
    char byte;
    carrier *c = carrier_of(1, 1);
    c->input = "x";
    ck_assert_int_eq(after_another(th_stream_read(&c->base, &byte, 1)), 1);
    ck_assert_int_eq(th_stream_write(&c->base, &byte, 1), 1);
    ck_assert_str_eq(th_err_detail(), "of another call");
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "whole");
    tcase_add_test(tcase, reads_are_as_the_carrier_makes_them_and_read_all_is_whole);
    tcase_add_test(tcase, writes_are_whole_whatever_the_step);
    tcase_add_test(tcase, a_carrier_without_a_way_for_files_gets_copies);
    tcase = thi_check_case(suite, "details");
    tcase_add_test(tcase, a_call_that_fails_at_once_has_the_detail_of_its_carrier);
    tcase_add_test(tcase, a_write_that_fails_later_tells_how_far_it_came);
    tcase_add_test(tcase, a_copy_that_fails_later_tells_how_far_it_came);
    tcase_add_test(tcase, a_copy_without_memory_has_nothing_to_add);
    tcase_add_test(tcase, misuse_has_nothing_to_add);
    tcase_add_test(tcase, success_leaves_the_detail_of_the_last_failure);
}

int main(void)
{
    return thi_check_run("io/stream", fill_suite);
}
