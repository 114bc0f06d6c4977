/* SPDX-License-Identifier: MIT */

/*
 * Servers and clients of TLS, in worlds from friendly to hostile.
 *
 * While there are faults a client tries again until it succeeds; an attempt that begins after the
 * faults have ended must succeed at once. At no time may a byte be wrong, may what was cut be taken
 * for whole, or may TLS itself fail: whatever happens to the bytes on their way happens to the
 * connection, not to its records.
 *
 * The certificate is one whose signatures all have the same length, and there are no tickets, so
 * that a run can be repeated.
 */
#include "sim_play.h"

#include "tls/certs.h"

#include <thrum/addr.h>
#include <thrum/dial.h>
#include <thrum/runtime.h>
#include <thrum/serve.h>
#include <thrum/stream.h>
#include <thrum/tls_stream.h>

#include <errno.h>
#include <stdbool.h>

#define PATIENCE  (120 * TH_SECOND) /* buffers may be tiny, and a handshake has its 2 KB */
#define CLIENTS   4
#define SIZE_MAX_ 6000

static th_tls *server_tls, *client_tls;

/* One run's stage. */
typedef struct stage {
    int (*attempt)(struct stage *stage, uint64_t n);
    sim_play play;
    th_listener *listener;
    char dial_at[TH_ADDR_TEXT];
} stage;

/* What the network may do to a connection. TLS has no failure of its own among these, but that a
 * peer without memory says so. */
static bool is_network_error(int error)
{
    if (error == TH_ETLS)
        return strstr(th_err_detail(), "the peer sent the alert 'internal error'") != NULL;
    static const int errors[] = { -ECONNRESET, -EPIPE,    -ECONNREFUSED, -ETIMEDOUT,
                                  -EMFILE,     -ENFILE,   -ENOBUFS,      -ENOMEM,
                                  -ECANCELED,  -ENOTCONN, TH_EOF,        TH_ETRUNCATED };
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (error == errors[i])
            return true;
    return false;
}

/* ---- the server ---- */

static int echo(th_stream *stream)
{
    static const size_t sizes[] = { 1, 100, 5000, 20000 };
    char buf[20000];
    ssize_t n;
    while ((n = th_stream_read(stream, buf, sizes[th_sim_random(4)])) > 0)
        if ((n = th_stream_write(stream, buf, (size_t)n)) < 0)
            break;
    return (int)n;
}

/* Ends in order what has come to its end, and breaks off the rest. */
static int serve(th_stream *plain, void *arg)
{
    th_stream *safe;
    th_tls_stream_opts opts = { .keep_below = 1,
                                .later = (int)th_sim_random(2),
                                .handshake_time = PATIENCE };
    (void)arg;
    int err = th_tls_server(server_tls, plain, &opts, &safe);
    expect_value(err == 0 || is_network_error(err), err);
    if (err < 0)
        return err;
    err = echo(safe);
    expect_value(err == TH_EOF || is_network_error(err), err);
    if (err == TH_EOF)
        err = th_stream_shutdown(safe);
    if (err == 0)
        err = th_tls_flush(safe);
    if (err < 0) /* a close would say that this is the end */
        (void)th_stream_reset(safe);
    th_stream_free(safe);
    return err;
}

/* Under faults even the start of a server may fail, and is tried again. */
static int run_server(void *arg)
{
    stage *st = arg;
    for (;;) {
        bool excused = faults_are_on(&st->play);
        int result = th_serve_on(&st->listener, 1, serve, st, NULL);
        if (result == 0 || result == -ECANCELED)
            return 0;
        expect_value(excused, result);
        th_sleep(100 * TH_MILLISECOND);
    }
}

/* ---- the clients ---- */

static unsigned char pattern(uint64_t n, size_t i)
{
    return (unsigned char)(n * 31 + i * 7 + i / 256);
}

/* The writing half of a client. */
typedef struct writing {
    th_stream *stream;
    uint64_t n;
    size_t size;
} writing;

static int write_pattern(void *arg)
{
    writing *w = arg;
    unsigned char block[3000];
    for (size_t done = 0; done < w->size;) {
        size_t part = 1 + (size_t)th_sim_random(sizeof block);
        part = part < w->size - done ? part : w->size - done;
        for (size_t i = 0; i < part; i++)
            block[i] = pattern(w->n, done + i);
        ssize_t n = th_stream_write(w->stream, block, part);
        if (n < 0)
            return (int)n;
        done += part;
    }
    return th_stream_shutdown(w->stream);
}

/* Reads what comes back up to the end; the number of bytes, all right ones, or an error. */
static ssize_t read_pattern(const writing *w)
{
    unsigned char block[3000];
    size_t done = 0;
    for (;;) {
        ssize_t n = th_stream_read(w->stream, block, 1 + th_sim_random(sizeof block));
        if (n == TH_EOF)
            return (ssize_t)done;
        if (n < 0)
            return n;
        for (size_t i = 0; i < (size_t)n; i++)
            expect(block[i] == pattern(w->n, done + i));
        done += (size_t)n;
        expect(done <= w->size);
    }
}

static int connect_to(stage *st, th_stream **safe)
{
    th_stream *plain;
    th_tls_stream_opts opts = { .name = "server.test",
                                .later = (int)th_sim_random(2),
                                .handshake_time = PATIENCE };
    int err = th_dial(st->dial_at, NULL, &plain);
    if (err < 0)
        return err;
    err = th_tls_client(client_tls, plain, &opts, safe);
    if (err < 0)
        th_stream_free(plain);
    return err;
}

/* Everything that is sent comes back, while it is being sent. An end in TLS is a whole answer. */
static int attempt_echo(stage *st, uint64_t n)
{
    writing w = { .n = n, .size = 1 + (size_t)th_sim_random(SIZE_MAX_) };
    th_scope both;
    int result = connect_to(st, &w.stream);
    if (result < 0)
        return result;
    result = th_scope_open(&both, &(th_scope_opts){ .cancel_rest = 1 });
    if (result == 0)
        result = th_spawn(&both, write_pattern, &w);
    ssize_t got = result == 0 ? read_pattern(&w) : result;
    if (got < 0)
        th_scope_cancel(&both, (int)got);
    else
        expect_value((size_t)got == w.size, got);
    int written = th_scope_close(&both);
    th_stream_free(w.stream);
    return got == -ECANCELED && written < 0 ? written : got < 0 ? (int)got : written;
}

/* Gives up at a time that may be in any state of the handshake, and leaves nothing. */
static int attempt_in_a_hurry(stage *st, uint64_t n)
{
    th_stream *safe = NULL;
    th_scope hurry;
    int64_t span = (int64_t)th_sim_random(20 * TH_MILLISECOND);
    int result = th_scope_open(&hurry, &(th_scope_opts){ .deadline = th_after(span) });
    if (result == 0)
        result = connect_to(st, &safe);
    if (result == 0)
        result = th_tls_handshake(safe);
    th_scope_close(&hurry);
    if (safe && th_sim_random(2))
        th_stream_reset(safe);
    th_stream_free(safe);
    expect_value(result == 0 || is_network_error(result), result);
    return faults_are_on(&st->play) ? result : attempt_echo(st, n);
}

/* Tries until it succeeds. */
static int run_client(void *arg)
{
    stage *st = arg;
    th_sleep((int64_t)th_sim_random(TH_SECOND));
    for (;;) {
        bool excused = faults_are_on(&st->play);
        th_scope patient;
        int result = th_scope_open(&patient, &(th_scope_opts){ .deadline = th_after(PATIENCE) });
        if (result == 0)
            result = st->attempt(st, th_sim_random(1000));
        th_scope_close(&patient);
        if (result == 0)
            break;
        expect_value(excused && is_network_error(result), result);
        if (!excused)
            return 0;
        th_sleep((int64_t)th_sim_random(TH_SECOND));
    }
    st->play.done++;
    return 0;
}

/* ---- the play ---- */

static int play(void *arg)
{
    stage *st = arg;
    play_begin(&st->play);
    int err = play_listen(&st->play, "127.0.0.1:0", &st->listener, st->dial_at);
    if (err == 0)
        err = play_out(&st->play, run_server, CLIENTS, run_client, st);
    th_listener_close(st->listener);
    return err;
}

/* A connection ends in whatever state it is in, again and again. */
static void resetting(th_sim_opts *opts)
{
    friendly(opts);
    opts->faults[TH_SIM_RESET].per_million = 30000;
    opts->faults[TH_SIM_BROKEN_PIPE].per_million = 10000;
    opts->faults[TH_SIM_DELAY].per_million = 30000;
    opts->fault_until = FAULTS_END;
}

static void (*world)(th_sim_opts *opts);

/* A handshake needs more stack than most things. */
static void with_deep_stacks(th_sim_opts *opts)
{
    world(opts);
    opts->stack_size = 64 * 1024;
}

static void run(stage st, int version, void (*configure)(th_sim_opts *opts))
{
    world = configure;
    test_cert_make(&test_ca, "Test Root", NULL, NULL, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    test_cert_make(&test_server, "server.test", "DNS:server.test", &test_ca,
                   EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    server_tls = test_tls(&test_server,
                          (th_tls_opts){ .tickets = TH_TLS_NO_TICKETS, .max_version = version });
    client_tls = test_tls(NULL, (th_tls_opts){ .no_sessions = 1 });
    sim_seeds(play, &st, with_deep_stacks);
    th_tls_unref(server_tls);
    th_tls_unref(client_tls);
    test_cert_free(&test_ca);
    test_cert_free(&test_server);
}

START_TEST(echo_returns_every_byte)
{
    run((stage){ .attempt = attempt_echo }, TH_TLS_1_3, friendly);
}
END_TEST

START_TEST(short_transfers_and_false_eagain_change_nothing)
{
    run((stage){ .attempt = attempt_echo }, TH_TLS_1_3, slow);
}
END_TEST

START_TEST(in_tls_1_2_neither)
{
    run((stage){ .attempt = attempt_echo }, TH_TLS_1_2, slow);
}
END_TEST

START_TEST(clients_that_give_up_anywhere_harm_nobody)
{
    run((stage){ .attempt = attempt_in_a_hurry }, TH_TLS_1_3, friendly);
}
END_TEST

START_TEST(echo_recovers_from_every_fault)
{
    run((stage){ .attempt = attempt_echo, .play.faulty = true }, TH_TLS_1_3, hostile);
}
END_TEST

START_TEST(echo_recovers_from_resets_in_any_state)
{
    run((stage){ .attempt = attempt_echo, .play.faulty = true }, TH_TLS_1_3, resetting);
}
END_TEST

START_TEST(in_tls_1_2_as_well)
{
    run((stage){ .attempt = attempt_echo, .play.faulty = true }, TH_TLS_1_2, resetting);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = sim_case(suite, "friendly");
    tcase_add_test(tcase, echo_returns_every_byte);
    tcase_add_test(tcase, short_transfers_and_false_eagain_change_nothing);
    tcase_add_test(tcase, in_tls_1_2_neither);
    tcase_add_test(tcase, clients_that_give_up_anywhere_harm_nobody);
    tcase = sim_case(suite, "hostile");
    tcase_add_test(tcase, echo_recovers_from_every_fault);
    tcase_add_test(tcase, echo_recovers_from_resets_in_any_state);
    tcase_add_test(tcase, in_tls_1_2_as_well);
}

int main(void)
{
    return thi_check_run("sim/tls", fill_suite);
}
