/* SPDX-License-Identifier: MIT */

/*
 * Counting connections by peer.
 *
 * One table for all workers under one lock, which is held for a look into a hash map: a few times
 * ten nanoseconds for each connection, of which a worker accepts some ten thousand a second. The
 * map's hash is keyed, so that a stranger with many addresses cannot make it slow. A peer is in the
 * map as long as it has connections; so the table is never larger than they are many.
 */
#include "net/peers.h"

#include "base/alloc.h"
#include "base/map.h"
#include "net/networks.h"
#include "sys/sys.h"

#include <thrum/error.h>

#include <errno.h>
#include <pthread.h>

struct thi_peer {
    thi_network key;
    uint32_t count; /* its connections, at least one */
    thi_peers *peers;
};

struct thi_peers {
    pthread_mutex_t lock;
    thi_map map; /* of peers, by the bytes of their key */
    uint32_t limit;
    unsigned bits4;
    unsigned bits6;
};

int thi_peers_new(uint32_t limit, unsigned bits4, unsigned bits6, thi_peers **out)
{
    uint64_t seed;
    *out = NULL;
    if (limit == 0)
        return 0;
    int err = thi_sys_random(&seed, sizeof seed);
    if (err < 0)
        return err;
    thi_peers *peers = thi_alloc(sizeof *peers);
    if (!peers)
        return -ENOMEM;
    *peers =
        (thi_peers){ .limit = limit, .bits4 = bits4 ? bits4 : 32, .bits6 = bits6 ? bits6 : 64 };
    (void)pthread_mutex_init(&peers->lock, NULL);
    thi_map_init(&peers->map, seed);
    *out = peers;
    return 0;
}

void thi_peers_free(thi_peers *peers)
{
    if (!peers)
        return;
    thi_map_deinit(&peers->map);
    (void)pthread_mutex_destroy(&peers->lock);
    thi_free(peers);
}

static th_str key_of(const thi_network *network)
{
    return th_str_make((const char *)network, sizeof *network);
}

static int add(thi_peers *peers, const thi_network *key, thi_peer **out)
{
    thi_peer *peer = thi_alloc(sizeof *peer);
    if (!peer)
        return -ENOMEM;
    *peer = (thi_peer){ .key = *key, .count = 1, .peers = peers };
    int err = thi_map_put(&peers->map, key_of(&peer->key), peer);
    if (err < 0)
        thi_free(peer);
    else
        *out = peer;
    return err;
}

int thi_peers_enter(thi_peers *peers, const th_addr *addr, thi_peer **out)
{
    thi_network key = thi_network_of(addr, peers->bits4, peers->bits6);
    int err = 0;
    if (key.kind != TH_ADDR_IP4 && key.kind != TH_ADDR_IP6) {
        *out = NULL;
        return 0;
    }
    (void)pthread_mutex_lock(&peers->lock);
    thi_peer *peer = thi_map_get(&peers->map, key_of(&key));
    if (!peer)
        err = add(peers, &key, &peer);
    else if (peer->count >= peers->limit)
        err = TH_ELIMIT;
    else
        peer->count++;
    (void)pthread_mutex_unlock(&peers->lock);
    if (err == 0)
        *out = peer;
    return err;
}

void thi_peer_leave(thi_peer *peer)
{
    if (!peer)
        return;
    thi_peers *peers = peer->peers;
    (void)pthread_mutex_lock(&peers->lock);
    bool last = --peer->count == 0;
    if (last)
        (void)thi_map_remove(&peers->map, key_of(&peer->key));
    (void)pthread_mutex_unlock(&peers->lock);
    if (last)
        thi_free(peer);
}
