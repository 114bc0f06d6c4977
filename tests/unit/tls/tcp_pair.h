/* SPDX-License-Identifier: MIT */

/* Connections over loopback, made without a fiber. */
#ifndef THI_TEST_TLS_TCP_PAIR_H
#define THI_TEST_TLS_TCP_PAIR_H

#include "check_main.h"

#include "net/socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

/* Both ends, which block; the first one was accepted. With little room in them if it is narrow. */
static inline void connect_both(int fds[2], bool narrow)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof sa;
    int room = 8192;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert(listener >= 0 && fds[1] >= 0);
    if (narrow) {
        setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
        setsockopt(fds[1], SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    }
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&sa, len), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&sa, &len), 0);
    ck_assert_int_eq(connect(fds[1], (struct sockaddr *)&sa, len), 0);
    fds[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    ck_assert_int_ge(fds[0], 0);
    close(listener);
}

/* A stream of ours on a descriptor, which it owns. */
static inline th_stream *adopt(int fd)
{
    thi_socket *socket = NULL;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    ck_assert_int_eq(thi_socket_new(fd, &socket), 0);
    return &socket->base;
}

#endif
