/* SPDX-License-Identifier: MIT */

/*
 * Metrics in the text form of Prometheus.
 *
 * The metrics of one name are neighbours in the list, so HELP and TYPE are written when a name
 * comes up for the first time. Buckets of histograms are kept apart in memory and become cumulative
 * here.
 */
#include <thrum/metrics.h>

#include "base/metrics.h"
#include "sys/sys.h"

#include <thrum/runtime.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Text that grows in an arena. After a failure it stays empty. */
typedef struct text {
    th_arena *arena;
    char *at;
    size_t len;
    size_t room;
    bool failed;
} text;

static bool make_room(text *t, size_t more)
{
    if (t->len + more <= t->room)
        return true;
    size_t room = (t->room + more) * 2;
    char *at = t->failed ? NULL : th_arena_alloc(t->arena, room);
    t->failed = !at;
    if (!at)
        return false;
    if (t->len > 0)
        memcpy(at, t->at, t->len);
    t->at = at;
    t->room = room;
    return true;
}

static void add(text *t, const char *format, ...) TH_PRINTF(2, 3);

#define PIECE 512

static void add(text *t, const char *format, ...)
{
    va_list args;
    if (!make_room(t, PIECE))
        return;
    va_start(args, format);
    int n = vsnprintf(t->at + t->len, PIECE, format, args);
    va_end(args);
    if (n > 0)
        t->len += (size_t)n < PIECE ? (size_t)n : PIECE - 1;
}

static void add_header(text *t, const char *name, const char *type, const char *help)
{
    add(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_metric(text *t, thi_metric id, int64_t value)
{
    const thi_metric_info *info = &thi_metric_infos[id];
    if (id == 0 || strcmp(info->name, thi_metric_infos[id - 1].name) != 0)
        add_header(t, info->name, info->kind == THI_METRIC_COUNTER ? "counter" : "gauge",
                   info->help);
    if (*info->label)
        add(t, "%s{%s} %" PRId64 "\n", info->name, info->label, value);
    else
        add(t, "%s %" PRId64 "\n", info->name, value);
}

/* Nanoseconds as seconds, without floating point. */
static void add_seconds(text *t, int64_t ns)
{
    add(t, "%" PRId64 ".%09" PRId64, ns / TH_SECOND, ns % TH_SECOND);
}

static void add_histogram(text *t, const thi_metric_info *info, const thi_histogram_data *data)
{
    int64_t count = 0;
    add_header(t, info->name, "histogram", info->help);
    for (int i = 0; i < THI_HISTOGRAM_BUCKETS - 1; i++) {
        count += data->buckets[i];
        add(t, "%s_bucket{le=\"", info->name);
        add_seconds(t, thi_histogram_bound(i));
        add(t, "\"} %" PRId64 "\n", count);
    }
    count += data->buckets[THI_HISTOGRAM_BUCKETS - 1];
    add(t, "%s_bucket{le=\"+Inf\"} %" PRId64 "\n%s_sum ", info->name, count, info->name);
    add_seconds(t, data->sum);
    add(t, "\n%s_count %" PRId64 "\n", info->name, count);
}

static void add_process(text *t)
{
    th_run_info run;
    add_header(t, "thrum_build_info", "gauge", "What this is; always 1");
    add(t, "thrum_build_info{version=\"%s\"} 1\n", TH_VERSION);
    if (th_run_get_info(&run) < 0)
        return;
    add_header(t, "thrum_workers", "gauge", "Threads that run fibers");
    add(t, "thrum_workers{backend=\"%s\"} %u\n", run.backend, run.workers);
}

int th_metrics_text(th_arena *arena, th_str *out)
{
    if (!arena || !out)
        return -EINVAL;
    thi_metrics *sum = th_arena_calloc(arena, 1, sizeof *sum);
    if (!sum)
        return -ENOMEM;
    thi_metrics_read(sum);
    text t = { .arena = arena };
    add_process(&t);
    for (thi_metric id = 0; id < THI_M_COUNT; id++)
        add_metric(&t, id, sum->values[id]);
    for (thi_histogram id = 0; id < THI_H_COUNT; id++)
        add_histogram(&t, &thi_histogram_infos[id], &sum->histograms[id]);
    if (t.failed)
        return -ENOMEM;
    *out = (th_str){ t.at, t.len };
    return 0;
}

int th_metrics_handle(th_http_request *request, th_http_reply *reply, void *arg)
{
    (void)arg;
    th_str body;
    int err = th_metrics_text(th_http_request_arena(request), &body);
    if (err < 0)
        return err;
    err = th_http_reply_header(reply, "Cache-Control", "no-store");
    return err < 0 ? err : th_http_reply_bytes(reply, 200, TH_METRICS_TYPE, body.ptr, body.len);
}
