/* SPDX-License-Identifier: MIT */

/* The rings of the event trace: what is kept, what is dropped, and reading while others write. */
#include "check_main.h"

#include "base/alloc.h"
#include "base/trace.h"
#include "base/util.h"

#include <errno.h>
#include <pthread.h>

static int64_t now = 1000;

static int64_t tell(void)
{
    return now;
}

/* All that is kept of the one worker there is; the caller frees it. */
static thi_trace_copy *take_one(void)
{
    thi_trace_copy *copies = NULL;
    ck_assert_int_eq(thi_trace_take(&copies), 0);
    ck_assert_ptr_nonnull(copies);
    ck_assert_ptr_null(copies->next);
    return copies;
}

static void record_numbers(uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++)
        thi_trace_end(thi_trace_begin(), TH_TRACE_EVENT, i, 0, 0);
}

START_TEST(off_it_keeps_nothing)
{
    thi_trace_copy *copies = (void *)&now;
    thi_trace_enlist(0, 1);
    ck_assert_int_eq(thi_trace_begin(), 0);
    record_numbers(0, 10);
    ck_assert_int_eq(thi_trace_take(&copies), 0);
    ck_assert_ptr_null(copies);
    ck_assert_int_eq(thi_trace_off(), -EALREADY);
}
END_TEST

START_TEST(an_event_is_kept_as_it_was_told)
{
    ck_assert_int_eq(thi_trace_on(tell, 8), 0);
    ck_assert_int_eq(thi_trace_on(tell, 8), -EBUSY);
    thi_trace_enlist(3, 4711);
    int64_t began = thi_trace_begin();
    ck_assert_int_eq(began, 1000);
    now = 1250;
    ck_assert_int_eq(thi_trace_record(began, TH_TRACE_TIMER, 77, 5, 0x1234), 1250);
    now = INT64_MAX / 2;
    thi_trace_end(began, TH_TRACE_FIBER, 0, 0, 0);
    ck_assert_int_eq(thi_trace_off(), 0);
    thi_trace_copy *copy = take_one();
    ck_assert_uint_eq(copy->ring.worker, 3);
    ck_assert_uint_eq(copy->ring.thread, 4711);
    ck_assert_uint_eq(copy->ring.count, 2);
    ck_assert_uint_eq(copy->ring.dropped, 0);
    const th_trace_record *r = copy->records;
    ck_assert_int_eq(r[0].at, 1000);
    ck_assert_uint_eq(r[0].span, 250);
    ck_assert_uint_eq(r[0].kind, TH_TRACE_TIMER);
    ck_assert_uint_eq(r[0].extra, 5);
    ck_assert_uint_eq(r[0].channel, 77);
    ck_assert_uint_eq(r[0].function, 0x1234);
    ck_assert_uint_eq(r[1].span, UINT32_MAX); /* more than four seconds */
    thi_free(copy);
}
END_TEST

START_TEST(the_last_ones_are_kept)
{
    ck_assert_int_eq(thi_trace_on(tell, 8), 0);
    thi_trace_enlist(0, 1);
    record_numbers(0, 8);
    thi_trace_copy *copy = take_one();
    ck_assert_uint_eq(copy->ring.count + copy->ring.dropped, 8);
    thi_free(copy);
    record_numbers(8, 21);
    copy = take_one();
    ck_assert_uint_eq(copy->ring.count, 7); /* the oldest place may be under the pen */
    ck_assert_uint_eq(copy->ring.dropped, 14);
    for (uint64_t i = 0; i < copy->ring.count; i++)
        ck_assert_uint_eq(copy->records[i].channel, 14 + i);
    thi_free(copy);
}
END_TEST

START_TEST(who_is_no_worker_leaves_no_trace)
{
    thi_trace_copy *copies = (void *)&now;
    ck_assert_int_eq(thi_trace_on(tell, 8), 0);
    record_numbers(0, 3);
    ck_assert_int_eq(thi_trace_take(&copies), 0);
    ck_assert_ptr_null(copies);
}
END_TEST

START_TEST(a_new_recording_forgets_the_old_one)
{
    thi_trace_enlist(0, 1);
    ck_assert_int_eq(thi_trace_on(tell, 8), 0);
    record_numbers(0, 3);
    ck_assert_int_eq(thi_trace_off(), 0);
    record_numbers(3, 5);
    thi_trace_copy *copy = take_one();
    ck_assert_uint_eq(copy->ring.count, 3);
    thi_free(copy);
    ck_assert_int_eq(thi_trace_on(tell, 16), 0); /* of another size */
    record_numbers(100, 112);
    copy = take_one();
    ck_assert_uint_eq(copy->ring.count, 12);
    ck_assert_uint_eq(copy->records[0].channel, 100);
    thi_free(copy);
}
END_TEST

static void *work_and_end(void *arg)
{
    (void)arg;
    thi_trace_enlist(9, 2);
    record_numbers(0, 4);
    thi_trace_delist();
    return NULL;
}

START_TEST(who_has_ended_is_remembered_until_the_next_recording)
{
    pthread_t thread;
    int64_t live = thi_alloc_live();
    ck_assert_int_eq(thi_trace_on(tell, 8), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, work_and_end, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    thi_trace_copy *copy = take_one();
    ck_assert_uint_eq(copy->ring.worker, 9);
    ck_assert_uint_eq(copy->ring.count, 4);
    thi_free(copy);
    ck_assert_int_eq(thi_trace_off(), 0);
    ck_assert_int_eq(thi_trace_on(tell, 8), 0);
    ck_assert_int_eq(thi_trace_off(), 0);
    ck_assert_int_eq(thi_trace_take(&copy), 0);
    ck_assert_ptr_null(copy);
    ck_assert_int_eq(thi_alloc_live(), live);
}
END_TEST

START_TEST(without_memory_nothing_is_kept_and_nothing_fails)
{
    thi_trace_copy *copies = NULL;
    thi_trace_enlist(0, 1);
    ck_assert_int_eq(thi_trace_on(tell, 8), 0);
    thi_alloc_fail_at(1);
    record_numbers(0, 3);
    ck_assert_int_eq(thi_alloc_fail_at(0), 0);
    ck_assert_int_eq(thi_trace_take(&copies), 0);
    ck_assert_ptr_null(copies);
    ck_assert_int_eq(thi_trace_off(), 0);
    ck_assert_int_eq(thi_trace_on(tell, 8), 0);
    record_numbers(0, 3);
    thi_alloc_fail_at(1);
    ck_assert_int_eq(thi_trace_take(&copies), -ENOMEM);
    copies = take_one();
    ck_assert_uint_eq(copies->ring.count, 3);
    thi_free(copies);
}
END_TEST

#define WRITERS 2

static atomic_bool enough;

/* Records whose fields all say the same number. */
static void *write_on(void *arg)
{
    thi_trace_enlist(*(unsigned *)arg, 1);
    for (uint64_t i = 1; !atomic_load(&enough); i++)
        thi_trace_record_until((int64_t)i, (int64_t)i + 7, TH_TRACE_EVENT, i, (unsigned)(i & 0xff),
                               (uintptr_t)i);
    thi_trace_delist();
    return NULL;
}

START_TEST(what_is_read_while_others_write_is_whole_and_in_order)
{
    pthread_t threads[WRITERS];
    unsigned numbers[WRITERS] = { 0, 1 };
    uint64_t seen = 0;
    ck_assert_int_eq(thi_trace_on(tell, 64), 0);
    for (int i = 0; i < WRITERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_on, &numbers[i]), 0);
    for (int round = 0; round < 300 || seen == 0; round++) {
        thi_trace_copy *copies = NULL;
        ck_assert_int_eq(thi_trace_take(&copies), 0);
        while (copies) {
            thi_trace_copy *next = copies->next;
            for (uint64_t i = 0; i < copies->ring.count; i++, seen++) {
                const th_trace_record *r = &copies->records[i];
                uint64_t n = copies->ring.dropped + i + 1;
                ck_assert_uint_eq(r->channel, n);
                ck_assert_uint_eq(r->function, n);
                ck_assert_int_eq(r->at, (int64_t)n);
                ck_assert_uint_eq(r->span, 7);
                ck_assert_uint_eq(r->extra, n & 0xff);
            }
            thi_free(copies);
            copies = next;
        }
    }
    atomic_store(&enough, true);
    for (int i = 0; i < WRITERS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "trace");
    tcase_add_test(tcase, off_it_keeps_nothing);
    tcase_add_test(tcase, an_event_is_kept_as_it_was_told);
    tcase_add_test(tcase, the_last_ones_are_kept);
    tcase_add_test(tcase, who_is_no_worker_leaves_no_trace);
    tcase_add_test(tcase, a_new_recording_forgets_the_old_one);
    tcase_add_test(tcase, who_has_ended_is_remembered_until_the_next_recording);
    tcase_add_test(tcase, without_memory_nothing_is_kept_and_nothing_fails);
    tcase_add_test(tcase, what_is_read_while_others_write_is_whole_and_in_order);
}

int main(void)
{
    return thi_check_run("base/trace", fill_suite);
}
