/* SPDX-License-Identifier: MIT */

/*
 * The upper bound: what one core can do over TCP with plain epoll and no work at all.
 *
 * `raw_epoll http PORT` does not parse. It counts the empty lines in what it reads, which is the
 * number of requests as long as none has a body, and answers them all with one send(). `raw_epoll
 * echo PORT` sends back what it read. Edge-triggered; each descriptor is registered once; a read
 * that did not fill the buffer has emptied the socket and is not repeated. A server that parses,
 * routes and schedules can approach these figures but not honestly beat them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS = 256,
    READ_SIZE = 64 * 1024,
    BACKLOG = 4096,
    ANSWERS = 256, /* answers that stand ready in a row */
};

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                             "Content-Length: 13\r\n\r\nhello, world\n";
enum { ANSWER_SIZE = sizeof answer - 1 };

struct conn {
    int fd;
    unsigned matched; /* http: bytes of "\r\n\r\n" at the end of the previous read */
    size_t unsent;    /* http: bytes of answers still owed */
    char *pending;    /* echo: bytes the socket did not take, NULL if none */
    size_t pending_size;
};

static char answers[ANSWERS * ANSWER_SIZE];
static char buffer[READ_SIZE];

/* Counts the empty lines that end in `size` bytes; *matched carries a partial one over. */
static unsigned count_requests(unsigned *matched, const char *bytes, size_t size)
{
    static const char end[] = "\r\n\r\n";
    unsigned count = 0;

    while (size > 0) {
        if (*matched == 0) {
            const char *at = memchr(bytes, '\r', size);
            if (at == NULL)
                break;
            size -= (size_t)(at - bytes);
            bytes = at;
        }
        *matched = *bytes == end[*matched] ? *matched + 1 : *bytes == '\r';
        if (*matched == 4) {
            count++;
            *matched = 0;
        }
        bytes++;
        size--;
    }
    return count;
}

/* Sends what is owed. False on a broken connection. */
static bool send_answers(struct conn *c)
{
    while (c->unsent > 0) {
        size_t at = (ANSWER_SIZE - c->unsent % ANSWER_SIZE) % ANSWER_SIZE;
        size_t all = sizeof answers - at;
        ssize_t n = send(c->fd, answers + at, c->unsent < all ? c->unsent : all,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN;
        c->unsent -= (size_t)n;
    }
    return true;
}

/* Keeps what could not be echoed; nothing more is read until it is gone. */
static bool keep(struct conn *c, const char *bytes, size_t size)
{
    c->pending = malloc(size);
    if (c->pending == NULL)
        return false;
    memcpy(c->pending, bytes, size);
    c->pending_size = size;
    return true;
}

static bool echo(struct conn *c, const char *bytes, size_t size)
{
    ssize_t n = send(c->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0 && errno != EAGAIN)
        return false;
    size_t sent = n > 0 ? (size_t)n : 0;
    return sent == size || keep(c, bytes + sent, size - sent);
}

static bool send_pending(struct conn *c)
{
    char *bytes = c->pending;

    c->pending = NULL;
    bool ok = echo(c, bytes, c->pending_size);
    free(bytes);
    return ok;
}

/* Handles one event. False when the connection has ended. */
static bool serve(struct conn *c, bool http)
{
    ssize_t n = READ_SIZE;

    if (c->pending != NULL && !send_pending(c))
        return false;
    while (n == READ_SIZE && c->pending == NULL) {
        n = recv(c->fd, buffer, READ_SIZE, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return false;
        if (n > 0 && !http && !echo(c, buffer, (size_t)n))
            return false;
        if (n > 0 && http)
            c->unsent += ANSWER_SIZE * (size_t)count_requests(&c->matched, buffer, (size_t)n);
    }
    return send_answers(c);
}

static void conn_close(struct conn *c)
{
    close(c->fd);
    free(c->pending);
    free(c);
}

static void accept_all(int epoll, int listener)
{
    const int on = 1;
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct conn *c = calloc(1, sizeof *c);
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                     .data.ptr = c };
        if (c == NULL || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
            epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
            close(fd);
            free(c);
            continue;
        }
        c->fd = fd;
    }
}

static int listen_on(uint16_t port)
{
    const struct sockaddr_in at = { .sin_family = AF_INET,
                                    .sin_port = htons(port),
                                    .sin_addr = { htonl(INADDR_LOOPBACK) } };
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&at, sizeof at) != 0 || listen(fd, BACKLOG) != 0)
        return -1;
    return fd;
}

int main(int argc, char **argv)
{
    bool http = argc == 3 && strcmp(argv[1], "http") == 0;
    int listener = argc == 3 ? listen_on((uint16_t)atoi(argv[2])) : -1;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS] = { { .events = EPOLLIN, .data.ptr = NULL } };

    if (argc != 3 || listener < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, events) != 0) {
        perror("raw_epoll http|echo PORT");
        return 1;
    }
    for (unsigned i = 0; i < ANSWERS; i++)
        memcpy(answers + (size_t)i * ANSWER_SIZE, answer, ANSWER_SIZE);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (c == NULL)
                accept_all(epoll, listener);
            else if (!serve(c, http))
                conn_close(c);
        }
    }
}
