/* SPDX-License-Identifier: MIT */

/*
 * Child processes: what they inherit, what comes of them, and that nothing is left of them. The
 * children are the shell, and this program itself where the shell could not tell the truth.
 */
#include "sync/parties.h"

#include "this_program.h"

#include "base/alloc.h"
#include "io/process.h"
#include "sys/fault.h"
#include "sys/sys.h"

#include <thrum/process.h>
#include <thrum/select.h>
#include <thrum/sim.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char self[4096]; /* the path of this program; under valgrind /proc/self/exe is not */

/* The shell with a script; the rest of the options as in the macro's arguments. */
#define SHELL(script, ...)                                                                         \
    &(th_process_opts)                                                                             \
    {                                                                                              \
        .argv = (const char *const[]){ "sh", "-c", script, NULL }, .file = "/bin/sh", __VA_ARGS__  \
    }

#define PIPE                                                                                       \
    {                                                                                              \
        .kind = TH_PROCESS_PIPE                                                                    \
    }

static th_process *start(const th_process_opts *opts)
{
    th_process *p = NULL;
    int err = th_process_spawn(opts, &p);
    ck_assert_msg(err == 0, "%s: %s", th_errname(err), th_err_detail());
    return p;
}

static int count_fds(void)
{
    int count = 0;
    for (int fd = 0; fd < 128; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static bool has_children(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* All that a test leaves behind. */
static int fds_before;

static void set_up(void)
{
    fds_before = count_fds();
}

static void tear_down(void)
{
    while (has_children()) /* one that was let go of ends a moment later */
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    while (count_fds() != fds_before)
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
}

static void expect_exit(th_process *p, int code)
{
    th_process_end end;
    ck_assert_int_eq(th_process_wait(p, &end), 0);
    ck_assert_int_eq(end.how, TH_PROCESS_EXITED);
    ck_assert_int_eq(end.code, code);
}

/* What a script prints. */
static void expect_output(const th_process_opts *opts, const char *text)
{
    th_process_output out;
    int err = th_process_run(opts, NULL, 0, 0, &out);
    ck_assert_msg(err == 0, "%s: %s", th_errname(err), th_err_detail());
    ck_assert_str_eq(out.err ? out.err : "", "");
    ck_assert_str_eq(out.out ? out.out : "", text);
    th_process_output_free(&out);
}

/* ---- the end ---- */

FIBER_TEST(exit_code_and_signal_are_told_apart)
{
    th_process_end end;
    set_up();
    th_process *p = start(SHELL("exit 7"));
    ck_assert_int_gt(th_process_pid(p), 0);
    expect_exit(p, 7);
    expect_exit(p, 7); /* again */
    ck_assert_int_eq(th_process_peek(p, &end), 0);
    ck_assert_int_eq(end.code, 7);
    ck_assert_uint_gt(end.memory_peak, 4096);
    th_process_free(p);
    p = start(SHELL("kill -USR1 $$; sleep 100"));
    ck_assert_int_eq(th_process_wait(p, &end), 0);
    ck_assert_int_eq(end.how, TH_PROCESS_KILLED);
    ck_assert_int_eq(end.code, SIGUSR1);
    th_process_free(p);
    tear_down();
}

FIBER_TEST(a_wait_with_a_deadline_leaves_the_child_alone)
{
    th_scope scope;
    set_up();
    th_process *p = start(SHELL("read line; exit 3", .in = PIPE));
    open_scope_for(&scope, 2 * TH_MILLISECOND);
    ck_assert_int_eq(th_process_wait(p, NULL), -ETIMEDOUT);
    close_scope(&scope);
    ck_assert_int_eq(th_process_peek(p, NULL), -EAGAIN);
    ck_assert_int_eq(th_process_kill(p, 0), 0);
    ck_assert_int_eq(th_stream_write(th_process_stdin(p), "x\n", 2), 2);
    expect_exit(p, 3);
    ck_assert_int_eq(th_process_kill(p, SIGTERM), -ESRCH);
    th_process_free(p);
    tear_down();
}

static int wait_for_seven(void *arg)
{
    th_process_end end;
    int err = th_process_wait(arg, &end);
    return err == 0 && end.code == 7 ? 0 : -EPROTO;
}

static void *wait_as_thread(void *arg)
{
    return (void *)(intptr_t)wait_for_seven(arg);
}

FIBER_TEST_ON(3, several_waiters_anywhere_get_the_same_status)
{
    th_scope scope;
    set_up();
    th_process *p = start(SHELL("read line; exit 7", .in = PIPE));
    pthread_t thread = start_thread(wait_as_thread, p);
    open_scope(&scope);
    for (unsigned i = 0; i < 9; i++)
        spawn_on(&scope, i % 3, wait_for_seven, p);
    ck_assert_int_eq(th_stream_close(th_process_stdin(p)), 0);
    close_scope(&scope);
    void *result = NULL;
    while (pthread_tryjoin_np(thread, &result) != 0)
        ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
    ck_assert_ptr_null(result);
    th_process_free(p);
    tear_down();
}

FIBER_TEST(the_end_can_be_selected)
{
    set_up();
    th_process *p = start(SHELL("exit 0"));
    th_case cases[] = { TH_CASE_TIME(TH_NEVER), TH_CASE_READABLE(th_process_fd_of_end(p)) };
    ck_assert_int_eq(th_select(cases, 2, 0), 1);
    expect_exit(p, 0);
    th_process_free(p);
    tear_down();
}

FIBER_TEST(children_that_end_together_are_each_told_once)
{
    enum { MANY = 30 };
    th_process *all[MANY];
    char script[32];
    set_up();
    for (int i = 0; i < MANY; i++) {
        snprintf(script, sizeof script, "exit %d", i);
        all[i] = start(SHELL(script));
    }
    for (int i = 0; i < MANY; i++) {
        expect_exit(all[i], i);
        th_process_free(all[i]);
    }
    tear_down();
}

FIBER_TEST(a_good_child_among_a_hundred_bad_ones_is_not_missed)
{
    set_up();
    const char *const none[] = { "/nowhere/at/all", NULL };
    th_process *good = start(SHELL("exit 9"));
    for (int i = 0; i < 100; i++) {
        th_process *bad = NULL;
        ck_assert_int_eq(th_process_spawn(&(th_process_opts){ .argv = none }, &bad), -ENOENT);
        ck_assert_ptr_null(bad);
    }
    expect_exit(good, 9);
    th_process_free(good);
    tear_down();
}

FIBER_TEST(a_child_of_somebody_else_is_not_reaped)
{
    set_up();
    pid_t other = fork();
    if (other == 0)
        _exit(5);
    th_process *p = start(SHELL("exit 0"));
    expect_exit(p, 0);
    th_process_free(p);
    int status;
    ck_assert_int_eq(waitpid(other, &status, 0), other);
    ck_assert_int_eq(WEXITSTATUS(status), 5);
    tear_down();
}

FIBER_TEST(a_child_that_somebody_else_has_reaped_ends_unknown)
{
    th_process_end end;
    set_up();
    th_process *p = start(SHELL("exit 5"));
    ck_assert_int_eq(waitpid(th_process_pid(p), NULL, 0), th_process_pid(p));
    ck_assert_int_eq(th_process_wait(p, &end), 0);
    ck_assert_int_eq(end.how, TH_PROCESS_UNKNOWN);
    ck_assert_int_eq(th_process_kill(p, SIGKILL), -ESRCH);
    th_process_free(p);
    tear_down();
}

/* ---- the beginning ---- */

static void expect_no_start(const th_process_opts *opts, int err, const char *detail)
{
    th_process *p = NULL;
    int got = th_process_spawn(opts, &p);
    ck_assert_msg(got == err, "%s instead of %s", th_errname(got), th_errname(err));
    ck_assert_ptr_null(p);
    ck_assert_str_eq(th_err_detail(), detail);
    ck_assert(!has_children());
}

FIBER_TEST(why_a_program_cannot_start_is_told_and_nothing_is_left)
{
    const char *const none[] = { "no-such-program", NULL };
    const char *const text[] = { "/etc/passwd", NULL };
    set_up();
    expect_no_start(&(th_process_opts){ .argv = none, .in = PIPE, .out = PIPE, .err = PIPE },
                    -ENOENT, "cannot start 'no-such-program': running the program");
    expect_no_start(&(th_process_opts){ .argv = text }, -EACCES,
                    "cannot start '/etc/passwd': running the program");
    expect_no_start(SHELL("exit", .cwd = "/nowhere"), -ENOENT,
                    "cannot start '/bin/sh': changing the folder");
    expect_no_start(SHELL("exit", .in = { .kind = TH_PROCESS_FD, .fd = 99 }), -EBADF, "");
    expect_no_start(SHELL("exit", .in = { .kind = TH_PROCESS_MERGE }), -EINVAL, "");
    expect_no_start(SHELL("exit", .out = { .kind = 17 }), -EINVAL, "");
    expect_no_start(&(th_process_opts){ 0 }, -EINVAL, "");
    th_process_limit wrong = { .resource = RLIMIT_NOFILE, .soft = 2, .hard = 1 };
    expect_no_start(SHELL("exit", .limits = &wrong, .limit_count = 1), -EINVAL,
                    "cannot start '/bin/sh': setting limits");
    tear_down();
}

FIBER_TEST(a_program_without_a_slash_is_looked_for_in_the_path)
{
    const char *const argv[] = { "sh", "-c", "echo $0", NULL };
    set_up();
    const char *path = getenv("PATH");
    char *saved = strdup(path ? path : "/bin");
    (void)setenv("PATH", "/nowhere::/bin:/usr/bin", 1);
    expect_output(&(th_process_opts){ .argv = argv }, "sh\n");
    (void)setenv("PATH", "/nowhere", 1);
    expect_no_start(&(th_process_opts){ .argv = argv }, -ENOENT,
                    "cannot start 'sh': running the program");
    (void)setenv("PATH", saved, 1);
    free(saved);
    tear_down();
}

FIBER_TEST(folder_and_environment_are_as_wanted)
{
    static const char *const env[] = { "WARP=weft", NULL };
    set_up();
    expect_output(SHELL("pwd; echo $WARP-$HOME", .cwd = "/usr", .env = env), "/usr\nweft-\n");
    (void)setenv("THRUM_TEST", "loom", 1);
    expect_output(SHELL("echo $THRUM_TEST"), "loom\n");
    tear_down();
}

FIBER_TEST(limits_are_set)
{
    const th_process_limit limits[] = { { RLIMIT_CPU, 40, 50 }, { RLIMIT_CORE, 0, 0 } };
    set_up();
    expect_output(SHELL("ulimit -St; ulimit -Ht", .limits = limits, .limit_count = 2), "40\n50\n");
    tear_down();
}

FIBER_TEST(another_user_is_set_or_refused)
{
    set_up();
    th_process_opts *as_nobody =
        SHELL("id -u; id -g; id -G", .set_user = 1, .uid = 65534, .gid = 65534);
    if (geteuid() == 0)
        expect_output(as_nobody, "65534\n65534\n65534\n");
    else
        expect_no_start(as_nobody, -EPERM, "cannot start '/bin/sh': changing the user");
    tear_down();
}

FIBER_TEST(a_session_or_a_group_is_made)
{
    set_up();
    pid_t group = getpgrp();
    pid_t session = getsid(0);
    th_process *p = start(SHELL("read line", .in = PIPE));
    ck_assert_int_eq(getpgid(th_process_pid(p)), group);
    th_process_free(p);
    p = start(SHELL("read line", .in = PIPE, .new_group = 1));
    ck_assert_int_eq(getpgid(th_process_pid(p)), th_process_pid(p));
    ck_assert_int_eq(getsid(th_process_pid(p)), session);
    th_process_free(p);
    p = start(SHELL("read line", .in = PIPE, .new_session = 1));
    ck_assert_int_eq(getsid(th_process_pid(p)), th_process_pid(p));
    th_process_free(p);
    tear_down();
}

/* ---- what it inherits ---- */

FIBER_TEST(standard_streams_lead_where_they_are_to_lead)
{
    int fds[2];
    char buf[64];
    set_up();
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    th_process_stdio to_pipe = { .kind = TH_PROCESS_FD, .fd = fds[1] };
    th_process_stdio null = { .kind = TH_PROCESS_NULL };
    th_process *p = start(SHELL("readlink /proc/self/fd/0; echo out; echo err >&2", .in = null,
                                .out = to_pipe, .err = to_pipe));
    (void)close(fds[1]);
    expect_exit(p, 0);
    ck_assert_ptr_null(th_process_stdin(p));
    ck_assert_ptr_null(th_process_stdout(p));
    ssize_t n = 0;
    for (ssize_t got; (got = read(fds[0], buf + n, sizeof buf - (size_t)n)) > 0;)
        n += got;
    ck_assert_int_eq(n, 18);
    ck_assert_mem_eq(buf, "/dev/null\nout\nerr\n", 18);
    (void)close(fds[0]);
    th_process_free(p);
    expect_output(SHELL("echo out; echo err >&2; echo more", .err = { .kind = TH_PROCESS_MERGE }),
                  "out\nerr\nmore\n");
    tear_down();
}

/* Descriptor 1 is to be what 2 is here, and the other way round. */
FIBER_TEST(standard_streams_may_be_swapped)
{
    int out[2], err[2];
    char buf[8];
    set_up();
    ck_assert_int_eq(pipe2(out, O_CLOEXEC) | pipe2(err, O_CLOEXEC), 0);
    int saved[] = { fcntl(1, F_DUPFD_CLOEXEC, 10), fcntl(2, F_DUPFD_CLOEXEC, 10) };
    (void)dup2(out[1], 1);
    (void)dup2(err[1], 2);
    th_process *p = NULL;
    int result =
        th_process_spawn(SHELL("echo 1; echo 2 >&2", .out = { .kind = TH_PROCESS_FD, .fd = 2 },
                               .err = { .kind = TH_PROCESS_FD, .fd = 1 }),
                         &p);
    (void)dup2(saved[0], 1);
    (void)dup2(saved[1], 2);
    ck_assert_int_eq(result, 0);
    expect_exit(p, 0);
    ck_assert_int_eq(read(out[0], buf, sizeof buf), 2);
    ck_assert_mem_eq(buf, "2\n", 2);
    ck_assert_int_eq(read(err[0], buf, sizeof buf), 2);
    ck_assert_mem_eq(buf, "1\n", 2);
    for (int i = 0; i < 2; i++) {
        (void)close(out[i]);
        (void)close(err[i]);
        (void)close(saved[i]);
    }
    th_process_free(p);
    tear_down();
}

/* This program as a child, with the task as its argument; see main(). */
#define SELF(task, ...)                                                                            \
    &(th_process_opts)                                                                             \
    {                                                                                              \
        .argv = needs_wrapper()                                                                    \
                    ? (const char *const[]){ "sh", "-c", BY_WRAPPER, self, task, NULL }            \
                    : (const char *const[]){ "test_process", task, NULL },                         \
        .file = needs_wrapper() ? "/bin/sh" : self, __VA_ARGS__                                    \
    }

FIBER_TEST(nothing_else_is_inherited)
{
    set_up();
    int leaky = open("/dev/null", O_RDONLY); /* not close-on-exec: a library's, say */
    int high = fcntl(leaky, F_DUPFD, 100);
    expect_output(SELF("fds"), "0 1 2\n");
    th_process_fd more[] = { { leaky, 7 }, { 1, 5 } };
    expect_output(SELF("fds", .fds = more, .fd_count = 2), "0 1 2 5 7\n");
    more[1].as = 7;
    expect_no_start(SELF("fds", .fds = more, .fd_count = 2), -EINVAL, "");
    more[1].as = 2;
    expect_no_start(SELF("fds", .fds = more, .fd_count = 2), -EINVAL, "");
    (void)close(leaky);
    (void)close(high);
    tear_down();
}

FIBER_TEST(without_a_standard_input_of_ours_the_child_has_the_null_device)
{
    th_process_output out;
    set_up();
    int saved = fcntl(0, F_DUPFD_CLOEXEC, 10);
    (void)close(0);
    int err = th_process_run(SHELL("readlink /proc/self/fd/0"), NULL, 0, 0, &out);
    (void)dup2(saved, 0);
    (void)close(saved);
    ck_assert_int_eq(err, 0);
    ck_assert_str_eq(out.out, "/dev/null\n");
    th_process_output_free(&out);
    tear_down();
}

FIBER_TEST(signals_are_as_in_a_fresh_process)
{
    struct sigaction ignoring = { .sa_handler = SIG_IGN };
    sigset_t set;
    set_up();
    (void)sigaction(SIGHUP, &ignoring, NULL);
    (void)sigaction(SIGRTMAX, &ignoring, NULL);
    (void)sigfillset(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    expect_output(SELF("signals"), "blocked: none, ignored: none\n");
    tear_down();
}

FIBER_TEST(a_second_child_does_not_hold_the_first_ones_input_open)
{
    set_up();
    th_process *first = start(SHELL("cat", .in = PIPE));
    th_process *second = start(SHELL("cat", .in = PIPE));
    ck_assert_int_eq(th_stream_close(th_process_stdin(first)), 0);
    expect_exit(first, 0);
    th_process_free(first);
    th_process_free(second);
    tear_down();
}

/* ---- streams ---- */

FIBER_TEST(output_that_was_written_before_the_end_is_all_there)
{
    char buf[16];
    set_up();
    th_process *p = start(SHELL("printf warp; printf weft >&2", .out = PIPE, .err = PIPE));
    expect_exit(p, 0);
    ck_assert_int_eq(th_stream_read_all(th_process_stdout(p), buf, 4), 4);
    ck_assert_mem_eq(buf, "warp", 4);
    ck_assert_int_eq(th_stream_read(th_process_stdout(p), buf, 4), TH_EOF);
    ck_assert_int_eq(th_stream_read_all(th_process_stderr(p), buf, 4), 4);
    ck_assert_mem_eq(buf, "weft", 4);
    th_process_free(p);
    tear_down();
}

FIBER_TEST(input_for_a_child_that_has_ended_is_a_broken_pipe)
{
    set_up();
    th_process *p = start(SHELL("exit 0", .in = PIPE));
    expect_exit(p, 0);
    ck_assert_int_eq(th_stream_write(th_process_stdin(p), "x", 1), -EPIPE);
    th_process_free(p);
    tear_down();
}

FIBER_TEST(a_child_on_a_terminal_has_one_and_it_can_be_talked_to)
{
    char buf[256];
    char text[1024] = "";
    ssize_t n;
    th_process_stdio terminal = { .kind = TH_PROCESS_TERMINAL };
    set_up();
    th_process *p =
        start(SHELL("test -t 0 && test -t 1 && test -t 2 && stty size && "
                    "exec 3</dev/tty && read line && echo got $line && "
                    "read line && stty size && exit 4",
                    .in = terminal, .out = terminal, .err = terminal, .rows = 33, .columns = 111));
    th_stream *s = th_process_stdin(p);
    ck_assert_ptr_eq(s, th_process_stdout(p));
    ck_assert_ptr_null(th_process_stderr(p));
    ck_assert_int_eq(th_stream_write(s, "warp\n", 5), 5);
    while (!strstr(text, "got warp")) {
        ck_assert_int_gt(n = th_stream_read(s, buf, sizeof buf - 1), 0);
        buf[n] = '\0';
        (void)strncat(text, buf, sizeof text - strlen(text) - 1);
    }
    ck_assert_ptr_nonnull(strstr(text, "33 111"));
    ck_assert_int_eq(th_process_resize(p, 5, 7), 0);
    ck_assert_int_eq(th_stream_write(s, "on\n", 3), 3);
    while ((n = th_stream_read(s, buf, sizeof buf - 1)) > 0) {
        buf[n] = '\0';
        (void)strncat(text, buf, sizeof text - strlen(text) - 1);
    }
    ck_assert_int_eq(n, TH_EOF);
    ck_assert_ptr_nonnull(strstr(text, "5 7"));
    expect_exit(p, 4);
    th_process_free(p);
    p = start(SHELL("exit 0"));
    ck_assert_int_eq(th_process_resize(p, 5, 7), -ENOTTY);
    expect_exit(p, 0);
    th_process_free(p);
    tear_down();
}

/* ---- letting go ---- */

FIBER_TEST(to_free_the_handle_of_one_that_runs_kills_and_reaps_it)
{
    set_up();
    th_process *p = start(SHELL("exec sleep 100"));
    pid_t pid = th_process_pid(p);
    th_process_free(p);
    while (kill(pid, 0) == 0)
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    th_process_free(NULL);
    th_process_close(NULL, NULL);
    tear_down();
}

FIBER_TEST(many_that_are_let_go_of_at_once_leave_no_zombie)
{
    set_up();
    for (int i = 0; i < 100; i++)
        th_process_free(start(SHELL("exec sleep 100")));
    tear_down();
}

FIBER_TEST(a_detached_one_lives_on_and_is_no_zombie_afterwards)
{
    int fds[2];
    set_up();
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    th_process *p = start(SHELL("read line", .in = { .kind = TH_PROCESS_FD, .fd = fds[0] },
                                .new_session = 1, .detached = 1));
    pid_t pid = th_process_pid(p);
    th_process_close(p, NULL);
    ck_assert_int_eq(kill(pid, 0), 0);
    (void)close(fds[0]);
    (void)close(fds[1]); /* the end of its input */
    tear_down();
}

FIBER_TEST(closing_ends_it_by_sigterm_and_if_need_be_by_sigkill)
{
    char byte;
    th_process_end end;
    set_up();
    th_process *p =
        start(SHELL("trap 'exit 6' TERM; echo; while :; do sleep 0.01; done", .out = PIPE));
    ck_assert_int_eq(th_stream_read(th_process_stdout(p), &byte, 1), 1);
    th_process_close(p, &end);
    ck_assert_int_eq(end.how, TH_PROCESS_EXITED);
    ck_assert_int_eq(end.code, 6);
    p = start(SHELL("trap '' TERM; echo; while :; do sleep 0.01; done", .out = PIPE,
                    .grace = 20 * TH_MILLISECOND));
    ck_assert_int_eq(th_stream_read(th_process_stdout(p), &byte, 1), 1);
    th_process_close(p, &end);
    ck_assert_int_eq(end.how, TH_PROCESS_KILLED);
    ck_assert_int_eq(end.code, SIGKILL);
    tear_down();
}

FIBER_TEST(closing_ends_a_stopped_one_and_a_whole_group)
{
    char buf[16] = { 0 };
    th_process_end end;
    set_up();
    th_process *p = start(SHELL("exec sleep 100"));
    ck_assert_int_eq(th_process_kill(p, SIGSTOP), 0);
    th_process_close(p, &end);
    ck_assert_int_eq(end.code, SIGTERM);
    p = start(SHELL("sleep 100 & echo $!; wait", .out = PIPE, .new_group = 1));
    ck_assert_int_gt(th_stream_read(th_process_stdout(p), buf, sizeof buf - 1), 1);
    th_process_close(p, &end);
    pid_t grandchild = (pid_t)atoi(buf);
    ck_assert_int_gt(grandchild, 1);
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/exe", grandchild); /* of a zombie it cannot be read */
    while (readlink(path, buf, sizeof buf) > 0)
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    tear_down();
}

FIBER_TEST(a_scope_that_is_cancelled_ends_its_processes)
{
    th_scope scope;
    set_up();
    open_scope(&scope);
    th_process *p = start(SHELL("exec sleep 100", .scope = &scope));
    th_process *hard = start(SHELL("trap '' TERM; while :; do sleep 0.01; done", .scope = &scope,
                                   .grace = 20 * TH_MILLISECOND));
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    ck_assert_int_eq(th_scope_close(&scope), 0);
    ck_assert_int_eq(th_process_peek(p, NULL), 0); /* gone when the scope has closed */
    ck_assert_int_eq(th_process_peek(hard, NULL), 0);
    th_process_free(p);
    th_process_free(hard);
    open_scope_for(&scope, 2 * TH_MILLISECOND);
    p = start(SHELL("exec sleep 100", .scope = &scope));
    ck_assert_int_eq(th_scope_close(&scope), 0);
    ck_assert_int_eq(th_process_peek(p, NULL), 0);
    th_process_free(p);
    open_scope(&scope);
    p = start(SHELL("exit 2", .scope = &scope));
    close_scope(&scope);
    ck_assert_int_eq(th_process_peek(p, NULL), 0); /* it has waited */
    th_process_free(p);
    tear_down();
}

/* ---- from start to end ---- */

FIBER_TEST(a_run_feeds_and_collects_at_the_same_time)
{
    enum { SIZE = 3 * 1024 * 1024 };
    th_process_output out;
    char *input = malloc(SIZE);
    set_up();
    for (int i = 0; i < SIZE; i++)
        input[i] = (char)(i * 7 >> 4);
    ck_assert_int_eq(th_process_run(SHELL("tee /dev/stderr"), input, SIZE, 0, &out), 0);
    ck_assert_uint_eq(out.out_size, SIZE);
    ck_assert_uint_eq(out.err_size, SIZE);
    ck_assert_int_eq(memcmp(out.out, input, SIZE), 0);
    ck_assert_int_eq(memcmp(out.err, input, SIZE), 0);
    ck_assert_int_eq(out.end.code, 0);
    th_process_output_free(&out);
    free(input);
    tear_down();
}

FIBER_TEST(a_run_does_not_mind_input_that_nobody_wants)
{
    enum { SIZE = 1024 * 1024 };
    static const char input[SIZE];
    th_process_output out;
    set_up();
    ck_assert_int_eq(th_process_run(SHELL("echo enough; exit 3"), input, SIZE, 0, &out), 0);
    ck_assert_str_eq(out.out, "enough\n");
    ck_assert_int_eq(out.end.code, 3);
    th_process_output_free(&out);
    tear_down();
}

FIBER_TEST(a_run_that_says_too_much_is_ended)
{
    th_process_output out;
    set_up();
    ck_assert_int_eq(th_process_run(SHELL("yes"), NULL, 0, 1000, &out), TH_ELIMIT);
    ck_assert_uint_eq(out.out_size, 1000);
    ck_assert_int_eq(memcmp(out.out, "y\ny\n", 4), 0);
    th_process_output_free(&out);
    ck_assert_int_eq(th_process_run(SHELL("printf 12345"), NULL, 0, 5, &out), 0);
    ck_assert_str_eq(out.out, "12345");
    th_process_output_free(&out);
    tear_down();
}

FIBER_TEST(a_run_that_takes_too_long_is_ended)
{
    th_scope scope;
    th_process_output out;
    set_up();
    open_scope_for(&scope, 100 * TH_MILLISECOND);
    ck_assert_int_eq(th_process_run(SHELL("echo begun; exec sleep 100"), NULL, 0, 0, &out),
                     -ETIMEDOUT);
    close_scope(&scope);
    ck_assert_int_eq(out.end.how, TH_PROCESS_KILLED);
    ck_assert_int_eq(out.end.code, SIGTERM);
    th_process_output_free(&out);
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_process_run(SHELL("exit"), NULL, 0, 0, &out), -ECANCELED);
    close_scope(&scope);
    th_process_output_free(NULL);
    tear_down();
}

/* ---- older kernels, lack of things ---- */

static bool no_threads;

static int spawn_without_pidfd(const thi_spawn_plan *plan, thi_spawned *spawned)
{
    int err = thi_spawn(plan, spawned);
    if (err == 0 && spawned->fd >= 0) {
        (void)close(spawned->fd);
        spawned->fd = -1;
    }
    return err;
}

static int thread_or_not(pthread_t *thread, size_t size, void *(*body)(void *), void *arg)
{
    return no_threads ? -EAGAIN : thi_sys_real.thread(thread, size, body, arg);
}

FIBER_TEST(without_pidfds_threads_wait)
{
    thi_sys table = *thi_sys_table;
    const thi_sys *former = thi_sys_table;
    set_up();
    table.spawn = spawn_without_pidfd;
    table.thread = thread_or_not;
    thi_sys_table = &table;
    th_process *p = start(SHELL("read line; exit 7", .in = PIPE));
    ck_assert_int_eq(th_process_peek(p, NULL), -EAGAIN);
    ck_assert_int_eq(th_stream_close(th_process_stdin(p)), 0);
    expect_exit(p, 7);
    th_process_free(p);
    th_process_free(start(SHELL("exec sleep 100")));
    tear_down();
    no_threads = true;
    p = NULL;
    ck_assert_int_eq(th_process_spawn(SHELL("exec sleep 100"), &p), -EAGAIN);
    ck_assert_ptr_null(p);
    no_threads = false;
    tear_down();
    thi_sys_table = former;
}

FIBER_TEST(without_a_thread_for_orphans_they_end_at_once)
{
    thi_sys table = *thi_sys_table;
    const thi_sys *former = thi_sys_table;
    set_up();
    table.thread = thread_or_not;
    no_threads = true;
    thi_sys_table = &table;
    th_process_free(start(SHELL("exec sleep 100", .detached = 1)));
    ck_assert(!has_children());
    no_threads = false;
    thi_sys_table = former;
    tear_down();
}

static int start_and_wait(void)
{
    th_process *p;
    int err =
        th_process_spawn(SHELL("read line; exit 7", .in = PIPE, .out = PIPE, .err = PIPE), &p);
    if (err < 0)
        return err;
    (void)th_stream_close(th_process_stdin(p));
    err = th_process_wait(p, NULL);
    th_process_free(p);
    return err;
}

FIBER_TEST(whatever_there_is_no_room_for_nothing_is_left)
{
    set_up();
    for (int64_t n = 1;; n++) {
        int64_t live = thi_alloc_live();
        (void)thi_alloc_fail_at(n);
        int err = start_and_wait();
        bool hit = thi_alloc_fail_at(0) >= n;
        ck_assert(err == 0 || err == -ENOMEM);
        tear_down();
        if (!hit)
            break;
        ck_assert_int_eq(thi_alloc_live(), live);
        ck_assert_int_lt(n, 60);
    }
    for (unsigned long n = 1;; n++) {
        thi_fault_begin(0, 0);
        thi_fault_order("pipe openat fcntl spawn", n, EMFILE);
        int err = start_and_wait();
        bool hit = thi_fault_hit();
        (void)thi_fault_end();
        ck_assert(err == 0 || (hit && (err == -EMFILE || err == -EBADF)));
        tear_down();
        if (!hit)
            break;
        ck_assert_uint_lt(n, 60);
    }
}

static int spawn_in_simulation(void *arg)
{
    th_process *p;
    (void)arg;
    return th_process_spawn(SHELL("exit 0"), &p);
}

START_TEST(a_simulation_has_no_processes)
{
    ck_assert_int_eq(th_sim_run(spawn_in_simulation, NULL, NULL, NULL), -ENOSYS);
}
END_TEST

START_TEST(a_plain_thread_starts_processes_without_streams)
{
    th_process *p = NULL;
    ck_assert_int_eq(th_process_spawn(SHELL("exit 0", .in = PIPE), &p), -EPERM);
    ck_assert_int_eq(th_process_spawn(SHELL("exit 8"), &p), 0);
    expect_exit(p, 8);
    th_process_free(p);
    ck_assert(!has_children());
}
END_TEST

/* ---- this program as a child ---- */

static int tell_fds(void)
{
    const char *before = "";
    for (int fd = 0; fd < 1024; fd++) {
        if (fcntl(fd, F_GETFD) < 0)
            continue;
        printf("%s%d", before, fd);
        before = " ";
    }
    printf("\n");
    return 0;
}

static int tell_signals(void)
{
    sigset_t blocked;
    int blocks = 0;
    int ignores = 0;
    (void)sigprocmask(SIG_BLOCK, NULL, &blocked);
    for (int signo = 1; signo <= SIGRTMAX; signo++) {
        struct sigaction present;
        blocks += sigismember(&blocked, signo) == 1;
        if (sigaction(signo, NULL, &present) == 0)
            ignores += present.sa_handler == SIG_IGN;
    }
    printf("blocked: %s, ignored: %s\n", blocks ? "some" : "none", ignores ? "some" : "none");
    return 0;
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "end");
    add_on_engines(tcase, exit_code_and_signal_are_told_apart);
    add_on_engines(tcase, a_wait_with_a_deadline_leaves_the_child_alone);
    add_on_engines(tcase, several_waiters_anywhere_get_the_same_status);
    tcase_add_test(tcase, the_end_can_be_selected);
    tcase_add_test(tcase, children_that_end_together_are_each_told_once);
    tcase_add_test(tcase, a_good_child_among_a_hundred_bad_ones_is_not_missed);
    tcase_add_test(tcase, a_child_of_somebody_else_is_not_reaped);
    tcase_add_test(tcase, a_child_that_somebody_else_has_reaped_ends_unknown);
    tcase = thi_check_case(suite, "beginning");
    tcase_add_test(tcase, why_a_program_cannot_start_is_told_and_nothing_is_left);
    tcase_add_test(tcase, a_program_without_a_slash_is_looked_for_in_the_path);
    tcase_add_test(tcase, folder_and_environment_are_as_wanted);
    tcase_add_test(tcase, limits_are_set);
    tcase_add_test(tcase, another_user_is_set_or_refused);
    tcase_add_test(tcase, a_session_or_a_group_is_made);
    tcase = thi_check_case(suite, "inheritance");
    tcase_add_test(tcase, standard_streams_lead_where_they_are_to_lead);
    tcase_add_test(tcase, standard_streams_may_be_swapped);
    tcase_add_test(tcase, nothing_else_is_inherited);
    tcase_add_test(tcase, without_a_standard_input_of_ours_the_child_has_the_null_device);
    tcase_add_test(tcase, signals_are_as_in_a_fresh_process);
    tcase_add_test(tcase, a_second_child_does_not_hold_the_first_ones_input_open);
    tcase = thi_check_case(suite, "streams");
    add_on_engines(tcase, output_that_was_written_before_the_end_is_all_there);
    tcase_add_test(tcase, input_for_a_child_that_has_ended_is_a_broken_pipe);
    add_on_engines(tcase, a_child_on_a_terminal_has_one_and_it_can_be_talked_to);
    tcase = thi_check_case(suite, "letting go");
    tcase_add_test(tcase, to_free_the_handle_of_one_that_runs_kills_and_reaps_it);
    tcase_add_test(tcase, many_that_are_let_go_of_at_once_leave_no_zombie);
    tcase_add_test(tcase, a_detached_one_lives_on_and_is_no_zombie_afterwards);
    add_on_engines(tcase, closing_ends_it_by_sigterm_and_if_need_be_by_sigkill);
    tcase_add_test(tcase, closing_ends_a_stopped_one_and_a_whole_group);
    add_on_engines(tcase, a_scope_that_is_cancelled_ends_its_processes);
    tcase = thi_check_case(suite, "run");
    add_on_engines(tcase, a_run_feeds_and_collects_at_the_same_time);
    tcase_add_test(tcase, a_run_does_not_mind_input_that_nobody_wants);
    tcase_add_test(tcase, a_run_that_says_too_much_is_ended);
    add_on_engines(tcase, a_run_that_takes_too_long_is_ended);
    tcase = thi_check_case(suite, "lacks");
    tcase_add_test(tcase, without_pidfds_threads_wait);
    tcase_add_test(tcase, without_a_thread_for_orphans_they_end_at_once);
    tcase_add_test(tcase, whatever_there_is_no_room_for_nothing_is_left);
    tcase_add_test(tcase, a_simulation_has_no_processes);
    tcase_add_test(tcase, a_plain_thread_starts_processes_without_streams);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "fds") == 0)
        return tell_fds();
    if (argc == 2 && strcmp(argv[1], "signals") == 0)
        return tell_signals();
    if (!realpath(argv[0], self))
        return 1;
    return thi_check_run("io/process", fill);
}
