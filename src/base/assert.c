/* SPDX-License-Identifier: MIT */

/* Reports a broken invariant and aborts, with nothing but calls that are safe in a signal handler.
 */
#include "base/assert.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

/* One line of the report; what does not fit is cut, with room left for the newline. */
struct line {
    char text[512];
    size_t len;
};

static void add(struct line *line, const char *text)
{
    while (*text && line->len < sizeof line->text - 1)
        line->text[line->len++] = *text++;
}

static void add_number(struct line *line, int number)
{
    char digits[16];
    char *first = digits + sizeof digits - 1;
    *first = '\0';
    do
        *--first = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    add(line, first);
}

void thi_assert_fail(const char *file, int line, const char *text)
{
    struct line report = { .len = 0 };
    add(&report, file);
    add(&report, ":");
    add_number(&report, line);
    add(&report, ": assertion failed: ");
    add(&report, text);
    report.text[report.len++] = '\n';
    /* In one call, so that lines of several threads do not mix. Nobody could hear of a failure. */
    ssize_t written = write(STDERR_FILENO, report.text, report.len);
    (void)written;
    abort();
}
