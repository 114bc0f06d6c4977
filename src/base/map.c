/* SPDX-License-Identifier: MIT */

/*
 * The hash map: open addressing with linear probing.
 *
 * An entry lives at the place that its hash says, or in the next free one after it. The invariant
 * is that no free place lies between the two; removal restores it by moving entries back instead
 * of leaving marks, so that a map which sees many comings and goings does not slow down. Hashes are
 * kept: growing needs no keys, and a probe compares bytes only where 64 bits agree.
 *
 * At most three quarters are full. Growth doubles and rehashes at once: for the sizes that a worker
 * has (some ten thousand) that is a fraction of a millisecond, and rare.
 */
#include "base/map.h"

#include "base/alloc.h"

#include <errno.h>
#include <string.h>

enum { CAPACITY_MIN = 8 };

/* A key that is being looked for, with its hash. */
typedef thi_map_entry probe;

void thi_map_init(thi_map *map, uint64_t seed)
{
    *map = (thi_map){ .hash_key = { .k0 = seed, .k1 = seed * 0x9e3779b97f4a7c15 + 1 } };
}

void thi_map_deinit(thi_map *map)
{
    thi_free(map->entries);
    map->entries = NULL;
    map->capacity = 0;
    map->count = 0;
}

static probe string_probe(const thi_map *map, th_str key)
{
    uint64_t hash = thi_siphash(map->hash_key, key.ptr, key.len);
    return (probe){ .hash = hash ? hash : 1, .key.bytes = key.ptr, .len = key.len };
}

static probe number_probe(const thi_map *map, uint64_t key)
{
    uint64_t hash = thi_siphash_u64(map->hash_key, key);
    return (probe){ .hash = hash ? hash : 1, .key.number = key, .len = THI_MAP_NUMBER };
}

static bool same(const thi_map_entry *entry, const probe *key)
{
    if (entry->hash != key->hash || entry->len != key->len)
        return false;
    if (key->len == THI_MAP_NUMBER)
        return entry->key.number == key->key.number;
    return key->len == 0 || memcmp(entry->key.bytes, key->key.bytes, key->len) == 0;
}

/* The entry with that key, or the free one where it would go. The table is never full. */
static thi_map_entry *locate(thi_map_entry *entries, size_t mask, const probe *key)
{
    size_t i = key->hash & mask;
    while (entries[i].hash != 0 && !same(&entries[i], key))
        i = (i + 1) & mask;
    return &entries[i];
}

static thi_map_entry *find(const thi_map *map, const probe *key)
{
    if (map->count == 0)
        return NULL;
    thi_map_entry *entry = locate(map->entries, map->capacity - 1, key);
    return entry->hash ? entry : NULL;
}

static int grow(thi_map *map)
{
    size_t capacity = map->capacity ? map->capacity * 2 : CAPACITY_MIN;
    thi_map_entry *entries = thi_calloc(capacity, sizeof *entries);
    if (!entries)
        return -ENOMEM;
    for (size_t i = 0; i < map->capacity; i++)
        if (map->entries[i].hash != 0)
            *locate(entries, capacity - 1, &map->entries[i]) = map->entries[i];
    thi_free(map->entries);
    map->entries = entries;
    map->capacity = capacity;
    return 0;
}

static int put(thi_map *map, probe entry, void *value)
{
    entry.value = value;
    thi_map_entry *old = find(map, &entry);
    if (old) {
        *old = entry; /* the new key, too: the old one may go with the old value */
        return 0;
    }
    if (map->count + 1 > map->capacity / 4 * 3 && grow(map) < 0)
        return -ENOMEM;
    *locate(map->entries, map->capacity - 1, &entry) = entry;
    map->count++;
    return 0;
}

/* Frees the place `hole`, and moves back what was pushed beyond its own place across it. */
static void close_hole(thi_map *map, size_t hole)
{
    size_t mask = map->capacity - 1;
    for (size_t i = (hole + 1) & mask; map->entries[i].hash != 0; i = (i + 1) & mask) {
        size_t home = map->entries[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            map->entries[hole] = map->entries[i];
            hole = i;
        }
    }
    map->entries[hole].hash = 0;
}

static void *take(thi_map *map, probe key)
{
    thi_map_entry *entry = find(map, &key);
    if (!entry)
        return NULL;
    void *value = entry->value;
    close_hole(map, (size_t)(entry - map->entries));
    map->count--;
    return value;
}

static void *value_of(const thi_map *map, probe key)
{
    thi_map_entry *entry = find(map, &key);
    return entry ? entry->value : NULL;
}

int thi_map_put(thi_map *map, th_str key, void *value)
{
    return put(map, string_probe(map, key), value);
}

int thi_map_put_u64(thi_map *map, uint64_t key, void *value)
{
    return put(map, number_probe(map, key), value);
}

void *thi_map_get(const thi_map *map, th_str key)
{
    return value_of(map, string_probe(map, key));
}

void *thi_map_get_u64(const thi_map *map, uint64_t key)
{
    return value_of(map, number_probe(map, key));
}

void *thi_map_remove(thi_map *map, th_str key)
{
    return take(map, string_probe(map, key));
}

void *thi_map_remove_u64(thi_map *map, uint64_t key)
{
    return take(map, number_probe(map, key));
}

const thi_map_entry *thi_map_next(const thi_map *map, const thi_map_entry *entry)
{
    for (size_t i = entry ? (size_t)(entry - map->entries) + 1 : 0; i < map->capacity; i++)
        if (map->entries[i].hash != 0)
            return &map->entries[i];
    return NULL;
}
