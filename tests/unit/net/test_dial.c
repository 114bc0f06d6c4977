/* SPDX-License-Identifier: MIT */

/* Connecting: to who listens, to nobody, to who does not answer, to oneself. */
#include "runtime/in_fiber.h"

#include "sys/sys.h"

#include <thrum/addr.h>
#include <thrum/dial.h>
#include <thrum/serve.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOON (20 * TH_MILLISECOND)

/* A listener, and its address with another host in front of the port. */
typedef struct target {
    th_listener *listener;
    th_addr addr;
    char text[TH_ADDR_TEXT];
} target;

static target listen_at(const char *address, int backlog)
{
    target t;
    ck_assert_int_eq(th_listen(address, &(th_listen_opts){ .backlog = backlog }, &t.listener), 0);
    th_listener_addr(t.listener, &t.addr);
    th_addr_format(&t.addr, t.text, sizeof t.text);
    return t;
}

static th_stream *connected(const char *address)
{
    th_stream *stream = NULL;
    int err = th_dial(address, NULL, &stream);
    ck_assert_msg(err == 0, "%s: %s", th_errname(err), th_err_detail());
    return stream;
}

static int count_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 128; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

FIBER_TEST(a_connection_is_made)
{
    target t = listen_at("127.0.0.1:0", 0);
    th_addr addr;
    th_stream *stream = connected(t.text);
    ck_assert_int_eq(th_stream_peer(stream, &addr), 0);
    ck_assert_int_eq(th_addr_equal(&addr, &t.addr), 1);
    ck_assert_int_eq(th_stream_write(stream, "x", 1), 1);
    th_stream_free(stream);
    th_listener_close(t.listener);
}

FIBER_TEST(a_connection_to_a_unix_socket_is_made)
{
    char name[80];
    (void)snprintf(name, sizeof name, "unix:@thrum-dial-%ld", (long)getpid());
    target t = listen_at(name, 0);
    th_stream *stream = connected(t.text);
    ck_assert_int_eq(th_stream_write(stream, "x", 1), 1);
    th_stream_free(stream);
    th_listener_close(t.listener);
}

FIBER_TEST(the_unspecified_address_means_this_machine)
{
    static const char *const hosts[] = { "0.0.0.0", "*", "", "localhost" };
    target t = listen_at("127.0.0.1:0", 0);
    for (size_t i = 0; i < thi_array_len(hosts); i++) {
        char text[40];
        th_addr addr;
        (void)snprintf(text, sizeof text, "%s:%u", hosts[i], t.addr.port);
        th_stream *stream = connected(text);
        ck_assert_int_eq(th_stream_peer(stream, &addr), 0);
        ck_assert_int_eq(th_addr_equal(&addr, &t.addr), 1);
        th_stream_free(stream);
    }
    th_listener_close(t.listener);
}

FIBER_TEST(the_unspecified_address_of_ip6_means_this_machine)
{
    char text[40];
    th_listener *six = NULL;
    th_addr addr;
    if (th_listen("[::1]:0", NULL, &six) < 0)
        return; /* a machine without IPv6 */
    th_listener_addr(six, &addr);
    (void)snprintf(text, sizeof text, "[::]:%u", addr.port);
    th_stream_free(connected(text));
    th_listener_close(six);
}

/* ---- names, and where from ---------------------------------------------------------------------
 */

static char hosts_path[] = "/tmp/thrum-hosts-XXXXXX";

/* A resolver that knows a file alone: that of 127.0.0.2, where nobody listens, and 127.0.0.1. */
static th_resolver *resolver_of_file(void)
{
    static const char hosts[] = "127.0.0.1 one two\n127.0.0.2 nobody\n127.0.0.2 both\n"
                                "127.0.0.1 both\n";
    th_resolver *resolver = NULL;
    th_resolver_opts opts = { .hosts = hosts_path, .resolv_conf = "" };
    int fd = mkstemp(hosts_path);
    ck_assert_int_eq(write(fd, hosts, sizeof hosts - 1), sizeof hosts - 1);
    close(fd);
    ck_assert_int_eq(th_resolver_new(&opts, &resolver), 0);
    return resolver;
}

static void end_resolver(th_resolver *resolver)
{
    th_resolver_free(resolver);
    unlink(hosts_path);
}

static void dials(const char *host, const target *t, th_dial_opts opts, int error)
{
    char text[80];
    th_stream *stream = NULL;
    snprintf(text, sizeof text, "%s:%u", host, t->addr.port);
    int err = th_dial(text, &opts, &stream);
    ck_assert_msg(err == error, "%s: %s: %s", text, th_errname(err), th_err_detail());
    if (err == 0)
        ck_assert_int_eq(th_stream_write(stream, "x", 1), 1);
    th_stream_free(stream);
}

FIBER_TEST(names_are_dialled_and_their_addresses_tried_in_turn)
{
    target t = listen_at("127.0.0.1:0", 0);
    th_resolver *resolver = resolver_of_file();
    int descriptors = count_descriptors();
    dials("one", &t, (th_dial_opts){ .resolver = resolver }, 0);
    dials("two", &t, (th_dial_opts){ .resolver = resolver }, 0);
    dials("both", &t, (th_dial_opts){ .resolver = resolver }, 0);
    dials("nobody", &t, (th_dial_opts){ .resolver = resolver }, -ECONNREFUSED);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "127.0.0.2"));
    ck_assert_int_eq(count_descriptors(), descriptors);
    end_resolver(resolver);
    th_listener_close(t.listener);
}

FIBER_TEST(the_source_is_as_asked_for)
{
    target t = listen_at("127.0.0.1:0", 0);
    th_stream *stream = NULL;
    th_addr addr;
    ck_assert_int_eq(th_dial(t.text, &(th_dial_opts){ .source = "127.0.0.3" }, &stream), 0);
    ck_assert_int_eq(th_stream_local(stream, &addr), 0);
    ck_assert_uint_eq(addr.ip[3], 3);
    ck_assert_uint_ne(addr.port, 0);
    th_stream_free(stream);
    dials("127.0.0.1", &t, (th_dial_opts){ .source = "192.0.2.1" }, -EADDRNOTAVAIL);
    dials("127.0.0.1", &t, (th_dial_opts){ .source = "::1" }, -EADDRNOTAVAIL);
    th_listener_close(t.listener);
}

/* Since Linux 5.7 a device may be chosen without a right to it. */
static bool may_choose_device(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int err = setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3);
    close(fd);
    return err == 0;
}

FIBER_TEST(the_device_is_as_asked_for)
{
    SKIP_UNLESS(may_choose_device(), "a device may not be chosen");
    target t = listen_at("127.0.0.1:0", 0);
    dials("127.0.0.1", &t, (th_dial_opts){ .device = "lo" }, 0);
    dials("127.0.0.1", &t, (th_dial_opts){ .device = "no-such-device" }, -ENODEV);
    th_listener_close(t.listener);
}

/* ---- failures -------------------------------------------------------------------------------- */

/* Dialling fails so, names the address, and leaves no descriptor behind. */
static void refused(const char *address, int error)
{
    th_stream *stream = NULL;
    int descriptors = count_descriptors();
    int err = th_dial(address, NULL, &stream);
    ck_assert_msg(err == error, "%s: %s", address, th_errname(err));
    ck_assert_ptr_null(stream);
    ck_assert_msg(strstr(th_err_detail(), address) != NULL, "%s", th_err_detail());
    ck_assert_int_eq(count_descriptors(), descriptors);
}

FIBER_TEST(where_nobody_listens_the_call_is_refused_with_the_address)
{
    target t = listen_at("127.0.0.1:0", 0);
    th_listener_close(t.listener);
    refused(t.text, -ECONNREFUSED);
    refused("unix:/nowhere/at/all", -ENOENT);
    refused("unix:@thrum-nobody-listens-here", -ECONNREFUSED);
    refused("nonsense", TH_EADDRESS);
}

FIBER_TEST(misuse_is_refused)
{
    th_stream *stream = NULL;
    ck_assert_int_eq(th_dial(NULL, NULL, &stream), -EINVAL);
    ck_assert_int_eq(th_dial("127.0.0.1:1", NULL, NULL), -EINVAL);
}

START_TEST(there_is_no_dialling_outside_of_fibers)
{
    th_stream *stream = NULL;
    ck_assert_int_eq(th_dial("127.0.0.1:1", NULL, &stream), -EPERM);
}
END_TEST

/* ---- a peer that does not answer --------------------------------------------------------------
 */

/* Fills the queue of a listener until the kernel answers no more. Returns how many it took. */
static size_t fill_queue(const target *t, int clients[8])
{
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons(t->addr.port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    size_t count = 0;
    for (; count < 8; count++) {
        clients[count] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(clients[count], (struct sockaddr *)&in, sizeof in);
    }
    return count;
}

static void close_all(const int clients[8], size_t count)
{
    while (count > 0)
        close(clients[--count]);
}

FIBER_TEST(a_peer_that_does_not_answer_is_given_up_at_the_deadline)
{
    int clients[8];
    th_scope scope;
    target t = listen_at("127.0.0.1:0", 1);
    size_t count = fill_queue(&t, clients);
    open_scope_for(&scope, SOON);
    refused(t.text, -ETIMEDOUT);
    th_scope_close(&scope);
    close_all(clients, count);
    th_listener_close(t.listener);
}

static int dial_once(void *arg)
{
    th_stream *stream = NULL;
    int err = th_dial(arg, NULL, &stream);
    th_stream_free(stream);
    return err;
}

FIBER_TEST(connecting_ends_with_its_scope)
{
    int clients[8];
    th_scope scope;
    int result = 0;
    target t = listen_at("127.0.0.1:0", 1);
    size_t count = fill_queue(&t, clients);
    int descriptors = count_descriptors();
    open_scope(&scope);
    th_fiber *fiber = spawn_handle(&scope, dial_once, t.text);
    ck_assert_int_eq(th_sleep(SOON / 4), 0);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    th_scope_close(&scope);
    ck_assert_int_eq(th_join(fiber, &result), 0);
    ck_assert_int_eq(result, -ECANCELED);
    th_fiber_unref(fiber);
    ck_assert_int_eq(count_descriptors(), descriptors);
    close_all(clients, count);
    th_listener_close(t.listener);
}

FIBER_TEST(a_cancelled_scope_dials_nobody)
{
    target t = listen_at("127.0.0.1:0", 0);
    th_scope scope;
    open_cancelled_scope(&scope);
    refused(t.text, -ECANCELED);
    th_scope_close(&scope);
    th_listener_close(t.listener);
}

/* ---- oneself --------------------------------------------------------------------------------- */

/* A connect(2) whose socket gets the very port that it calls, as may happen by accident. */
static int connect_to_itself(int fd, const struct sockaddr *sa, socklen_t len)
{
    ck_assert_int_eq(bind(fd, sa, len), 0);
    return thi_sys_real.connect(fd, sa, len);
}

FIBER_TEST(a_socket_that_meets_itself_was_refused)
{
    static thi_sys sys;
    const thi_sys *before = thi_sys_table;
    target t = listen_at("127.0.0.1:0", 0);
    th_listener_close(t.listener);
    sys = *before;
    sys.connect = connect_to_itself;
    thi_sys_table = &sys;
    refused(t.text, -ECONNREFUSED);
    thi_sys_table = before;
}

/* The detail has them in the order in which they were tried. A link-local address without a zone
 * leads nowhere. */
FIBER_TEST(the_family_with_the_better_address_begins)
{
    static const char lines[] = "fe80::1 better.test\n127.0.0.9 better.test\n"
                                "::1 home.test\n127.0.0.9 home.test\n";
    char path[] = "/tmp/thrum-hosts-XXXXXX";
    th_resolver *resolver;
    th_stream *stream = NULL;
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, lines, sizeof lines - 1), (ssize_t)sizeof lines - 1);
    ck_assert_int_eq(
        th_resolver_new(&(th_resolver_opts){ .hosts = path, .servers = "127.0.0.1:9" }, &resolver),
        0);
    th_dial_opts opts = { .resolver = resolver };
    ck_assert_int_lt(th_dial("better.test:1", &opts, &stream), 0);
    ck_assert_str_eq(th_err_detail(), "cannot connect to better.test:1; 127.0.0.9:1: ECONNREFUSED; "
                                      "[fe80::1]:1: EINVAL");
    opts.attempts_max = 1;
    ck_assert_int_lt(th_dial("better.test:1", &opts, &stream), 0);
    ck_assert_str_eq(th_err_detail(), "cannot connect to better.test:1; 127.0.0.9:1: ECONNREFUSED");
    opts.attempts_max = 0;
    ck_assert_int_lt(th_dial("home.test:1", &opts, &stream), 0);
    const char *six = strstr(th_err_detail(), "[::1]:1: ");
    ck_assert_msg(six && six < strstr(th_err_detail(), "127.0.0.9:1"), "%s", th_err_detail());
    th_resolver_free(resolver);
    close(fd);
    unlink(path);
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "connecting");
    add_on_engines(tcase, a_connection_is_made);
    add_on_engines(tcase, a_connection_to_a_unix_socket_is_made);
    tcase_add_test(tcase, the_unspecified_address_means_this_machine);
    tcase_add_test(tcase, the_unspecified_address_of_ip6_means_this_machine);
    add_on_engines(tcase, names_are_dialled_and_their_addresses_tried_in_turn);
    tcase_add_test(tcase, the_family_with_the_better_address_begins);
    tcase_add_test(tcase, the_source_is_as_asked_for);
    tcase_add_test(tcase, the_device_is_as_asked_for);
    tcase = thi_check_case(suite, "failures");
    add_on_engines(tcase, where_nobody_listens_the_call_is_refused_with_the_address);
    tcase_add_test(tcase, misuse_is_refused);
    tcase_add_test(tcase, there_is_no_dialling_outside_of_fibers);
    add_on_engines(tcase, a_peer_that_does_not_answer_is_given_up_at_the_deadline);
    add_on_engines(tcase, connecting_ends_with_its_scope);
    tcase_add_test(tcase, a_cancelled_scope_dials_nobody);
    tcase_add_test(tcase, a_socket_that_meets_itself_was_refused);
}

int main(void)
{
    return thi_check_run("net/dial", fill_suite);
}
