/* SPDX-License-Identifier: MIT */

/*
 * The turns of a worker's handshakes.
 *
 * All of this belongs to one worker and needs no lock. Who has begun stands in one queue. Peers of
 * newcomers stand in a ring; the first one is served and goes to its end, or leaves when nobody of
 * it waits any more. A peer that cannot be remembered for want of memory shares a queue with others
 * of that kind.
 *
 * Who is served next is decided by something deferred, which the loop does once before it looks at
 * events and once after; it keeps the number of the turn in which a step has begun. While somebody
 * waits and a step may begin, it is deferred: so the loop does not sleep.
 */
#include "tls/handshakes.h"

#include "base/alloc.h"
#include "base/map.h"
#include "base/metrics.h"
#include "net/networks.h"
#include "runtime/annex.h"
#include "runtime/sched.h"
#include "sys/sys.h"

/* As <thrum/serve.h> counts peers. */
#define PEER_BITS4 32
#define PEER_BITS6 64

/* So many in a row that have begun, then a newcomer. */
#define IN_A_ROW 3

/* A peer of newcomers that wait. */
typedef struct peer {
    thi_list link; /* in the ring */
    thi_list waiting;
    thi_network key;
} peer;

struct thi_handshakes {
    thi_annex annex;
    thi_worker *worker;
    thi_list begun;  /* who waits and has made a step */
    unsigned row;    /* how many of those were served since a newcomer was */
    thi_list ring;   /* of peers */
    thi_map peers;   /* by the bytes of their key */
    peer strangers;  /* for whom there was no memory; in the ring, not in the map */
    unsigned inside; /* steps under way */
    uint64_t turn;   /* of the loop, in which the last one began */
    thi_deferred next;
};

typedef struct waiting {
    thi_wait wait;
    thi_list link; /* in its peer's queue, or that of those who have begun */
    th_fiber *fiber;
    peer *peer; /* NULL: it has begun */
    thi_handshakes *all;
    unsigned max;
} waiting;

/* ---- peers ----------------------------------------------------------------------------------- */

static th_str key_of(const thi_network *network)
{
    return th_str_make((const char *)network, sizeof *network);
}

static peer *add_peer(thi_handshakes *all, const thi_network *key)
{
    peer *p = thi_alloc(sizeof *p);
    if (!p)
        return &all->strangers;
    p->key = *key;
    if (thi_map_put(&all->peers, key_of(&p->key), p) < 0) {
        thi_free(p);
        return &all->strangers;
    }
    thi_list_init(&p->link);
    thi_list_init(&p->waiting);
    return p;
}

static peer *peer_of(thi_handshakes *all, const th_addr *addr)
{
    static const th_addr unknown;
    thi_network key = thi_network_of(addr ? addr : &unknown, PEER_BITS4, PEER_BITS6);
    peer *p = thi_map_get(&all->peers, key_of(&key));
    return p ? p : add_peer(all, &key);
}

/* Takes out one who waits, and his peer when he was its last. */
static void take_out(waiting *w)
{
    peer *p = w->peer;
    thi_list_remove(&w->link);
    thi_metric_add(THI_M_TLS_HANDSHAKES_WAITING, -1);
    if (!p || !thi_list_empty(&p->waiting))
        return;
    thi_list_remove(&p->link);
    if (p == &w->all->strangers)
        return;
    (void)thi_map_remove(&w->all->peers, key_of(&p->key));
    thi_free(p);
}

/* ---- turns ----------------------------------------------------------------------------------- */

/* The newcomer whose turn it is; NULL when none waits. */
static waiting *first_new(const thi_handshakes *all)
{
    if (thi_list_empty(&all->ring))
        return NULL;
    const peer *p = thi_list_item(thi_list_first(&all->ring), peer, link);
    return thi_list_item(thi_list_first(&p->waiting), waiting, link);
}

/* The one whose turn it is; NULL when nobody waits. */
static waiting *first(const thi_handshakes *all)
{
    if (thi_list_empty(&all->begun) || (all->row >= IN_A_ROW && !thi_list_empty(&all->ring)))
        return first_new(all);
    return thi_list_item(thi_list_first(&all->begun), waiting, link);
}

static bool may_begin(const thi_handshakes *all, unsigned max)
{
    return all->inside < max && all->turn != all->worker->loop.turns;
}

static void count_in(thi_handshakes *all)
{
    all->inside++;
    all->turn = all->worker->loop.turns;
}

/* Sees to it that who waits is thought of, unless a step has to end before. */
static void look_again(thi_handshakes *all)
{
    const waiting *w = first(all);
    if (w && all->inside < w->max)
        thi_loop_defer(&all->worker->loop, &all->next);
}

/* Notes whose turn it was: a newcomer's peer goes to the end of the ring. */
static void took_its_turn(thi_handshakes *all, const waiting *w)
{
    all->row = w->peer ? 0 : all->row + 1;
    if (!w->peer)
        return;
    thi_list_remove(&w->peer->link);
    thi_list_push_back(&all->ring, &w->peer->link);
}

static void serve_next(thi_deferred *deferred)
{
    thi_handshakes *all = thi_container_of(deferred, thi_handshakes, next);
    waiting *w = first(all);
    if (w && may_begin(all, w->max)) {
        took_its_turn(all, w);
        count_in(all);
        take_out(w);
        thi_sched_ready(w->fiber, 0);
        thi_loop_stay_awake(&all->worker->loop);
    }
    look_again(all);
}

/* ---- of a worker ----------------------------------------------------------------------------- */

static const char kind;

static void close_all(thi_annex *annex, thi_worker *worker)
{
    (void)worker;
    thi_handshakes *all = thi_container_of(annex, thi_handshakes, annex);
    thi_loop_undefer(&all->next);
    thi_map_deinit(&all->peers);
    thi_free(all);
}

static thi_handshakes *make(thi_worker *worker)
{
    uint64_t seed;
    if (thi_sys_random(&seed, sizeof seed) < 0)
        return NULL;
    thi_handshakes *all = thi_calloc(1, sizeof *all);
    if (!all)
        return NULL;
    all->worker = worker;
    all->turn = UINT64_MAX;
    thi_list_init(&all->begun);
    thi_list_init(&all->ring);
    thi_list_init(&all->strangers.link);
    thi_list_init(&all->strangers.waiting);
    thi_map_init(&all->peers, seed);
    thi_deferred_init(&all->next, serve_next);
    all->annex.kind = &kind;
    all->annex.close = close_all;
    thi_annex_add(worker, &all->annex);
    return all;
}

static thi_handshakes *of_worker(thi_worker *worker)
{
    thi_annex *annex = thi_annex_find(worker, &kind);
    return annex ? thi_container_of(annex, thi_handshakes, annex) : make(worker);
}

/* ---- of a handshake -------------------------------------------------------------------------- */

void thi_handshake_begin(thi_handshake *h, unsigned max, const th_addr *addr)
{
    th_fiber *self = thi_sched_self();
    *h = (thi_handshake){ .max = max ? max : THI_HANDSHAKES_MAX, .peer = addr };
    if (!self || !(h->all = of_worker(self->worker)))
        return;
    h->rank = self->rank;
    self->rank = THI_RANK_LOW;
}

static void break_off(thi_wait *wait, int result)
{
    waiting *w = thi_container_of(wait, waiting, wait);
    th_fiber *fiber = w->fiber;
    take_out(w);
    look_again(w->all); /* the next one may have another bound */
    thi_sched_ready(fiber, result);
}

static const thi_wait_kind for_turn = { "turn of a handshake", THI_BY_ANYBODY, 0 };

static void queue_up(waiting *w)
{
    thi_handshakes *all = w->all;
    if (w->peer && thi_list_empty(&w->peer->waiting))
        thi_list_push_back(&all->ring, &w->peer->link);
    thi_list_push_back(w->peer ? &w->peer->waiting : &all->begun, &w->link);
}

static int wait_for_turn(thi_handshake *h)
{
    int err = thi_sched_may_park();
    if (err < 0)
        return err;
    thi_handshakes *all = h->all;
    waiting w = { .wait = { .kind = &for_turn, .object = all, .abort = break_off },
                  .fiber = thi_sched_self(),
                  .peer = h->begun ? NULL : peer_of(all, h->peer),
                  .all = all,
                  .max = h->max };
    queue_up(&w);
    thi_metric_add(THI_M_TLS_HANDSHAKES_WAITING, 1);
    look_again(all);
    return thi_sched_park(&w.wait);
}

int thi_handshake_enter(thi_handshake *h)
{
    thi_handshakes *all = h->all;
    if (!all)
        return 0;
    int err = 0;
    if (!first(all) && may_begin(all, h->max))
        count_in(all);
    else
        err = wait_for_turn(h);
    h->inside = err == 0;
    h->begun |= h->inside;
    return err;
}

void thi_handshake_leave(thi_handshake *h)
{
    if (!h->inside)
        return;
    h->inside = false;
    h->all->inside--;
    look_again(h->all);
}

void thi_handshake_end(thi_handshake *h)
{
    thi_handshake_leave(h);
    if (h->all)
        thi_sched_self()->rank = h->rank;
}
