/* SPDX-License-Identifier: MIT */

/*
 * Records made by the kernel (kTLS), against an ordinary OpenSSL at the other end of a connection.
 *
 * A kernel without TLS shows that nothing is lost by asking for it; the rest needs one that has it,
 * and is told as skipped where there is none. `make ktls` brings one, and says by THRUM_KTLS=1 that
 * nothing may be skipped.
 */
#include "kernel_peer.h"

#include "base/alloc.h"
#include "sys/sys.h"

#include <stdatomic.h>

#define NO_KERNEL "the kernel has no TLS; `make ktls` starts one that has"

/* ---- a kernel without ---- */

static thi_sys counting;
static atomic_int asked;

/* Nobody asks more than once. */
static int no_tls(int fd, int level, int name, const void *val, socklen_t n)
{
    if (level != IPPROTO_TCP || name != TCP_ULP)
        return thi_sys_real.setsockopt(fd, level, name, val, n);
    atomic_fetch_add(&asked, 1);
    return -ENOENT;
}

static void take_tls_away(void)
{
    counting = *thi_sys_table;
    counting.setsockopt = no_tls;
    thi_sys_table = &counting;
}

FIBER_TEST(a_kernel_without_tls_is_asked_once)
{
    take_tls_away();
    for (int i = 0; i < 3; i++) {
        peer p = { .script = ping_then_read };
        open_server(&p, (th_tls_opts){ .kernel_sends = 1 });
        ck_assert(!kernel_sends(server_side));
        read_ping();
        write_data(server_side, 0, 50000);
        end_well(&p);
        expect_data(&p, 50000);
        close_server(&p);
        ck_assert_int_eq(atomic_load(&asked), 1);
    }
}

/* A connection on which the kernel is not even asked. */
static void meet_unasked(th_tls_opts opts)
{
    peer p = { .script = ping_then_read };
    take_tls_away();
    open_server(&p, opts);
    ck_assert(!kernel_sends(server_side));
    read_ping();
    end_well(&p);
    close_server(&p);
    ck_assert_int_eq(atomic_load(&asked), 0);
}

FIBER_TEST(nobody_asks_who_does_not_want_it)
{
    meet_unasked((th_tls_opts){ 0 });
}

/* OpenSSL gives no key away where records are to be smaller. */
FIBER_TEST(small_records_are_not_for_the_kernel)
{
    meet_unasked((th_tls_opts){ .kernel_sends = 1, .record_max = 1000 });
}

static th_tls *chosen;

static int choose(const char *name, th_tls **other, void *user, void *arg)
{
    (void)name;
    (void)user;
    (void)arg;
    *other = chosen;
    return 0;
}

static void meet_chosen(int wants)
{
    peer p = { .script = ping_then_read };
    begin_server(&p, (th_tls_opts){ .kernel_sends = !wants, .choose = choose });
    chosen = test_tls(&test_server, (th_tls_opts){ .kernel_sends = wants });
    ck_assert_int_eq(th_tls_server(server_tls, server_plain, NULL, &server_side), 0);
    ck_assert_int_eq(atomic_load(&asked), wants);
    read_ping();
    end_well(&p);
    close_server(&p);
    th_tls_unref(chosen);
}

/* Its settings hold as a whole. */
FIBER_TEST(the_chosen_context_says_who_encrypts)
{
    take_tls_away();
    meet_chosen(0);
    meet_chosen(1);
}

/* ---- every cipher ---- */

static const char *const ciphers12[] = { "ECDHE-ECDSA-AES128-GCM-SHA256",
                                         "ECDHE-ECDSA-AES256-GCM-SHA384",
                                         "ECDHE-ECDSA-CHACHA20-POLY1305" };
static const char *const ciphers13[] = { "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                         "TLS_CHACHA20_POLY1305_SHA256" };

#define VERSIONS 2 /* 1.2 and 1.3: what a loop test's number says */

static int version_of(int i)
{
    return i == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

static const size_t sizes[] = { 1, 2, 100, 16383, 16384, 16385, 65536, 100001, 700003, 1 };

/* ck_assert_int_eq(kernel_sends) is the heart of it: what arrives would arrive otherwise, too. */
static void talk_with(int version, const char *cipher)
{
    peer p = { .script = ping_then_read, .version = version, .cipher = cipher };
    th_tls_info info = { .size = sizeof info };
    size_t at = 0;
    open_server(&p, (th_tls_opts){ .kernel_sends = 1 });
    ck_assert_int_eq(th_tls_info_get(server_side, &info), 0);
    ck_assert_msg(info.kernel_sends == 1, "%s", cipher);
    ck_assert_str_eq(info.cipher, cipher);
    read_ping();
    for (size_t i = 0; i < thi_array_len(sizes); i++) {
        write_data(server_side, at, sizes[i]);
        at += sizes[i];
    }
    end_well(&p);
    expect_data(&p, at);
    close_server(&p);
}

static int every_cipher(void *arg)
{
    int which = *(int *)arg;
    const char *const *ciphers = which == 0 ? ciphers12 : ciphers13;
    for (size_t i = 0; i < thi_array_len(ciphers12); i++)
        talk_with(version_of(which), ciphers[i]);
    return 0;
}

START_TEST(every_cipher_is_made_by_the_kernel)
{
    SKIP_UNLESS(kernel_has_tls(), NO_KERNEL);
    for (int engine = 0; engine < (int)thi_array_len(engine_names); engine++)
        run_in_fiber(1, engine, every_cipher, &_i);
}
END_TEST

/* A test once for each version, where the kernel has TLS. */
#define KERNEL_TEST(name)                                                                          \
    static void name##_body(int version);                                                          \
    static int name##_main(void *arg)                                                              \
    {                                                                                              \
        name##_body(version_of(*(int *)arg));                                                      \
        return 0;                                                                                  \
    }                                                                                              \
    START_TEST(name)                                                                               \
    {                                                                                              \
        SKIP_UNLESS(kernel_has_tls(), NO_KERNEL);                                                  \
        run_in_fiber(1, 0, name##_main, &_i);                                                      \
    }                                                                                              \
    END_TEST                                                                                       \
    static void name##_body(int version)

/* Opens one whose records are the kernel's. */
static void open_by_kernel(peer *p, int version)
{
    p->version = version;
    open_server(p, (th_tls_opts){ .kernel_sends = 1 });
    ck_assert(kernel_sends(server_side));
}

/* ---- the ways to send ---- */

KERNEL_TEST(a_file_goes_from_its_pages)
{
    peer p = { .script = ping_then_read };
    char name[] = "/tmp/thrum-ktls-XXXXXX";
    int fd = mkstemp(name);
    ck_assert_int_ge(fd, 0);
    unlink(name);
    ck_assert_int_eq(write(fd, data, 700001), 700001);
    open_by_kernel(&p, version);
    read_ping();
    write_data(server_side, 0, 11);
    ck_assert_int_eq(th_stream_sendfile(server_side, fd, 11, 699990), 699990);
    ck_assert_int_eq(server_side->ops->sendfile(server_side, fd, 700001, 10), 0); /* its end */
    write_data(server_side, 700001, 1000);
    end_well(&p);
    expect_data(&p, 701001);
    close_server(&p);
    close(fd);
}

KERNEL_TEST(pieces_and_tries)
{
    peer p = { .script = ping_then_read };
    struct iovec iov[] = { { data, 10 }, { NULL, 0 }, { data + 10, 40000 }, { data + 40010, 3 } };
    open_by_kernel(&p, version);
    read_ping();
    ck_assert_int_eq(th_stream_writev(server_side, iov, 4), 40013);
    ck_assert_int_eq(th_stream_try_write(server_side, data + 40013, 100), 100);
    ck_assert_int_eq(th_tls_flush(server_side), 0);
    end_well(&p);
    expect_data(&p, 40113);
    close_server(&p);
}

/* ---- what OpenSSL itself sends ---- */

KERNEL_TEST(sessions_are_handed_out)
{
    peer p = { .script = ping_then_read };
    open_by_kernel(&p, version);
    read_ping();
    write_data(server_side, 0, 10);
    end_well(&p);
    expect_data(&p, 10);
    ck_assert(p.resumable);
    close_server(&p);
}

KERNEL_TEST(a_broken_record_is_answered_by_an_alert)
{
    peer p = { .script = send_rubbish };
    char byte;
    open_by_kernel(&p, version);
    ck_assert_int_eq(th_stream_read(server_side, &byte, 1), TH_ETLS);
    ck_assert_int_eq(th_stream_write(server_side, "x", 1), TH_ETLS);
    join(&p);
    ck_assert_int_eq(p.end, SSL_ERROR_SSL);
    ck_assert_int_eq(p.reason, SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
    close_server(&p);
}

/* The server's Finished has given the key away when the client's certificate does not come. */
KERNEL_TEST(a_handshake_may_still_fail)
{
    peer p = { .script = ping_then_read, .version = version };
    if (version == TLS1_2_VERSION)
        return; /* there the server decides before */
    begin_server(&p,
                 (th_tls_opts){ .kernel_sends = 1, .client_auth = TH_TLS_CLIENT_AUTH_REQUIRED });
    ck_assert_int_eq(th_tls_server(server_tls, server_plain, NULL, &server_side), TH_ETLS);
    join(&p);
    ck_assert_int_eq(p.end, SSL_ERROR_SSL);
    ck_assert_int_eq(p.reason, SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED);
    server_side = server_plain;
    close_server(&p);
}

/* ---- new keys ---- */

KERNEL_TEST(the_peer_may_change_its_own_key)
{
    peer p = { .script = change_own_key };
    if (version == TLS1_2_VERSION)
        return; /* it has none of that */
    open_by_kernel(&p, version);
    write_data(server_side, 0, 100);
    read_text(server_side, "old");
    read_text(server_side, "new");
    write_data(server_side, 100, 30000);
    end_well(&p);
    expect_data(&p, 30100);
    close_server(&p);
}

KERNEL_TEST(who_wants_new_keys_gets_an_orderly_end)
{
    peer p = { .script = want_new_keys };
    if (version == TLS1_2_VERSION)
        return;
    open_by_kernel(&p, version);
    write_data(server_side, 0, 100);
    read_text(server_side, "old");
    read_text(server_side, "new");
    ck_assert_int_eq(th_stream_write(server_side, "x", 1), TH_ETLS);
    ck_assert_msg(strstr(th_err_detail(), "new keys") != NULL, "%s", th_err_detail());
    ck_assert_int_eq(th_stream_try_write(server_side, "x", 1), TH_ETLS);
    read_text(server_side, "more"); /* what it sends is not concerned */
    end_well(&p);                   /* the old key is still good for that */
    expect_data(&p, 100);
    close_server(&p);
}

/* ---- peers that do not read ---- */

typedef struct writing {
    size_t done; /* has been taken of data */
    size_t size; /* is to be */
    int result;
} writing;

static int write_on(void *arg)
{
    writing *w = arg;
    while (w->done < w->size) {
        struct iovec iov = { data + w->done, w->size - w->done };
        ssize_t n = server_side->ops->writev(server_side, &iov, 1);
        if (n < 0) {
            w->result = (int)n;
            return 0;
        }
        w->done += (size_t)n;
    }
    w->result = 0;
    return 0;
}

/* Until a fiber waits for room in the socket. */
static void wait_for_writer(void)
{
    while (!thi_socket_of(server_plain)->writer)
        ck_assert_int_eq(th_yield(), 0);
}

KERNEL_TEST(a_write_that_is_broken_off_loses_nothing)
{
    peer p = { .script = read_when_told, .narrow = true };
    writing w = { .size = DATA };
    th_scope scope;
    open_by_kernel(&p, version);
    open_scope(&scope);
    spawn(&scope, write_on, &w);
    wait_for_writer();
    (void)th_scope_cancel(&scope, -ECANCELED);
    (void)th_scope_close(&scope);
    ck_assert_int_eq(w.result, -ECANCELED);
    ck_assert_uint_lt(w.done, DATA);
    tell(&p);
    (void)write_on(&w);
    ck_assert_int_eq(w.result, 0);
    end_well(&p);
    expect_data(&p, DATA);
    close_server(&p);
}

/* An alert goes behind what is being written, and is not lost though its fiber does not wait. */
KERNEL_TEST(the_end_is_said_behind_what_is_written)
{
    peer p = { .script = read_when_told, .narrow = true };
    writing w = { .size = DATA };
    th_scope scope;
    open_by_kernel(&p, version);
    open_scope(&scope);
    spawn(&scope, write_on, &w);
    wait_for_writer();
    ck_assert_int_eq(th_stream_shutdown(server_side), 0);
    tell(&p);
    close_scope(&scope);
    ck_assert_int_eq(w.result, -EPIPE); /* the step that waited was done, the next one is late */
    join(&p);
    ck_assert_int_eq(p.end, SSL_ERROR_ZERO_RETURN);
    expect_data(&p, w.done);
    close_server(&p);
}

KERNEL_TEST(what_a_full_socket_did_not_take_follows_the_close)
{
    peer p = { .script = read_when_told, .narrow = true };
    size_t done = 0;
    ssize_t n;
    open_by_kernel(&p, version);
    while ((n = th_stream_try_write(server_side, data + done, DATA - done)) > 0)
        done += (size_t)n;
    ck_assert_int_eq(n, -EAGAIN);
    ck_assert_int_eq(th_stream_shutdown(server_side), 0);
    th_stream_free(server_side);
    server_side = NULL;
    tell(&p);
    while (!atomic_load(&p.over))
        ck_assert_int_eq(th_yield(), 0);
    join(&p);
    ck_assert_int_eq(p.end, SSL_ERROR_ZERO_RETURN);
    expect_data(&p, done);
    close_server(&p);
}

/* ---- the rest ---- */

/* Linux tells it once, and takes whatever is written after that. */
KERNEL_TEST(a_write_to_one_who_is_gone_fails_as_ever)
{
    peer p = { .script = go_away };
    ssize_t n = 0;
    open_by_kernel(&p, version);
    write_data(server_side, 0, 10);
    tell(&p);
    join(&p);
    for (int i = 0; i < 4; i++) {
        while ((n = th_stream_write(server_side, "x", 1)) > 0)
            ;
        ck_assert_msg(n == -EPIPE || n == -ECONNRESET || n == TH_ETRUNCATED, "%s",
                      th_errname((int)n));
    }
    close_server(&p);
}

KERNEL_TEST(it_is_for_ever)
{
    peer p = { .script = ping_then_read };
    th_stream *plain = NULL;
    open_by_kernel(&p, version);
    read_ping();
    ck_assert_int_eq(th_tls_unwrap(server_side, &plain), -EOPNOTSUPP);
    ck_assert_ptr_null(plain);
    write_data(server_side, 0, 10); /* nothing has changed */
    end_well(&p);
    expect_data(&p, 10);
    close_server(&p);
}

static int write_all(void *arg)
{
    ssize_t n = th_stream_write(arg, data, DATA);
    return n < 0 ? (int)n : th_stream_shutdown(arg);
}

/* Two ends of ours, each with a reader and a writer. */
KERNEL_TEST(both_ends_may_have_it)
{
    static char got[2][DATA];
    char byte;
    int fds[2];
    th_scope scope;
    make_contexts(
        (th_tls_opts){ .kernel_sends = 1, .min_version = version, .max_version = version },
        (th_tls_opts){ .kernel_sends = 1 });
    connect_both(fds, false);
    server_plain = adopt(fds[0]);
    client_plain = adopt(fds[1]);
    shake_well();
    ck_assert(kernel_sends(server_side) && kernel_sends(client_side));
    open_scope(&scope);
    spawn(&scope, write_all, client_side);
    spawn(&scope, write_all, server_side);
    ck_assert_int_eq(th_stream_read_all(server_side, got[0], DATA), (ssize_t)DATA);
    ck_assert_int_eq(th_stream_read_all(client_side, got[1], DATA), (ssize_t)DATA);
    ck_assert_int_eq(th_stream_read(server_side, &byte, 1), TH_EOF);
    ck_assert_int_eq(th_stream_read(client_side, &byte, 1), TH_EOF);
    close_scope(&scope);
    ck_assert_mem_eq(got[0], data, DATA);
    ck_assert_mem_eq(got[1], data, DATA);
    free_sides();
}

static void fill(Suite *suite)
{
    fill_data();
    test_chooses_kernel = true;
    TCase *without = thi_check_case(suite, "without");
    tcase_add_test(without, a_kernel_without_tls_is_asked_once);
    tcase_add_test(without, nobody_asks_who_does_not_want_it);
    tcase_add_test(without, the_chosen_context_says_who_encrypts);
    tcase_add_test(without, small_records_are_not_for_the_kernel);
    TCase *with = thi_check_case(suite, "with");
    tcase_set_timeout(with, 60);
    tcase_add_loop_test(with, every_cipher_is_made_by_the_kernel, 0, VERSIONS);
    tcase_add_loop_test(with, a_file_goes_from_its_pages, 0, VERSIONS);
    tcase_add_loop_test(with, pieces_and_tries, 0, VERSIONS);
    tcase_add_loop_test(with, sessions_are_handed_out, 0, VERSIONS);
    tcase_add_loop_test(with, a_broken_record_is_answered_by_an_alert, 0, VERSIONS);
    tcase_add_loop_test(with, a_handshake_may_still_fail, 0, VERSIONS);
    tcase_add_loop_test(with, the_peer_may_change_its_own_key, 0, VERSIONS);
    tcase_add_loop_test(with, who_wants_new_keys_gets_an_orderly_end, 0, VERSIONS);
    tcase_add_loop_test(with, a_write_that_is_broken_off_loses_nothing, 0, VERSIONS);
    tcase_add_loop_test(with, the_end_is_said_behind_what_is_written, 0, VERSIONS);
    tcase_add_loop_test(with, what_a_full_socket_did_not_take_follows_the_close, 0, VERSIONS);
    tcase_add_loop_test(with, a_write_to_one_who_is_gone_fails_as_ever, 0, VERSIONS);
    tcase_add_loop_test(with, it_is_for_ever, 0, VERSIONS);
    tcase_add_loop_test(with, both_ends_may_have_it, 0, VERSIONS);
}

int main(void)
{
    return thi_check_run("tls/kernel", fill);
}
