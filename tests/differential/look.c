/* SPDX-License-Identifier: MIT */

/* See look.h. */
#include "look.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* Compiled expressions are kept: compiling one costs more than all the rest of a comparison. */
static const regex_t *compiled(const char *pattern, bool any_case)
{
    static struct {
        char text[400];
        bool any_case;
        regex_t regex;
    } kept[32];
    char anchored[420];
    size_t i = 0;
    while (kept[i].text[0] && (strcmp(kept[i].text, pattern) != 0 || kept[i].any_case != any_case))
        i++;
    if (!kept[i].text[0]) {
        snprintf(kept[i].text, sizeof kept[i].text, "%s", pattern);
        snprintf(anchored, sizeof anchored, "^(%s)$", pattern);
        kept[i].any_case = any_case;
        int flags = REG_EXTENDED | REG_NOSUB | (any_case ? REG_ICASE : 0);
        if (i == sizeof kept / sizeof *kept - 1 || regcomp(&kept[i].regex, anchored, flags) != 0)
            abort();
    }
    return &kept[i].regex;
}

bool look_matches(th_str text, const char *pattern, bool any_case)
{
    if (text.len > 0 && memchr(text.ptr, '\0', text.len))
        return false; /* none of our patterns has a place for it */
    char *copy = strndup(text.len ? text.ptr : "", text.len);
    if (!copy)
        abort();
    bool found = regexec(compiled(pattern, any_case), copy, 0, NULL, 0) == 0;
    free(copy);
    return found;
}

static th_str from(th_str in, size_t at)
{
    return at < in.len ? th_str_make(in.ptr + at, in.len - at) : th_str_make("", 0);
}

th_str look_line(th_str in)
{
    if (th_str_has_prefix(in, TH_STR("\r\n")))
        in = from(in, 2);
    const char *end = in.len ? memmem(in.ptr, in.len, "\r\n", 2) : NULL;
    return end ? th_str_make(in.ptr, (size_t)(end - in.ptr)) : in;
}

th_str look_word(th_str in, int n)
{
    th_str rest = look_line(in);
    th_str word = rest;
    for (; n >= 0; n--) {
        word = rest;
        if (!th_str_split_once(rest, ' ', &word, &rest))
            rest = th_str_make("", 0);
    }
    return word;
}

bool look_head_complete(th_str in)
{
    return in.len > 0 && memmem(in.ptr, in.len, "\r\n\r\n", 4) != NULL;
}

/* Moves *line to the next line of the head. Returns false at the empty line or the end. */
static bool next_line(th_str *rest, th_str *line)
{
    const char *end = rest->len ? memmem(rest->ptr, rest->len, "\r\n", 2) : NULL;
    if (!end || end == rest->ptr)
        return false;
    *line = th_str_make(rest->ptr, (size_t)(end - rest->ptr));
    *rest = from(*rest, line->len + 2);
    return true;
}

int look_fields(th_str in, const char *name, th_str *value)
{
    th_str rest = in, line, own_name, own_value;
    int count = 0;
    if (th_str_has_prefix(rest, TH_STR("\r\n")))
        rest = from(rest, 2);
    next_line(&rest, &line);
    while (next_line(&rest, &line)) {
        if (th_str_split_once(line, ':', &own_name, &own_value) && own_name.len == strlen(name) &&
            strncasecmp(own_name.ptr, name, own_name.len) == 0 && count++ == 0) {
            while (own_value.len && strchr(" \t", *own_value.ptr))
                own_value = from(own_value, 1);
            while (own_value.len && strchr(" \t", own_value.ptr[own_value.len - 1]))
                own_value.len--;
            *value = own_value;
        }
    }
    return count;
}

th_str look_line_at(th_str in, size_t offset)
{
    size_t first = offset, end = offset;
    while (first > 0 && in.ptr[first - 1] != '\n')
        first--;
    while (end < in.len && in.ptr[end] != '\n')
        end++;
    if (end > first && end < in.len && in.ptr[end - 1] == '\r')
        end--;
    return th_str_make(in.ptr + first, end - first);
}

bool look_option(th_str in, const char *option)
{
    char pattern[64];
    th_str rest = in, line;
    snprintf(pattern, sizeof pattern, "connection:(.*,)?[ \t]*%s[ \t]*(,.*)?", option);
    if (th_str_has_prefix(rest, TH_STR("\r\n")))
        rest = from(rest, 2);
    while (next_line(&rest, &line)) {
        if (look_matches(line, pattern, true))
            return true;
    }
    return false;
}
