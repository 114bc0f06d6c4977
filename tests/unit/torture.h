/* SPDX-License-Identifier: MIT */

/*
 * Torture by system calls: a scenario with a runtime of its own is run again and again, in each run
 * another of its calls fails, with each error that the kernel may give for it, until a run gets
 * through untouched. No run may hang, crash, or leave memory, mappings or descriptors behind.
 */
#ifndef THI_TEST_TORTURE_H
#define THI_TEST_TORTURE_H

#include "runtime/in_fiber.h"

#include "base/alloc.h"
#include "sys/fault.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * An error, and the calls that may fail with it by their manual pages. What accept(2) has for lack
 * of something comes once: each time the server pauses, for longer than all the rest takes. That
 * a batch finds no datagram although there is one comes in simulations only: not every back end can
 * be made to tell of it again.
 */
typedef struct torment {
    int error;
    const char *calls;
} torment;

static const torment torments[] = {
    { EMFILE, "socket accept eventfd epoll_create uring_setup pipe openat openat2" },
    { ENOMEM,
      "socket connect recv recvmsg recvmmsg send sendmsg sendmmsg sendfile splice epoll_ctl "
      "poll select uring_enter uring_register openat openat2 fstat fstatat preadv2 mmap "
      "mprotect madvise" },
    { ENOBUFS, "socket bind listen connect setsockopt getsockopt getsockname getpeername send "
               "sendmsg sendmmsg" },
    { ECONNRESET, "recv recvmsg send sendmsg sendfile splice" },
    { ECONNABORTED, "accept" },
    { EINTR, "epoll_wait poll select uring_enter" },
    { EAGAIN, "accept recv recvmsg send sendmsg sendmmsg sendfile splice uring_enter madvise" },
    /* Of datagrams: what became of an earlier one. */
    { ECONNREFUSED, "recvmsg recvmmsg sendmsg sendmmsg" },
    { EIO, "openat openat2 fstat fstatat read preadv2 sendfile" },
};

/* The run at hand: what fails, and how often it has been counted. */
typedef struct run {
    const torment *torment;
    unsigned long n;
    unsigned workers;
    int engine;
    const char *hit; /* out: the call that failed; NULL: none */
} run;

static inline const char *hit_of(const run *r)
{
    return r->hit ? r->hit : "no call";
}

/* ---- calls as the kernel makes them -----------------------------------------------------------
 */

static thi_sys torture_table; /* in front of the failing one */
static const thi_sys *torture_below;
static bool torture_nudges;
static atomic_long torture_mapped;

/*
 * A kernel that says EAGAIN tells later that the socket is ready, but this one does not know that
 * it said so: setting the threshold of a direction anew makes it look.
 */
static inline void nudge(int fd, ssize_t result, int option)
{
    int value = 0;
    socklen_t len = sizeof value;
    if (result != -EAGAIN || !torture_nudges)
        return;
    if (thi_sys_real.getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0)
        return;
    if (option == SO_SNDBUF)
        value /= 2; /* the kernel doubles it */
    (void)thi_sys_real.setsockopt(fd, SOL_SOCKET, option, &value, len);
}

static ssize_t torture_recv(int fd, void *buf, size_t size, int flags)
{
    ssize_t n = torture_below->recv(fd, buf, size, flags);
    nudge(fd, n, SO_RCVLOWAT);
    return n;
}

static ssize_t torture_recvmsg(int fd, struct msghdr *msg, int flags)
{
    ssize_t n = torture_below->recvmsg(fd, msg, flags);
    nudge(fd, n, SO_RCVLOWAT);
    return n;
}

static ssize_t torture_send(int fd, const void *buf, size_t size, int flags)
{
    ssize_t n = torture_below->send(fd, buf, size, flags);
    nudge(fd, n, SO_SNDBUF);
    return n;
}

static ssize_t torture_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    ssize_t n = torture_below->sendmsg(fd, msg, flags);
    nudge(fd, n, SO_SNDBUF);
    return n;
}

static int torture_sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    int n = torture_below->sendmmsg(fd, msgs, count, flags);
    nudge(fd, n, SO_SNDBUF);
    return n;
}

static ssize_t torture_sendfile(int out, int in, off_t *at, size_t size)
{
    ssize_t n = torture_below->sendfile(out, in, at, size);
    nudge(out, n, SO_SNDBUF);
    return n;
}

static ssize_t torture_splice(int in, int out, size_t size)
{
    ssize_t n = torture_below->splice(in, out, size);
    nudge(in, n, SO_RCVLOWAT);
    nudge(out, n, SO_SNDBUF);
    return n;
}

/* The kernel needs nothing to take a descriptor out. */
static int torture_epoll_ctl(int ep, int op, int fd, struct epoll_event *ev)
{
    const thi_sys *sys = op == EPOLL_CTL_DEL ? &thi_sys_real : torture_below;
    return sys->epoll_ctl(ep, op, fd, ev);
}

static int torture_mmap(void **at, size_t size, int prot, int flags, int fd, off_t offset)
{
    int err = torture_below->mmap(at, size, prot, flags, fd, offset);
    if (err == 0)
        atomic_fetch_add(&torture_mapped, (long)size);
    return err;
}

static int torture_munmap(void *at, size_t size)
{
    atomic_fetch_sub(&torture_mapped, (long)size);
    return torture_below->munmap(at, size);
}

static inline void begin_torture(const run *r)
{
    thi_fault_begin(0, 0);
    torture_below = thi_sys_table;
    torture_table = *torture_below;
    torture_table.recv = torture_recv;
    torture_table.recvmsg = torture_recvmsg;
    torture_table.send = torture_send;
    torture_table.sendmsg = torture_sendmsg;
    torture_table.sendmmsg = torture_sendmmsg;
    torture_table.sendfile = torture_sendfile;
    torture_table.splice = torture_splice;
    torture_table.epoll_ctl = torture_epoll_ctl;
    torture_table.mmap = torture_mmap;
    torture_table.munmap = torture_munmap;
    torture_nudges = r->torment->error == EAGAIN;
    thi_sys_table = &torture_table;
}

static inline void end_torture(void)
{
    thi_sys_table = torture_below;
    (void)thi_fault_end();
}

/* ---- what must not happen ---------------------------------------------------------------------
 */

static char torture_now[160]; /* the run at hand, in words */

/* Instead of a bare time-out of the test, which would not say what hangs. */
static inline void torture_hangs(int signo)
{
    (void)signo;
    const char *hit = thi_fault_hit(); /* nobody holds that lock for long */
    (void)!write(STDERR_FILENO, torture_now, strlen(torture_now));
    (void)!write(STDERR_FILENO, hit ? hit : "none", hit ? strlen(hit) : 4);
    (void)!write(STDERR_FILENO, " hangs\n", 7);
    abort();
}

static inline int count_open(void)
{
    int count = 0;
    for (int fd = 0; fd < 128; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* Fails the n-th call of a body from now on; for the main fiber. */
static inline int torment_body(run *r, th_fiber_fn body, void *arg)
{
    thi_fault_order(r->torment->calls, r->n, r->torment->error);
    int result = body(arg);
    r->hit = thi_fault_hit();
    thi_fault_order(NULL, 0, 0);
    return result;
}

/* One run of a scenario, which calls torment_body(); it checks its results itself. */
static inline void torture_once(run *r, int (*scenario)(void *arg))
{
    th_run_opts opts = { .workers = r->workers,
                         .backend = engine_names[r->engine],
                         .no_signals = 1 };
    snprintf(torture_now, sizeof torture_now,
             "%s on %s, %u workers, call %lu: ", th_errname(-r->torment->error),
             engine_names[r->engine], r->workers, r->n);
    begin_torture(r);
    alarm(20);
    int result = th_run(scenario, r, &opts);
    alarm(0);
    end_torture();
    ck_assert_msg(result == 0, "%s%s: %s", torture_now, hit_of(r), th_errname(result));
}

/* Set by scenarios on Unix sockets, of which the kernel does not let itself be reminded: they are
 * spared the EAGAIN that it does not know of. */
static bool torture_spares_again;

/* Every call with every error. */
static inline void torture(unsigned workers, int engine, int (*scenario)(void *arg))
{
    run r = { .torment = &torments[0], .workers = workers, .engine = engine };
    (void)signal(SIGALRM, torture_hangs);
    torture_once(&r, scenario); /* what is made once is there from now on */
    int open = count_open();
    int64_t live = thi_alloc_live();
    long mapped = atomic_load(&torture_mapped);
    for (size_t i = 0; i < thi_array_len(torments); i++) {
        r.torment = &torments[i];
        r.n = 0;
        if (torture_spares_again && r.torment->error == EAGAIN)
            continue;
        do {
            r.n++;
            torture_once(&r, scenario);
            ck_assert_msg(thi_alloc_live() == live, "%s%s leaves memory", torture_now, hit_of(&r));
            ck_assert_msg(atomic_load(&torture_mapped) == mapped, "%s%s leaves a mapping",
                          torture_now, hit_of(&r));
            ck_assert_msg(count_open() == open, "%s%s leaves a descriptor", torture_now,
                          hit_of(&r));
            ck_assert_uint_lt(r.n, 2000);
        } while (r.hit);
    }
}

/* Whether a result is success or the error of this run. */
static inline bool is_as_ordered(const run *r, ssize_t result)
{
    return result >= 0 || (r->hit && result == -r->torment->error);
}

/* The same for somebody whose peer may have had the error: the stream then ends in some way. */
static inline bool is_as_peer_ordered(const run *r, ssize_t result)
{
    return is_as_ordered(r, result) || (r->hit && (result == TH_EOF || result == TH_ETRUNCATED ||
                                                   result == -ECONNRESET || result == -EPIPE));
}

#endif
