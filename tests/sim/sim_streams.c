/* SPDX-License-Identifier: MIT */

/*
 * Servers and clients on streams, in worlds from friendly to hostile.
 *
 * While there are faults a client tries again until it succeeds; an attempt that begins after the
 * faults have ended must succeed at once. At no time may a byte be wrong.
 */
#include "sim_play.h"

#include <thrum/addr.h>
#include <thrum/dial.h>
#include <thrum/reader.h>
#include <thrum/relay.h>
#include <thrum/runtime.h>
#include <thrum/serve.h>
#include <thrum/socket.h>
#include <thrum/stream.h>
#include <thrum/writer.h>

#include <errno.h>
#include <stdbool.h>

#define PATIENCE  (60 * TH_SECOND) /* buffers may be two bytes, and a way takes 2 ms */
#define CLIENTS   6
#define SIZE_MAX_ 3000

/* One run's stage. */
typedef struct stage {
    const char *address;
    th_serve_fn serve;
    int (*attempt)(struct stage *stage, uint64_t n);
    sim_play play;
    th_listener *listener;
    char dial_at[TH_ADDR_TEXT];
} stage;

/* ---- the server ---- */

/* Under faults even the start of a server may fail, and is tried again. */
static int run_server(void *arg)
{
    stage *st = arg;
    th_serve_opts opts = { .max_connections = th_sim_random(2) ? 3 : 0 };
    for (;;) {
        bool excused = faults_are_on(&st->play);
        int result = th_serve_on(&st->listener, 1, st->serve, st, &opts);
        if (result == 0 || result == -ECANCELED)
            return 0;
        expect_value(excused, result);
        th_sleep(100 * TH_MILLISECOND);
    }
}

static int echo(th_stream *stream, void *arg)
{
    char buf[256];
    ssize_t n;
    (void)arg;
    while ((n = th_stream_read(stream, buf, 1 + th_sim_random(sizeof buf))) > 0)
        if ((n = th_stream_write(stream, buf, (size_t)n)) < 0)
            break;
    return (int)n;
}

static int echo_and_end(void *arg)
{
    int result = echo(arg, NULL);
    if (result == TH_EOF)
        result = th_stream_shutdown(arg);
    return result;
}

/* A relay lies between the client and the echo, over one carrier or the other. */
static int relay_to_echo(th_stream *stream, void *arg)
{
    th_stream *ends[2];
    th_scope behind;
    (void)arg;
    int result =
        th_sim_random(2) ? th_stream_memory(1 + th_sim_random(1000), ends) : th_stream_pair(ends);
    if (result < 0)
        return result;
    result = th_scope_open(&behind, NULL);
    if (result == 0) {
        result = th_spawn(&behind, echo_and_end, ends[1]);
        if (result == 0)
            result =
                th_stream_relay(stream, ends[0], &(th_relay_opts){ .idle = 10 * TH_SECOND }, NULL);
        (void)th_stream_close(ends[0]);
        int other = th_scope_close(&behind);
        result = result < 0 ? result : other;
    }
    th_stream_free(ends[0]);
    th_stream_free(ends[1]);
    return result;
}

static int pass_buffers(th_reader *reader, th_writer *writer)
{
    char buf[256];
    for (;;) {
        size_t size = 1 + (size_t)th_sim_random(sizeof buf);
        size_t got = size;
        ssize_t n = th_reader_read_all(reader, buf, size, &got);
        if (n == TH_EOF)
            return 0;
        if (n < 0 && n != TH_ETRUNCATED)
            return (int)n;
        n = th_writer_write(writer, buf, got);
        if (n < 0)
            return (int)n;
    }
}

/* The echo through a reader and a writer that are small. */
static int buffered_echo(th_stream *stream, void *arg)
{
    th_reader *reader = NULL;
    th_writer *writer = NULL;
    th_writer_opts opts = { .high = 1 + (size_t)th_sim_random(500) };
    th_scope scope;
    (void)arg;
    int result = th_scope_open(&scope, NULL);
    if (result < 0)
        return result;
    result = th_reader_new(stream, &(th_reader_opts){ .limit = 100 }, &reader);
    if (result == 0)
        result = th_writer_open(&scope, stream, &opts, &writer);
    if (result == 0)
        result = pass_buffers(reader, writer);
    int closed = th_writer_close(writer);
    th_reader_free(reader);
    (void)th_scope_close(&scope);
    return result < 0 ? result : closed;
}

/* Reads to the end, then tells how much it was. */
static int count(th_stream *stream, void *arg)
{
    char buf[256];
    ssize_t n;
    uint64_t total = 0;
    (void)arg;
    while ((n = th_stream_read(stream, buf, sizeof buf)) > 0)
        total += (uint64_t)n;
    if (n == TH_EOF)
        n = th_stream_write(stream, &total, sizeof total);
    return n < 0 ? (int)n : 0;
}

static int ignore(th_stream *stream, void *arg)
{
    (void)stream;
    (void)arg;
    return th_sleep(TH_NEVER);
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
    int result;
} writing;

static int write_pattern(void *arg)
{
    writing *w = arg;
    unsigned char block[300];
    for (size_t done = 0; done < w->size && w->result == 0;) {
        size_t part = 1 + (size_t)th_sim_random(sizeof block);
        part = part < w->size - done ? part : w->size - done;
        for (size_t i = 0; i < part; i++)
            block[i] = pattern(w->n, done + i);
        ssize_t n = th_stream_write(w->stream, block, part);
        if (n < 0)
            w->result = (int)n;
        done += part;
    }
    if (w->result == 0)
        w->result = th_stream_shutdown(w->stream);
    return w->result;
}

/* Reads what comes back up to the end; the number of bytes, all right ones, or an error. */
static ssize_t read_pattern(const writing *w)
{
    unsigned char block[300];
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

/* Everything that is sent comes back, while it is being sent. */
static int attempt_echo(stage *st, uint64_t n)
{
    writing w = { .n = n, .size = (size_t)th_sim_random(SIZE_MAX_) };
    int result = th_dial(st->dial_at, NULL, &w.stream);
    if (result < 0)
        return result;
    th_scope both;
    result = th_scope_open(&both, &(th_scope_opts){ .cancel_rest = 1 });
    if (result == 0)
        result = th_spawn(&both, write_pattern, &w);
    ssize_t got = result == 0 ? read_pattern(&w) : result;
    if (got < 0)
        th_scope_cancel(&both, (int)got);
    int written = th_scope_close(&both);
    th_stream_free(w.stream);
    if (got < 0)
        return (int)got;
    if (written < 0)
        return written;
    return (size_t)got == w.size ? 0 : TH_ETRUNCATED;
}

/* The peer answers when it has seen the end of what was sent. */
static int attempt_half_close(stage *st, uint64_t n)
{
    writing w = { .n = n, .size = (size_t)th_sim_random(SIZE_MAX_) };
    int result = th_dial(st->dial_at, NULL, &w.stream);
    if (result < 0)
        return result;
    uint64_t total;
    ssize_t got = write_pattern(&w);
    if (got == 0)
        got = th_stream_read_all(w.stream, &total, sizeof total);
    if (got > 0) {
        char byte;
        expect(total == w.size);
        got = th_stream_read(w.stream, &byte, 1);
        got = got == TH_EOF ? 0 : got;
    }
    th_stream_free(w.stream);
    return (int)got;
}

/* Nobody reads: the deadline ends the write, in time. */
static int attempt_unread(stage *st, uint64_t n)
{
    writing w = { .n = n, .size = 1000000 };
    int result = th_dial(st->dial_at, NULL, &w.stream);
    if (result < 0)
        return result;
    th_scope timed;
    int64_t deadline = th_after(TH_SECOND + (int64_t)th_sim_random(TH_SECOND));
    expect(th_scope_open(&timed, &(th_scope_opts){ .deadline = deadline }) == 0);
    result = write_pattern(&w);
    expect(result < 0);
    if (result == -ETIMEDOUT)
        expect(th_now() >= deadline && th_now() < deadline + 100 * TH_MILLISECOND);
    th_scope_close(&timed);
    th_stream_free(w.stream);
    return result == -ETIMEDOUT ? 0 : result;
}

static bool is_network_error(int error)
{
    static const int errors[] = { -ECONNRESET, -EPIPE,    -ECONNREFUSED, -ETIMEDOUT,
                                  -EMFILE,     -ENFILE,   -ENOBUFS,      -ENOMEM,
                                  -ECANCELED,  -ENOTCONN, TH_EOF,        TH_ETRUNCATED };
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (error == errors[i])
            return true;
    return false;
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
    int err = play_listen(&st->play, st->address, &st->listener, st->dial_at);
    if (err < 0)
        return err;
    err = play_out(&st->play, run_server, CLIENTS, run_client, st);
    if (st->serve != ignore) /* nobody holds one open: they end before the time of grace, 10 s */
        expect_value(st->play.stopping < 9 * TH_SECOND, st->play.stopping);
    th_listener_close(st->listener);
    return err;
}

/* Only what may happen to a server that accepts. */
static void hard_to_accept(th_sim_opts *opts)
{
    friendly(opts);
    opts->faults[TH_SIM_ABORTED].per_million = 200000;
    opts->faults[TH_SIM_ACCEPT_FULL].per_million = 300000;
    opts->faults[TH_SIM_AGAIN].per_million = 100000;
    opts->fault_until = FAULTS_END;
}

/* The time of day has no say in any of this. */
static void slow_with_jumps(th_sim_opts *opts)
{
    slow(opts);
    opts->faults[TH_SIM_WALL_JUMP].per_million = 100000;
}

START_TEST(echo_returns_every_byte)
{
    stage st = { .address = "127.0.0.1:0", .serve = echo, .attempt = attempt_echo };
    sim_seeds(play, &st, friendly);
}
END_TEST

START_TEST(echo_over_a_unix_socket_returns_every_byte)
{
    stage st = { .address = "unix:/thrum-sim-echo", .serve = echo, .attempt = attempt_echo };
    sim_seeds(play, &st, slow_with_jumps);
}
END_TEST

START_TEST(short_transfers_and_false_eagain_change_nothing)
{
    stage st = { .address = "[::1]:0", .serve = echo, .attempt = attempt_echo };
    sim_seeds(play, &st, slow_with_jumps);
}
END_TEST

START_TEST(half_closed_connection_carries_the_answer)
{
    stage st = { .address = "127.0.0.1:0", .serve = count, .attempt = attempt_half_close };
    sim_seeds(play, &st, slow_with_jumps);
}
END_TEST

START_TEST(a_relay_returns_every_byte)
{
    stage st = { .address = "127.0.0.1:0", .serve = relay_to_echo, .attempt = attempt_echo };
    sim_seeds(play, &st, slow_with_jumps);
}
END_TEST

START_TEST(buffers_return_every_byte)
{
    stage st = { .address = "127.0.0.1:0", .serve = buffered_echo, .attempt = attempt_echo };
    sim_seeds(play, &st, slow_with_jumps);
}
END_TEST

START_TEST(a_relay_recovers_from_every_fault)
{
    stage st = { .address = "127.0.0.1:0",
                 .serve = relay_to_echo,
                 .attempt = attempt_echo,
                 .play.faulty = true };
    sim_seeds(play, &st, hostile);
}
END_TEST

START_TEST(buffers_recover_from_every_fault)
{
    stage st = { .address = "127.0.0.1:0",
                 .serve = buffered_echo,
                 .attempt = attempt_echo,
                 .play.faulty = true };
    sim_seeds(play, &st, hostile);
}
END_TEST

START_TEST(echo_recovers_from_every_fault)
{
    stage st = {
        .address = "127.0.0.1:0", .serve = echo, .attempt = attempt_echo, .play.faulty = true
    };
    sim_seeds(play, &st, hostile);
}
END_TEST

START_TEST(half_close_recovers_from_every_fault)
{
    stage st = {
        .address = "127.0.0.1:0", .serve = count, .attempt = attempt_half_close, .play.faulty = true
    };
    sim_seeds(play, &st, hostile);
}
END_TEST

START_TEST(accept_recovers)
{
    stage st = {
        .address = "127.0.0.1:0", .serve = echo, .attempt = attempt_echo, .play.faulty = true
    };
    sim_seeds(play, &st, hard_to_accept);
}
END_TEST

START_TEST(peer_that_never_reads_is_left_at_the_deadline)
{
    stage st = { .address = "127.0.0.1:0", .serve = ignore, .attempt = attempt_unread };
    sim_seeds(play, &st, friendly);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = sim_case(suite, "friendly");
    tcase_add_test(tcase, echo_returns_every_byte);
    tcase_add_test(tcase, echo_over_a_unix_socket_returns_every_byte);
    tcase_add_test(tcase, short_transfers_and_false_eagain_change_nothing);
    tcase_add_test(tcase, half_closed_connection_carries_the_answer);
    tcase_add_test(tcase, a_relay_returns_every_byte);
    tcase_add_test(tcase, buffers_return_every_byte);
    tcase_add_test(tcase, peer_that_never_reads_is_left_at_the_deadline);

    tcase = sim_case(suite, "hostile");
    tcase_add_test(tcase, accept_recovers);
    tcase_add_test(tcase, echo_recovers_from_every_fault);
    tcase_add_test(tcase, half_close_recovers_from_every_fault);
    tcase_add_test(tcase, a_relay_recovers_from_every_fault);
    tcase_add_test(tcase, buffers_recover_from_every_fault);
}

int main(void)
{
    return thi_check_run("sim/streams", fill_suite);
}
