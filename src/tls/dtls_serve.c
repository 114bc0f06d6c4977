/* SPDX-License-Identifier: MIT */

/*
 * Serving DTLS: on each worker a socket, one fiber that receives, and a fiber for each peer.
 *
 * The kernel shares out by sender, so that a peer's datagrams all come to one worker, and a peer is
 * found by its address in a table of that worker. Who is not in it is a stranger: all strangers are
 * listened to by one connection that has not begun, which forgets after each datagram what it was
 * about. When one has sent the right cookie, the connection becomes that peer's, and the next
 * stranger gets a new one.
 *
 * A peer is known by its address until its fiber has ended. Another client that comes from the same
 * address meanwhile is not served; there is none but where a client begins anew from its old port.
 */
#include "tls/dtls.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "base/map.h"
#include "runtime/sched.h"
#include "sys/sys.h"

#include <thrum/fiber.h>
#include <thrum/scope.h>
#include <thrum/time.h>

#include <errno.h>
#include <string.h>

#define IDLE_TIME (5 * TH_MINUTE)
#define PEERS_MAX 10000

typedef struct service {
    th_dtls_fn fn;
    void *arg;
    const th_dtls_serve_opts *opts;
} service;

/* One worker's share. */
typedef struct house {
    const service *service;
    th_udp *udp;
    thi_map peers;     /* by address */
    th_dtls *stranger; /* that has not begun, or NULL */
    char *room;
    th_scope scope; /* of the peers' fibers */
} house;

/* What of an address counts. The port makes it a key that is never the same for two peers. */
typedef struct peer_key {
    uint8_t bytes[24];
} peer_key;

typedef struct guest {
    house *house;
    th_dtls *dtls;
    peer_key key;
} guest;

static peer_key key_of(const th_addr *addr)
{
    peer_key key = { { (uint8_t)addr->kind, (uint8_t)(addr->port >> 8), (uint8_t)addr->port } };
    memcpy(key.bytes + 4, &addr->scope, 4);
    memcpy(key.bytes + 8, addr->ip, 16);
    return key;
}

static th_str key_str(const peer_key *key)
{
    return th_str_make((const char *)key->bytes, sizeof key->bytes);
}

/* ---- a peer's life ---- */

static void serve_guest(const service *s, th_dtls *d)
{
    int64_t span = s->opts->handshake_time ? s->opts->handshake_time
                                           : d->core.link.config->facts.handshake_time;
    int err = thi_dtls_shake(d, span);
    if (err < 0) {
        char text[TH_ADDR_TEXT];
        thi_log(TH_LOG_DEBUG, "DTLS with %s: %s: %s",
                th_addr_format(&d->core.peer, text, sizeof text), th_strerror(err),
                th_err_detail());
        return;
    }
    (void)s->fn(d, s->arg);
}

static int run_guest(void *arg)
{
    guest *g = arg;
    serve_guest(g->house->service, g->dtls);
    th_dtls *d = g->dtls;
    (void)th_dtls_close(d); /* in which it may still be found */
    (void)thi_map_remove(&g->house->peers, key_str(&g->key));
    th_dtls_free(d);
    thi_free(g);
    return 0;
}

static int admit(house *h, th_dtls *d)
{
    const th_dtls_serve_opts *opts = h->service->opts;
    guest *g = thi_calloc(1, sizeof *g);
    if (!g)
        return -ENOMEM;
    *g = (guest){ .house = h, .dtls = d, .key = key_of(&d->core.peer) };
    d->idle_time = opts->idle_time ? opts->idle_time : IDLE_TIME;
    if (opts->waiting_max > 0)
        d->core.wire.waiting_max = opts->waiting_max;
    int err = thi_map_put(&h->peers, key_str(&g->key), g);
    if (err == 0) {
        th_spawn_opts how = { .name = "dtls", .stack_size = opts->stack_size };
        err = th_spawn_with(&h->scope, run_guest, g, &how, NULL);
        if (err < 0)
            (void)thi_map_remove(&h->peers, key_str(&g->key));
    }
    if (err < 0)
        thi_free(g);
    return err;
}

/* ---- strangers ---- */

/* A connection by the settings of now. */
static int make_stranger(house *h)
{
    const th_dtls_serve_opts *opts = h->service->opts;
    thi_tls_link_opts link = { .name = NULL };
    thi_tls_config *config = thi_tls_config_of(opts->tls);
    int err = 0;
    if (h->stranger && h->stranger->core.link.config != config) {
        th_dtls_free(h->stranger);
        h->stranger = NULL;
    }
    if (!h->stranger)
        err = thi_dtls_new(config, true, &link, opts->mtu, h->udp, &h->stranger);
    thi_tls_config_unref(config);
    return err;
}

static void hear_stranger(house *h, const th_addr *from, size_t size)
{
    size_t most = h->service->opts->peers_max ? h->service->opts->peers_max : PEERS_MAX;
    if (thi_map_count(&h->peers) >= most || make_stranger(h) < 0)
        return;
    th_dtls *d = h->stranger;
    thi_dtls_wire_feed(&d->core.wire, h->room, size);
    int known = thi_dtls_core_listen(&d->core, from);
    (void)!thi_dtls_flush(d);
    if (known > 0) {
        h->stranger = NULL;
        d->last = thi_sys_clock();
        if (admit(h, d) < 0)
            th_dtls_free(d);
    }
}

/* ---- one worker ---- */

static void hear(house *h, const th_addr *from, size_t size)
{
    peer_key key = key_of(from);
    guest *g = thi_map_get(&h->peers, key_str(&key));
    if (!g) {
        hear_stranger(h, from, size);
        return;
    }
    thi_dtls_wire_feed(&g->dtls->core.wire, h->room, size);
    g->dtls->last = thi_sys_clock();
    (void)th_event_set(&g->dtls->arrived);
}

/* Nothing comes any more: who waits hears of the end. */
static void end_all(house *h)
{
    for (const thi_map_entry *e = NULL; (e = thi_map_next(&h->peers, e)) != NULL;) {
        guest *g = e->value;
        g->dtls->ended = true;
        (void)th_event_set(&g->dtls->arrived);
    }
}

static int receive_all(house *h)
{
    th_addr from;
    ssize_t n;
    while ((n = th_udp_recv(h->udp, h->room, THI_DTLS_ROOM, &from, NULL)) >= 0)
        if (n > 0)
            hear(h, &from, (size_t)n);
    return (int)n;
}

static int live(house *h)
{
    int err = th_scope_open(&h->scope, NULL);
    if (err < 0)
        return err;
    err = receive_all(h);
    end_all(h);
    (void)th_scope_close(&h->scope);
    return err;
}

static int serve_worker(th_udp *udp, void *arg)
{
    uint64_t seed = 0;
    house h = { .service = arg, .udp = udp, .room = thi_alloc(THI_DTLS_ROOM) };
    if (!h.room)
        return thi_err_clear(-ENOMEM);
    (void)thi_sys_random(&seed, sizeof seed);
    thi_map_init(&h.peers, seed);
    int err = live(&h);
    th_dtls_free(h.stranger);
    thi_map_deinit(&h.peers);
    thi_free(h.room);
    return err;
}

/* ---- all of them ---- */

static int check(const th_dtls_serve_opts *opts)
{
    thi_tls_link_opts link = { .name = NULL };
    thi_dtls_core core;
    size_t mtu = opts->mtu ? opts->mtu : (size_t)THI_DTLS_MTU;
    thi_tls_config *config = thi_tls_config_of(opts->tls);
    int err = thi_dtls_core_init(&core, config, true, &link, mtu);
    if (err == 0)
        thi_dtls_core_deinit(&core);
    thi_tls_config_unref(config);
    return err;
}

static void on_listening(const th_addr *addr, void *arg)
{
    const service *s = arg;
    if (s->opts->listening)
        s->opts->listening(addr, s->arg);
}

int th_dtls_serve(const char *address, th_dtls_fn fn, void *arg, const th_dtls_serve_opts *opts)
{
    service s = { .fn = fn, .arg = arg, .opts = opts };
    if (!address || !fn || !opts || !opts->tls || opts->size > sizeof *opts ||
        opts->handshake_time < 0 || opts->idle_time < 0 || thi_stack_class(opts->stack_size) < 0)
        return thi_err_clear(-EINVAL);
    int err = (int)thi_err_plain(thi_sched_may_park());
    if (err == 0)
        err = check(opts); /* at once, and not when somebody comes */
    if (err < 0)
        return err;
    th_udp_serve_opts how = { .udp = opts->udp, .listening = on_listening };
    return th_udp_serve(thi_dtls_address(address), serve_worker, &s, &how);
}
