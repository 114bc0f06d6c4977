/* SPDX-License-Identifier: MIT */

/*
 * Rings of events.
 *
 * A ring belongs to the thread of a worker, which alone writes to it: first the record, then the
 * counter of records. A reader copies what is there and looks at the counter again: whatever has
 * been overwritten meanwhile, and the one that may just be under the pen, is dropped. The words of
 * a record are stored with release and loaded with acquire, so that whoever sees one of a new
 * record sees the counter of the one before it. These are plain moves on x86.
 *
 * A ring is made with the first record of its thread, so that a worker costs nothing while the
 * trace is off. When the trace is switched on anew, the number of the recording goes up, and a
 * thread that finds its ring to be of an earlier one begins it afresh. The ring of a thread that
 * has ended is kept until then, to be saved.
 */
#include "base/trace.h"

#include "base/alloc.h"
#include "base/list.h"
#include "base/util.h"

#include <errno.h>
#include <pthread.h>

enum { WORDS = sizeof(th_trace_record) / sizeof(uint64_t) };
_Static_assert(sizeof(th_trace_record) == 32, "a record is four words");

typedef struct ring {
    thi_list link; /* in `rings`; under the lock */
    uint64_t recording;
    uint64_t size; /* a power of two */
    unsigned worker;
    int thread;
    bool owned;
    atomic_uint_fast64_t count; /* records ever written in this recording */
    atomic_uint_fast64_t words[];
} ring;

int64_t (*_Atomic thi_trace_clock)(void);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static thi_list rings = THI_LIST_INIT(rings);
static atomic_uint_fast64_t recording; /* changed under the lock */
static size_t ring_size;               /* under the lock */

/* Of the calling thread. */
static _Thread_local ring *own;
static _Thread_local uint64_t refused; /* the recording for which there was no memory */
static _Thread_local bool enlisted;
static _Thread_local unsigned own_worker;
static _Thread_local int own_thread;

/* ---- writing --------------------------------------------------------------------------------- */

static void forget(ring *r)
{
    if (!r)
        return;
    thi_list_remove(&r->link);
    thi_free(r);
}

/* A ring for the present recording; NULL when there is none to be had. */
static ring *begin_ring(void)
{
    pthread_mutex_lock(&lock);
    uint64_t now = atomic_load(&recording);
    if (own && own->size != ring_size) {
        forget(own);
        own = NULL;
    }
    if (!own && refused != now) {
        own = thi_calloc(1, sizeof *own + ring_size * sizeof(th_trace_record));
        if (own)
            thi_list_push_back(&rings, &own->link);
        else
            refused = now;
    }
    if (own) {
        own->recording = now;
        own->size = ring_size;
        own->worker = own_worker;
        own->thread = own_thread;
        own->owned = true;
        atomic_store(&own->count, 0);
    }
    pthread_mutex_unlock(&lock);
    return own;
}

void thi_trace_record_until(int64_t began, int64_t ended, unsigned kind, uint64_t channel,
                            unsigned extra, uintptr_t function)
{
    ring *r = own;
    if (!enlisted)
        return;
    if (!r || r->recording != atomic_load_explicit(&recording, memory_order_relaxed)) {
        r = begin_ring();
        if (!r)
            return;
    }
    uint64_t span = ended > began ? (uint64_t)(ended - began) : 0;
    span = thi_min(span, (uint64_t)UINT32_MAX);
    union {
        th_trace_record record;
        uint64_t words[WORDS];
    } event = { { .at = began,
                  .span = (uint32_t)span,
                  .kind = (uint8_t)kind,
                  .extra = (uint16_t)extra,
                  .channel = channel,
                  .function = function } };
    uint64_t count = atomic_load_explicit(&r->count, memory_order_relaxed);
    atomic_uint_fast64_t *at = &r->words[(count & (r->size - 1)) * WORDS];
    for (int i = 0; i < WORDS; i++)
        atomic_store_explicit(&at[i], event.words[i], memory_order_release);
    atomic_store_explicit(&r->count, count + 1, memory_order_release);
}

int64_t thi_trace_record(int64_t began, unsigned kind, uint64_t channel, unsigned extra,
                         uintptr_t function)
{
    int64_t now = thi_trace_begin();
    if (now != 0)
        thi_trace_record_until(began, now, kind, channel, extra, function);
    return now;
}

void thi_trace_enlist(unsigned worker, int thread)
{
    own_worker = worker;
    own_thread = thread;
    enlisted = true;
}

void thi_trace_delist(void)
{
    enlisted = false;
    if (!own)
        return;
    pthread_mutex_lock(&lock);
    own->owned = false;
    pthread_mutex_unlock(&lock);
    own = NULL;
}

bool thi_trace_is_enlisted(void)
{
    return enlisted;
}

/* ---- on and off ------------------------------------------------------------------------------ */

int thi_trace_on(int64_t (*clock)(void), size_t events)
{
    int err = 0;
    pthread_mutex_lock(&lock);
    if (atomic_load(&thi_trace_clock)) {
        err = -EBUSY;
    } else {
        thi_list_each_safe (node, &rings) {
            ring *r = thi_list_item(node, ring, link);
            if (!r->owned)
                forget(r);
        }
        ring_size = events;
        atomic_fetch_add(&recording, 1);
        atomic_store(&thi_trace_clock, clock);
    }
    pthread_mutex_unlock(&lock);
    return err;
}

int thi_trace_off(void)
{
    return atomic_exchange(&thi_trace_clock, NULL) ? 0 : -EALREADY;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Copies the records from..to; those may be overwritten while that is done. */
static void copy_words(ring *r, uint64_t from, uint64_t to, th_trace_record *records)
{
    for (; from < to; from++, records++) {
        union {
            th_trace_record record;
            uint64_t words[WORDS];
        } event;
        atomic_uint_fast64_t *at = &r->words[(from & (r->size - 1)) * WORDS];
        for (int i = 0; i < WORDS; i++)
            event.words[i] = atomic_load_explicit(&at[i], memory_order_acquire);
        *records = event.record;
    }
}

static thi_trace_copy *copy_ring(ring *r)
{
    uint64_t to = atomic_load_explicit(&r->count, memory_order_acquire);
    uint64_t from = to > r->size ? to - r->size : 0;
    thi_trace_copy *copy = thi_alloc(sizeof *copy + (size_t)(to - from) * sizeof(th_trace_record));
    if (!copy)
        return NULL;
    copy_words(r, from, to, copy->records);
    uint64_t now = atomic_load_explicit(&r->count, memory_order_relaxed);
    /* The record of number `now` may be half written, over that of number now - size. */
    uint64_t first = now >= r->size ? now - r->size + 1 : 0;
    first = thi_min(thi_max(first, from), to);
    if (first > from)
        for (uint64_t i = first; i < to; i++)
            copy->records[i - first] = copy->records[i - from];
    copy->ring = (th_trace_ring){
        .worker = r->worker, .thread = (uint32_t)r->thread, .count = to - first, .dropped = first
    };
    return copy;
}

int thi_trace_take(thi_trace_copy **first)
{
    thi_trace_copy *copies = NULL;
    thi_trace_copy **last = &copies;
    int err = 0;
    pthread_mutex_lock(&lock);
    uint64_t now = atomic_load(&recording);
    thi_list_each (node, &rings) {
        ring *r = thi_list_item(node, ring, link);
        if (r->recording != now)
            continue;
        *last = copy_ring(r);
        if (!*last) {
            err = -ENOMEM;
            break;
        }
        (*last)->next = NULL;
        last = &(*last)->next;
    }
    pthread_mutex_unlock(&lock);
    while (err < 0 && copies) {
        thi_trace_copy *next = copies->next;
        thi_free(copies);
        copies = next;
    }
    if (err == 0)
        *first = copies;
    return err;
}
