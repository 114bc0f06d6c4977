/* SPDX-License-Identifier: MIT */

/* A trace that was saved, in memory. */
#ifndef THRUM_PROGRAM_TRACE_FILE_H
#define THRUM_PROGRAM_TRACE_FILE_H

#include <thrum/trace.h>

#include <stdbool.h>

/* An event and the worker that it was on. */
typedef struct trace_event {
    th_trace_record record;
    const th_trace_ring *ring;
} trace_event;

typedef struct trace_name {
    uint64_t address;
    char *text; /* with a NUL */
} trace_name;

typedef struct trace_file {
    th_trace_head head;
    th_trace_ring *rings; /* head.rings of them */
    trace_event *events;  /* of all workers, in the order in which they began */
    size_t event_count;
    trace_name *names; /* by address */
    size_t name_count;
} trace_file;

/* Reads a file; NULL, or what is wrong with it. Nothing it says is believed without a look. */
const char *trace_read(const char *path, trace_file *file);
void trace_free(trace_file *file);

/* The name of a function; its address in `room` where it has none. */
const char *trace_function(const trace_file *file, uint64_t address, char room[24]);

#endif
