/* SPDX-License-Identifier: MIT */

/* The shells round the kernel's calls: errors, flags, restarts, time-outs. */
#include "check_main.h"
#include "forbid.h"

#include "base/util.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define MS 1000000

/* Close-on-exec and non-blocking, as every descriptor has to be from its first instant. */
static void assert_well_born(int fd)
{
    ck_assert_int_ge(fd, 0);
    ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static int listen_on(struct sockaddr_in *sa)
{
    *sa = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof *sa;
    int fd = thi_sys_socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(thi_sys_bind(fd, (struct sockaddr *)sa, n), 0);
    ck_assert_int_eq(thi_sys_listen(fd, 4), 0);
    ck_assert_int_eq(thi_sys_getsockname(fd, (struct sockaddr *)sa, &n), 0);
    return fd;
}

static int poll_one(int fd, short events, int64_t timeout)
{
    struct pollfd entry = { .fd = fd, .events = events };
    return thi_sys_poll(&entry, 1, timeout);
}

START_TEST(descriptors_are_born_non_blocking_and_close_on_exec)
{
    struct sockaddr_in sa;
    int listener = listen_on(&sa), fds[2];
    assert_well_born(listener);
    int client = thi_sys_socket(AF_INET, SOCK_STREAM, 0);
    int err = thi_sys_connect(client, (struct sockaddr *)&sa, sizeof sa);
    ck_assert(err == 0 || err == -EINPROGRESS);
    ck_assert_int_eq(poll_one(listener, POLLIN, -1), 1);
    socklen_t n = sizeof sa;
    int accepted = thi_sys_accept(listener, (struct sockaddr *)&sa, &n);
    assert_well_born(accepted);
    ck_assert_int_eq(thi_sys_getpeername(accepted, (struct sockaddr *)&sa, &n), 0);
    ck_assert_int_eq(thi_sys_socketpair(AF_UNIX, SOCK_STREAM, fds), 0);
    assert_well_born(fds[0]);
    assert_well_born(fds[1]);
    ck_assert_int_eq(thi_sys_pipe(fds), 0);
    assert_well_born(fds[0]);
    assert_well_born(fds[1]);
    assert_well_born(thi_sys_eventfd());
    ck_assert(fcntl(thi_sys_epoll_create(), F_GETFD) & FD_CLOEXEC);
    ck_assert(fcntl(thi_sys_openat(AT_FDCWD, "/", O_RDONLY, 0), F_GETFD) & FD_CLOEXEC);
}
END_TEST

START_TEST(descriptor_received_in_a_message_is_close_on_exec)
{
    int fds[2];
    ck_assert_int_eq(thi_sys_socketpair(AF_UNIX, SOCK_STREAM, fds), 0);
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } out = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } }, in;
    memcpy(CMSG_DATA(&out.head), &fds[0], sizeof(int));
    char byte = 'x';
    struct iovec piece = { &byte, 1 };
    struct msghdr msg = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &out, .msg_controllen = sizeof out
    };
    ck_assert_int_eq(thi_sys_sendmsg(fds[0], &msg, 0), 1);
    msg.msg_control = &in;
    ck_assert_int_eq(thi_sys_recvmsg(fds[1], &msg, 0), 1);
    int received;
    memcpy(&received, CMSG_DATA(&in.head), sizeof(int));
    ck_assert(fcntl(received, F_GETFD) & FD_CLOEXEC);
}
END_TEST

START_TEST(failure_is_a_negative_result)
{
    char byte;
    struct stat st;
    void *at = NULL;
    struct iovec piece = { &byte, 1 };
    int number = 1;
    socklen_t n = sizeof number;
    ck_assert_int_eq(thi_sys_read(-1, &byte, 1), -EBADF);
    ck_assert_int_eq(thi_sys_write(-1, &byte, 1), -EBADF);
    ck_assert_int_eq(thi_sys_readv(-1, &piece, 1), -EBADF);
    ck_assert_int_eq(thi_sys_writev(-1, &piece, 1), -EBADF);
    ck_assert_int_eq(thi_sys_preadv2(-1, &(struct iovec){ &byte, 1 }, 1, 0, 0), -EBADF);
    ck_assert_int_eq(thi_sys_recv(-1, &byte, 1, 0), -EBADF);
    ck_assert_int_eq(thi_sys_close(-1), -EBADF);
    ck_assert_int_eq(thi_sys_fstat(-1, &st), -EBADF);
    ck_assert_int_eq(thi_sys_fcntl(-1, F_GETFD, 0), -EBADF);
    ck_assert_int_eq(thi_sys_shutdown(-1, SHUT_RD), -EBADF);
    ck_assert_int_eq(thi_sys_setsockopt(-1, SOL_SOCKET, SO_REUSEADDR, &number, n), -EBADF);
    ck_assert_int_eq(thi_sys_getsockopt(-1, SOL_SOCKET, SO_REUSEADDR, &number, &n), -EBADF);
    ck_assert_int_eq(thi_sys_sendfile(-1, -1, NULL, 1), -EBADF);
    ck_assert_int_eq(thi_sys_openat(AT_FDCWD, "/no/such/file", O_RDONLY, 0), -ENOENT);
    ck_assert_int_eq(thi_sys_fstatat(AT_FDCWD, "/no/such/file", &st, 0), -ENOENT);
    ck_assert_int_eq(thi_sys_unlink("/no/such/file"), -ENOENT);
    ck_assert_int_eq(thi_sys_epoll_ctl(-1, EPOLL_CTL_DEL, 0, NULL), -EBADF);
    ck_assert_int_eq(thi_sys_mmap(&at, 4096, PROT_READ, MAP_PRIVATE, -1, 0), -EBADF);
    ck_assert_ptr_null(at);
}
END_TEST

START_TEST(path_may_not_lead_out_of_its_folder_when_told_so)
{
    int dir = thi_sys_openat(AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY, 0);
    int err = thi_sys_openat2(dir, "../etc/passwd", O_RDONLY, RESOLVE_BENEATH);
    SKIP_UNLESS(err != -ENOSYS, "no openat2(2)"); /* before Linux 5.6, and under valgrind */
    ck_assert_int_eq(err, -EXDEV);
    int fd = thi_sys_openat2(dir, "version", O_RDONLY, RESOLVE_BENEATH);
    ck_assert_int_ge(fd, 0);
    ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}
END_TEST

START_TEST(random_bytes_differ_and_fill_any_size)
{
    static unsigned char a[100000], b[sizeof a];
    ck_assert_int_eq(thi_sys_random(a, sizeof a), 0);
    ck_assert_int_eq(thi_sys_random(b, sizeof b), 0);
    ck_assert_int_ne(memcmp(a, b, sizeof a), 0);
    ck_assert_int_ne(memcmp(a + sizeof a - 64, b + sizeof b - 64, 64), 0);
    ck_assert_int_eq(thi_sys_random(NULL, 0), 0);
}
END_TEST

START_TEST(memory_can_be_mapped_changed_and_given_back)
{
    void *at = NULL;
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    ck_assert_int_eq(thi_sys_mmap(&at, 8192, PROT_READ | PROT_WRITE, flags, -1, 0), 0);
    ck_assert_ptr_nonnull(at);
    memset(at, 1, 8192);
    ck_assert_int_eq(thi_sys_madvise(at, 8192, MADV_DONTNEED), 0);
    ck_assert_int_eq(*(char *)at, 0);
    ck_assert_int_eq(thi_sys_mprotect(at, 8192, PROT_READ), 0);
    ck_assert_int_eq(thi_sys_munmap(at, 8192), 0);
}
END_TEST

/* ---- interruption -------------------------------------------------------------------------------
 */

static atomic_int ticks;

static void on_tick(int signo)
{
    (void)signo;
    atomic_fetch_add(&ticks, 1);
}

static void start_ticking(void)
{
    struct sigaction action = { .sa_handler = on_tick }; /* without SA_RESTART */
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    struct itimerval every_ms = { { 0, 1000 }, { 0, 1000 } };
    ck_assert_int_eq(setitimer(ITIMER_REAL, &every_ms, NULL), 0);
}

/* Writes once enough signals have hit the reader. */
static void *write_late(void *arg)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    int seen = atomic_load(&ticks);
    while (atomic_load(&ticks) < seen + 10)
        sched_yield();
    ssize_t n = write(*(int *)arg, "x", 1);
    return (void *)n;
}

START_TEST(blocking_read_survives_signals)
{
    int fds[2];
    char byte;
    ck_assert_int_eq(pipe(fds), 0); /* blocks */
    start_ticking();
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, write_late, &fds[1]), 0);
    ck_assert_int_eq(thi_sys_read(fds[0], &byte, 1), 1);
    pthread_join(thread, NULL);
}
END_TEST

START_TEST(waits_tell_that_they_were_interrupted)
{
    int ep = thi_sys_epoll_create();
    struct epoll_event ev;
    start_ticking();
    ck_assert_int_eq(thi_sys_epoll_wait(ep, &ev, 1, -1), -EINTR);
    ck_assert_int_eq(thi_sys_poll(NULL, 0, -1), -EINTR);
    ck_assert_int_eq(thi_sys_select(0, NULL, NULL, NULL, -1), -EINTR);
}
END_TEST

/* ---- waiting ------------------------------------------------------------------------------------
 */

typedef int (*wait_fn)(int64_t timeout);

static int wait_epoll(int64_t timeout)
{
    struct epoll_event ev;
    int ep = thi_sys_epoll_create();
    int got = thi_sys_epoll_wait(ep, &ev, 1, timeout);
    thi_sys_close(ep);
    return got;
}

static int wait_poll(int64_t timeout)
{
    return thi_sys_poll(NULL, 0, timeout);
}

static int wait_select(int64_t timeout)
{
    return thi_sys_select(0, NULL, NULL, NULL, timeout);
}

static const wait_fn waits[] = { wait_epoll, wait_poll, wait_select };

static void assert_never_early(wait_fn wait)
{
    for (int64_t span = 0; span <= 5 * MS; span = span * 50 + 1) {
        int64_t until = thi_sys_clock() + span;
        ck_assert_int_eq(wait(span), 0);
        ck_assert_int_ge(thi_sys_clock(), until);
    }
}

START_TEST(wait_is_never_shorter_than_asked)
{
    assert_never_early(waits[_i]);
}
END_TEST

/* Older kernels say ENOSYS, sandboxes EPERM. */
static const int refusals[] = { ENOSYS, EPERM };

START_TEST(epoll_waits_in_milliseconds_where_there_is_nothing_better)
{
    if (!forbid_call(SYS_epoll_pwait2, refusals[_i]))
        return;
    assert_never_early(wait_epoll);
    int ep = thi_sys_epoll_create(), fd = thi_sys_eventfd();
    struct epoll_event ev = { .events = EPOLLOUT };
    ck_assert_int_eq(thi_sys_epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), 0);
    ck_assert_int_eq(thi_sys_epoll_wait(ep, &ev, 1, -1), 1);
    ck_assert_int_eq(thi_sys_epoll_wait(ep, &ev, 1, INT64_MAX), 1);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "calls");
    tcase_add_test(tcase, descriptors_are_born_non_blocking_and_close_on_exec);
    tcase_add_test(tcase, descriptor_received_in_a_message_is_close_on_exec);
    tcase_add_test(tcase, failure_is_a_negative_result);
    tcase_add_test(tcase, path_may_not_lead_out_of_its_folder_when_told_so);
    tcase_add_test(tcase, random_bytes_differ_and_fill_any_size);
    tcase_add_test(tcase, memory_can_be_mapped_changed_and_given_back);

    tcase = thi_check_case(suite, "interruption");
    tcase_add_test(tcase, blocking_read_survives_signals);
    tcase_add_test(tcase, waits_tell_that_they_were_interrupted);

    tcase = thi_check_case(suite, "wait");
    tcase_add_loop_test(tcase, wait_is_never_shorter_than_asked, 0, (int)thi_array_len(waits));
    tcase_add_loop_test(tcase, epoll_waits_in_milliseconds_where_there_is_nothing_better, 0,
                        (int)thi_array_len(refusals));
}

int main(void)
{
    return thi_check_run("sys/real", fill_suite);
}
