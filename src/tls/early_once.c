/* SPDX-License-Identifier: MIT */

/*
 * The register of hellos with early data.
 *
 * Two tables of hashes by open addressing, one that is filled and one that was filled before. When
 * the one has been filled for a span, it becomes the other; so each entry stays for one to two
 * spans. A table is full at half its size, which keeps the search short.
 */
#include "tls/early_once.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/siphash.h"
#include "base/util.h"
#include "sys/sys.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

struct thi_early_once {
    atomic_uint refs;
    pthread_mutex_t lock;
    thi_siphash_key key;
    size_t size;   /* of a table, in hashes: twice as many as it takes */
    size_t count;  /* in the table that is filled */
    int64_t began; /* when that was begun */
    unsigned now;  /* its number, 0 or 1 */
    uint64_t hashes[];
};

int thi_early_once_new(size_t max, thi_early_once **out)
{
    size_t size = 2 * max;
    thi_early_once *r = thi_calloc(1, sizeof *r + 2 * size * sizeof r->hashes[0]);
    if (!r)
        return thi_err_clear(-ENOMEM);
    int err = thi_sys_random(&r->key, sizeof r->key);
    if (err < 0) {
        thi_free(r);
        return thi_err_clear(err);
    }
    atomic_init(&r->refs, 1);
    pthread_mutex_init(&r->lock, NULL);
    r->size = size;
    r->began = thi_sys_clock();
    *out = r;
    return 0;
}

thi_early_once *thi_early_once_ref(thi_early_once *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void thi_early_once_unref(thi_early_once *r)
{
    if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) > 1)
        return;
    pthread_mutex_destroy(&r->lock);
    thi_free(r);
}

static uint64_t *table_of(thi_early_once *r, unsigned which)
{
    return r->hashes + which * r->size;
}

/* Where the hash is, or would be: there is always a free place. */
static uint64_t *place_of(thi_early_once *r, unsigned which, uint64_t hash)
{
    uint64_t *table = table_of(r, which);
    size_t at = (size_t)hash & (r->size - 1);
    while (table[at] != 0 && table[at] != hash)
        at = (at + 1) & (r->size - 1);
    return &table[at];
}

static void turn(thi_early_once *r)
{
    r->now ^= 1U;
    memset(table_of(r, r->now), 0, r->size * sizeof r->hashes[0]);
    r->count = 0;
}

static void age(thi_early_once *r, int64_t now)
{
    if (now - r->began < THI_EARLY_SPAN)
        return;
    if (now - r->began >= 2 * THI_EARLY_SPAN)
        turn(r); /* what was filled last is too old as well */
    turn(r);
    r->began = now;
}

bool thi_early_once_note(thi_early_once *r, const void *random, size_t size, int64_t now)
{
    uint64_t hash = thi_siphash(r->key, random, size);
    hash = thi_max(hash, (uint64_t)1); /* 0 is a free place */
    pthread_mutex_lock(&r->lock);
    age(r, now);
    uint64_t *place = place_of(r, r->now, hash);
    bool fresh = *place == 0 && *place_of(r, r->now ^ 1U, hash) == 0 && r->count < r->size / 2;
    if (fresh) {
        *place = hash;
        r->count++;
    }
    pthread_mutex_unlock(&r->lock);
    return fresh;
}
