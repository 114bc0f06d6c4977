/* SPDX-License-Identifier: MIT */

/* Listening sockets: ports, and the files of Unix sockets. */
#include "check_main.h"

#include "base/util.h"
#include "net/addr.h"
#include "net/listener.h"
#include "sys/fault.h"

#include <thrum/error.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- help ------------------------------------------------------------------------------------ */

static char dir[] = "/tmp/thrum-listener-XXXXXX";
static char path[64];
static char address[80];

static void make_dir(void)
{
    strcpy(dir + sizeof dir - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/socket", dir);
    (void)snprintf(address, sizeof address, "unix:%s", path);
}

static void remove_dir(void)
{
    unlink(path);
    ck_assert_int_eq(rmdir(dir), 0);
}

static th_listener *listening(const char *where, const th_listen_opts *opts)
{
    th_listener *l = NULL;
    int err = th_listen(where, opts, &l);
    ck_assert_msg(err == 0, "%s: %s", where, th_err_detail());
    return l;
}

/* Listening fails with that error, and the detail names the address. */
static void refused(const char *where, int error)
{
    th_listener *l = NULL;
    int err = th_listen(where, NULL, &l);
    ck_assert_msg(err == error, "%s: %s", where, th_errname(err));
    ck_assert_ptr_null(l);
    ck_assert_msg(strstr(th_err_detail(), where) != NULL, "%s", th_err_detail());
}

/* A bare socket bound to the path, listening or not. */
static int bound_to_path(bool listens)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    strcpy(un.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    if (listens)
        ck_assert_int_eq(listen(fd, 5), 0);
    return fd;
}

static int connect_to_path(void)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    strcpy(un.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    int err = connect(fd, (struct sockaddr *)&un, sizeof un) < 0 ? -errno : 0;
    close(fd);
    return err;
}

static struct stat stat_of(const char *name)
{
    struct stat st;
    ck_assert_int_eq(lstat(name, &st), 0);
    return st;
}

/* ---- ports ----------------------------------------------------------------------------------- */

START_TEST(port_0_lets_the_system_choose)
{
    static const char *const texts[] = { "127.0.0.1:0", "localhost:0", "*:0", "tcp://:0" };
    for (size_t i = 0; i < thi_array_len(texts); i++) {
        th_addr addr;
        th_listener *l = listening(texts[i], NULL);
        th_listener_addr(l, &addr);
        ck_assert_uint_eq(addr.kind, TH_ADDR_IP4);
        ck_assert_uint_ne(addr.port, 0);
        th_listener_close(l);
    }
}
END_TEST

START_TEST(an_address_in_use_is_refused_and_free_after_a_close)
{
    char text[TH_ADDR_TEXT];
    th_addr addr;
    th_listener *l = listening("127.0.0.1:0", NULL);
    th_listener_addr(l, &addr);
    th_addr_format(&addr, text, sizeof text);
    refused(text, -EADDRINUSE);
    th_listener_close(l);
    th_listener_close(listening(text, NULL));
}
END_TEST

START_TEST(an_address_of_another_machine_is_refused)
{
    refused("192.0.2.1:0", -EADDRNOTAVAIL);
}
END_TEST

/* Whether IPv4 listens at a port that IPv6 listens at. */
static bool both_listen(void)
{
    char text[40];
    th_addr addr;
    th_listener *six = listening("[::]:0", NULL);
    th_listener *four = NULL;
    th_listener_addr(six, &addr);
    (void)snprintf(text, sizeof text, "0.0.0.0:%u", addr.port);
    int err = th_listen(text, NULL, &four);
    th_listener_close(four);
    th_listener_close(six);
    return err == 0;
}

/* Another program may have the port that the system chose for IPv6, but not again and again. */
START_TEST(a_listener_of_ip6_takes_ip4_only_when_asked)
{
    char text[40];
    th_addr addr;
    th_listener *six = NULL;
    int attempts = 1;
    SKIP_UNLESS(th_listen("[::]:0", NULL, &six) == 0, "no IPv6 here");
    th_listener_close(six);
    while (!both_listen())
        ck_assert_int_lt(attempts++, 20);
    six = listening("[::]:0", &(th_listen_opts){ .dual_stack = 1 });
    th_listener_addr(six, &addr);
    (void)snprintf(text, sizeof text, "0.0.0.0:%u", addr.port);
    refused(text, -EADDRINUSE);
    th_listener_close(six);
}
END_TEST

START_TEST(an_abstract_name_needs_no_file)
{
    char text[80];
    (void)snprintf(text, sizeof text, "unix:@thrum-test-%ld", (long)getpid());
    th_listener *l = listening(text, NULL);
    refused(text, -EADDRINUSE);
    th_listener_close(l);
    th_listener_close(listening(text, NULL));
}
END_TEST

/* ---- options --------------------------------------------------------------------------------- */

/* A bare client of a listener, and what it accepts. */
static int accept_one(const th_listener *l, int *client, th_addr *peer)
{
    thi_sockaddr sa;
    socklen_t len = thi_addr_to_sockaddr(&l->addr, &sa);
    *client = socket(sa.sa.sa_family, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(*client, &sa.sa, len), 0);
    len = sizeof sa;
    int fd = accept(l->fd, &sa.sa, &len);
    ck_assert_int_ge(fd, 0);
    thi_addr_from_sockaddr(&sa, len, peer);
    return fd;
}

START_TEST(to_a_dual_listener_an_ip4_client_comes_as_a_mapped_one)
{
    static const uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 };
    th_listener *l = NULL;
    th_addr peer;
    int client;
    SKIP_UNLESS(th_listen("[::]:0", &(th_listen_opts){ .dual_stack = 1 }, &l) == 0,
                "there is no IPv6");
    uint16_t port = l->addr.port;
    l->addr = (th_addr){ .kind = TH_ADDR_IP4, .port = port, .ip = { 127, 0, 0, 1 } };
    int fd = accept_one(l, &client, &peer);
    ck_assert_uint_eq(peer.kind, TH_ADDR_IP6);
    ck_assert_mem_eq(peer.ip, mapped, 16);
    close(fd);
    close(client);
    th_listener_close(l);
}
END_TEST

START_TEST(a_port_is_shared_only_by_those_who_all_ask)
{
    char text[TH_ADDR_TEXT];
    th_listen_opts share = { .reuse_port = 1 };
    th_listener *a = listening("127.0.0.1:0", &share);
    th_addr_format(&a->addr, text, sizeof text);
    refused(text, -EADDRINUSE);
    th_listener *b = listening(text, &share);
    ck_assert(th_addr_equal(&a->addr, &b->addr));
    th_listener_close(a);
    th_listener_close(b);
    b = listening(text, NULL);
    a = NULL;
    ck_assert_int_eq(th_listen(text, &share, &a), -EADDRINUSE);
    th_listener_close(b);
    (void)snprintf(text, sizeof text, "unix:@thrum-share-%ld", (long)getpid());
    ck_assert_int_eq(th_listen(text, &share, &a), -EOPNOTSUPP);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "reuse_port"));
}
END_TEST

/* The server's end of a connection waits in TIME_WAIT, which must not keep the next server out. */
START_TEST(an_address_is_free_for_the_next_server_at_once)
{
    char text[TH_ADDR_TEXT];
    char byte;
    th_addr peer;
    int client;
    th_listener *l = listening("127.0.0.1:0", NULL);
    th_addr_format(&l->addr, text, sizeof text);
    close(accept_one(l, &client, &peer));
    ck_assert_int_eq(recv(client, &byte, 1, 0), 0);
    close(client);
    th_listener_close(l);
    th_listener_close(listening(text, NULL));
}
END_TEST

START_TEST(any_backlog_from_0_up_is_taken)
{
    static const int backlogs[] = { 0, 1, 5, INT_MAX };
    for (size_t i = 0; i < thi_array_len(backlogs); i++) {
        th_addr peer;
        int client;
        th_listener *l = listening("127.0.0.1:0", &(th_listen_opts){ .backlog = backlogs[i] });
        close(accept_one(l, &client, &peer));
        close(client);
        th_listener_close(l);
    }
    th_listener *l = NULL;
    ck_assert_int_eq(th_listen("127.0.0.1:0", &(th_listen_opts){ .backlog = INT_MIN }, &l),
                     -EINVAL);
}
END_TEST

/* They are told at once, and so is whoever comes later. */
START_TEST(clients_in_the_queue_of_a_listener_that_closes_are_reset)
{
    char byte;
    thi_sockaddr sa;
    int clients[5];
    th_listener *l = listening("127.0.0.1:0", NULL);
    socklen_t len = thi_addr_to_sockaddr(&l->addr, &sa);
    for (size_t i = 0; i < thi_array_len(clients); i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM, 0);
        ck_assert_int_eq(connect(clients[i], &sa.sa, len), 0);
    }
    th_listener_close(l);
    for (size_t i = 0; i < thi_array_len(clients); i++) {
        ck_assert_int_eq(recv(clients[i], &byte, 1, 0), -1);
        ck_assert_int_eq(errno, ECONNRESET);
        close(clients[i]);
    }
    int late = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(late, &sa.sa, len), -1);
    ck_assert_int_eq(errno, ECONNREFUSED);
    close(late);
}
END_TEST

/* ---- abstract names -------------------------------------------------------------------------- */

START_TEST(an_abstract_name_is_any_bytes)
{
    th_listener *l = NULL;
    th_addr peer;
    int client;
    th_addr name = { .kind = TH_ADDR_UNIX };
    name.path_len =
        (uint16_t)snprintf(name.path, sizeof name.path, "%cthrum%c%ld%c", 0, 0, (long)getpid(), 0);
    ck_assert_int_eq(th_listen_addr(&name, NULL, &l), 0);
    ck_assert(th_addr_equal(&l->addr, &name));
    close(accept_one(l, &client, &peer));
    th_addr other = name; /* its last NUL makes a difference */
    other.path_len--;
    th_listener *second = NULL;
    ck_assert_int_eq(th_listen_addr(&name, NULL, &second), -EADDRINUSE);
    ck_assert_int_eq(th_listen_addr(&other, NULL, &second), 0);
    thi_sockaddr sa;
    socklen_t len = sizeof sa;
    ck_assert_int_eq(getpeername(client, &sa.sa, &len), 0);
    thi_addr_from_sockaddr(&sa, len, &peer);
    ck_assert(th_addr_equal(&peer, &name));
    close(client);
    th_listener_close(second);
    th_listener_close(l);
}
END_TEST

START_TEST(an_abstract_name_of_full_length_works_and_one_more_is_misuse)
{
    th_listener *l = NULL;
    th_addr name = { .kind = TH_ADDR_UNIX, .path_len = 108 };
    memset(name.path, 'n', sizeof name.path);
    (void)snprintf(name.path + 1, 20, "%ld", (long)getpid());
    name.path[0] = '\0';
    ck_assert_int_eq(th_listen_addr(&name, NULL, &l), 0);
    ck_assert_uint_eq(l->addr.path_len, 108);
    th_listener_close(l);
    l = NULL;
    name.path_len = 109;
    ck_assert_int_eq(th_listen_addr(&name, NULL, &l), -EINVAL);
    name.path_len = 0;
    ck_assert_int_eq(th_listen_addr(&name, NULL, &l), -EINVAL);
    name.kind = TH_ADDR_NONE;
    ck_assert_int_eq(th_listen_addr(&name, NULL, &l), -EINVAL);
    ck_assert_int_eq(th_listen_addr(NULL, NULL, &l), -EINVAL);
    ck_assert_int_eq(th_listen_addr(&(th_addr){ .kind = TH_ADDR_IP4 }, NULL, NULL), -EINVAL);
    ck_assert_ptr_null(l);
}
END_TEST

START_TEST(without_a_name_the_system_chooses_one)
{
    th_addr peer;
    int client;
    th_listener *a = listening("unix:@", NULL);
    th_listener *b = listening("unix:@", NULL);
    ck_assert_uint_eq(a->addr.path_len, 6);
    ck_assert_int_eq(a->addr.path[0], '\0');
    for (int i = 1; i < 6; i++)
        ck_assert(strchr("0123456789abcdef", a->addr.path[i]) && a->addr.path[i]);
    ck_assert(!th_addr_equal(&a->addr, &b->addr));
    close(accept_one(a, &client, &peer));
    close(client);
    ck_assert_uint_eq(peer.kind, TH_ADDR_UNIX); /* of a client without a name */
    ck_assert_uint_eq(peer.path_len, 0);
    th_listener_close(a);
    th_listener_close(b);
}
END_TEST

/* ---- files ----------------------------------------------------------------------------------- */

START_TEST(a_socket_file_lives_as_long_as_its_listener)
{
    th_listener *l = listening(address, NULL);
    ck_assert(S_ISSOCK(stat_of(path).st_mode));
    ck_assert_int_eq(connect_to_path(), 0);
    th_listener_close(l);
    ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

START_TEST(a_leftover_socket_is_replaced)
{
    close(bound_to_path(true));
    ck_assert_int_eq(connect_to_path(), -ECONNREFUSED);
    th_listener *l = listening(address, NULL);
    ck_assert_int_eq(connect_to_path(), 0);
    th_listener_close(l);
}
END_TEST

START_TEST(the_socket_of_a_live_server_is_left_alone)
{
    int server = bound_to_path(true);
    ino_t ino = stat_of(path).st_ino;
    refused(address, -EADDRINUSE);
    ck_assert_uint_eq(stat_of(path).st_ino, ino);
    ck_assert_int_eq(connect_to_path(), 0);
    close(server);
}
END_TEST

/* Its queue is full, so that a connection is not taken either. */
START_TEST(the_socket_of_a_busy_server_is_left_alone)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int clients[20];
    size_t count = 0;
    int server = bound_to_path(true);
    strcpy(un.sun_path, path);
    do {
        ck_assert_uint_lt(count, thi_array_len(clients));
        clients[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    } while (connect(clients[count++], (struct sockaddr *)&un, sizeof un) == 0);
    ck_assert_int_eq(errno, EAGAIN);
    refused(address, -EADDRINUSE);
    while (count > 0)
        close(clients[--count]);
    ck_assert_int_eq(access(path, F_OK), 0);
    close(server);
}
END_TEST

START_TEST(what_is_no_socket_is_left_alone)
{
    struct stat st;
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    ck_assert_int_eq(write(fd, "precious", 8), 8);
    close(fd);
    refused(address, -EADDRINUSE);
    st = stat_of(path);
    ck_assert(S_ISREG(st.st_mode));
    ck_assert_int_eq(st.st_size, 8);
    unlink(path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    refused(address, -EADDRINUSE);
    ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

START_TEST(a_link_to_a_leftover_is_left_alone)
{
    char target[80];
    close(bound_to_path(true));
    (void)snprintf(target, sizeof target, "%s/target", dir);
    ck_assert_int_eq(rename(path, target), 0);
    ck_assert_int_eq(symlink(target, path), 0);
    refused(address, -EADDRINUSE);
    ck_assert(S_ISLNK(stat_of(path).st_mode));
    ck_assert(S_ISSOCK(stat_of(target).st_mode));
    unlink(target);
}
END_TEST

START_TEST(a_close_removes_only_the_own_file)
{
    th_listener *l = listening(address, NULL);
    char aside[80];
    (void)snprintf(aside, sizeof aside, "%s/aside", dir);
    ck_assert_int_eq(rename(path, aside), 0); /* keeps its number in use */
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    close(fd);
    th_listener_close(l);
    ck_assert(S_ISREG(stat_of(path).st_mode));
    unlink(aside);
}
END_TEST

START_TEST(a_folder_that_is_not_there_is_told)
{
    char text[80];
    (void)snprintf(text, sizeof text, "unix:%s/none/socket", dir);
    refused(text, -ENOENT);
}
END_TEST

START_TEST(the_mode_is_as_asked_for)
{
    static const int modes[] = { 0600, 0660, 0666, 0777 };
    for (size_t i = 0; i < thi_array_len(modes); i++) {
        th_listener *l = listening(address, &(th_listen_opts){ .mode = modes[i] });
        ck_assert_int_eq(stat_of(path).st_mode & 0777, modes[i]);
        th_listener_close(l);
    }
    mode_t before = umask(0027);
    th_listener *l = listening(address, NULL);
    umask(before);
    ck_assert_int_eq(stat_of(path).st_mode & 0777, 0750);
    th_listener_close(l);
}
END_TEST

START_TEST(a_path_of_full_length_works)
{
    char text[130];
    char longest[109];
    memset(longest, 'p', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    memcpy(longest, dir, strlen(dir));
    longest[strlen(dir)] = '/';
    (void)snprintf(text, sizeof text, "unix:%s", longest);
    th_listener *l = listening(text, NULL);
    ck_assert(S_ISSOCK(stat_of(longest).st_mode));
    th_listener_close(l);
    ck_assert_int_eq(access(longest, F_OK), -1);
}
END_TEST

/* ---- misuse and failures --------------------------------------------------------------------- */

START_TEST(misuse_is_refused)
{
    th_listener *l = NULL;
    ck_assert_int_eq(th_listen(NULL, NULL, &l), -EINVAL);
    ck_assert_int_eq(th_listen("127.0.0.1:0", NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_listen("127.0.0.1:0", &(th_listen_opts){ .backlog = -1 }, &l), -EINVAL);
    ck_assert_int_eq(
        th_listen("127.0.0.1:0", &(th_listen_opts){ .size = sizeof(th_listen_opts) + 1 }, &l),
        -EINVAL);
    ck_assert_int_eq(th_listen("nonsense", NULL, &l), TH_EADDRESS);
    ck_assert_ptr_null(l);
    th_listener_close(NULL);
}
END_TEST

static int count_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 64; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* Options of a socket may fail unseen; whatever else does is told, and leaves nothing behind. */
static void fail_each_call(const char *where)
{
    int descriptors = count_descriptors();
    const char *hit;
    unsigned long n = 1;
    do {
        th_listener *l = NULL;
        thi_fault_begin(n++, ENOBUFS);
        int err = th_listen(where, &(th_listen_opts){ .mode = 0600 }, &l);
        hit = thi_fault_hit();
        thi_fault_end();
        if (hit && strcmp(hit, "setsockopt") != 0)
            ck_assert_msg(err == -ENOBUFS, "%s: %s", hit, th_errname(err));
        else
            ck_assert_int_eq(err, 0);
        th_listener_close(l);
        ck_assert_int_eq(count_descriptors(), descriptors);
        ck_assert_int_eq(access(path, F_OK), -1);
    } while (hit);
    ck_assert_uint_gt(n, 3);
}

START_TEST(each_system_call_may_fail)
{
    fail_each_call("127.0.0.1:0");
    fail_each_call(address);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "ports");
    tcase_add_test(tcase, port_0_lets_the_system_choose);
    tcase_add_test(tcase, an_address_in_use_is_refused_and_free_after_a_close);
    tcase_add_test(tcase, an_address_of_another_machine_is_refused);
    tcase_add_test(tcase, a_listener_of_ip6_takes_ip4_only_when_asked);
    tcase_add_test(tcase, an_abstract_name_needs_no_file);
    tcase = thi_check_case(suite, "options");
    tcase_add_test(tcase, to_a_dual_listener_an_ip4_client_comes_as_a_mapped_one);
    tcase_add_test(tcase, a_port_is_shared_only_by_those_who_all_ask);
    tcase_add_test(tcase, an_address_is_free_for_the_next_server_at_once);
    tcase_add_test(tcase, any_backlog_from_0_up_is_taken);
    tcase_add_test(tcase, clients_in_the_queue_of_a_listener_that_closes_are_reset);
    tcase = thi_check_case(suite, "abstract names");
    tcase_add_test(tcase, an_abstract_name_is_any_bytes);
    tcase_add_test(tcase, an_abstract_name_of_full_length_works_and_one_more_is_misuse);
    tcase_add_test(tcase, without_a_name_the_system_chooses_one);
    tcase = thi_check_case(suite, "files");
    tcase_add_checked_fixture(tcase, make_dir, remove_dir);
    tcase_add_test(tcase, a_socket_file_lives_as_long_as_its_listener);
    tcase_add_test(tcase, a_leftover_socket_is_replaced);
    tcase_add_test(tcase, the_socket_of_a_live_server_is_left_alone);
    tcase_add_test(tcase, the_socket_of_a_busy_server_is_left_alone);
    tcase_add_test(tcase, what_is_no_socket_is_left_alone);
    tcase_add_test(tcase, a_link_to_a_leftover_is_left_alone);
    tcase_add_test(tcase, a_close_removes_only_the_own_file);
    tcase_add_test(tcase, a_folder_that_is_not_there_is_told);
    tcase_add_test(tcase, the_mode_is_as_asked_for);
    tcase_add_test(tcase, a_path_of_full_length_works);
    tcase = thi_check_case(suite, "failures");
    tcase_add_checked_fixture(tcase, make_dir, remove_dir);
    tcase_add_test(tcase, misuse_is_refused);
    tcase_add_test(tcase, each_system_call_may_fail);
}

int main(void)
{
    return thi_check_run("net/listener", fill_suite);
}
