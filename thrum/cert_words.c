/* SPDX-License-Identifier: MIT */

/* How thrum cert says things: times, keys, names, usages. */
#include "cert_words.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Whether a control character of ASCII or, as UTF-8, of ISO 6429 begins here: bytes to replace. */
static int control_at(const char *at)
{
    const unsigned char c = (unsigned char)at[0];
    if (c < ' ' || c == 0x7f)
        return 1;
    return c == 0xc2 && (unsigned char)at[1] >= 0x80 && (unsigned char)at[1] < 0xa0 ? 2 : 0;
}

/* A line end is meant where the format has it, at its end. */
void cert_say(const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 overlooks the va_start here */
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0)
        return;
    bool is_line = format[strlen(format) - 1] == '\n';
    for (char *c = text; *c; c++)
        if (!(is_line && *c == '\n' && c[1] == '\0'))
            memset(c, '?', (size_t)control_at(c));
    fputs(text, stdout);
    free(text);
}

/* To the nearest of the largest unit of which there are two, so that 90 days are not 89. */
char *cert_how_far(int64_t seconds, char text[CERT_WHEN_SIZE])
{
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = { { DAY, "day" }, { 3600, "hour" }, { 60, "minute" }, { 1, "second" } };
    int64_t far = seconds - (int64_t)time(NULL);
    int64_t size = far < 0 ? -far : far;
    size_t i = 0;
    if (far == 0) {
        snprintf(text, CERT_WHEN_SIZE, "now");
        return text;
    }
    while (i < 3 && size < 2 * units[i].seconds)
        i++;
    int64_t n = (size + units[i].seconds / 2) / units[i].seconds;
    snprintf(text, CERT_WHEN_SIZE, "%s%" PRId64 " %s%s%s", far < 0 ? "" : "in ", n, units[i].name,
             n == 1 ? "" : "s", far < 0 ? " ago" : "");
    return text;
}

char *cert_when(int64_t seconds, char text[CERT_WHEN_SIZE])
{
    struct tm tm;
    time_t t = (time_t)seconds;
    char date[40];
    char far[CERT_WHEN_SIZE];
    if (!gmtime_r(&t, &tm) || strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
        snprintf(date, sizeof date, "%" PRId64 " s after 1970", seconds);
    snprintf(text, CERT_WHEN_SIZE, "%s (%.30s)", date, cert_how_far(seconds, far));
    return text;
}
