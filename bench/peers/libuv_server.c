/* SPDX-License-Identifier: MIT */

/*
 * What a callback library costs: the servers of raw_epoll.c, written with libuv.
 *
 * `libuv_server http PORT` counts empty lines and answers without parsing; `libuv_server echo PORT`
 * sends back what it read; `libuv_server udp PORT` sends back datagrams, received with recvmmsg(2)
 * where it can, and sent by uv_udp_try_send(), since libuv has no call for several before 1.50.
 * Written as libuv is meant to be used for speed: uv_try_write() first, a queued write only for
 * what the socket did not take.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum {
    READ_SIZE = 64 * 1024,
    BACKLOG = 4096,
    ANSWERS = 256,
};

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                             "Content-Length: 13\r\n\r\nhello, world\n";
enum { ANSWER_SIZE = sizeof answer - 1 };

struct conn {
    uv_tcp_t tcp;     /* first, so that a handle is a connection */
    unsigned matched; /* bytes of "\r\n\r\n" at the end of the previous read */
};

struct write_later {
    uv_write_t request; /* first, so that a request is one of these */
    char bytes[];
};

static bool http;
static char answers[ANSWERS * ANSWER_SIZE];
static char buffer[READ_SIZE]; /* one for all: a read is consumed before the next one begins */

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

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void conn_close(uv_stream_t *stream)
{
    if (!uv_is_closing((uv_handle_t *)stream))
        uv_close((uv_handle_t *)stream, on_closed);
}

static void on_written(uv_write_t *request, int status)
{
    if (status < 0)
        conn_close(request->handle);
    free(request);
}

static void write_all(uv_stream_t *stream, char *bytes, size_t size)
{
    uv_buf_t whole = uv_buf_init(bytes, (unsigned)size);
    int n = uv_try_write(stream, &whole, 1);
    size_t sent = n > 0 ? (size_t)n : 0;

    if (n < 0 && n != UV_EAGAIN) {
        conn_close(stream);
        return;
    }
    if (sent == size)
        return;
    struct write_later *later = malloc(sizeof *later + size - sent);
    if (later == NULL) {
        conn_close(stream);
        return;
    }
    memcpy(later->bytes, bytes + sent, size - sent);
    uv_buf_t rest = uv_buf_init(later->bytes, (unsigned)(size - sent));
    if (uv_write(&later->request, stream, &rest, 1, on_written) != 0) {
        free(later);
        conn_close(stream);
    }
}

static void on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    (void)handle;
    (void)suggested;
    *out = uv_buf_init(buffer, sizeof buffer);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *read)
{
    struct conn *c = (struct conn *)stream;

    if (n < 0) {
        conn_close(stream);
    } else if (n > 0 && !http) {
        write_all(stream, read->base, (size_t)n);
    } else if (n > 0) {
        unsigned count = count_requests(&c->matched, read->base, (size_t)n);
        for (; count > ANSWERS; count -= ANSWERS)
            write_all(stream, answers, sizeof answers);
        if (count > 0)
            write_all(stream, answers, (size_t)count * ANSWER_SIZE);
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct conn *c = status == 0 ? calloc(1, sizeof *c) : NULL;

    if (c == NULL)
        return;
    if (uv_tcp_init(listener->loop, &c->tcp) != 0) {
        free(c);
        return;
    }
    uv_stream_t *stream = (uv_stream_t *)&c->tcp;
    if (uv_accept(listener, stream) != 0 || uv_tcp_nodelay(&c->tcp, 1) != 0 ||
        uv_read_start(stream, on_buffer, on_read) != 0)
        conn_close(stream);
}

/* ---- datagrams ---- */

enum {
    DATAGRAM_SIZE = 64 * 1024,
    DATAGRAMS = 20
}; /* what libuv wants for each, and takes at most */

static char datagrams[DATAGRAMS * DATAGRAM_SIZE];

static void on_datagram_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    (void)handle;
    (void)suggested;
    *out = uv_buf_init(datagrams, sizeof datagrams);
}

static void on_datagram(uv_udp_t *udp, ssize_t n, const uv_buf_t *read, const struct sockaddr *from,
                        unsigned flags)
{
    (void)flags;
    if (n > 0 && from != NULL) {
        uv_buf_t back = uv_buf_init(read->base, (unsigned)n);
        (void)uv_udp_try_send(udp, &back, 1, from);
    }
}

static int serve_datagrams(uv_loop_t *loop, const struct sockaddr_in *at)
{
    static uv_udp_t udp;
    int size = 1 << 20;

    if (uv_udp_init_ex(loop, &udp, AF_INET | UV_UDP_RECVMMSG) != 0 ||
        uv_udp_bind(&udp, (const struct sockaddr *)at, 0) != 0 ||
        uv_recv_buffer_size((uv_handle_t *)&udp, &size) != 0 ||
        uv_udp_recv_start(&udp, on_datagram_buffer, on_datagram) != 0) {
        fprintf(stderr, "libuv_server: cannot receive on that port\n");
        return 1;
    }
    return uv_run(loop, UV_RUN_DEFAULT);
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    struct sockaddr_in at;
    uv_tcp_t listener;

    if (argc != 3 || uv_ip4_addr("127.0.0.1", atoi(argv[2]), &at) != 0) {
        fprintf(stderr, "libuv_server http|echo|udp PORT\n");
        return 1;
    }
    if (strcmp(argv[1], "udp") == 0)
        return serve_datagrams(loop, &at);
    http = strcmp(argv[1], "http") == 0;
    for (unsigned i = 0; i < ANSWERS; i++)
        memcpy(answers + (size_t)i * ANSWER_SIZE, answer, ANSWER_SIZE);
    uv_tcp_init(loop, &listener);
    if (uv_tcp_bind(&listener, (const struct sockaddr *)&at, 0) != 0 ||
        uv_listen((uv_stream_t *)&listener, BACKLOG, on_connection) != 0) {
        fprintf(stderr, "libuv_server: cannot listen on port %s\n", argv[2]);
        return 1;
    }
    return uv_run(loop, UV_RUN_DEFAULT);
}
