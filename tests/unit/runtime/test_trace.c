/* SPDX-License-Identifier: MIT */

/* What the trace has of a run: fibers, timers, events, messages, marks; and the file. */
#include "in_fiber.h"

#include "base/alloc.h"
#include "base/trace.h"
#include "sys/fault.h"

#include <thrum/event.h>
#include <thrum/trace.h>
#include <thrum/wait_fd.h>

#include <unistd.h>

typedef struct seen {
    size_t kinds[TH_TRACE_MARK + 1];
    thi_trace_copy *copies;
} seen;

static void look(seen *s)
{
    memset(s, 0, sizeof *s);
    ck_assert_int_eq(thi_trace_take(&s->copies), 0);
    for (thi_trace_copy *c = s->copies; c; c = c->next) {
        for (uint64_t i = 0; i < c->ring.count; i++) {
            unsigned kind = c->records[i].kind;
            ck_assert(kind >= TH_TRACE_SLEEP && kind <= TH_TRACE_MARK);
            s->kinds[kind]++;
        }
    }
}

static void forget(seen *s)
{
    while (s->copies) {
        thi_trace_copy *next = s->copies->next;
        thi_free(s->copies);
        s->copies = next;
    }
}

static const th_trace_record *find(const seen *s, unsigned kind, uint64_t channel)
{
    for (const thi_trace_copy *c = s->copies; c; c = c->next)
        for (uint64_t i = 0; i < c->ring.count; i++)
            if (c->records[i].kind == kind && c->records[i].channel == channel)
                return &c->records[i];
    return NULL;
}

static void start(void)
{
    ck_assert_int_eq(th_trace_start(NULL), 0);
}

/* ---- kinds ----------------------------------------------------------------------------------- */

static int spin_a_while(void *arg)
{
    int64_t until = th_after(2 * TH_MILLISECOND);
    *(uint64_t *)arg = th_fiber_id(th_fiber_self());
    while (th_now() < until)
        continue;
    return 0;
}

FIBER_TEST(a_fiber_is_there_with_what_it_took)
{
    th_scope scope;
    seen s;
    uint64_t id = 0;
    start();
    ck_assert_int_eq(th_yield(), 0); /* who runs already is recorded from its next turn on */
    ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
    open_scope(&scope);
    spawn(&scope, spin_a_while, &id);
    close_scope(&scope);
    look(&s);
    const th_trace_record *r = find(&s, TH_TRACE_FIBER, id);
    ck_assert_ptr_nonnull(r);
    ck_assert_uint_ge(r->span, 2 * TH_MILLISECOND);
    ck_assert_uint_eq(r->extra, 1);
    ck_assert_uint_eq(r->function, (uintptr_t)spin_a_while);
    forget(&s);
}

static int yield_many(void *arg)
{
    for (int i = 0; i < 500; i++)
        ck_assert_int_eq(th_yield(), 0);
    (void)arg;
    return 0;
}

FIBER_TEST(each_switch_is_there_and_hardly_any_turn_more)
{
    th_scope scope;
    seen s;
    start();
    ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
    open_scope(&scope);
    for (int i = 0; i < 4; i++)
        spawn(&scope, yield_many, NULL);
    spawn_on(&scope, 0, yield_many, NULL);
    close_scope(&scope);
    look(&s);
    ck_assert_uint_ge(s.kinds[TH_TRACE_FIBER], 2500);
    ck_assert_uint_le(s.kinds[TH_TRACE_FIBER], 2700);
    forget(&s);
}

FIBER_TEST(fibers_of_all_ranks_are_there)
{
    static const int priorities[] = { TH_PRIO_HIGH, TH_PRIO_NORMAL, TH_PRIO_LOW };
    th_scope scope;
    seen s;
    start();
    ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
    open_scope(&scope);
    for (int i = 0; i < 6; i++) {
        th_spawn_opts opts = { .priority = priorities[i % 3] };
        ck_assert_int_eq(th_spawn_with(&scope, yield_many, NULL, &opts, NULL), 0);
    }
    close_scope(&scope);
    look(&s);
    ck_assert_uint_ge(s.kinds[TH_TRACE_FIBER], 3000);
    ck_assert_uint_le(s.kinds[TH_TRACE_FIBER], 3200);
    forget(&s);
}

FIBER_TEST(timers_and_sleep_are_there)
{
    seen s;
    start();
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(th_sleep(3 * TH_MILLISECOND), 0);
    look(&s);
    ck_assert_uint_ge(s.kinds[TH_TRACE_TIMER], 5);
    ck_assert_uint_ge(s.kinds[TH_TRACE_SLEEP], 5);
    int64_t slept = 0;
    for (uint64_t i = 0; i < s.copies->ring.count; i++)
        if (s.copies->records[i].kind == TH_TRACE_SLEEP)
            slept += s.copies->records[i].span;
    ck_assert_int_ge(slept, 10 * TH_MILLISECOND);
    forget(&s);
}

/* Runs once the one that started it waits. */
static int write_byte(void *arg)
{
    ck_assert_int_eq(write(*(int *)arg, "w", 1), 1);
    return 0;
}

FIBER_TEST(descriptors_are_there_with_what_was_seen)
{
    int ends[2];
    seen s;
    ck_assert_int_eq(pipe(ends), 0);
    start();
    spawn(th_scope_root(), write_byte, &ends[1]);
    ck_assert_int_eq(th_wait_fd(ends[0], TH_FD_READ, NULL), 0);
    look(&s);
    const th_trace_record *r = find(&s, TH_TRACE_EVENT, (uint64_t)ends[0]);
    ck_assert_ptr_nonnull(r);
    ck_assert_uint_eq(r->extra & TH_FD_READ, TH_FD_READ);
    forget(&s);
    close(ends[0]);
    close(ends[1]);
}

static int say(void *arg)
{
    ck_assert_int_eq(th_trace_mark("weft", 0), 0);
    (void)arg;
    return 0;
}

FIBER_TEST_ON(2, workers_have_rings_of_their_own_and_messages_are_there)
{
    th_scope scope;
    seen s;
    start();
    open_scope(&scope);
    for (unsigned i = 0; i < 20; i++)
        spawn_on(&scope, i % 2, say, NULL);
    close_scope(&scope);
    look(&s);
    ck_assert_ptr_nonnull(s.copies);
    ck_assert_ptr_nonnull(s.copies->next);
    ck_assert_uint_ne(s.copies->ring.worker, s.copies->next->ring.worker);
    ck_assert_uint_ne(s.copies->ring.thread, s.copies->next->ring.thread);
    ck_assert_uint_eq(s.kinds[TH_TRACE_MARK], 20);
    ck_assert_uint_gt(s.kinds[TH_TRACE_MESSAGE], 0);
    forget(&s);
}

FIBER_TEST(marks_keep_sixteen_bytes_and_a_span)
{
    seen s;
    start();
    int64_t since = th_now();
    ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    ck_assert_int_eq(th_trace_mark("a shuttle of warp and weft", since), 0);
    look(&s);
    ck_assert_uint_eq(s.kinds[TH_TRACE_MARK], 1);
    for (uint64_t i = 0; i < s.copies->ring.count; i++) {
        const th_trace_record *r = &s.copies->records[i];
        if (r->kind != TH_TRACE_MARK)
            continue;
        ck_assert_int_eq(r->at, since);
        ck_assert_uint_ge(r->span, TH_MILLISECOND);
        ck_assert(memcmp(&r->channel, "a shuttle of war", 16) == 0);
    }
    forget(&s);
}

/* ---- calls ----------------------------------------------------------------------------------- */

FIBER_TEST(misuse_is_refused)
{
    ck_assert_int_eq(th_trace_start(&(th_trace_opts){ .size = 10000 }), -EINVAL);
    ck_assert_int_eq(th_trace_start(&(th_trace_opts){ .events = (1 << 24) + 1 }), -EINVAL);
    ck_assert_int_eq(th_trace_stop(), -EALREADY);
    ck_assert_int_eq(th_trace_mark(NULL, 0), -EINVAL);
    ck_assert_int_eq(th_trace_mark("off", 0), 0);
    ck_assert_int_eq(th_trace_save(NULL), -EINVAL);
    start();
    ck_assert_int_eq(th_trace_start(NULL), -EBUSY);
    ck_assert_int_eq(th_trace_stop(), 0);
    ck_assert_int_eq(th_trace_save("/nowhere/at/all"), -ENOENT);
    ck_assert_str_eq(th_err_detail(), "/nowhere/at/all");
}

START_TEST(outside_of_a_worker_nothing_is_marked)
{
    ck_assert_int_eq(th_trace_mark("warp", 0), -EPERM);
}
END_TEST

static const char *path_of_test(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/thrum-trace-%d", (int)getpid());
    return path;
}

FIBER_TEST(the_file_is_as_its_header_says)
{
    th_trace_head head;
    th_trace_ring ring;
    th_trace_record record;
    th_trace_name name;
    char text[200];
    bool named = false;
    start();
    (void)yield_many(NULL);
    ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    ck_assert_int_eq(th_trace_save(path_of_test()), 0);
    FILE *in = fopen(path_of_test(), "rb");
    ck_assert_uint_eq(fread(&head, sizeof head, 1, in), 1);
    ck_assert_str_eq(head.magic, TH_TRACE_MAGIC);
    ck_assert_uint_eq(head.record, sizeof record);
    ck_assert_uint_eq(head.pid, (uint32_t)getpid());
    ck_assert_uint_eq(head.rings, 1);
    ck_assert_uint_eq(fread(&ring, sizeof ring, 1, in), 1);
    ck_assert_uint_gt(ring.count, 0);
    for (uint64_t i = 0; i < ring.count; i++) {
        ck_assert_uint_eq(fread(&record, sizeof record, 1, in), 1);
        ck_assert_int_le(record.at, head.now);
    }
    for (uint64_t i = 0; i < head.names; i++) {
        ck_assert_uint_eq(fread(&name, sizeof name, 1, in), 1);
        ck_assert_uint_lt(name.size, sizeof text);
        ck_assert_uint_eq(fread(text, 1, name.size, in), name.size);
        text[name.size] = '\0';
        named |= strncmp(text, "sleeper_expired", 15) == 0;
    }
    ck_assert(named);
    ck_assert_int_eq(fgetc(in), EOF);
    fclose(in);
    unlink(path_of_test());
}

FIBER_TEST(each_allocation_of_saving_may_fail)
{
    start();
    (void)yield_many(NULL);
    ck_assert_int_eq(th_trace_save("/nowhere/at/all"),
                     -ENOENT); /* the fiber has room for details */
    for (int64_t n = 1;; n++) {
        int64_t live = thi_alloc_live();
        thi_alloc_fail_at(n);
        int err = th_trace_save(path_of_test());
        bool untouched = thi_alloc_fail_at(0) > 0;
        ck_assert_int_eq(err, untouched ? 0 : -ENOMEM);
        ck_assert_int_eq(thi_alloc_live(), live);
        if (untouched)
            break;
    }
    unlink(path_of_test());
}

FIBER_TEST(a_full_disk_is_told)
{
    start();
    (void)yield_many(NULL);
    thi_fault_begin(0, 0);
    thi_fault_order("write", 1, ENOSPC);
    ck_assert_int_eq(th_trace_save(path_of_test()), -ENOSPC);
    (void)thi_fault_end();
    unlink(path_of_test());
}

START_TEST(the_environment_has_a_run_traced_and_saved)
{
    th_trace_head head;
    setenv("THRUM_TRACE", path_of_test(), 1);
    run_in_fiber(1, 0, yield_many, NULL);
    FILE *in = fopen(path_of_test(), "rb");
    ck_assert_ptr_nonnull(in);
    ck_assert_uint_eq(fread(&head, sizeof head, 1, in), 1);
    ck_assert_uint_eq(head.rings, 1);
    fclose(in);
    unlink(path_of_test());
    ck_assert_int_eq(th_trace_stop(), -EALREADY);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "kinds");
    add_on_engines(tcase, a_fiber_is_there_with_what_it_took);
    add_on_engines(tcase, each_switch_is_there_and_hardly_any_turn_more);
    tcase_add_test(tcase, fibers_of_all_ranks_are_there);
    add_on_engines(tcase, timers_and_sleep_are_there);
    add_on_engines(tcase, descriptors_are_there_with_what_was_seen);
    tcase_add_test(tcase, workers_have_rings_of_their_own_and_messages_are_there);
    tcase_add_test(tcase, marks_keep_sixteen_bytes_and_a_span);

    tcase = thi_check_case(suite, "calls");
    tcase_add_test(tcase, misuse_is_refused);
    tcase_add_test(tcase, outside_of_a_worker_nothing_is_marked);
    tcase_add_test(tcase, the_file_is_as_its_header_says);
    tcase_add_test(tcase, each_allocation_of_saving_may_fail);
    tcase_add_test(tcase, a_full_disk_is_told);
    tcase_add_test(tcase, the_environment_has_a_run_traced_and_saved);
}

int main(void)
{
    return thi_check_run("runtime/trace", fill_suite);
}
