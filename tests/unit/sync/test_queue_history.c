/* SPDX-License-Identifier: MIT */

/*
 * Whether queues are linearizable: short random runs by fibers of two workers and by threads are
 * recorded, and for each a sequential queue is searched for that explains it.
 *
 * A history tells of each call when it began, when it ended, and what came out. It is explained by
 * an order of the calls in which none comes before one that had ended when it began, and in which a
 * plain list, doing one call after the other, gives the same results (Herlihy and Wing, 1990). The
 * search tries every order (Wing and Gong, 1993), and remembers where it has been in vain.
 */
#include "sync/parties.h"

#include "base/random.h"
#include "sync/queue.h"

#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#define PARTIES 4 /* the first two are fibers, each on a worker of its own, the others threads */
#define EACH    4
#define CALLS   (PARTIES * EACH + 1) /* and the last closing */
#define ROUNDS  50

enum { PUT, TRYPUT, GET, TRYGET, CLOSE, DONE, JOIN, LEN };

typedef struct call {
    int kind;
    int item; /* put in, or got */
    int result;
    unsigned begin; /* ticks of a clock that all share */
    unsigned end;
} call;

typedef struct history {
    size_t capacity; /* SIZE_MAX: no bound */
    int order;
    unsigned count;
    call calls[CALLS];
} history;

/* ---- the sequential queue ---- */

typedef struct model {
    int items[CALLS]; /* in order of arrival */
    unsigned count;
    int undone;
    bool closed;
} model;

/* Of two items the one with the smaller tens leaves first. */
static int by_tens(const void *a, const void *b, void *arg)
{
    (void)arg;
    return (int)((intptr_t)a / 10 - (intptr_t)b / 10);
}

static unsigned next_to_leave(const model *m, int order)
{
    unsigned at = order == TH_QUEUE_LIFO ? m->count - 1 : 0;
    for (unsigned i = 1; order == TH_QUEUE_PRIORITY && i < m->count; i++)
        if (m->items[i] / 10 < m->items[at] / 10)
            at = i;
    return at;
}

static bool put_fits(model *m, const history *h, const call *c)
{
    bool full = m->count >= h->capacity;
    if (c->result == TH_ECLOSED)
        return m->closed;
    if (c->result != 0)
        return full && !m->closed && c->result == (c->kind == PUT ? -ETIMEDOUT : -EAGAIN);
    if (full || m->closed)
        return false;
    m->items[m->count++] = c->item;
    m->undone++;
    return true;
}

static bool get_fits(model *m, const history *h, const call *c)
{
    if (c->result != 0) {
        int expected = c->kind == GET ? -ETIMEDOUT : -EAGAIN;
        return m->count == 0 && c->result == (m->closed ? TH_EOF : expected);
    }
    if (m->count == 0)
        return false;
    unsigned at = next_to_leave(m, h->order);
    if (m->items[at] != c->item)
        return false;
    m->count--;
    memmove(&m->items[at], &m->items[at + 1], (m->count - at) * sizeof m->items[0]);
    return true;
}

static bool done_fits(model *m, const call *c)
{
    if (m->undone == 0)
        return c->result == -EINVAL;
    m->undone--;
    return c->result == 0;
}

static bool close_fits(model *m, const call *c)
{
    bool was_closed = m->closed;
    m->closed = true;
    return c->result == (was_closed ? TH_ECLOSED : 0);
}

/* Does a call on the model; whether the same came out. */
static bool fits(model *m, const history *h, const call *c)
{
    switch (c->kind) {
    case PUT:
    case TRYPUT:
        return put_fits(m, h, c);
    case GET:
    case TRYGET:
        return get_fits(m, h, c);
    case CLOSE:
        return close_fits(m, c);
    case DONE:
        return done_fits(m, c);
    case JOIN:
        return c->result == (m->undone > 0 ? -ETIMEDOUT : 0);
    default:
        return c->result == (int)m->count;
    }
}

/* ---- the search ---- */

#define VAIN_MAX 4096

typedef struct state {
    uint32_t done; /* a bit for each call */
    model model;
} state;

static state vain[VAIN_MAX]; /* from where no order leads to the end */
static unsigned vain_count;

static bool equal(const state *a, const state *b)
{
    return a->done == b->done && a->model.count == b->model.count &&
           a->model.undone == b->model.undone && a->model.closed == b->model.closed &&
           memcmp(a->model.items, b->model.items, a->model.count * sizeof(int)) == 0;
}

static bool is_vain(const state *s)
{
    for (unsigned i = 0; i < vain_count; i++)
        if (equal(&vain[i], s))
            return true;
    return false;
}

/* When the first of the calls that are left has ended: none that began later comes before it. */
static unsigned first_end(const history *h, const state *s)
{
    unsigned end = UINT_MAX;
    for (unsigned i = 0; i < h->count; i++)
        if (!(s->done & (1u << i)))
            end = thi_min(end, h->calls[i].end);
    return end;
}

static bool explain(const history *h, const state *s)
{
    unsigned end = first_end(h, s);
    if (end == UINT_MAX)
        return true;
    if (is_vain(s))
        return false;
    for (unsigned i = 0; i < h->count; i++) {
        state next = *s;
        if ((s->done & (1u << i)) || h->calls[i].begin > end)
            continue;
        next.done |= 1u << i;
        if (fits(&next.model, h, &h->calls[i]) && explain(h, &next))
            return true;
    }
    if (vain_count < VAIN_MAX)
        vain[vain_count++] = *s;
    return false;
}

static bool is_linearizable(const history *h)
{
    state start = { .done = 0 };
    vain_count = 0;
    return explain(h, &start);
}

static void show(const history *h)
{
    static const char *const names[] = { "put",   "tryput", "get",  "tryget",
                                         "close", "done",   "join", "len" };
    for (unsigned i = 0; i < h->count; i++) {
        const call *c = &h->calls[i];
        fprintf(stderr, "%3u-%-3u %-6s %3d = %d\n", c->begin, c->end, names[c->kind], c->item,
                c->result);
    }
}

/* ---- the search, searched ---- */

static bool explains(const call *calls, unsigned count, size_t capacity)
{
    history h = { .capacity = capacity, .count = count };
    memcpy(h.calls, calls, count * sizeof *calls);
    return is_linearizable(&h);
}

START_TEST(what_no_queue_could_do_is_found)
{
    static const call twice[] = { { PUT, 1, 0, 0, 1 }, { GET, 1, 0, 2, 5 }, { GET, 1, 0, 3, 4 } };
    static const call order[] = { { PUT, 1, 0, 0, 1 }, { PUT, 2, 0, 2, 3 }, { GET, 2, 0, 4, 5 } };
    static const call early[] = { { GET, 1, 0, 0, 1 }, { PUT, 1, 0, 2, 3 } };
    static const call end[] = { { GET, 0, TH_EOF, 0, 1 }, { CLOSE, 0, 0, 2, 3 } };
    static const call full[] = { { PUT, 1, 0, 0, 1 }, { PUT, 2, 0, 2, 3 } };
    static const call lost[] = { { PUT, 1, 0, 0, 1 }, { TRYGET, 0, -EAGAIN, 2, 3 } };
    ck_assert(!explains(twice, 3, 9));
    ck_assert(!explains(order, 3, 9));
    ck_assert(!explains(early, 2, 9));
    ck_assert(!explains(end, 2, 9));
    ck_assert(!explains(full, 2, 1));
    ck_assert(!explains(lost, 2, 9));
}
END_TEST

START_TEST(what_a_queue_could_do_is_explained)
{
    static const call both[] = { { PUT, 1, 0, 0, 3 }, { PUT, 2, 0, 1, 2 }, { GET, 2, 0, 4, 5 } };
    static const call waits[] = { { GET, 1, 0, 0, 3 }, { PUT, 1, 0, 1, 2 } };
    static const call end[] = { { GET, 0, TH_EOF, 0, 3 }, { CLOSE, 0, 0, 1, 2 } };
    static const call full[] = { { PUT, 1, 0, 0, 1 }, { PUT, 2, 0, 2, 5 }, { GET, 1, 0, 3, 4 } };
    ck_assert(explains(both, 3, 9));
    ck_assert(explains(waits, 2, 9));
    ck_assert(explains(end, 2, 9));
    ck_assert(explains(full, 3, 1));
}
END_TEST

/* ---- the runs ---- */

static th_queue *queue;
static history record;
static atomic_uint ticks;
static atomic_int arrived;
static atomic_int finished;

typedef struct party {
    unsigned number;
    thi_random random;
} party;

static int make_call(call *c)
{
    void *item = NULL;
    int result = 0;
    switch (c->kind) {
    case PUT:
        return th_queue_put(queue, (void *)(intptr_t)c->item);
    case TRYPUT:
        return th_queue_tryput(queue, (void *)(intptr_t)c->item);
    case GET:
        result = th_queue_get(queue, &item);
        break;
    case TRYGET:
        result = th_queue_tryget(queue, &item);
        break;
    case CLOSE:
        return th_queue_close(queue);
    case DONE:
        return th_queue_task_done(queue);
    case JOIN:
        return th_queue_join(queue);
    default:
        return (int)th_queue_len(queue);
    }
    c->item = (int)(intptr_t)item;
    return result;
}

static void note_call(call *c)
{
    c->begin = atomic_fetch_add(&ticks, 1);
    c->result = make_call(c);
    c->end = atomic_fetch_add(&ticks, 1);
}

/* A fiber's call has a deadline, which may come before its end or at any time in between. */
static void note_call_for(call *c, int64_t span)
{
    th_scope scope;
    open_scope_for(&scope, span);
    note_call(c);
    close_scope(&scope);
}

static void do_calls(party *p, bool in_fiber)
{
    static const uint8_t kinds[] = { PUT,    PUT, PUT, PUT,   TRYPUT, GET,  GET, GET,
                                     TRYGET, GET, LEN, CLOSE, DONE,   DONE, JOIN };
    for (unsigned i = 0; i < EACH; i++) {
        call *c = &record.calls[p->number * EACH + i];
        c->kind = kinds[thi_random_below(&p->random, thi_array_len(kinds))];
        if (c->kind == JOIN && !in_fiber)
            c->kind = LEN; /* nothing would end it */
        if (c->kind == CLOSE && thi_random_below(&p->random, 3) > 0)
            c->kind = PUT;
        c->item = (int)(p->number * EACH + i + 1);
        if (in_fiber)
            note_call_for(c, (int64_t)thi_random_below(&p->random, 60) * TH_MICROSECOND);
        else
            note_call(c);
        if (thi_random_below(&p->random, 4) == 0)
            (void)sched_yield();
    }
    atomic_fetch_add(&finished, 1);
}

static int be_a_fiber(void *arg)
{
    atomic_fetch_add(&arrived, 1);
    wait_until(atomic_load(&arrived) == PARTIES);
    do_calls(arg, true);
    return 0;
}

static void *be_a_thread(void *arg)
{
    atomic_fetch_add(&arrived, 1);
    while (atomic_load(&arrived) < PARTIES)
        (void)sched_yield();
    do_calls(arg, false);
    return NULL;
}

/* Threads have no deadline: what they wait for in the end is the closing. */
static void close_at_last(void)
{
    int64_t end = th_after(300 * TH_MICROSECOND);
    wait_until(atomic_load(&finished) == PARTIES || th_now() >= end);
    call *c = &record.calls[CALLS - 1];
    c->kind = CLOSE;
    note_call(c);
}

static void run_once(size_t capacity, int order, uint64_t seed)
{
    pthread_t threads[PARTIES];
    party parties[PARTIES];
    th_scope scope;
    th_queue_opts opts = { .capacity = capacity, .order = order };
    opts.compare = order == TH_QUEUE_PRIORITY ? by_tens : NULL;
    ck_assert_int_eq(th_queue_new(&opts, &queue), 0);
    record = (history){ .capacity = capacity ? capacity : SIZE_MAX, .order = order };
    record.count = CALLS;
    atomic_store(&arrived, 0);
    atomic_store(&finished, 0);
    open_scope(&scope);
    for (unsigned i = 0; i < PARTIES; i++) {
        parties[i].number = i;
        thi_random_seed(&parties[i].random, seed * PARTIES + i);
        if (i < 2)
            spawn_on(&scope, i, be_a_fiber, &parties[i]);
        else
            threads[i] = start_thread(be_a_thread, &parties[i]);
    }
    close_at_last();
    close_scope(&scope);
    for (unsigned i = 2; i < PARTIES; i++)
        join_thread(threads[i]);
    th_queue_free(queue);
}

static void run_often(size_t capacity, int order)
{
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        run_once(capacity, order, seed);
        if (is_linearizable(&record))
            continue;
        show(&record);
        ck_abort_msg("no sequential queue explains this");
    }
}

FIBER_TEST_ON(2, an_unbounded_one_is_linearizable)
{
    run_often(0, TH_QUEUE_FIFO);
    run_often(0, TH_QUEUE_LIFO);
    run_often(0, TH_QUEUE_PRIORITY);
}

FIBER_TEST_ON(2, one_with_a_single_place_is_linearizable)
{
    run_often(1, TH_QUEUE_FIFO);
    run_often(1, TH_QUEUE_PRIORITY);
}

FIBER_TEST_ON(2, one_with_two_places_is_linearizable)
{
    run_often(2, TH_QUEUE_FIFO);
    run_often(2, TH_QUEUE_LIFO);
    run_often(2, TH_QUEUE_PRIORITY);
}

static void fill(Suite *suite)
{
    TCase *search = thi_check_case(suite, "search");
    tcase_add_test(search, what_no_queue_could_do_is_found);
    tcase_add_test(search, what_a_queue_could_do_is_explained);

    TCase *runs = thi_check_case(suite, "runs");
    tcase_add_test(runs, an_unbounded_one_is_linearizable);
    tcase_add_test(runs, one_with_a_single_place_is_linearizable);
    tcase_add_test(runs, one_with_two_places_is_linearizable);
}

int main(void)
{
    return thi_check_run("sync/queue_history", fill);
}
