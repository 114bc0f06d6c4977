/* SPDX-License-Identifier: MIT */

/* From stream to stream: all carriers, through pipes and by copying, ends, idleness, failures. */
#include "runtime/in_fiber.h"

#include "base/alloc.h"
#include "sys/sys.h"

#include <thrum/fd_stream.h>
#include <thrum/relay.h>
#include <thrum/sim.h>
#include <thrum/socket.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

#define MUCH ((size_t)1 << 20)

static char sent[MUCH];
static char got[MUCH];

static void make_bytes(void)
{
    for (size_t i = 0; i < MUCH; i++)
        sent[i] = (char)(i * 31 + (i >> 12));
    memset(got, 0, sizeof got);
}

/* ---- a table of system calls of our own ------------------------------------------------------ */

static thi_sys table;
static const thi_sys *below;
static int splices;       /* calls that moved something */
static int fail_splice;   /* the error of each call from now on; 0: none */
static size_t splice_max; /* bytes that one moves at most; 0: as the kernel likes */

static ssize_t counted_splice(int in, int out, size_t n)
{
    if (fail_splice < 0)
        return fail_splice;
    if (splice_max > 0)
        n = thi_min(n, splice_max);
    ssize_t moved = below->splice(in, out, n);
    splices += moved > 0;
    return moved;
}

static void watch_splices(void)
{
    splices = fail_splice = 0;
    splice_max = 0;
    below = thi_sys_table;
    table = *below;
    table.splice = counted_splice;
    thi_sys_table = &table;
}

static void unwatch_splices(void)
{
    thi_sys_table = below;
}

static int count_open(void)
{
    int count = 0;
    for (int fd = 0; fd < 128; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* ---- carriers -------------------------------------------------------------------------------- */

enum { TCP, LOCAL, PIPE, MEMORY, CARRIERS };

static void make_tcp(th_stream *ends[2])
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof in;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&in, len), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&in, &len), 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&in, len), 0);
    ck_assert_int_eq(th_stream_from_socket(fd, &ends[1]), 0);
    ck_assert_int_eq(th_stream_from_socket(accept(listener, NULL, NULL), &ends[0]), 0);
    close(listener);
}

/* What is written to ends[1] is read from ends[0]. */
static void make(int carrier, th_stream *ends[2])
{
    if (carrier == TCP)
        make_tcp(ends);
    else if (carrier == LOCAL)
        ck_assert_int_eq(th_stream_pair(ends), 0);
    else if (carrier == PIPE)
        ck_assert_int_eq(th_pipe(&ends[0], &ends[1]), 0);
    else
        ck_assert_int_eq(th_stream_memory(0, ends), 0);
}

static void free_ends(th_stream *ends[2])
{
    th_stream_free(ends[0]);
    th_stream_free(ends[1]);
}

typedef struct way {
    th_stream *stream;
    size_t size;
    ssize_t result;
} way;

static int send_all(void *arg)
{
    way *w = arg;
    w->result = th_stream_write(w->stream, sent, w->size);
    return th_stream_shutdown(w->stream);
}

static int receive_all(void *arg)
{
    way *w = arg;
    ssize_t n;
    size_t at = 0;
    while ((n = th_stream_read(w->stream, got + at, sizeof got - at)) > 0)
        at += (size_t)n;
    w->result = (ssize_t)at;
    return n == TH_EOF || at == sizeof got ? 0 : (int)n;
}

/* ---- one way --------------------------------------------------------------------------------- */

static void copy_between(int first, int second, size_t size)
{
    th_stream *in[2];
    th_stream *out[2];
    uint64_t copied = 1;
    th_scope scope;
    make_bytes();
    make(first, in);
    make(second, out);
    way source = { .stream = in[1], .size = size };
    way sink = { .stream = out[0] };
    open_scope(&scope);
    spawn(&scope, send_all, &source);
    spawn(&scope, receive_all, &sink);
    ck_assert_int_eq(th_stream_copy(in[0], out[1], 0, &copied), 0);
    ck_assert_int_eq(th_stream_shutdown(out[1]), 0);
    close_scope(&scope);
    ck_assert_uint_eq(copied, size);
    ck_assert_int_eq(sink.result, (ssize_t)size);
    ck_assert(memcmp(sent, got, size) == 0);
    free_ends(in);
    free_ends(out);
}

FIBER_TEST(between_all_carriers_all_bytes_arrive)
{
    static const size_t sizes[] = { 0, 1, 5000, MUCH - 1 };
    int open = count_open();
    for (int first = 0; first < CARRIERS; first++)
        for (int second = 0; second < CARRIERS; second++)
            for (size_t i = 0; i < thi_array_len(sizes); i++)
                copy_between(first, second, sizes[i]);
    ck_assert_int_eq(count_open(), open);
}

FIBER_TEST(much_goes_through_the_kernel_and_little_does_not)
{
    watch_splices();
    copy_between(TCP, TCP, MUCH - 1);
    ck_assert_int_gt(splices, 0);
    splices = 0;
    copy_between(TCP, TCP, 10000);
    copy_between(MEMORY, TCP, MUCH - 1);
    ck_assert_int_eq(splices, 0);
    unwatch_splices();
}

FIBER_TEST(what_cannot_be_spliced_is_copied)
{
    watch_splices();
    fail_splice = -EINVAL;
    copy_between(TCP, TCP, MUCH - 1);
    copy_between(LOCAL, PIPE, MUCH - 1);
    unwatch_splices();
}

/* Bytes are in the pipe already when it shows that they cannot leave it in that way. */
static int only_in(int in, int out, size_t n)
{
    struct stat st;
    if (fstat(out, &st) == 0 && S_ISFIFO(st.st_mode))
        return (int)counted_splice(in, out, n);
    return -EINVAL;
}

static ssize_t splice_only_in(int in, int out, size_t n)
{
    return only_in(in, out, n);
}

FIBER_TEST(what_is_in_the_pipe_is_read_from_it_if_it_cannot_be_spliced)
{
    watch_splices();
    table.splice = splice_only_in;
    copy_between(TCP, TCP, MUCH - 1);
    ck_assert_int_gt(splices, 0);
    unwatch_splices();
}

FIBER_TEST(short_moves_lead_back_to_copying)
{
    watch_splices();
    splice_max = 1000;
    copy_between(TCP, TCP, MUCH - 1);
    ck_assert_int_gt(splices, 0);
    unwatch_splices();
}

static int no_pipe(int fds[2])
{
    (void)fds;
    return -EMFILE;
}

FIBER_TEST(without_descriptors_bytes_are_copied)
{
    watch_splices();
    table.pipe = no_pipe;
    copy_between(TCP, TCP, MUCH - 1);
    ck_assert_int_eq(splices, 0);
    unwatch_splices();
}

FIBER_TEST(no_more_than_the_limit_is_taken)
{
    char buf[16] = "";
    uint64_t copied = 0;
    th_stream *in[2];
    th_stream *out[2];
    make(LOCAL, in);
    make(LOCAL, out);
    ck_assert_int_eq(th_stream_write(in[1], "0123456789", 10), 10);
    ck_assert_int_eq(th_stream_copy(in[0], out[1], 4, &copied), 0);
    ck_assert_uint_eq(copied, 4);
    ck_assert_int_eq(th_stream_read(out[0], buf, sizeof buf), 4);
    ck_assert_int_eq(th_stream_read(in[0], buf, sizeof buf), 6);
    free_ends(in);
    free_ends(out);
}

FIBER_TEST(a_limit_in_the_midst_of_splicing_is_kept)
{
    uint64_t copied = 0;
    th_stream *in[2];
    th_stream *out[2];
    th_scope scope;
    const size_t limit = MUCH * 2 / 3 + 1;
    make_bytes();
    watch_splices();
    make(TCP, in);
    make(TCP, out);
    way source = { .stream = in[1], .size = MUCH };
    way sink = { .stream = out[0] };
    open_scope(&scope);
    spawn(&scope, send_all, &source);
    spawn(&scope, receive_all, &sink);
    ck_assert_int_eq(th_stream_copy(in[0], out[1], limit, &copied), 0);
    ck_assert_int_eq(th_stream_shutdown(out[1]), 0);
    ck_assert_uint_eq(copied, limit);
    ck_assert_int_eq(th_stream_read_all(in[0], got + limit, MUCH - limit), (ssize_t)(MUCH - limit));
    close_scope(&scope);
    ck_assert(memcmp(sent, got, MUCH) == 0);
    ck_assert_int_gt(splices, 0);
    unwatch_splices();
    free_ends(in);
    free_ends(out);
}

/* The reader takes nothing: what was written until then is counted. */
FIBER_TEST(a_deadline_ends_it_and_the_count_is_right)
{
    uint64_t copied = 0;
    th_stream *in[2];
    th_stream *out[2];
    th_scope all;
    th_scope scope;
    int open = count_open();
    make_bytes();
    make(TCP, in);
    make(TCP, out);
    way source = { .stream = in[1], .size = MUCH };
    open_scope(&all);
    spawn(&all, send_all, &source);
    open_scope_for(&scope, 50 * TH_MILLISECOND);
    int err = th_stream_copy(in[0], out[1], 0, &copied);
    close_scope(&scope);
    ck_assert(err == -ETIMEDOUT || err == 0); /* the kernel may have had room for all of it */
    ck_assert_int_eq(th_stream_close(in[0]), 0);
    th_scope_cancel(&all, 0);
    (void)th_scope_close(&all);
    ck_assert_int_eq(th_stream_close(out[1]), 0);
    way sink = { .stream = out[0] };
    ck_assert_int_eq(receive_all(&sink), 0);
    ck_assert_uint_eq((uint64_t)sink.result, copied);
    ck_assert(memcmp(sent, got, (size_t)copied) == 0);
    free_ends(in);
    free_ends(out);
    ck_assert_int_eq(count_open(), open);
}

typedef struct copying {
    th_stream *from;
    th_stream *to;
    int result;
} copying;

static int run_copy(void *arg)
{
    copying *c = arg;
    c->result = th_stream_copy(c->from, c->to, 0, NULL);
    return 0;
}

static int read_a_few(void *arg)
{
    char buf[8];
    ssize_t n = th_stream_read(arg, buf, sizeof buf);
    return n == 3 ? 0 : -EIO;
}

/* Allocations while a fiber waits in fn. */
static int64_t live_in(int (*fn)(void *arg), void *arg, th_stream *writer)
{
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, fn, arg);
    ck_assert_int_eq(th_yield(), 0);
    int64_t live = thi_alloc_live();
    ck_assert_int_eq(th_stream_write(writer, "abc", 3), 3);
    if (fn == run_copy)
        ck_assert_int_eq(th_stream_shutdown(writer), 0);
    close_scope(&scope);
    return live;
}

FIBER_TEST(who_waits_for_bytes_holds_no_buffer)
{
    for (int carrier = 0; carrier < CARRIERS; carrier++) {
        th_stream *in[2];
        th_stream *out[2];
        make(carrier, in);
        make(LOCAL, out);
        copying c = { .from = in[0], .to = out[1], .result = 1 };
        (void)live_in(read_a_few, in[0], in[1]); /* what is made once is there from now on */
        int64_t live = live_in(read_a_few, in[0], in[1]);
        ck_assert_msg(live_in(run_copy, &c, in[1]) == live, "carrier %d", carrier);
        ck_assert_int_eq(c.result, 0);
        free_ends(in);
        free_ends(out);
    }
}

FIBER_TEST(failures_of_both_sides_are_told)
{
    uint64_t copied = 1;
    th_stream *in[2];
    th_stream *out[2];
    make(MEMORY, in);
    make(MEMORY, out);
    ck_assert_int_eq(th_stream_write(in[1], "abc", 3), 3);
    ck_assert_int_eq(th_stream_close(out[0]), 0);
    ck_assert_int_eq(th_stream_copy(in[0], out[1], 0, &copied), -EPIPE);
    ck_assert_uint_eq(copied, 0);
    ck_assert_int_eq(th_stream_reset(in[1]), 0);
    ck_assert_int_eq(th_stream_copy(in[0], out[1], 0, NULL), -ECONNRESET);
    free_ends(in);
    free_ends(out);
}

FIBER_TEST(without_memory_it_is_told)
{
    th_stream *in[2];
    th_stream *out[2];
    make(MEMORY, in);
    make(MEMORY, out);
    ck_assert_int_eq(th_stream_write(in[1], "abc", 3), 3);
    thi_alloc_fail_at(1);
    ck_assert_int_eq(th_stream_copy(in[0], out[1], 0, NULL), -ENOMEM);
    thi_alloc_fail_at(0);
    ck_assert_int_eq(th_stream_shutdown(in[1]), 0);
    ck_assert_int_eq(th_stream_copy(in[0], out[1], 0, NULL), 0);
    free_ends(in);
    free_ends(out);
}

/* ---- both ways ------------------------------------------------------------------------------- */

static th_stream *left[2];  /* the client at [1], the relay at [0] */
static th_stream *right[2]; /* the relay at [0], the server at [1] */

static void make_both(int carrier)
{
    make(carrier, left);
    make(carrier, right);
}

static void free_both(void)
{
    free_ends(left);
    free_ends(right);
}

typedef struct relaying {
    th_relay_opts opts;
    th_relayed moved;
    int result;
} relaying;

static int run_relay(void *arg)
{
    relaying *r = arg;
    r->result = th_stream_relay(left[0], right[0], &r->opts, &r->moved);
    return 0;
}

static const int two_way[] = { TCP, LOCAL, MEMORY };

static void ends_pass_on(int carrier)
{
    char buf[16] = "";
    relaying r = { .result = 1 };
    th_scope scope;
    make_both(carrier);
    open_scope(&scope);
    spawn(&scope, run_relay, &r);
    ck_assert_int_eq(th_stream_write(left[1], "question", 8), 8);
    ck_assert_int_eq(th_stream_shutdown(left[1]), 0);
    ck_assert_int_eq(th_stream_read_all(right[1], buf, 8), 8);
    ck_assert_str_eq(buf, "question");
    ck_assert_int_eq(th_stream_read(right[1], buf, 1), TH_EOF);
    ck_assert_int_eq(r.result, 1);
    ck_assert_int_eq(th_stream_write(right[1], "answer", 6), 6);
    ck_assert_int_eq(th_stream_read_all(left[1], buf, 6), 6);
    ck_assert_int_eq(th_stream_shutdown(right[1]), 0);
    ck_assert_int_eq(th_stream_read(left[1], buf, 1), TH_EOF);
    close_scope(&scope);
    ck_assert_int_eq(r.result, 0);
    ck_assert_uint_eq(r.moved.there, 8);
    ck_assert_uint_eq(r.moved.back, 6);
    free_both();
}

FIBER_TEST(an_end_is_passed_on_and_the_other_way_goes_on)
{
    for (size_t i = 0; i < thi_array_len(two_way); i++)
        ends_pass_on(two_way[i]);
}

FIBER_TEST(much_goes_both_ways_at_once)
{
    static char back[MUCH];
    relaying r = { .result = 1 };
    th_scope scope;
    make_bytes();
    make_both(TCP);
    way there = { .stream = left[1], .size = MUCH };
    way answers = { .stream = right[1], .size = MUCH };
    way sink = { .stream = right[1] };
    open_scope(&scope);
    spawn(&scope, run_relay, &r);
    spawn(&scope, send_all, &there);
    spawn(&scope, send_all, &answers);
    spawn(&scope, receive_all, &sink);
    ck_assert_int_eq(th_stream_read_all(left[1], back, MUCH), MUCH);
    close_scope(&scope);
    ck_assert(memcmp(sent, got, MUCH) == 0);
    ck_assert(memcmp(sent, back, MUCH) == 0);
    ck_assert_uint_eq(r.moved.there, MUCH);
    ck_assert_uint_eq(r.moved.back, MUCH);
    free_both();
}

FIBER_TEST(a_failure_of_one_way_ends_both)
{
    relaying r = { .result = 1 };
    th_scope scope;
    make_both(MEMORY);
    open_scope(&scope);
    spawn(&scope, run_relay, &r);
    ck_assert_int_eq(th_yield(), 0);
    ck_assert_int_eq(th_stream_reset(left[1]), 0);
    close_scope(&scope);
    ck_assert_int_eq(r.result, -ECONNRESET);
    free_both();
    make_both(MEMORY);
    open_scope(&scope);
    spawn(&scope, run_relay, &r);
    ck_assert_int_eq(th_yield(), 0);
    ck_assert_int_eq(th_stream_reset(right[1]), 0);
    close_scope(&scope);
    ck_assert_int_eq(r.result, -ECONNRESET);
    free_both();
}

/* In virtual time: idleness is counted from the last byte of either way. */
static int idle_in_simulation(void *arg)
{
    char buf[4];
    th_scope scope;
    relaying r = { .opts.idle = 10 * TH_SECOND, .result = 1 };
    (void)arg;
    make_both(MEMORY);
    open_scope(&scope);
    spawn(&scope, run_relay, &r);
    int64_t begin = th_now();
    for (int i = 0; i < 5; i++) {
        th_stream *from = i % 2 == 0 ? left[1] : right[1];
        th_stream *to = i % 2 == 0 ? right[1] : left[1];
        ck_assert_int_eq(th_sleep(9 * TH_SECOND), 0);
        ck_assert_int_eq(r.result, 1);
        ck_assert_int_eq(th_stream_write(from, "x", 1), 1);
        ck_assert_int_eq(th_stream_read(to, buf, sizeof buf), 1);
    }
    close_scope(&scope);
    ck_assert_int_eq(r.result, -ETIMEDOUT);
    ck_assert_int_ge(th_now() - begin, 55 * TH_SECOND);
    ck_assert_int_le(th_now() - begin, 56 * TH_SECOND);
    ck_assert_uint_eq(r.moved.there, 3);
    ck_assert_uint_eq(r.moved.back, 2);
    free_both();
    return 0;
}

START_TEST(nothing_for_the_time_of_idleness_ends_it)
{
    ck_assert_int_eq(
        th_sim_run(idle_in_simulation, NULL, &(th_sim_opts){ .seed = (uint64_t)_i }, NULL), 0);
}
END_TEST

FIBER_TEST(the_scope_ends_both_ways)
{
    th_relayed moved = { 1, 1 };
    th_scope scope;
    make_both(LOCAL);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_stream_relay(left[0], right[0], NULL, &moved), -ETIMEDOUT);
    close_scope(&scope);
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_stream_relay(left[0], right[0], NULL, NULL), -ECANCELED);
    close_scope(&scope);
    ck_assert_uint_eq(moved.there, 0);
    ck_assert_uint_eq(moved.back, 0);
    free_both();
}

FIBER_TEST(misuse_is_refused)
{
    th_relay_opts newer = { .size = sizeof newer + 1 };
    th_relay_opts wrong = { .idle = -1 };
    make_both(MEMORY);
    ck_assert_int_eq(th_stream_copy(NULL, left[0], 0, NULL), -EINVAL);
    ck_assert_int_eq(th_stream_copy(left[0], NULL, 0, NULL), -EINVAL);
    ck_assert_int_eq(th_stream_copy(left[0], left[0], 0, NULL), -EINVAL);
    ck_assert_int_eq(th_stream_relay(NULL, left[0], NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_stream_relay(left[0], left[0], NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_stream_relay(left[0], right[0], &newer, NULL), -EINVAL);
    ck_assert_int_eq(th_stream_relay(left[0], right[0], &wrong, NULL), -EINVAL);
    free_both();
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "copy");
    add_on_engines(tcase, between_all_carriers_all_bytes_arrive);
    add_on_engines(tcase, much_goes_through_the_kernel_and_little_does_not);
    tcase_add_test(tcase, what_cannot_be_spliced_is_copied);
    tcase_add_test(tcase, what_is_in_the_pipe_is_read_from_it_if_it_cannot_be_spliced);
    tcase_add_test(tcase, short_moves_lead_back_to_copying);
    tcase_add_test(tcase, without_descriptors_bytes_are_copied);
    tcase_add_test(tcase, no_more_than_the_limit_is_taken);
    tcase_add_test(tcase, a_limit_in_the_midst_of_splicing_is_kept);
    tcase_add_test(tcase, a_deadline_ends_it_and_the_count_is_right);
    add_on_engines(tcase, who_waits_for_bytes_holds_no_buffer);
    tcase_add_test(tcase, failures_of_both_sides_are_told);
    tcase_add_test(tcase, without_memory_it_is_told);
    tcase = thi_check_case(suite, "relay");
    add_on_engines(tcase, an_end_is_passed_on_and_the_other_way_goes_on);
    add_on_engines(tcase, much_goes_both_ways_at_once);
    tcase_add_test(tcase, a_failure_of_one_way_ends_both);
    tcase_add_loop_test(tcase, nothing_for_the_time_of_idleness_ends_it, 0, 8);
    tcase_add_test(tcase, the_scope_ends_both_ways);
    tcase_add_test(tcase, misuse_is_refused);
}

int main(void)
{
    return thi_check_run("io/relay", fill);
}
