/* SPDX-License-Identifier: MIT */

/*
 * Opening and dialling datagram sockets, by addresses and names.
 *
 * A name may have several addresses. To connect a datagram socket asks nobody but this machine
 * whether there is a way, so there is no race among them: the first one to which there is a way is
 * taken.
 */
#include "net/udp.h"

#include "base/error.h"
#include "net/addr.h"
#include "net/inherit.h"
#include "sys/sys.h"

#include <thrum/names.h>

#include <string.h>

/* Binds to *local and, where there is a peer, connects. */
static int open_socket(th_addr *local, const th_addr *peer, const th_udp_opts *opts, th_udp **out)
{
    thi_sockfile file = { .made = false };
    int family = thi_addr_family(local);
    int fd = thi_udp_socket(family, opts);
    if (fd < 0)
        return fd;
    int err = thi_udp_bind(fd, opts, local, &file);
    if (err == 0 && peer)
        err = thi_udp_aim(fd, peer);
    if (err == 0)
        err = thi_udp_new(fd, family, opts, out);
    if (err < 0) {
        thi_sockfile_remove(&file, local);
        thi_sys_close(fd);
        return thi_err_clear(err);
    }
    (*out)->file = file;
    (*out)->connected = peer != NULL;
    return 0;
}

static int may_open(const char *address, const th_udp_opts *opts, th_udp **udp)
{
    if (!address || !udp || !thi_udp_opts_valid(opts))
        return -EINVAL;
    return thi_worker_self ? 0 : -EPERM;
}

/* One that the process was given: it stays its owner's if it cannot be used. */
static int open_inherited(const char *address, const th_udp_opts *opts, th_udp **udp)
{
    th_addr local;
    thi_sockaddr sa;
    socklen_t len = sizeof sa;
    int fd = thi_udp_inherit(address, opts, &local);
    int err = fd < 0 ? fd : thi_udp_new(fd, thi_addr_family(&local), opts, udp);
    if (fd >= 0 && err < 0) {
        thi_inherit_release(fd);
        return thi_err_set(err, "no datagram socket at %.100s", address);
    }
    if (err < 0)
        return err;
    (*udp)->inherited = true;
    (*udp)->connected = thi_sys_getpeername(fd, &sa.sa, &len) == 0;
    return 0;
}

int th_udp_open(const char *address, const th_udp_opts *opts, th_udp **udp)
{
    th_addr local;
    int err = may_open(address, opts, udp);
    if (err < 0)
        return thi_err_clear(err);
    if (thi_inherit_means(address))
        return open_inherited(address, opts, udp);
    err = thi_udp_address(address, &local);
    if (err < 0)
        return err;
    err = open_socket(&local, NULL, opts, udp);
    return err < 0 ? thi_udp_say(err, "at", address) : 0;
}

/* ---- dialling ---- */

static int dial_addr(const th_addr *peer, const th_udp_opts *opts, th_udp **udp)
{
    th_addr local = { .kind = peer->kind };
    return open_socket(&local, peer, opts, udp);
}

/* Takes "HOST:PORT" apart; false when it is something else. */
static bool split(const char *text, char host[TH_NAME_TEXT], const char **port)
{
    const char *start = strncmp(text, "udp://", 6) == 0 ? text + 6 : text;
    const char *colon = strrchr(start, ':');
    size_t len = colon ? (size_t)(colon - start) : 0;
    if (len == 0 || len >= TH_NAME_TEXT || strncmp(start, "unix:", 5) == 0 || *start == '[')
        return false;
    memcpy(host, start, len);
    host[len] = '\0';
    *port = colon + 1;
    return **port != '\0';
}

static int dial_name(const char *host, const char *port, const th_udp_opts *opts, th_udp **udp)
{
    th_answer *answer = NULL;
    int err = th_resolve(host, port, NULL, &answer);
    if (err < 0)
        return err;
    err = -EHOSTUNREACH;
    for (size_t i = 0; i < answer->count && err < 0; i++)
        err = dial_addr(&answer->addrs[i], opts, udp);
    th_answer_free(answer);
    return err;
}

int th_udp_dial(const char *address, const th_udp_opts *opts, th_udp **udp)
{
    char host[TH_NAME_TEXT];
    const char *port;
    th_addr peer;
    int err = may_open(address, opts, udp);
    if (err < 0)
        return thi_err_clear(err);
    err = thi_udp_address(address, &peer);
    if (err == 0)
        err = dial_addr(&peer, opts, udp);
    else if (!split(address, host, &port))
        return err;
    else
        err = dial_name(host, port, opts, udp);
    return err < 0 ? thi_udp_say(err, "to", address) : 0;
}
