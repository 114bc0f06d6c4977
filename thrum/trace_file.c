/* SPDX-License-Identifier: MIT */

/* Reading a trace; <thrum/trace.h> says how it is written. */
#include "trace_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RINGS_MAX  65536
#define NAME_MAX_  65536
#define EVENTS_MAX (UINT64_C(1) << 32)

static bool get(FILE *in, void *bytes, size_t size)
{
    return fread(bytes, 1, size, in) == size;
}

/* Makes room for `more` events. The number is the file's; memory grows with what is really there.
 */
static bool reserve(trace_file *file, size_t *room, size_t more)
{
    if (file->event_count + more <= *room)
        return true;
    size_t size = (file->event_count + more) * 2;
    trace_event *events = realloc(file->events, size * sizeof *events);
    if (!events)
        return false;
    file->events = events;
    *room = size;
    return true;
}

static const char *read_ring(FILE *in, trace_file *file, th_trace_ring *ring, size_t *room)
{
    if (!get(in, ring, sizeof *ring))
        return "it ends too early";
    if (ring->count > EVENTS_MAX)
        return "it is damaged";
    for (uint64_t i = 0; i < ring->count; i++) {
        if (!reserve(file, room, 1))
            return "there is not enough memory";
        trace_event *event = &file->events[file->event_count];
        if (!get(in, &event->record, sizeof event->record))
            return "it ends too early";
        event->ring = ring;
        file->event_count++;
    }
    return NULL;
}

static const char *read_name(FILE *in, trace_file *file)
{
    th_trace_name name;
    if (!get(in, &name, sizeof name))
        return "it ends too early";
    if (name.size > NAME_MAX_)
        return "it is damaged";
    char *text = calloc(1, (size_t)name.size + 1);
    if (!text || !get(in, text, name.size)) {
        free(text);
        return text ? "it ends too early" : "there is not enough memory";
    }
    file->names[file->name_count++] = (trace_name){ name.address, text };
    return NULL;
}

static const char *read_names(FILE *in, trace_file *file)
{
    for (uint64_t i = 0; i < file->head.names; i++) {
        if ((file->name_count & (file->name_count - 1)) == 0) { /* a power of two is full */
            size_t room = file->name_count ? file->name_count * 2 : 1;
            trace_name *names = realloc(file->names, room * sizeof *names);
            if (!names)
                return "there is not enough memory";
            file->names = names;
        }
        const char *wrong = read_name(in, file);
        if (wrong)
            return wrong;
    }
    return NULL;
}

static const char *read_all(FILE *in, trace_file *file)
{
    size_t room = 0;
    const char *wrong = NULL;
    if (!get(in, &file->head, sizeof file->head) ||
        memcmp(file->head.magic, TH_TRACE_MAGIC, sizeof file->head.magic) != 0)
        return "it is no trace";
    if (file->head.version != TH_TRACE_VERSION || file->head.record != sizeof(th_trace_record))
        return "it is of another version";
    if (file->head.rings > RINGS_MAX)
        return "it is damaged";
    file->rings = calloc((size_t)file->head.rings + 1, sizeof *file->rings);
    if (!file->rings)
        return "there is not enough memory";
    for (uint32_t i = 0; i < file->head.rings && !wrong; i++)
        wrong = read_ring(in, file, &file->rings[i], &room);
    return wrong ? wrong : read_names(in, file);
}

/* Of two that began together the longer one is around the other. */
static int by_time(const void *left, const void *right)
{
    const th_trace_record *a = &((const trace_event *)left)->record;
    const th_trace_record *b = &((const trace_event *)right)->record;
    if (a->at != b->at)
        return a->at < b->at ? -1 : 1;
    return (a->span < b->span) - (a->span > b->span);
}

static int by_address(const void *left, const void *right)
{
    uint64_t a = ((const trace_name *)left)->address;
    uint64_t b = ((const trace_name *)right)->address;
    return (a > b) - (a < b);
}

const char *trace_read(const char *path, trace_file *file)
{
    *file = (trace_file){ .events = NULL };
    FILE *in = fopen(path, "rbe");
    if (!in)
        return strerror(errno);
    const char *wrong = read_all(in, file);
    fclose(in);
    if (wrong) {
        trace_free(file);
        return wrong;
    }
    if (file->event_count > 0)
        qsort(file->events, file->event_count, sizeof *file->events, by_time);
    if (file->name_count > 0)
        qsort(file->names, file->name_count, sizeof *file->names, by_address);
    return NULL;
}

void trace_free(trace_file *file)
{
    for (size_t i = 0; i < file->name_count; i++)
        free(file->names[i].text);
    free(file->names);
    free(file->events);
    free(file->rings);
}

const char *trace_function(const trace_file *file, uint64_t address, char room[24])
{
    trace_name wanted = { address, NULL };
    const trace_name *found = file->name_count > 0 ? bsearch(&wanted, file->names, file->name_count,
                                                             sizeof wanted, by_address)
                                                   : NULL;
    if (found)
        return found->text;
    snprintf(room, 24, "0x%" PRIx64, address);
    return room;
}
