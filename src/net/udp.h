/* SPDX-License-Identifier: MIT */

/*
 * A datagram socket on a worker, and how its fibers take turns.
 *
 * Many fibers may wait to receive, and many to send. An event wakes the first of them; whoever
 * leaves a call sees to it that the next one is woken if there is reason, or that the loop will
 * tell. So a datagram wakes one fiber and not all.
 */
#ifndef THI_NET_UDP_H
#define THI_NET_UDP_H

#include "net/udp_outbox.h"
#include "net/udp_socket.h"
#include "runtime/sched.h"

struct th_udp {
    thi_watch watch;
    thi_worker *worker;
    thi_list readers; /* fibers that wait to receive, the oldest first */
    thi_list writers;
    int family;
    th_addr local;
    thi_sockfile file;
    bool connected;
    bool errors;   /* made so: what came back is told */
    bool coalesce; /* made so: a message may be several datagrams */
    bool told;     /* something is told with each datagram */
    bool closed;
    bool inherited;     /* its number is free to be taken again when it is let go */
    bool ending;        /* receiving is over when nothing is left */
    bool returned_news; /* `returned` has not been reported yet */
    bool returned_any;
    th_udp_returned_info returned; /* the last one */
    thi_udp_outbox *outbox;        /* made when a batch is first sent */
};

/* A socket of the calling worker of a descriptor, which it owns on success. */
TH_MUST int thi_udp_new(int fd, int family, const th_udp_opts *opts, th_udp **udp);

/*
 * One call of a fiber in one direction (THI_READ, THI_WRITE): `attempt` is made, again and again
 * after a wait as long as it gives -EAGAIN, until the scope or the end of the socket says
 * otherwise.
 */
typedef ssize_t thi_udp_attempt(th_udp *udp, void *call);
TH_MUST ssize_t thi_udp_step(th_udp *udp, unsigned dir, thi_udp_attempt *attempt, void *call);

/* What an attempt to receive looks at when there is no datagram: the next one that came back, if
 * the socket was made to tell; -EAGAIN when there is none. */
TH_MUST ssize_t thi_udp_next_returned(th_udp *udp, ssize_t result);

/* Ends receiving once nothing is left. */
void thi_udp_end(th_udp *udp);

/* Whether a target fits a socket: one that is connected needs none, any other does. 0 or -errno. */
static inline int thi_udp_check_target(const th_udp *udp, const th_addr *to)
{
    if (to && udp->connected)
        return -EISCONN;
    return !to && !udp->connected ? -EDESTADDRREQ : 0;
}

#endif
