/* SPDX-License-Identifier: MIT */

/*
 * The real table of system calls: thin shells that turn errno into a negative result.
 *
 * Calls that may be interrupted are started again here, once and for all, so that no caller ever
 * sees EINTR (behaviour of POSIX timers and profilers included). Only the waiting calls give -EINTR
 * back, because their callers must look at the clock again.
 */
#include "sys/signals.h"
#include "sys/spawn.h"
#include "sys/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

_Thread_local const thi_sys *thi_sys_table = &thi_sys_real;

/* The result of a call that returns -1 with errno. */
#define RESULT(call)                                                                               \
    ({                                                                                             \
        __typeof__(call) r_ = (call);                                                              \
        r_ < 0 ? (__typeof__(r_))(-errno) : r_;                                                    \
    })

/* The same, started again as long as a signal interrupts it. */
#define RESTART(call)                                                                              \
    ({                                                                                             \
        __typeof__(call) r_;                                                                       \
        do {                                                                                       \
            r_ = (call);                                                                           \
        } while (r_ < 0 && errno == EINTR);                                                        \
        r_ < 0 ? (__typeof__(r_))(-errno) : r_;                                                    \
    })

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts); /* cannot fail for these clocks: clock_gettime(2) */
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t real_clock(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t real_wall(void)
{
    return read_clock(CLOCK_REALTIME);
}

static int real_random(void *buf, size_t n)
{
    char *at = buf;
    while (n > 0) {
        ssize_t got = RESTART(getrandom(at, n, 0));
        if (got < 0)
            return (int)got;
        at += got;
        n -= (size_t)got;
    }
    return 0;
}

static int real_socket(int domain, int type, int protocol)
{
    return RESULT(socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
}

static int real_socketpair(int domain, int type, int fds[2])
{
    return RESULT(socketpair(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
}

static int real_bind(int fd, const struct sockaddr *sa, socklen_t n)
{
    return RESULT(bind(fd, sa, n));
}

static int real_listen(int fd, int backlog)
{
    return RESULT(listen(fd, backlog));
}

static int real_accept(int fd, struct sockaddr *sa, socklen_t *n)
{
    return RESTART(accept4(fd, sa, n, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

static int real_connect(int fd, const struct sockaddr *sa, socklen_t n)
{
    return RESTART(connect(fd, sa, n));
}

static int real_getsockname(int fd, struct sockaddr *sa, socklen_t *n)
{
    return RESULT(getsockname(fd, sa, n));
}

static int real_getpeername(int fd, struct sockaddr *sa, socklen_t *n)
{
    return RESULT(getpeername(fd, sa, n));
}

static int real_setsockopt(int fd, int level, int name, const void *val, socklen_t n)
{
    return RESULT(setsockopt(fd, level, name, val, n));
}

static int real_getsockopt(int fd, int level, int name, void *val, socklen_t *n)
{
    return RESULT(getsockopt(fd, level, name, val, n));
}

static int real_shutdown(int fd, int how)
{
    return RESULT(shutdown(fd, how));
}

static ssize_t real_recv(int fd, void *buf, size_t n, int flags)
{
    return RESTART(recv(fd, buf, n, flags));
}

static ssize_t real_send(int fd, const void *buf, size_t n, int flags)
{
    return RESTART(send(fd, buf, n, flags | MSG_NOSIGNAL));
}

static ssize_t real_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    return RESTART(sendmsg(fd, msg, flags | MSG_NOSIGNAL));
}

static ssize_t real_recvmsg(int fd, struct msghdr *msg, int flags)
{
    return RESTART(recvmsg(fd, msg, flags | MSG_CMSG_CLOEXEC));
}

static int real_sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    return RESTART(sendmmsg(fd, msgs, count, flags | MSG_NOSIGNAL));
}

static int real_recvmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    return RESTART(recvmmsg(fd, msgs, count, flags | MSG_CMSG_CLOEXEC, NULL));
}

/* Linux frees the descriptor even when close(2) reports EINTR: never try again. */
static int real_close(int fd)
{
    return RESULT(close(fd));
}

static int real_pipe(int fds[2])
{
    return RESULT(pipe2(fds, O_NONBLOCK | O_CLOEXEC));
}

static int real_eventfd(void)
{
    return RESULT(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

static int real_timerfd(void)
{
    return RESULT(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
}

/* All zero would unset it, so what is long past is a nanosecond after the beginning. */
static int real_timerfd_set(int fd, int64_t at)
{
    struct itimerspec spec = { 0 };
    if (at < 1)
        at = 1;
    if (at != INT64_MAX) {
        spec.it_value.tv_sec = at / 1000000000;
        spec.it_value.tv_nsec = at % 1000000000;
    }
    return RESULT(timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, NULL));
}

static ssize_t real_read(int fd, void *buf, size_t n)
{
    return RESTART(read(fd, buf, n));
}

static ssize_t real_write(int fd, const void *buf, size_t n)
{
    return RESTART(write(fd, buf, n));
}

static ssize_t real_readv(int fd, const struct iovec *iov, int count)
{
    return RESTART(readv(fd, iov, count));
}

static ssize_t real_writev(int fd, const struct iovec *iov, int count)
{
    return RESTART(writev(fd, iov, count));
}

/* What has no MSG_NOSIGNAL. Workers hold SIGPIPE back all the time. */
static ssize_t real_sendfile(int out, int in, off_t *at, size_t n)
{
    if (thi_sigpipe_held)
        return RESTART(sendfile(out, in, at, n));
    bool held = thi_sigpipe_hold();
    ssize_t sent = RESTART(sendfile(out, in, at, n));
    thi_sigpipe_release(held);
    return sent;
}

static ssize_t real_splice(int in, int out, size_t n)
{
    const unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;
    if (thi_sigpipe_held)
        return RESTART(splice(in, NULL, out, NULL, n, flags));
    bool held = thi_sigpipe_hold();
    ssize_t moved = RESTART(splice(in, NULL, out, NULL, n, flags));
    thi_sigpipe_release(held);
    return moved;
}

static int real_openat(int dir, const char *path, int flags, mode_t mode)
{
    return RESTART(openat(dir, path, flags | O_CLOEXEC, mode));
}

static int real_openat2(int dir, const char *path, int flags, uint64_t resolve)
{
    struct open_how how = { .flags = (uint64_t)(unsigned)flags | O_CLOEXEC, .resolve = resolve };
    return (int)RESTART(syscall(SYS_openat2, dir, path, &how, sizeof how));
}

static int real_fstat(int fd, struct stat *st)
{
    return RESULT(fstat(fd, st));
}

static int real_fstatat(int dir, const char *path, struct stat *st, int flags)
{
    return RESULT(fstatat(dir, path, st, flags));
}

static int real_chmod(const char *path, mode_t mode)
{
    return RESULT(chmod(path, mode));
}

static int real_unlink(const char *path)
{
    return RESULT(unlink(path));
}

static int real_fcntl(int fd, int command, long arg)
{
    return RESTART(fcntl(fd, command, arg));
}

static ssize_t real_preadv2(int fd, const struct iovec *iov, int count, int64_t at, int flags)
{
    return RESTART(preadv2(fd, iov, count, at, flags));
}

static ssize_t real_pwritev2(int fd, const struct iovec *iov, int count, int64_t at, int flags)
{
    return RESTART(pwritev2(fd, iov, count, at, flags));
}

static int real_ioctl(int fd, unsigned long request, void *arg)
{
    return RESTART(ioctl(fd, request, arg));
}

static int real_spawn(const thi_spawn_plan *plan, thi_spawned *spawned)
{
    return thi_spawn(plan, spawned);
}

/* Not libc's waitid(), which has no room for the usage. */
static int real_waitid(pid_t pid, siginfo_t *info, int options, struct rusage *usage)
{
    return (int)RESULT(syscall(SYS_waitid, P_PID, pid, info, options, usage));
}

static int real_kill(pid_t pid, int signo)
{
    return RESULT(kill(pid, signo));
}

/* One that can be sealed. */
static int real_memfd(const char *name)
{
    return RESULT(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
}

static int real_fsync(int fd)
{
    return RESTART(fsync(fd));
}

static int real_fdatasync(int fd)
{
    return RESTART(fdatasync(fd));
}

static int real_ftruncate(int fd, int64_t size)
{
    return RESTART(ftruncate(fd, size));
}

static int real_statx(int dir, const char *path, int flags, struct statx *info)
{
    return RESULT(statx(dir, path, flags, STATX_BASIC_STATS, info));
}

static int real_renameat(int dir, const char *path, int to_dir, const char *to)
{
    return RESULT(renameat(dir, path, to_dir, to));
}

static int real_unlinkat(int dir, const char *path, int flags)
{
    return RESULT(unlinkat(dir, path, flags));
}

static int real_mkdirat(int dir, const char *path, mode_t mode)
{
    return RESULT(mkdirat(dir, path, mode));
}

static int real_linkat(int dir, const char *path, int to_dir, const char *to)
{
    return RESULT(linkat(dir, path, to_dir, to, 0));
}

static int real_symlinkat(const char *target, int dir, const char *path)
{
    return RESULT(symlinkat(target, dir, path));
}

static ssize_t real_readlinkat(int dir, const char *path, char *buf, size_t n)
{
    return RESULT(readlinkat(dir, path, buf, n));
}

static ssize_t real_getdents(int fd, void *buf, size_t n)
{
    return RESULT(getdents64(fd, buf, n));
}

static int real_inotify_init(void)
{
    return RESULT(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
}

static int real_inotify_add(int fd, const char *path, uint32_t mask)
{
    return RESULT(inotify_add_watch(fd, path, mask));
}

static int real_inotify_remove(int fd, int id)
{
    return RESULT(inotify_rm_watch(fd, id));
}

static int real_epoll_create(void)
{
    return RESULT(epoll_create1(EPOLL_CLOEXEC));
}

static int real_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev)
{
    return RESULT(epoll_ctl(ep, op, fd, ev));
}

static struct timespec to_timespec(int64_t ns)
{
    return (struct timespec){ .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = ns % 1000000000 };
}

/*
 * ThreadSanitizer runs signal handlers before and in those calls that it knows to wait, and gcc
 * 12's does not know epoll_pwait2: a signal just before it would be kept until the call is over.
 */
#ifdef __SANITIZE_THREAD__
static int wait_ns(int ep, struct epoll_event *ev, int max, const struct timespec *ts)
{
    (void)ep, (void)ev, (void)max, (void)ts;
    errno = ENOSYS;
    return -1;
}
#else
static int wait_ns(int ep, struct epoll_event *ev, int max, const struct timespec *ts)
{
    return epoll_pwait2(ep, ev, max, ts, NULL);
}
#endif

/*
 * epoll_pwait2 (Linux 5.11) waits in nanoseconds. Older kernels, and sandboxes that do not know it
 * and say EPERM, get milliseconds, rounded up.
 */
static int real_epoll_wait(int ep, struct epoll_event *ev, int max, int64_t timeout)
{
    struct timespec ts = to_timespec(timeout < 0 ? 0 : timeout);
    int n = wait_ns(ep, ev, max, timeout < 0 ? NULL : &ts);
    if (n < 0 && (errno == ENOSYS || errno == EPERM)) {
        int64_t ms = timeout < 0 ? -1 : timeout / 1000000 + (timeout % 1000000 != 0);
        n = epoll_wait(ep, ev, max, ms > 1000000000 ? 1000000000 : (int)ms);
    }
    return n < 0 ? -errno : n;
}

static int real_poll(struct pollfd *fds, size_t n, int64_t timeout)
{
    struct timespec ts = to_timespec(timeout < 0 ? 0 : timeout);
    return RESULT(ppoll(fds, n, timeout < 0 ? NULL : &ts, NULL));
}

/* Microseconds, rounded up. Not pselect: valgrind (3.19) breaks it once a signal has come. */
static int real_select(int n, fd_set *rd, fd_set *wr, fd_set *ex, int64_t timeout)
{
    int64_t us = timeout / 1000 + (timeout % 1000 > 0);
    struct timeval tv = { .tv_sec = (time_t)(us / 1000000), .tv_usec = us % 1000000 };
    return RESULT(select(n, rd, wr, ex, timeout < 0 ? NULL : &tv));
}

static int real_uring_setup(unsigned entries, void *params)
{
    return (int)RESULT(syscall(SYS_io_uring_setup, entries, params));
}

static int real_uring_enter(int fd, unsigned submit, unsigned want, unsigned flags, void *arg,
                            size_t size)
{
    return (int)RESULT(syscall(SYS_io_uring_enter, fd, submit, want, flags, arg, size));
}

static int real_uring_register(int fd, unsigned op, void *arg, unsigned n)
{
    return (int)RESULT(syscall(SYS_io_uring_register, fd, op, arg, n));
}

static int real_mmap(void **at, size_t n, int prot, int flags, int fd, off_t offset)
{
    void *got = mmap(*at, n, prot, flags, fd, offset);
    if (got == MAP_FAILED)
        return -errno;
    *at = got;
    return 0;
}

static int real_munmap(void *at, size_t n)
{
    return RESULT(munmap(at, n));
}

static int real_mprotect(void *at, size_t n, int prot)
{
    return RESULT(mprotect(at, n, prot));
}

static int real_madvise(void *at, size_t n, int advice)
{
    return RESULT(madvise(at, n, advice));
}

static int real_yield(void)
{
    return RESULT(sched_yield());
}

static int real_futex_wait(uint32_t *word, uint32_t value, int64_t timeout)
{
    struct timespec ts = to_timespec(timeout < 0 ? 0 : timeout);
    return (int)RESULT(
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, timeout < 0 ? NULL : &ts, NULL, 0));
}

static int real_futex_wake(uint32_t *word, int count)
{
    return (int)RESULT(syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0));
}

/* Signals are for the workers' threads: nobody else's system calls shall be interrupted. */
static int real_thread(pthread_t *thread, size_t stack_size, void *(*body)(void *), void *arg)
{
    pthread_attr_t attr;
    sigset_t most;
    sigset_t former;
    int err = pthread_attr_init(&attr);
    if (err != 0)
        return -err;
    if (stack_size > 0)
        err = pthread_attr_setstacksize(&attr, stack_size);
    if (err == 0) {
        (void)sigfillset(&most);
        (void)sigdelset(&most, SIGSEGV);
        (void)sigdelset(&most, SIGBUS);
        (void)pthread_sigmask(SIG_SETMASK, &most, &former);
        err = pthread_create(thread, &attr, body, arg);
        (void)pthread_sigmask(SIG_SETMASK, &former, NULL);
    }
    (void)pthread_attr_destroy(&attr);
    return -err;
}

const thi_sys thi_sys_real = { .name = "real",
#define REAL_MEMBER(ret, name, params, args) .name = real_##name,
                               THI_SYS_LIST(REAL_MEMBER)
#undef REAL_MEMBER
};
