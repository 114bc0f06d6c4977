/* SPDX-License-Identifier: MIT */

/*
 * The cache of a client's sessions.
 *
 * A destination is in the map as long as it has sessions, each of which is in two lists: those of
 * its destination, the latest first, and those of all, the oldest first, from whose front the cache
 * makes room. One lock guards everything; under it lists are changed and sessions freed, which is
 * less than a handshake by a factor of hundreds.
 *
 * What is kept is a copy that nobody else has: OpenSSL marks the session of a connection that was
 * freed without a farewell as not to be resumed, for all who share it.
 */
#include "tls/sessions_cache.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "sys/sys.h"
#include "tls/session.h"

#include <thrum/time.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define SESSIONS_MAX 1000000
#define SESSIONS     1024
#define EACH_MAX     64
#define EACH         4
#define SESSION_TIME (12 * TH_HOUR)

typedef struct destination {
    thi_list sessions; /* the latest first */
    size_t count;
    size_t len;
    char name[];
} destination;

typedef struct kept {
    thi_list of_one; /* in the destination's */
    thi_list of_all;
    destination *to;
    SSL_SESSION *session;
    int64_t until; /* by the clock */
} kept;

struct th_tls_sessions {
    atomic_uint refs;
    pthread_mutex_t lock; /* of what follows */
    thi_map destinations;
    thi_list all; /* the oldest first */
    th_tls_sessions_stats stats;
    size_t max; /* these do not change */
    size_t max_each;
    int64_t session_time;
};

/* ---- under the lock ---- */

static void forget(th_tls_sessions *s, kept *k)
{
    destination *to = k->to;
    thi_list_remove(&k->of_one);
    thi_list_remove(&k->of_all);
    SSL_SESSION_free(k->session);
    thi_free(k);
    s->stats.sessions--;
    if (--to->count > 0)
        return;
    (void)thi_map_remove(&s->destinations, th_str_make(to->name, to->len));
    thi_free(to);
}

static kept *latest_of(destination *to)
{
    return thi_list_item(thi_list_first(&to->sessions), kept, of_one);
}

static kept *oldest_of(destination *to)
{
    return thi_list_item(thi_list_last(&to->sessions), kept, of_one);
}

/* Of a destination or of all; those of one destination need not expire in their order. */
static void make_room(th_tls_sessions *s, destination *to)
{
    if (to && to->count >= s->max_each) {
        s->stats.displaced++;
        forget(s, oldest_of(to));
    } else if (s->stats.sessions >= s->max) {
        s->stats.displaced++;
        forget(s, thi_list_item(thi_list_first(&s->all), kept, of_all));
    }
}

static destination *make_destination(th_tls_sessions *s, th_str name)
{
    destination *to = thi_calloc(1, sizeof *to + name.len);
    if (!to)
        return NULL;
    thi_list_init(&to->sessions);
    to->len = name.len;
    memcpy(to->name, name.ptr, name.len);
    if (thi_map_put(&s->destinations, th_str_make(to->name, to->len), to) == 0)
        return to;
    thi_free(to);
    return NULL;
}

static void add(th_tls_sessions *s, th_str name, kept *k)
{
    make_room(s, thi_map_get(&s->destinations, name));
    destination *to = thi_map_get(&s->destinations, name); /* its last one may have gone */
    to = to ? to : make_destination(s, name);
    if (!to) {
        SSL_SESSION_free(k->session);
        thi_free(k);
        return;
    }
    k->to = to;
    to->count++;
    s->stats.sessions++;
    s->stats.stored++;
    thi_list_push_front(&to->sessions, &k->of_one);
    thi_list_push_back(&s->all, &k->of_all);
}

/* The latest that is not too old; those that are go. */
static kept *find(th_tls_sessions *s, th_str name)
{
    destination *to = thi_map_get(&s->destinations, name);
    int64_t now = thi_sys_clock();
    while (to) {
        kept *k = latest_of(to);
        if (now < k->until)
            return k;
        to = to->count > 1 ? to : NULL;
        s->stats.expired++;
        forget(s, k);
    }
    return NULL;
}

static void forget_all(th_tls_sessions *s)
{
    for (thi_list *first; (first = thi_list_first(&s->all)) != NULL;)
        forget(s, thi_list_item(first, kept, of_all));
}

/* ---- for connections ---- */

void thi_sessions_put(th_tls_sessions *s, th_str name, SSL_SESSION *session)
{
    int64_t left = thi_min(thi_tls_session_left(session), s->session_time);
    kept *k = left > 0 ? thi_calloc(1, sizeof *k) : NULL;
    if (!k) {
        SSL_SESSION_free(session);
        return;
    }
    k->session = session;
    k->until = th_after(left);
    pthread_mutex_lock(&s->lock);
    add(s, name, k);
    pthread_mutex_unlock(&s->lock);
}

/* One that is used once is given away, of another a copy: see above. */
static SSL_SESSION *hand_out(th_tls_sessions *s, kept *k)
{
    if (!thi_tls_session_is_once(k->session))
        return SSL_SESSION_dup(k->session);
    SSL_SESSION *session = k->session;
    SSL_SESSION_up_ref(session);
    forget(s, k);
    return session;
}

SSL_SESSION *thi_sessions_get(th_tls_sessions *s, th_str name)
{
    pthread_mutex_lock(&s->lock);
    kept *k = find(s, name);
    SSL_SESSION *session = k ? hand_out(s, k) : NULL;
    if (session)
        s->stats.offered++;
    else
        s->stats.missed++;
    pthread_mutex_unlock(&s->lock);
    return session;
}

void thi_sessions_drop(th_tls_sessions *s, th_str name)
{
    pthread_mutex_lock(&s->lock);
    destination *to = thi_map_get(&s->destinations, name);
    for (size_t left = to ? to->count : 0; left > 0; left--)
        forget(s, latest_of(to));
    pthread_mutex_unlock(&s->lock);
}

/* ---- for users ---- */

static bool are_valid(const th_tls_sessions_opts *opts)
{
    return opts->size <= sizeof *opts && opts->max <= SESSIONS_MAX && opts->max_each <= EACH_MAX &&
           opts->session_time >= 0;
}

int th_tls_sessions_new(const th_tls_sessions_opts *opts, th_tls_sessions **out)
{
    static const th_tls_sessions_opts defaults;
    uint64_t seed = 0;
    opts = opts ? opts : &defaults;
    if (!out || !are_valid(opts))
        return thi_err_clear(-EINVAL);
    th_tls_sessions *s = thi_calloc(1, sizeof *s);
    if (!s)
        return thi_err_clear(-ENOMEM);
    (void)thi_sys_random(&seed, sizeof seed);
    atomic_init(&s->refs, 1);
    pthread_mutex_init(&s->lock, NULL);
    thi_map_init(&s->destinations, seed);
    thi_list_init(&s->all);
    s->max = opts->max ? opts->max : SESSIONS;
    s->max_each = opts->max_each ? opts->max_each : EACH;
    s->session_time = opts->session_time ? opts->session_time : SESSION_TIME;
    *out = s;
    return 0;
}

th_tls_sessions *th_tls_sessions_ref(th_tls_sessions *s)
{
    if (s)
        atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void th_tls_sessions_unref(th_tls_sessions *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
        return;
    forget_all(s);
    thi_map_deinit(&s->destinations);
    pthread_mutex_destroy(&s->lock);
    thi_free(s);
}

void th_tls_sessions_clear(th_tls_sessions *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    forget_all(s);
    pthread_mutex_unlock(&s->lock);
}

int th_tls_sessions_get_stats(th_tls_sessions *s, size_t size, th_tls_sessions_stats *stats)
{
    if (!s || !stats || size < sizeof stats->size || size > sizeof *stats)
        return thi_err_clear(-EINVAL);
    pthread_mutex_lock(&s->lock);
    th_tls_sessions_stats all = s->stats;
    all.destinations = thi_map_count(&s->destinations);
    pthread_mutex_unlock(&s->lock);
    all.size = size;
    memcpy(stats, &all, size);
    return 0;
}
