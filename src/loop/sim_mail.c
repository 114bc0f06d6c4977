/* SPDX-License-Identifier: MIT */

/*
 * The way of a letter: posted, under way, delivered to whoever has the address by then; or sent
 * back, because nobody has it, to a sender who wants to know.
 */
#include "loop/sim_mail.h"

#include "base/alloc.h"
#include "base/util.h"
#include "loop/sim_choice.h"
#include "loop/sim_fault.h"
#include "loop/sim_group.h"
#include "loop/sim_sockopt.h"
#include "loop/sim_trace.h"

#include <thrum/time.h>

#include <errno.h>
#include <string.h>

#define BUFFER       212992 /* net.core.rmem_default */
#define OVERHEAD     512    /* what the kernel counts for a datagram besides its bytes, about */
#define UNIX_LETTERS 11     /* net.unix.max_dgram_qlen, and one */
#define LATE_MAX     (20 * TH_MILLISECOND)

static thi_sim_endpoint *port_item(thi_list *node)
{
    return thi_list_item(node, thi_sim_endpoint, by_port);
}

thi_sim_letter *thi_sim_letter_new(const struct iovec *iov, size_t count, size_t size)
{
    thi_sim_letter *letter = thi_alloc(sizeof *letter + size);
    size_t at = 0;
    if (!letter)
        return NULL;
    *letter = (thi_sim_letter){ .size = size };
    thi_list_init(&letter->link);
    for (size_t i = 0; i < count && at < size; i++) {
        size_t n = thi_min(iov[i].iov_len, size - at);
        if (n > 0)
            memcpy(letter->data + at, iov[i].iov_base, n);
        at += n;
    }
    return letter;
}

/* ---- inboxes ---- */

thi_sim_letter *thi_sim_mail_first(const thi_sim_endpoint *ep)
{
    const thi_list *inbox = &ep->mail->inbox;
    return thi_list_empty(inbox) ? NULL
                                 : thi_list_item(thi_list_first(inbox), thi_sim_letter, link);
}

bool thi_sim_mail_is_full(const thi_sim_endpoint *ep)
{
    return ep->mail->count >= UNIX_LETTERS;
}

static size_t room_of(const thi_sim_endpoint *ep)
{
    int set = thi_sim_sockopt_int(ep, SOL_SOCKET, SO_RCVBUF);
    return set > 0 ? 2 * (size_t)set : BUFFER; /* the kernel doubles it: socket(7) */
}

void thi_sim_mail_deliver(thi_sim *w, thi_sim_endpoint *ep, thi_sim_letter *letter)
{
    thi_sim_mailbox *mail = ep->mail;
    if (ep->family != AF_UNIX && mail->size > room_of(ep)) {
        thi_sim_trace(w, "dropped", ep->desc.fd, (int64_t)letter->size);
        thi_free(letter);
        return;
    }
    thi_list_push_back(&mail->inbox, &letter->link);
    mail->size += letter->size + OVERHEAD;
    mail->count++;
    thi_sim_announce(&ep->desc, THI_READ);
}

void thi_sim_mail_tell_room(thi_sim_mailbox *mail)
{
    while (!thi_list_empty(&mail->turned_away)) {
        thi_list *node = thi_list_pop_front(&mail->turned_away);
        thi_sim_announce(&thi_list_item(node, thi_sim_mailbox, waits)->owner->desc, THI_WRITE);
    }
}

void thi_sim_mail_take(thi_sim_endpoint *ep, thi_sim_letter *letter)
{
    thi_list_remove(&letter->link);
    ep->mail->size -= letter->size + OVERHEAD;
    ep->mail->count--;
    thi_sim_mail_tell_room(ep->mail);
}

/* ---- who has an address ---- */

/* An IPv4 address that is written as one of IPv6. */
static thi_sim_addr plain(const thi_sim_addr *addr)
{
    if (addr->u.sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&addr->u.in6.sin6_addr))
        return *addr;
    thi_sim_addr ip4 = thi_sim_addr_any(AF_INET);
    ip4.u.in.sin_port = addr->u.in6.sin6_port;
    memcpy(&ip4.u.in.sin_addr, &addr->u.in6.sin6_addr.s6_addr[12], 4);
    return ip4;
}

/* How exactly a socket is meant by a letter; 0: not at all. */
static int match(const thi_sim_endpoint *ep, const thi_sim_letter *letter)
{
    bool v6_only = thi_sim_sockopt_int(ep, IPPROTO_IPV6, IPV6_V6ONLY) != 0;
    thi_sim_addr local = plain(&ep->local);
    thi_sim_addr to = plain(&letter->to);
    thi_sim_addr from = plain(&letter->from);
    thi_sim_addr peer = plain(&ep->peer);
    if (!ep->mail || ep->family == AF_UNIX)
        return 0;
    int how = thi_sim_addr_match(&local, v6_only, &to);
    if (how == 0 || ep->state != THI_SIM_CONNECTED)
        return how;
    return thi_sim_addr_equal(&peer, &from) ? how + 4 : 0;
}

static unsigned spread(const thi_sim_addr *addr)
{
    const unsigned char *at = (const unsigned char *)&addr->u;
    unsigned sum = 0;
    for (size_t i = 0; i < addr->len; i++)
        sum = sum * 31 + at[i];
    return sum;
}

/* Of several who share an address the sender decides who gets it, always the same. */
static thi_sim_endpoint *find(thi_sim *w, const thi_sim_letter *letter)
{
    int best = 1;
    unsigned count = 0;
    thi_list *near = thi_sim_by_port(w, &letter->to);
    thi_list_each (node, near) {
        int how = match(port_item(node), letter);
        count = how > best ? 1 : count + (how == best);
        best = thi_max(how, best);
    }
    unsigned pick = count > 0 ? spread(&letter->from) % count : 0;
    thi_list_each (node, near)
        if (match(port_item(node), letter) == best && pick-- == 0)
            return port_item(node);
    return NULL;
}

/* ---- arriving ---- */

static thi_sim_letter *copy_of(const thi_sim_letter *letter)
{
    struct iovec iov = { .iov_base = (void *)(uintptr_t)letter->data, .iov_len = letter->size };
    thi_sim_letter *copy = thi_sim_letter_new(&iov, 1, letter->size);
    if (copy) {
        copy->from = letter->from;
        copy->to = letter->to;
    }
    return copy;
}

/* Every member of a group gets a copy. */
static void deliver_to_group(thi_sim *w, thi_sim_letter *letter)
{
    thi_list_each (node, thi_sim_by_port(w, &letter->to)) {
        thi_sim_endpoint *ep = port_item(node);
        thi_sim_letter *copy = thi_sim_group_hears(ep, letter) ? copy_of(letter) : NULL;
        if (copy)
            thi_sim_mail_deliver(w, ep, copy);
    }
    thi_free(letter);
}

/* Nobody was there, and the sender may hear of it. */
static void on_return(thi_sim *w, thi_sim_event *event)
{
    thi_sim_letter *letter = thi_container_of(event, thi_sim_letter, arrival);
    thi_sim_letter answer = { .from = letter->to, .to = letter->from };
    thi_sim_endpoint *ep = find(w, &answer);
    thi_list_remove(&letter->link);
    bool told = ep && (thi_sim_sockopt_int(ep, IPPROTO_IP, IP_RECVERR) != 0 ||
                       thi_sim_sockopt_int(ep, IPPROTO_IPV6, IPV6_RECVERR) != 0);
    if (ep && (told || ep->state == THI_SIM_CONNECTED)) {
        ep->error = ECONNREFUSED;
        if (told)
            thi_list_push_back(&ep->mail->returned, &letter->link);
        thi_sim_announce(&ep->desc, THI_READ | THI_WRITE | THI_HUP);
    }
    if (!thi_list_linked(&letter->link))
        thi_free(letter);
}

static void on_arrival(thi_sim *w, thi_sim_event *event)
{
    thi_sim_letter *letter = thi_container_of(event, thi_sim_letter, arrival);
    thi_sim_endpoint *ep = NULL;
    thi_list_remove(&letter->link);
    if (thi_sim_group_is(&letter->to)) {
        deliver_to_group(w, letter);
        return;
    }
    ep = find(w, letter);
    if (ep) {
        thi_sim_mail_deliver(w, ep, letter);
        return;
    }
    thi_sim_trace(w, "nobody", 0, (int64_t)letter->size);
    thi_list_push_back(&w->letters, &letter->link);
    thi_sim_event_set(w, &letter->arrival, w->now + thi_sim_latency(w), on_return);
}

/* ---- posting ---- */

static void send_off(thi_sim *w, thi_sim_letter *letter, int64_t at)
{
    thi_list_push_back(&w->letters, &letter->link);
    thi_sim_event_set(w, &letter->arrival, at, on_arrival);
}

void thi_sim_mail_post(thi_sim *w, thi_sim_endpoint *sender, thi_sim_letter *letter)
{
    int64_t *last = &sender->mail->last_arrival;
    int64_t at = thi_max(w->now + thi_sim_latency(w), *last);
    if (thi_sim_fault(w, TH_SIM_LOST)) {
        thi_free(letter);
        return;
    }
    if (thi_sim_fault(w, TH_SIM_TWICE)) {
        thi_sim_letter *copy = copy_of(letter);
        if (copy)
            send_off(w, copy, at + thi_sim_latency(w));
    }
    if (thi_sim_fault(w, TH_SIM_OVERTAKEN))
        at += thi_sim_draw(w, 1, LATE_MAX);
    else
        *last = at;
    send_off(w, letter, at);
}

void thi_sim_mail_clear(thi_sim *w)
{
    thi_list_each_safe (node, &w->letters) {
        thi_sim_letter *letter = thi_list_item(node, thi_sim_letter, link);
        thi_sim_event_cancel(w, &letter->arrival);
        thi_list_remove(node);
        thi_free(letter);
    }
}
