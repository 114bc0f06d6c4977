/* SPDX-License-Identifier: MIT */

/* How thrum cert says things: times, keys, names, usages. */
#ifndef THRUM_PROGRAM_CERT_WORDS_H
#define THRUM_PROGRAM_CERT_WORDS_H

#include <stddef.h>
#include <stdint.h>

/*
 * As printf(), on standard output, but what does not show is replaced: what a certificate says may
 * have been written by anybody, and is not to reach a terminal as it is.
 */
void cert_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define CERT_WHEN_SIZE 80
#define DAY            INT64_C(86400)

/* "2027-11-27 03:00:00 UTC (in 365 days)"; seconds since 1970. Returns text. */
char *cert_when(int64_t seconds, char text[CERT_WHEN_SIZE]);

/* "in 3 days", "5 hours ago". Returns text. */
char *cert_how_far(int64_t seconds, char text[CERT_WHEN_SIZE]);

#endif
