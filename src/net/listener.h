/* SPDX-License-Identifier: MIT */

/* Listening sockets: made once, shared by all workers. */
#ifndef THI_NET_LISTENER_H
#define THI_NET_LISTENER_H

#include "net/networks.h"
#include "net/tune.h"

#include <thrum/serve.h>

#include <sys/types.h>

struct th_listener {
    int fd; /* -1 once it has been retired */
    th_addr addr;
    dev_t dev; /* of the Unix socket file that was made here */
    ino_t ino;
    bool made_file;
    bool inherited;
    bool tls;         /* what is accepted here speaks TLS */
    char *tls_params; /* what its address said of that, behind a '?'; NULL: nothing */
    bool has_own;     /* there are options to be set on each connection */
    th_tune tune;     /* all options asked for */
    int proxy;        /* TH_PROXY_* */
    thi_networks proxy_from;
    int64_t proxy_time;
};

/*
 * Stops listening, as th_listener_close() does, but leaves the object to its owner. No worker may
 * watch it any more.
 */
void thi_listener_retire(th_listener *listener);

/* What a connection from an address has to begin with. */
typedef enum thi_proxy_rule {
    THI_PROXY_PLAIN,   /* no header: it is the client's own */
    THI_PROXY_HEADER,  /* a header */
    THI_PROXY_STRANGER /* nobody who is believed may come here */
} thi_proxy_rule;

thi_proxy_rule thi_listener_proxy_rule(const th_listener *listener, const th_addr *from);

#endif
