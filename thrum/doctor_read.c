/* SPDX-License-Identifier: MIT */

/* Reading small files of /proc and /sys, below a root. */
#include "doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_SIZE 8192

/* More than this of anything, bytes as well, is as good as no limit. */
#define VERY_MUCH (INT64_C(1) << 50)

bool doctor_read(const doctor *d, const char *path, char *text, size_t size)
{
    char whole[4096];
    if (snprintf(whole, sizeof whole, "%s%s", d->root, path) >= (int)sizeof whole)
        return false;
    int fd = open(whole, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    if (n <= 0)
        return false;
    if (text[n - 1] == '\n')
        n--;
    text[n] = '\0';
    return true;
}

int64_t doctor_parse(const char **text)
{
    const char *at = *text + strspn(*text, " \t");
    if (strncmp(at, "max", 3) == 0 || strncmp(at, "unlimited", 9) == 0) {
        *text = at + strcspn(at, " \t\n");
        return DOCTOR_UNLIMITED;
    }
    char *end;
    errno = 0;
    unsigned long long value = strtoull(at, &end, 10);
    if (end == at || *at == '-')
        return DOCTOR_UNKNOWN;
    *text = end;
    return errno != 0 || value > VERY_MUCH ? DOCTOR_UNLIMITED : (int64_t)value;
}

size_t doctor_numbers(const doctor *d, const char *path, int64_t *numbers, size_t want)
{
    char text[512];
    const char *at = text;
    size_t count = 0;
    if (!doctor_read(d, path, text, sizeof text))
        return 0;
    for (; count < want; count++) {
        numbers[count] = doctor_parse(&at);
        if (numbers[count] == DOCTOR_UNKNOWN)
            break;
    }
    return count;
}

int64_t doctor_finite(int64_t number)
{
    if (number == DOCTOR_UNKNOWN)
        return 0;
    return number > VERY_MUCH ? VERY_MUCH : number;
}

size_t doctor_counts(const doctor *d, const char *path, int64_t *numbers, size_t want)
{
    size_t count = doctor_numbers(d, path, numbers, want);
    for (size_t i = 0; i < count; i++)
        numbers[i] = doctor_finite(numbers[i]);
    return count;
}

int64_t doctor_number(const doctor *d, const char *path)
{
    int64_t number;
    return doctor_numbers(d, path, &number, 1) == 1 ? number : DOCTOR_UNKNOWN;
}

int64_t doctor_line(const doctor *d, const char *path, const char *word)
{
    char text[FILE_SIZE];
    size_t len = strlen(word);
    if (!doctor_read(d, path, text, sizeof text))
        return DOCTOR_UNKNOWN;
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, word, len) == 0) {
            const char *at = line + len;
            return doctor_parse(&at);
        }
    }
    return DOCTOR_UNKNOWN;
}
