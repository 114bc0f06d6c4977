/* SPDX-License-Identifier: MIT */

/* The access log: whole lines from many threads, a reader that is stuck or gone, the last lines. */
#include "check_main.h"

#include "base/util.h"
#include "observe/access_line.h"

#include <thrum/error.h>
#include <thrum/log.h>
#include <thrum/time.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static th_addr peer = { .kind = TH_ADDR_IP4, .ip = { 192, 0, 2, 1 }, .port = 1 };

static void record_target(th_access_log *log, const char *target)
{
    th_http_record record = { .method = TH_STR("GET"),
                              .target = { target, strlen(target) },
                              .version = 11,
                              .status = 200,
                              .peer = &peer };
    th_access_log_record(&record, log);
}

static th_access_log *opened(int fd, th_access_log_format format)
{
    th_access_log *log = NULL;
    ck_assert_int_eq(th_access_log_open(fd, format, &log), 0);
    return log;
}

/* What one thread adds. */
#define LINES   200
#define THREADS 4

typedef struct speaker {
    th_access_log *log;
    int number;
} speaker;

static void *speak(void *arg)
{
    speaker *s = arg;
    for (int i = 0; i < LINES; i++) {
        char target[40];
        (void)snprintf(target, sizeof target, "/%d/%d", s->number, i);
        record_target(s->log, target);
    }
    return NULL;
}

START_TEST(lines_of_several_threads_are_whole_and_in_order)
{
    FILE *file = tmpfile();
    th_access_log *log = opened(fileno(file), TH_ACCESS_LOG_COMMON);
    pthread_t threads[THREADS];
    speaker speakers[THREADS];
    int next[THREADS] = { 0 };
    char line[200];
    for (int i = 0; i < THREADS; i++) {
        speakers[i] = (speaker){ log, i };
        ck_assert_int_eq(pthread_create(&threads[i], NULL, speak, &speakers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(th_access_log_dropped(log), 0);
    th_access_log_close(log); /* writes the rest */
    rewind(file);
    while (fgets(line, sizeof line, file)) {
        int number, i, end = 0;
        int n = sscanf(line,
                       "192.0.2.1 - - [01/Jan/1970:00:00:00 +0000] \"GET /%d/%d HTTP/1.1\" 200 -%n",
                       &number, &i, &end);
        ck_assert_msg(n == 2 && line[end] == '\n', "'%s'", line);
        ck_assert_int_eq(i, next[number]++);
    }
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(next[i], LINES);
    fclose(file);
}
END_TEST

static void *drain(void *arg)
{
    static char buf[65536];
    uint64_t *lines = arg;
    int fd = (int)*lines;
    ssize_t n;
    *lines = 0;
    while ((n = read(fd, buf, sizeof buf)) > 0)
        for (ssize_t i = 0; i < n; i++)
            *lines += buf[i] == '\n';
    return NULL;
}

START_TEST(a_stuck_reader_holds_up_nobody_and_losses_are_counted)
{
    int fds[2];
    pthread_t reader;
    ck_assert_int_eq(pipe(fds), 0);
    th_access_log *log = opened(fds[1], TH_ACCESS_LOG_JSON);
    uint64_t added = 0;
    while (th_access_log_dropped(log) < 100) {
        record_target(log, "/");
        added++;
    }
    uint64_t dropped = th_access_log_dropped(log);
    uint64_t lines = (uint64_t)fds[0];
    ck_assert_int_eq(pthread_create(&reader, NULL, drain, &lines), 0);
    th_access_log_close(log);
    close(fds[1]);
    pthread_join(reader, NULL);
    ck_assert_uint_ge(lines, added - dropped + 1); /* the log says how many it dropped */
    ck_assert_uint_le(lines, added - dropped + 2);
    close(fds[0]);
}
END_TEST

START_TEST(a_reader_that_has_gone_costs_lines_and_not_the_process)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    close(fds[0]);
    th_access_log *log = opened(fds[1], TH_ACCESS_LOG_COMMON);
    record_target(log, "/");
    while (th_access_log_dropped(log) < 1)
        usleep(1000);
    th_access_log_close(log);
    close(fds[1]);
}
END_TEST

static void keep(void *ctx, th_log_level level, th_str text)
{
    ck_assert_int_eq(level, TH_LOG_WARNING);
    (void)snprintf(ctx, 100, "%.*s", (int)text.len, text.ptr);
}

START_TEST(a_stuck_reader_does_not_hold_up_the_end_which_tells_what_is_lost)
{
    static char taken[1 << 20];
    int fds[2];
    char told[100] = "", expected[100];
    ck_assert_int_eq(th_log_set_sink(keep, told, TH_LOG_WARNING), 0);
    ck_assert_int_eq(pipe(fds), 0);
    th_access_log *log = opened(fds[1], TH_ACCESS_LOG_COMMON);
    int added = 0;
    while (th_access_log_dropped(log) < 1) {
        record_target(log, "/");
        added++;
    }
    th_access_log_close(log);
    close(fds[1]);
    ssize_t len = read(fds[0], taken, sizeof taken);
    ck_assert_int_gt(len, 0);
    ck_assert_int_lt(len, (ssize_t)sizeof taken);
    for (ssize_t i = 0; i < len; i++)
        added -= taken[i] == '\n';
    (void)snprintf(expected, sizeof expected,
                   "the access log ends without %d lines: nobody took them", added);
    ck_assert_str_eq(told, expected);
    close(fds[0]);
}
END_TEST

START_TEST(misuse_is_refused)
{
    th_access_log *log = NULL;
    ck_assert_int_eq(th_access_log_open(-1, TH_ACCESS_LOG_JSON, &log), -EINVAL);
    ck_assert_int_eq(th_access_log_open(1, (th_access_log_format)2, &log), -EINVAL);
    ck_assert_int_eq(th_access_log_open(1, TH_ACCESS_LOG_JSON, NULL), -EINVAL);
    ck_assert_ptr_null(log);
    th_access_log_close(NULL);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "access_log");
    tcase_add_test(tcase, lines_of_several_threads_are_whole_and_in_order);
    tcase_add_test(tcase, a_stuck_reader_holds_up_nobody_and_losses_are_counted);
    tcase_add_test(tcase, a_reader_that_has_gone_costs_lines_and_not_the_process);
    tcase_add_test(tcase, a_stuck_reader_does_not_hold_up_the_end_which_tells_what_is_lost);
    tcase_add_test(tcase, misuse_is_refused);
}

int main(void)
{
    return thi_check_run("observe/access_log", fill_suite);
}
