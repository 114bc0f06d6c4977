/* SPDX-License-Identifier: MIT */

/*
 * The table of answers and questions.
 *
 * An entry is in the table from the question on. While it is on its way it has askers; once it has
 * a set it is among those that may be thrown out, the one longest unused first. An entry that is
 * not to be remembered, or belongs to a configuration before, is out of the table, and gone when
 * its question is done.
 */
#include "net/names_cache.h"

#include "base/alloc.h"
#include "base/metrics.h"
#include "base/util.h"
#include "sys/sys.h"

#include <thrum/error.h>
#include <thrum/time.h>

#include <errno.h>
#include <string.h>

struct thi_names_entry {
    thi_list link; /* in `asked` or in `order` */
    thi_names_cache *cache;
    thi_wire_query query;
    thi_list askers;
    thi_names_set *set; /* NULL while it is on its way */
    int64_t began;      /* when it was asked, by the clock */
    bool listed;        /* in the table */
    uint16_t key_type;  /* these two lie behind one another: the key */
    char name[];
};

#define KEY_AT (offsetof(thi_names_entry, key_type))

static thi_names_entry *entry_at(thi_list *node)
{
    return thi_list_item(node, thi_names_entry, link);
}

static th_str key_of(const thi_names_entry *e)
{
    return (th_str){ (const char *)e + KEY_AT, sizeof e->key_type + strlen(e->name) };
}

static void unlist(thi_names_entry *e)
{
    if (!e->listed)
        return;
    (void)thi_map_remove(&e->cache->entries, key_of(e));
    e->listed = false;
}

/* Frees one that is not on its way. */
static void drop(thi_names_entry *e)
{
    unlist(e);
    thi_list_remove(&e->link);
    e->cache->count--;
    thi_names_set_unref(e->set);
    thi_free(e);
}

static bool is_stale(const thi_names_entry *e)
{
    return e->set && e->set->expires <= e->cache->loop->now;
}

/* ---- beginning, end and change ---- */

void thi_names_cache_init(thi_names_cache *cache, thi_loop *loop, thi_names_conf *conf,
                          size_t count_max)
{
    uint64_t seed = 0;
    (void)thi_sys_random(&seed, sizeof seed);
    *cache = (thi_names_cache){ .loop = loop, .conf = conf, .count_max = count_max };
    thi_list_init(&cache->retired);
    thi_list_init(&cache->order);
    thi_list_init(&cache->asked);
    thi_map_init(&cache->entries, seed);
    thi_random_seed(&cache->random, ~seed);
}

static void forget(thi_names_cache *cache)
{
    while (!thi_list_empty(&cache->order))
        drop(entry_at(thi_list_first(&cache->order)));
    thi_list_each (node, &cache->asked)
        unlist(entry_at(node));
}

/* Closes wires that nobody waits for any more. */
static void sweep(thi_names_cache *cache, bool all)
{
    thi_list_each_safe (node, &cache->retired) {
        thi_wire *wire = thi_list_item(node, thi_wire, link);
        if (wire->pending > 0 && !all)
            continue;
        thi_list_remove(&wire->link);
        thi_wire_close(wire);
    }
}

static void retire(thi_names_cache *cache)
{
    if (cache->wire)
        thi_list_push_back(&cache->retired, &cache->wire->link);
    cache->wire = NULL;
}

void thi_names_cache_deinit(thi_names_cache *cache)
{
    forget(cache);
    retire(cache);
    sweep(cache, true);
    thi_map_deinit(&cache->entries);
    thi_names_conf_unref(cache->conf);
}

void thi_names_cache_turn_to(thi_names_cache *cache, thi_names_conf *conf)
{
    forget(cache);
    retire(cache);
    sweep(cache, false);
    thi_names_conf_unref(cache->conf);
    cache->conf = conf;
}

/* ---- questions ---- */

static void count(const thi_names_entry *e)
{
    int status = e->set ? e->set->status : TH_ENAMESERVER;
    thi_metric_add(status == 0          ? THI_M_NAMES_FOUND
                   : status == TH_ENAME ? THI_M_NAMES_NOTHING
                                        : THI_M_NAMES_FAILED,
                   1);
    thi_metric_add(THI_M_NAMES_WAITING, -1);
    thi_metric_observe(THI_H_NAME_QUESTION, th_now() - e->began);
}

static void on_done(thi_wire_query *query, thi_names_set *set)
{
    thi_names_entry *e = thi_container_of(query, thi_names_entry, query);
    thi_names_cache *cache = e->cache;
    e->set = set;
    count(e);
    if (set)
        set->expires = set->ttl > 0 ? cache->loop->now + set->ttl : 0;
    if (!set || set->ttl == 0)
        unlist(e);
    while (!thi_list_empty(&e->askers)) {
        thi_asker *asker = thi_list_item(thi_list_pop_front(&e->askers), thi_asker, link);
        asker->entry = NULL;
        asker->set = set ? thi_names_set_ref(set) : NULL;
        asker->fn(asker);
    }
    thi_list_remove(&e->link);
    thi_list_push_back(&cache->order, &e->link);
    if (!e->listed)
        drop(e);
}

/* Room for one more: what was longest unused has to go. */
static int make_room(thi_names_cache *cache)
{
    if (cache->count < cache->count_max)
        return 0;
    thi_list *first = thi_list_first(&cache->order);
    if (!first)
        return TH_ELIMIT;
    drop(entry_at(first));
    return 0;
}

static int make(thi_names_cache *cache, const char *name, uint16_t type, thi_names_entry **made)
{
    int err = make_room(cache);
    if (err < 0)
        return err;
    size_t len = strlen(name);
    thi_names_entry *e = thi_calloc(1, sizeof *e + len + 1);
    if (!e)
        return -ENOMEM;
    memcpy(e->name, name, len + 1);
    e->key_type = type;
    e->cache = cache;
    e->began = th_now();
    e->query = (thi_wire_query){ .name = e->name, .type = type, .done = on_done };
    thi_list_init(&e->askers);
    err = thi_map_put(&cache->entries, key_of(e), e);
    if (err < 0) {
        thi_free(e);
        return err;
    }
    e->listed = true;
    thi_list_push_back(&cache->asked, &e->link);
    cache->count++;
    thi_metric_add(THI_M_NAMES_WAITING, 1);
    *made = e;
    return 0;
}

static thi_names_entry *find(thi_names_cache *cache, const char *name, uint16_t type)
{
    char key[sizeof type + THI_DNS_NAME];
    size_t len = strlen(name);
    if (len >= THI_DNS_NAME)
        return NULL;
    memcpy(key, &type, sizeof type);
    memcpy(key + sizeof type, name, len);
    thi_names_entry *e = thi_map_get(&cache->entries, (th_str){ key, sizeof type + len });
    if (e && is_stale(e)) {
        drop(e);
        return NULL;
    }
    return e;
}

static void take(thi_names_entry *e, thi_asker *asker)
{
    asker->entry = NULL;
    asker->set = thi_names_set_ref(e->set);
    thi_list_remove(&e->link);
    thi_list_push_back(&e->cache->order, &e->link);
}

static void queue(thi_names_entry *e, thi_asker *asker)
{
    asker->entry = e;
    asker->set = NULL;
    thi_list_push_back(&e->askers, &asker->link);
}

static int open_wire(thi_names_cache *cache)
{
    sweep(cache, false);
    return cache->wire ? 0 : thi_wire_open(cache->loop, cache->conf, &cache->wire);
}

/* Nobody is called from within: who asks looks at once whether it is done. */
static void not_yet(thi_asker *asker)
{
    (void)asker;
}

int thi_names_ask(thi_names_cache *cache, thi_asker *asker, const char *name, uint16_t type)
{
    thi_names_entry *e = find(cache, name, type);
    if (e && e->set) {
        take(e, asker);
        thi_metric_add(THI_M_NAMES_KNOWN, 1);
        return 0;
    }
    if (e) {
        queue(e, asker);
        thi_metric_add(THI_M_NAMES_SHARED, 1);
        return 0;
    }
    int err = open_wire(cache);
    if (err == 0)
        err = make(cache, name, type, &e);
    if (err < 0)
        return err;
    void (*fn)(thi_asker * asker) = asker->fn;
    asker->fn = not_yet;
    queue(e, asker);
    thi_wire_ask(cache->wire, &e->query);
    asker->fn = fn;
    return thi_asker_done(asker) && !asker->set ? -ENOMEM : 0;
}

void thi_names_leave(thi_asker *asker)
{
    if (asker->entry)
        thi_list_remove(&asker->link);
    asker->entry = NULL;
    thi_names_set_unref(asker->set);
    asker->set = NULL;
}
