/* SPDX-License-Identifier: MIT */

/* The command line: options in a table, one clear line for whatever is wrong. */
#ifndef THRUM_PROGRAM_OPTIONS_H
#define THRUM_PROGRAM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* Exit status for a wrong command line. */
#define EXIT_USAGE 2

/* One option. `set` is called for each time it is given; returns NULL or what is wrong with value.
 */
typedef struct option {
    const char *name;  /* without the dashes */
    const char *value; /* how help calls its value; NULL for an option without one */
    const char *help;
    const char *(*set)(void *settings, const char *value);
} option;

/* A subcommand as the command line sees it. */
typedef struct command {
    const char *name;
    const char *arguments; /* as in "[DIR]"; "" for none */
    const char *purpose;   /* one line */
    const char *details;   /* further lines for its help, or "" */
    const option *options; /* ended by one without name */
    const char *(*argument)(void *settings, const char *text); /* NULL: takes none */
} command;

/*
 * Reads the arguments after the subcommand. Returns -1 to go on; otherwise the exit status, after
 * having printed the help (--help) or the one line that says what is wrong.
 */
int options_read(const command *cmd, int argc, char **argv, void *settings);

/*
 * Prints one line on standard error, whatever stands in it: what a shell or a script made of a name
 * may contain anything.
 */
void print_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints the one line, in the form "thrum serve: ... (see thrum serve --help)"; EXIT_USAGE. */
int options_wrong(const command *cmd, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Reads a whole number from min to max; false when text is none. */
bool options_number(const char *text, long min, long max, long *number);

#endif
