/* SPDX-License-Identifier: MIT */

/* Unix sockets: who is there, and descriptors that are passed, of which none may get lost. */
#include "net/pair.h"

#include <thrum/fd_stream.h>
#include <thrum/relay.h>
#include <thrum/sim.h>
#include <thrum/socket.h>
#include <thrum/unix.h>

#include <sys/resource.h>
#include <sys/stat.h>

static th_stream *ends[2];

static void open_ends(void)
{
    ck_assert_int_eq(th_stream_pair(ends), 0);
}

static void close_ends(void)
{
    th_stream_free(ends[0]);
    th_stream_free(ends[1]);
}

static int count_open(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static bool is_same_file(int a, int b)
{
    struct stat sa;
    struct stat sb;
    return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_ino == sb.st_ino &&
           sa.st_dev == sb.st_dev;
}

/* ---- credentials ----------------------------------------------------------------------------- */

FIBER_TEST(the_peer_is_who_made_the_pair)
{
    th_cred cred = { 0 };
    open_ends();
    ck_assert_int_eq(th_stream_peer_cred(ends[0], &cred), 0);
    ck_assert_int_eq(cred.pid, getpid());
    ck_assert_int_eq((int)cred.uid, (int)geteuid());
    ck_assert_int_eq((int)cred.gid, (int)getegid());
    ck_assert_int_eq(th_stream_peer_cred(ends[0], NULL), -EINVAL);
    ck_assert_int_eq(th_stream_peer_cred(NULL, &cred), -EINVAL);
    ck_assert_int_eq(th_stream_close(ends[0]), 0);
    ck_assert_int_eq(th_stream_peer_cred(ends[0], &cred), -EBADF);
    close_ends();
}

FIBER_TEST(other_carriers_have_none)
{
    th_cred cred;
    th_fds fds = { 0 };
    char byte;
    pair p = open_tcp_pair();
    ck_assert_int_eq(th_stream_peer_cred(p.stream, &cred), -EOPNOTSUPP);
    ck_assert_int_eq(th_stream_send_fds(p.stream, "x", 1, NULL, 0), -EOPNOTSUPP);
    ck_assert_int_eq(th_stream_recv_fds(p.stream, &byte, 1, &fds), -EOPNOTSUPP);
    close_pair(&p);
    ck_assert_int_eq(th_pipe(&ends[0], &ends[1]), 0);
    ck_assert_int_eq(th_stream_peer_cred(ends[0], &cred), -EOPNOTSUPP);
    close_ends();
}

static int cred_in_simulation(void *arg)
{
    (void)arg;
    the_peer_is_who_made_the_pair_body();
    return 0;
}

START_TEST(a_simulation_tells_them_too)
{
    ck_assert_int_eq(th_sim_run(cred_in_simulation, NULL, NULL, NULL), 0);
}
END_TEST

/* ---- descriptors ----------------------------------------------------------------------------- */

FIBER_TEST(none_one_and_many_arrive_with_their_bytes)
{
    static const size_t counts[] = { 0, 1, 2, 7, TH_FDS_MAX };
    int sent[TH_FDS_MAX];
    int got[TH_FDS_MAX];
    char buf[16];
    int pipes[2];
    ck_assert_int_eq(pipe(pipes), 0);
    open_ends();
    int open = count_open();
    for (size_t i = 0; i < thi_array_len(counts); i++) {
        th_fds fds = { .fds = got, .room = TH_FDS_MAX, .count = 99 };
        for (size_t k = 0; k < counts[i]; k++)
            sent[k] = pipes[k % 2];
        ck_assert_int_eq(th_stream_send_fds(ends[0], "bytes", 5, sent, counts[i]), 5);
        ck_assert_int_eq(th_stream_recv_fds(ends[1], buf, sizeof buf, &fds), 5);
        ck_assert_uint_eq(fds.count, counts[i]);
        for (size_t k = 0; k < fds.count; k++) {
            ck_assert(is_same_file(got[k], sent[k]));
            ck_assert_int_eq(fcntl(got[k], F_GETFD), FD_CLOEXEC);
            close(got[k]);
        }
    }
    ck_assert_int_eq(count_open(), open);
    close_ends();
}

FIBER_TEST(each_write_keeps_its_own)
{
    char buf[16] = "";
    int pipes[2];
    int got[4];
    th_fds fds = { .fds = got, .room = 4 };
    ck_assert_int_eq(pipe(pipes), 0);
    open_ends();
    ck_assert_int_eq(th_stream_write(ends[0], "ab", 2), 2);
    ck_assert_int_eq(th_stream_send_fds(ends[0], "cd", 2, &pipes[0], 1), 2);
    ck_assert_int_eq(th_stream_send_fds(ends[0], "ef", 2, &pipes[1], 1), 2);
    ck_assert_int_eq(th_stream_write(ends[0], "gh", 2), 2);
    size_t seen = 0;
    size_t at = 0;
    while (at < 8) {
        ssize_t n = th_stream_recv_fds(ends[1], buf + at, sizeof buf - at, &fds);
        ck_assert_int_gt(n, 0);
        for (size_t k = 0; k < fds.count; k++) {
            ck_assert(is_same_file(got[k], pipes[seen]));
            /* It has come with bytes up to its own, and not before. */
            ck_assert_uint_le(at, 2 + 2 * seen);
            ck_assert_uint_gt(at + (size_t)n, 2 + 2 * seen);
            seen++;
            close(got[k]);
        }
        at += (size_t)n;
    }
    ck_assert_uint_eq(seen, 2);
    ck_assert_str_eq(buf, "abcdefgh");
    close_ends();
}

FIBER_TEST(more_than_there_is_room_for_are_closed_and_told)
{
    char buf[16];
    int pipes[2];
    int got[2] = { -1, -1 };
    th_fds fds = { .fds = got, .room = 1, .count = 99 };
    ck_assert_int_eq(pipe(pipes), 0);
    open_ends();
    int open = count_open();
    ck_assert_int_eq(th_stream_send_fds(ends[0], "bytes", 5, pipes, 2), 5);
    ck_assert_int_eq(th_stream_recv_fds(ends[1], buf, sizeof buf, &fds), TH_ELIMIT);
    ck_assert_str_eq(th_err_detail(), "5 bytes came with 2 descriptors, more than 1");
    ck_assert_uint_eq(fds.count, 99);
    ck_assert_int_eq(got[0], -1);
    ck_assert_int_eq(count_open(), open);
    th_fds none = { 0 };
    ck_assert_int_eq(th_stream_send_fds(ends[0], "x", 1, pipes, 1), 1);
    ck_assert_int_eq(th_stream_recv_fds(ends[1], buf, sizeof buf, &none), TH_ELIMIT);
    ck_assert_int_eq(count_open(), open);
    close_ends();
}

FIBER_TEST(an_ordinary_read_closes_them)
{
    char buf[16];
    int pipes[2];
    ck_assert_int_eq(pipe(pipes), 0);
    open_ends();
    int open = count_open();
    ck_assert_int_eq(th_stream_send_fds(ends[0], "ab", 2, pipes, 2), 2);
    ck_assert_int_eq(th_stream_read(ends[1], buf, sizeof buf), 2);
    ck_assert_int_eq(count_open(), open);
    close_ends();
}

/* The kernel ends a read behind bytes with which descriptors came, and no event tells of the rest.
 */
FIBER_TEST(an_ordinary_read_goes_on_behind_them)
{
    char buf[64];
    int pipes[2];
    ck_assert_int_eq(pipe(pipes), 0);
    open_ends();
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(th_stream_send_fds(ends[0], "ab", 2, pipes, 1), 2);
        ck_assert_int_eq(th_stream_write(ends[0], "cd", 2), 2);
    }
    ck_assert_int_eq(th_stream_read_all(ends[1], buf, 32), 32);
    close_ends();
}

FIBER_TEST(without_room_for_descriptors_in_the_process_it_is_told)
{
    struct rlimit before;
    char buf[16];
    int pipes[2];
    int got[4];
    th_fds fds = { .fds = got, .room = 4 };
    ck_assert_int_eq(pipe(pipes), 0);
    open_ends();
    int open = count_open();
    ck_assert_int_eq(th_stream_send_fds(ends[0], "bytes", 5, pipes, 2), 5);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(0); /* the lowest free number */
    close(next);
    struct rlimit few = { .rlim_cur = (rlim_t)next + 1, .rlim_max = before.rlim_max };
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    ssize_t n = th_stream_recv_fds(ends[1], buf, sizeof buf, &fds);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_int_eq(n, -EMFILE);
    ck_assert_int_eq(count_open(), open);
    close_ends();
}

typedef struct side {
    th_stream *stream;
    const int *fds;
    bool *stop;
    int result;
    long sent, got;
} side;

static int send_many(void *arg)
{
    side *s = arg;
    for (int i = 0; i < 500; i++) {
        ssize_t n = th_stream_send_fds(s->stream, "0123456789abcdef", 16, s->fds, 2);
        if (n < 0)
            return (int)n;
        s->sent += n;
    }
    return th_stream_shutdown(s->stream);
}

static int receive_many(void *arg)
{
    side *s = arg;
    char buf[7];
    int got[8];
    for (;;) {
        th_fds fds = { .fds = got, .room = 8 };
        ssize_t n = th_stream_recv_fds(s->stream, buf, sizeof buf, &fds);
        if (n < 0)
            return n == TH_EOF ? 0 : (int)n;
        s->got += (long)fds.count;
        for (size_t k = 0; k < fds.count; k++)
            close(got[k]);
    }
}

FIBER_TEST(both_ways_full_there_is_no_deadlock)
{
    int pipes[2];
    th_scope scope;
    ck_assert_int_eq(pipe(pipes), 0);
    open_ends();
    int open = count_open();
    side a = { .stream = ends[0], .fds = pipes };
    side b = { .stream = ends[1], .fds = pipes };
    open_scope(&scope);
    spawn(&scope, send_many, &a);
    spawn(&scope, send_many, &b);
    spawn(&scope, receive_many, &a);
    spawn(&scope, receive_many, &b);
    close_scope(&scope);
    ck_assert_int_eq(a.got, 1000);
    ck_assert_int_eq(b.got, 1000);
    ck_assert_int_eq(count_open(), open);
    close_ends();
}

/* ---- what the kernel says is not believed blindly -------------------------------------------- */

static thi_sys table;
static const unsigned char *says; /* the bytes beside the bytes */
static size_t says_size;          /* how many it says there are */
static size_t says_room;          /* how many of them there really are */

static ssize_t odd_recvmsg(int fd, struct msghdr *msg, int flags)
{
    ssize_t n = thi_sys_real.recvmsg(fd, msg, flags);
    memset(msg->msg_control, 0x7f, CMSG_SPACE(TH_FDS_MAX * sizeof(int)));
    memcpy(msg->msg_control, says, says_room);
    msg->msg_controllen = says_size;
    return n;
}

static size_t received_with(const void *control, size_t room, size_t size)
{
    char buf[4];
    static int got[TH_FDS_MAX + 8];
    th_fds fds = { .fds = got, .room = TH_FDS_MAX + 8 };
    says = control;
    says_room = room;
    says_size = size;
    ck_assert_int_eq(send(th_stream_detach(ends[0]), "x", 1, 0), 1);
    table = *thi_sys_table;
    table.recvmsg = odd_recvmsg;
    const thi_sys *before = thi_sys_table;
    thi_sys_table = &table;
    ck_assert_int_eq(th_stream_recv_fds(ends[1], buf, sizeof buf, &fds), 1);
    thi_sys_table = before;
    return fds.count;
}

static size_t count_of(size_t len, int level, int type, size_t size)
{
    const struct cmsghdr header = { .cmsg_len = len, .cmsg_level = level, .cmsg_type = type };
    const int fds[] = { 1000, 1001, 1002 };
    char c[CMSG_LEN(sizeof fds)];
    memcpy(c, &header, CMSG_LEN(0));
    memcpy(c + CMSG_LEN(0), fds, sizeof fds);
    open_ends();
    size_t count = received_with(c, sizeof c, size);
    close_ends();
    return count;
}

FIBER_TEST(odd_control_data_is_never_read_beyond_its_end)
{
    const size_t head = CMSG_LEN(0);
    const int l = SOL_SOCKET;
    const int r = SCM_RIGHTS;
    ck_assert_uint_eq(count_of(CMSG_LEN(8), l, r, CMSG_SPACE(8)), 2);
    ck_assert_uint_eq(count_of(CMSG_LEN(7), l, r, CMSG_SPACE(8)), 1); /* no part of a number */
    ck_assert_uint_eq(count_of(CMSG_LEN(3), l, r, CMSG_SPACE(8)), 0);
    ck_assert_uint_eq(count_of(CMSG_LEN(0), l, r, CMSG_SPACE(8)), 0);
    ck_assert_uint_eq(count_of(CMSG_LEN(8), l, r, 0), 0);
    ck_assert_uint_eq(count_of(CMSG_LEN(8), l, r, head - 1), 0);
    ck_assert_uint_eq(count_of(CMSG_LEN(8), l, r, head + 4), 1); /* says more than there is */
    ck_assert_uint_eq(count_of(SIZE_MAX, l, r, head + 8), 2);
    ck_assert_uint_eq(count_of(CMSG_LEN(8), l, SCM_CREDENTIALS, CMSG_SPACE(8)), 0);
    ck_assert_uint_eq(count_of(CMSG_LEN(8), SOL_IP, r, CMSG_SPACE(8)), 0);
}

FIBER_TEST(misuse_is_refused)
{
    int many[TH_FDS_MAX + 1];
    char buf[4];
    th_fds fds = { 0 };
    th_fds no_place = { .room = 1 };
    for (size_t i = 0; i < thi_array_len(many); i++)
        many[i] = 0;
    open_ends();
    ck_assert_int_eq(th_stream_send_fds(NULL, "x", 1, NULL, 0), -EINVAL);
    ck_assert_int_eq(th_stream_send_fds(ends[0], NULL, 1, NULL, 0), -EINVAL);
    ck_assert_int_eq(th_stream_send_fds(ends[0], "", 0, many, 1), -EINVAL);
    ck_assert_int_eq(th_stream_send_fds(ends[0], "x", 1, NULL, 1), -EINVAL);
    ck_assert_int_eq(th_stream_send_fds(ends[0], "x", 1, many, TH_FDS_MAX + 1), -EINVAL);
    ck_assert_int_eq(th_stream_send_fds(ends[0], "x", 1, (int[]){ -1 }, 1), -EBADF);
    ck_assert_int_eq(th_stream_recv_fds(ends[0], NULL, 1, &fds), -EINVAL);
    ck_assert_int_eq(th_stream_recv_fds(ends[0], buf, 0, &fds), -EINVAL);
    ck_assert_int_eq(th_stream_recv_fds(ends[0], buf, 1, NULL), -EINVAL);
    ck_assert_int_eq(th_stream_recv_fds(ends[0], buf, 1, &no_place), -EINVAL);
    ck_assert_int_eq(th_stream_close(ends[0]), 0);
    ck_assert_int_eq(th_stream_recv_fds(ends[0], buf, 1, &fds), -EBADF);
    ck_assert_int_eq(th_stream_recv_fds(ends[1], buf, 1, &fds), TH_EOF);
    ck_assert_int_eq(th_stream_send_fds(ends[1], "x", 1, many, 1), -EPIPE);
    close_ends();
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "credentials");
    tcase_add_test(tcase, the_peer_is_who_made_the_pair);
    tcase_add_test(tcase, other_carriers_have_none);
    tcase_add_test(tcase, a_simulation_tells_them_too);
    tcase = thi_check_case(suite, "descriptors");
    add_on_engines(tcase, none_one_and_many_arrive_with_their_bytes);
    add_on_engines(tcase, each_write_keeps_its_own);
    tcase_add_test(tcase, more_than_there_is_room_for_are_closed_and_told);
    tcase_add_test(tcase, an_ordinary_read_closes_them);
    add_on_engines(tcase, an_ordinary_read_goes_on_behind_them);
    tcase_add_test(tcase, without_room_for_descriptors_in_the_process_it_is_told);
    add_on_engines(tcase, both_ways_full_there_is_no_deadlock);
    tcase_add_test(tcase, odd_control_data_is_never_read_beyond_its_end);
    tcase_add_test(tcase, misuse_is_refused);
}

int main(void)
{
    return thi_check_run("net/unix", fill);
}
