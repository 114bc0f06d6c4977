/* SPDX-License-Identifier: MIT */

/*
 * Waits on foreign descriptors, and how they end before the descriptor does.
 *
 * An entry is a descriptor on one worker, with the watch and the list of those who wait; only its
 * worker uses these. All entries of the process are in a table by descriptor, under the locks of
 * its buckets, so that whoever is about to close a descriptor finds those of other workers as well.
 * A plain thread that waits has an entry of its own, and polls an eventfd beside the descriptor.
 *
 * The closer marks a far entry as told and sends it a message; from then on the entry belongs to
 * the message, which ends the waits and frees it. The closer meanwhile sleeps in the bucket, and
 * looks again whenever an entry of it is gone. So when th_fd_closing() returns no loop has a watch
 * on the descriptor, and its number may be used for something else.
 *
 * An event is only a hint: a look at the descriptor says what is ready, and who has waited for
 * nothing of that waits on. That also makes good for edges that belong to a wait before.
 */
#include "sync/fd_hub.h"

#include "base/alloc.h"
#include "base/error.h"
#include "runtime/annex.h"
#include "runtime/waiter.h"
#include "sys/sys.h"

#include <poll.h>

#define BUCKETS 64

struct thi_fd_entry {
    thi_fd_entry *next; /* in the bucket; under its lock, as are these: */
    int fd;
    thi_worker *worker; /* NULL: a plain thread */
    bool told;          /* it belongs to a message that ends it, or the thread has been woken */
    thi_msg msg;
    thi_watch watch; /* fd: -1 when there is none; of the worker, as is the list */
    thi_list waits;
    int alarm; /* of a thread: the eventfd that wakes it */
};

typedef struct bucket {
    thi_waitq closers; /* its lock is the bucket's */
    thi_fd_entry *first;
} bucket;

static bucket table[BUCKETS];

static bucket *bucket_of(int fd)
{
    return &table[(unsigned)fd % BUCKETS];
}

/* ---- a look ---- */

static unsigned translate(short got, unsigned dirs)
{
    unsigned ready = 0;
    bool over = got & (POLLHUP | POLLERR);
    if ((dirs & TH_FD_READ) && (over || (got & POLLIN)))
        ready |= TH_FD_READ;
    if ((dirs & TH_FD_WRITE) && (over || (got & POLLOUT)))
        ready |= TH_FD_WRITE;
    return over ? ready | TH_FD_HANGUP : ready;
}

static short events_of(unsigned dirs)
{
    return (short)((dirs & TH_FD_READ ? POLLIN : 0) | (dirs & TH_FD_WRITE ? POLLOUT : 0));
}

static int look(int fd, unsigned dirs)
{
    struct pollfd p = { .fd = fd, .events = events_of(dirs) };
    int n = thi_sys_poll(&p, 1, 0);
    if (n < 0)
        return n;
    return p.revents & POLLNVAL ? -EBADF : (int)translate(p.revents, dirs);
}

/* Whatever keeps the kernel from telling keeps it only from telling at once. */
int thi_fd_look(int fd, unsigned dirs)
{
    int ready = fd < 0 ? -EBADF : look(fd, dirs);
    return ready < 0 && ready != -EBADF ? 0 : ready;
}

/* ---- entries ---- */

static void insert(thi_fd_entry *entry)
{
    bucket *b = bucket_of(entry->fd);
    thi_waitq_lock(&b->closers);
    entry->next = b->first;
    b->first = entry;
    thi_waitq_unlock(&b->closers);
}

/* Takes an entry out, unless a message has it (and `owned` says that the caller is not that). */
static bool take_out(thi_fd_entry *entry, bool owned)
{
    bucket *b = bucket_of(entry->fd);
    thi_waiter *closers = NULL;
    thi_waitq_lock(&b->closers);
    bool free = owned || !entry->told;
    if (free) {
        thi_fd_entry **at = &b->first;
        while (*at != entry)
            at = &(*at)->next;
        *at = entry->next;
        closers = thi_waitq_pop_all(&b->closers);
    }
    thi_waitq_unlock(&b->closers);
    thi_waiter_wake_all(closers);
    return free;
}

/* The entry of this worker. Nobody else makes one or takes it away. */
static thi_fd_entry *find_own(int fd)
{
    bucket *b = bucket_of(fd);
    thi_waitq_lock(&b->closers);
    thi_fd_entry *entry = b->first;
    while (entry && (entry->fd != fd || entry->worker != thi_worker_self))
        entry = entry->next;
    thi_waitq_unlock(&b->closers);
    return entry;
}

static void unwatch(thi_fd_entry *entry)
{
    if (entry->watch.fd >= 0)
        thi_loop_unwatch(&entry->worker->loop, &entry->watch);
}

/* Ends it if nobody waits any more. */
static void retire(thi_fd_entry *entry)
{
    if (!thi_list_empty(&entry->waits))
        return;
    unwatch(entry);
    if (take_out(entry, false))
        thi_free(entry);
}

static void end_wait(thi_fd_wait *wait, int result)
{
    thi_list_remove(&wait->link);
    wait->entry = NULL;
    wait->fn(wait, result);
}

static void end_all(thi_fd_entry *entry, int result)
{
    thi_list *node;
    while ((node = thi_list_first(&entry->waits)))
        end_wait(thi_list_item(node, thi_fd_wait, link), result);
}

static unsigned wanted(thi_fd_entry *entry)
{
    unsigned dirs = 0;
    for (thi_list *node = entry->waits.next; node != &entry->waits; node = node->next)
        dirs |= thi_list_item(node, thi_fd_wait, link)->dirs;
    return dirs;
}

static int want(thi_fd_entry *entry, unsigned dirs)
{
    unsigned of_loop = (dirs & TH_FD_READ ? THI_READ : 0u) | (dirs & TH_FD_WRITE ? THI_WRITE : 0u);
    return thi_loop_want(&entry->worker->loop, &entry->watch, of_loop);
}

/* Ends the waits for what is ready. */
static void hand_out(thi_fd_entry *entry, unsigned ready)
{
    thi_list *next;
    for (thi_list *node = entry->waits.next; node != &entry->waits; node = next) {
        thi_fd_wait *wait = thi_list_item(node, thi_fd_wait, link);
        next = node->next;
        if (wait->dirs & ready)
            end_wait(wait, (int)(ready & (wait->dirs | TH_FD_HANGUP)));
    }
}

static void on_event(thi_watch *watch, unsigned events)
{
    thi_fd_entry *entry = thi_container_of(watch, thi_fd_entry, watch);
    int ready = look(entry->fd, wanted(entry));
    if (ready == -EBADF) /* closed behind our back */
        end_all(entry, ready);
    else if (ready < 0) /* it cannot tell: the loop's word must do */
        hand_out(entry,
                 (events & THI_READ ? TH_FD_READ : 0u) | (events & THI_WRITE ? TH_FD_WRITE : 0u));
    else
        hand_out(entry, (unsigned)ready);
    int err = thi_list_empty(&entry->waits) ? 0 : want(entry, wanted(entry));
    if (err < 0)
        end_all(entry, err);
    retire(entry);
}

/* ---- the end of runs ---- */

/* Takes out an entry of the worker, if there is one. */
static thi_fd_entry *take_one_of(bucket *b, const thi_worker *worker)
{
    thi_waitq_lock(&b->closers);
    thi_fd_entry **at = &b->first;
    while (*at && (*at)->worker != worker)
        at = &(*at)->next;
    thi_fd_entry *entry = *at;
    if (entry)
        *at = entry->next;
    thi_waitq_unlock(&b->closers);
    return entry;
}

static const char sweeper_kind;

/* Fibers that a simulation had to abandon leave their entries behind. */
static void sweep(thi_annex *annex, thi_worker *worker)
{
    thi_fd_entry *entry;
    thi_free(annex);
    for (size_t i = 0; i < BUCKETS; i++)
        while ((entry = take_one_of(&table[i], worker))) {
            unwatch(entry);
            thi_free(entry);
        }
}

static int find_sweeper(thi_worker *worker)
{
    if (thi_annex_find(worker, &sweeper_kind))
        return 0;
    thi_annex *annex = thi_calloc(1, sizeof *annex);
    if (!annex)
        return -ENOMEM;
    annex->kind = &sweeper_kind;
    annex->close = sweep;
    thi_annex_add(worker, annex);
    return 0;
}

/* ---- waits of fibers ---- */

static int make(int fd, thi_fd_entry **out)
{
    thi_fd_entry *entry = find_sweeper(thi_worker_self) < 0 ? NULL : thi_calloc(1, sizeof *entry);
    if (!entry)
        return -ENOMEM;
    entry->fd = fd;
    entry->worker = thi_worker_self;
    thi_list_init(&entry->waits);
    int err = thi_loop_watch(&entry->worker->loop, &entry->watch, fd, 0, on_event);
    if (err < 0) {
        thi_free(entry);
        return err;
    }
    insert(entry);
    *out = entry;
    return 0;
}

int thi_fd_enter(thi_fd_wait *wait, int fd)
{
    thi_fd_entry *entry = find_own(fd);
    int err = 0;
    wait->entry = NULL;
    if (!entry)
        err = make(fd, &entry);
    else if (entry->watch.fd < 0) /* it only waits for the message that ends it */
        err = -ECANCELED;
    if (err < 0)
        return err;
    err = want(entry, wait->dirs);
    if (err < 0) {
        retire(entry);
        return err;
    }
    wait->entry = entry;
    thi_list_push_back(&entry->waits, &wait->link);
    return 0;
}

void thi_fd_leave(thi_fd_wait *wait)
{
    thi_fd_entry *entry = wait->entry;
    if (!entry)
        return;
    wait->entry = NULL;
    thi_list_remove(&wait->link);
    retire(entry);
}

/* ---- waits of threads ---- */

static int poll_beside(const thi_fd_entry *entry, unsigned dirs)
{
    struct pollfd p[] = { { .fd = entry->fd, .events = events_of(dirs) },
                          { .fd = entry->alarm, .events = POLLIN } };
    int n;
    do
        n = thi_sys_poll(p, 2, -1);
    while (n == -EINTR);
    if (n < 0)
        return n;
    if (p[1].revents)
        return -ECANCELED;
    return p[0].revents & POLLNVAL ? -EBADF : (int)translate(p[0].revents, dirs);
}

int thi_fd_wait_as_thread(int fd, unsigned dirs)
{
    int ready = thi_fd_look(fd, dirs);
    if (ready != 0)
        return ready;
    thi_fd_entry entry = { .fd = fd, .alarm = thi_sys_eventfd() };
    if (entry.alarm < 0)
        return entry.alarm;
    insert(&entry);
    ready = poll_beside(&entry, dirs);
    (void)take_out(&entry, true);
    (void)thi_sys_close(entry.alarm);
    return ready;
}

/* ---- before a descriptor is closed ---- */

static void close_entry(thi_fd_entry *entry)
{
    unwatch(entry);
    end_all(entry, -ECANCELED);
    (void)take_out(entry, true);
    thi_free(entry);
}

static void on_told(thi_msg *msg)
{
    close_entry(thi_container_of(msg, thi_fd_entry, msg));
}

/* The entry of this worker, unless somebody else's message has it. */
static thi_fd_entry *claim_own(int fd)
{
    bucket *b = bucket_of(fd);
    thi_waitq_lock(&b->closers);
    thi_fd_entry *entry = b->first;
    while (entry && (entry->fd != fd || entry->worker != thi_worker_self || entry->told))
        entry = entry->next;
    if (entry)
        entry->told = true;
    thi_waitq_unlock(&b->closers);
    return entry;
}

/* Whether a worker may end while it is being told: not those of the caller's runtime. */
static bool is_foreign(const thi_worker *worker)
{
    return !thi_worker_self || thi_worker_self->runtime != worker->runtime;
}

/*
 * Under the lock: prepares to tell an entry. A thread is told at once, because its entry may be
 * gone afterwards; of a worker of another runtime it is seen to that its loop stays open.
 */
static void begin_to_tell(thi_fd_entry *entry)
{
    uint64_t one = 1;
    entry->told = true;
    entry->msg.fn = on_told;
    if (!entry->worker)
        (void)thi_sys_real.write(entry->alarm, &one, sizeof one);
    else if (is_foreign(entry->worker))
        atomic_fetch_add(&entry->worker->loop.guests, 1);
}

/* Not under the lock: it is a system call. */
static void tell_worker(thi_worker *worker, thi_msg *msg)
{
    bool foreign = is_foreign(worker);
    thi_loop_post(&worker->loop, msg);
    if (foreign)
        atomic_fetch_sub(&worker->loop.guests, 1);
}

static const thi_wait_kind closing = { "closing", THI_BY_ANYBODY, 0 };

/*
 * Tells an entry of somebody else, if there is one, and sleeps until one is gone: 1; 0 when there
 * is none. Nothing breaks that off: each of them ends at once.
 */
static int close_one_afar(int fd)
{
    bucket *b = bucket_of(fd);
    thi_waiter w;
    bool may_wait = thi_sched_self() || !thi_worker_self;
    if (may_wait)
        thi_waiter_init_on(&w, &b->closers, &closing, NULL);
    thi_waitq_lock(&b->closers);
    thi_fd_entry *entry = b->first;
    while (entry && entry->fd != fd)
        entry = entry->next;
    bool tells = entry && may_wait && !entry->told;
    thi_worker *worker = tells ? entry->worker : NULL;
    if (tells)
        begin_to_tell(entry);
    if (entry && may_wait)
        thi_waitq_push(&b->closers, &w);
    thi_waitq_unlock(&b->closers);
    if (!entry)
        return 0;
    if (!may_wait)
        return -EPERM;
    if (worker)
        tell_worker(worker, &entry->msg);
    (void)!thi_waiter_sleep(&w);
    return 1;
}

int th_fd_closing(int fd)
{
    if (fd < 0)
        return -EBADF;
    thi_fd_entry *own = thi_worker_self ? claim_own(fd) : NULL;
    if (own)
        close_entry(own);
    int more;
    while ((more = close_one_afar(fd)) > 0)
        ;
    return more;
}
