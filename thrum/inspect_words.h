/* SPDX-License-Identifier: MIT */

/* Lines of /proc: words between blanks, and numbers. */
#ifndef THRUM_PROGRAM_INSPECT_WORDS_H
#define THRUM_PROGRAM_INSPECT_WORDS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define WORD_BLANKS " \t\n"

/* Goes over so many words, and to the beginning of the next one. */
static inline void words_skip(const char **at, unsigned count)
{
    *at += strspn(*at, WORD_BLANKS);
    for (; count > 0; count--) {
        *at += strcspn(*at, WORD_BLANKS);
        *at += strspn(*at, WORD_BLANKS);
    }
}

/* Reads a number and goes to what follows it; false when there is none. A negative one wraps. */
static inline bool words_number(const char **at, int base, uint64_t *number)
{
    char *end;
    *number = strtoull(*at, &end, base);
    if (end == *at)
        return false;
    *at = end;
    return true;
}

#endif
