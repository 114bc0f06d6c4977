/* SPDX-License-Identifier: MIT */

/*
 * What a worker knows about names, by one resolver: answers until their time is up, and questions
 * on their way.
 *
 * Each worker has its own, so that nothing is locked and nobody is woken from afar; that costs one
 * question more for each worker, which the machine's own name server answers. Many who ask for the
 * same wait for one question. Whoever gives up leaves the question on its way: its answer will be
 * there for the next one.
 */
#ifndef THI_NET_NAMES_CACHE_H
#define THI_NET_NAMES_CACHE_H

#include "base/map.h"
#include "base/random.h"
#include "net/names_wire.h"
#include "runtime/worker.h"

typedef struct thi_names_cache thi_names_cache;
typedef struct thi_names_entry thi_names_entry;
typedef struct thi_asker thi_asker;

/* Who asks; its owner's storage from thi_names_ask() to thi_names_leave(). Zeroed is at rest. */
struct thi_asker {
    thi_list link;
    thi_names_entry *entry;       /* while it waits */
    thi_names_set *set;           /* the answer; NULL while it waits, or when memory was lacking */
    void (*fn)(thi_asker *asker); /* from the loop, once, if it had to wait */
};

struct thi_names_cache {
    thi_loop *loop;
    thi_names_conf *conf;
    thi_wire *wire;   /* NULL until there is a question */
    thi_list retired; /* wires of configurations before, until what is pending is done */
    thi_map entries;  /* by type and name */
    thi_list order;   /* those with an answer, the one longest unused first */
    thi_list asked;   /* those on their way */
    size_t count;
    size_t count_max; /* entries, with or without an answer */
    thi_random random;
};

/* Prepares an empty one; conf is its own from then on. */
void thi_names_cache_init(thi_names_cache *cache, thi_loop *loop, thi_names_conf *conf,
                          size_t count_max);

/* Ends it; who still waits is told, with no set. */
void thi_names_cache_deinit(thi_names_cache *cache);

/* Goes on with another configuration, which is its own from then on. What it knows is forgotten. */
void thi_names_cache_turn_to(thi_names_cache *cache, thi_names_conf *conf);

/*
 * Asks for the records of a type; the caller has set fn. 0: asker->set is the answer, or is going
 * to be once fn has been called; TH_ELIMIT when too many questions are on their way; -errno when
 * nobody can be asked.
 */
TH_MUST int thi_names_ask(thi_names_cache *cache, thi_asker *asker, const char *name,
                          uint16_t type);

/* Whether there is nothing to wait for. */
static inline bool thi_asker_done(const thi_asker *asker)
{
    return asker->entry == NULL;
}

/* Stops waiting, and gives the answer back; no-op at rest. */
void thi_names_leave(thi_asker *asker);

#endif
