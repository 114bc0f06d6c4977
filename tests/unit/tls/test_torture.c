/* SPDX-License-Identifier: MIT */

/*
 * A connection of TLS while each allocation, Thrum's and OpenSSL's, and each system call of it
 * fails in turn: what fails is told, nothing hangs, and nothing is left.
 */
#include "torture.h"

#include "streams.h"

#include "base/error.h"

#include <openssl/crypto.h>

/* ---- OpenSSL's memory ---- */

static int64_t ssl_countdown; /* allocations of OpenSSL until the one that fails; 0: none will */

static bool ssl_fails(void)
{
    return ssl_countdown > 0 && ssl_countdown-- == 1;
}

static void *ssl_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return ssl_fails() ? NULL : malloc(size);
}

static void *ssl_realloc(void *ptr, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return ssl_fails() ? NULL : realloc(ptr, size);
}

static void ssl_free(void *ptr, const char *file, int line)
{
    (void)file;
    (void)line;
    free(ptr);
}

/* Orders the n-th allocation of somebody to fail; with 0: what was left of the order. */
typedef int64_t order(int64_t n);

static int64_t order_ssl(int64_t n)
{
    int64_t left = ssl_countdown;
    ssl_countdown = n;
    return left;
}

/* ---- the scenario ---- */

typedef struct outcome {
    int server;
    int client;
} outcome;

/* As the client does it, but that the client begins to talk, and to leave. */
static int be_echo(void *arg)
{
    outcome *out = arg;
    char buf[64];
    th_stream *stream;
    ssize_t n = th_tls_server(server_tls, server_plain, NULL, &stream);
    if (n < 0) {
        out->server = (int)n;
        th_stream_free(server_plain);
        return 0;
    }
    while ((n = th_stream_read(stream, buf, sizeof buf)) > 0)
        if ((n = th_stream_write(stream, buf, (size_t)n)) < 0)
            break;
    if (n == TH_EOF)
        n = th_stream_shutdown(stream);
    out->server = (int)n;
    th_stream_free(stream);
    return 0;
}

static int ask_echo(void)
{
    static const th_tls_stream_opts opts = { .name = "server.test" };
    char buf[64];
    th_stream *stream;
    int err = th_tls_client(client_tls, client_plain, &opts, &stream);
    if (err < 0) {
        th_stream_free(client_plain);
        return err;
    }
    ssize_t n = th_stream_write(stream, "There and back again.", 21);
    if (n > 0)
        n = th_stream_read_all(stream, buf, 21);
    if (n > 0)
        n = th_stream_finish(stream, 100);
    th_stream_free(stream);
    return (int)n;
}

/* Both ends on one worker, within a time that is never needed. */
static int talk(outcome *out)
{
    th_scope scope;
    int err = th_scope_open(&scope, &(th_scope_opts){ .deadline = th_after(10 * TH_SECOND) });
    if (err < 0)
        return err;
    err = th_spawn(&scope, be_echo, out);
    if (err < 0)
        th_stream_free(server_plain);
    out->client = ask_echo();
    (void)th_scope_close(&scope);
    return err;
}

/* What an end may say whose peer, or who itself, has lost a connection or lacks memory. */
static bool is_fair(int result, int error)
{
    return result == 0 || result == -error || result == -ECANCELED || result == -EPIPE ||
           result == -ECONNRESET || result == TH_EOF || result == TH_ETRUNCATED ||
           result == -ENOTCONN || (result == TH_ETLS && error == ENOMEM);
}

/* ---- memory ---- */

/* OpenSSL's own memory is for the leak sanitizer to watch: it keeps some for later. */
static void fail_each_allocation(order *fail_at, int max_version)
{
    outcome out;
    int64_t live = 0;
    (void)thi_err_set(-EINVAL, "a detail"); /* which a fiber keeps */
    make_contexts((th_tls_opts){ .max_version = max_version }, (th_tls_opts){ .no_sessions = 1 });
    for (int64_t n = -2, left = 0; left == 0; n++) {
        out = (outcome){ 0 };
        if (n == 0) /* what is made once is there by now */
            live = thi_alloc_live();
        if (test_wants_kernel())
            open_sockets();
        else
            open_memory(0);
        (void)fail_at(n > 0 ? n : 0);
        int err = talk(&out);
        left = n > 0 ? fail_at(0) : 0;
        ck_assert_msg(err == 0 || err == -ENOMEM, "%s", th_errname(err));
        ck_assert_msg(is_fair(out.server, ENOMEM) && is_fair(out.client, ENOMEM),
                      "%ld: server %s, client %s: %s", (long)n, th_errname(out.server),
                      th_errname(out.client), th_err_detail());
        let_others_run();
        /* One or two blocks may be there or not at this moment; what leaks adds up. */
        if (n >= 0)
            ck_assert_msg(llabs(thi_alloc_live() - live) <= 4, "%ld leaves %ld", (long)n,
                          (long)(thi_alloc_live() - live));
    }
    ck_assert_int_eq(out.client, 0);
    ck_assert_int_eq(out.server, 0);
    free_contexts();
}

FIBER_TEST(every_allocation_may_fail)
{
    fail_each_allocation(thi_alloc_fail_at, TH_TLS_1_3);
    fail_each_allocation(thi_alloc_fail_at, TH_TLS_1_2);
}

#define SLOW "thousands of handshakes are too much for an emulated processor"

FIBER_TEST(every_allocation_of_openssl_may_fail)
{
    SKIP_UNLESS(!test_wants_kernel(), SLOW);
    fail_each_allocation(order_ssl, TH_TLS_1_3);
}

FIBER_TEST(every_allocation_of_openssl_for_tls_1_2_may_fail)
{
    SKIP_UNLESS(!test_wants_kernel(), SLOW);
    fail_each_allocation(order_ssl, TH_TLS_1_2);
}

/* ---- system calls ---- */

/* What th_stream_pair() does, with sockets that the kernel has TLS for. */
static int try_tcp(th_stream *ends[2])
{
    thi_socket *sockets[2];
    int fds[2];
    connect_both(fds, false);
    for (int i = 0; i < 2; i++) {
        fcntl(fds[i], F_SETFL, fcntl(fds[i], F_GETFL) | O_NONBLOCK);
        int err = thi_socket_new(fds[i], &sockets[i]);
        if (err < 0) {
            if (i == 1)
                th_stream_free(ends[0]);
            close(fds[i]);
            if (i == 0)
                close(fds[1]);
            return err;
        }
        ends[i] = &sockets[i]->base;
    }
    return 0;
}

static int talk_over_sockets(void *arg)
{
    outcome *out = arg;
    th_stream *ends[2];
    int err = test_wants_kernel() ? try_tcp(ends) : th_stream_pair(ends);
    if (err < 0)
        return err;
    server_plain = ends[0];
    client_plain = ends[1];
    return talk(out);
}

static int talk_while_calls_fail(void *arg)
{
    run *r = arg;
    outcome out = { 0 };
    int err = torment_body(r, talk_over_sockets, &out);
    if (!r->hit)
        return err < 0 ? err : out.client < 0 ? out.client : out.server;
    bool fair = is_as_ordered(r, err) && is_fair(out.client, r->torment->error) &&
                is_fair(out.server, r->torment->error);
    return fair ? 0 : out.client < 0 ? out.client : out.server;
}

START_TEST(every_system_call_may_fail)
{
    make_contexts((th_tls_opts){ 0 }, (th_tls_opts){ .no_sessions = 1 });
    torture_spares_again = !test_wants_kernel();
    torture(1, _i, talk_while_calls_fail);
    free_contexts();
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "memory");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, every_allocation_may_fail);
    tcase_add_test(tcase, every_allocation_of_openssl_may_fail);
    tcase_add_test(tcase, every_allocation_of_openssl_for_tls_1_2_may_fail);
    tcase = thi_check_case(suite, "system calls");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, every_system_call_may_fail, 0, 2);
}

int main(void)
{
    /* No caches of blocks, which would be counted as left. */
    if (setenv("THRUM_SLAB", "malloc", 1) != 0 ||
        CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free) != 1)
        return 1;
    return thi_check_run("tls/torture", fill);
}
