/* SPDX-License-Identifier: MIT */

/*
 * The load client's command line and report.
 *
 * `load http` asks for one path again and again, `load idle` opens connections that ask once and
 * stay, `load echo` sends messages and compares what comes back, `load udp` does so with datagrams.
 * The report is one JSON object on standard output. The exit status is 0 only if there were answers
 * and not a single error.
 */
#include "load/datagram.h"
#include "load/echo.h"
#include "load/engine.h"
#include "load/http.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct command {
    struct load_options load;
    const char *mode;
    const char *path;    /* http, idle: what is asked for */
    uint64_t expect;     /* http, idle: size of its body */
    size_t message_size; /* echo, udp */
    bool packed;         /* udp */
    int cpu;             /* run on this one; -1: anywhere */
};

static const char usage[] =
    "usage: load http|idle|echo|udp --port N [options]\n"
    "  --connections N   keep-alive connections (64)\n"
    "  --pipeline N      requests in flight on each (1)\n"
    "  --rate R          requests per second over all, latency from when each was due\n"
    "  --warmup S        seconds before counting (0.5)\n"
    "  --seconds S       seconds of counting (3)\n"
    "  --cpu N           run on this CPU\n"
    "  --spin            poll without sleeping\n"
    "  --server PID      read this process's CPU time as well (repeatable)\n"
    "  --path P          http, idle: what to ask for (/)\n"
    "  --expect N        http, idle: size that each body must have\n"
    "  --discard         http: let the kernel drop bodies\n"
    "  --size N          echo, udp: bytes in a message (64)\n"
    "  --packed          udp: let the kernel split what is sent and join what is received\n"
    "idle prints \"ready\" when all connections are answered, and ends when standard input does.\n";

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "load: %s\n%s", what, usage);
    exit(2);
}

/* The number in `text`, which must lie in [low, high]. */
static double number(const char *name, const char *text, double low, double high)
{
    char message[80];
    char *end;
    double value = strtod(text, &end);

    if (*text == '\0' || *end != '\0' || !(value >= low && value <= high)) {
        snprintf(message, sizeof message, "--%s %s: not a number from %g to %g", name, text, low,
                 high);
        fail(message);
    }
    return value;
}

static void add_server(struct load_options *o, const char *text)
{
    if (o->servers == LOAD_MAX_SERVERS)
        fail("too many --server options");
    o->server[o->servers++] = (pid_t)number("server", text, 1, 1 << 30);
}

/* One option. `name` is only used in messages. */
static void set_option(struct command *c, int option, const char *name, const char *text)
{
    struct load_options *o = &c->load;

    switch (option) {
    case 'p':
        o->port = (uint16_t)number(name, text, 1, 65535);
        break;
    case 'c':
        o->connections = (unsigned)number(name, text, 1, 1e6);
        break;
    case 'n':
        o->pipeline = (unsigned)number(name, text, 1, 1024);
        break;
    case 'r':
        o->rate = number(name, text, 0.1, 1e7);
        break;
    case 'w':
        o->warmup_ns = (int64_t)(1e9 * number(name, text, 0, 3600));
        break;
    case 's':
        o->duration_ns = (int64_t)(1e9 * number(name, text, 0.01, 3600));
        break;
    case 'u':
        c->cpu = (int)number(name, text, 0, CPU_SETSIZE - 1);
        break;
    case 'S':
        o->spin = true;
        break;
    case 'd':
        o->discard = true;
        break;
    case 'P':
        add_server(o, text);
        break;
    case 'a':
        c->path = text;
        break;
    case 'e':
        c->expect = (uint64_t)number(name, text, 0, 1e15);
        break;
    case 'k':
        c->packed = true;
        break;
    case 'z':
        c->message_size = (size_t)number(name, text, 1, 1 << 20);
        break;
    default:
        fail("unknown option");
    }
}

static struct command read_command(int argc, char **argv)
{
    static const struct option options[] = {
        { "port", required_argument, NULL, 'p' },
        { "connections", required_argument, NULL, 'c' },
        { "pipeline", required_argument, NULL, 'n' },
        { "rate", required_argument, NULL, 'r' },
        { "warmup", required_argument, NULL, 'w' },
        { "seconds", required_argument, NULL, 's' },
        { "cpu", required_argument, NULL, 'u' },
        { "spin", no_argument, NULL, 'S' },
        { "discard", no_argument, NULL, 'd' },
        { "server", required_argument, NULL, 'P' },
        { "path", required_argument, NULL, 'a' },
        { "expect", required_argument, NULL, 'e' },
        { "size", required_argument, NULL, 'z' },
        { "packed", no_argument, NULL, 'k' },
        { 0 },
    };
    struct command c = { .load = { .connections = 64,
                                   .pipeline = 1,
                                   .warmup_ns = 500 * 1000 * 1000,
                                   .duration_ns = INT64_C(3) * 1000 * 1000 * 1000 },
                         .mode = argc > 1 ? argv[1] : "",
                         .path = "/",
                         .expect = UINT64_MAX,
                         .message_size = 64,
                         .cpu = -1 };
    int option;
    int index = 0;

    optind = 2;
    while (argc > 1 && (option = getopt_long(argc, argv, "", options, &index)) != -1)
        set_option(&c, option, options[index].name, optarg);
    if (c.load.port == 0 || optind < argc)
        fail("what to do, and on which port?");
    if (c.load.rate > 0 && c.load.pipeline > 1)
        fail("--rate and --pipeline exclude each other");
    return c;
}

static int pin(int cpu)
{
    cpu_set_t set;

    if (cpu < 0)
        return 0;
    CPU_ZERO(&set);
    CPU_SET((unsigned)cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0 ? 0 : -errno;
}

static void print_errors(const struct load_result *r)
{
    printf("\"errors\": {");
    for (unsigned i = 0; i < LOAD_ERRORS; i++)
        printf("%s\"%s\": %llu", i > 0 ? ", " : "", load_error_names[i],
               (unsigned long long)r->errors[i]);
    printf("}");
}

static void print_latency(const struct histogram *h)
{
    static const struct {
        const char *name;
        double part;
    } points[] = { { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p99.9", 0.999 } };

    printf("\"latency_us\": {");
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        printf("\"%s\": %.1f, ", points[i].name, (double)histogram_at(h, points[i].part) / 1e3);
    printf("\"max\": %.1f, \"mean\": %.1f}", (double)h->max / 1e3,
           h->total > 0 ? (double)h->sum / (double)h->total / 1e3 : 0.0);
}

static void print_run(const struct command *c, const struct load_result *r)
{
    double elapsed = (double)r->elapsed_ns;

    printf("{\"mode\": \"%s\", \"connections\": %u, \"pipeline\": %u, \"due_rate\": %.1f, ",
           c->mode, c->load.connections, c->load.pipeline, c->load.rate);
    printf("\"seconds\": %.4f, \"answers\": %llu, \"rate\": %.1f, \"bytes_rate\": %.0f, ",
           elapsed / 1e9, (unsigned long long)r->answers, (double)r->answers * 1e9 / elapsed,
           (double)r->bytes * 1e9 / elapsed);
    printf("\"unanswered\": %llu, \"client_cpu\": %.4f, \"client_idle\": %.4f, ",
           (unsigned long long)r->unanswered, (double)r->client_cpu_ns / elapsed,
           (double)r->client_idle_ns / elapsed);
    printf("\"busy_cpu\": %.4f, ", (double)r->busy_cpu_ns / elapsed);
    if (c->load.servers > 0)
        printf("\"server_cpu\": %.4f, ", (double)r->server_cpu_ns / elapsed);
    print_latency(&r->latency);
    printf(", ");
    print_errors(r);
    printf("}\n");
}

static uint64_t errors_of(const struct load_result *r)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < LOAD_ERRORS; i++)
        sum += r->errors[i];
    return sum;
}

static int init_protocol(const struct command *c, struct load_protocol *p)
{
    if (strcmp(c->mode, "echo") == 0)
        return load_echo_init(p, c->message_size, c->load.pipeline);
    if (strcmp(c->mode, "http") != 0 && strcmp(c->mode, "idle") != 0)
        fail("the mode is http, idle, echo or udp");
    return load_http_init(p, c->path, c->load.pipeline, c->expect);
}

static bool is_udp(const struct command *c)
{
    return strcmp(c->mode, "udp") == 0;
}

static void check_udp(const struct command *c)
{
    if (c->message_size < LOAD_DATAGRAM_MIN || c->message_size > LOAD_DATAGRAM_MAX)
        fail("--size: a datagram has from 8 to 1400 bytes");
    if (c->load.rate > 0)
        fail("--rate is not for udp");
}

static int run(const struct command *c, const struct load_protocol *p)
{
    static struct load_result result;
    unsigned held = 0;
    int rc;

    if (is_udp(c)) {
        check_udp(c);
        rc = load_datagram_run(&c->load, c->message_size, c->packed, &result);
        if (rc == 0)
            print_run(c, &result);
    } else if (strcmp(c->mode, "idle") != 0) {
        rc = load_run(&c->load, p, &result);
        if (rc == 0)
            print_run(c, &result);
    } else {
        rc = load_hold(&c->load, p, &result, &held);
        printf("{\"mode\": \"idle\", \"connections\": %u, \"held\": %u, ", c->load.connections,
               held);
        print_errors(&result);
        printf("}\n");
        result.answers = held;
    }
    if (rc < 0) {
        fprintf(stderr, "load: %s; ", strerror(-rc));
        for (unsigned i = 0; i < LOAD_ERRORS; i++)
            fprintf(stderr, "%llu %s ", (unsigned long long)result.errors[i], load_error_names[i]);
        fprintf(stderr, "errors\n");
    }
    return rc == 0 && result.answers > 0 && errors_of(&result) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct command c = read_command(argc, argv);
    struct load_protocol p;
    int rc = pin(c.cpu);

    if (rc < 0)
        fprintf(stderr, "load: cannot run on CPU %d: %s\n", c.cpu, strerror(-rc));
    if (rc < 0 || (!is_udp(&c) && init_protocol(&c, &p) < 0))
        return 1;
    rc = run(&c, &p);
    if (is_udp(&c))
        return rc;
    if (strcmp(c.mode, "echo") == 0)
        load_echo_deinit(&p);
    else
        load_http_deinit(&p);
    return rc;
}
