/* SPDX-License-Identifier: MIT */

/*
 * The load client of TLS: full and resumed handshakes, and requests over HTTPS.
 *
 * One thread, one epoll. In the closed loop each handshake or answer is followed at once by the
 * next. In the open loop (`--rate`, requests only) request i is due at start + i / rate, whatever
 * happened to the ones before, and its latency counts from then; what was due and not answered is
 * part of the distribution with the time it has waited, as in load/engine.c. The report has the
 * same form as that of `load`.
 */
#include "client.h"
#include "load/account.h"
#include "load/http.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS = 256, ERRORS_MAX = 1000 };

struct loop {
    struct tls_run run;
    struct tls_conn *conns;
    unsigned *idle; /* ring of connections without a request, first in, first out */
    unsigned idle_at;
    unsigned idle_count;
    uint64_t sent; /* open loop: requests sent, which is the number of the next one */
    uint64_t errors;
    int64_t start; /* open loop: when request 0 was due */
    int64_t begin; /* measured is [begin, end) */
    int64_t end;
    int64_t now;
    bool spin;
};

const char *const load_error_names[LOAD_ERRORS] = {
    [LOAD_CONNECT] = "connect",   [LOAD_IO] = "io",         [LOAD_CLOSED] = "closed",
    [LOAD_PROTOCOL] = "protocol", [LOAD_STATUS] = "status", [LOAD_LENGTH] = "length",
};

static const char usage[] =
    "usage: tls_load full|resumed|http --port N [options]\n"
    "  --connections N   under way at a time (64)\n"
    "  --rate R          http: requests per second over all, latency from when each was due\n"
    "  --warmup S        seconds before counting (0.5)\n"
    "  --seconds S       seconds of counting (3)\n"
    "  --spin            poll without sleeping\n"
    "  --server PID      read this process's CPU time as well (repeatable)\n"
    "  --path P          what to ask for (/)\n"
    "  --expect N        size that each body must have\n"
    "  --tls12           TLS 1.2 instead of 1.3\n";

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "tls_load: %s\n", what);
    exit(2);
}

static bool open_loop(const struct loop *l)
{
    return l->run.o->rate > 0;
}

static int64_t due(const struct loop *l, uint64_t number)
{
    return l->start + (int64_t)((double)number * 1e9 / l->run.o->rate);
}

/* ---- events ---- */

static void idle_push(struct loop *l, const struct tls_conn *c)
{
    l->idle[(l->idle_at + l->idle_count++) % l->run.o->connections] = (unsigned)(c - l->conns);
}

static void renew(struct loop *l, struct tls_conn *c);

static void count_error(struct loop *l, struct tls_conn *c, enum load_error error)
{
    l->run.r->errors[error]++;
    if (++l->errors >= ERRORS_MAX)
        l->end = l->now; /* given up */
    else
        renew(l, c);
}

/* Begins the next connection in the place of this one. */
static void renew(struct loop *l, struct tls_conn *c)
{
    if (c->phase == TLS_IDLE && open_loop(l)) { /* it waits in the ring, and there it is opened */
        tls_conn_close(c);
        return;
    }
    tls_conn_close(c);
    c->since = l->now;
    if (tls_conn_open(&l->run, c) < 0) {
        tls_conn_close(c);
        l->run.r->errors[LOAD_CONNECT]++;
        if (++l->errors >= ERRORS_MAX)
            l->end = l->now;
    }
}

static void ask(struct loop *l, struct tls_conn *c, int64_t since)
{
    enum load_error error;

    c->since = since;
    if (tls_conn_ask(&l->run, c, &error) == TLS_FAILED)
        count_error(l, c, error);
}

static void count_answer(struct loop *l, const struct tls_conn *c)
{
    if (l->now < l->begin || l->now >= l->end)
        return;
    l->run.r->answers++;
    histogram_record(&l->run.r->latency, (uint64_t)(l->now - c->since));
}

static void go_on(struct loop *l, struct tls_conn *c)
{
    enum load_error error = LOAD_IO;

    if (c->phase == TLS_CLOSED)
        return;
    enum tls_outcome outcome = tls_conn_go_on(&l->run, c, &error);
    l->now = load_clock_ns(CLOCK_MONOTONIC);
    switch (outcome) {
    case TLS_FAILED:
        count_error(l, c, error);
        break;
    case TLS_DONE:
        count_answer(l, c);
        if (l->run.mode != TLS_HTTP)
            renew(l, c);
        else if (open_loop(l))
            idle_push(l, c);
        else
            ask(l, c, l->now);
        break;
    case TLS_READY:
        if (open_loop(l))
            idle_push(l, c);
        else
            ask(l, c, l->now);
        break;
    case TLS_PENDING:
        break;
    }
}

/* Sends what is due on connections that are free; returns ns until the next one is due. */
static int64_t send_due(struct loop *l)
{
    while (l->idle_count > 0 && due(l, l->sent) <= l->now) {
        struct tls_conn *c = &l->conns[l->idle[l->idle_at]];
        l->idle_at = (l->idle_at + 1) % l->run.o->connections;
        l->idle_count--;
        if (c->phase != TLS_IDLE) /* the server has closed it meanwhile */
            renew(l, c);
        else
            ask(l, c, due(l, l->sent++));
    }
    return l->idle_count > 0 ? due(l, l->sent) - l->now : INT64_MAX;
}

static int patience(const struct loop *l, int64_t until_due)
{
    int64_t left = (l->now < l->begin ? l->begin : l->end) - l->now;

    if (until_due < left)
        left = until_due;
    return l->spin || left <= 0 ? 0 : (int)(left / 1000000);
}

static void loop_until(struct loop *l, const int64_t *end)
{
    struct epoll_event events[EVENTS];

    l->now = load_clock_ns(CLOCK_MONOTONIC);
    while (l->now < *end) {
        int64_t next = open_loop(l) ? send_due(l) : INT64_MAX;
        int64_t before = l->now;
        int count = epoll_wait(l->run.epoll, events, EVENTS, patience(l, next));
        l->now = load_clock_ns(CLOCK_MONOTONIC);
        if (count <= 0)
            l->run.r->client_idle_ns += l->now - before;
        for (int i = 0; i < count; i++)
            go_on(l, events[i].data.ptr);
    }
}

/* Open loop: what was due in the measured time and has no answer has waited at least so long. */
static void count_unanswered(struct loop *l)
{
    struct load_result *r = l->run.r;

    for (unsigned i = 0; i < l->run.o->connections; i++)
        if (l->conns[i].phase == TLS_WAITING && l->conns[i].since < l->end) {
            r->unanswered++;
            histogram_record(&r->latency, (uint64_t)(l->end - l->conns[i].since));
        }
    for (; due(l, l->sent) < l->end; l->sent++) {
        r->unanswered++;
        histogram_record(&r->latency, (uint64_t)(l->end - due(l, l->sent)));
    }
}

static int measure(struct loop *l)
{
    const struct load_options *o = l->run.o;
    struct load_result *r = l->run.r;

    l->start = l->now = load_clock_ns(CLOCK_MONOTONIC);
    l->begin = l->start + o->warmup_ns;
    l->end = l->begin + o->duration_ns;
    for (unsigned i = 0; i < o->connections; i++) {
        l->conns[i].state.fd = -1;
        l->conns[i].state.carry = malloc(LOAD_HEAD_MAX);
        if (l->conns[i].state.carry == NULL)
            return -ENOMEM;
        renew(l, &l->conns[i]);
    }
    loop_until(l, &l->begin);
    r->bytes = 0;
    load_account_begin(o, r);
    loop_until(l, &l->end);
    load_account_end(o, r);
    if (open_loop(l))
        count_unanswered(l);
    return 0;
}

/* ---- the command line ---- */

static double number(const char *text, double low, double high)
{
    char *end;
    double value = strtod(text, &end);

    if (*text == '\0' || *end != '\0' || !(value >= low && value <= high))
        fail("an option's value is no number, or out of range");
    return value;
}

static bool read_option(struct load_options *o, int option, const char *text)
{
    switch (option) {
    case 'p':
        o->port = (uint16_t)number(text, 1, 65535);
        return true;
    case 'c':
        o->connections = (unsigned)number(text, 1, 1e6);
        return true;
    case 'r':
        o->rate = number(text, 0.1, 1e7);
        return true;
    case 'w':
        o->warmup_ns = (int64_t)(1e9 * number(text, 0, 3600));
        return true;
    case 's':
        o->duration_ns = (int64_t)(1e9 * number(text, 0.01, 3600));
        return true;
    case 'S':
        o->spin = true;
        return true;
    case 'P':
        if (o->servers == LOAD_MAX_SERVERS)
            fail("too many --server options");
        o->server[o->servers++] = (pid_t)number(text, 1, 1 << 30);
        return true;
    default:
        return false;
    }
}

static void set_up(struct loop *l, const char *mode, const char *path, uint64_t expect, int version)
{
    struct tls_run *run = &l->run;
    unsigned count = run->o->connections;

    run->mode = strcmp(mode, "full") == 0      ? TLS_FULL
                : strcmp(mode, "resumed") == 0 ? TLS_RESUMED
                                               : TLS_HTTP;
    if (run->mode == TLS_HTTP && strcmp(mode, "http") != 0)
        fail(usage);
    run->ctx = SSL_CTX_new(TLS_client_method());
    run->buffer = malloc(LOAD_HEAD_MAX + TLS_READ_SIZE);
    run->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->conns = calloc(count, sizeof *l->conns);
    l->idle = calloc(count, sizeof *l->idle);
    if (run->ctx == NULL || run->buffer == NULL || run->epoll < 0 || l->conns == NULL ||
        l->idle == NULL || load_http_init(&run->p, path, 1, expect) < 0)
        fail("no memory");
    SSL_CTX_set_min_proto_version(run->ctx, version);
    SSL_CTX_set_max_proto_version(run->ctx, version);
    SSL_CTX_set_session_cache_mode(run->ctx, SSL_SESS_CACHE_OFF);
    if (run->mode == TLS_HTTP) { /* several records in a read */
        SSL_CTX_set_read_ahead(run->ctx, 1);
        SSL_CTX_set_default_read_buffer_len(run->ctx, TLS_READ_SIZE);
    }
    if (run->mode == TLS_RESUMED && tls_take_ticket(run) < 0)
        fail("the server gives no ticket, or no answer");
}

static int report(const struct load_options *o, const struct load_result *r, const char *mode)
{
    double elapsed = (double)r->elapsed_ns;
    const struct histogram *h = &r->latency;
    uint64_t errors = 0;

    printf("{\"mode\": \"%s\", \"connections\": %u, \"due_rate\": %.1f, \"seconds\": %.4f, ", mode,
           o->connections, o->rate, elapsed / 1e9);
    printf("\"answers\": %llu, \"rate\": %.1f, \"bytes_rate\": %.0f, \"unanswered\": %llu, ",
           (unsigned long long)r->answers, (double)r->answers * 1e9 / elapsed,
           (double)r->bytes * 1e9 / elapsed, (unsigned long long)r->unanswered);
    printf("\"client_cpu\": %.4f, \"client_idle\": %.4f, \"busy_cpu\": %.4f, ",
           (double)r->client_cpu_ns / elapsed, (double)r->client_idle_ns / elapsed,
           (double)r->busy_cpu_ns / elapsed);
    printf("\"server_cpu\": %.4f, ", (double)r->server_cpu_ns / elapsed);
    printf("\"latency_us\": {\"p50\": %.1f, \"p99\": %.1f, \"p99.9\": %.1f, \"max\": %.1f}, ",
           (double)histogram_at(h, 0.5) / 1e3, (double)histogram_at(h, 0.99) / 1e3,
           (double)histogram_at(h, 0.999) / 1e3, (double)h->max / 1e3);
    printf("\"errors\": {");
    for (unsigned i = 0; i < LOAD_ERRORS; i++) {
        errors += r->errors[i];
        printf("%s\"%s\": %llu", i > 0 ? ", " : "", load_error_names[i],
               (unsigned long long)r->errors[i]);
    }
    printf("}}\n");
    /* A download may be larger than what a slow server sends in the time. */
    return errors > 0 || (r->answers == 0 && r->bytes == 0);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "port", required_argument, NULL, 'p' },
        { "connections", required_argument, NULL, 'c' },
        { "rate", required_argument, NULL, 'r' },
        { "warmup", required_argument, NULL, 'w' },
        { "seconds", required_argument, NULL, 's' },
        { "spin", no_argument, NULL, 'S' },
        { "server", required_argument, NULL, 'P' },
        { "path", required_argument, NULL, 'a' },
        { "expect", required_argument, NULL, 'e' },
        { "tls12", no_argument, NULL, '2' },
        { 0 },
    };
    static struct load_result result;
    struct load_options o = { .connections = 64,
                              .warmup_ns = 500 * 1000 * 1000,
                              .duration_ns = INT64_C(3) * 1000 * 1000 * 1000 };
    struct loop l = { .run = { .o = &o, .r = &result } };
    const char *path = "/";
    uint64_t expect = UINT64_MAX;
    int version = TLS1_3_VERSION;
    int option;

    optind = 2;
    while (argc > 1 && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'a')
            path = optarg;
        else if (option == 'e')
            expect = (uint64_t)number(optarg, 0, 1e15);
        else if (option == '2')
            version = TLS1_2_VERSION;
        else if (!read_option(&o, option, optarg))
            fail(usage);
    }
    if (argc < 2 || o.port == 0 || optind < argc)
        fail(usage);
    set_up(&l, argv[1], path, expect, version);
    if (o.rate > 0 && l.run.mode != TLS_HTTP)
        fail("--rate is for requests");
    l.spin = o.spin;
    if (measure(&l) < 0)
        fail("no memory");
    return report(&o, &result, argv[1]);
}
