/* SPDX-License-Identifier: MIT */

/* Tests of counters, gauges and histograms over threads. */
#include "base/metrics.h"

#include "base/alloc.h"

#include "check_main.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

START_TEST(thread_without_block_counts_into_the_shared_one)
{
    thi_metric_add(THI_M_BYTES_READ, 5);
    thi_metric_add(THI_M_BYTES_READ, 7);
    ck_assert_int_eq(thi_metric_read(THI_M_BYTES_READ), 12);
    ck_assert_int_eq(thi_metric_read(THI_M_BYTES_WRITTEN), 0);
}
END_TEST

START_TEST(attached_thread_counts_into_its_own)
{
    ck_assert_int_eq(thi_metrics_attach(), 0);
    thi_metrics *own = thi_metrics_own;
    ck_assert_uint_eq((uintptr_t)own % THI_CACHE_LINE, 0);
    ck_assert_int_eq(thi_metrics_attach(), 0);
    ck_assert_ptr_eq(thi_metrics_own, own);
    thi_metric_add(THI_M_FIBERS_LIVE, 3);
    thi_metric_add(THI_M_FIBERS_LIVE, -1);
    ck_assert_int_eq(own->values[THI_M_FIBERS_LIVE], 2);
    ck_assert_int_eq(thi_metric_read(THI_M_FIBERS_LIVE), 2);
    thi_metrics sum;
    thi_metrics_read(&sum);
    ck_assert_int_eq(sum.values[THI_M_FIBERS_LIVE], 2);
    thi_metrics_detach();
    ck_assert_ptr_null(thi_metrics_own);
    ck_assert_int_eq(thi_metric_read(THI_M_FIBERS_LIVE), 2);
    thi_metrics_detach();
}
END_TEST

START_TEST(attaching_without_memory_still_counts)
{
    thi_alloc_fail_at(1);
    ck_assert_int_eq(thi_metrics_attach(), -ENOMEM);
    thi_metric_add(THI_M_LOOP_TURNS, 1);
    ck_assert_int_eq(thi_metric_read(THI_M_LOOP_TURNS), 1);
}
END_TEST

enum { TURNS = 20000 };

/* Even threads attach, odd ones do not. */
static void *count_in_thread(void *arg)
{
    const int *number = arg;
    if (*number % 2 == 0)
        ck_assert_int_eq(thi_metrics_attach(), 0);
    for (int i = 0; i < TURNS; i++) {
        thi_metric_add(THI_M_LOOP_TURNS, 1);
        thi_metric_observe(THI_H_HTTP_REQUEST, 10000);
    }
    if (*number % 2 == 0)
        thi_metrics_detach();
    return NULL;
}

START_TEST(sums_survive_the_threads)
{
    pthread_t threads[4];
    int numbers[4] = { 0, 1, 2, 3 };
    int64_t blocks = thi_alloc_live();
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, count_in_thread, &numbers[i]), 0);
    thi_metrics sum;
    int64_t last = 0;
    for (int i = 0; i < 200; i++) {
        thi_metrics_read(&sum);
        ck_assert_int_ge(sum.values[THI_M_LOOP_TURNS], last);
        last = sum.values[THI_M_LOOP_TURNS];
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    thi_metrics_read(&sum);
    ck_assert_int_eq(sum.values[THI_M_LOOP_TURNS], 4 * TURNS);
    ck_assert_int_eq(sum.histograms[THI_H_HTTP_REQUEST].buckets[1], 4 * TURNS);
    ck_assert_int_eq(sum.histograms[THI_H_HTTP_REQUEST].sum, 4LL * TURNS * 10000);
    ck_assert_int_eq(thi_alloc_live(), blocks);
}
END_TEST

START_TEST(bounds_double_every_second_bucket_and_belong_below)
{
    ck_assert_int_eq(thi_histogram_bound(0), 8192);
    ck_assert_int_eq(thi_histogram_bound(1), 12288);
    for (int bucket = 0; bucket < THI_HISTOGRAM_BUCKETS - 1; bucket++) {
        int64_t bound = thi_histogram_bound(bucket);
        if (bucket >= 2)
            ck_assert_int_eq(bound, 2 * thi_histogram_bound(bucket - 2));
        ck_assert_int_eq(thi_histogram_bucket(bound - 1), bucket);
        ck_assert_int_eq(thi_histogram_bucket(bound), bucket);
        ck_assert_int_eq(thi_histogram_bucket(bound + 1), bucket + 1);
    }
    ck_assert_int_eq(thi_histogram_bound(THI_HISTOGRAM_BUCKETS - 1), INT64_MAX);
}
END_TEST

START_TEST(extreme_durations_have_a_bucket)
{
    ck_assert_int_eq(thi_histogram_bucket(0), 0);
    ck_assert_int_eq(thi_histogram_bucket(-5), 0);
    ck_assert_int_eq(thi_histogram_bucket(INT64_MIN), 0);
    ck_assert_int_eq(thi_histogram_bucket(INT64_MAX), THI_HISTOGRAM_BUCKETS - 1);
}
END_TEST

START_TEST(list_is_complete_and_well_formed)
{
    for (int id = 0; id < THI_M_COUNT; id++) {
        const thi_metric_info *info = &thi_metric_infos[id];
        ck_assert_int_eq(strncmp(info->name, "thrum_", 6), 0);
        ck_assert_uint_gt(strlen(info->help), 0);
        size_t len = strlen(info->name);
        bool total = len > 6 && strcmp(info->name + len - 6, "_total") == 0;
        ck_assert_int_eq(total, info->kind == THI_METRIC_COUNTER);
        for (int other = 0; other < id; other++) {
            const thi_metric_info *that = &thi_metric_infos[other];
            bool same_name = strcmp(info->name, that->name) == 0;
            ck_assert(!same_name || strcmp(info->label, that->label) != 0);
            ck_assert_msg(!same_name || strcmp(info->name, info[-1].name) == 0, "neighbours");
        }
    }
    for (int id = 0; id < THI_H_COUNT; id++)
        ck_assert_ptr_nonnull(strstr(thi_histogram_infos[id].name, "_seconds"));
}
END_TEST

static void fill(Suite *suite)
{
    TCase *counting = thi_check_case(suite, "counting");
    tcase_add_test(counting, thread_without_block_counts_into_the_shared_one);
    tcase_add_test(counting, attached_thread_counts_into_its_own);
    tcase_add_test(counting, attaching_without_memory_still_counts);
    tcase_add_test(counting, sums_survive_the_threads);
    TCase *histograms = thi_check_case(suite, "histograms");
    tcase_add_test(histograms, bounds_double_every_second_bucket_and_belong_below);
    tcase_add_test(histograms, extreme_durations_have_a_bucket);
    TCase *list = thi_check_case(suite, "list");
    tcase_add_test(list, list_is_complete_and_well_formed);
}

int main(void)
{
    return thi_check_run("base/metrics", fill);
}
