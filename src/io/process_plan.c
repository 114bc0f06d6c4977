/* SPDX-License-Identifier: MIT */

/*
 * Everything that a child needs is made before there is one, in the order in which it is needed;
 * what has been made when a step fails is undone by thi_process_plan_free().
 */
#include "io/process_plan.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define FDS_MAX 256

/* ---- descriptors ---- */

static void give(thi_process_plan *plan, int from, int to)
{
    plan->fds[plan->spawn.fd_count++] = (thi_spawn_fd){ .from = from, .to = to };
}

static int keep(thi_process_plan *plan, int fd)
{
    if (fd >= 0)
        plan->theirs[plan->theirs_count++] = fd;
    return fd;
}

static bool is_open(int fd)
{
    return fd >= 0 && thi_sys_fcntl(fd, F_GETFD, 0) >= 0;
}

static int give_null(thi_process_plan *plan, int to)
{
    if (plan->null < 0)
        plan->null = keep(plan, thi_sys_openat(AT_FDCWD, "/dev/null", O_RDWR, 0));
    if (plan->null < 0)
        return plan->null;
    give(plan, plan->null, to);
    return 0;
}

/* The child's end blocks. */
static int give_pipe(thi_process_plan *plan, int to)
{
    int fds[2];
    int err = thi_sys_pipe(fds);
    if (err < 0)
        return err;
    bool child_reads = to == 0;
    int theirs = keep(plan, fds[child_reads ? 0 : 1]);
    plan->ours[to] = fds[child_reads ? 1 : 0];
    err = thi_sys_fcntl(theirs, F_SETFL, child_reads ? O_RDONLY : O_WRONLY);
    give(plan, theirs, to);
    return err;
}

static int open_terminal(thi_process_plan *plan, const th_process_opts *opts)
{
    struct winsize size = { .ws_row = (unsigned short)(opts->rows ? opts->rows : 24),
                            .ws_col = (unsigned short)(opts->columns ? opts->columns : 80) };
    int locked = 0;
    int master = thi_sys_openat(AT_FDCWD, "/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK, 0);
    if (master < 0)
        return master;
    plan->ours[THI_PROCESS_MASTER] = master;
    int err = thi_sys_ioctl(master, TIOCSPTLCK, &locked);
    if (err < 0)
        return err;
    (void)thi_sys_ioctl(master, TIOCSWINSZ, &size);
    int flags = O_RDWR | O_NOCTTY | O_CLOEXEC;
    int slave = thi_sys_ioctl(master, TIOCGPTPEER, (void *)(uintptr_t)flags);
    plan->slave = keep(plan, slave);
    return slave < 0 ? slave : 0;
}

static int give_terminal(thi_process_plan *plan, const th_process_opts *opts, int to)
{
    int err = plan->slave < 0 ? open_terminal(plan, opts) : 0;
    if (err < 0)
        return err;
    give(plan, plan->slave, to);
    plan->spawn.terminal = to;
    plan->spawn.new_session = true;
    return 0;
}

static int give_stdio(thi_process_plan *plan, const th_process_opts *opts, int to)
{
    const th_process_stdio *io = to == 0 ? &opts->in : to == 1 ? &opts->out : &opts->err;
    switch (io->kind) {
    case TH_PROCESS_INHERIT:
        if (!is_open(to))
            return give_null(plan, to);
        give(plan, to, to);
        return 0;
    case TH_PROCESS_NULL:
        return give_null(plan, to);
    case TH_PROCESS_PIPE:
        return give_pipe(plan, to);
    case TH_PROCESS_FD:
        if (!is_open(io->fd))
            return -EBADF;
        give(plan, io->fd, to);
        return 0;
    case TH_PROCESS_MERGE:
        if (to != 2)
            return -EINVAL;
        give(plan, plan->fds[1].from, to);
        return 0;
    case TH_PROCESS_TERMINAL:
        return give_terminal(plan, opts, to);
    default:
        return -EINVAL;
    }
}

static int give_more(thi_process_plan *plan, const th_process_opts *opts)
{
    for (size_t i = 0; i < opts->fd_count; i++) {
        const th_process_fd *more = &opts->fds[i];
        if (more->as < 3)
            return -EINVAL;
        for (size_t j = 0; j < i; j++)
            if (opts->fds[j].as == more->as)
                return -EINVAL;
        if (!is_open(more->fd))
            return -EBADF;
        give(plan, more->fd, more->as);
    }
    return 0;
}

static int place_descriptors(thi_process_plan *plan, const th_process_opts *opts)
{
    if (opts->fd_count > FDS_MAX || (opts->fd_count > 0 && !opts->fds))
        return -EINVAL;
    plan->fds = thi_calloc(opts->fd_count + 3, sizeof *plan->fds);
    plan->moved = thi_calloc(opts->fd_count + 3, sizeof *plan->moved);
    if (!plan->fds || !plan->moved)
        return -ENOMEM;
    for (int to = 0; to < 3; to++) {
        int err = give_stdio(plan, opts, to);
        if (err < 0)
            return err;
    }
    return give_more(plan, opts);
}

static int set_limits(thi_process_plan *plan, const th_process_opts *opts)
{
    if (opts->limit_count == 0)
        return 0;
    if (!opts->limits)
        return -EINVAL;
    plan->limits = thi_calloc(opts->limit_count, sizeof *plan->limits);
    if (!plan->limits)
        return -ENOMEM;
    for (size_t i = 0; i < opts->limit_count; i++) {
        const th_process_limit *from = &opts->limits[i];
        plan->limits[i].resource = from->resource;
        plan->limits[i].limit = (struct rlimit){ .rlim_cur = from->soft, .rlim_max = from->hard };
    }
    return 0;
}

static char *const *as_execve_wants(const char *const *list)
{
    return (char *const *)(uintptr_t)list;
}

int thi_process_plan_make(thi_process_plan *plan, const th_process_opts *opts)
{
    *plan = (thi_process_plan){ .ours = { -1, -1, -1, -1 }, .null = -1, .slave = -1 };
    if (!opts->argv || !opts->argv[0])
        return thi_err_clear(-EINVAL);
    plan->name = opts->file ? opts->file : opts->argv[0];
    plan->paths = thi_spawn_find(plan->name);
    int err = plan->paths ? 0 : -ENOMEM;
    plan->spawn = (thi_spawn_plan){ .terminal = -1,
                                    .cwd = opts->cwd,
                                    .new_session = opts->new_session,
                                    .new_group = opts->new_group,
                                    .set_user = opts->set_user,
                                    .uid = opts->uid,
                                    .gid = opts->gid };
    if (err == 0)
        err = place_descriptors(plan, opts);
    if (err == 0)
        err = set_limits(plan, opts);
    plan->spawn.paths = plan->paths;
    plan->spawn.argv = as_execve_wants(opts->argv);
    plan->spawn.env = opts->env ? as_execve_wants(opts->env) : environ;
    plan->spawn.fds = plan->fds;
    plan->spawn.moved = plan->moved;
    plan->spawn.limits = plan->limits;
    plan->spawn.limit_count = opts->limit_count;
    return thi_err_clear(err);
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0)
            (void)thi_sys_close(fds[i]);
}

void thi_process_plan_free(thi_process_plan *plan)
{
    close_all(plan->theirs, plan->theirs_count);
    close_all(plan->ours, thi_array_len(plan->ours));
    thi_free(plan->paths);
    thi_free(plan->fds);
    thi_free(plan->moved);
    thi_free(plan->limits);
}
