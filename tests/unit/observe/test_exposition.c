/* SPDX-License-Identifier: MIT */

/* The metrics as text: lines that a collector can read, histograms that add up. */
#include "check_main.h"

#include "base/alloc.h"
#include "base/metrics.h"

#include <thrum/error.h>
#include <thrum/metrics.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static th_arena arena;

static void open_arena(void)
{
    th_arena_init(&arena, NULL, 0, SIZE_MAX);
}

static void close_arena(void)
{
    th_arena_deinit(&arena);
}

/* The text with a NUL behind it. */
static char *metrics_text(void)
{
    th_str text;
    ck_assert_int_eq(th_metrics_text(&arena, &text), 0);
    char *copy = th_arena_strdup(&arena, text);
    ck_assert_ptr_nonnull(copy);
    ck_assert_uint_eq(strlen(copy), text.len);
    return copy;
}

/* Whether it is a name, labels in braces or none, a blank, and a number. */
static bool is_sample(const char *line)
{
    static const char name[] = "abcdefghijklmnopqrstuvwxyz_0123456789";
    size_t len = strspn(line, name);
    if (len == 0 || strncmp(line, "thrum_", 6) != 0)
        return false;
    line += len;
    if (*line == '{') {
        size_t key = strspn(line + 1, name);
        line += 1 + key;
        if (key == 0 || strncmp(line, "=\"", 2) != 0)
            return false;
        line = strstr(line + 2, "\"} ");
        if (!line)
            return false;
        line += 2;
    }
    return line[0] == ' ' && line[1] != '\0' &&
           strspn(line + 1, "-.0123456789") == strlen(line + 1);
}

START_TEST(every_line_is_a_comment_or_a_sample)
{
    char *rest = metrics_text();
    ck_assert_int_eq(rest[strlen(rest) - 1], '\n');
    char *line;
    while ((line = strsep(&rest, "\n")) != NULL && rest)
        ck_assert_msg(strncmp(line, "# HELP thrum_", 13) == 0 ||
                          strncmp(line, "# TYPE thrum_", 13) == 0 || is_sample(line),
                      "'%s'", line);
}
END_TEST

static size_t count_of(const char *text, const char *what)
{
    size_t count = 0;
    for (; (text = strstr(text, what)) != NULL; text += strlen(what))
        count++;
    return count;
}

START_TEST(every_name_is_explained_once)
{
    const char *text = metrics_text();
    for (thi_metric id = 0; id < THI_M_COUNT; id++) {
        const thi_metric_info *info = &thi_metric_infos[id];
        char line[200];
        (void)snprintf(line, sizeof line, "# HELP %s %s\n# TYPE %s %s\n", info->name, info->help,
                       info->name, info->kind == THI_METRIC_COUNTER ? "counter" : "gauge");
        ck_assert_msg(count_of(text, line) == 1, "%s", line);
    }
}
END_TEST

START_TEST(values_are_those_counted)
{
    thi_metric_add(THI_M_ACCEPT_ERRORS, 41);
    thi_metric_add(THI_M_HTTP_REQUESTS_4XX, 5);
    thi_metric_add(THI_M_CONNS_OPEN, -3);
    const char *text = metrics_text();
    ck_assert_ptr_nonnull(strstr(text, "\nthrum_accept_errors_total 41\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nthrum_http_requests_total{class=\"4xx\"} 5\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nthrum_http_requests_total{class=\"5xx\"} 0\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nthrum_connections_open -3\n"));
    ck_assert_ptr_nonnull(strstr(text, "thrum_build_info{version=\"" TH_VERSION "\"} 1\n"));
}
END_TEST

#define DURATION "thrum_http_request_duration_seconds"

START_TEST(buckets_are_cumulative_and_end_with_all)
{
    static const int64_t spans[] = {
        1, 8192, 8193, 1000000, 1000000, 2500000000, INT64_C(1) << 50
    };
    int64_t sum = 0;
    int64_t last = 0;
    double bound = 0;
    int buckets = 0;
    char line[100];
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        thi_metric_observe(THI_H_HTTP_REQUEST, spans[i]);
        sum += spans[i];
    }
    const char *text = metrics_text();
    for (const char *at = text; (at = strstr(at, DURATION "_bucket{le=\"")) != NULL; at++) {
        double le;
        int64_t count;
        buckets++;
        if (sscanf(at, DURATION "_bucket{le=\"%lf\"} %" SCNd64, &le, &count) != 2)
            ck_abort_msg("%.80s", at);
        ck_assert(le > bound);
        ck_assert_int_ge(count, last);
        bound = le;
        last = count;
    }
    ck_assert_int_eq(buckets, THI_HISTOGRAM_BUCKETS);
    ck_assert_int_eq(last, 7);
    ck_assert_ptr_nonnull(strstr(text, DURATION "_bucket{le=\"0.000008192\"} 2\n"));
    ck_assert_ptr_nonnull(strstr(text, DURATION "_bucket{le=\"+Inf\"} 7\n"));
    (void)snprintf(line, sizeof line, DURATION "_sum %" PRId64 ".%09" PRId64 "\n", sum / 1000000000,
                   sum % 1000000000);
    ck_assert_ptr_nonnull(strstr(text, line));
    ck_assert_ptr_nonnull(strstr(text, DURATION "_count 7\n"));
}
END_TEST

START_TEST(misuse_and_a_lack_of_memory_are_told)
{
    th_str text = TH_STR("untouched");
    ck_assert_int_eq(th_metrics_text(NULL, &text), -EINVAL);
    ck_assert_int_eq(th_metrics_text(&arena, NULL), -EINVAL);
    for (int64_t n = 1;; n++) {
        th_arena_deinit(&arena);
        open_arena();
        thi_alloc_fail_at(n);
        int err = th_metrics_text(&arena, &text);
        if (thi_alloc_fail_at(0) > 0)
            break;
        ck_assert_int_eq(err, -ENOMEM);
        ck_assert_str_eq(text.ptr, "untouched");
    }
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "exposition");
    tcase_add_checked_fixture(tcase, open_arena, close_arena);
    tcase_add_test(tcase, every_line_is_a_comment_or_a_sample);
    tcase_add_test(tcase, every_name_is_explained_once);
    tcase_add_test(tcase, values_are_those_counted);
    tcase_add_test(tcase, buckets_are_cumulative_and_end_with_all);
    tcase_add_test(tcase, misuse_and_a_lack_of_memory_are_told);
}

int main(void)
{
    return thi_check_run("observe/exposition", fill_suite);
}
