/* SPDX-License-Identifier: MIT */

/* What the subcommands that look inside have in common: opening, and describing in words. */
#ifndef THRUM_PROGRAM_INSPECTION_H
#define THRUM_PROGRAM_INSPECTION_H

#include "inspect_fibers.h"
#include "inspect_sockets.h"
#include "inspect_stack.h"
#include "options.h"

#define DESCRIPTION_SIZE 320

/* What the command line says of what to look into; the settings of a subcommand begin with it. */
typedef struct inspect_settings {
    target_choice choice;
    uint64_t fiber; /* for `why`; 0: none was given */
    bool json;
} inspect_settings;

/* For the tables of options. */
const char *set_core(void *settings, const char *value);
const char *set_exe(void *settings, const char *value);
const char *set_json(void *settings, const char *value);
/* Takes the number of a process. */
const char *take_process(void *settings, const char *text);

#define INSPECT_OPTIONS                                                                            \
    { "core", "FILE", "look into a core file instead of a process", set_core },                    \
    {                                                                                              \
        "exe", "PROGRAM", "with --core: the program, if it is not where it was", set_exe           \
    }

/* What is looked into, with all that was read of it. */
typedef struct inspection {
    target *t;
    snapshot s;
    stacks *k;
    sockets *n;
} inspection;

/*
 * Opens what was chosen and takes a snapshot; the exit status of a failure after having told it, or
 * -1 to go on. Nothing needs to be closed after a failure.
 */
int inspection_open(inspection *in, const command *cmd, const target_choice *choice);
void inspection_close(inspection *in);

/* The name of a fiber, or of its function; never empty. */
const char *inspect_name(inspection *in, const fiber_view *f, char *text, size_t size);

/* "parked", ... */
const char *inspect_state(const fiber_view *f);

/* How long a fiber has waited, in ns; -1 when it does not wait or that is not known. */
int64_t inspect_waited(const fiber_view *f);

/* A span of time for people: "3.2 s", "2 h 5 min". */
void inspect_span(int64_t span, char *text, size_t size);

/* What a fiber waits for, in words: "read from 9 (tcp ...)", "mutex 0x... held by fiber 7". */
void inspect_wait(inspection *in, const fiber_view *f, char *text, size_t size);

/* Who holds what a fiber waits for if that is no fiber: the kernel's number of the thread, 0 if it
 * is not known which. */
int inspect_owner_thread(inspection *in, uint64_t owner);

/* What the thread of a worker does: "runs fiber 7", "waits for events". */
void inspect_worker(inspection *in, const worker_view *w, char *text, size_t size);

/* One line about a place on a stack: "function at file:line". */
void inspect_place(const place_view *place, char *text, size_t size);

/*
 * The place from which a fiber called the library to wait: the function outside of it, as
 * "function (file:line)". "" when the stack cannot be walked. What is told of the fiber otherwise
 * is to be asked for after it: it may be read again.
 */
void inspect_caller(inspection *in, fiber_view *f, char *text, size_t size);

/* Prints all of a snapshot as JSON; docs/ps.schema.json describes it. */
void inspect_print_json(inspection *in, const size_t *order, size_t count, bool with_stacks);

/* Prints a stack, one line per place; NULL: why there is none. */
void inspect_print_stack(inspection *in, const fiber_view *f, const stack_view *stack);

#endif
