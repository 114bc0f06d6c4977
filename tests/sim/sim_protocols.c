/* SPDX-License-Identifier: MIT */

/*
 * Servers and clients that are protocols, in worlds from friendly to hostile.
 *
 * Both ends are callbacks: what is sent comes back while it is being sent, through small marks,
 * with readers that pause and fibers that let them go on. While there are faults a client tries
 * again until it succeeds. Every connection that was made is lost once, and no byte is ever wrong.
 * The same goes for TLS, which never fails by itself: whatever happens to bytes on their way
 * happens to the connection.
 */
#include "sim_play.h"

#include "tls/certs.h"

#include <thrum/addr.h>
#include <thrum/event.h>
#include <thrum/framing.h>
#include <thrum/protocol.h>
#include <thrum/runtime.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define PATIENCE  (60 * TH_SECOND)  /* buffers may be two bytes, and a way takes 2 ms */
#define TLS_MORE  (110 * TH_SECOND) /* buffers may be tiny, and a handshake has its 2 KB */
#define CLIENTS   6
#define SIZE_MAX_ 3000

/* One run's stage. */
typedef struct stage {
    const char *address;
    th_protocol_factory serve;
    th_protocol_factory call;
    sim_play play;
    bool tls;
    th_listener *listener;
    char dial_at[TH_ADDR_TEXT + 8];
    int open; /* connections made and not lost */
} stage;

static stage *now; /* the one that is played */

static th_tls *server_tls, *client_tls;

static unsigned char pattern(uint64_t n, size_t i)
{
    return (unsigned char)(n * 31 + i * 7 + i / 256);
}

static bool sometimes(unsigned n)
{
    return th_sim_random(n) == 0;
}

static void choose_marks(th_transport *t)
{
    if (sometimes(2))
        expect(th_transport_set_marks(t, (size_t)th_sim_random(400), SIZE_MAX) == 0);
}

/* ---- the server ------------------------------------------------------------------------------ */

/* Lets a transport that may be gone by then read again after a while. */
static int resume_later(void *arg)
{
    th_transport *t = arg;
    (void)th_sleep((int64_t)th_sim_random(10 * TH_MILLISECOND));
    expect(th_transport_resume_reading(t) == 0);
    th_transport_unref(t);
    return 0;
}

static int pause_for_a_while(th_transport *t)
{
    expect(th_transport_pause_reading(t) == 0);
    int err = th_spawn(th_transport_scope(t), resume_later, th_transport_ref(t));
    if (err < 0)
        th_transport_unref(t);
    return err;
}

static int count_made(th_transport *t, void *self)
{
    (void)self;
    now->open++;
    choose_marks(t);
    return 0;
}

static void count_lost(th_transport *t, void *self, int reason)
{
    (void)t;
    (void)self;
    (void)reason;
    now->open--;
}

/* Takes a part, if it is in the mood. */
static int echo_data(th_transport *t, void *self, th_str data)
{
    size_t part = sometimes(3) ? 1 + (size_t)th_sim_random(data.len) : data.len;
    (void)self;
    int result = th_transport_write(t, data.ptr, part);
    if (result == 1)
        expect(th_transport_pause_reading(t) == 0);
    if (result >= 0 && part < data.len)
        result = th_transport_unread(t, data.ptr + part, data.len - part);
    if (result >= 0 && sometimes(5))
        result = pause_for_a_while(t);
    return result < 0 ? result : 0;
}

static void echo_resume(th_transport *t, void *self)
{
    (void)self;
    expect(th_transport_resume_reading(t) == 0);
}

static int echo_eof(th_transport *t, void *self)
{
    (void)self;
    int err = th_transport_write_eof(t);
    return err < 0 ? err : 1;
}

static const th_protocol echo_protocol = { .connection_made = count_made,
                                           .data_received = echo_data,
                                           .eof_received = echo_eof,
                                           .resume_writing = echo_resume,
                                           .connection_lost = count_lost };

static int serve_echo(th_transport *t, void *arg)
{
    return th_transport_set_protocol(t, &echo_protocol, arg);
}

static int echo_frame(th_framing *f, void *self, th_str frame)
{
    (void)self;
    int err = th_framing_send(f, frame);
    if (err >= 0 && sometimes(4))
        err = pause_for_a_while(th_framing_transport(f));
    return err < 0 ? err : 0;
}

static int frames_made(th_framing *f, void *self)
{
    return count_made(th_framing_transport(f), self);
}

static void frames_lost(th_framing *f, void *self, int reason)
{
    (void)f;
    count_lost(NULL, self, reason);
}

static int serve_frames(th_transport *t, void *arg)
{
    static const th_frames frames = { .made = frames_made,
                                      .frame = echo_frame,
                                      .lost = frames_lost };
    th_framing_opts opts = { .kind = TH_FRAMING_NETSTRINGS };
    return th_framing_start(t, &opts, &frames, arg, NULL);
}

static int run_server(void *arg)
{
    stage *st = arg;
    th_protocol_serve_opts opts = { .max_connections = th_sim_random(2) ? 3 : 0,
                                    .tls = st->tls ? server_tls : NULL };
    for (;;) {
        bool excused = faults_are_on(&now->play);
        int result = th_protocol_serve_on(&st->listener, 1, st->serve, NULL, &opts);
        if (result == 0 || result == -ECANCELED)
            return 0;
        expect_value(excused, result);
        th_sleep(100 * TH_MILLISECOND);
    }
}

/* ---- the clients ----------------------------------------------------------------------------- */

typedef struct client {
    th_transport *t;
    th_framing *f;
    uint64_t n; /* of the pattern */
    size_t size;
    size_t sent;
    size_t got;
    bool made;
    int result;
    th_event over;
} client;

/* Sends until it is held back. */
static int send_some(client *c)
{
    unsigned char block[300];
    int result = 0;
    while (c->sent < c->size && result == 0) {
        size_t part = 1 + (size_t)th_sim_random(sizeof block);
        part = part < c->size - c->sent ? part : c->size - c->sent;
        for (size_t i = 0; i < part; i++)
            block[i] = pattern(c->n, c->sent + i);
        th_str bytes = th_str_make((char *)block, part);
        result =
            c->f ? th_framing_send(c->f, bytes) : th_transport_write(c->t, bytes.ptr, bytes.len);
        c->sent += part;
    }
    if (c->sent == c->size && result >= 0 && !c->f)
        result = th_transport_write_eof(c->t);
    return result < 0 ? result : 0;
}

static int client_made(th_transport *t, void *self)
{
    client *c = self;
    c->made = true;
    (void)count_made(t, NULL);
    int err = send_some(c);
    if (err == 0 && c->f && c->size == 0)
        err = th_transport_close(t);
    return err;
}

static int client_data(th_transport *t, void *self, th_str data)
{
    client *c = self;
    for (size_t i = 0; i < data.len; i++)
        expect((unsigned char)data.ptr[i] == pattern(c->n, c->got + i));
    c->got += data.len;
    expect(c->got <= c->size);
    return sometimes(6) ? pause_for_a_while(t) : 0;
}

static void client_resume(th_transport *t, void *self)
{
    int err = send_some(self);
    if (err < 0)
        (void)th_transport_abort(t, err);
}

/* Of all that TLS may find wrong only one thing may be: a peer without memory says so. Who has none
 * itself has no words for it. */
static void judge_tls(int error)
{
    const char *words = th_err_detail();
    expect(error != TH_ETLS || !strstr(words, ": ") || strstr(words, "alert 'internal error'"));
}

static void client_lost(th_transport *t, void *self, int reason)
{
    client *c = self;
    expect(c->made);
    judge_tls(reason);
    count_lost(t, NULL, reason);
    c->result = reason < 0 ? reason : c->got == c->size ? 0 : TH_ETRUNCATED;
    th_event_set(&c->over);
}

static int call_echo(th_transport *t, void *arg)
{
    static const th_protocol protocol = { .connection_made = client_made,
                                          .data_received = client_data,
                                          .resume_writing = client_resume,
                                          .connection_lost = client_lost };
    client *c = arg;
    c->t = t;
    return th_transport_set_protocol(t, &protocol, c);
}

static int framed_made(th_framing *f, void *self)
{
    return client_made(th_framing_transport(f), self);
}

static int framed_frame(th_framing *f, void *self, th_str frame)
{
    client *c = self;
    int err = client_data(th_framing_transport(f), c, frame);
    return err == 0 && c->got == c->size ? th_transport_close(c->t) : err;
}

static void framed_resume(th_framing *f, void *self)
{
    client_resume(th_framing_transport(f), self);
}

static void framed_lost(th_framing *f, void *self, int reason)
{
    client_lost(th_framing_transport(f), self, reason);
}

static int call_framed(th_transport *t, void *arg)
{
    static const th_frames frames = { .made = framed_made,
                                      .frame = framed_frame,
                                      .resume_writing = framed_resume,
                                      .lost = framed_lost };
    client *c = arg;
    c->t = t;
    th_framing_opts opts = { .kind = TH_FRAMING_NETSTRINGS };
    return th_framing_start(t, &opts, &frames, c, &c->f);
}

static void client_failed(void *arg, int error)
{
    client *c = arg;
    judge_tls(error);
    c->result = error;
    th_event_set(&c->over);
}

/* One connection in a scope of its own, whose deadline ends it. */
static int attempt(stage *st)
{
    client c = { .n = th_sim_random(1000), .size = (size_t)th_sim_random(SIZE_MAX_) };
    th_dial_opts dial = { .tls = client_tls, .tls_name = "server.test" };
    th_protocol_opts opts = { .failed = client_failed, .dial = st->tls ? &dial : NULL };
    int64_t patience = st->tls ? PATIENCE + TLS_MORE : PATIENCE;
    th_scope scope;
    int result = th_scope_open(&scope, &(th_scope_opts){ .deadline = th_after(patience) });
    if (result < 0)
        return result;
    result = th_protocol_connect(st->dial_at, st->call, &c, &opts);
    (void)th_scope_close(&scope);
    if (result == 0) {
        expect(th_event_is_set(&c.over));
        result = c.result;
    }
    return result;
}

static bool is_network_error(int error)
{
    static const int errors[] = { -ECONNRESET, -EPIPE,    -ECONNREFUSED, -ETIMEDOUT,
                                  -EMFILE,     -ENFILE,   -ENOBUFS,      -ENOMEM,
                                  -ECANCELED,  -ENOTCONN, TH_ETRUNCATED, -ECONNABORTED,
                                  TH_EOF,      TH_ETLS };
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
        bool excused = faults_are_on(&now->play);
        int result = attempt(st);
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

/* ---- the play -------------------------------------------------------------------------------- */

/* Does something that may fail while there are faults. */
static void say_where(stage *st)
{
    char place[TH_ADDR_TEXT];
    th_addr addr;
    th_listener_addr(st->listener, &addr);
    (void)snprintf(st->dial_at, sizeof st->dial_at, "%s%s", st->tls ? "tls+" : "",
                   th_addr_format(&addr, place, sizeof place));
}

static int play(void *arg)
{
    stage *st = arg;
    now = st;
    st->open = 0;
    play_begin(&st->play);
    until_it_works(&st->play, th_listen(st->address, NULL, &st->listener));
    say_where(st);
    int err = play_out(&st->play, run_server, CLIENTS, run_client, st);
    expect_value(st->open == 0, st->open);
    th_listener_close(st->listener);
    return err;
}

/* ---- cancelled at each wait ------------------------------------------------------------------ */

/* One connection and its server, either of which may be cancelled anywhere. */
static int talk_once(void *arg)
{
    stage *st = arg;
    th_scope serving;
    now = st;
    st->open = 0;
    st->play.calm = INT64_MAX;
    int err = th_listen(st->address, NULL, &st->listener);
    if (err < 0)
        return err;
    say_where(st);
    err = th_scope_open(&serving, NULL);
    expect(err == 0);
    err = th_spawn(&serving, run_server, st);
    if (err == 0)
        err = attempt(st);
    th_scope_cancel(&serving, 0);
    th_scope_close(&serving);
    th_listener_close(st->listener);
    expect_value(st->open == 0, st->open);
    return err;
}

static void cancel_at_each_wait(stage *st)
{
    uint64_t seeds = 1 + sim_count() / 50;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        th_sim_opts opts = { .seed = seed, .workers = 1 + (unsigned)(seed % 3) };
        uint64_t waits = sim_once(talk_once, st, &opts).waits;
        ck_assert_uint_ge(waits, 5);
        for (opts.cancel_at = 1; opts.cancel_at <= waits; opts.cancel_at++) {
            th_sim_result seen;
            sim_failure[0] = '\0';
            int err = th_sim_run(talk_once, st, &opts, &seen);
            ck_assert_msg(seen.verdict == 0 && !sim_failure[0] && seen.open_descriptors == 0 &&
                              seen.live_allocations == 0,
                          "seed %d, wait %d: %s %s %s, %zu descriptors, %d allocations", (int)seed,
                          (int)opts.cancel_at, th_errname(err), th_err_detail(), sim_failure,
                          seen.open_descriptors, (int)seen.live_allocations);
            ck_assert(err == 0 || is_network_error(err));
        }
    }
}

START_TEST(cancelled_at_each_wait_nothing_is_left)
{
    stage st = {
        .address = "127.0.0.1:0", .serve = serve_echo, .call = call_echo, .play.faulty = true
    };
    cancel_at_each_wait(&st);
}
END_TEST

START_TEST(echo_returns_every_byte)
{
    stage st = { .address = "127.0.0.1:0", .serve = serve_echo, .call = call_echo };
    sim_seeds(play, &st, friendly);
}
END_TEST

START_TEST(echo_over_a_unix_socket_returns_every_byte)
{
    stage st = { .address = "unix:/thrum-sim-echo", .serve = serve_echo, .call = call_echo };
    sim_seeds(play, &st, slow);
}
END_TEST

START_TEST(short_transfers_and_false_eagain_change_nothing)
{
    stage st = { .address = "[::1]:0", .serve = serve_echo, .call = call_echo };
    sim_seeds(play, &st, slow);
}
END_TEST

START_TEST(frames_come_back_whole)
{
    stage st = { .address = "127.0.0.1:0", .serve = serve_frames, .call = call_framed };
    sim_seeds(play, &st, slow);
}
END_TEST

START_TEST(echo_recovers_from_every_fault)
{
    stage st = {
        .address = "127.0.0.1:0", .serve = serve_echo, .call = call_echo, .play.faulty = true
    };
    sim_seeds(play, &st, hostile);
}
END_TEST

START_TEST(frames_recover_from_every_fault)
{
    stage st = {
        .address = "127.0.0.1:0", .serve = serve_frames, .call = call_framed, .play.faulty = true
    };
    sim_seeds(play, &st, hostile);
}
END_TEST

/* ---- over TLS -------------------------------------------------------------------------------- */

/* With keys whose signatures all have one size, so that runs can be repeated. */
static void open_contexts(void)
{
    int64_t time = PATIENCE + TLS_MORE;
    test_cert_make(&test_ca, "Test Root", NULL, NULL, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    test_cert_make(&test_server, "server.test", "DNS:server.test", &test_ca,
                   EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
    server_tls = test_tls(&test_server,
                          (th_tls_opts){ .tickets = TH_TLS_NO_TICKETS, .handshake_time = time });
    client_tls = test_tls(NULL, (th_tls_opts){ .no_sessions = 1, .handshake_time = time });
}

static void close_contexts(void)
{
    th_tls_unref(server_tls);
    th_tls_unref(client_tls);
    test_cert_free(&test_ca);
    test_cert_free(&test_server);
}

START_TEST(tls_returns_every_byte)
{
    stage st = {
        .address = "tls://127.0.0.1:0", .serve = serve_echo, .call = call_echo, .tls = true
    };
    sim_seeds(play, &st, slow);
}
END_TEST

START_TEST(tls_recovers_from_every_fault)
{
    stage st = { .address = "tls://127.0.0.1:0",
                 .serve = serve_frames,
                 .call = call_framed,
                 .tls = true,
                 .play.faulty = true };
    sim_seeds(play, &st, hostile);
}
END_TEST

START_TEST(tls_cancelled_at_each_wait_leaves_nothing)
{
    stage st = { .address = "tls://127.0.0.1:0",
                 .serve = serve_echo,
                 .call = call_echo,
                 .tls = true,
                 .play.faulty = true };
    cancel_at_each_wait(&st);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = sim_case(suite, "friendly");
    tcase_add_test(tcase, echo_returns_every_byte);
    tcase_add_test(tcase, echo_over_a_unix_socket_returns_every_byte);
    tcase_add_test(tcase, short_transfers_and_false_eagain_change_nothing);
    tcase_add_test(tcase, frames_come_back_whole);
    tcase = sim_case(suite, "hostile");
    tcase_add_test(tcase, cancelled_at_each_wait_nothing_is_left);
    tcase_add_test(tcase, echo_recovers_from_every_fault);
    tcase_add_test(tcase, frames_recover_from_every_fault);
    tcase = sim_case(suite, "tls");
    tcase_add_checked_fixture(tcase, open_contexts, close_contexts);
    tcase_add_test(tcase, tls_returns_every_byte);
    tcase_add_test(tcase, tls_recovers_from_every_fault);
    tcase_add_test(tcase, tls_cancelled_at_each_wait_leaves_nothing);
}

int main(void)
{
    return thi_check_run("sim/protocols", fill_suite);
}
