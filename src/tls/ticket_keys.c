/* SPDX-License-Identifier: MIT */

/*
 * The keys of tickets.
 *
 * One lock guards the set and all that decides about it; it is held while a key is copied, never
 * while anybody waits. Keys in memory rotate when a handshake asks and it is time: a process in
 * which nothing happens keeps its keys, and catches up with the rotations it has missed before it
 * uses one. Keys from elsewhere are looked at in the background (renewal.h) and replaced as a set.
 *
 * Whoever looks is one at a time (thi_renewal_begin), so `stamp` needs no lock.
 */
#include "tls/ticket_keys.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "io/fileway.h"
#include "pool/defaults.h"
#include "sys/sys.h"
#include "tls/renewal.h"
#include "tls/ticket_file.h"

#include <thrum/pool.h>
#include <thrum/time.h>

#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <string.h>

struct th_tls_ticket_keys {
    atomic_uint refs;
    pthread_mutex_t lock;
    th_tls_ticket_set set; /* these two under the lock */
    int64_t rotate_at;     /* in memory: when the next rotation is due */
    int64_t period;        /* in memory; TH_NEVER: not by time */
    char *file;
    th_tls_ticket_source_fn source;
    void *arg;
    thi_stamp stamp; /* of the file as it was read last */
    thi_renewal renewal;
};

#define PERIOD      (12 * TH_HOUR)
#define LOOK_FILE   (5 * TH_SECOND)
#define LOOK_SOURCE (60 * TH_SECOND)
#define ALL_OF_THEM 3 /* rotations after which no key is left of those of before */

/* ---- from elsewhere ---- */

static th_tls_ticket_keys *keys_of(thi_renewal *renewal)
{
    return thi_container_of(renewal, th_tls_ticket_keys, renewal);
}

static void put(th_tls_ticket_keys *keys, const th_tls_ticket_set *set)
{
    pthread_mutex_lock(&keys->lock);
    keys->set = *set;
    pthread_mutex_unlock(&keys->lock);
}

static int ask_source(th_tls_ticket_keys *keys, th_tls_ticket_set *set)
{
    int err = keys->source(set, keys->arg);
    if (err < 0)
        return err;
    return thi_ticket_set_valid(set)
               ? 0
               : thi_err_set(TH_ECONFIG, "the source of ticket keys gave two of the same name, or "
                                         "an empty one");
}

/* Blocks. On a thread of the pool, or outside of the runtime. */
static int fetch(void *arg)
{
    th_tls_ticket_keys *keys = arg;
    th_tls_ticket_set set = { .current.bytes = { 0 } };
    int err =
        keys->file ? thi_ticket_file_read(keys->file, &set, &keys->stamp) : ask_source(keys, &set);
    if (err == 0)
        put(keys, &set);
    OPENSSL_cleanse(&set, sizeof set);
    return err;
}

static int fetch_off_the_loop(th_tls_ticket_keys *keys)
{
    return keys->file ? thi_fileway_run(fetch, keys) : th_offload(NULL, fetch, keys);
}

static void look(thi_renewal *renewal)
{
    th_tls_ticket_keys *keys = keys_of(renewal);
    if (keys->file && !thi_whole_changed(keys->file, &keys->stamp))
        return;
    int err = fetch(keys);
    if (err < 0)
        thi_log(TH_LOG_WARNING, "ticket keys stay as they are: %s",
                *th_err_detail() ? th_err_detail() : th_strerror(err));
    else if (keys->file)
        thi_log(TH_LOG_INFO, "ticket keys were read again from %s", keys->file);
}

static void hold(thi_renewal *renewal)
{
    th_tls_ticket_keys_ref(keys_of(renewal));
}

static void release(thi_renewal *renewal)
{
    th_tls_ticket_keys_unref(keys_of(renewal));
}

static const thi_renewal_ops file_ops = {
    .look = look, .hold = hold, .release = release, .pool = "files"
};
static const thi_renewal_ops source_ops = {
    .look = look, .hold = hold, .release = release, .pool = "default"
};

static bool is_elsewhere(const th_tls_ticket_keys *keys)
{
    return keys->file || keys->source;
}

/* ---- using them ---- */

/* The rotations that time has brought, under the lock. Without randomness the keys live on. */
static void catch_up(th_tls_ticket_keys *keys)
{
    int64_t now = thi_sys_clock();
    if (TH_LIKELY(now < keys->rotate_at))
        return;
    int64_t missed = 1 + (now - keys->rotate_at) / keys->period;
    for (int i = 0; i < ALL_OF_THEM && i < missed; i++)
        if (thi_ticket_set_rotate(&keys->set) < 0)
            return;
    keys->rotate_at += missed * keys->period;
}

/* Opens the set for a look at it, with whatever it was time for. */
static void open_set(th_tls_ticket_keys *keys)
{
    if (is_elsewhere(keys))
        thi_renewal_ask(&keys->renewal);
    pthread_mutex_lock(&keys->lock);
    if (!is_elsewhere(keys))
        catch_up(keys);
}

void thi_ticket_keys_current(th_tls_ticket_keys *keys, th_tls_ticket_key *key)
{
    open_set(keys);
    *key = keys->set.current;
    pthread_mutex_unlock(&keys->lock);
}

static thi_ticket_age age_of(const th_tls_ticket_set *set, const unsigned char *name)
{
    if (memcmp(set->current.bytes, name, THI_TICKET_NAME) == 0)
        return THI_TICKET_CURRENT;
    if (memcmp(set->previous.bytes, name, THI_TICKET_NAME) == 0)
        return THI_TICKET_PREVIOUS;
    return memcmp(set->next.bytes, name, THI_TICKET_NAME) == 0 ? THI_TICKET_NEXT
                                                               : THI_TICKET_UNKNOWN;
}

thi_ticket_age thi_ticket_keys_find(th_tls_ticket_keys *keys, const unsigned char *name,
                                    th_tls_ticket_key *key)
{
    open_set(keys);
    thi_ticket_age age = age_of(&keys->set, name);
    if (age == THI_TICKET_CURRENT)
        *key = keys->set.current;
    else if (age == THI_TICKET_PREVIOUS)
        *key = keys->set.previous;
    else if (age == THI_TICKET_NEXT)
        *key = keys->set.next;
    pthread_mutex_unlock(&keys->lock);
    return age;
}

/* ---- the object ---- */

static bool are_valid(const th_tls_ticket_opts *opts)
{
    bool elsewhere = opts->file || opts->source;
    return opts->size <= sizeof *opts && opts->period >= 0 && opts->look_after >= 0 &&
           opts->look_after <= THI_RENEWAL_MAX && !(opts->file && opts->source) &&
           !(elsewhere ? opts->period : opts->look_after);
}

static void free_keys(th_tls_ticket_keys *keys)
{
    pthread_mutex_destroy(&keys->lock);
    OPENSSL_cleanse(&keys->set, sizeof keys->set);
    thi_free(keys->file);
    thi_free(keys);
}

static int fill(th_tls_ticket_keys *keys, const th_tls_ticket_opts *opts)
{
    if (opts->file) {
        keys->file = thi_strdup_n(opts->file, strlen(opts->file));
        if (!keys->file)
            return thi_err_clear(-ENOMEM);
    }
    keys->source = opts->source;
    keys->arg = opts->arg;
    keys->period = opts->period ? opts->period : PERIOD;
    keys->rotate_at = th_after(keys->period);
    int64_t after = opts->file ? LOOK_FILE : LOOK_SOURCE;
    thi_renewal_init(&keys->renewal, opts->look_after ? opts->look_after : after,
                     opts->file ? &file_ops : &source_ops);
    return is_elsewhere(keys) ? fetch_off_the_loop(keys)
                              : (int)thi_err_plain(thi_ticket_set_make(&keys->set));
}

int th_tls_ticket_keys_new(const th_tls_ticket_opts *opts, th_tls_ticket_keys **out)
{
    static const th_tls_ticket_opts defaults;
    opts = opts ? opts : &defaults;
    if (!out || !are_valid(opts))
        return thi_err_clear(-EINVAL);
    th_tls_ticket_keys *keys = thi_calloc(1, sizeof *keys);
    if (!keys)
        return thi_err_clear(-ENOMEM);
    atomic_init(&keys->refs, 1);
    pthread_mutex_init(&keys->lock, NULL);
    int err = fill(keys, opts);
    if (err < 0)
        free_keys(keys);
    else
        *out = keys;
    return err;
}

th_tls_ticket_keys *th_tls_ticket_keys_ref(th_tls_ticket_keys *keys)
{
    if (keys)
        atomic_fetch_add_explicit(&keys->refs, 1, memory_order_relaxed);
    return keys;
}

void th_tls_ticket_keys_unref(th_tls_ticket_keys *keys)
{
    if (keys && atomic_fetch_sub_explicit(&keys->refs, 1, memory_order_acq_rel) == 1)
        free_keys(keys);
}

static int look_now(th_tls_ticket_keys *keys)
{
    if (!thi_renewal_begin(&keys->renewal))
        return thi_err_clear(-EBUSY);
    int err = fetch_off_the_loop(keys);
    thi_renewal_end(&keys->renewal);
    return err;
}

int th_tls_ticket_keys_rotate(th_tls_ticket_keys *keys)
{
    if (!keys)
        return thi_err_clear(-EINVAL);
    if (is_elsewhere(keys))
        return look_now(keys);
    pthread_mutex_lock(&keys->lock);
    int err = thi_ticket_set_rotate(&keys->set);
    if (err == 0)
        keys->rotate_at = th_after(keys->period);
    pthread_mutex_unlock(&keys->lock);
    return (int)thi_err_plain(err);
}

int th_tls_ticket_keys_get(th_tls_ticket_keys *keys, th_tls_ticket_set *set)
{
    if (!keys || !set)
        return thi_err_clear(-EINVAL);
    open_set(keys);
    *set = keys->set;
    pthread_mutex_unlock(&keys->lock);
    return 0;
}

int th_tls_ticket_keys_set(th_tls_ticket_keys *keys, const th_tls_ticket_set *set)
{
    if (!keys || !set || is_elsewhere(keys) || !thi_ticket_set_valid(set))
        return thi_err_clear(-EINVAL);
    pthread_mutex_lock(&keys->lock);
    keys->set = *set;
    keys->rotate_at = TH_NEVER;
    keys->period = TH_NEVER;
    pthread_mutex_unlock(&keys->lock);
    return 0;
}

/* So a context that takes the place of another resumes its sessions. */
int thi_ticket_keys_default(th_tls_ticket_keys **out)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static th_tls_ticket_keys *keys;
    pthread_mutex_lock(&lock);
    int err = keys ? 0 : th_tls_ticket_keys_new(NULL, &keys);
    if (err == 0)
        *out = th_tls_ticket_keys_ref(keys);
    pthread_mutex_unlock(&lock);
    return err;
}
