/* SPDX-License-Identifier: MIT */

/*
 * A storm of newcomers: clients that do nothing but full handshakes of TLS 1.3.
 *
 * One thread with so many connections under way; as soon as one has its handshake it is closed, and
 * the next one begins. Prints the handshakes that were made in each second, and at the end how many
 * there were in all and how many failed.
 *
 * usage: storm PORT CONNECTIONS SECONDS
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct client {
    SSL *ssl;
    int fd;
} client;

static SSL_CTX *ctx;
static struct sockaddr_in server;
static long made;
static long failed;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool begin(client *c, struct pollfd *p)
{
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return false;
    if (connect(c->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS) {
        close(c->fd);
        return false;
    }
    c->ssl = SSL_new(ctx);
    if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1)
        exit(1);
    SSL_set_connect_state(c->ssl);
    *p = (struct pollfd){ .fd = c->fd, .events = POLLOUT };
    return true;
}

/* Ends without a word, and without leaving the port in use. */
static void end(client *c, bool good)
{
    struct linger reset = { .l_onoff = 1 };
    (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    SSL_free(c->ssl);
    close(c->fd);
    c->fd = -1;
    if (good)
        made++;
    else
        failed++;
}

static void go_on(client *c, struct pollfd *p)
{
    ERR_clear_error();
    int result = SSL_do_handshake(c->ssl);
    if (result == 1) {
        end(c, true);
        return;
    }
    switch (SSL_get_error(c->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        p->events = POLLIN;
        break;
    case SSL_ERROR_WANT_WRITE:
        p->events = POLLOUT;
        break;
    default:
        end(c, false);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    int count = atoi(argv[2]);
    double until = now() + atof(argv[3]);
    client *clients = calloc((size_t)count, sizeof *clients);
    struct pollfd *polls = calloc((size_t)count, sizeof *polls);
    ctx = SSL_CTX_new(TLS_client_method());
    if (!clients || !polls || !ctx)
        return 1;
    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    server = (struct sockaddr_in){ .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)atoi(argv[1])),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    for (int i = 0; i < count; i++)
        clients[i].fd = -1;
    double began = now();
    while (now() < until) {
        for (int i = 0; i < count; i++)
            if (clients[i].fd < 0 && !begin(&clients[i], &polls[i]))
                polls[i].fd = -1;
        if (poll(polls, (nfds_t)count, 100) < 0)
            break;
        for (int i = 0; i < count; i++)
            if (clients[i].fd >= 0 && polls[i].revents)
                go_on(&clients[i], &polls[i]);
    }
    printf("%.0f handshakes per second, %ld failed\n", (double)made / (now() - began), failed);
    return made == 0;
}
