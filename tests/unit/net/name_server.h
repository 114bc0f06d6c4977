/* SPDX-License-Identifier: MIT */

/*
 * A name server for tests: a thread of its own on loopback, over UDP and TCP, which answers from a
 * table and misbehaves where the table says so. It knows nothing of the library.
 */
#ifndef THI_TEST_NAME_SERVER_H
#define THI_TEST_NAME_SERVER_H

#include <check.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { NS_A = 1, NS_CNAME = 5, NS_SOA = 6, NS_PTR = 12, NS_AAAA = 28, NS_SRV = 33, NS_ANY = 255 };

/* What comes of a question. TRUNCATED: over UDP nothing but that; WRONG_ID, WRONG_ADDRESS: first a
 * false answer with that fault, then the true one; WRONG_QUESTION: likewise, about another name. */
enum {
    NS_ANSWER,
    NS_SILENT,
    NS_SERVFAIL,
    NS_REFUSED,
    NS_TRUNCATED,
    NS_WRONG_ID,
    NS_WRONG_ADDRESS,
    NS_WRONG_QUESTION,
    NS_BROKEN
};

/* A record, or how questions about a name and a type (NS_ANY: all) are treated. */
typedef struct ns_record {
    const char *name;
    int type;
    const char *data; /* "192.0.2.1", "host.test", "priority weight port host"; NULL: no record */
    int how;
    unsigned ttl;
    int delay; /* ms until the answer leaves */
} ns_record;

typedef struct ns_message {
    uint8_t bytes[1024];
    size_t len;
} ns_message;

/* An answer that is to leave later. */
typedef struct ns_later {
    ns_message reply;
    struct sockaddr_in to;
    int64_t due;
} ns_later;

typedef struct name_server {
    const ns_record *records;
    size_t count;
    unsigned negative_ttl; /* that goes with "there is nothing"; 0: none is told */
    int udp, stranger, tcp, stop;
    pthread_t thread;
    ns_later later[8];
    size_t later_count;
    atomic_uint asked;      /* questions over UDP */
    atomic_uint asked_tcp;  /* over TCP */
    atomic_uint asked_most; /* of the question that the test counts */
    const char *counted;    /* a name whose questions asked_most counts; NULL: none */
    char address[40];
} name_server;

static inline int64_t ns_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- messages ---- */

static inline void ns_put16(ns_message *m, unsigned value)
{
    m->bytes[m->len++] = (uint8_t)(value >> 8);
    m->bytes[m->len++] = (uint8_t)value;
}

static inline void ns_put_name(ns_message *m, const char *name)
{
    while (*name) {
        size_t n = strcspn(name, ".");
        m->bytes[m->len++] = (uint8_t)n;
        memcpy(m->bytes + m->len, name, n);
        m->len += n;
        name += n;
        name += *name == '.';
    }
    m->bytes[m->len++] = 0;
}

/* The question's name and type; false when it is none. */
static inline bool ns_question(const ns_message *q, char name[256], int *type)
{
    size_t at = 12, len = 0;
    while (at < q->len && q->bytes[at] != 0) {
        size_t n = q->bytes[at++];
        if (at + n >= q->len || len + n + 2 > 256)
            return false;
        if (len > 0)
            name[len++] = '.';
        memcpy(name + len, q->bytes + at, n);
        len += n;
        at += n;
    }
    name[len] = '\0';
    if (at + 5 > q->len)
        return false;
    *type = q->bytes[at + 1] << 8 | q->bytes[at + 2];
    return true;
}

static inline void ns_put_data(ns_message *m, const ns_record *r)
{
    unsigned priority = 0, weight = 0, port = 0;
    char host[256] = "";
    switch (r->type) {
    case NS_A:
        ck_assert_int_eq(inet_pton(AF_INET, r->data, m->bytes + m->len), 1);
        m->len += 4;
        break;
    case NS_AAAA:
        ck_assert_int_eq(inet_pton(AF_INET6, r->data, m->bytes + m->len), 1);
        m->len += 16;
        break;
    case NS_SRV:
        (void)sscanf(r->data, "%u %u %u %255s", &priority, &weight, &port, host);
        ns_put16(m, priority);
        ns_put16(m, weight);
        ns_put16(m, port);
        ns_put_name(m, strcmp(host, ".") == 0 ? "" : host);
        break;
    default:
        ns_put_name(m, r->data);
    }
}

static inline void ns_put_record(ns_message *m, const char *name, const ns_record *r)
{
    ns_put_name(m, name);
    ns_put16(m, (unsigned)r->type);
    ns_put16(m, 1);
    ns_put16(m, r->ttl >> 16);
    ns_put16(m, r->ttl & 0xffff);
    size_t at = m->len;
    m->len += 2;
    ns_put_data(m, r);
    size_t len = m->len - at - 2;
    m->bytes[at] = (uint8_t)(len >> 8);
    m->bytes[at + 1] = (uint8_t)len;
}

/* Who is responsible, and for how long there being nothing may be remembered. */
static inline void ns_put_soa(ns_message *m, unsigned ttl)
{
    ns_put_name(m, "test");
    ns_put16(m, NS_SOA);
    ns_put16(m, 1);
    ns_put16(m, 0);
    ns_put16(m, 3600);
    size_t at = m->len;
    m->len += 2;
    ns_put_name(m, "ns.test");
    ns_put_name(m, "root.test");
    for (int i = 0; i < 4; i++) {
        ns_put16(m, 0);
        ns_put16(m, 60);
    }
    ns_put16(m, ttl >> 16);
    ns_put16(m, ttl & 0xffff);
    m->bytes[at + 1] = (uint8_t)(m->len - at - 2);
    m->bytes[9] = 1;
}

static inline bool ns_is_about(const ns_record *r, const char *name, int type)
{
    return strcasecmp(r->name, name) == 0 && (r->type == type || r->type == NS_ANY);
}

/* How a question is treated. */
static inline ns_record ns_rule(const name_server *s, const char *name, int type)
{
    for (size_t i = 0; i < s->count; i++)
        if (ns_is_about(&s->records[i], name, type))
            return s->records[i];
    return (ns_record){ .name = name };
}

/* Puts the records at the end of the chain of aliases; returns how many there are in all, and
 * whether there is such a name. */
static inline unsigned ns_put_answers(const name_server *s, ns_message *m, const char *name,
                                      int type, bool *exists)
{
    unsigned put = 0;
    const char *alias = NULL;
    *exists = false;
    for (size_t i = 0; i < s->count; i++) {
        const ns_record *r = &s->records[i];
        if (strcasecmp(r->name, name) != 0)
            continue;
        *exists = true;
        if (!r->data || (r->type != type && r->type != NS_CNAME))
            continue;
        ns_put_record(m, name, r);
        put++;
        if (r->type == NS_CNAME)
            alias = r->data;
    }
    return alias ? put + ns_put_answers(s, m, alias, type, exists) : put;
}

static inline ns_message ns_reply(const name_server *s, const ns_message *q, const char *name,
                                  int type, int how)
{
    ns_message m = { .len = 12 };
    bool exists = false;
    memcpy(m.bytes, q->bytes, 2);
    m.bytes[2] = (uint8_t)(0x80 | (q->bytes[2] & 1));
    m.bytes[3] = 0x80;
    m.bytes[5] = 1;
    ns_put_name(&m, how == NS_WRONG_QUESTION ? "other.test" : name);
    ns_put16(&m, (unsigned)type);
    ns_put16(&m, 1);
    if (how == NS_SERVFAIL || how == NS_REFUSED) {
        m.bytes[3] |= how == NS_SERVFAIL ? 2 : 5;
        return m;
    }
    if (how == NS_TRUNCATED) {
        m.bytes[2] |= 2;
        return m;
    }
    unsigned count = ns_put_answers(s, &m, name, type, &exists);
    m.bytes[7] = (uint8_t)count;
    m.bytes[3] |= exists ? 0 : 3;
    if (count == 0 && s->negative_ttl > 0)
        ns_put_soa(&m, s->negative_ttl);
    if (how == NS_BROKEN)
        m.bytes[7] = 9; /* more than there are */
    return m;
}

/* ---- the course ---- */

static inline void ns_send(int fd, const ns_message *m, const struct sockaddr_in *to)
{
    (void)sendto(fd, m->bytes, m->len, 0, (const struct sockaddr *)to, sizeof *to);
}

/* A false answer: an address that nobody has. */
static inline void ns_deceive(name_server *s, const ns_message *q, const char *name, int type,
                              int how, const struct sockaddr_in *to)
{
    static const ns_record lies[] = { { "", NS_A, "203.0.113.66", 0, 60, 0 } };
    ns_message m = ns_reply(s, q, name, type, how == NS_WRONG_QUESTION ? how : NS_SERVFAIL);
    m.bytes[3] &= 0xf0;
    m.bytes[7] = 1;
    ns_put_record(&m, how == NS_WRONG_QUESTION ? "other.test" : name, &lies[0]);
    if (how == NS_WRONG_ID)
        m.bytes[1] ^= 0x55;
    ns_send(how == NS_WRONG_ADDRESS ? s->stranger : s->udp, &m, to);
}

static inline void ns_count(name_server *s, const char *name, bool tcp)
{
    atomic_fetch_add(tcp ? &s->asked_tcp : &s->asked, 1);
    if (s->counted && strcasecmp(s->counted, name) == 0)
        atomic_fetch_add(&s->asked_most, 1);
}

static inline void ns_serve_udp(name_server *s)
{
    ns_message q;
    char name[256];
    int type;
    struct sockaddr_in from;
    socklen_t len = sizeof from;
    ssize_t n = recvfrom(s->udp, q.bytes, sizeof q.bytes, 0, (struct sockaddr *)&from, &len);
    q.len = n > 0 ? (size_t)n : 0;
    if (!ns_question(&q, name, &type))
        return;
    ns_count(s, name, false);
    ns_record rule = ns_rule(s, name, type);
    if (rule.how == NS_SILENT)
        return;
    if (rule.how >= NS_WRONG_ID && rule.how <= NS_WRONG_QUESTION)
        ns_deceive(s, &q, name, type, rule.how, &from);
    bool lies = rule.how >= NS_WRONG_ID && rule.how <= NS_WRONG_QUESTION;
    ns_message m = ns_reply(s, &q, name, type, lies ? NS_ANSWER : rule.how);
    if (rule.delay > 0 && s->later_count < 8)
        s->later[s->later_count++] = (ns_later){ m, from, ns_now() + rule.delay };
    else
        ns_send(s->udp, &m, &from);
}

static inline void ns_serve_tcp(name_server *s)
{
    struct timeval second = { .tv_sec = 1 };
    uint8_t head[2];
    ns_message q = { .len = 0 };
    char name[256];
    int type;
    int fd = accept(s->tcp, NULL, NULL);
    if (fd < 0)
        return;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    if (recv(fd, head, 2, MSG_WAITALL) == 2) {
        size_t len = (size_t)head[0] << 8 | head[1];
        if (len <= sizeof q.bytes && recv(fd, q.bytes, len, MSG_WAITALL) == (ssize_t)len)
            q.len = len;
    }
    if (ns_question(&q, name, &type)) {
        ns_count(s, name, true);
        ns_message m = ns_reply(s, &q, name, type, NS_ANSWER);
        head[0] = (uint8_t)(m.len >> 8);
        head[1] = (uint8_t)m.len;
        (void)send(fd, head, 1, MSG_NOSIGNAL); /* in pieces, as may happen */
        (void)send(fd, head + 1, 1, MSG_NOSIGNAL);
        (void)send(fd, m.bytes, m.len, MSG_NOSIGNAL);
    }
    close(fd);
}

/* Sends what is due, and tells how long the next one has to wait, ms. */
static inline int ns_send_due(name_server *s)
{
    int64_t now = ns_now(), next = -1;
    size_t kept = 0;
    for (size_t i = 0; i < s->later_count; i++) {
        if (s->later[i].due <= now) {
            ns_send(s->udp, &s->later[i].reply, &s->later[i].to);
            continue;
        }
        if (next < 0 || s->later[i].due - now < next)
            next = s->later[i].due - now;
        s->later[kept++] = s->later[i];
    }
    s->later_count = kept;
    return (int)next;
}

static inline void *ns_run(void *arg)
{
    name_server *s = arg;
    struct pollfd fds[] = { { s->udp, POLLIN, 0 }, { s->tcp, POLLIN, 0 }, { s->stop, POLLIN, 0 } };
    for (;;) {
        if (poll(fds, 3, ns_send_due(s)) < 0)
            continue;
        if (fds[2].revents)
            return NULL;
        if (fds[0].revents)
            ns_serve_udp(s);
        if (fds[1].revents)
            ns_serve_tcp(s);
    }
}

static inline int ns_bind(int type, uint16_t port)
{
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    if (bind(fd, (struct sockaddr *)&in, sizeof in) == 0)
        return fd;
    close(fd);
    return -1;
}

static inline uint16_t ns_port(int fd)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    socklen_t len = sizeof in;
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    return ntohs(in.sin_port);
}

/* Starts one on a free port; the other fields of *s are as the caller has set them. */
static inline void start_name_server(name_server *s)
{
    s->tcp = -1;
    for (int i = 0; i < 20 && s->tcp < 0; i++) {
        s->udp = ns_bind(SOCK_DGRAM, 0);
        s->tcp = ns_bind(SOCK_STREAM, ns_port(s->udp));
        if (s->tcp < 0)
            close(s->udp);
    }
    ck_assert_int_ge(s->tcp, 0);
    ck_assert_int_eq(listen(s->tcp, 8), 0);
    s->stranger = ns_bind(SOCK_DGRAM, 0);
    s->stop = eventfd(0, EFD_CLOEXEC);
    snprintf(s->address, sizeof s->address, "127.0.0.1:%u", ns_port(s->udp));
    ck_assert_int_eq(pthread_create(&s->thread, NULL, ns_run, s), 0);
}

static inline void stop_name_server(name_server *s)
{
    uint64_t one = 1;
    ck_assert_int_eq(write(s->stop, &one, sizeof one), sizeof one);
    pthread_join(s->thread, NULL);
    close(s->udp);
    close(s->tcp);
    close(s->stranger);
    close(s->stop);
}

#endif
