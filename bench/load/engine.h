/* SPDX-License-Identifier: MIT */

/* The engine of the load client: connections, phases, schedule and the account of what happened. */
#ifndef BENCH_LOAD_ENGINE_H
#define BENCH_LOAD_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "load/histogram.h"

enum { LOAD_MAX_SERVERS = 16 };

/* What can be wrong with a connection or an answer. Each is counted apart. */
enum load_error {
    LOAD_CONNECT,  /* connect() failed */
    LOAD_IO,       /* send() or recv() failed */
    LOAD_CLOSED,   /* the server closed the connection with requests in flight */
    LOAD_PROTOCOL, /* an answer that cannot be read */
    LOAD_STATUS,   /* a status other than 200 */
    LOAD_LENGTH,   /* a length other than the expected one, or echoed bytes that differ */
    LOAD_ERRORS,
};

/* The names under which the report prints the errors. */
extern const char *const load_error_names[LOAD_ERRORS];

struct load_options {
    uint16_t port;        /* on 127.0.0.1 */
    unsigned connections; /* >= 1 */
    unsigned pipeline;    /* requests in flight on each connection, >= 1 */
    double rate;          /* requests per second over all connections; 0: as fast as answered */
    int64_t warmup_ns;    /* run without counting */
    int64_t duration_ns;  /* then count */
    bool spin;            /* poll without sleeping: the client owns its CPU */
    bool discard;         /* let the kernel drop bodies instead of copying them */
    unsigned servers;     /* entries in server[] */
    pid_t server[LOAD_MAX_SERVERS]; /* processes whose CPU time is read around the measurement */
};

/* How the first answer of a connection looked; the next ones are expected to look the same. */
struct load_shape {
    uint32_t head_size;     /* bytes up to and including the empty line; 0: none seen yet */
    uint32_t length_at;     /* offset of the digits of Content-Length in the head */
    uint32_t length_digits; /* how many */
    char digits[20];        /* the digits themselves */
    uint64_t body_size;     /* what they mean */
};

struct load_conn {
    int fd;
    unsigned generation; /* counts how often the connection was opened */
    unsigned in_flight;  /* requests sent, or being sent, and not yet answered */
    uint64_t unsent;     /* bytes of them the socket did not take yet */
    uint64_t body_left;  /* bytes of the current answer's body still to come */
    struct load_shape shape;
    uint32_t position;    /* echo: offset in the message of the next byte expected */
    uint32_t carry_size;  /* bytes of an incomplete head kept for the next read */
    uint32_t next_start;  /* ring position of the next request to send */
    uint32_t next_answer; /* ring position of the next request to be answered */
    int64_t *starts;      /* ring of `pipeline` start times, owned by the engine */
    char *carry;          /* LOAD_HEAD_MAX bytes, allocated when first needed */
};

enum { LOAD_HEAD_MAX = 8192 };

/*
 * What the engine speaks. `consume` reads `size` bytes that follow what it has consumed before,
 * adds the number of answers that ended in them to *answers, and returns how many bytes at the end
 * it wants to see again, with more behind them (at most LOAD_HEAD_MAX), or -1 - enum load_error.
 */
struct load_protocol {
    const char *requests; /* `pipeline` equal requests in a row, borrowed for the whole run */
    size_t request_size;  /* size of one */
    ssize_t (*consume)(const struct load_protocol *, struct load_conn *, const char *bytes,
                       size_t size, unsigned *answers);
    uint64_t expect; /* HTTP: size of each body; UINT64_MAX: whatever the first one has */
};

struct load_result {
    struct histogram latency; /* ns */
    uint64_t answers;         /* complete and correct, in the measured time */
    uint64_t bytes;           /* received in the measured time */
    uint64_t unanswered; /* due by the rate but not answered; in `latency` with a lower bound */
    uint64_t errors[LOAD_ERRORS]; /* over the whole run */
    int64_t elapsed_ns;           /* measured time */
    int64_t client_cpu_ns;        /* CPU time of this process in it */
    int64_t client_idle_ns;       /* time in it in which the client waited or found nothing to do */
    int64_t server_cpu_ns;        /* CPU time of server[] in it */
    int64_t busy_cpu_ns;          /* time in it that all CPUs were not idle, whoever used them */
};

/* Runs warm-up and measurement. 0, or -errno when no measurement came about. */
int load_run(const struct load_options *o, const struct load_protocol *p, struct load_result *r);

/*
 * Opens all connections, has one request answered on each, prints "ready" on standard output and
 * holds them until standard input has a line or ends. *held is the number still open then.
 */
int load_hold(const struct load_options *o, const struct load_protocol *p, struct load_result *r,
              unsigned *held);

#endif
