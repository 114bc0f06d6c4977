/* SPDX-License-Identifier: MIT */

/* Tests of logging: levels, cutting, repetition, sinks. */
#include "base/log.h"

#include "check_main.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

/* What the sink got: how many messages, and the last one. */
struct record {
    int count;
    th_log_level level;
    char text[2 * THI_LOG_SIZE];
};

static void take(void *ctx, th_log_level level, th_str text)
{
    struct record *record = ctx;
    record->count++;
    record->level = level;
    ck_assert_uint_lt(text.len, sizeof record->text);
    ck_assert_int_eq(text.ptr[text.len], '\0');
    memcpy(record->text, text.ptr, text.len + 1);
}

static int64_t now;

static int64_t tell_time(void)
{
    return now;
}

static const int64_t second = 1000000000;

START_TEST(nothing_is_wanted_without_a_sink)
{
    ck_assert(!thi_log_enabled(TH_LOG_ERROR));
    int evaluated = 0;
    thi_log(TH_LOG_ERROR, "%d", ++evaluated);
    ck_assert_int_eq(evaluated, 0);
    ck_assert_int_eq(th_log_set_sink(NULL, NULL, TH_LOG_DEBUG), 0);
    ck_assert(!thi_log_enabled(TH_LOG_ERROR));
}
END_TEST

START_TEST(sink_gets_levels_that_are_wanted)
{
    struct record record = { .count = 0 };
    ck_assert_int_eq(th_log_set_sink(take, &record, TH_LOG_WARNING), 0);
    thi_log(TH_LOG_INFO, "no");
    ck_assert_int_eq(record.count, 0);
    thi_log(TH_LOG_WARNING, "%s %d", "yes", 1);
    ck_assert_int_eq(record.count, 1);
    ck_assert_int_eq(record.level, TH_LOG_WARNING);
    ck_assert_str_eq(record.text, "yes 1");
    thi_log(TH_LOG_ERROR, "worse");
    ck_assert_int_eq(record.level, TH_LOG_ERROR);
    ck_assert_int_eq(th_log_set_sink(take, &record, TH_LOG_OFF), 0);
    thi_log(TH_LOG_ERROR, "not any more");
    ck_assert_int_eq(record.count, 2);
}
END_TEST

START_TEST(unknown_level_is_misuse_and_changes_nothing)
{
    struct record record = { .count = 0 };
    ck_assert_int_eq(th_log_set_sink(take, &record, TH_LOG_INFO), 0);
    ck_assert_int_eq(th_log_set_sink(NULL, NULL, (th_log_level)5), -EINVAL);
    ck_assert_int_eq(th_log_set_sink(NULL, NULL, (th_log_level)-1), -EINVAL);
    thi_log(TH_LOG_INFO, "still here");
    ck_assert_int_eq(record.count, 1);
}
END_TEST

START_TEST(levels_have_names)
{
    ck_assert_str_eq(th_log_level_name(TH_LOG_OFF), "off");
    ck_assert_str_eq(th_log_level_name(TH_LOG_ERROR), "error");
    ck_assert_str_eq(th_log_level_name(TH_LOG_DEBUG), "debug");
    ck_assert_str_eq(th_log_level_name((th_log_level)5), "?");
    ck_assert_str_eq(th_log_level_name((th_log_level)-1), "?");
}
END_TEST

START_TEST(long_message_is_cut)
{
    struct record record = { .count = 0 };
    ck_assert_int_eq(th_log_set_sink(take, &record, TH_LOG_INFO), 0);
    thi_log(TH_LOG_INFO, "%*d", THI_LOG_SIZE - 1, 7);
    ck_assert_uint_eq(strlen(record.text), THI_LOG_SIZE - 1);
    ck_assert_int_eq(record.text[THI_LOG_SIZE - 2], '7');
    thi_log(TH_LOG_INFO, "%*d", THI_LOG_SIZE, 7);
    ck_assert_uint_eq(strlen(record.text), THI_LOG_SIZE - 1);
    ck_assert_int_eq(record.text[THI_LOG_SIZE - 2], ' ');
}
END_TEST

START_TEST(errno_is_kept)
{
    struct record record = { .count = 0 };
    ck_assert_int_eq(th_log_set_sink(take, &record, TH_LOG_INFO), 0);
    errno = EDOM;
    thi_log(TH_LOG_INFO, "x");
    ck_assert_int_eq(errno, EDOM);
}
END_TEST

START_TEST(message_that_lost_its_sink_is_dropped)
{
    thi_log_site site = { 0 };
    thi_log_write(&site, TH_LOG_ERROR, "the level was looked at just before the sink went");
}
END_TEST

static void repeat(th_log_level level, int times, int width)
{
    for (int i = 0; i < times; i++)
        thi_log(level, "%*d", width, i);
}

START_TEST(repetition_is_limited_by_place_and_second)
{
    struct record record = { .count = 0 };
    thi_log_clock = tell_time;
    ck_assert_int_eq(th_log_set_sink(take, &record, TH_LOG_DEBUG), 0);
    repeat(TH_LOG_INFO, THI_LOG_BURST, 1);
    ck_assert_int_eq(record.count, THI_LOG_BURST);
    repeat(TH_LOG_INFO, 5, 1);
    ck_assert_int_eq(record.count, THI_LOG_BURST);
    thi_log(TH_LOG_INFO, "another place");
    ck_assert_int_eq(record.count, THI_LOG_BURST + 1);

    now = second - 1;
    repeat(TH_LOG_INFO, 1, 1);
    ck_assert_int_eq(record.count, THI_LOG_BURST + 1);
    now = second;
    repeat(TH_LOG_INFO, 1, 1);
    ck_assert_int_eq(record.count, THI_LOG_BURST + 2);
    ck_assert_str_eq(record.text, "0 (6 more like this left out)");
    repeat(TH_LOG_INFO, 1, 1);
    ck_assert_str_eq(record.text, "0");
}
END_TEST

START_TEST(remark_fits_behind_the_longest_message)
{
    struct record record = { .count = 0 };
    thi_log_clock = tell_time;
    ck_assert_int_eq(th_log_set_sink(take, &record, TH_LOG_INFO), 0);
    repeat(TH_LOG_INFO, THI_LOG_BURST + 1, 1);
    now += second;
    repeat(TH_LOG_INFO, 1, 2 * THI_LOG_SIZE);
    ck_assert_uint_eq(strlen(record.text), THI_LOG_SIZE - 1);
    ck_assert_ptr_nonnull(strstr(record.text, " (1 more like this left out)"));
}
END_TEST

START_TEST(debug_messages_are_not_limited)
{
    struct record record = { .count = 0 };
    thi_log_clock = tell_time;
    ck_assert_int_eq(th_log_set_sink(take, &record, TH_LOG_DEBUG), 0);
    repeat(TH_LOG_DEBUG, 3 * THI_LOG_BURST, 1);
    ck_assert_int_eq(record.count, 3 * THI_LOG_BURST);
}
END_TEST

START_TEST(nothing_is_limited_without_a_clock)
{
    struct record record = { .count = 0 };
    ck_assert_int_eq(th_log_set_sink(take, &record, TH_LOG_DEBUG), 0);
    repeat(TH_LOG_INFO, 3 * THI_LOG_BURST, 1);
    ck_assert_int_eq(record.count, 3 * THI_LOG_BURST);
}
END_TEST

static void take_and_log(void *ctx, th_log_level level, th_str text)
{
    take(ctx, level, text);
    thi_log(TH_LOG_ERROR, "from the sink");
}

START_TEST(message_of_the_sink_itself_is_dropped)
{
    struct record record = { .count = 0 };
    ck_assert_int_eq(th_log_set_sink(take_and_log, &record, TH_LOG_DEBUG), 0);
    thi_log(TH_LOG_INFO, "first");
    ck_assert_str_eq(record.text, "first");
    ck_assert_int_eq(record.count, 1);
}
END_TEST

static void count_atomically(void *ctx, th_log_level level, th_str text)
{
    (void)level;
    (void)text;
    atomic_fetch_add((atomic_int *)ctx, 1);
}

static void *log_in_thread(void *arg)
{
    for (int i = 0; i < 1000; i++)
        thi_log(TH_LOG_INFO, "%d", i);
    return arg;
}

START_TEST(threads_log_at_once)
{
    atomic_int count = 0;
    ck_assert_int_eq(th_log_set_sink(count_atomically, &count, TH_LOG_INFO), 0);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, log_in_thread, NULL), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(atomic_load(&count), 3000);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *sinks = thi_check_case(suite, "sinks");
    tcase_add_test(sinks, nothing_is_wanted_without_a_sink);
    tcase_add_test(sinks, sink_gets_levels_that_are_wanted);
    tcase_add_test(sinks, unknown_level_is_misuse_and_changes_nothing);
    tcase_add_test(sinks, levels_have_names);
    tcase_add_test(sinks, long_message_is_cut);
    tcase_add_test(sinks, errno_is_kept);
    tcase_add_test(sinks, message_of_the_sink_itself_is_dropped);
    tcase_add_test(sinks, message_that_lost_its_sink_is_dropped);
    tcase_add_test(sinks, threads_log_at_once);
    TCase *repetition = thi_check_case(suite, "repetition");
    tcase_add_test(repetition, repetition_is_limited_by_place_and_second);
    tcase_add_test(repetition, remark_fits_behind_the_longest_message);
    tcase_add_test(repetition, debug_messages_are_not_limited);
    tcase_add_test(repetition, nothing_is_limited_without_a_clock);
}

int main(void)
{
    return thi_check_run("base/log", fill);
}
