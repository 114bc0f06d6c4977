/* SPDX-License-Identifier: MIT */

/* Early data, as streams have it: taken by who asks for it, told apart, sent again if need be. */
#include "runtime/in_fiber.h"
#include "tls/certs.h"

#include "base/alloc.h"
#include "base/metrics.h"

#include <thrum/stream.h>
#include <thrum/tls.h>
#include <thrum/tls_engine.h>
#include <thrum/tls_session.h>
#include <thrum/tls_stream.h>

/* One connection. The server reads a line, answers it, and so on; the client has a first line. */
typedef struct meeting {
    th_tls *server;
    th_tls *client;
    bool takes; /* the server takes early data */
    const char *first;
    int server_result;
    char got[2][64]; /* lines of the client */
    int early[2];    /* had it come early? */
    int done[2];     /* was the handshake complete then? */
    char answer[64];
    th_tls_info server_info;
    th_tls_info client_info;
    th_stream *below;
} meeting;

static ssize_t read_line(th_stream *stream, char *line, size_t size)
{
    size_t n = 0;
    while (n < size - 1) {
        ssize_t got = th_stream_read(stream, line + n, 1);
        if (got < 1)
            return got;
        n++;
        if (line[n - 1] == '\n')
            break;
    }
    line[n] = '\0';
    return (ssize_t)n;
}

static int serve(void *arg)
{
    meeting *m = arg;
    th_stream *stream;
    th_tls_stream_opts opts = { .early = m->takes };
    m->server_result = th_tls_server(m->server, m->below, &opts, &stream);
    if (m->server_result < 0) {
        th_stream_free(m->below);
        return 0;
    }
    for (int i = 0; i < 2; i++) {
        ssize_t n = read_line(stream, m->got[i], sizeof m->got[i]);
        if (n < 0) {
            m->server_result = (int)n;
            break;
        }
        ck_assert_int_eq(th_tls_info_get(stream, &m->server_info), 0);
        m->early[i] = th_tls_was_early(stream);
        m->done[i] = m->server_info.done;
        n = th_stream_write(stream, m->got[i], (size_t)n);
        ck_assert_msg(n >= 0, "%s", th_err_detail());
    }
    ck_assert_int_eq(th_stream_shutdown(stream), 0);
    ck_assert_int_eq(th_tls_info_get(stream, &m->server_info), 0);
    th_stream_free(stream);
    return 0;
}

static void meet(meeting *m)
{
    th_scope scope;
    th_stream *ends[2];
    th_stream *stream;
    th_tls_stream_opts opts = { .name = "server.test", .first = th_str_of(m->first) };
    memset(m->got, 0, sizeof m->got);
    m->early[0] = m->early[1] = -1;
    ck_assert_int_eq(th_stream_memory(0, ends), 0);
    m->below = ends[0];
    open_scope(&scope);
    spawn(&scope, serve, m);
    int err = th_tls_client(m->client, ends[1], &opts, &stream);
    ck_assert_msg(err == 0, "%s", th_err_detail());
    ck_assert_int_ge(th_stream_write(stream, "second\n", 7), 0);
    if (m->first[0])
        ck_assert_int_gt(read_line(stream, m->answer, sizeof m->answer), 0);
    else
        ck_assert_int_ge(th_stream_write(stream, "third\n", 6), 0);
    ck_assert_int_gt(read_line(stream, m->answer, sizeof m->answer), 0);
    ck_assert_int_eq(th_tls_info_get(stream, &m->client_info), 0);
    char byte;
    while (th_stream_read(stream, &byte, 1) > 0)
        ;
    th_stream_free(stream);
    close_scope(&scope);
    ck_assert_msg(m->server_result == 0, "%s", th_errname(m->server_result));
    ck_assert_int_eq(m->server_info.done, 1);
}

static meeting begin(uint32_t server_max, uint32_t client_max)
{
    make_certs();
    return (meeting){
        .server = test_tls(&test_server, (th_tls_opts){ .early_data_max = server_max }),
        .client = test_tls(NULL, (th_tls_opts){ .early_data_max = client_max }),
        .takes = true,
        .first = "first\n",
    };
}

static void end(meeting *m)
{
    th_tls_unref(m->server);
    th_tls_unref(m->client);
    free_certs();
}

FIBER_TEST(the_first_line_of_a_resumed_connection_comes_early_and_is_told_apart)
{
    meeting m = begin(1000, 1);
    int64_t taken = thi_metric_read(THI_M_TLS_EARLY_TAKEN);
    meet(&m); /* nothing to resume yet: behind the handshake */
    ck_assert_str_eq(m.got[0], "first\n");
    ck_assert_int_eq(m.early[0], 0);
    ck_assert_int_eq(m.done[0], 1);
    ck_assert_int_eq(m.client_info.early, 0);
    for (int i = 0; i < 5; i++) {
        meet(&m);
        ck_assert_str_eq(m.got[0], "first\n");
        ck_assert_str_eq(m.got[1], "second\n");
        ck_assert_int_eq(m.early[0], 1);
        ck_assert_int_eq(m.early[1], 0);
        ck_assert_int_eq(m.done[0], 0);
        ck_assert_int_eq(m.client_info.early, 1);
        ck_assert_int_eq(m.server_info.early, 1);
    }
    ck_assert_int_eq(thi_metric_read(THI_M_TLS_EARLY_TAKEN) - taken, 5);
    end(&m);
}

FIBER_TEST(who_does_not_ask_gets_none_and_the_client_sends_it_again)
{
    meeting m = begin(1000, 1);
    meet(&m);
    m.takes = false;
    meet(&m);
    ck_assert_str_eq(m.got[0], "first\n");
    ck_assert_str_eq(m.got[1], "second\n");
    ck_assert_int_eq(m.early[0], 0);
    ck_assert_int_eq(m.done[0], 1);
    ck_assert_int_eq(m.client_info.resumed, 1);
    ck_assert_int_eq(m.client_info.early, -1);
    end(&m);
}

FIBER_TEST(it_is_off_unless_both_contexts_allow_it)
{
    static const uint32_t max[][2] = { { 0, 0 }, { 0, 1 }, { 1000, 0 } };
    for (size_t i = 0; i < thi_array_len(max); i++) {
        meeting m = begin(max[i][0], max[i][1]);
        meet(&m);
        meet(&m);
        ck_assert_str_eq(m.got[0], "first\n");
        ck_assert_int_eq(m.early[0], 0);
        ck_assert_int_eq(m.client_info.resumed, 1);
        ck_assert_int_eq(m.client_info.early, 0);
        end(&m);
    }
}

FIBER_TEST(more_than_the_limit_goes_in_two_parts)
{
    meeting m = begin(3, 1);
    meet(&m);
    meet(&m);
    ck_assert_str_eq(m.got[0], "first\n");
    ck_assert_int_eq(m.early[0], 0); /* its last byte */
    ck_assert_int_eq(m.client_info.early, 1);
    ck_assert_str_eq(m.got[1], "second\n");
    end(&m);
}

FIBER_TEST(without_a_first_line_nothing_is_early)
{
    meeting m = begin(1000, 1);
    meet(&m);
    m.first = "";
    meet(&m);
    ck_assert_str_eq(m.got[0], "second\n");
    ck_assert_int_eq(m.early[0], 0);
    ck_assert_int_eq(m.client_info.resumed, 1);
    end(&m);
}

FIBER_TEST(misuse_is_refused)
{
    th_stream *ends[2];
    th_stream *stream;
    meeting m = begin(1000, 1);
    ck_assert_int_eq(th_stream_memory(0, ends), 0);
    th_tls_stream_opts opts = { .name = "server.test", .first = { NULL, 1 } };
    ck_assert_int_eq(th_tls_client(m.client, ends[0], &opts, &stream), -EINVAL);
    static char large[64 * 1024 + 1];
    opts.first = th_str_make(large, sizeof large);
    ck_assert_int_eq(th_tls_client(m.client, ends[0], &opts, &stream), -EINVAL);
    ck_assert_int_eq(th_tls_was_early(NULL), -EINVAL);
    ck_assert_int_eq(th_tls_was_early(ends[0]), -EINVAL);
    th_stream_free(ends[0]);
    th_stream_free(ends[1]);
    end(&m);
}

/* ---- by hand ---- */

static th_tls_engine *engine_of(th_tls *tls, int role, th_tls_stream_opts opts)
{
    th_tls_engine *engine = NULL;
    th_tls_engine_opts how = { .connection = opts };
    ck_assert_int_eq(th_tls_engine_new(tls, role, &how, &engine), 0);
    return engine;
}

static size_t carry(th_tls_engine *from, th_tls_engine *to, char *copy)
{
    static char buf[65536];
    size_t size = 0;
    ssize_t n;
    while ((n = th_tls_engine_take(from, buf + size, sizeof buf - size)) > 0)
        size += (size_t)n;
    if (size > 0)
        ck_assert_int_eq(th_tls_engine_feed(to, buf, size), (ssize_t)size);
    if (copy)
        memcpy(copy, buf, size);
    return size;
}

/* What was recorded is sent again, to an engine of the same context: it does not come early. */
FIBER_TEST(recorded_early_data_is_not_taken_again)
{
    static char recorded[65536];
    char buf[64];
    meeting m = begin(1000, 1);
    meet(&m);
    th_tls_stream_opts opts = { .name = "server.test", .first = th_str_of("pay\n") };
    th_tls_engine *client = engine_of(m.client, TH_TLS_CLIENT, opts);
    th_tls_engine *server = engine_of(m.server, TH_TLS_SERVER, (th_tls_stream_opts){ .early = 1 });
    ck_assert_int_eq(th_tls_engine_handshake(client), -EAGAIN);
    size_t size = carry(client, server, recorded);
    ck_assert_int_eq(th_tls_engine_read(server, buf, sizeof buf), 4);
    ck_assert_int_eq(memcmp(buf, "pay\n", 4), 0);
    for (int i = 0; i < 3; i++) {
        th_tls_engine *victim =
            engine_of(m.server, TH_TLS_SERVER, (th_tls_stream_opts){ .early = 1 });
        ck_assert_int_eq(th_tls_engine_feed(victim, recorded, size), (ssize_t)size);
        ck_assert_int_eq(th_tls_engine_handshake(victim), -EAGAIN);
        ck_assert_int_eq(th_tls_engine_read(victim, buf, sizeof buf), -EAGAIN);
        th_tls_engine_free(victim);
    }
    th_tls_engine_free(client);
    th_tls_engine_free(server);
    end(&m);
}

/* The client leaves when it has sent its early data: an answer can be written, the end is no end.
 */
FIBER_TEST(a_client_that_leaves_early_is_cut_off)
{
    char buf[64];
    meeting m = begin(1000, 1);
    meet(&m);
    th_tls_stream_opts opts = { .name = "server.test", .first = th_str_of("hello\n") };
    th_tls_engine *client = engine_of(m.client, TH_TLS_CLIENT, opts);
    th_tls_engine *server = engine_of(m.server, TH_TLS_SERVER, (th_tls_stream_opts){ .early = 1 });
    ck_assert_int_eq(th_tls_engine_handshake(client), -EAGAIN);
    (void)carry(client, server, NULL);
    ck_assert_int_eq(th_tls_engine_handshake(server), 0);
    ck_assert_int_eq(th_tls_engine_peek(server, buf, 3), 3);
    ck_assert_int_eq(th_tls_engine_read(server, buf, 3), 3);
    ck_assert_int_eq(th_tls_engine_read(server, buf + 3, sizeof buf - 3), 3);
    ck_assert_int_eq(memcmp(buf, "hello\n", 6), 0);
    ck_assert_int_eq(th_tls_engine_write(server, "answer\n", 7), 7);
    ck_assert_int_eq(th_tls_engine_feed_end(server), 0);
    ck_assert_int_eq(th_tls_engine_read(server, buf, sizeof buf), TH_ETRUNCATED);
    th_tls_engine_free(client);
    th_tls_engine_free(server);
    end(&m);
}

/* Every allocation of ours fails once in a connection with early data. */
FIBER_TEST(without_memory_it_fails_or_gets_through)
{
    meeting m = begin(1000, 1);
    char buf[64];
    meet(&m);
    th_tls_stream_opts opts = { .name = "server.test", .first = th_str_of("hello\n") };
    for (int64_t n = 1;; n++) {
        th_tls_engine *client = NULL;
        th_tls_engine *server = NULL;
        th_tls_engine_opts client_how = { .connection = opts };
        th_tls_engine_opts server_how = { .connection.early = 1 };
        meet(&m); /* for a session */
        thi_alloc_fail_at(n);
        int err = th_tls_engine_new(m.client, TH_TLS_CLIENT, &client_how, &client);
        if (err == 0)
            err = th_tls_engine_new(m.server, TH_TLS_SERVER, &server_how, &server);
        if (err == 0) {
            err = th_tls_engine_handshake(client);
            err = err == -EAGAIN ? 0 : err;
        }
        static char wire[65536];
        ssize_t size = err == 0 ? th_tls_engine_take(client, wire, sizeof wire) : err;
        ssize_t got = size > 0 ? th_tls_engine_feed(server, wire, (size_t)size) : size;
        if (got > 0)
            got = th_tls_engine_read(server, buf, sizeof buf);
        bool through = thi_alloc_fail_at(0) > 0;
        ck_assert_msg(got == 6 || got == -ENOMEM ||
                          (!through && (got == -EAGAIN || got == TH_ETLS)),
                      "%s", th_errname((int)got));
        th_tls_engine_free(client);
        th_tls_engine_free(server);
        if (through) {
            ck_assert_int_eq(got, 6);
            break;
        }
    }
    end(&m);
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "streams");
    tcase_add_test(tcase, the_first_line_of_a_resumed_connection_comes_early_and_is_told_apart);
    tcase_add_test(tcase, who_does_not_ask_gets_none_and_the_client_sends_it_again);
    tcase_add_test(tcase, it_is_off_unless_both_contexts_allow_it);
    tcase_add_test(tcase, more_than_the_limit_goes_in_two_parts);
    tcase_add_test(tcase, without_a_first_line_nothing_is_early);
    tcase_add_test(tcase, misuse_is_refused);
    tcase = thi_check_case(suite, "by hand");
    tcase_add_test(tcase, recorded_early_data_is_not_taken_again);
    tcase_add_test(tcase, a_client_that_leaves_early_is_cut_off);
    tcase_add_test(tcase, without_memory_it_fails_or_gets_through);
}

int main(void)
{
    return thi_check_run("tls/early_stream", fill);
}
