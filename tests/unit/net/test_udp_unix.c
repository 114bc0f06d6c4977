/* SPDX-License-Identifier: MIT */

/* Unix datagram sockets: names, files, peers, and a receiver's queue that is full. */
#include "net/udp_sockets.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>

static char folder[] = "/tmp/thrum-udp-XXXXXX";
static char address[64]; /* unix:/.../socket */
static char *path;       /* the same without the word in front */

static void make_folder(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(address, sizeof address, "unix:%s/socket", folder);
    path = address + 5;
}

static void remove_folder(void)
{
    (void)unlink(path);
    (void)rmdir(folder);
}

static th_udp *open_unix(const char *where)
{
    th_udp *udp = NULL;
    ck_assert_int_eq(th_udp_open(where, NULL, &udp), 0);
    return udp;
}

/* ---- names ----------------------------------------------------------------------------------- */

static void is_asked_and_answers(const char *where)
{
    char buf[16];
    th_addr from;
    th_udp *server = open_unix(where);
    th_udp *client = NULL;
    ck_assert_int_eq(th_udp_dial(where, NULL, &client), 0);
    send_text(client, "ask", NULL);
    ck_assert_int_eq(th_udp_recv(server, buf, sizeof buf, &from, NULL), 3);
    ck_assert_int_eq(from.kind, TH_ADDR_UNIX);
    ck_assert_uint_eq(from.path_len, 6); /* a name of its own: NUL and five digits */
    send_text(server, "answer", &from);
    receive_text(client, "answer");
    th_udp_free(server);
    th_udp_free(client);
}

FIBER_TEST(a_server_at_a_path_or_abstract_name_is_asked_and_answers)
{
    is_asked_and_answers(address);
    is_asked_and_answers("unix:@thrum-test-udp-unix");
}

FIBER_TEST(a_sender_without_a_name_is_nobody)
{
    char buf[16];
    th_addr from = { .kind = TH_ADDR_NONE };
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    th_udp *server = open_unix(address);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    ck_assert_int_eq(sendto(fd, "x", 1, 0, (struct sockaddr *)&un, sizeof un), 1);
    ck_assert_int_eq(th_udp_recv(server, buf, sizeof buf, &from, NULL), 1);
    ck_assert_int_eq(from.kind, TH_ADDR_UNIX);
    ck_assert_uint_eq(from.path_len, 0);
    close(fd);
    th_udp_free(server);
}

FIBER_TEST(nobody_at_a_name_is_refused)
{
    th_addr addr;
    th_udp *client = NULL;
    ck_assert_int_eq(th_udp_dial(address, NULL, &client), -ENOENT);
    ck_assert_int_eq(th_udp_dial("unix:@thrum-test-nobody", NULL, &client), -ECONNREFUSED);
    ck_assert_ptr_null(client);
    client = open_unix("unix:");
    ck_assert_int_eq(th_addr_parse("unix:@thrum-test-nobody", &addr), 0);
    ck_assert_int_eq(th_udp_send(client, "x", 1, &addr), -ECONNREFUSED);
    th_udp_free(client);
}

FIBER_TEST(a_peer_that_was_closed_is_lost_until_connected_again)
{
    th_udp *server = open_unix(address);
    th_addr at = local_of(server);
    th_udp *client = NULL;
    ck_assert_int_eq(th_udp_dial(address, NULL, &client), 0);
    th_udp_free(server);
    server = open_unix(address);
    ck_assert_int_eq(th_udp_send(client, "x", 1, NULL), -ECONNREFUSED);
    ck_assert_int_eq(th_udp_send(client, "x", 1, NULL), -ENOTCONN);
    ck_assert_int_eq(th_udp_connect(client, &at), 0);
    send_text(client, "again", NULL);
    receive_text(server, "again");
    th_udp_free(client);
    th_udp_free(server);
}

FIBER_TEST(boundaries_and_batches_are_as_over_ip)
{
    th_dgram d[20];
    th_dgram *got;
    th_udp_batch *batch;
    th_udp *server = open_unix(address);
    th_udp *client = NULL;
    int seen = 0;
    ck_assert_int_eq(th_udp_dial(address, NULL, &client), 0);
    ck_assert_int_eq(th_udp_batch_new(8, 100, &batch), 0);
    for (int i = 0; i < 5; i++)
        d[i] = (th_dgram){ .data = folder, .size = (size_t)i };
    ck_assert_int_eq(th_udp_send_batch(client, d, 5), 5);
    while (seen < 5) {
        int n = th_udp_recv_batch(server, batch, &got);
        ck_assert_int_gt(n, 0);
        for (int i = 0; i < n; i++)
            ck_assert_uint_eq(got[i].size, (size_t)seen++);
    }
    th_udp_batch_free(batch);
    th_udp_free(client);
    th_udp_free(server);
}

/* ---- files ----------------------------------------------------------------------------------- */

FIBER_TEST(the_file_is_there_as_long_as_the_socket)
{
    struct stat st;
    th_udp *server = NULL;
    ck_assert_int_eq(th_udp_open(address, &(th_udp_opts){ .mode = 0600 }, &server), 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    th_udp_free(server);
    ck_assert_int_eq(stat(path, &st), -1);
}

FIBER_TEST(a_file_that_nobody_holds_is_replaced_and_one_that_somebody_holds_is_not)
{
    th_udp *late = NULL;
    th_udp *server = open_unix(address);
    ck_assert_int_eq(th_udp_open(address, NULL, &late), -EADDRINUSE);
    ck_assert_ptr_null(late);
    int fd = th_udp_detach(server); /* so that the file stays */
    th_udp_free(server);
    close(fd);
    ck_assert_int_eq(access(path, F_OK), 0);
    server = open_unix(address);
    th_udp_free(server);
}

FIBER_TEST(a_file_of_somebody_else_is_left_alone)
{
    th_udp *server = NULL;
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_eq(th_udp_open(address, NULL, &server), -EADDRINUSE);
    ck_assert_int_eq(access(path, F_OK), 0);
    ck_assert_int_eq(unlink(path), 0);
    server = open_unix(address);
    ck_assert_int_eq(unlink(path), 0); /* and a new one in its place */
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    th_udp_free(server);
    ck_assert_int_eq(access(path, F_OK), 0);
}

/* ---- a full queue ---------------------------------------------------------------------------- */

enum { FLOOD = 3000 }; /* more than any queue between two sockets holds */

typedef struct flood {
    th_udp *udp;
    const th_addr *to;
    int sent;
    int result;
} flood;

static int send_flood(void *arg)
{
    flood *f = arg;
    while (f->sent < FLOOD && f->result == 0) {
        f->result = th_udp_send(f->udp, "drop", 4, f->to);
        f->sent += f->result == 0;
    }
    return 0;
}

static void flood_waits(bool connected)
{
    th_scope scope;
    th_udp *server = open_unix(address);
    th_addr at = local_of(server);
    flood f = { .to = connected ? NULL : &at };
    if (connected)
        ck_assert_int_eq(th_udp_dial(address, NULL, &f.udp), 0);
    else
        f.udp = open_unix("unix:");
    open_scope(&scope);
    spawn(&scope, send_flood, &f);
    let_others_run();
    ck_assert_int_lt(f.sent, FLOOD);
    for (int i = 0; i < FLOOD; i++)
        receive_text(server, "drop");
    close_scope(&scope);
    ck_assert_int_eq(f.result, 0);
    ck_assert_int_eq(f.sent, FLOOD);
    th_udp_free(f.udp);
    th_udp_free(server);
}

FIBER_TEST(a_sender_waits_for_room_and_nothing_is_lost)
{
    flood_waits(true);
}

FIBER_TEST(without_a_peer_a_sender_waits_as_well)
{
    flood_waits(false);
}

static void flood_is_given_up(bool connected)
{
    th_scope scope;
    th_udp *server = open_unix(address);
    th_addr at = local_of(server);
    flood f = { .to = connected ? NULL : &at };
    if (connected)
        ck_assert_int_eq(th_udp_dial(address, NULL, &f.udp), 0);
    else
        f.udp = open_unix("unix:");
    open_scope_for(&scope, 50 * TH_MILLISECOND);
    ck_assert_int_eq(send_flood(&f), 0);
    (void)th_scope_close(&scope);
    ck_assert_int_eq(f.result, -ETIMEDOUT);
    th_udp_free(f.udp);
    th_udp_free(server);
}

FIBER_TEST(a_receiver_that_never_reads_is_given_up_at_the_deadline)
{
    flood_is_given_up(true);
    flood_is_given_up(false);
}

static int close_it(void *arg)
{
    let_others_run();
    ck_assert_int_eq(th_udp_close(arg), 0);
    return 0;
}

FIBER_TEST(a_close_wakes_a_sender_that_waits)
{
    th_scope scope;
    th_udp *server = open_unix(address);
    flood f = { .udp = NULL };
    ck_assert_int_eq(th_udp_dial(address, NULL, &f.udp), 0);
    open_scope(&scope);
    spawn(&scope, send_flood, &f);
    spawn(&scope, close_it, f.udp);
    close_scope(&scope);
    ck_assert_int_eq(f.result, -ECANCELED);
    th_udp_free(f.udp);
    th_udp_free(server);
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "names");
    tcase_add_checked_fixture(tcase, make_folder, remove_folder);
    add_on_engines(tcase, a_server_at_a_path_or_abstract_name_is_asked_and_answers);
    tcase_add_test(tcase, a_sender_without_a_name_is_nobody);
    tcase_add_test(tcase, nobody_at_a_name_is_refused);
    tcase_add_test(tcase, a_peer_that_was_closed_is_lost_until_connected_again);
    tcase_add_test(tcase, boundaries_and_batches_are_as_over_ip);
    tcase = thi_check_case(suite, "files");
    tcase_add_checked_fixture(tcase, make_folder, remove_folder);
    tcase_add_test(tcase, the_file_is_there_as_long_as_the_socket);
    tcase_add_test(tcase, a_file_that_nobody_holds_is_replaced_and_one_that_somebody_holds_is_not);
    tcase_add_test(tcase, a_file_of_somebody_else_is_left_alone);
    tcase = thi_check_case(suite, "a full queue");
    tcase_add_checked_fixture(tcase, make_folder, remove_folder);
    add_on_engines(tcase, a_sender_waits_for_room_and_nothing_is_lost);
    add_on_engines(tcase, without_a_peer_a_sender_waits_as_well);
    add_on_engines(tcase, a_receiver_that_never_reads_is_given_up_at_the_deadline);
    add_on_engines(tcase, a_close_wakes_a_sender_that_waits);
}

int main(void)
{
    return thi_check_run("net/udp_unix", fill_suite);
}
