/* SPDX-License-Identifier: MIT */

/* Listeners on sockets that the process was given: by number, and by systemd's protocol. */
#include "serving.h"

#include "net/inherit.h"
#include "sys/fault.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <sys/wait.h>

/* An assertion that a child of the test may make: it ends the process. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            dprintf(2, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                             \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* A bare socket of IPv4, bound to a free port and listening if asked for. */
static int bare(bool binds, bool listens)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    MUST(fd >= 0);
    if (binds)
        MUST(bind(fd, (struct sockaddr *)&in, sizeof in) == 0);
    if (listens)
        MUST(listen(fd, 5) == 0);
    return fd;
}

static th_listener *adopted(int fd)
{
    char text[20];
    th_listener *l = NULL;
    (void)snprintf(text, sizeof text, "fd:%d", fd);
    int err = th_listen(text, NULL, &l);
    ck_assert_msg(err == 0, "%s: %s", th_errname(err), th_err_detail());
    return l;
}

/* Listening fails with the code and a detail that has the address. */
static void refused(const char *address, const th_listen_opts *opts, int code)
{
    th_listener *l = NULL;
    int err = th_listen(address, opts, &l);
    ck_assert_msg(err == code, "%s: %s: %s", address, th_errname(err), th_err_detail());
    ck_assert_msg(strstr(th_err_detail(), address) != NULL, "%s", th_err_detail());
    ck_assert_ptr_null(l);
}

static int connects(const th_addr *addr)
{
    thi_sockaddr sa;
    socklen_t len = thi_addr_to_sockaddr(addr, &sa);
    int fd = socket(sa.sa.sa_family, SOCK_STREAM, 0);
    int err = connect(fd, &sa.sa, len) < 0 ? -errno : 0;
    close(fd);
    return err;
}

/* ---- by number ------------------------------------------------------------------------------- */

START_TEST(a_listening_descriptor_is_taken_over)
{
    int fd = bare(true, true);
    th_listener *l = adopted(fd);
    th_addr addr;
    th_listener_addr(l, &addr);
    ck_assert_uint_eq(addr.kind, TH_ADDR_IP4);
    ck_assert_uint_ne(addr.port, 0);
    ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    ck_assert_int_eq(connects(&addr), 0);
    th_listener_close(l);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
    ck_assert_int_eq(connects(&addr), -ECONNREFUSED);
}
END_TEST

START_TEST(one_that_is_bound_starts_to_listen)
{
    int fd = bare(true, false);
    th_listener *l = adopted(fd);
    ck_assert_int_eq(connects(&l->addr), 0);
    th_listener_close(l);
}
END_TEST

START_TEST(one_that_is_not_even_bound_listens_on_some_port)
{
    th_listener *l = adopted(bare(false, false));
    ck_assert_uint_ne(l->addr.port, 0);
    l->addr.ip[0] = 127, l->addr.ip[3] = 1;
    ck_assert_int_eq(connects(&l->addr), 0);
    th_listener_close(l);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0); /* for which there is no such thing */
    char text[20];
    (void)snprintf(text, sizeof text, "fd:%d", fd);
    refused(text, NULL, -EINVAL);
    close(fd);
}
END_TEST

START_TEST(a_descriptor_is_taken_once)
{
    char text[20];
    int fd = bare(true, true);
    th_listener *l = adopted(fd);
    (void)snprintf(text, sizeof text, "fd:%d", fd);
    refused(text, NULL, -EBUSY);
    th_listener_close(l);
    refused(text, NULL, -EBADF);
    ck_assert_int_eq(bare(true, true), fd); /* the number is free for another one */
    th_listener_close(adopted(fd));
}
END_TEST

START_TEST(what_is_no_listener_is_refused_and_stays)
{
    char text[20];
    int pipes[2];
    int pair[2];
    ck_assert_int_eq(pipe(pipes), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    (void)snprintf(text, sizeof text, "fd:%d", pipes[0]);
    refused(text, NULL, -ENOTSOCK);
    (void)snprintf(text, sizeof text, "fd:%d", pair[0]);
    refused(text, NULL, -EINVAL);
    (void)snprintf(text, sizeof text, "fd:%d", udp);
    refused(text, NULL, -EPROTOTYPE);
    int all[] = { pipes[0], pipes[1], pair[0], pair[1], udp };
    for (size_t i = 0; i < thi_array_len(all); i++)
        ck_assert_int_eq(close(all[i]), 0);
    refused("fd:", NULL, TH_EADDRESS);
    refused("fd:x", NULL, TH_EADDRESS);
    refused("fd:-1", NULL, TH_EADDRESS);
    refused("fd:4096", NULL, TH_EADDRESS);
    refused("fd:4095", NULL, -EBADF);
}
END_TEST

START_TEST(options_that_come_too_late_are_refused)
{
    char text[20];
    int fd = bare(true, true);
    (void)snprintf(text, sizeof text, "fd:%d", fd);
    refused(text, &(th_listen_opts){ .mode = 0600 }, -EINVAL);
    refused(text, &(th_listen_opts){ .dual_stack = 1 }, -EINVAL);
    refused(text, &(th_listen_opts){ .reuse_port = 1 }, -EINVAL);
    refused(text, &(th_listen_opts){ .tune = "reuseport" }, -EINVAL);
    ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
    th_listener *l = NULL;
    ck_assert_int_eq(
        th_listen(text, &(th_listen_opts){ .tune = "user_timeout=9s", .backlog = 9 }, &l), 0);
    th_tune t;
    ck_assert_int_eq(th_listener_tuning(l, &t), 0);
    ck_assert_int_eq(t.user_timeout, 9 * TH_SECOND);
    ck_assert_int_eq(t.nodelay, 1);
    th_listener_close(l);
}
END_TEST

START_TEST(a_unix_socket_file_is_not_removed_by_who_did_not_make_it)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    (void)snprintf(un.sun_path, sizeof un.sun_path, "/tmp/thrum-inherit-%ld", (long)getpid());
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    th_listener *l = adopted(fd);
    ck_assert_uint_eq(l->addr.kind, TH_ADDR_UNIX);
    ck_assert_int_eq(connects(&l->addr), 0);
    th_listener_close(l);
    ck_assert_int_eq(unlink(un.sun_path), 0);
}
END_TEST

START_TEST(each_system_call_may_fail)
{
    char text[20];
    const char *hit;
    unsigned long n = 1;
    int fd = bare(true, false);
    (void)snprintf(text, sizeof text, "fd:%d", fd);
    do {
        th_listener *l = NULL;
        thi_fault_begin(n++, ENOBUFS);
        int err = th_listen(text, NULL, &l);
        hit = thi_fault_hit();
        thi_fault_end();
        if (hit && strcmp(hit, "setsockopt") != 0) { /* TCP_NODELAY may fail unseen */
            ck_assert_msg(err == -ENOBUFS, "%s: %s", hit, th_errname(err));
            ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
            continue;
        }
        ck_assert_int_eq(err, 0);
        th_listener_close(l);
        ck_assert_int_eq(bare(true, false), fd);
    } while (hit);
    ck_assert_uint_gt(n, 7);
    close(fd);
}
END_TEST

/* ---- by name --------------------------------------------------------------------------------- */

/*
 * systemd's sockets begin at descriptor 3, where the test's own process has something else. So
 * these tests run in a child, whose assertions end it.
 */
#define CHILD_TEST(name)                                                                           \
    static void name##_body(void);                                                                 \
    START_TEST(name)                                                                               \
    {                                                                                              \
        int status = 0;                                                                            \
        pid_t pid = fork();                                                                        \
        if (pid == 0) {                                                                            \
            name##_body();                                                                         \
            _exit(0);                                                                              \
        }                                                                                          \
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);                                           \
        ck_assert_int_eq(status, 0);                                                               \
    }                                                                                              \
    END_TEST                                                                                       \
    static void name##_body(void)

/* Puts descriptors where systemd puts them, and says so in the environment. */
static void pass(int count, const char *names)
{
    char text[20];
    for (int fd = 3; fd < 40; fd++)
        close(fd);
    for (int i = 0; i < count; i++)
        MUST(bare(true, true) == 3 + i);
    (void)snprintf(text, sizeof text, "%d", count);
    setenv("LISTEN_FDS", text, 1);
    (void)snprintf(text, sizeof text, "%ld", (long)getpid());
    setenv("LISTEN_PID", text, 1);
    if (names)
        setenv("LISTEN_FDNAMES", names, 1);
    else
        unsetenv("LISTEN_FDNAMES");
}

static int taken_by_name(const char *address)
{
    th_listener *l = NULL;
    int err = th_listen(address, NULL, &l);
    if (err < 0) /* the detail has the address */
        MUST(strstr(th_err_detail(), address) != NULL);
    return err < 0 ? err : l->fd;
}

CHILD_TEST(sockets_are_found_by_their_names)
{
    pass(4, "web:admin:web:");
    MUST(taken_by_name("systemd:admin") == 4);
    MUST(taken_by_name("systemd:web") == 3);
    MUST(taken_by_name("systemd:web") == 5); /* the next of that name */
    MUST(taken_by_name("systemd:web") == -ENOENT);
    MUST(taken_by_name("systemd:none") == -ENOENT);
    MUST(taken_by_name("systemd:") == 6); /* any */
    MUST(taken_by_name("systemd:") == -ENOENT);
    MUST(taken_by_name("fd:4") == -EBUSY);
}

/* One name for both kinds, as a unit has by default. */
CHILD_TEST(each_finds_the_kind_that_it_wants)
{
    pass(3, "dns:dns:dns");
    close(4);
    MUST(socket(AF_INET, SOCK_DGRAM, 0) == 4);
    MUST(thi_inherit_take("systemd:dns", SOCK_DGRAM) == 4);
    MUST(thi_inherit_take("systemd:", SOCK_DGRAM) == -ENOENT);
    MUST(strstr(th_err_detail(), "used already") || strstr(th_err_detail(), "datagrams"));
    MUST(taken_by_name("systemd:dns") == 3);
    MUST(taken_by_name("systemd:") == 5);
    MUST(taken_by_name("systemd:dns") == -ENOENT);
    pass(1, "web");
    thi_inherit_release(3);
    MUST(thi_inherit_take("systemd:web", SOCK_DGRAM) == -ENOENT);
    MUST(strstr(th_err_detail(), "carries datagrams") != NULL);
}

CHILD_TEST(a_prefix_of_a_name_is_another_name)
{
    pass(2, "web2:web");
    MUST(taken_by_name("systemd:web") == 4);
    MUST(taken_by_name("systemd:we") == -ENOENT);
}

CHILD_TEST(without_names_all_are_unknown)
{
    pass(2, NULL);
    MUST(taken_by_name("systemd:unknown") == 3);
    MUST(taken_by_name("systemd:") == 4);
    unsetenv("LISTEN_FDS");
    MUST(taken_by_name("systemd:") == -ENOENT);
}

CHILD_TEST(sockets_beyond_the_names_are_unknown)
{
    pass(3, "only");
    MUST(taken_by_name("systemd:unknown") == 4);
    MUST(taken_by_name("systemd:only") == 3);
}

CHILD_TEST(what_was_passed_to_another_process_is_not_ours)
{
    pass(1, "web");
    setenv("LISTEN_PID", "1", 1);
    MUST(taken_by_name("systemd:web") == -ENOENT);
    unsetenv("LISTEN_PID");
    MUST(taken_by_name("systemd:web") == -ENOENT);
    pass(1, "web");
    setenv("LISTEN_FDS", "x", 1);
    MUST(taken_by_name("systemd:web") == -ENOENT);
    setenv("LISTEN_FDS", "0", 1);
    MUST(taken_by_name("systemd:web") == -ENOENT);
    setenv("LISTEN_FDS", "1000000", 1); /* more than there are: those that are not there are told */
    setenv("LISTEN_FDNAMES", "a:b", 1);
    MUST(taken_by_name("systemd:b") == -EBADF);
    MUST(taken_by_name("systemd:a") == 3);
}

/* ---- in several processes -------------------------------------------------------------------- */

/* Serves so many connections on the descriptor, and says how many by its exit status. */
static int count_in_child(void *arg)
{
    server s = { .fn = echo };
    char text[20];
    (void)snprintf(text, sizeof text, "fd:%d", *(int *)arg);
    s.address = text;
    start_server(&s);
    struct pollfd end = { .fd = 0, .events = POLLIN };
    while (poll(&end, 1, 0) == 0)
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    cancel_server(&s);
    return 0;
}

static pid_t start_child(int listener, const int ends[2])
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    dup2(ends[0], 0);
    close(ends[1]);
    th_run_opts opts = { .workers = 1, .no_signals = 1 };
    int err = th_run(count_in_child, &listener, &opts);
    _exit(err < 0 ? 255 : atomic_load(&taken_now));
}

/* One socket, listening before, is served by two processes that began before and after. */
START_TEST(two_processes_serve_one_socket)
{
    enum { CLIENTS = 200 };
    int clients[CLIENTS];
    int ends[2];
    int sum = 0;
    int fd = bare(true, true);
    ck_assert_int_eq(listen(fd, CLIENTS), 0);
    struct sockaddr_in in;
    socklen_t len = sizeof in;
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    ck_assert_int_eq(pipe(ends), 0);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM, 0);
        ck_assert_int_eq(connect(clients[i], (struct sockaddr *)&in, sizeof in), 0);
        ck_assert_int_eq(send(clients[i], "x", 1, 0), 1);
    }
    pid_t pids[2] = { start_child(fd, ends), start_child(fd, ends) };
    close(fd);
    close(ends[0]);
    for (int i = 0; i < CLIENTS; i++) {
        char byte = 0;
        ck_assert_int_eq(recv(clients[i], &byte, 1, 0), 1);
        close(clients[i]);
    }
    close(ends[1]);
    for (int i = 0; i < 2; i++) {
        int status = 0;
        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) != 255);
        sum += WEXITSTATUS(status);
    }
    ck_assert_int_eq(sum, CLIENTS);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "by number");
    tcase_add_test(tcase, a_listening_descriptor_is_taken_over);
    tcase_add_test(tcase, one_that_is_bound_starts_to_listen);
    tcase_add_test(tcase, one_that_is_not_even_bound_listens_on_some_port);
    tcase_add_test(tcase, a_descriptor_is_taken_once);
    tcase_add_test(tcase, what_is_no_listener_is_refused_and_stays);
    tcase_add_test(tcase, options_that_come_too_late_are_refused);
    tcase_add_test(tcase, a_unix_socket_file_is_not_removed_by_who_did_not_make_it);
    tcase_add_test(tcase, each_system_call_may_fail);
    tcase = thi_check_case(suite, "by name");
    tcase_add_test(tcase, sockets_are_found_by_their_names);
    tcase_add_test(tcase, each_finds_the_kind_that_it_wants);
    tcase_add_test(tcase, a_prefix_of_a_name_is_another_name);
    tcase_add_test(tcase, without_names_all_are_unknown);
    tcase_add_test(tcase, sockets_beyond_the_names_are_unknown);
    tcase_add_test(tcase, what_was_passed_to_another_process_is_not_ours);
    tcase = thi_check_case(suite, "several processes");
    tcase_add_test(tcase, two_processes_serve_one_socket);
}

int main(void)
{
    return thi_check_run("net/inherit", fill);
}
