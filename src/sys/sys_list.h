/* SPDX-License-Identifier: MIT */

/*
 * The list of system calls that Thrum makes: X(result type, name, parameters, arguments).
 *
 * From this one list come the table, the inline callers, the fault-injecting table and the
 * simulated one's type. All of them return a negative errno instead of setting errno, and restart
 * after EINTR where waiting is not the point of the call. No other file calls the kernel.
 */
#ifndef THI_SYS_LIST_H
#define THI_SYS_LIST_H

/* Clock and randomness. */
#define THI_SYS_LIST_CLOCK(X)                                                                      \
    X(int64_t, clock, (void), ())                                                                  \
    X(int64_t, wall, (void), ())                                                                   \
    X(int, random, (void *buf, size_t n), (buf, n))

/* Sockets. Every descriptor made here is close-on-exec and non-blocking from its first instant. */
#define THI_SYS_LIST_SOCKET(X)                                                                     \
    X(int, socket, (int domain, int type, int protocol), (domain, type, protocol))                 \
    X(int, socketpair, (int domain, int type, int fds[2]), (domain, type, fds))                    \
    X(int, bind, (int fd, const struct sockaddr *sa, socklen_t n), (fd, sa, n))                    \
    X(int, listen, (int fd, int backlog), (fd, backlog))                                           \
    X(int, accept, (int fd, struct sockaddr *sa, socklen_t *n), (fd, sa, n))                       \
    X(int, connect, (int fd, const struct sockaddr *sa, socklen_t n), (fd, sa, n))                 \
    X(int, getsockname, (int fd, struct sockaddr *sa, socklen_t *n), (fd, sa, n))                  \
    X(int, getpeername, (int fd, struct sockaddr *sa, socklen_t *n), (fd, sa, n))                  \
    X(int, setsockopt, (int fd, int level, int name, const void *val, socklen_t n),                \
      (fd, level, name, val, n))                                                                   \
    X(int, getsockopt, (int fd, int level, int name, void *val, socklen_t *n),                     \
      (fd, level, name, val, n))                                                                   \
    X(int, shutdown, (int fd, int how), (fd, how))                                                 \
    X(ssize_t, recv, (int fd, void *buf, size_t n, int flags), (fd, buf, n, flags))                \
    X(ssize_t, send, (int fd, const void *buf, size_t n, int flags), (fd, buf, n, flags))          \
    X(ssize_t, sendmsg, (int fd, const struct msghdr *msg, int flags), (fd, msg, flags))           \
    X(ssize_t, recvmsg, (int fd, struct msghdr *msg, int flags), (fd, msg, flags))                 \
    X(int, sendmmsg, (int fd, struct mmsghdr *msgs, unsigned count, int flags),                    \
      (fd, msgs, count, flags))                                                                    \
    X(int, recvmmsg, (int fd, struct mmsghdr *msgs, unsigned count, int flags),                    \
      (fd, msgs, count, flags))

/* Descriptors and files. */
#define THI_SYS_LIST_FILE(X)                                                                       \
    X(int, close, (int fd), (fd))                                                                  \
    X(int, pipe, (int fds[2]), (fds))                                                              \
    X(int, eventfd, (void), ())                                                                    \
    X(ssize_t, read, (int fd, void *buf, size_t n), (fd, buf, n))                                  \
    X(ssize_t, write, (int fd, const void *buf, size_t n), (fd, buf, n))                           \
    X(ssize_t, readv, (int fd, const struct iovec *iov, int count), (fd, iov, count))              \
    X(ssize_t, writev, (int fd, const struct iovec *iov, int count), (fd, iov, count))             \
    X(ssize_t, sendfile, (int out, int in, off_t *at, size_t n), (out, in, at, n))                 \
    X(ssize_t, splice, (int in, int out, size_t n), (in, out, n))                                  \
    X(int, openat, (int dir, const char *path, int flags, mode_t mode), (dir, path, flags, mode))  \
    X(int, openat2, (int dir, const char *path, int flags, uint64_t resolve),                      \
      (dir, path, flags, resolve))                                                                 \
    X(int, fstat, (int fd, struct stat *st), (fd, st))                                             \
    X(int, fstatat, (int dir, const char *path, struct stat *st, int flags),                       \
      (dir, path, st, flags))                                                                      \
    X(int, chmod, (const char *path, mode_t mode), (path, mode))                                   \
    X(int, unlink, (const char *path), (path))                                                     \
    X(int, fcntl, (int fd, int command, long arg), (fd, command, arg))                             \
    X(ssize_t, preadv2, (int fd, const struct iovec *iov, int count, int64_t at, int flags),       \
      (fd, iov, count, at, flags))                                                                 \
    X(ssize_t, pwritev2, (int fd, const struct iovec *iov, int count, int64_t at, int flags),      \
      (fd, iov, count, at, flags))

/* What concerns files and their names alone. */
#define THI_SYS_LIST_NAME(X)                                                                       \
    X(int, fsync, (int fd), (fd))                                                                  \
    X(int, fdatasync, (int fd), (fd))                                                              \
    X(int, ftruncate, (int fd, int64_t size), (fd, size))                                          \
    X(int, statx, (int dir, const char *path, int flags, struct statx *info),                      \
      (dir, path, flags, info))                                                                    \
    X(int, renameat, (int dir, const char *path, int to_dir, const char *to),                      \
      (dir, path, to_dir, to))                                                                     \
    X(int, unlinkat, (int dir, const char *path, int flags), (dir, path, flags))                   \
    X(int, mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode))                   \
    X(int, linkat, (int dir, const char *path, int to_dir, const char *to),                        \
      (dir, path, to_dir, to))                                                                     \
    X(int, symlinkat, (const char *target, int dir, const char *path), (target, dir, path))        \
    X(ssize_t, readlinkat, (int dir, const char *path, char *buf, size_t n), (dir, path, buf, n))  \
    X(ssize_t, getdents, (int fd, void *buf, size_t n), (fd, buf, n))                              \
    X(int, inotify_init, (void), ())                                                               \
    X(int, inotify_add, (int fd, const char *path, uint32_t mask), (fd, path, mask))               \
    X(int, inotify_remove, (int fd, int id), (fd, id))

/*
 * Waiting: what the back ends of the loop are made of. These return -EINTR. A timerfd is readable
 * from the time on that it is set to, by the clock; INT64_MAX: never.
 */
#define THI_SYS_LIST_WAIT(X)                                                                       \
    X(int, epoll_create, (void), ())                                                               \
    X(int, epoll_ctl, (int ep, int op, int fd, struct epoll_event *ev), (ep, op, fd, ev))          \
    X(int, epoll_wait, (int ep, struct epoll_event *ev, int max, int64_t timeout),                 \
      (ep, ev, max, timeout))                                                                      \
    X(int, timerfd, (void), ())                                                                    \
    X(int, timerfd_set, (int fd, int64_t at), (fd, at))                                            \
    X(int, select, (int n, fd_set *rd, fd_set *wr, fd_set *ex, int64_t timeout),                   \
      (n, rd, wr, ex, timeout))                                                                    \
    X(int, uring_setup, (unsigned entries, void *params), (entries, params))                       \
    X(int, uring_enter,                                                                            \
      (int fd, unsigned submit, unsigned want, unsigned flags, void *arg, size_t size),            \
      (fd, submit, want, flags, arg, size))                                                        \
    X(int, uring_register, (int fd, unsigned op, void *arg, unsigned n), (fd, op, arg, n))

/* A look at descriptors, and the poll back end. Returns -EINTR. */
#define THI_SYS_LIST_POLL(X)                                                                       \
    X(int, poll, (struct pollfd * fds, size_t n, int64_t timeout), (fds, n, timeout))

/* Memory straight from the kernel; mmap takes the hint from *at and leaves the address there. */
#define THI_SYS_LIST_MEMORY(X)                                                                     \
    X(int, mmap, (void **at, size_t n, int prot, int flags, int fd, off_t offset),                 \
      (at, n, prot, flags, fd, offset))                                                            \
    X(int, munmap, (void *at, size_t n), (at, n))                                                  \
    X(int, mprotect, (void *at, size_t n, int prot), (at, n, prot))                                \
    X(int, madvise, (void *at, size_t n, int advice), (at, n, advice))

/*
 * Threads among themselves. futex_wait sleeps while *word is value, at most timeout ns (negative:
 * for ever); -EAGAIN when it is not, -ETIMEDOUT, -EINTR. thread starts a thread that gets no
 * signals but those of its own faults, with a stack of so many bytes (0: the system's default).
 */
#define THI_SYS_LIST_THREAD(X)                                                                     \
    X(int, yield, (void), ())                                                                      \
    X(int, futex_wait, (uint32_t * word, uint32_t value, int64_t timeout), (word, value, timeout)) \
    X(int, futex_wake, (uint32_t * word, int count), (word, count))                                \
    X(int, thread, (pthread_t * thread, size_t stack_size, void *(*body)(void *), void *arg),      \
      (thread, stack_size, body, arg))

/* Terminals and processes, which a simulation has none of. waitid takes a pid, and gives -EINTR. */
#define THI_SYS_LIST_PROCESS(X)                                                                    \
    X(int, ioctl, (int fd, unsigned long request, void *arg), (fd, request, arg))                  \
    X(int, spawn, (const struct thi_spawn_plan *plan, struct thi_spawned *spawned),                \
      (plan, spawned))                                                                             \
    X(int, waitid, (pid_t pid, siginfo_t * info, int options, struct rusage *usage),               \
      (pid, info, options, usage))                                                                 \
    X(int, kill, (pid_t pid, int signo), (pid, signo))                                             \
    X(int, memfd, (const char *name), (name))

#define THI_SYS_LIST(X)                                                                            \
    THI_SYS_LIST_CLOCK(X)                                                                          \
    THI_SYS_LIST_SOCKET(X)                                                                         \
    THI_SYS_LIST_FILE(X)                                                                           \
    THI_SYS_LIST_NAME(X)                                                                           \
    THI_SYS_LIST_WAIT(X)                                                                           \
    THI_SYS_LIST_POLL(X)                                                                           \
    THI_SYS_LIST_MEMORY(X)                                                                         \
    THI_SYS_LIST_THREAD(X)                                                                         \
    THI_SYS_LIST_PROCESS(X)

#endif
