/* SPDX-License-Identifier: MIT */

/*
 * A child that shares our memory until it runs another program: as fast as vfork(2), whatever the
 * size of the process, and the thread that calls sleeps until then.
 *
 * The child has a stack of its own and makes bare system calls only. It must not call libc, whose
 * locks may be held by other threads, which do not exist in it; nor touch anything that the parent
 * does not expect. Before, all signals are blocked, so that no handler of ours runs in it, where it
 * would see our memory and think that it is us.
 *
 * A step that fails is told through a pipe that closes when the program starts. Memory would do as
 * well, but not where the child is a copy after all: valgrind and qemu make clone(2) a fork(2), and
 * so do we under the thread sanitizer.
 */
#include "sys/spawn.h"

#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_SIZE  (64 * 1024)
#define SIGNALS     64
#define SIGSET_SIZE 8 /* of the kernel's set, which is not libc's */

/*
 * The thread sanitizer takes every clone(2) for a fork(2), and puts its own house in order in the
 * child: that must be another house then.
 */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define CLONE_FLAGS SIGCHLD
#else
#define CLONE_FLAGS (CLONE_VM | CLONE_VFORK | SIGCHLD)
#endif

/* What runs in the child: its frames are nobody else's business. */
#define IN_CHILD __attribute__((no_sanitize("address", "thread", "undefined"), noinline))

typedef struct child {
    const thi_spawn_plan *plan;
    int report; /* the end of the pipe to write to */
} child;

/* What it writes. */
typedef struct failure {
    int step;
    int error;
} failure;

/* ---- in the child ---- */

IN_CHILD static _Noreturn void fail(int report, int step, long err)
{
    failure f = { .step = step, .error = (int)err };
    (void)!syscall(SYS_write, report, &f, sizeof f);
    for (;;)
        (void)syscall(SYS_exit_group, 127);
}

/* The result of a call, or a report of its failure and the end. */
#define MUST(step, call)                                                                           \
    ({                                                                                             \
        long result_ = (call);                                                                     \
        if (result_ < 0)                                                                           \
            fail(report, step, errno);                                                             \
        result_;                                                                                   \
    })

/* The first number above all that are wanted. */
IN_CHILD static int first_unwanted(const thi_spawn_plan *plan)
{
    int first = 3;
    for (size_t i = 0; i < plan->fd_count; i++)
        if (plan->fds[i].to >= first)
            first = plan->fds[i].to + 1;
    return first;
}

IN_CHILD static bool is_wanted(const thi_spawn_plan *plan, int fd)
{
    for (size_t i = 0; i < plan->fd_count; i++)
        if (plan->fds[i].to == fd)
            return true;
    return false;
}

/* Kernels before 5.11 are told of each number that there can be. */
IN_CHILD static void close_one_by_one(int from)
{
    struct rlimit limit = { .rlim_cur = 1024 };
    (void)syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);
    int end = limit.rlim_cur > (1 << 20) ? 1 << 20 : (int)limit.rlim_cur;
    for (int fd = from; fd < end; fd++)
        (void)syscall(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
}

/*
 * First all are moved out of the way, above the numbers that are wanted, then down to their places:
 * so they may swap. The report moves as well. What is left closes when the program starts.
 */
IN_CHILD static int place_fds(const thi_spawn_plan *plan, int report)
{
    int above = first_unwanted(plan);
    report = (int)MUST(THI_SPAWN_FDS, syscall(SYS_fcntl, report, F_DUPFD_CLOEXEC, above));
    for (size_t i = 0; i < plan->fd_count; i++)
        plan->moved[i] =
            (int)MUST(THI_SPAWN_FDS, syscall(SYS_fcntl, plan->fds[i].from, F_DUPFD_CLOEXEC, above));
    for (int fd = 0; fd < above; fd++)
        if (!is_wanted(plan, fd))
            (void)syscall(SYS_close, fd);
    for (size_t i = 0; i < plan->fd_count; i++)
        (void)MUST(THI_SPAWN_FDS, syscall(SYS_dup3, plan->moved[i], plan->fds[i].to, 0));
    if (syscall(SYS_close_range, above, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        close_one_by_one(above);
    return report;
}

IN_CHILD static void change_user(const thi_spawn_plan *plan, int report)
{
    (void)MUST(THI_SPAWN_USER, syscall(SYS_setgroups, 0, NULL));
    (void)MUST(THI_SPAWN_USER, syscall(SYS_setgid, plan->gid));
    (void)MUST(THI_SPAWN_USER, syscall(SYS_setuid, plan->uid));
}

/* Handlers would go by themselves; what is ignored would stay so. All zero is SIG_DFL. */
IN_CHILD static void reset_signals(void)
{
    static const uint64_t by_default[4];
    static const uint64_t none;
    for (int signo = 1; signo <= SIGNALS; signo++)
        (void)syscall(SYS_rt_sigaction, signo, by_default, NULL, SIGSET_SIZE);
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, SIGSET_SIZE);
}

/* As execvp(3): one that may not be run is told only if none is found that may. */
IN_CHILD static _Noreturn void exec_first(const thi_spawn_plan *plan, int report)
{
    int err = ENOENT;
    for (char *const *path = plan->paths; *path; path++) {
        (void)syscall(SYS_execve, *path, plan->argv, plan->env);
        if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
            fail(report, THI_SPAWN_EXEC, errno);
        if (errno == EACCES)
            err = EACCES;
    }
    fail(report, THI_SPAWN_EXEC, err);
}

IN_CHILD static int run_child(void *arg)
{
    const child *c = arg;
    const thi_spawn_plan *plan = c->plan;
    int report = c->report;
    if (plan->new_session)
        (void)MUST(THI_SPAWN_GROUP, syscall(SYS_setsid));
    else if (plan->new_group)
        (void)MUST(THI_SPAWN_GROUP, syscall(SYS_setpgid, 0, 0));
    report = place_fds(plan, report);
    if (plan->terminal >= 0)
        (void)MUST(THI_SPAWN_TERMINAL, syscall(SYS_ioctl, plan->terminal, TIOCSCTTY, 0));
    if (plan->cwd)
        (void)MUST(THI_SPAWN_CWD, syscall(SYS_chdir, plan->cwd));
    for (size_t i = 0; i < plan->limit_count; i++)
        (void)MUST(THI_SPAWN_LIMITS, syscall(SYS_prlimit64, 0, plan->limits[i].resource,
                                             &plan->limits[i].limit, NULL));
    if (plan->set_user)
        change_user(plan, report);
    reset_signals();
    exec_first(plan, report);
}

/* ---- in the parent ---- */

/* A kernel (or an emulator) that knows no pidfds says EINVAL; some old ones know but the call. */
static int start(child *c, char *stack, thi_spawned *spawned)
{
    void *top = stack + STACK_SIZE;
    spawned->fd = -1;
    int pid = clone(run_child, top, CLONE_FLAGS | CLONE_PIDFD, c, &spawned->fd);
    if (pid < 0 && errno == EINVAL)
        pid = clone(run_child, top, CLONE_FLAGS, c);
    if (pid < 0)
        return -errno;
    if (spawned->fd < 0)
        spawned->fd = (int)syscall(SYS_pidfd_open, pid, 0);
    spawned->pid = pid;
    return 0;
}

/* Makes the new process, and no signal is handled in it while it has our memory. */
static int start_undisturbed(child *c, thi_spawned *spawned)
{
    static const uint64_t all = ~UINT64_C(0);
    uint64_t former;
    void *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return -errno;
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &former, SIGSET_SIZE);
    int err = start(c, stack, spawned);
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &former, NULL, SIGSET_SIZE);
    (void)munmap(stack, STACK_SIZE);
    return err;
}

/* 0 when the program runs; what the child reported otherwise. */
static int hear(int fd, thi_spawn_step *step)
{
    failure f;
    ssize_t n;
    while ((n = read(fd, &f, sizeof f)) < 0 && (errno == EINTR || errno == EAGAIN))
        (void)poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, -1);
    if (n != sizeof f)
        return 0;
    *step = (thi_spawn_step)f.step;
    return -f.error;
}

static void bury(const thi_spawned *spawned)
{
    while (waitpid(spawned->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (spawned->fd >= 0)
        (void)close(spawned->fd);
}

int thi_spawn(const thi_spawn_plan *plan, thi_spawned *out)
{
    int fds[2];
    thi_spawned spawned = { .fd = -1 };
    out->step = THI_SPAWN_BEGIN;
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    child c = { .plan = plan, .report = fds[1] };
    int err = start_undisturbed(&c, &spawned);
    (void)close(fds[1]);
    if (err == 0) {
        err = hear(fds[0], &out->step);
        if (err < 0)
            bury(&spawned);
    }
    (void)close(fds[0]);
    if (err == 0)
        *out = spawned;
    return err;
}

const char *thi_spawn_step_name(thi_spawn_step step)
{
    static const char *const names[] = {
        [THI_SPAWN_BEGIN] = "making a process",  [THI_SPAWN_GROUP] = "making a session or group",
        [THI_SPAWN_FDS] = "placing descriptors", [THI_SPAWN_TERMINAL] = "taking the terminal",
        [THI_SPAWN_CWD] = "changing the folder", [THI_SPAWN_LIMITS] = "setting limits",
        [THI_SPAWN_USER] = "changing the user",  [THI_SPAWN_EXEC] = "running the program",
    };
    return names[step];
}
