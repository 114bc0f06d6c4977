/* SPDX-License-Identifier: MIT */

/* Addresses that ask for TLS: parted, kept by listeners, refused where none is spoken. */
#include "net/pair.h"

#include "base/alloc.h"
#include "net/listener.h"
#include "net/tls_address.h"

#include <thrum/addr.h>
#include <thrum/serve.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void parts(const char *text, const char *place, const char *params)
{
    thi_tls_address a;
    ck_assert(thi_tls_address_means(text));
    ck_assert_int_eq(thi_tls_address_read(text, &a), 0);
    ck_assert_str_eq(a.place, place);
    if (params)
        ck_assert_str_eq(a.params, params);
    else
        ck_assert_ptr_null(a.params);
}

static void is_refused(const char *text, const char *why)
{
    thi_tls_address a;
    ck_assert_int_eq(thi_tls_address_read(text, &a), TH_EADDRESS);
    ck_assert_msg(strstr(th_err_detail(), why) != NULL, "%s", th_err_detail());
}

START_TEST(a_place_and_what_is_spoken_there_are_parted)
{
    parts("tls://db.example:5432", "db.example:5432", NULL);
    parts("tls://[::1]:443?name=a", "[::1]:443", "name=a");
    parts("tls+unix:/run/a.sock", "unix:/run/a.sock", NULL);
    parts("tls+tcp://*:443?cert=/a%3Fb&key=c", "tcp://*:443", "cert=/a%3Fb&key=c");
    parts("tls+systemd:web?", "systemd:web", "");
    parts("tls+fd:3", "fd:3", NULL);
    ck_assert(!thi_tls_address_means("tcp://tls:1"));
    ck_assert(!thi_tls_address_means("tls:1"));
    ck_assert(!thi_tls_address_means("unix:/tls://"));
}
END_TEST

START_TEST(what_names_no_place_is_refused)
{
    char text[THI_TLS_PLACE + 16] = "tls://";
    is_refused("tls://", "names no place");
    is_refused("tls+?cert=a", "names no place");
    is_refused("tls+tls://a:1", "twice");
    memset(text + 6, 'a', THI_TLS_PLACE - 1 - 6);
    parts(text, text + 6, NULL);
    text[THI_TLS_PLACE - 1] = 'a';
    is_refused(text, "too long");
}
END_TEST

/* ---- listeners ------------------------------------------------------------------------------- */

static th_listener *listening(const char *address, const th_listen_opts *opts)
{
    th_listener *l = NULL;
    int err = th_listen(address, opts, &l);
    ck_assert_msg(err == 0, "%s: %s", address, th_err_detail());
    return l;
}

START_TEST(a_listener_remembers_that_it_is_for_tls)
{
    th_addr addr;
    th_listener *l = listening("tls://127.0.0.1:0?cert=a.pem", NULL);
    ck_assert_int_eq(th_listener_is_tls(l), 1);
    ck_assert_str_eq(l->tls_params, "cert=a.pem");
    th_listener_addr(l, &addr);
    ck_assert_int_eq(addr.kind, TH_ADDR_IP4);
    ck_assert_int_ne(addr.port, 0);
    th_listener_close(l);

    l = listening("127.0.0.1:0", NULL);
    ck_assert_int_eq(th_listener_is_tls(l), 0);
    th_listener_close(l);

    l = listening("127.0.0.1:0", &(th_listen_opts){ .tls = 1 });
    ck_assert_int_eq(th_listener_is_tls(l), 1);
    ck_assert_ptr_null(l->tls_params);
    th_listener_close(l);
}
END_TEST

START_TEST(a_socket_file_has_no_parameters_in_its_name)
{
    char dir[] = "/tmp/thrum-tls-address-XXXXXX";
    char address[80], path[64];
    ck_assert_ptr_nonnull(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/s", dir);
    (void)snprintf(address, sizeof address, "tls+unix:%s?dev", path);
    th_listener *l = listening(address, NULL);
    ck_assert_int_eq(th_listener_is_tls(l), 1);
    ck_assert_int_eq(access(path, F_OK), 0);
    th_listener_close(l);
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(a_listener_that_is_not_made_leaves_nothing)
{
    th_listener *l = NULL;
    th_addr addr;
    int err;
    ck_assert_int_eq(th_listen("tls://nonsense", NULL, &l), TH_EADDRESS);
    ck_assert_int_eq(th_listen("tls://", NULL, &l), TH_EADDRESS);
    ck_assert_int_eq(th_addr_parse("tls://127.0.0.1:1", &addr), TH_EADDRESS);
    ck_assert_msg(strstr(th_err_detail(), "TLS") != NULL, "%s", th_err_detail());
    for (int n = 1;; n++) {
        thi_alloc_fail_at(n);
        err = th_listen("tls://127.0.0.1:0?dev", NULL, &l);
        thi_alloc_fail_at(0);
        if (err == 0)
            break;
        ck_assert_int_eq(err, -ENOMEM);
        ck_assert_ptr_null(l);
        ck_assert_int_lt(n, 10);
    }
    th_listener_close(l);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "address");
    tcase_add_test(tcase, a_place_and_what_is_spoken_there_are_parted);
    tcase_add_test(tcase, what_names_no_place_is_refused);
    tcase_add_test(tcase, a_listener_remembers_that_it_is_for_tls);
    tcase_add_test(tcase, a_socket_file_has_no_parameters_in_its_name);
    tcase_add_test(tcase, a_listener_that_is_not_made_leaves_nothing);
}

int main(void)
{
    return thi_check_run("net/tls_address", fill_suite);
}
