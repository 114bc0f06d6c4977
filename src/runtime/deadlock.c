/* SPDX-License-Identifier: MIT */

/*
 * The search for waits that nobody can end.
 *
 * A fiber that parks in a wait which names who can end it, the owner of a lock, another fiber, the
 * children of a scope, is linked into a list of its worker: that, and the look at whether the timer
 * is set, is all that anybody pays. The timer then has the worker look at the head of that list,
 * where those are who have waited for long.
 *
 * Each wait is looked at once. That is enough, because a circle comes about by its last wait, and
 * when that one is looked at, the others are there. A plain thread that sleeps for long in such a
 * wait says so, for the same reason; so does who moves a waiter from a condition to its mutex.
 *
 * Circles among fibers of one worker are found at once: none of them runs while it looks. For those
 * that several workers have a part in, the worker asks all, itself included, by messages, and once
 * all have answered asks again. A tie counts if both answers show it, as the same wait of the same
 * fiber for the same party. Let T be the moment between the rounds. The fiber was parked in that
 * wait before T and after it, so at T: a wait that ended and began anew has another `since`, for
 * the worker's clock moves on from turn to turn. The one it waits for did not change in between
 * either. A fiber that is joined, or that is a child of a scope, is what it is. An owner that had
 * given up what it held would have handed it to whoever was waiting longest; to have it again at
 * the second look it would have had to queue behind the one that still waits there. So all ties
 * held at T, all at once, and what knot.c finds among them is a proof: none of these parties can do
 * anything before another one of them has.
 *
 * What is not seen: who holds a lock for reading, which only counts them; that a holder has ended;
 * jobs of thread pools and what they hold; anything by which parties wait without naming each
 * other, as in events, queues and semaphores. A cancellation might come from elsewhere and end a
 * circle; that does not make it right. A deadline that is set does end it, and such a wait counts
 * as harmless.
 *
 * Lost are all parked fibers when there is nobody and nothing left that could do something: every
 * worker at rest, without a fiber that is ready, a timer, or a descriptor but the runtime's own, in
 * both looks and without a fiber having run in between; and in the process no other thread that
 * might act. In between nobody could have begun anything: a message that was under way at the first
 * look has arrived by the second, since it was sent before its sender answered, and inboxes keep
 * their order. A fiber that sleeps for ever waits for nothing, and is no reason to report.
 */
#include "runtime/deadlock.h"

#include "base/alloc.h"
#include "base/metrics.h"
#include "base/util.h"
#include "loop/sim_engine.h"
#include "runtime/knot.h"
#include "runtime/outside.h"
#include "runtime/report.h"
#include "runtime/tree.h"
#include "runtime/waits.h"

#include <errno.h>
#include <stdlib.h>

#define SPAN_DEFAULT (250 * TH_MILLISECOND)
#define SPAN_MAX     (24 * 3600 * TH_SECOND)
#define BUSY_WAIT    (20 * TH_MILLISECOND) /* somebody else asks: it takes a moment */
#define PATIENCE_MIN TH_SECOND
#define PATIENCE_MAX (64 * TH_SECOND)

enum { FIRST_LOOK, SECOND_LOOK, DESCRIBE };

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static thi_list all = THI_LIST_INIT(all); /* inquiries of runtimes whose workers run */

/* ---- looking at one's own -------------------------------------------------------------------- */

static void look_at_tied(const thi_worker *worker, int64_t limit, thi_look *look)
{
    look->ties.count = 0;
    look->failed = false;
    thi_list_each (node, &worker->lookout.tied) {
        const th_fiber *fiber = thi_list_item(node, th_fiber, tied);
        thi_tie tie;
        if (fiber->waits->since > limit)
            break;
        if (fiber->state != THI_FIBER_PARKED || !thi_tie_of(fiber->waits, fiber, &tie))
            continue;
        const thi_scope *scope = fiber->scope;
        const thi_scope *home = fiber->home;
        tie.timed = fiber->waits->abort && scope->deadline != TH_NEVER;
        tie.home = home->origin ? home->origin : home;
        tie.id = fiber->id;
        tie.worker = (uint16_t)worker->index;
        look->failed |= thi_ties_add(&look->ties, &tie) < 0;
    }
}

/* Whether a fiber that waits like this waits for somebody to do something. */
static void count_in_vain(th_fiber *fiber, void *arg)
{
    thi_look *look = arg;
    if (fiber->state == THI_FIBER_ENDED)
        return;
    bool parked = fiber->state == THI_FIBER_PARKED;
    unsigned ends = parked ? thi_wait_kind_of(fiber->waits)->ends : THI_BY_POOL;
    look->in_vain += parked && thi_waits_in_vain(fiber);
    look->at_rest &= ends != THI_BY_POOL && ends != THI_BY_WORK && ends != THI_BY_DESCRIPTOR;
}

static void look_at_rest(const thi_worker *worker, thi_look *look)
{
    const thi_lookout *l = &worker->lookout;
    look->rounds = l->rounds;
    look->in_vain = 0;
    look->at_rest = !thi_worker_has_ready(worker) && thi_worker_timers(worker) == 0 &&
                    worker->loop.watches == l->watches;
    if (look->at_rest)
        thi_fiber_pool_each(&worker->fibers, count_in_vain, look);
}

/* ---- what the ties say ----------------------------------------------------------------------- */

static int by_party(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const thi_tie *)a)->party;
    uintptr_t y = (uintptr_t)((const thi_tie *)b)->party;
    return (x > y) - (x < y);
}

static int add_all(thi_ties *to, const thi_ties *from)
{
    int err = 0;
    for (size_t i = 0; err == 0 && i < from->count; i++)
        err = thi_ties_add(to, &from->at[i]);
    return err;
}

/* All that was seen in one look. */
static int collect(const thi_runtime *rt, unsigned look, thi_ties *ties)
{
    int err = add_all(ties, &rt->inquiry.threads[look]);
    for (unsigned i = 0; err == 0 && i < rt->count; i++)
        err = add_all(ties, &rt->workers[i].lookout.looks[look].ties);
    if (ties->count > 0)
        qsort(ties->at, ties->count, sizeof *ties->at, by_party);
    return err;
}

/* Leaves those that were seen in both looks; both are in order. */
static void keep_common(thi_ties *ties, const thi_ties *former)
{
    size_t kept = 0;
    for (size_t i = 0, k = 0; i < ties->count; i++) {
        while (k < former->count && by_party(&former->at[k], &ties->at[i]) < 0)
            k++;
        if (k < former->count && thi_tie_same(&former->at[k], &ties->at[i]))
            ties->at[kept++] = ties->at[i];
    }
    ties->count = kept;
}

/* Writes down who is in a circle, circle by circle, each in its order. */
static int list_members(thi_inquiry *q, const thi_ties *ties, thi_knots *knots)
{
    size_t room = ties->count - knots->behind;
    q->count = 0;
    if (knots->circles == 0)
        return 0;
    q->members = thi_calloc(room, sizeof *q->members);
    if (!q->members)
        return -ENOMEM;
    for (size_t i = 0; i < ties->count; i++) {
        size_t circle = knots->circle[i];
        for (size_t at = i; circle < knots->circles && knots->circle[at] == circle;) {
            size_t next = knots->next[at];
            q->members[q->count++] =
                (thi_member){ .tie = ties->at[at], .next = ties->at[next], .circle = circle };
            knots->circle[at] = THI_KNOT_FREE; /* it is listed */
            at = next;
        }
    }
    return 0;
}

/* Finds the circles among ties; -ENOMEM. */
static int find_circles(thi_inquiry *q, thi_ties *ties)
{
    thi_knots knots;
    int err = thi_knots_find(ties, &knots);
    if (err < 0)
        return err;
    err = list_members(q, ties, &knots);
    thi_knots_deinit(&knots);
    return err;
}

/* ---- telling --------------------------------------------------------------------------------- */

/* Describes those of the members that are a worker's own; the asker describes threads. */
static void describe(thi_worker *worker, thi_inquiry *q)
{
    for (size_t i = 0; i < q->count; i++) {
        thi_member *m = &q->members[i];
        if (m->tie.foreign ? worker == q->asker : m->tie.worker == worker->index)
            thi_report_member(m);
    }
}

static void add_prefix(thi_text *text, const thi_runtime *rt)
{
    if (rt->engine.engine == &thi_engine_sim)
        thi_text_add(text, "%s: ", rt->engine.why);
}

/* Reports a circle, its members from `from` on, if it is news; returns where the next begins. */
static size_t tell_circle(const thi_runtime *rt, const thi_inquiry *q, size_t from)
{
    size_t end = from;
    bool present = true; /* nobody was cancelled meanwhile */
    bool fresh = false;
    for (; end < q->count && q->members[end].circle == q->members[from].circle; end++) {
        present &= q->members[end].present;
        fresh |= q->members[end].fresh;
    }
    if (!fresh || !present)
        return end;
    thi_text text = { .at = NULL };
    add_prefix(&text, rt);
    if (end - from == 1)
        thi_text_add(&text, "deadlock: a fiber waits for itself\n");
    else
        thi_text_add(&text, "deadlock: %zu wait for each other in a circle\n", end - from);
    for (size_t i = from; i < end; i++)
        thi_text_add_all(&text, q->members[i].text);
    thi_report_deliver(rt, TH_DEADLOCK_CIRCLE, end - from, &text);
    thi_text_deinit(&text);
    return end;
}

/* Forgets the members, after all of them have been told. */
static void tell_circles(const thi_runtime *rt, thi_inquiry *q)
{
    for (size_t i = 0; i < q->count;)
        i = tell_circle(rt, q, i);
    for (size_t i = 0; i < q->count; i++)
        thi_free(q->members[i].text);
    thi_free(q->members);
    q->members = NULL;
    q->count = 0;
}

static void list_lost(thi_worker *worker)
{
    thi_lookout *l = &worker->lookout;
    l->text = thi_calloc(1, sizeof *l->text);
    l->lost = l->in_vain = 0;
    if (l->text)
        l->lost = thi_report_parked(worker, l->text, &l->in_vain);
}

static void tell_lost(const thi_runtime *rt)
{
    thi_text text = { .at = NULL };
    size_t lost = 0;
    size_t in_vain = 0;
    for (unsigned i = 0; i < rt->count; i++) {
        lost += rt->workers[i].lookout.lost;
        in_vain += rt->workers[i].lookout.in_vain;
    }
    add_prefix(&text, rt);
    thi_text_add(&text, "lost: %zu %s, and nothing is left that could %s\n", lost,
                 lost == 1 ? "fiber waits" : "fibers wait",
                 rt->opts.no_signals ? "end that" : "end that but a signal to stop");
    for (unsigned i = 0; i < rt->count; i++) {
        thi_lookout *l = &rt->workers[i].lookout;
        if (l->text) {
            thi_text_add_all(&text, l->text->at);
            thi_text_deinit(l->text);
            thi_free(l->text);
        }
        l->text = NULL;
    }
    if (in_vain > 0) /* else all of that hangs on circles, which were told */
        thi_report_deliver(rt, TH_DEADLOCK_LOST, lost, &text);
    thi_text_deinit(&text);
}

/* ---- asking all workers ---------------------------------------------------------------------- */

static void on_answer(thi_msg *msg);

static thi_worker *worker_of(thi_msg *msg)
{
    return thi_container_of(thi_container_of(msg, thi_lookout, msg), thi_worker, lookout);
}

/* On each worker: what it is asked. */
static void on_question(thi_msg *msg)
{
    thi_worker *worker = worker_of(msg);
    thi_inquiry *q = &worker->runtime->inquiry;
    if (q->phase == DESCRIBE) {
        describe(worker, q);
        if (q->lost)
            list_lost(worker);
    } else {
        thi_look *look = &worker->lookout.looks[q->phase];
        look_at_tied(worker, q->limit, look);
        look_at_rest(worker, look);
    }
    msg->fn = on_answer;
    thi_loop_post(&q->asker->loop, msg);
}

static void ask(thi_inquiry *q, unsigned phase)
{
    thi_runtime *rt = q->asker->runtime;
    q->phase = phase;
    q->waiting = rt->count;
    for (unsigned i = 0; i < rt->count; i++) {
        rt->workers[i].lookout.msg.fn = on_question;
        thi_loop_post(&rt->workers[i].loop, &rt->workers[i].lookout.msg);
    }
}

/* On the asker, after a look of all: whether nothing at all will happen. */
static bool all_at_rest(const thi_runtime *rt, unsigned look)
{
    bool at_rest = true;
    for (unsigned i = 0; i < rt->count; i++) {
        const thi_look *l = rt->workers[i].lookout.looks;
        at_rest &= l[look].at_rest && (look == FIRST_LOOK || l[0].rounds == l[1].rounds);
    }
    return at_rest;
}

static bool any_in_vain(const thi_runtime *rt)
{
    size_t in_vain = 0;
    for (unsigned i = 0; i < rt->count; i++)
        in_vain += rt->workers[i].lookout.looks[SECOND_LOOK].in_vain;
    return in_vain > 0;
}

static void rearm(thi_worker *worker, int64_t span)
{
    worker->lookout.awake = false;
    thi_loop_timer(&worker->loop, &worker->lookout.timer, worker->loop.now + span);
}

/* The end of an inquiry; `done` unless it came to nothing for want of memory. */
static void finish(thi_inquiry *q, bool done)
{
    thi_worker *asker = q->asker;
    thi_lookout *l = &asker->lookout;
    bool others_work = q->at_rest && !q->lost && any_in_vain(asker->runtime);
    if (done)
        l->examined = thi_max(l->examined, q->examined);
    if (done && q->rest && !others_work)
        l->settled = q->rounds;
    if (!done) {
        l->forced = true;
        rearm(asker, l->span);
    } else if (others_work) { /* they may end without a word to anybody */
        rearm(asker, l->patience);
        l->patience = thi_min(2 * l->patience, PATIENCE_MAX);
    }
    thi_metric_add(THI_M_DEADLOCK_LOOKS, 1);
    atomic_store(&q->busy, false);
}

static bool any_tie(const thi_runtime *rt)
{
    size_t count = rt->inquiry.threads[0].count;
    for (unsigned i = 0; i < rt->count; i++)
        count += rt->workers[i].lookout.looks[FIRST_LOOK].ties.count;
    return count > 0;
}

static bool any_failed(const thi_runtime *rt, unsigned look)
{
    bool failed = false;
    for (unsigned i = 0; i < rt->count; i++)
        failed |= rt->workers[i].lookout.looks[look].failed;
    return failed;
}

/* Whether nobody outside is left who could end a wait. A host does other things between turns. */
static bool nobody_else(const thi_runtime *rt)
{
    return !rt->hosted && thi_outside_at_rest(rt->count);
}

static void after_first_look(thi_runtime *rt, thi_inquiry *q)
{
    q->threads[0].count = 0;
    bool failed = thi_outsiders_look(q->limit, &q->threads[0]) < 0 || any_failed(rt, FIRST_LOOK);
    q->at_rest = q->rest && all_at_rest(rt, FIRST_LOOK);
    q->lost = q->at_rest && nobody_else(rt);
    if (failed || !(any_tie(rt) || q->at_rest))
        finish(q, !failed);
    else
        ask(q, SECOND_LOOK);
}

/* The circles of both looks. */
static int compare_looks(thi_runtime *rt, thi_inquiry *q)
{
    thi_ties former = { .at = NULL };
    thi_ties ties = { .at = NULL };
    q->threads[1].count = 0;
    int err = thi_outsiders_look(q->limit, &q->threads[1]);
    if (err == 0)
        err = collect(rt, FIRST_LOOK, &former);
    if (err == 0)
        err = collect(rt, SECOND_LOOK, &ties);
    if (err == 0) {
        keep_common(&ties, &former);
        err = find_circles(q, &ties);
    }
    thi_ties_deinit(&former);
    thi_ties_deinit(&ties);
    return err;
}

static void after_second_look(thi_runtime *rt, thi_inquiry *q)
{
    bool failed = any_failed(rt, SECOND_LOOK) || compare_looks(rt, q) < 0;
    q->at_rest = q->at_rest && all_at_rest(rt, SECOND_LOOK);
    q->lost = q->lost && q->at_rest && any_in_vain(rt) && nobody_else(rt);
    if (failed || (q->count == 0 && !q->lost))
        finish(q, !failed);
    else
        ask(q, DESCRIBE);
}

/* On the asker. */
static void on_answer(thi_msg *msg)
{
    (void)msg;
    thi_worker *asker = thi_worker_self;
    thi_runtime *rt = asker->runtime;
    thi_inquiry *q = &rt->inquiry;
    if (--q->waiting > 0)
        return;
    if (q->phase == FIRST_LOOK) {
        after_first_look(rt, q);
    } else if (q->phase == SECOND_LOOK) {
        after_second_look(rt, q);
    } else {
        tell_circles(rt, q);
        if (q->lost)
            tell_lost(rt);
        finish(q, true);
    }
}

/* ---- when to look ---------------------------------------------------------------------------- */

static int64_t youngest_tied(const thi_worker *worker)
{
    thi_list *last = thi_list_last(&worker->lookout.tied);
    return last ? thi_list_item(last, th_fiber, tied)->waits->since : INT64_MIN;
}

/* Whether one has waited for long whom nobody has looked at. */
static bool has_unexamined(const thi_worker *worker, int64_t limit)
{
    const thi_lookout *l = &worker->lookout;
    thi_list_each (node, &l->tied) {
        int64_t since = thi_list_item(node, th_fiber, tied)->waits->since;
        if (since > l->examined)
            return since <= limit;
    }
    return false;
}

/* Circles among the worker's own fibers need no questions. They can be told at once even while
 * another worker has no time to answer. */
static int look_alone(thi_worker *worker, int64_t limit)
{
    thi_look look = { .failed = false };
    thi_inquiry alone = { .asker = worker };
    look_at_tied(worker, limit, &look);
    int err = look.failed ? -ENOMEM : find_circles(&alone, &look.ties);
    thi_ties_deinit(&look.ties);
    describe(worker, &alone);
    tell_circles(worker->runtime, &alone);
    return err;
}

static bool is_at_rest(const thi_worker *worker)
{
    const thi_lookout *l = &worker->lookout;
    return l->settled != l->rounds && !thi_worker_has_ready(worker) &&
           thi_worker_timers(worker) == 0 && worker->loop.watches == l->watches;
}

/* Begins an inquiry, unless one is going on. */
static bool begin(thi_worker *worker, int64_t limit, bool rest)
{
    thi_inquiry *q = &worker->runtime->inquiry;
    if (atomic_exchange(&q->busy, true))
        return false;
    q->asker = worker;
    q->limit = rest ? INT64_MAX : limit; /* lost or in a circle: that decides, not its age */
    q->examined = limit;
    q->rest = rest;
    q->rounds = worker->lookout.rounds;
    q->at_rest = q->lost = false;
    ask(q, FIRST_LOOK);
    return true;
}

static void on_timer(thi_timer *timer)
{
    thi_worker *worker =
        thi_container_of(thi_container_of(timer, thi_lookout, timer), thi_worker, lookout);
    thi_lookout *l = &worker->lookout;
    int64_t limit = worker->loop.now - l->span / 2;
    bool news = has_unexamined(worker, limit) || l->forced;
    bool rest = is_at_rest(worker);
    l->awake = true;
    if (news && look_alone(worker, limit) < 0) {
        rearm(worker, l->span);
    } else if (!news && !rest) {
        if (youngest_tied(worker) > limit)
            rearm(worker, l->span);
    } else if (begin(worker, limit, rest)) {
        l->forced = false;
        if (youngest_tied(worker) > limit)
            rearm(worker, l->span);
    } else {
        rearm(worker, BUSY_WAIT);
    }
}

void thi_lookout_set_(thi_worker *worker)
{
    worker->lookout.patience = PATIENCE_MIN;
    rearm(worker, worker->lookout.span);
}

void thi_lookout_init(thi_worker *worker)
{
    thi_lookout *l = &worker->lookout;
    *l = (thi_lookout){ .settled = UINT64_MAX, .examined = INT64_MIN };
    thi_list_init(&l->tied);
    thi_timer_init(&l->timer, on_timer);
}

void thi_lookout_deinit(thi_worker *worker)
{
    thi_lookout *l = &worker->lookout;
    thi_ties_deinit(&l->looks[0].ties);
    thi_ties_deinit(&l->looks[1].ties);
    if (l->text)
        thi_text_deinit(l->text);
    thi_free(l->text);
}

void thi_lookout_begin(thi_worker *worker)
{
    thi_lookout *l = &worker->lookout;
    int64_t span = worker->runtime->opts.deadlock_after;
    l->span = span > 0 ? thi_min(span, SPAN_MAX) : SPAN_DEFAULT;
    l->watches = worker->loop.watches;
    l->on = l->awake = span != TH_NEVER;
}

/* ---- nudges ---------------------------------------------------------------------------------- */

static void on_nudge(thi_msg *msg)
{
    thi_inquiry *q = thi_container_of(msg, thi_inquiry, nudge);
    atomic_store(&q->nudged, false);
    thi_lookout_suspect(thi_worker_self);
}

void thi_deadlock_suspect(void)
{
    pthread_mutex_lock(&all_lock);
    thi_list_each (node, &all) {
        thi_inquiry *q = thi_list_item(node, thi_inquiry, link);
        thi_runtime *rt = thi_container_of(q, thi_runtime, inquiry);
        if (!atomic_exchange(&q->nudged, true))
            thi_loop_post(&rt->workers[0].loop, &q->nudge);
    }
    pthread_mutex_unlock(&all_lock);
}

void thi_deadlock_open(thi_runtime *rt)
{
    rt->inquiry.nudge.fn = on_nudge;
    pthread_mutex_lock(&all_lock);
    thi_list_push_back(&all, &rt->inquiry.link);
    pthread_mutex_unlock(&all_lock);
}

void thi_deadlock_close(thi_runtime *rt)
{
    thi_inquiry *q = &rt->inquiry;
    pthread_mutex_lock(&all_lock);
    thi_list_remove(&q->link);
    pthread_mutex_unlock(&all_lock);
    for (size_t i = 0; i < q->count; i++)
        thi_free(q->members[i].text);
    thi_free(q->members);
    thi_ties_deinit(&q->threads[0]);
    thi_ties_deinit(&q->threads[1]);
}

/* ---- simulation ------------------------------------------------------------------------------ */

static bool any_unexamined(const thi_runtime *rt, int64_t now)
{
    bool any = false;
    for (unsigned i = 0; i < rt->count; i++)
        any |= has_unexamined(&rt->workers[i], now);
    return any;
}

/* All workers stand still: a single look is a moment. */
static int look_at_all(thi_runtime *rt, thi_inquiry *q, int64_t now)
{
    thi_ties ties = { .at = NULL };
    int err = 0;
    for (unsigned i = 0; err == 0 && i < rt->count; i++) {
        thi_lookout *l = &rt->workers[i].lookout;
        look_at_tied(&rt->workers[i], now, &l->looks[0]);
        err = l->looks[0].failed ? -ENOMEM : add_all(&ties, &l->looks[0].ties);
        l->examined = now;
    }
    if (err == 0)
        err = find_circles(q, &ties);
    thi_ties_deinit(&ties);
    return err;
}

void thi_deadlock_look(thi_runtime *rt, int64_t now, bool ended)
{
    thi_inquiry alone = { .asker = NULL };
    if (any_unexamined(rt, now) && look_at_all(rt, &alone, now) == 0) {
        for (unsigned i = 0; i < rt->count; i++)
            describe(&rt->workers[i], &alone);
        tell_circles(rt, &alone);
    }
    for (unsigned i = 0; ended && i < rt->count; i++)
        list_lost(&rt->workers[i]);
    if (ended)
        tell_lost(rt);
}
