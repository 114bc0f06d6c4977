/* SPDX-License-Identifier: MIT */

/* Reads tests/data/http1/malformed.txt, whose head describes it. */
#ifndef THI_TEST_TABLE_H
#define THI_TEST_TABLE_H

#include <thrum/str.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_EXPECTATIONS 4

typedef struct table_expectation {
    char text[256];
    char *body;
    size_t body_len;
} table_expectation;

typedef struct table_entry {
    char name[64];
    bool server; /* the layer that decides */
    char why[256];
    char *bytes;
    size_t len;
    table_expectation expect[TABLE_EXPECTATIONS];
    int expected;
} table_entry;

static inline void table_fail(int line, const char *reason)
{
    fprintf(stderr, "malformed.txt:%d: %s\n", line, reason);
    exit(EXIT_FAILURE);
}

/* Turns the escapes of text, which it overwrites, into bytes; returns their number. */
static inline size_t table_unescape(char *text, int line)
{
    size_t n = 0;
    for (char *p = text; *p; p++) {
        char c = *p;
        if (c == '\\') {
            static const char letters[] = "rnt0\\\"";
            static const char bytes[] = "\r\n\t\0\\\"";
            unsigned value;
            p++;
            const char *known = *p ? strchr(letters, *p) : NULL;
            if (known) {
                c = bytes[known - letters];
            } else if (sscanf(p, "x%2x", &value) == 1) {
                c = (char)value;
                p += 2;
            } else {
                table_fail(line, "unknown escape");
            }
        }
        text[n++] = c;
    }
    return n;
}

static inline void table_append(char **bytes, size_t *len, const char *more, size_t n, long times)
{
    char *grown = realloc(*bytes, *len + n * (size_t)times + 1);
    if (!grown)
        abort();
    for (long i = 0; i < times; i++)
        memcpy(grown + *len + (size_t)i * n, more, n);
    *bytes = grown;
    *len += n * (size_t)times;
}

/* Adds one "key: value" line to the entry. */
static inline void table_line(table_entry *entry, char *key, char *value, int line)
{
    long times = 1;
    char *star = strchr(key, '*');
    if (star) {
        times = strtol(star + 1, NULL, 10);
        *star = '\0';
    }
    if (strcmp(key, "name") == 0) {
        snprintf(entry->name, sizeof entry->name, "%s", value);
    } else if (strcmp(key, "layer") == 0) {
        entry->server = strcmp(value, "server") == 0;
        if (!entry->server && strcmp(value, "parser") != 0)
            table_fail(line, "unknown layer");
    } else if (strcmp(key, "why") == 0) {
        snprintf(entry->why, sizeof entry->why, "%s", value);
    } else if (strcmp(key, "send") == 0) {
        size_t n = table_unescape(value, line);
        table_append(&entry->bytes, &entry->len, value, n, times);
    } else if (strcmp(key, "expect") == 0) {
        if (entry->expected == TABLE_EXPECTATIONS)
            table_fail(line, "too many expectations");
        snprintf(entry->expect[entry->expected++].text, sizeof entry->expect[0].text, "%s", value);
    } else if (strcmp(key, "body") == 0 && entry->expected > 0) {
        table_expectation *e = &entry->expect[entry->expected - 1];
        size_t n = table_unescape(value, line);
        table_append(&e->body, &e->body_len, value, n, 1);
    } else if (strcmp(key, "needs") != 0) {
        table_fail(line, "unknown key");
    }
}

/* Reads the next entry, which the caller gives back to table_free(). Returns false at the end. */
static inline bool table_next(FILE *file, int *line, table_entry *entry)
{
    char *text = NULL;
    size_t room = 0;
    ssize_t len;
    memset(entry, 0, sizeof *entry);
    while ((len = getline(&text, &room, file)) >= 0) {
        (*line)++;
        while (len > 0 && strchr(" \t\n", text[len - 1]))
            text[--len] = '\0';
        if (len == 0 && entry->name[0])
            break;
        if (len == 0 || text[0] == '#')
            continue;
        char *colon = strchr(text, ':');
        if (!colon)
            table_fail(*line, "no colon");
        *colon = '\0';
        table_line(entry, text, colon[1] == ' ' ? colon + 2 : colon + 1, *line);
    }
    free(text);
    if (entry->name[0] && (entry->expected == 0 || !entry->why[0]))
        table_fail(*line, "incomplete entry");
    return entry->name[0] != '\0';
}

static inline void table_free(table_entry *entry)
{
    for (int i = 0; i < entry->expected; i++)
        free(entry->expect[i].body);
    free(entry->bytes);
}

#endif
