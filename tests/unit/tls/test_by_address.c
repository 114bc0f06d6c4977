/* SPDX-License-Identifier: MIT */

/* TLS by the address alone: th_dial(), th_serve(), and what they say when that is not enough. */
#include "net/serving.h"
#include "tls/certs.h"

#include <thrum/dial.h>
#include <thrum/proxied.h>
#include <thrum/tls_stream.h>

#include <stdio.h>
#include <stdlib.h>

/* ---- help ------------------------------------------------------------------------------------ */

static char folder[] = "/tmp/thrum-tls-XXXXXX";
static char ca_file[64], server_file[64], client_file[64];
static char listen_at[300]; /* tls://127.0.0.1:0 with the server's certificate */
static char dial_at[300];   /* where the server is, without parameters */

static void write_file(char path[64], const char *name, const char *text)
{
    (void)snprintf(path, 64, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static void make_files(void)
{
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    make_certs();
    write_file(ca_file, "ca.pem", test_ca.pem);
    write_file(server_file, "server.pem", test_server.pem);
    write_file(client_file, "client.pem", test_client.pem);
    (void)snprintf(listen_at, sizeof listen_at, "tls://127.0.0.1:0?cert=%s", server_file);
}

static void remove_files(void)
{
    unlink(ca_file);
    unlink(server_file);
    unlink(client_file);
    ck_assert_int_eq(rmdir(folder), 0);
    free_certs();
}

static void begin(server *s)
{
    char place[TH_ADDR_TEXT];
    if (!s->fn)
        s->fn = echo;
    if (!s->address)
        s->address = listen_at;
    start_server(s);
    th_addr_format(&s->listener->addr, place, sizeof place);
    (void)snprintf(dial_at, sizeof dial_at, "tls%s%s",
                   s->listener->addr.kind == TH_ADDR_UNIX ? "+" : "://", place);
}

/* The address of the server with these parameters, in one of two places in turns. */
static const char *at(const char *format, const char *value)
{
    static char text[2][600];
    static int turn;
    char *to = text[turn ^= 1];
    int n = snprintf(to, sizeof text[0], "%s", dial_at);
    (void)snprintf(to + n, sizeof text[0] - (size_t)n, format, value);
    return to;
}

static th_stream *dialled(const char *address, const th_dial_opts *opts)
{
    th_stream *stream = NULL;
    int err = th_dial(address, opts, &stream);
    ck_assert_msg(err == 0, "%s: %s: %s", address, th_errname(err), th_err_detail());
    return stream;
}

static void fails(const char *address, const th_dial_opts *opts, int code, const char *word)
{
    th_stream *stream = NULL;
    int err = th_dial(address, opts, &stream);
    ck_assert_msg(err == code, "%s: %s, %s", address, th_errname(err), th_err_detail());
    ck_assert_msg(strstr(th_err_detail(), word) != NULL, "%s", th_err_detail());
    ck_assert_ptr_null(stream);
}

static void answers(th_stream *stream)
{
    char byte = 'w';
    ck_assert_int_eq(th_stream_write(stream, &byte, 1), 1);
    byte = 0;
    ck_assert_int_eq(th_stream_read(stream, &byte, 1), 1);
    ck_assert_int_eq(byte, 'w');
}

static void answers_at(const char *address, const th_dial_opts *opts)
{
    th_stream *stream = dialled(address, opts);
    answers(stream);
    th_stream_free(stream);
}

/* ---- dialling and serving -------------------------------------------------------------------- */

FIBER_TEST(an_address_is_all_that_it_takes)
{
    server s = { 0 };
    th_tls_info info = { .size = sizeof info };
    begin(&s);
    th_stream *stream = dialled(at("?ca=%s", ca_file), NULL);
    answers(stream);
    ck_assert_int_eq(th_tls_info_get(stream, &info), 0);
    ck_assert_int_eq(info.server, 0);
    ck_assert_int_eq(info.version, 0x0304);
    ck_assert_int_eq(info.verified, 1);
    th_stream_free(stream);
    cancel_server(&s);
}

FIBER_TEST(the_certificate_has_to_be_for_the_host_of_the_address)
{
    server s = { 0 };
    char address[600];
    begin(&s);
    (void)snprintf(address, sizeof address, "tls://localhost:%u?ca=%s", s.listener->addr.port,
                   ca_file);
    fails(address, NULL, TH_ETLS, "localhost");
    answers_at(address, &(th_dial_opts){ .tls_name = "server.test" });
    fails(at("?ca=%s&name=other.test", ca_file), NULL, TH_ETLS, "cannot connect to tls://");
    answers_at(at("?name=a.wild.test&ca=%s", ca_file), NULL);
    fails(at("%s", ""), NULL, TH_ETLS, ""); /* the system does not know the authority */
    cancel_server(&s);
}

FIBER_TEST(over_a_unix_socket_the_name_is_to_be_given)
{
    char address[600];
    (void)snprintf(address, sizeof address, "tls+unix:%s/socket?cert=%s", folder, server_file);
    server s = { .address = address };
    begin(&s);
    answers_at(at("?name=server.test&ca=%s", ca_file), NULL);
    answers_at(at("?ca=%s", ca_file), &(th_dial_opts){ .tls_name = "server.test" });
    fails(at("?ca=%s", ca_file), NULL, -EINVAL, "name");
    cancel_server(&s);
}

FIBER_TEST(contexts_say_what_an_address_does_not)
{
    th_tls *own = test_tls(&test_server, (th_tls_opts){ 0 });
    th_tls *theirs = test_tls(NULL, (th_tls_opts){ 0 });
    server s = { .address = "tls://127.0.0.1:0", .opts.tls = own };
    begin(&s);
    answers_at(dial_at, &(th_dial_opts){ .tls = theirs });
    answers_at(at("?name=server.test", ""), &(th_dial_opts){ .tls = theirs });
    fails(at("?ca=%s", ca_file), &(th_dial_opts){ .tls = theirs }, -EINVAL, ".tls");
    cancel_server(&s);
    th_tls_unref(own);
    th_tls_unref(theirs);
}

/* Made at the first use, in this test's own folder. */
FIBER_TEST(for_developing_the_address_needs_no_files)
{
    char data[64], command[80];
    (void)snprintf(data, sizeof data, "%s/data", folder);
    ck_assert_int_eq(setenv("XDG_DATA_HOME", data, 1), 0);
    server s = { .address = "tls://127.0.0.1:0?dev" };
    th_tls_info info = { .size = sizeof info };
    begin(&s);
    wait_until(access(data, F_OK) == 0);
    for (int i = 0; i < 2; i++) {
        th_stream *stream = dialled(at("?dev%s", i ? "&name=localhost" : ""), NULL);
        answers(stream);
        ck_assert_int_eq(th_tls_info_get(stream, &info), 0);
        ck_assert_int_eq(info.verified, 1);
        th_stream_free(stream);
    }
    fails(at("?ca=%s", ca_file), NULL, TH_ETLS, "");
    cancel_server(&s);
    (void)snprintf(command, sizeof command, "rm -r '%s'", data);
    ck_assert_int_eq(system(command), 0);
}

FIBER_TEST(a_second_connection_resumes_the_first)
{
    th_tls *theirs = test_tls(NULL, (th_tls_opts){ 0 });
    th_tls_info info = { .size = sizeof info };
    server s = { 0 };
    begin(&s);
    for (int i = 0; i < 2; i++) {
        th_stream *stream = dialled(dial_at, &(th_dial_opts){ .tls = theirs });
        answers(stream);
        ck_assert_int_eq(th_tls_info_get(stream, &info), 0);
        ck_assert_int_eq(info.resumed, i);
        th_stream_free(stream);
    }
    cancel_server(&s);
    th_tls_unref(theirs);
}

FIBER_TEST(a_client_may_have_to_show_a_certificate)
{
    char address[600];
    (void)snprintf(address, sizeof address, "%s&ca=%s", listen_at, ca_file);
    server s = { .address = address };
    char byte = 0;
    begin(&s);
    (void)snprintf(address, sizeof address, "?ca=%s&cert=%s", ca_file, client_file);
    answers_at(at("%s", address), NULL);
    th_stream *stream = dialled(at("?ca=%s", ca_file), NULL); /* TLS 1.3: it hears of it later */
    ck_assert_int_eq(th_stream_read(stream, &byte, 1), TH_ETLS);
    th_stream_free(stream);
    cancel_server(&s);
}

/* ---- listeners ------------------------------------------------------------------------------- */

static th_listener *mixed[2];

static int serve_mixed(void *arg)
{
    return th_serve_on(mixed, 2, echo, NULL, arg) == -ECANCELED ? 0 : -EIO;
}

FIBER_TEST_ON(2, tls_is_spoken_where_the_address_says_so)
{
    th_scope scope;
    char text[2][TH_ADDR_TEXT];
    char address[600];
    ck_assert_int_eq(th_listen("127.0.0.1:0", NULL, &mixed[0]), 0);
    ck_assert_int_eq(th_listen("127.0.0.1:0", &(th_listen_opts){ .tls = 1 }, &mixed[1]), 0);
    th_tls *own = test_tls(&test_server, (th_tls_opts){ 0 });
    th_serve_opts opts = { .tls = own };
    open_scope(&scope);
    spawn(&scope, serve_mixed, &opts);
    for (int i = 0; i < 2; i++)
        th_addr_format(&mixed[i]->addr, text[i], sizeof text[i]);
    answers_at(text[0], NULL);
    (void)snprintf(address, sizeof address, "tls://%s?ca=%s", text[1], ca_file);
    answers_at(address, NULL);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    ck_assert_int_eq(th_scope_close(&scope), 0);
    th_listener_close(mixed[0]);
    th_listener_close(mixed[1]);
    th_tls_unref(own);
}

static int serve_nobody(th_stream *stream, void *arg)
{
    (void)stream;
    (void)arg;
    ck_abort();
}

static void is_not_served(const char *address, th_tls *tls, int code, const char *word)
{
    int err = th_serve(address, serve_nobody, NULL, &(th_serve_opts){ .tls = tls });
    ck_assert_msg(err == code, "%s: %s, %s", address, th_errname(err), th_err_detail());
    ck_assert_msg(strstr(th_err_detail(), word) != NULL, "%s", th_err_detail());
}

FIBER_TEST(what_is_wrong_is_told_before_anybody_is_served)
{
    th_tls *own = test_tls(&test_server, (th_tls_opts){ 0 });
    is_not_served("tls://127.0.0.1:0", NULL, -EINVAL,
                  "needs a certificate: set .tls, write ?cert=FILE, or ?dev");
    is_not_served("127.0.0.1:0", own, -EINVAL, "no address asks for TLS");
    is_not_served(listen_at, own, -EINVAL, ".tls");
    is_not_served("tls://127.0.0.1:0?key=a", NULL, TH_EADDRESS, "without a certificate");
    is_not_served("tls://127.0.0.1:0?dev&cert=a", NULL, TH_EADDRESS, "dev stands for");
    is_not_served("tls://127.0.0.1:0?dev=1", NULL, TH_EADDRESS, "not 'dev'");
    is_not_served("tls://127.0.0.1:0?cert=a&cert=b", NULL, TH_EADDRESS, "'cert' must have one");
    is_not_served("tls://127.0.0.1:0?cert=", NULL, TH_EADDRESS, "'cert' must have one");
    is_not_served("tls://127.0.0.1:0?cert=%0", NULL, TH_EADDRESS, "'cert' must have one");
    is_not_served("tls://127.0.0.1:0?cert=%00", NULL, TH_EADDRESS, "'cert' must have one");
    is_not_served("tls://127.0.0.1:0?certificate=a", NULL, TH_EADDRESS, "not 'certificate'");
    is_not_served("tls://127.0.0.1:0?cert=/no/such/file", NULL, -ENOENT, "/no/such/file");
    is_not_served("tls://nonsense", NULL, TH_EADDRESS, "nonsense");
    fails("127.0.0.1:1", &(th_dial_opts){ .tls = own }, -EINVAL, "asks for no TLS");
    fails("127.0.0.1:1", &(th_dial_opts){ .tls_name = "a" }, -EINVAL, "asks for no TLS");
    fails("tls://127.0.0.1:1?key=a", NULL, TH_EADDRESS, "without a certificate");
    fails("tls://127.0.0.1:1", &(th_dial_opts){ .tls = own }, -ECONNREFUSED, "tls://127.0.0.1:1");
    th_tls_unref(own);
}

START_TEST(there_is_no_tls_outside_of_fibers)
{
    th_stream *stream = NULL;
    ck_assert_int_eq(th_dial("tls://127.0.0.1:1", NULL, &stream), -EPERM);
    ck_assert_int_eq(th_serve(listen_at, serve_nobody, NULL, NULL), -EPERM);
}
END_TEST

static int say_two(th_stream *stream, void *arg)
{
    char byte;
    (void)arg;
    ck_assert_int_eq(th_stream_write(stream, "ww", 2), 2);
    return (int)th_stream_read(stream, &byte, 1);
}

FIBER_TEST(what_was_decrypted_together_is_read_without_a_wait)
{
    server s = { .fn = say_two };
    char byte = 0;
    begin(&s);
    th_stream *stream = dialled(at("?ca=%s", ca_file), NULL);
    ck_assert_int_eq(th_stream_read(stream, &byte, 1), 1);
    ck_assert_int_eq(th_stream_try_read(stream, &byte, 1), 1);
    ck_assert_int_eq(byte, 'w');
    ck_assert_int_eq(th_stream_try_read(stream, &byte, 1), -EAGAIN);
    th_stream_free(stream);
    cancel_server(&s);
}

/* ---- clients that are no good ---------------------------------------------------------------- */

FIBER_TEST(who_speaks_something_else_or_nothing_hurts_nobody)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    server s = { 0 };
    begin(&s);
    int silent = client_of(&s);
    int plain = client_of(&s);
    int gone = client_of(&s);
    close(gone);
    ck_assert_int_eq(send(plain, request, sizeof request - 1, 0), (ssize_t)sizeof request - 1);
    th_stream *good = dialled(at("?ca=%s", ca_file), NULL);
    answers(good);
    char state;
    char byte[64];
    while (recv(plain, byte, sizeof byte, MSG_DONTWAIT) > 0 || errno == EAGAIN)
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    wait_until((state = state_of(plain)) != 'o');
    ck_assert_int_eq(state_of(silent), 'o');
    answers(good);
    th_stream_free(good);
    cancel_server(&s);
    ck_assert_int_ne(state_of(silent), 'o');
    close(silent);
    close(plain);
}

FIBER_TEST(who_takes_too_long_is_given_up)
{
    th_tls *own = test_tls(&test_server, (th_tls_opts){ .handshake_time = 300 * TH_MILLISECOND });
    server s = { .address = "tls://127.0.0.1:0", .opts = { .tls = own, .max_connections = 1 } };
    th_stream *stream = NULL;
    begin(&s);
    int silent = client_of(&s);
    while (th_dial(at("?ca=%s", ca_file), NULL, &stream) < 0) /* on a slow machine, again */
        ck_assert_ptr_null(stream);
    answers(stream); /* its turn comes after the silent one's */
    th_stream_free(stream);
    ck_assert_int_ne(state_of(silent), 'o');
    close(silent);
    cancel_server(&s);
    th_tls_unref(own);
}

/* ---- beside a proxy -------------------------------------------------------------------------- */

static char seen[TH_ADDR_TEXT];

static int note_peer(th_stream *stream, void *arg)
{
    th_addr peer;
    (void)arg;
    ck_assert_int_eq(th_stream_peer(stream, &peer), 0);
    th_addr_format(&peer, seen, sizeof seen);
    return (int)th_stream_write(stream, "w", 1);
}

FIBER_TEST(the_header_of_a_proxy_comes_before_tls)
{
    th_proxied h = { .source = { .kind = TH_ADDR_IP4, .port = 56324, .ip = { 192, 0, 2, 7 } },
                     .destination = { .kind = TH_ADDR_IP4 } };
    server s = { .how.proxy_protocol = TH_PROXY_REQUIRED, .fn = note_peer };
    char byte;
    begin(&s);
    th_stream *stream = dialled(at("?ca=%s", ca_file), &(th_dial_opts){ .proxied = &h });
    ck_assert_int_eq(th_stream_read(stream, &byte, 1), 1);
    ck_assert_str_eq(seen, "192.0.2.7:56324");
    ck_assert_int_eq(th_stream_read(stream, &byte, 1), TH_EOF);
    th_stream_free(stream);
    cancel_server(&s);
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "address");
    tcase_add_checked_fixture(tcase, make_files, remove_files);
    add_on_engines(tcase, an_address_is_all_that_it_takes);
    tcase_add_test(tcase, the_certificate_has_to_be_for_the_host_of_the_address);
    tcase_add_test(tcase, over_a_unix_socket_the_name_is_to_be_given);
    tcase_add_test(tcase, contexts_say_what_an_address_does_not);
    tcase_add_test(tcase, for_developing_the_address_needs_no_files);
    tcase_add_test(tcase, a_second_connection_resumes_the_first);
    tcase_add_test(tcase, a_client_may_have_to_show_a_certificate);
    tcase_add_test(tcase, what_was_decrypted_together_is_read_without_a_wait);
    tcase_add_test(tcase, tls_is_spoken_where_the_address_says_so);
    tcase_add_test(tcase, what_is_wrong_is_told_before_anybody_is_served);
    tcase_add_test(tcase, there_is_no_tls_outside_of_fibers);
    add_on_engines(tcase, who_speaks_something_else_or_nothing_hurts_nobody);
    tcase_add_test(tcase, who_takes_too_long_is_given_up);
    tcase_add_test(tcase, the_header_of_a_proxy_comes_before_tls);
}

int main(void)
{
    return thi_check_run("tls/by_address", fill_suite);
}
