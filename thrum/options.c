/* SPDX-License-Identifier: MIT */

/* Reading the command line by a table of options. */
#include "options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Enough for a path as long as can be, and a few words. */
#define LINE_MAX_SIZE 4400

void print_error(const char *format, ...)
{
    char line[LINE_MAX_SIZE];
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 overlooks the va_start here */
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    fprintf(stderr, "%s\n", line);
}

int options_wrong(const command *cmd, const char *format, ...)
{
    char what[LINE_MAX_SIZE - 100];
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): as above */
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    print_error("thrum %s: %s (see thrum %s --help)", cmd->name, what, cmd->name);
    return EXIT_USAGE;
}

bool options_number(const char *text, long min, long max, long *number)
{
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || n < min || n > max)
        return false;
    *number = n;
    return true;
}

/* An empty text would not be seen. */
static const char *shown(const char *text)
{
    return *text ? text : "''";
}

static void print_help(const command *cmd)
{
    printf("usage: thrum %s [OPTIONS]%s%s\n\n%s\n", cmd->name, *cmd->arguments ? " " : "",
           cmd->arguments, cmd->purpose);
    if (*cmd->details)
        printf("\n%s", cmd->details);
    printf("\noptions:\n");
    for (const option *o = cmd->options; o->name; o++) {
        char left[40];
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        printf("  %-24s %s\n", left, o->help);
    }
    printf("  %-24s %s\n", "--help", "print this and exit");
}

static const option *find(const command *cmd, const char *name, size_t len)
{
    for (const option *o = cmd->options; o->name; o++)
        if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
            return o;
    return NULL;
}

/* Reads the option at argv[*at], whose value may be the argument after it. */
static int read_option(const command *cmd, int argc, char **argv, int *at, void *settings)
{
    const char *text = argv[*at] + 2;
    const char *equals = strchr(text, '=');
    size_t len = equals ? (size_t)(equals - text) : strlen(text);
    const option *o = find(cmd, text, len);
    const char *value = equals ? equals + 1 : NULL;
    if (!o)
        return options_wrong(cmd, "there is no option --%.*s", (int)len, text);
    if (!o->value && value)
        return options_wrong(cmd, "--%s takes no value", o->name);
    if (o->value && !value) {
        if (*at + 1 >= argc)
            return options_wrong(cmd, "--%s needs a value: %s", o->name, o->value);
        value = argv[++*at];
    }
    const char *wrong = o->set(settings, value);
    return wrong ? options_wrong(cmd, "--%s %s: %s", o->name, value ? shown(value) : "", wrong)
                 : -1;
}

int options_read(const command *cmd, int argc, char **argv, void *settings)
{
    bool only_arguments = false;
    for (int i = 0; i < argc; i++) {
        const char *text = argv[i];
        int status = -1;
        if (!only_arguments && (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0)) {
            print_help(cmd);
            return 0;
        }
        if (!only_arguments && strcmp(text, "--") == 0) {
            only_arguments = true;
        } else if (!only_arguments && strncmp(text, "--", 2) == 0) {
            status = read_option(cmd, argc, argv, &i, settings);
        } else if (!only_arguments && text[0] == '-' && text[1]) {
            status = options_wrong(cmd, "there is no option %s", text);
        } else {
            const char *wrong =
                cmd->argument ? cmd->argument(settings, text) : "no argument is expected";
            if (wrong)
                status = options_wrong(cmd, "%s: %s", shown(text), wrong);
        }
        if (status >= 0)
            return status;
    }
    return -1;
}
