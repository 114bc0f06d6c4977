/* SPDX-License-Identifier: MIT */

/*
 * UDP echo of the load client.
 *
 * Each message begins with its number on its socket; the rest is the same in all. A number says
 * when the message was sent, and whether it is one that is awaited: what was given up for lost may
 * still come, and does not count. Several sockets stand for several clients. Answers are received
 * many at a time and compared, and as many questions sent at once, so that the client costs less
 * than the server it measures.
 */
#include "load/datagram.h"

#include "load/account.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    RING = 4096,       /* numbers whose start times are kept; more than any window */
    SPAN_MAX = 60000,  /* bytes in one packed message */
    SEGMENTS_MAX = 64, /* messages in it */
    MESSAGES = 64,     /* received with one call */
    BUFFER = 1 << 20,  /* of the kernel for each socket */
};

static const int64_t lost_after = 50 * 1000 * 1000;

struct flow {
    int fd;
    unsigned in_flight;
    uint64_t next;   /* number of the next message */
    uint64_t oldest; /* numbers below are given up */
    int64_t heard;   /* when something came last, or the window was sent anew */
    int64_t starts[RING];
    bool answered[RING];
};

struct party {
    const struct load_options *o;
    struct load_result *r;
    size_t size;
    bool packed;
    struct flow *flows;
    struct pollfd *polls;
    char *out; /* a window of messages */
    char *in;  /* MESSAGES pieces of SPAN_MAX bytes */
    int64_t now;
    int64_t begin; /* of counting */
    int failure;
};

/* ---- sockets ---- */

static int open_flow(const struct party *p, struct flow *f)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons(p->o->port) };
    int size = BUFFER;
    int one = 1;

    f->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (f->fd < 0)
        return -errno;
    (void)setsockopt(f->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    (void)setsockopt(f->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (p->packed && setsockopt(f->fd, IPPROTO_UDP, UDP_GRO, &one, sizeof one) < 0)
        return -errno;
    return connect(f->fd, (struct sockaddr *)&to, sizeof to) < 0 ? -errno : 0;
}

/* ---- sending ---- */

static void number(struct party *p, struct flow *f, char *at)
{
    uint64_t n = f->next++;

    memcpy(at, &n, sizeof n);
    f->starts[n % RING] = p->now;
    f->answered[n % RING] = false;
}

static bool send_packed(struct party *p, const struct flow *f, size_t count)
{
    union {
        char buf[CMSG_SPACE(sizeof(uint16_t))];
        struct cmsghdr align;
    } control;
    struct iovec iov = { p->out, count * p->size };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    uint16_t segment = (uint16_t)p->size;

    if (count > 1) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = IPPROTO_UDP;
        c->cmsg_type = UDP_SEGMENT;
        c->cmsg_len = CMSG_LEN(sizeof segment);
        memcpy(CMSG_DATA(c), &segment, sizeof segment);
    }
    return sendmsg(f->fd, &msg, 0) >= 0;
}

static bool send_singly(struct party *p, const struct flow *f, size_t count)
{
    struct mmsghdr msgs[SEGMENTS_MAX] = { 0 };
    struct iovec iov[SEGMENTS_MAX];

    for (size_t i = 0; i < count; i++) {
        iov[i] = (struct iovec){ p->out + i * p->size, p->size };
        msgs[i].msg_hdr.msg_iov = &iov[i];
        msgs[i].msg_hdr.msg_iovlen = 1;
    }
    return sendmmsg(f->fd, msgs, (unsigned)count, 0) == (int)count;
}

/* What the kernel has no room for is lost, and found to be so later. */
static void send_some(struct party *p, struct flow *f, size_t count)
{
    size_t most = SPAN_MAX / p->size < SEGMENTS_MAX ? SPAN_MAX / p->size : SEGMENTS_MAX;

    while (count > 0 && p->failure == 0) {
        size_t n = count < most ? count : most;
        for (size_t i = 0; i < n; i++)
            number(p, f, p->out + i * p->size);
        if (!(p->packed ? send_packed(p, f, n) : send_singly(p, f, n)) && errno != EAGAIN &&
            errno != ENOBUFS) {
            p->r->errors[LOAD_IO]++;
            p->failure = -errno;
        }
        f->in_flight += (unsigned)n;
        count -= n;
    }
}

/* ---- receiving ---- */

static void take(struct party *p, struct flow *f, const char *bytes, size_t size)
{
    uint64_t n;

    if (size != p->size || memcmp(bytes + sizeof n, p->out + sizeof n, size - sizeof n) != 0) {
        p->r->errors[LOAD_LENGTH]++;
        p->failure = -EPROTO;
        return;
    }
    memcpy(&n, bytes, sizeof n);
    if (n < f->oldest || n >= f->next || f->answered[n % RING])
        return;
    f->answered[n % RING] = true;
    f->in_flight--;
    if (f->starts[n % RING] < p->begin)
        return;
    p->r->answers++;
    p->r->bytes += size;
    histogram_record(&p->r->latency, (uint64_t)(p->now - f->starts[n % RING]));
}

/* Of which size the datagrams are that were joined; the whole where they were not. */
static size_t segment_of(struct msghdr *msg, size_t whole)
{
    int segment = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c))
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
            memcpy(&segment, CMSG_DATA(c), sizeof segment);
    return segment > 0 ? (size_t)segment : whole;
}

/* Receives what is there; how many messages of ours that were. */
static unsigned receive(struct party *p, struct flow *f)
{
    static union {
        char buf[64];
        struct cmsghdr align;
    } controls[MESSAGES];
    struct mmsghdr msgs[MESSAGES];
    struct iovec iov[MESSAGES];
    unsigned before = f->in_flight;

    for (unsigned i = 0; i < MESSAGES; i++) {
        iov[i] = (struct iovec){ p->in + (size_t)i * SPAN_MAX, SPAN_MAX };
        msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
        if (p->packed) {
            msgs[i].msg_hdr.msg_control = &controls[i];
            msgs[i].msg_hdr.msg_controllen = sizeof controls[i];
        }
    }
    int n = recvmmsg(f->fd, msgs, MESSAGES, 0, NULL);
    for (int i = 0; i < n; i++) {
        size_t left = msgs[i].msg_len;
        const char *at = iov[i].iov_base;
        size_t segment = segment_of(&msgs[i].msg_hdr, left);
        while (left > 0 && p->failure == 0) {
            size_t part = left < segment ? left : segment;
            take(p, f, at, part);
            at += part;
            left -= part;
        }
    }
    return before - f->in_flight;
}

/* ---- running ---- */

static void give_up(struct party *p, struct flow *f)
{
    if (p->now - f->heard < lost_after)
        return;
    if (p->now >= p->begin)
        p->r->unanswered += f->in_flight;
    f->oldest = f->next;
    f->in_flight = 0;
    f->heard = p->now;
    send_some(p, f, p->o->pipeline);
}

static void step(struct party *p)
{
    int64_t before = p->now;
    int ready = poll(p->polls, p->o->connections, p->o->spin ? 0 : 10);

    p->now = load_clock_ns(CLOCK_MONOTONIC);
    if (ready <= 0)
        p->r->client_idle_ns += p->now - before;
    for (unsigned i = 0; i < p->o->connections && p->failure == 0; i++) {
        struct flow *f = &p->flows[i];
        unsigned answered = ready > 0 && p->polls[i].revents != 0 ? receive(p, f) : 0;
        if (answered > 0) {
            f->heard = p->now;
            send_some(p, f, answered);
        } else {
            give_up(p, f);
        }
    }
}

static void run_until(struct party *p, int64_t limit)
{
    while (p->now < limit && p->failure == 0)
        step(p);
}

static int init(struct party *p)
{
    p->flows = calloc(p->o->connections, sizeof *p->flows);
    p->polls = calloc(p->o->connections, sizeof *p->polls);
    p->out = malloc(SPAN_MAX);
    p->in = malloc((size_t)MESSAGES * SPAN_MAX);
    if (p->flows == NULL || p->polls == NULL || p->out == NULL || p->in == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < SPAN_MAX; i++)
        p->out[i] = (char)('!' + i % p->size % 89);
    for (unsigned i = 0; i < p->o->connections; i++)
        p->flows[i].fd = -1;
    for (unsigned i = 0; i < p->o->connections; i++) {
        int rc = open_flow(p, &p->flows[i]);
        if (rc < 0)
            return rc;
        p->polls[i] = (struct pollfd){ .fd = p->flows[i].fd, .events = POLLIN };
    }
    return 0;
}

static void deinit(struct party *p)
{
    for (unsigned i = 0; p->flows != NULL && i < p->o->connections; i++)
        if (p->flows[i].fd >= 0)
            close(p->flows[i].fd);
    free(p->flows);
    free(p->polls);
    free(p->out);
    free(p->in);
}

int load_datagram_run(const struct load_options *o, size_t size, bool packed, struct load_result *r)
{
    struct party p = { .o = o, .r = r, .size = size, .packed = packed };

    *r = (struct load_result){ 0 };
    int rc = init(&p);
    if (rc == 0) {
        p.now = load_clock_ns(CLOCK_MONOTONIC);
        p.begin = p.now + o->warmup_ns;
        for (unsigned i = 0; i < o->connections; i++) {
            p.flows[i].heard = p.now;
            send_some(&p, &p.flows[i], o->pipeline);
        }
        run_until(&p, p.begin);
        load_account_begin(o, r);
        run_until(&p, p.begin + o->duration_ns);
        load_account_end(o, r);
        rc = p.failure;
    }
    deinit(&p);
    return rc;
}
