/* SPDX-License-Identifier: MIT */

/*
 * Taps on connections.
 *
 * Each thread of a worker has a ring of bytes, into which it alone puts records, and out of which
 * the one who captures alone takes them. So putting takes no lock and makes no system call, and the
 * order of what happens to one connection, which lives on one worker, is kept. What does not fit is
 * lost, and counted; the offset of what comes after it shows how much was. A ring is made by its
 * thread when the first bytes are tapped there, and stays with the thread, because who captures
 * comes and goes while bytes pass.
 *
 * Captures have numbers. A tap or a record of an earlier one is not taken for one of this: a thread
 * may have been in the middle of something when the last capture ended. An odd number means that
 * whoever captures has asked for what is inside of TLS. Then the carrier of a connection that
 * speaks it ("covered") keeps nothing, and TLS does in its place, through the same tap: so either
 * the bytes of the wire are kept or those inside, never both, and a connection on which TLS begins
 * later is one all the same. TLS holds a reference to the tap, because it may outlive its carrier.
 */
#include "net/capture.h"

#include "base/alloc.h"
#include "base/list.h"
#include "base/util.h"
#include "net/addr.h"
#include "sys/sys.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RING_SIZE ((uint64_t)1 << 20)
#define PIECE_MAX ((size_t)32 * 1024) /* of payload in one record */
#define FILE_STEP ((size_t)16 * 1024)

/* In a ring a record is behind the number of its capture. */
typedef struct entry {
    uint64_t session;
    th_capture_record record;
} entry;

typedef struct ring {
    thi_list link;
    bool owned;               /* under the lock */
    atomic_uint_fast64_t put; /* bytes ever put in; the owner's */
    char apart[THI_CACHE_LINE];
    atomic_uint_fast64_t taken; /* bytes ever taken out */
    char bytes[RING_SIZE];
} ring;

struct thi_tap {
    unsigned refs;
    bool covered; /* by TLS */
    bool closed;  /* its carrier is */
    unsigned session;
    bool wanted; /* it is one of those that are captured */
    bool told;   /* TH_CAPTURE_OPEN has been put in */
    int fd;
    uint64_t connection;
    uint64_t passed[2]; /* bytes received and sent so far */
};

atomic_uint thi_capture_session;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static thi_list rings = THI_LIST_INIT(rings);
static unsigned last_session;            /* under the lock; even */
static char wanted[THI_CAPTURE_WHAT];    /* under the lock */
static atomic_uint_fast64_t connections; /* numbered so far */
static atomic_uint_fast64_t lost;        /* bytes */

/* ---- rings ----------------------------------------------------------------------------------- */

static pthread_key_t at_end;
static _Thread_local ring *own;
static _Thread_local unsigned refused; /* the capture for which there was no memory */

static void thread_ends(void *arg)
{
    ring *r = arg;
    pthread_mutex_lock(&lock);
    r->owned = false;
    pthread_mutex_unlock(&lock);
}

static void make_key(void)
{
    (void)pthread_key_create(&at_end, thread_ends);
}

/* One that a thread has left behind, or a new one. */
static ring *find_ring(void)
{
    thi_list_each (node, &rings) {
        ring *r = thi_list_item(node, ring, link);
        if (!r->owned)
            return r;
    }
    ring *r = thi_alloc(sizeof *r);
    if (!r)
        return NULL;
    atomic_init(&r->put, 0);
    atomic_init(&r->taken, 0);
    thi_list_push_back(&rings, &r->link);
    return r;
}

static ring *begin_ring(unsigned session)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (refused == session)
        return NULL;
    (void)pthread_once(&once, make_key);
    pthread_mutex_lock(&lock);
    own = find_ring();
    if (own)
        own->owned = true;
    pthread_mutex_unlock(&lock);
    if (own)
        (void)pthread_setspecific(at_end, own);
    else
        refused = session;
    return own;
}

/* Copies into the ring from position `at` on, round its end. */
static uint64_t copy_in(ring *r, uint64_t at, const void *bytes, size_t size)
{
    size_t place = (size_t)(at & (RING_SIZE - 1));
    size_t first = thi_min(size, (size_t)RING_SIZE - place);
    memcpy(r->bytes + place, bytes, first);
    memcpy(r->bytes, (const char *)bytes + first, size - first);
    return at + size;
}

static void copy_out(const ring *r, uint64_t at, void *bytes, size_t size)
{
    size_t place = (size_t)(at & (RING_SIZE - 1));
    size_t first = thi_min(size, (size_t)RING_SIZE - place);
    memcpy(bytes, r->bytes + place, first);
    memcpy((char *)bytes + first, r->bytes, size - first);
}

/* Puts in a record with its bytes; false when there is no room. */
static bool put(unsigned session, const th_capture_record *record, const struct iovec *iov,
                int count)
{
    entry e = { .session = session, .record = *record };
    ring *r = own ? own : begin_ring(session);
    if (!r)
        return false;
    uint64_t at = atomic_load_explicit(&r->put, memory_order_relaxed);
    uint64_t used = at - atomic_load_explicit(&r->taken, memory_order_acquire);
    if (sizeof e + record->size > RING_SIZE - used)
        return false;
    at = copy_in(r, at, &e, sizeof e);
    for (int i = 0; i < count; i++)
        at = copy_in(r, at, iov[i].iov_base, iov[i].iov_len);
    atomic_store_explicit(&r->put, at, memory_order_release);
    return true;
}

/* ---- taps ------------------------------------------------------------------------------------ */

static void name_ends(int fd, char local[TH_ADDR_TEXT], char peer[TH_ADDR_TEXT])
{
    thi_sockaddr sa;
    socklen_t len = sizeof sa;
    th_addr addr = { .kind = TH_ADDR_NONE };
    if (thi_sys_getsockname(fd, &sa.sa, &len) == 0)
        thi_addr_from_sockaddr(&sa, len, &addr);
    (void)th_addr_format(&addr, local, TH_ADDR_TEXT);
    len = sizeof sa;
    addr = (th_addr){ .kind = TH_ADDR_NONE };
    if (thi_sys_getpeername(fd, &sa.sa, &len) == 0)
        thi_addr_from_sockaddr(&sa, len, &addr);
    (void)th_addr_format(&addr, peer, TH_ADDR_TEXT);
}

/* ":80" is the end of an address. */
static bool is_named(const char *what, const char *address)
{
    size_t len = strlen(address);
    size_t n = strlen(what);
    if (*what == ':')
        return len >= n && strcmp(address + len - n, what) == 0;
    return strcmp(address, what) == 0;
}

static bool is_wanted(int fd, const char *local, const char *peer)
{
    char what[THI_CAPTURE_WHAT];
    pthread_mutex_lock(&lock);
    memcpy(what, wanted, sizeof what);
    pthread_mutex_unlock(&lock);
    char *end;
    long number = strtol(what, &end, 10);
    if (end != what && !*end)
        return number == fd;
    return strcmp(what, "*") == 0 || is_named(what, local) || is_named(what, peer);
}

static bool is_inside(unsigned session)
{
    return session & 1;
}

/* Tells of a connection, which the records after that belong to. */
static bool put_open(const thi_tap *tap, const char *local, const char *peer)
{
    static const char tls[] = TH_CAPTURE_INSIDE_TLS;
    struct iovec names[] = { { (void *)(uintptr_t)local, strlen(local) + 1 },
                             { (void *)(uintptr_t)peer, strlen(peer) + 1 },
                             { (void *)(uintptr_t)tls, sizeof tls } };
    if (!tap->covered || !is_inside(tap->session))
        names[2].iov_len = 0;
    size_t size = names[0].iov_len + names[1].iov_len + names[2].iov_len;
    th_capture_record record = { .size = (uint32_t)size,
                                 .kind = TH_CAPTURE_OPEN,
                                 .connection = tap->connection,
                                 .wall = thi_sys_wall() };
    return put(tap->session, &record, names, 3);
}

/* Decides about a connection that this capture has not seen yet. */
static void look_at(thi_tap *tap, unsigned session, int fd)
{
    char local[TH_ADDR_TEXT];
    char peer[TH_ADDR_TEXT];
    bool anew = tap->session != session;
    if (anew)
        *tap = (thi_tap){ .refs = tap->refs,
                          .covered = tap->covered,
                          .closed = tap->closed,
                          .session = session,
                          .fd = fd };
    name_ends(fd, local, peer);
    if (anew) {
        tap->wanted = is_wanted(fd, local, peer);
        if (tap->wanted)
            tap->connection = atomic_fetch_add(&connections, 1) + 1;
    }
    tap->told = tap->wanted && put_open(tap, local, peer);
}

static thi_tap *new_tap(int fd)
{
    thi_tap *tap = thi_calloc(1, sizeof *tap);
    if (tap)
        *tap = (thi_tap){ .refs = 1, .fd = fd };
    return tap;
}

static void unref(thi_tap *tap)
{
    if (--tap->refs == 0)
        thi_free(tap);
}

static unsigned present_session(void)
{
    return atomic_load_explicit(&thi_capture_session, memory_order_acquire);
}

/* Whether its connection is one of those that are captured. */
static bool is_tapped(thi_tap *tap, unsigned session, int fd)
{
    if (tap->session != session || (tap->wanted && !tap->told))
        look_at(tap, session, fd);
    return tap->wanted;
}

/* The tap of a carrier that is captured; NULL for any other. */
static thi_tap *tap_of(thi_tap **place, int fd)
{
    unsigned session = present_session();
    if (session == 0)
        return NULL;
    if (!*place)
        *place = new_tap(fd);
    thi_tap *tap = *place;
    if (!tap || (tap->covered && is_inside(session)))
        return NULL;
    return is_tapped(tap, session, fd) ? tap : NULL;
}

/* The pieces of the next record: at most PIECE_MAX bytes from *skip on. */
static int next_pieces(const struct iovec *iov, int count, size_t skip, size_t size,
                       struct iovec pieces[], int max)
{
    int n = 0;
    for (int i = 0; i < count && size > 0 && n < max; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        pieces[n].iov_base = (char *)iov[i].iov_base + skip;
        pieces[n].iov_len = thi_min(iov[i].iov_len - skip, size);
        size -= pieces[n++].iov_len;
        skip = 0;
    }
    return n;
}

static void put_bytes(thi_tap *tap, unsigned kind, const struct iovec *iov, int count, size_t n)
{
    enum { PIECES = 16 };
    struct iovec pieces[PIECES];
    int64_t wall = thi_sys_wall();
    uint64_t *passed = &tap->passed[kind == TH_CAPTURE_SENT];
    for (size_t done = 0; done < n;) {
        int used = next_pieces(iov, count, done, thi_min(n - done, PIECE_MAX), pieces, PIECES);
        size_t size = 0;
        for (int i = 0; i < used; i++)
            size += pieces[i].iov_len;
        if (size == 0)
            return;
        th_capture_record record = { .size = (uint32_t)size,
                                     .kind = kind,
                                     .connection = tap->connection,
                                     .wall = wall,
                                     .offset = *passed };
        if (!tap->told || !put(tap->session, &record, pieces, used))
            atomic_fetch_add(&lost, size);
        *passed += size;
        done += size;
    }
}

void thi_capture_bytes(thi_tap **place, int fd, unsigned kind, const struct iovec *iov, int count,
                       size_t n)
{
    thi_tap *tap = tap_of(place, fd);
    if (!*place) /* for lack of memory; perhaps it is one of those that are captured */
        atomic_fetch_add(&lost, n);
    if (tap)
        put_bytes(tap, kind, iov, count, n);
}

/* The kernel has just read them, so they are in memory. */
static void put_file(thi_tap *tap, int file, int64_t offset, size_t n)
{
    char *bytes = thi_alloc(FILE_STEP);
    size_t done = 0;
    while (bytes && done < n) {
        struct iovec iov = { bytes, thi_min(n - done, FILE_STEP) };
        ssize_t got = thi_sys_preadv2(file, &iov, 1, offset + (int64_t)done, 0);
        if (got <= 0)
            break;
        put_bytes(tap, TH_CAPTURE_SENT, &iov, 1, (size_t)got);
        done += (size_t)got;
    }
    if (done < n) {
        tap->passed[1] += n - done;
        atomic_fetch_add(&lost, n - done);
    }
    thi_free(bytes);
}

void thi_capture_file(thi_tap **place, int fd, int file, int64_t offset, size_t n)
{
    thi_tap *tap = tap_of(place, fd);
    if (tap)
        put_file(tap, file, offset, n);
}

void thi_capture_unseen(thi_tap **place, int fd, unsigned kind, size_t n)
{
    thi_tap *tap = tap_of(place, fd);
    if (!tap)
        return;
    tap->passed[kind == TH_CAPTURE_SENT] += n;
    atomic_fetch_add(&lost, n);
}

static void put_end(const thi_tap *tap, unsigned kind)
{
    th_capture_record record = { .kind = kind,
                                 .connection = tap->connection,
                                 .wall = thi_sys_wall(),
                                 .offset = tap->passed[kind != TH_CAPTURE_ENDED] };
    if (tap->told)
        (void)put(tap->session, &record, NULL, 0);
}

void thi_capture_end(thi_tap **place, int fd, unsigned kind)
{
    thi_tap *tap = tap_of(place, fd);
    if (tap)
        put_end(tap, kind);
}

void thi_capture_closed(thi_tap **place)
{
    thi_tap *tap = *place;
    if (!tap)
        return;
    if (tap->wanted && tap->session == present_session())
        put_end(tap, TH_CAPTURE_CLOSED);
    tap->closed = true;
    unref(tap);
    *place = NULL;
}

/* ---- inside of TLS --------------------------------------------------------------------------- */

thi_tap *thi_capture_cover(thi_tap **place, int fd)
{
    if (!*place)
        *place = new_tap(fd);
    thi_tap *tap = *place;
    if (!tap)
        return NULL;
    tap->covered = true;
    tap->refs++;
    return tap;
}

void thi_capture_uncover(thi_tap **place)
{
    thi_tap *tap = *place;
    if (!tap)
        return;
    tap->covered = false;
    unref(tap);
    *place = NULL;
}

static bool is_tapped_inside(thi_tap *tap)
{
    unsigned session = present_session();
    return tap && is_inside(session) && !tap->closed && is_tapped(tap, session, tap->fd);
}

void thi_capture_inside(thi_tap *tap, unsigned kind, const struct iovec *iov, int count, size_t n)
{
    if (is_tapped_inside(tap))
        put_bytes(tap, kind, iov, count, n);
}

void thi_capture_inside_file(thi_tap *tap, int file, int64_t offset, size_t n)
{
    if (is_tapped_inside(tap))
        put_file(tap, file, offset, n);
}

void thi_capture_inside_end(thi_tap *tap, unsigned kind)
{
    if (is_tapped_inside(tap))
        put_end(tap, kind);
}

/* ---- whoever captures ------------------------------------------------------------------------ */

int thi_capture_begin(const char *what, bool inside_tls)
{
    if (!*what || strlen(what) >= sizeof wanted)
        return -EINVAL;
    pthread_mutex_lock(&lock);
    memset(wanted, 0, sizeof wanted);
    memcpy(wanted, what, strlen(what));
    atomic_store(&connections, 0);
    atomic_store(&lost, 0);
    last_session = (last_session | 1) + 1; /* the next even number */
    if (last_session == 0)
        last_session = 2;
    atomic_store(&thi_capture_session, last_session | inside_tls);
    pthread_mutex_unlock(&lock);
    return 0;
}

void thi_capture_finish(void)
{
    atomic_store(&thi_capture_session, 0);
}

uint64_t thi_capture_lost(void)
{
    return atomic_load(&lost);
}

/* Takes one entry out, of this capture or another; its size, 0 when there is none. */
static ptrdiff_t take_entry(ring *r, char *room, int (*hand_on)(void *, const void *, size_t),
                            void *arg)
{
    entry e;
    uint64_t at = atomic_load_explicit(&r->taken, memory_order_relaxed);
    if (at == atomic_load_explicit(&r->put, memory_order_acquire))
        return 0;
    copy_out(r, at, &e, sizeof e);
    size_t size = e.record.size;
    bool mine = e.session == atomic_load(&thi_capture_session);
    if (mine) {
        memcpy(room, &e.record, sizeof e.record);
        copy_out(r, at + sizeof e, room + sizeof e.record, size);
    }
    atomic_store_explicit(&r->taken, at + sizeof e + size, memory_order_release);
    int err = mine ? hand_on(arg, room, sizeof e.record + size) : 0;
    return err < 0 ? err : (ptrdiff_t)(sizeof e + size);
}

/* The ring after this one; rings are only ever added at the end. */
static ring *next_ring(const ring *r)
{
    pthread_mutex_lock(&lock);
    thi_list *node = r ? r->link.next : rings.next;
    pthread_mutex_unlock(&lock);
    return node == &rings ? NULL : thi_list_item(node, ring, link);
}

ptrdiff_t thi_capture_drain(int (*hand_on)(void *arg, const void *bytes, size_t size), void *arg)
{
    ptrdiff_t sum = 0;
    char *room = thi_alloc(sizeof(th_capture_record) + PIECE_MAX + 2 * TH_ADDR_TEXT);
    if (!room)
        return -ENOMEM;
    for (ring *r = next_ring(NULL); r && sum >= 0; r = next_ring(r)) {
        ptrdiff_t n;
        /* No more than there was room for: a busy worker must not keep the others waiting. */
        for (uint64_t taken = 0; taken < RING_SIZE; taken += (uint64_t)n) {
            n = take_entry(r, room, hand_on, arg);
            if (n <= 0)
                break;
            sum += n;
        }
        if (n < 0)
            sum = n;
    }
    thi_free(room);
    return sum;
}
