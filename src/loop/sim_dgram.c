/* SPDX-License-Identifier: MIT */

/*
 * Datagram sockets, with the manners of Linux.
 *
 * A message goes whole or not at all. One that the sender wants to be split (UDP_SEGMENT) becomes
 * several. Unix sockets have no way to go: the receiver's inbox has room, or the sender is told
 * EAGAIN; only who is connected hears when that has changed.
 */
#include "loop/sim_dgram.h"

#include "base/alloc.h"
#include "base/util.h"
#include "loop/sim_choice.h"
#include "loop/sim_connect.h"
#include "loop/sim_fault.h"
#include "loop/sim_group.h"
#include "loop/sim_mail.h"
#include "loop/sim_name.h"
#include "loop/sim_sockopt.h"

#include <errno.h>
#include <limits.h>
#include <linux/errqueue.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <string.h>

#define SIZE_MAX_IP   65507
#define SIZE_MAX_UNIX 212000

int thi_sim_dgram_init(thi_sim *w, thi_sim_endpoint *ep)
{
    ep->mail = thi_calloc(1, sizeof *ep->mail);
    if (!ep->mail)
        return -ENOMEM;
    thi_list_init(&ep->mail->inbox);
    thi_list_init(&ep->mail->returned);
    thi_list_init(&ep->mail->groups);
    thi_list_init(&ep->mail->turned_away);
    thi_list_init(&ep->mail->waits);
    ep->mail->owner = ep;
    ep->mail->id = ++w->last_mail;
    return 0;
}

static void free_letters(thi_list *letters)
{
    while (!thi_list_empty(letters))
        thi_free(thi_list_item(thi_list_pop_front(letters), thi_sim_letter, link));
}

void thi_sim_dgram_leave(thi_sim_endpoint *ep)
{
    if (!ep->mail)
        return;
    thi_list_remove(&ep->mail->waits);
    thi_sim_mail_tell_room(ep->mail);
    free_letters(&ep->mail->inbox);
    free_letters(&ep->mail->returned);
    thi_sim_group_clear(ep);
    thi_free(ep->mail);
    ep->mail = NULL;
}

static int take_error(thi_sim_endpoint *ep)
{
    int error = ep->error;
    ep->error = 0;
    return -error;
}

/* ---- Unix addresses ---- */

/* The socket that is bound to a Unix address, or NULL with the reason. */
static thi_sim_endpoint *find_unix(thi_sim *w, const thi_sim_addr *addr, int *err)
{
    char text[sizeof addr->u.un.sun_path + 1] = { 0 };
    memcpy(text, addr->u.un.sun_path, addr->len - offsetof(struct sockaddr_un, sun_path));
    uint64_t inode = text[0] != '\0' ? thi_sim_name_inode(w, text) : 0;
    thi_list_each (node, &w->bound) {
        thi_sim_endpoint *ep = thi_list_item(node, thi_sim_endpoint, bound);
        bool found = text[0] != '\0' ? inode > 0 && ep->inode == inode
                                     : thi_sim_addr_equal(&ep->local, addr);
        if (ep->family != AF_UNIX || !found)
            continue;
        *err = ep->mail ? 0 : -EPROTOTYPE;
        return ep->mail ? ep : NULL;
    }
    *err = inode > 0 || text[0] == '\0' ? -ECONNREFUSED : -ENOENT;
    return NULL;
}

/* ---- connecting ---- */

/* What the kernel does before a socket without an address first sends. */
static int bind_if_need_be(thi_sim *w, thi_sim_endpoint *ep)
{
    if (ep->local.len > 0 || ep->family == AF_UNIX)
        return 0;
    thi_sim_addr any = thi_sim_addr_any(ep->family);
    return thi_sim_bind(w, ep, &any.u.sa, any.len);
}

static void disconnect(thi_sim_endpoint *ep)
{
    thi_list_remove(&ep->mail->waits);
    ep->state = THI_SIM_FRESH;
    ep->peer.len = 0;
    ep->mail->peer = 0;
}

int thi_sim_dgram_connect(thi_sim *w, thi_sim_endpoint *ep, const struct sockaddr *sa, socklen_t n)
{
    thi_sim_addr peer;
    thi_sim_endpoint *found = NULL;
    if (sa && n >= sizeof(sa_family_t) && sa->sa_family == AF_UNSPEC) {
        disconnect(ep);
        return 0;
    }
    int err = thi_sim_addr_read(sa, n, ep->family, &peer);
    if (err == 0 && ep->family == AF_UNIX)
        found = find_unix(w, &peer, &err);
    if (err == 0)
        err = bind_if_need_be(w, ep);
    if (err < 0)
        return err;
    if (ep->family != AF_UNIX)
        thi_sim_addr_aim(&peer);
    thi_list_remove(&ep->mail->waits);
    ep->peer = peer;
    ep->mail->peer = found ? found->mail->id : 0;
    ep->state = THI_SIM_CONNECTED;
    return 0;
}

/* ---- sending ---- */

/* Where a message goes: *to, or -errno. */
static int target_of(thi_sim_endpoint *ep, const struct msghdr *msg, thi_sim_addr *to)
{
    if (!msg->msg_name || msg->msg_namelen == 0) {
        *to = ep->peer;
        if (ep->state == THI_SIM_CONNECTED)
            return 0;
        return ep->family == AF_UNIX ? -ENOTCONN : -EDESTADDRREQ;
    }
    int err = thi_sim_addr_read(msg->msg_name, msg->msg_namelen, ep->family, to);
    if (err < 0 || ep->family == AF_UNIX)
        return err;
    thi_sim_addr_aim(to);
    if (thi_sim_addr_port(to) == 0)
        return -EINVAL;
    bool broadcast =
        to->u.sa.sa_family == AF_INET && to->u.in.sin_addr.s_addr == htonl(INADDR_BROADCAST);
    return broadcast && !thi_sim_sockopt_int(ep, SOL_SOCKET, SO_BROADCAST) ? -EACCES : 0;
}

/* The sender's own address, as its peer sees it: this machine has whichever was meant. */
static thi_sim_addr source_of(const thi_sim_endpoint *ep, const thi_sim_addr *to)
{
    if (ep->family == AF_UNIX || !thi_sim_addr_is_any(&ep->local))
        return ep->local;
    thi_sim_addr from = thi_sim_group_is(to) ? thi_sim_addr_any(ep->family) : *to;
    thi_sim_addr_aim(&from);
    thi_sim_addr_set_port(&from, thi_sim_addr_port(&ep->local));
    return from;
}

/* In pieces of which size the message is to be sent; 0: as one. */
static size_t segment_of(const struct msghdr *msg)
{
    struct msghdr m = *msg;
    uint16_t segment = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_SEGMENT)
            memcpy(&segment, CMSG_DATA(c), sizeof segment);
    return segment;
}

/* Who is connected finds the socket itself and not its name, and has no peer once that is gone. */
static int deliver_unix(thi_sim *w, thi_sim_endpoint *sender, thi_sim_letter *letter)
{
    int err;
    thi_sim_endpoint *ep = find_unix(w, &letter->to, &err);
    if (sender->state == THI_SIM_CONNECTED && (!ep || ep->mail->id != sender->mail->peer)) {
        disconnect(sender);
        return -ECONNREFUSED;
    }
    if (ep && thi_sim_mail_is_full(ep)) {
        thi_list_remove(&sender->mail->waits);
        if (sender->state == THI_SIM_CONNECTED)
            thi_list_push_back(&ep->mail->turned_away, &sender->mail->waits);
        return -EAGAIN;
    }
    if (ep)
        thi_sim_mail_deliver(w, ep, letter);
    return err;
}

/* Copies from a position of the pieces on. */
static thi_sim_letter *write_letter(const struct msghdr *msg, size_t at, size_t size)
{
    const struct iovec *iov = msg->msg_iov;
    size_t count = msg->msg_iovlen;
    thi_sim_letter *letter = thi_sim_letter_new(NULL, 0, size);
    size_t done = 0;
    for (size_t i = 0; letter && i < count && done < size; i++) {
        if (at >= iov[i].iov_len) {
            at -= iov[i].iov_len;
            continue;
        }
        size_t n = thi_min(iov[i].iov_len - at, size - done);
        memcpy(letter->data + done, (const char *)iov[i].iov_base + at, n);
        done += n;
        at = 0;
    }
    return letter;
}

static int send_letter(thi_sim *w, thi_sim_endpoint *ep, const thi_sim_addr *to,
                       thi_sim_letter *letter)
{
    if (!letter)
        return -ENOMEM;
    letter->to = *to;
    letter->from = source_of(ep, to);
    if (ep->family != AF_UNIX) {
        thi_sim_mail_post(w, ep, letter);
        return 0;
    }
    int err = deliver_unix(w, ep, letter);
    if (err < 0)
        thi_free(letter);
    return err;
}

/* What a message meets before it is on its way. */
static int obstacle(thi_sim *w, thi_sim_endpoint *ep, size_t size)
{
    if (ep->error)
        return take_error(ep);
    if (size > (ep->family == AF_UNIX ? SIZE_MAX_UNIX : SIZE_MAX_IP))
        return -EMSGSIZE;
    if (thi_sim_fault(w, TH_SIM_NO_BUFFERS))
        return thi_sim_draw(w, 0, 1) == 0 ? -ENOBUFS : -ENOMEM;
    if (thi_sim_fault(w, TH_SIM_AGAIN)) {
        thi_sim_nudge(w, &ep->desc);
        return -EAGAIN;
    }
    return bind_if_need_be(w, ep);
}

ssize_t thi_sim_dgram_sendmsg(thi_sim *w, thi_sim_endpoint *ep, const struct msghdr *msg)
{
    thi_sim_addr to;
    size_t size = thi_sim_iov_size(msg->msg_iov, (int)thi_min(msg->msg_iovlen, (size_t)IOV_MAX));
    int err = target_of(ep, msg, &to);
    if (err == 0)
        err = obstacle(w, ep, size);
    size_t segment = err == 0 ? segment_of(msg) : 0;
    size_t step = segment > 0 ? segment : thi_max(size, (size_t)1);
    size_t at = 0;
    while (err == 0) {
        size_t n = thi_min(step, size - at);
        err = send_letter(w, ep, &to, write_letter(msg, at, n));
        at += n;
        if (at >= size)
            break;
    }
    return err < 0 ? err : (ssize_t)size;
}

/* ---- receiving ---- */

static void append(struct msghdr *msg, socklen_t room, int level, int type, const void *data,
                   size_t size)
{
    if (msg->msg_controllen + CMSG_SPACE(size) > room) {
        msg->msg_flags |= MSG_CTRUNC;
        return;
    }
    struct cmsghdr *c = (struct cmsghdr *)(void *)((char *)msg->msg_control + msg->msg_controllen);
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), data, size);
    msg->msg_controllen += CMSG_SPACE(size);
}

/* To whom it was sent, if that is wanted. */
static void append_told(const thi_sim_endpoint *ep, const thi_sim_letter *letter,
                        struct msghdr *msg, socklen_t room)
{
    if (ep->family == AF_INET && thi_sim_sockopt_int(ep, IPPROTO_IP, IP_PKTINFO)) {
        struct in_pktinfo info = { .ipi_ifindex = 1, .ipi_addr = letter->to.u.in.sin_addr };
        append(msg, room, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else if (ep->family == AF_INET6 && thi_sim_sockopt_int(ep, IPPROTO_IPV6, IPV6_RECVPKTINFO)) {
        thi_sim_addr to = thi_sim_addr_mapped(&letter->to);
        struct in6_pktinfo info = { .ipi6_ifindex = 1, .ipi6_addr = to.u.in6.sin6_addr };
        append(msg, room, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
}

static void write_name(const thi_sim_endpoint *ep, const thi_sim_addr *from, struct msghdr *msg)
{
    socklen_t len = msg->msg_namelen;
    thi_sim_addr shown = ep->family == AF_INET6 ? thi_sim_addr_mapped(from) : *from;
    if (!msg->msg_name || shown.len == 0)
        len = 0;
    else
        thi_sim_addr_write(&shown, ep->family, msg->msg_name, &len);
    msg->msg_namelen = len;
}

static ssize_t write_pieces(const thi_sim_letter *letter, struct msghdr *msg)
{
    size_t at = 0;
    for (size_t i = 0; i < msg->msg_iovlen && at < letter->size; i++) {
        size_t n = thi_min(msg->msg_iov[i].iov_len, letter->size - at);
        if (n > 0)
            memcpy(msg->msg_iov[i].iov_base, letter->data + at, n);
        at += n;
    }
    msg->msg_flags = at < letter->size ? MSG_TRUNC : 0;
    return (ssize_t)at;
}

/* The next one that came back: where it was to go, and what the other side said. */
static ssize_t receive_returned(thi_sim_endpoint *ep, struct msghdr *msg)
{
    thi_list *returned = &ep->mail->returned;
    struct {
        struct sock_extended_err ee;
        struct sockaddr_in6 by;
    } said = { .ee = { .ee_errno = ECONNREFUSED, .ee_origin = SO_EE_ORIGIN_ICMP } };
    socklen_t room = (socklen_t)msg->msg_controllen;
    if (thi_list_empty(returned))
        return -EAGAIN;
    thi_sim_letter *letter = thi_list_item(thi_list_pop_front(returned), thi_sim_letter, link);
    ssize_t n = write_pieces(letter, msg);
    bool ip4 = ep->family == AF_INET;
    memcpy(&said.by, &letter->to.u, thi_min(sizeof said.by, (size_t)letter->to.len));
    write_name(ep, &letter->to, msg);
    msg->msg_controllen = 0;
    msg->msg_flags |= MSG_ERRQUEUE;
    append(msg, room, ip4 ? IPPROTO_IP : IPPROTO_IPV6, ip4 ? IP_RECVERR : IPV6_RECVERR, &said,
           sizeof said);
    ep->error = thi_list_empty(returned) ? 0 : ECONNREFUSED;
    thi_free(letter);
    return n;
}

ssize_t thi_sim_dgram_recvmsg(thi_sim *w, thi_sim_endpoint *ep, struct msghdr *msg, int flags)
{
    if (flags & MSG_ERRQUEUE)
        return receive_returned(ep, msg);
    if (ep->error)
        return take_error(ep);
    thi_sim_letter *letter = thi_sim_mail_first(ep);
    if (!letter)
        return -EAGAIN;
    if (thi_sim_fault(w, TH_SIM_AGAIN)) {
        thi_sim_nudge(w, &ep->desc);
        return -EAGAIN;
    }
    socklen_t room = msg->msg_control ? (socklen_t)msg->msg_controllen : 0;
    ssize_t n = write_pieces(letter, msg);
    write_name(ep, &letter->from, msg);
    msg->msg_controllen = 0;
    append_told(ep, letter, msg, room);
    if (flags & MSG_PEEK)
        return n;
    thi_sim_mail_take(ep, letter);
    thi_free(letter);
    return n;
}

/* ---- conditions ---- */

unsigned thi_sim_dgram_level(const thi_sim_endpoint *ep)
{
    unsigned level = thi_list_linked(&ep->mail->waits) ? 0 : THI_WRITE;
    if (thi_sim_mail_first(ep) || ep->error)
        level |= THI_READ;
    if (ep->error || !thi_list_empty(&ep->mail->returned))
        level |= THI_HUP;
    return level;
}
