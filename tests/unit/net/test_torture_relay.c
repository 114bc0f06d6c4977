/* SPDX-License-Identifier: MIT */

/* Relaying, and passing descriptors, while each system call and each allocation fails in turn. */
#include "torture.h"

#include <thrum/reader.h>
#include <thrum/relay.h>
#include <thrum/socket.h>
#include <thrum/stream.h>
#include <thrum/unix.h>
#include <thrum/writer.h>

#include <netinet/in.h>
#include <sys/socket.h>

#define MUCH ((size_t)600 * 1024)

static char sent[MUCH];
static char got[MUCH];

/* The streams of a scenario, and what became of those who use them. */
typedef struct parties {
    th_stream *client; /* writes, and reads the end */
    th_stream *left;   /* between these two is the relay */
    th_stream *right;
    th_stream *server; /* reads all */
    size_t received;
    int relayed;
    int written;
} parties;

static int run_relay(void *arg)
{
    parties *p = arg;
    p->relayed = th_stream_relay(p->left, p->right, NULL, NULL);
    th_stream_close(p->left);
    th_stream_close(p->right);
    return 0;
}

static int run_client(void *arg)
{
    parties *p = arg;
    ssize_t n = th_stream_write(p->client, sent, MUCH);
    p->written = n < 0 ? (int)n : 0;
    if (n >= 0)
        (void)th_stream_shutdown(p->client);
    else
        (void)th_stream_close(p->client);
    return 0;
}

static int run_server(void *arg)
{
    parties *p = arg;
    ssize_t n;
    while ((n = th_stream_read(p->server, got + p->received, MUCH - p->received)) > 0)
        p->received += (size_t)n;
    (void)th_stream_close(p->server);
    return 0;
}

static void free_parties(parties *p)
{
    th_stream_free(p->client);
    th_stream_free(p->left);
    th_stream_free(p->right);
    th_stream_free(p->server);
}

/* Two ends of a TCP connection, made beside the calls that fail. */
static int connect_ends(th_stream *ends[2])
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof in;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int fds[2] = { socket(AF_INET, SOCK_STREAM, 0), -1 };
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&in, len), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&in, &len), 0);
    ck_assert_int_eq(connect(fds[0], (struct sockaddr *)&in, len), 0);
    fds[1] = accept(listener, NULL, NULL);
    close(listener);
    ends[0] = ends[1] = NULL;
    int err = th_stream_from_socket(fds[0], &ends[0]);
    if (err == 0)
        err = th_stream_from_socket(fds[1], &ends[1]);
    if (err < 0) {
        close(fds[1]);
        if (!ends[0])
            close(fds[0]);
        th_stream_free(ends[0]);
    }
    return err;
}

static int make_parties(parties *p)
{
    th_stream *ends[2];
    int err = connect_ends(ends);
    if (err < 0)
        return err;
    p->client = ends[0];
    p->left = ends[1];
    err = connect_ends(ends);
    if (err < 0)
        return err;
    p->right = ends[0];
    p->server = ends[1];
    return 0;
}

/* What arrives is the beginning of what was sent, and all of it if nothing failed. */
static int relay_body(void *arg)
{
    parties p = { .relayed = 0 };
    const bool *hurt = arg;
    th_scope scope;
    memset(got, 0, sizeof got);
    int err = make_parties(&p);
    if (err == 0)
        err = th_scope_open(&scope, NULL);
    if (err == 0) {
        if (th_spawn(&scope, run_relay, &p) < 0)
            th_stream_close(p.left), th_stream_close(p.right);
        if (th_spawn(&scope, run_server, &p) < 0)
            th_stream_close(p.server);
        if (th_spawn(&scope, run_client, &p) < 0)
            th_stream_close(p.client);
        (void)th_scope_close(&scope);
        ck_assert(memcmp(sent, got, p.received) == 0);
        if (!*hurt)
            ck_assert_uint_eq(p.received, MUCH);
        err = p.relayed < 0 ? p.relayed : p.written;
    }
    free_parties(&p);
    return err;
}

static int relay_scenario(void *arg)
{
    run *r = arg;
    bool hurt = r->n > 0;
    int err = torment_body(r, relay_body, &hurt);
    if (!r->hit)
        return err;
    return is_as_peer_ordered(r, err) || err == -ECANCELED ? 0 : err;
}

START_TEST(a_relay_ends_as_its_system_calls_do)
{
    memset(sent, 'x', sizeof sent);
    for (size_t i = 0; i < MUCH; i += 7)
        sent[i] = (char)i;
    torture(1, _i, relay_scenario);
}
END_TEST

/* ---- descriptors ----------------------------------------------------------------------------- */

static int pass_body(void *arg)
{
    th_stream *ends[2];
    char buf[8];
    int passed[2];
    th_fds fds = { .fds = passed, .room = 2 };
    th_cred cred;
    (void)arg;
    int err = th_stream_pair(ends);
    if (err < 0)
        return err;
    ssize_t n = th_stream_send_fds(ends[0], "abc", 3, (int[]){ 0, 1 }, 2);
    if (n >= 0)
        n = th_stream_recv_fds(ends[1], buf, sizeof buf, &fds);
    if (n >= 0) {
        close(passed[0]);
        close(passed[1]);
        n = th_stream_peer_cred(ends[0], &cred);
    }
    if (n >= 0)
        n = th_stream_write(ends[0], "def", 3);
    if (n >= 0)
        n = th_stream_peek(ends[1], buf, sizeof buf);
    if (n >= 0)
        n = th_stream_read(ends[1], buf, sizeof buf);
    if (n >= 0)
        n = th_stream_shutdown(ends[0]);
    if (n >= 0)
        n = th_stream_finish(ends[1], 10);
    th_stream_free(ends[0]);
    th_stream_free(ends[1]);
    return n < 0 ? (int)n : 0;
}

static int pass_scenario(void *arg)
{
    run *r = arg;
    int err = torment_body(r, pass_body, NULL);
    return is_as_ordered(r, err) ? 0 : err;
}

START_TEST(passing_descriptors_fails_as_its_system_calls_do)
{
    torture_spares_again = true;
    torture(1, _i, pass_scenario);
}
END_TEST

/* ---- memory ---------------------------------------------------------------------------------- */

static int records_body(void)
{
    th_stream *ends[2];
    th_reader *reader = NULL;
    th_writer *writer = NULL;
    th_scope scope;
    th_str line;
    int err = th_stream_memory(0, ends);
    if (err < 0)
        return err;
    err = th_scope_open(&scope, NULL);
    if (err == 0)
        err = th_reader_new(ends[0], NULL, &reader);
    if (err == 0)
        err = th_writer_open(&scope, ends[1], NULL, &writer);
    if (err == 0)
        err = (int)th_writer_write(writer, "line\n", 5);
    int closed = th_writer_close(writer);
    err = err < 0 ? err : closed;
    if (err == 0)
        err = th_reader_line(reader, &line);
    if (err == 0)
        ck_assert(th_str_eq(line, th_str_of("line\n")));
    th_reader_free(reader);
    (void)th_scope_close(&scope);
    th_stream_free(ends[0]);
    th_stream_free(ends[1]);
    return err;
}

/* Fails the n-th allocation of each until one gets through. */
static int without_memory(void *arg)
{
    bool whole = true;
    (void)arg;
    ck_assert_int_eq(records_body(), 0);
    ck_assert_int_eq(relay_body(&(bool){ false }), 0);
    int64_t live = thi_alloc_live();
    for (int kind = 0; kind < 2; kind++) {
        for (int n = 1; whole; n++) {
            bool hurt = true;
            thi_alloc_fail_at(n);
            int err = kind == 0 ? records_body() : relay_body(&hurt);
            whole = thi_alloc_fail_at(0) == 0;
            ck_assert_msg(err == 0 || err == -ENOMEM || (kind == 1 && whole), "%s",
                          th_errname(err));
            ck_assert_int_eq(thi_alloc_live(), live);
            ck_assert_int_lt(n, 1000);
        }
        whole = true;
    }
    return 0;
}

START_TEST(without_memory_nothing_leaks_or_hangs)
{
    memset(sent, 'x', sizeof sent);
    run_in_fiber(1, _i, without_memory, NULL);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "relay");
    tcase_set_timeout(tcase, 120);
    add_on_engines(tcase, a_relay_ends_as_its_system_calls_do);
    add_on_engines(tcase, passing_descriptors_fails_as_its_system_calls_do);
    add_on_engines(tcase, without_memory_nothing_leaks_or_hangs);
}

int main(void)
{
    return thi_check_run("net/torture_relay", fill);
}
