/* SPDX-License-Identifier: MIT */

/* thrum capture: asks a process for the bytes of its connections, and writes them as packets. */
#include "commands.h"
#include "pcapng.h"

#include <thrum/addr.h>
#include <thrum/control.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PAYLOAD_MAX (1 << 20)
#define NO_MATTER   (-1)                /* when a record has begun: whatever comes, it is read */
#define PATIENCE    INT64_C(5000000000) /* with a process that does not go on, ns */

typedef struct capture_settings {
    long pid;
    const char *what;
    const char *out;
    bool plaintext;
    long seconds; /* 0: until it is ended */
} capture_settings;

static const char *set_out(void *settings, const char *value)
{
    ((capture_settings *)settings)->out = value;
    return *value ? NULL : "must be a file";
}

static const char *set_plaintext(void *settings, const char *value)
{
    (void)value;
    ((capture_settings *)settings)->plaintext = true;
    return NULL;
}

static const char *set_seconds(void *settings, const char *value)
{
    return options_number(value, 1, 1000000, &((capture_settings *)settings)->seconds)
               ? NULL
               : "must be a number from 1 to 1000000";
}

/* The process, then the connection. */
static const char *take_argument(void *settings, const char *text)
{
    capture_settings *s = settings;
    if (s->pid == 0)
        return options_number(text, 1, INT32_MAX, &s->pid) ? NULL : "is no number of a process";
    if (s->what)
        return "is one too many";
    s->what = text;
    return *text && strlen(text) < 150 && !strpbrk(text, "\r\n") ? NULL : "names no connection";
}

static const option capture_options[] = {
    { "out", "FILE", "where to; standard output, which must be no terminal", set_out },
    { "plaintext", NULL, "of connections that speak TLS what is inside; own processes only",
      set_plaintext },
    { "seconds", "N", "how long; until Ctrl-C or the end of the process", set_seconds },
    { 0 },
};

const command capture_command = {
    .name = "capture",
    .arguments = "PID [CONNECTION]",
    .purpose = "Writes the bytes of a process's connections as a pcapng file, for Wireshark.",
    .details =
        "CONNECTION is a descriptor, an address or :PORT, compared with both ends; all "
        "without it.\nThe process must be yours, and run with THRUM_CONTROL=1 or by a program "
        "that calls\nth_control_start().\n",
    .options = capture_options,
    .argument = take_argument,
};

/* ---- the other side -------------------------------------------------------------------------- */

/* A connection that has been told of. */
typedef struct flow {
    struct flow *next;
    uint64_t number;
    pcapng_flow packets;
} flow;

enum { BUCKETS = 1024 };

typedef struct capture {
    int fd;
    long pid;
    pcapng file;
    flow *flows[BUCKETS];
    uint64_t connections;
    uint64_t lost;
    bool ending;   /* the process has been told that it is enough */
    char *payload; /* of the record at hand */
} capture;

static volatile sig_atomic_t interrupted;

static void on_signal(int signo)
{
    (void)signo;
    interrupted = 1;
}

static int64_t now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* Connects to the control socket, and makes sure that it is the process's. */
static int connect_to(long pid)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    struct ucred who;
    socklen_t len = sizeof who;
    int n = snprintf(sa.sun_path + 1, sizeof sa.sun_path - 1, TH_CONTROL_NAME, (int)pid);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 ||
        connect(fd, (struct sockaddr *)&sa,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) < 0) {
        if (kill((pid_t)pid, 0) < 0 && errno == ESRCH)
            print_error("thrum capture: there is no process %ld", pid);
        else
            print_error("thrum capture: process %ld has no control socket: it must run with "
                        "THRUM_CONTROL=1",
                        pid);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 || who.pid != pid) {
        print_error("thrum capture: somebody else, process %d, answers for process %ld",
                    (int)who.pid, pid);
        close(fd);
        return -1;
    }
    return fd;
}

/* Reads all of it. Not so when the time is up, or a signal came, and there is nothing of it yet;
 * nor when the process has ended or does not go on with what it has begun. */
static bool read_all(capture *c, void *bytes, size_t size, int64_t until)
{
    char *at = bytes;
    bool began = until == NO_MATTER;
    if (began)
        until = now() + PATIENCE;
    while (size > 0) {
        struct pollfd one = { .fd = c->fd, .events = POLLIN };
        int64_t left = until == INT64_MAX ? 1000 : (until - now()) / 1000000;
        if (left < 0 || (interrupted && !began && !c->ending))
            return false;
        int n = poll(&one, 1, (int)(left > 1000 ? 1000 : left + 1));
        if (n < 0 && errno != EINTR)
            return false;
        if (n <= 0)
            continue;
        ssize_t got = read(c->fd, at, size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        size -= (size_t)got;
        if (!began)
            until = now() + PATIENCE;
        began = true;
    }
    return true;
}

/* Asks, and reads the line that is the answer. */
static bool ask(capture *c, const capture_settings *settings)
{
    char line[256];
    size_t len = 0;
    int n = snprintf(line, sizeof line, "%s %s\n", settings->plaintext ? "plaintext" : "capture",
                     settings->what ? settings->what : "*");
    if (send(c->fd, line, (size_t)n, MSG_NOSIGNAL) != n)
        n = 0;
    int64_t until = now() + INT64_C(10000000000);
    while (n > 0 && len < sizeof line - 1 && read_all(c, line + len, 1, until) && line[len] != '\n')
        len++;
    line[len] = '\0';
    if (strcmp(line, "ok") == 0)
        return true;
    print_error("thrum capture: %s", len > 7 && strncmp(line, "error: ", 7) == 0
                                         ? line + 7
                                         : "the process does not answer: somebody may be "
                                           "capturing already");
    return false;
}

/* ---- records --------------------------------------------------------------------------------- */

static flow **place_of(capture *c, uint64_t number)
{
    flow **at = &c->flows[number % BUCKETS];
    while (*at && (*at)->number != number)
        at = &(*at)->next;
    return at;
}

/* Whether a file of /proc/PID/net has a socket that listens at this port: state 0A, see proc(5). */
static bool listens(long pid, const char *name, unsigned port)
{
    char path[64];
    char line[512];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%ld/net/%s", pid, name);
    FILE *in = fopen(path, "re");
    while (in && !found && fgets(line, sizeof line, in)) {
        char local[8] = "";
        char state[4] = "";
        if (sscanf(line, " %*[0-9]: %*[0-9A-F]:%7[0-9A-F] %*[0-9A-F]:%*[0-9A-F] %3[0-9A-F]", local,
                   state) == 2)
            found = strtoul(local, NULL, 16) == port && strcmp(state, "0A") == 0;
    }
    if (in)
        fclose(in);
    return found;
}

/*
 * Who called whom is not among what is captured. Where somebody listens at the port here, it was
 * the other side; so it was if nobody knows and the port here is the lower one.
 */
static bool was_called(const capture *c, const th_addr *here, const th_addr *there)
{
    if (here->kind != TH_ADDR_IP4 && here->kind != TH_ADDR_IP6)
        return true;
    return listens(c->pid, "tcp", here->port) || listens(c->pid, "tcp6", here->port) ||
           here->port < there->port;
}

/* The addresses come as text; what cannot be read is none. */
static void open_flow(capture *c, const th_capture_record *r)
{
    th_addr here = { .kind = TH_ADDR_NONE };
    th_addr there = { .kind = TH_ADDR_NONE };
    size_t len = strnlen(c->payload, r->size);
    flow **place = place_of(c, r->connection);
    if (*place)
        return;
    flow *f = calloc(1, sizeof *f);
    if (!f)
        return;
    if (th_addr_parse(c->payload, &here) < 0)
        here.kind = TH_ADDR_NONE;
    if (len + 1 < r->size && th_addr_parse(c->payload + len + 1, &there) < 0)
        there.kind = TH_ADDR_NONE;
    const char *third = c->payload + len + 1; /* behind both addresses */
    third += len + 1 < r->size ? strlen(third) + 1 : 0;
    if (third < c->payload + r->size && strcmp(third, TH_CAPTURE_INSIDE_TLS) == 0)
        f->packets.comment = "what is inside of TLS, in plain";
    f->number = r->connection;
    f->packets.called = was_called(c, &here, &there);
    *place = f;
    c->connections++;
    pcapng_open(&c->file, &f->packets, &here, &there, r->connection);
}

static void close_flow(capture *c, flow **place)
{
    flow *f = *place;
    pcapng_end(&c->file, &f->packets, true);
    pcapng_end(&c->file, &f->packets, false);
    *place = f->next;
    free(f);
}

static void write_record(capture *c, const th_capture_record *r)
{
    c->file.wall = r->wall;
    if (r->kind == TH_CAPTURE_LOST)
        c->lost = r->offset;
    if (r->kind == TH_CAPTURE_OPEN)
        open_flow(c, r);
    flow **place = place_of(c, r->connection);
    if (!*place)
        return;
    pcapng_flow *packets = &(*place)->packets;
    switch (r->kind) {
    case TH_CAPTURE_RECEIVED:
    case TH_CAPTURE_SENT:
        pcapng_bytes(&c->file, packets, r->kind == TH_CAPTURE_SENT, r->offset, c->payload, r->size);
        break;
    case TH_CAPTURE_ENDED:
    case TH_CAPTURE_SHUT:
        pcapng_end(&c->file, packets, r->kind == TH_CAPTURE_SHUT);
        break;
    case TH_CAPTURE_CLOSED:
        close_flow(c, place);
        break;
    default:
        break;
    }
}

/* Until the end. What is written is flushed when nothing more is there, for who looks on. */
static void follow(capture *c, int64_t until)
{
    th_capture_record r;
    while (!c->file.failed) {
        if (!read_all(c, &r, sizeof r, until)) {
            if (c->ending)
                return;
            (void)shutdown(c->fd, SHUT_WR); /* what is on its way still comes */
            c->ending = true;
            until = now() + PATIENCE;
            continue;
        }
        if (r.size > PAYLOAD_MAX || !read_all(c, c->payload, r.size, NO_MATTER))
            return;
        c->payload[r.size] = '\0';
        write_record(c, &r);
        struct pollfd one = { .fd = c->fd, .events = POLLIN };
        if (poll(&one, 1, 0) == 0 && fflush(c->file.out) != 0)
            c->file.failed = true;
    }
}

/* ---- the command ----------------------------------------------------------------------------- */

static FILE *open_out(const capture_settings *settings)
{
    if (!settings->out && isatty(STDOUT_FILENO)) {
        print_error("thrum capture: the output is no text: say --out FILE, or pipe it to "
                    "wireshark -k -i -");
        return NULL;
    }
    FILE *out = settings->out ? fopen(settings->out, "wbe") : stdout;
    if (!out)
        print_error("thrum capture: %s: %s", settings->out, strerror(errno));
    return out;
}

static void free_flows(capture *c)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        while (c->flows[i]) {
            flow *f = c->flows[i];
            c->flows[i] = f->next;
            free(f);
        }
    }
}

static int write_all(capture *c, const capture_settings *settings)
{
    FILE *out = open_out(settings);
    if (!out)
        return 1;
    pcapng_begin(&c->file, out, "thrum capture");
    if (fflush(out) != 0)
        c->file.failed = true;
    follow(c, settings->seconds > 0 ? now() + settings->seconds * INT64_C(1000000000) : INT64_MAX);
    pcapng_finish(&c->file, c->lost);
    if (out != stdout && fclose(out) != 0)
        c->file.failed = true;
    fprintf(stderr, "%" PRIu64 " connections, %" PRIu64 " packets, %" PRIu64 " bytes lost\n",
            c->connections, c->file.packets, c->lost);
    if (c->file.failed)
        print_error("thrum capture: not all of it could be written");
    return c->file.failed ? 1 : 0;
}

int capture_main(int argc, char **argv)
{
    capture_settings settings = { .pid = 0 };
    int status = options_read(&capture_command, argc, argv, &settings);
    if (status >= 0)
        return status;
    if (settings.pid == 0)
        return options_wrong(&capture_command, "which process?");
    struct sigaction action = { .sa_handler = on_signal };
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    capture *c = calloc(1, sizeof *c);
    if (c)
        c->payload = malloc(PAYLOAD_MAX + 1);
    if (c)
        c->pid = settings.pid;
    status = 1;
    if (!c || !c->payload)
        print_error("thrum capture: there is not enough memory");
    else if ((c->fd = connect_to(settings.pid)) >= 0) {
        if (ask(c, &settings))
            status = write_all(c, &settings);
        close(c->fd);
    }
    if (c) {
        free_flows(c);
        free(c->payload);
    }
    free(c);
    return status;
}
