/* SPDX-License-Identifier: MIT */

/* thrum trace: a saved trace as text, or as JSON for trace viewers. */
#include "trace_file.h"

#include "commands.h"

#include <thrum/wait_fd.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct trace_settings {
    const char *path;
    bool json;
} trace_settings;

static const char *set_json(void *settings, const char *value)
{
    (void)value;
    ((trace_settings *)settings)->json = true;
    return NULL;
}

static const char *take_path(void *settings, const char *text)
{
    trace_settings *s = settings;
    if (s->path)
        return "is one too many";
    s->path = text;
    return NULL;
}

static const option trace_options[] = {
    { "json", NULL, "as JSON, for Perfetto (ui.perfetto.dev) and chrome://tracing", set_json },
    { 0 },
};

const command trace_command = {
    .name = "trace",
    .arguments = "FILE",
    .purpose = "Prints the events of a saved trace: time, worker, duration, channel, function.",
    .details = "A program writes one when it runs with THRUM_TRACE=FILE, or by th_trace_save().\n",
    .options = trace_options,
    .argument = take_path,
};

static const char *const kinds[] = { "?",        "sleep", "event", "timer",    "message",
                                     "deferred", "call",  "fiber", "callback", "mark" };

enum { KINDS = sizeof kinds / sizeof kinds[0] };

static const char *kind_of(const th_trace_record *r)
{
    return kinds[r->kind < KINDS ? r->kind : 0];
}

/* What it was about: "7 read", "fiber 12 ended", ...; "" where there is nothing to say. */
static void describe(const th_trace_record *r, char *text, size_t size)
{
    *text = '\0';
    switch (r->kind) {
    case TH_TRACE_EVENT:
        snprintf(text, size, "descriptor %" PRIu64 "%s%s%s", r->channel,
                 r->extra & TH_FD_READ ? " read" : "", r->extra & TH_FD_WRITE ? " write" : "",
                 r->extra & TH_FD_HANGUP ? " hangup" : "");
        break;
    case TH_TRACE_CALLBACK:
        snprintf(text, size, "descriptor %" PRIu64, r->channel);
        break;
    case TH_TRACE_TIMER: {
        int64_t late = r->at - (int64_t)r->channel;
        snprintf(text, size, "%" PRId64 ".%03" PRId64 " us late", late / 1000,
                 late > 0 ? late % 1000 : 0);
        break;
    }
    case TH_TRACE_CALL:
        snprintf(text, size, "0x%" PRIx64 "%s", r->channel, r->extra ? " failed" : "");
        break;
    case TH_TRACE_MESSAGE:
    case TH_TRACE_DEFERRED:
        snprintf(text, size, "0x%" PRIx64, r->channel);
        break;
    case TH_TRACE_FIBER:
        snprintf(text, size, "fiber %" PRIu64 "%s", r->channel, r->extra ? " ended" : "");
        break;
    default:
        break;
    }
}

/* The function, or the text of a mark, of which anything may be part. */
static const char *name_of(const trace_file *file, const th_trace_record *r, char room[24])
{
    if (r->kind == TH_TRACE_SLEEP)
        return "sleep";
    if (r->kind != TH_TRACE_MARK)
        return trace_function(file, r->function, room);
    memcpy(room, &r->channel, 8);
    memcpy(room + 8, &r->function, 8);
    room[16] = '\0';
    return room;
}

/* ---- for people ------------------------------------------------------------------------------ */

static void print_plain(const char *text)
{
    for (; *text; text++)
        putchar((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
}

static void print_text(const trace_file *file)
{
    int64_t first = file->event_count > 0 ? file->events[0].record.at : 0;
    for (uint32_t i = 0; i < file->head.rings; i++)
        printf("worker %u: thread %u, %" PRIu64 " events, %" PRIu64
               " older ones were overwritten\n",
               file->rings[i].worker, file->rings[i].thread, file->rings[i].count,
               file->rings[i].dropped);
    printf("%14s %6s %12s  %-8s %-26s %s\n", "ms", "worker", "us", "kind", "channel", "function");
    for (size_t i = 0; i < file->event_count; i++) {
        const trace_event *e = &file->events[i];
        char channel[64];
        char room[24];
        int64_t at = e->record.at - first;
        describe(&e->record, channel, sizeof channel);
        printf("%7" PRId64 ".%06" PRId64 " %6u %8u.%03u  %-8s %-26s ", at / 1000000, at % 1000000,
               e->ring->worker, e->record.span / 1000, e->record.span % 1000, kind_of(&e->record),
               channel);
        print_plain(name_of(file, &e->record, room));
        putchar('\n');
    }
}

/* ---- for trace viewers ----------------------------------------------------------------------- */

/* Whoever made the trace may have put anything into a mark; what is no ASCII is not kept. */
static void print_quoted(const char *text)
{
    putchar('"');
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            printf("\\%c", *c);
        else if (*c < ' ' || *c >= 0x7f)
            printf("\\u%04x", *c < 0x80 ? *c : 0xfffd);
        else
            putchar(*c);
    }
    putchar('"');
}

/* "echo+0x0 (server)" is long for a box on the screen. */
static void print_short(const char *name)
{
    char text[200];
    size_t len = strcspn(name, "+ ");
    if (len == 0 || name[0] == '(')
        len = strlen(name);
    snprintf(text, sizeof text, "%.*s", (int)len, name);
    print_quoted(text);
}

static void print_event(const trace_file *file, const trace_event *e)
{
    const th_trace_record *r = &e->record;
    char channel[64];
    char room[24];
    const char *name = name_of(file, r, room);
    bool moment = r->kind == TH_TRACE_MARK && r->span == 0;
    printf(",\n{\"ph\":\"%s\",\"pid\":%u,\"tid\":%u,\"ts\":%" PRId64 ".%03" PRId64,
           moment ? "i" : "X", file->head.pid, e->ring->thread, r->at / 1000, r->at % 1000);
    if (moment)
        printf(",\"s\":\"t\"");
    else
        printf(",\"dur\":%u.%03u", r->span / 1000, r->span % 1000);
    printf(",\"cat\":\"%s\",\"name\":", kind_of(r));
    if (r->kind == TH_TRACE_MARK)
        print_quoted(name);
    else
        print_short(name);
    describe(r, channel, sizeof channel);
    printf(",\"args\":{\"channel\":");
    print_quoted(channel);
    printf(",\"function\":");
    print_quoted(name);
    printf("}}");
}

static void print_json(const trace_file *file)
{
    printf("{\"displayTimeUnit\":\"ns\",\"otherData\":{\"saved\":%" PRId64 ",\"wall\":%" PRId64
           "},\"traceEvents\":[\n",
           file->head.now, file->head.wall);
    printf("{\"ph\":\"M\",\"pid\":%u,\"name\":\"process_name\",\"args\":{\"name\":\"process %u\"}}",
           file->head.pid, file->head.pid);
    for (uint32_t i = 0; i < file->head.rings; i++)
        printf(",\n{\"ph\":\"M\",\"pid\":%u,\"tid\":%u,\"name\":\"thread_name\",\"args\":{\"name\":"
               "\"worker %u\",\"overwritten\":%" PRIu64 "}}",
               file->head.pid, file->rings[i].thread, file->rings[i].worker,
               file->rings[i].dropped);
    for (size_t i = 0; i < file->event_count; i++)
        print_event(file, &file->events[i]);
    printf("]}\n");
}

int trace_main(int argc, char **argv)
{
    trace_settings settings = { .path = NULL };
    trace_file file;
    int status = options_read(&trace_command, argc, argv, &settings);
    if (status >= 0)
        return status;
    if (!settings.path)
        return options_wrong(&trace_command, "which file?");
    const char *wrong = trace_read(settings.path, &file);
    if (wrong) {
        print_error("thrum trace: %s: %s", settings.path, wrong);
        return 1;
    }
    if (settings.json)
        print_json(&file);
    else
        print_text(&file);
    trace_free(&file);
    return 0;
}
