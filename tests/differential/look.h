/* SPDX-License-Identifier: MIT */

/*
 * A naive second look at a request, for the rules: by splitting, counting and regular expressions,
 * and sharing no code with the parsers.
 */
#ifndef THI_TEST_LOOK_H
#define THI_TEST_LOOK_H

#include <thrum/str.h>

/* Whether the whole text matches an extended regular expression; case counts unless told. */
bool look_matches(th_str text, const char *pattern, bool any_case);

/* The n-th word (from 0) of the request line, between single spaces; empty if there is none. */
th_str look_word(th_str in, int n);

/* The request line without its line end, after one empty line at most. */
th_str look_line(th_str in);

/* How many fields have this name; *value is the first one's, trimmed. For heads without other
 * faults: lines are cut at CRLF. */
int look_fields(th_str in, const char *name, th_str *value);

/* Whether the head is complete. */
bool look_head_complete(th_str in);

/* The line around an offset, without its line end, cut at LF. */
th_str look_line_at(th_str in, size_t offset);

/* Whether the Connection fields, split at every comma, contain the option. */
bool look_option(th_str in, const char *option);

#endif
