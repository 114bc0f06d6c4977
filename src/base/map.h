/* SPDX-License-Identifier: MIT */

/*
 * A hash map from byte strings or numbers to pointers, safe against keys that strangers choose.
 *
 * Keys of both kinds may live in one map and never equal each other. A string key is borrowed: its
 * bytes stay valid and unchanged while it is in the map (mostly they are part of the value).
 */
#ifndef THI_BASE_MAP_H
#define THI_BASE_MAP_H

#include "base/siphash.h"

#include <thrum/str.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct thi_map_entry {
    uint64_t hash; /* 0 in a free entry */
    union {
        const char *bytes;
        uint64_t number;
    } key;
    size_t len;  /* of the bytes; THI_MAP_NUMBER when the key is a number */
    void *value; /* the user's */
} thi_map_entry;

#define THI_MAP_NUMBER SIZE_MAX

typedef struct thi_map {
    thi_map_entry *entries; /* a power of two of them, NULL while there were none */
    size_t capacity;
    size_t count;
    thi_siphash_key hash_key;
} thi_map;

/* Makes an empty map; the seed should be a secret random number. Allocates nothing. */
void thi_map_init(thi_map *map, uint64_t seed);

/* Frees the table; keys and values are the user's. */
void thi_map_deinit(thi_map *map);

static inline size_t thi_map_count(const thi_map *map)
{
    return map->count;
}

/* Adds a key or replaces its value: 0, or -ENOMEM with the map as it was. */
TH_MUST int thi_map_put(thi_map *map, th_str key, void *value);
TH_MUST int thi_map_put_u64(thi_map *map, uint64_t key, void *value);

/* The value of a key, NULL when it is not in the map. */
void *thi_map_get(const thi_map *map, th_str key);
void *thi_map_get_u64(const thi_map *map, uint64_t key);

/* Removes a key and returns its value, NULL when it was not in the map. */
void *thi_map_remove(thi_map *map, th_str key);
void *thi_map_remove_u64(thi_map *map, uint64_t key);

/* The entry after the given one, the first for NULL; NULL after the last. No changes meanwhile. */
const thi_map_entry *thi_map_next(const thi_map *map, const thi_map_entry *entry);

#endif
