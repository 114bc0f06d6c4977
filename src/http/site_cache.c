/* SPDX-License-Identifier: MIT */

/*
 * The cache of a site's files on one worker.
 *
 * What is cached is never believed for a span of time, only for one turn of the loop: the first
 * request of a turn opens the file anew, as safely as if there were no cache, and compares; the
 * others of that turn are told the same. A client that has seen a file change and then asks is
 * answered in a later turn. So stale files, a link put in a directory's place, permissions that
 * were taken back are not served on, and yet a busy worker opens a file once for dozens of
 * requests.
 *
 * Small files are kept with their content, which is sent together with the head; the least recently
 * used go first. Content that was read within two seconds of the file's last change is read again
 * instead of compared: a second change inside the same tick of the file system's clock would look
 * like none.
 *
 * Large files are kept as descriptors, and these only while a reply uses them and to the end of the
 * turn, so that a deleted file gives its space back and nobody runs out of descriptors. The end of
 * the turn is a message that the cache posts to its own loop.
 *
 * Opening a file and reading it may have to wait for a disk. Then the fiber is suspended, and when
 * it goes on the cache may have changed: whatever was looked up before is looked up anew.
 *
 * A cache belongs to one loop and is used by its thread alone. A site may be freed while a message
 * is under way on another thread: then the message frees the cache (see `state`). Messages are
 * always delivered: a worker ends by a message too, which is posted after all of its fibers have
 * ended.
 */
#include "http/site_cache.h"

#include "base/alloc.h"
#include "base/list.h"
#include "base/map.h"
#include "http/site_type.h"
#include "io/fileway.h"

#include <thrum/time.h>

#include <errno.h>
#include <string.h>

#define SETTLED (2 * TH_SECOND) /* the coarsest clock of a file system in use: FAT's */

/* Whether a message is under way, and whether it shall free the cache. */
enum { RESTING, POSTED, ORPHANED };

typedef struct entry {
    thi_site_file file;
    thi_list link; /* with content: in cache->recent; else in cache->idle while not in use */
    uint64_t turn; /* of the loop, in which the file was last seen to be so */
    int64_t time;  /* of that turn: another loop at this address counts from the start again */
    size_t users;  /* replies that send it */
    size_t cost;   /* bytes of memory */
    bool known;    /* it is in the map; what is not goes with its last user */
    bool settled;  /* the content may be compared instead of read again */
    size_t name_len;
    char text[]; /* the name, then the content */
} entry;

struct thi_site_cache {
    thi_site_cache *next;
    thi_loop *loop;
    thi_map entries; /* by name */
    thi_list recent; /* entries with content, the last used first */
    thi_list idle;   /* descriptors that nobody uses, to be closed when the turn is over */
    size_t bytes;
    thi_msg turn_over;
    atomic_int state;
};

/* ---- entries ---- */

static void free_entry(entry *e)
{
    if (e->file.fd >= 0)
        (void)thi_sys_close(e->file.fd);
    thi_free(e);
}

/* The file was seen to be so in this turn. */
static void believe(entry *e)
{
    e->turn = e->file.cache->loop->turns;
    e->time = e->file.cache->loop->now;
}

static bool is_believed(const entry *e)
{
    return e->turn == e->file.cache->loop->turns && e->time == e->file.cache->loop->now;
}

/* Makes an entry unknown; it goes at once if nobody uses it. */
static void forget(thi_site_cache *cache, entry *e)
{
    if (e->known) {
        (void)thi_map_remove(&cache->entries, th_str_make(e->text, e->name_len));
        thi_list_remove(&e->link);
        cache->bytes -= e->cost;
        e->known = false;
    }
    if (e->users == 0)
        free_entry(e);
}

static void forget_all(thi_site_cache *cache, thi_list *list)
{
    while (!thi_list_empty(list))
        forget(cache, thi_list_item(list->next, entry, link));
}

/* The same of an entry by its name, if there is one. */
static void forget_name(thi_site_cache *cache, th_str name)
{
    entry *e = thi_map_get(&cache->entries, name);
    if (e)
        forget(cache, e);
}

/* Reads exactly size bytes; whether there were as many. */
static bool read_content(int fd, char *to, size_t size)
{
    thi_filefacts facts = { .endpoint = THI_ENDPOINT_DISK };
    size_t done = 0;
    while (done < size) {
        ssize_t n = thi_fileway_pread(fd, to + done, size - done, (int64_t)done, &facts);
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

/* Reads a small file's content behind the name; false if the file changes meanwhile. */
static bool take_content(entry *e, int64_t wall)
{
    struct stat after;
    char *content = e->text + e->name_len + 1;
    thi_site_stamp *stamp = &e->file.meta.stamp;
    if (!read_content(e->file.fd, content, (size_t)stamp->size) ||
        thi_sys_fstat(e->file.fd, &after) < 0)
        return false;
    thi_site_stamp now = thi_site_stamp_of(&after);
    e->file.content = content;
    e->settled = wall - stamp->changed >= SETTLED;
    return thi_site_stamp_same(stamp, &now);
}

/* An entry for a file that was just opened; NULL if it cannot be had. fd stays the caller's. */
static entry *new_entry(thi_site_cache *cache, th_str name, int fd, const struct stat *st)
{
    bool small = st->st_size <= THI_SITE_CONTENT_MAX;
    size_t cost = sizeof(entry) + name.len + 1 + (small ? (size_t)st->st_size : 0);
    int64_t wall = thi_sys_wall();
    entry *e = thi_alloc(cost);
    if (!e)
        return NULL;
    *e = (entry){
        .file = { .fd = fd, .cache = cache }, .cost = cost, .known = true, .name_len = name.len
    };
    memcpy(e->text, name.ptr, name.len + 1);
    thi_list_init(&e->link);
    thi_site_meta_make(st, thi_site_type(name), wall, &e->file.meta);
    bool good = !small || take_content(e, wall);
    forget_name(cache, name); /* if another fiber has put it there meanwhile */
    if (!good || thi_map_put(&cache->entries, th_str_make(e->text, name.len), e) < 0) {
        thi_free(e);
        return NULL;
    }
    return e;
}

static bool is_full(const thi_site_cache *cache)
{
    return cache->bytes > THI_SITE_BYTES_MAX ||
           thi_map_count(&cache->entries) > THI_SITE_ENTRIES_MAX;
}

/* The same, in the cache; takes fd over if it succeeds. */
static entry *add(thi_site_cache *cache, th_str name, int fd, const struct stat *st)
{
    entry *e = new_entry(cache, name, fd, st);
    if (!e)
        return NULL;
    believe(e);
    cache->bytes += e->cost;
    if (e->file.content) {
        (void)thi_sys_close(fd);
        e->file.fd = -1;
        thi_list_push_front(&cache->recent, &e->link);
    }
    while (is_full(cache) && thi_list_last(&cache->recent) &&
           thi_list_last(&cache->recent) != &e->link)
        forget(cache, thi_list_item(thi_list_last(&cache->recent), entry, link));
    return e;
}

/* ---- the end of a turn ---- */

static void free_cache(thi_site_cache *cache)
{
    forget_all(cache, &cache->recent);
    forget_all(cache, &cache->idle);
    thi_map_deinit(&cache->entries);
    thi_free(cache);
}

static void on_turn_over(thi_msg *msg)
{
    thi_site_cache *cache = thi_container_of(msg, thi_site_cache, turn_over);
    forget_all(cache, &cache->idle);
    if (atomic_exchange(&cache->state, RESTING) == ORPHANED)
        free_cache(cache);
}

/* Keeps a descriptor for the other requests of this turn. */
static void let_idle(thi_site_cache *cache, entry *e)
{
    thi_list_push_front(&cache->idle, &e->link);
    if (atomic_load_explicit(&cache->state, memory_order_relaxed) == RESTING) {
        atomic_store_explicit(&cache->state, POSTED, memory_order_relaxed);
        thi_loop_post(cache->loop, &cache->turn_over);
    }
}

/* ---- finding files ---- */

static bool is_current(const entry *e, const struct stat *st)
{
    thi_site_stamp now = thi_site_stamp_of(st);
    return (e->settled || !e->file.content) && thi_site_stamp_same(&e->file.meta.stamp, &now);
}

/* Opens the file and makes *out the entry that agrees with it, or NULL and fills `spare`. */
static int look(thi_site_cache *cache, const thi_site_root *root, th_str name, entry **out,
                thi_site_file *spare)
{
    struct stat st;
    int fd = thi_site_open(root, name.ptr, &st);
    entry *e = cache ? thi_map_get(&cache->entries, name) : NULL;
    if (fd >= 0 && S_ISDIR(st.st_mode)) {
        (void)thi_sys_close(fd);
        fd = -EISDIR;
    }
    if (fd >= 0 && e && is_current(e, &st)) {
        (void)thi_sys_close(fd);
        believe(e);
        *out = e;
        return 0;
    }
    if (e)
        forget(cache, e);
    if (fd < 0)
        return fd;
    *out = cache ? add(cache, name, fd, &st) : NULL;
    if (!*out) {
        if (cache) /* the content may have changed while it was read */
            (void)thi_sys_fstat(fd, &st);
        *spare = (thi_site_file){ .fd = fd };
        thi_site_meta_make(&st, thi_site_type(name), thi_sys_wall(), &spare->meta);
    }
    return 0;
}

static void use(thi_site_cache *cache, entry *e)
{
    e->users++;
    thi_list_remove(&e->link);
    if (e->file.content)
        thi_list_push_front(&cache->recent, &e->link);
}

int thi_site_cache_get(thi_site_cache *cache, const thi_site_root *root, th_str name,
                       thi_site_file *spare, thi_site_file **out)
{
    entry *e = cache ? thi_map_get(&cache->entries, name) : NULL;
    if (!e || !is_believed(e)) {
        int err = look(cache, root, name, &e, spare);
        if (err < 0)
            return err;
    }
    if (e)
        use(cache, e);
    *out = e ? &e->file : spare;
    return 0;
}

void thi_site_file_put(thi_site_file *file)
{
    thi_site_cache *cache = file->cache;
    if (!cache) {
        (void)thi_sys_close(file->fd);
        return;
    }
    entry *e = thi_container_of(file, entry, file);
    if (--e->users > 0 || (e->known && file->content))
        return;
    if (e->known && is_believed(e))
        let_idle(cache, e);
    else
        forget(cache, e);
}

/* ---- the caches of a site ---- */

static thi_site_cache *new_cache(thi_loop *loop)
{
    thi_site_cache *cache = thi_calloc(1, sizeof *cache);
    uint64_t seed = 0;
    if (!cache)
        return NULL;
    (void)thi_sys_random(&seed, sizeof seed); /* names are the server's own: any seed will do */
    cache->loop = loop;
    cache->turn_over.fn = on_turn_over;
    thi_map_init(&cache->entries, seed);
    thi_list_init(&cache->recent);
    thi_list_init(&cache->idle);
    atomic_init(&cache->state, RESTING);
    return cache;
}

thi_site_cache *thi_site_cache_of(thi_site_caches *caches, thi_loop *loop)
{
    thi_site_cache *first = atomic_load_explicit(&caches->first, memory_order_acquire);
    for (thi_site_cache *cache = first; cache; cache = cache->next)
        if (cache->loop == loop)
            return cache;
    thi_site_cache *made = new_cache(loop);
    if (!made)
        return NULL;
    do
        made->next = first;
    while (!atomic_compare_exchange_weak(&caches->first, &first, made));
    return made;
}

void thi_site_caches_free(thi_site_caches *caches)
{
    thi_site_cache *cache = atomic_exchange(&caches->first, NULL);
    while (cache) {
        thi_site_cache *next = cache->next;
        if (atomic_exchange(&cache->state, ORPHANED) == RESTING)
            free_cache(cache);
        cache = next;
    }
}

size_t thi_site_cache_bytes(const thi_site_cache *cache)
{
    return cache->bytes;
}

size_t thi_site_cache_count(const thi_site_cache *cache)
{
    return thi_map_count(&cache->entries);
}
