/* SPDX-License-Identifier: MIT */

/* Datagram sockets of a test, and bare ones of the kernel to talk to them. */
#ifndef THI_TEST_NET_UDP_SOCKETS_H
#define THI_TEST_NET_UDP_SOCKETS_H

#include "runtime/in_fiber.h"

#include "net/addr.h"
#include "net/udp.h"
#include "sys/sys.h"

#include <thrum/udp.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* A socket at any port of this machine. */
static inline th_udp *open_with(const th_udp_opts *opts)
{
    th_udp *udp = NULL;
    ck_assert_int_eq(th_udp_open("udp://127.0.0.1:0", opts, &udp), 0);
    return udp;
}

static inline th_udp *open_udp(void)
{
    return open_with(NULL);
}

static inline th_addr local_of(const th_udp *udp)
{
    th_addr addr;
    ck_assert_int_eq(th_udp_local(udp, &addr), 0);
    return addr;
}

static inline th_udp *dial_to(const th_addr *addr, const th_udp_opts *opts)
{
    char text[TH_ADDR_TEXT];
    th_udp *udp = NULL;
    ck_assert_int_eq(th_udp_dial(th_addr_format(addr, text, sizeof text), opts, &udp), 0);
    return udp;
}

/* Two that are connected to each other. */
static inline void open_couple(th_udp **a, th_udp **b)
{
    *a = open_udp();
    th_addr there = local_of(*a);
    *b = dial_to(&there, NULL);
    th_addr back = local_of(*b);
    ck_assert_int_eq(th_udp_connect(*a, &back), 0);
}

static inline void send_text(th_udp *udp, const char *text, const th_addr *to)
{
    ck_assert_int_eq(th_udp_send(udp, text, strlen(text), to), 0);
}

/* Receives one that must be this text. */
static inline void receive_text(th_udp *udp, const char *text)
{
    char buf[256] = "";
    ck_assert_int_eq(th_udp_recv(udp, buf, sizeof buf - 1, NULL, NULL), (ssize_t)strlen(text));
    ck_assert_str_eq(buf, text);
}

/* An address at which nobody is. */
static inline th_addr dead_address(void)
{
    th_udp *udp = open_udp();
    th_addr addr = local_of(udp);
    th_udp_free(udp);
    return addr;
}

static inline void let_others_run(void)
{
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(th_yield(), 0);
}

/* What a receiving fiber of its own got. */
typedef struct receiving {
    th_udp *udp;
    ssize_t result;
    char buf[64];
    th_addr peer;
} receiving;

static inline int receive_once(void *arg)
{
    receiving *r = arg;
    r->result = th_udp_recv(r->udp, r->buf, sizeof r->buf - 1, &r->peer, NULL);
    return 0;
}

#endif
