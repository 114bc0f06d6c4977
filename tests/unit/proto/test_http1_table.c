/* SPDX-License-Identifier: MIT */

/*
 * Replays the table of malformed requests, as far as the parsers decide, whole, byte by byte and
 * cut at random. The path of the table is in the environment variable THRUM_TABLE.
 */
#include "check_main.h"
#include "record.h"
#include "table.h"

/* Answers as the table words them, each with a body line if it has one. */
typedef struct answers {
    char *text;
    size_t size;
    FILE *out;
} answers;

static void open_answers(answers *a)
{
    a->out = open_memstream(&a->text, &a->size);
    ck_assert_ptr_nonnull(a->out);
}

/* The part of a record's line between "label<" and ">". */
static th_str item(const char *line, const char *label)
{
    char start[32];
    snprintf(start, sizeof start, " %s<", label);
    const char *from = strstr(line, start) + strlen(start);
    return th_str_make(from, strcspn(from, ">"));
}

/* The request that a record's line describes, as its handler would see it. */
static void name_request(const char *line, char *out, size_t size)
{
    th_str method = item(line, "method");
    th_str target = item(line, "target");
    if (!strstr(line, " form 1")) {
        snprintf(out, size, "200 %.*s %.*s", TH_STR_ARG(method), TH_STR_ARG(target));
        return;
    }
    th_str query = item(line, "query");
    snprintf(out, size, "200 %.*s %.*s%s%.*s", TH_STR_ARG(method), TH_STR_ARG(item(line, "path")),
             strstr(line, " with query ") ? "?" : "", TH_STR_ARG(query));
}

/* What a server would have answered, from the record of the parsers. */
static char *answers_of(char *log)
{
    answers a;
    char request[512] = "", body[512] = "";
    bool closing = false;
    open_answers(&a);
    for (char *line = strtok(log, "\n"); line; line = strtok(NULL, "\n")) {
        if (strncmp(line, "request ", 8) == 0)
            name_request(line, request, sizeof request);
        else if (strncmp(line, "means ", 6) == 0)
            closing = !strstr(line, " keep-alive");
        else if (strncmp(line, "body ", 5) == 0)
            snprintf(body, sizeof body, "%s\n", line);
        else if (strncmp(line, "chunks ", 7) == 0 && line[7])
            snprintf(body, sizeof body, "body %s\n", line + 7);
        else if (strcmp(line, "done") == 0)
            fprintf(a.out, "%s%s\n%s", request, closing ? " closing" : "", body);
        else if (strncmp(line, "refused ", 8) == 0)
            fprintf(a.out, "%.3s\n", line + 8);
        else if (strcmp(line, "more") == 0)
            fprintf(a.out, "wait\n");
        if (strcmp(line, "done") == 0)
            body[0] = '\0';
    }
    fclose(a.out);
    return a.text;
}

static char *answers_wanted(const table_entry *entry)
{
    answers a;
    open_answers(&a);
    for (int i = 0; i < entry->expected; i++) {
        const table_expectation *e = &entry->expect[i];
        if (strcmp(e->text, "wait") != 0)
            fprintf(a.out, "%s\n", e->text);
        else if (entry->len > 0)
            fprintf(a.out, "wait\n");
        if (e->body_len > 0) {
            fprintf(a.out, "body ");
            feed_write(a.out, th_str_make(e->body, e->body_len));
            fprintf(a.out, "\n");
        }
    }
    fclose(a.out);
    return a.text;
}

static int replay(const table_entry *entry)
{
    feed f = { .data = entry->bytes, .len = entry->len };
    char *other = NULL;
    /* Long streams are fed whole only: byte by byte they would be copied too often. */
    char *log = entry->len < 8192 ? feed_all(&f, feed_request, &other) : feed_run(&f, feed_request);
    char *record = strdup(log);
    char *got = answers_of(log);
    char *want = answers_wanted(entry);
    bool good = strcmp(got, want) == 0 && !other;
    if (!good)
        fprintf(stderr, "%s (%s)\nwanted:\n%sgot:\n%s%s%s", entry->name, entry->why, want, got,
                record, other ? other : "");
    free(want);
    free(got);
    free(record);
    free(log);
    free(other);
    return good ? 0 : 1;
}

START_TEST(every_entry_ends_as_the_table_says)
{
    const char *path = getenv("THRUM_TABLE");
    FILE *file = path ? fopen(path, "r") : NULL;
    ck_assert_msg(file != NULL, "THRUM_TABLE does not name a readable file");
    table_entry entry;
    int line = 0, replayed = 0, failed = 0;
    while (table_next(file, &line, &entry)) {
        if (!entry.server) {
            failed += replay(&entry);
            replayed++;
        }
        table_free(&entry);
    }
    fclose(file);
    ck_assert_int_eq(failed, 0);
    ck_assert_int_gt(replayed, 350);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *table = thi_check_case(suite, "table");
    tcase_add_test(table, every_entry_ends_as_the_table_says);
}

int main(void)
{
    return thi_check_run("proto/http1_table", fill);
}
