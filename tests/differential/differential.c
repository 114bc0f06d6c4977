/* SPDX-License-Identifier: MIT */

/*
 * Gives the same requests to libhttp-parser and to Thrum's parsers. Every difference must be one
 * that rules.c explains.
 *
 * Usage: differential TABLE ROUNDS [CORPUS-FOLDER...]. Inputs are the table of malformed requests,
 * the files of the folders, and ROUNDS mutations of those; the mutations are seeded and therefore
 * always the same.
 */
#include "../unit/proto/table.h"
#include "rules.h"

#include <dirent.h>
#include <inttypes.h>

#define INPUT_MAX 4096

typedef struct inputs {
    th_str *items; /* owned */
    size_t count;
} inputs;

static long counts[64];
static long same, unexplained;

static void add_input(inputs *all, const char *bytes, size_t len)
{
    char *copy = malloc(len + 1);
    all->items = realloc(all->items, (all->count + 1) * sizeof *all->items);
    if (!copy || !all->items)
        abort();
    memcpy(copy, bytes, len);
    copy[len] = '\0'; /* the rules look at numbers with strtoull() */
    all->items[all->count++] = th_str_make(copy, len);
}

static void add_table(inputs *all, const char *path)
{
    FILE *file = fopen(path, "r");
    table_entry entry;
    int line = 0;
    if (!file) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    while (table_next(file, &line, &entry)) {
        add_input(all, entry.bytes ? entry.bytes : "", entry.len);
        table_free(&entry);
    }
    fclose(file);
}

static void add_folder(inputs *all, const char *folder)
{
    struct dirent **files;
    int n = scandir(folder, &files, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char path[4096], bytes[INPUT_MAX];
        snprintf(path, sizeof path, "%s/%s", folder, files[i]->d_name);
        FILE *file = files[i]->d_name[0] == '.' ? NULL : fopen(path, "rb");
        if (file) {
            add_input(all, bytes, fread(bytes, 1, sizeof bytes, file));
            fclose(file);
        }
        free(files[i]);
    }
    if (n < 0) {
        perror(folder);
        exit(EXIT_FAILURE);
    }
    free(files);
}

static void print_bytes(const char *label, const char *bytes, size_t len)
{
    printf("%s", label);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];
        printf(c >= 0x20 && c < 0x7f && c != '\\' ? "%c" : "\\x%02x", c);
    }
    printf("\n");
}

static void print_verdict(const char *who, const verdict *v)
{
    static const char *const kinds[] = { "refused", "incomplete", "complete" };
    printf("  %s: %s %s at %zu, consumed %zu%s\n", who, kinds[v->kind], v->reason ? v->reason : "",
           v->offset, v->consumed, v->switched ? ", switched" : "");
    if (v->kind == VERDICT_COMPLETE)
        print_bytes("    ", v->text, v->text_len);
}

/* Compares request after request, as long as both agree that another one follows. */
static void compare(th_str in)
{
    bool more = true;
    while (more) {
        verdict ours = verdict_ours(in.ptr, in.len);
        verdict theirs = verdict_theirs(in.ptr, in.len);
        bool equal = rules_same(&ours, &theirs);
        int rule = equal ? -1 : rules_explain(in, &ours, &theirs);
        if (equal) {
            same++;
        } else if (rule >= 0) {
            counts[rule]++;
        } else if (unexplained++ < 20) {
            print_bytes("unexplained: ", in.ptr, in.len);
            print_verdict("ours", &ours);
            print_verdict("theirs", &theirs);
        }
        more = equal && ours.kind == VERDICT_COMPLETE && ours.keep_alive && !ours.switched &&
               ours.consumed < in.len;
        if (more)
            in = th_str_make(in.ptr + ours.consumed, in.len - ours.consumed);
        verdict_free(&ours);
        verdict_free(&theirs);
    }
}

static uint64_t seed = 20;

static size_t below(size_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)(seed >> 33) % n;
}

/* One small change to text, which has room for more: a byte set, put in, taken out, or a doubling.
 */
static size_t mutate(char *text, size_t len)
{
    static const char bytes[] = " \t\r\n\0:;,/?#%*@[]\"\\()<>{}aZ09-_.=&+\x80\xff\x7f\x01";
    size_t at = below(len);
    char byte = bytes[below(sizeof bytes - 1)];
    size_t run = below(8);
    switch (below(4)) {
    case 0:
        text[at] = byte;
        return len;
    case 1:
        memmove(text + at + 1, text + at, len - at);
        text[at] = byte;
        return len + 1;
    case 2:
        memmove(text + at, text + at + 1, len - at - 1);
        return len - 1;
    default:
        if (run > len - at)
            return len;
        memmove(text + at + run, text + at, len - at);
        return len + run;
    }
}

static void compare_mutations(const inputs *all, long rounds)
{
    for (long round = 0; round < rounds; round++) {
        char text[INPUT_MAX + 64];
        th_str from = all->items[below(all->count)];
        size_t len = from.len;
        if (len == 0 || len > INPUT_MAX)
            continue;
        memcpy(text, from.ptr, len);
        for (size_t changes = 1 + below(3); changes > 0 && len > 0; changes--)
            len = mutate(text, len);
        text[len] = '\0';
        compare(th_str_make(text, len));
    }
}

int main(int argc, char **argv)
{
    inputs all = { NULL, 0 };
    if (argc < 3) {
        fprintf(stderr, "usage: differential TABLE ROUNDS [CORPUS-FOLDER...]\n");
        return EXIT_FAILURE;
    }
    add_table(&all, argv[1]);
    for (int i = 3; i < argc; i++)
        add_folder(&all, argv[i]);
    for (size_t i = 0; i < all.count; i++)
        compare(all.items[i]);
    compare_mutations(&all, strtol(argv[2], NULL, 10));

    printf("%9ld alike\n", same);
    for (int i = 0; rules_text(i); i++)
        printf("%9ld RFC %s\n", counts[i], rules_text(i));
    printf("%9ld unexplained\n", unexplained);
    for (size_t i = 0; i < all.count; i++)
        free((void *)(uintptr_t)all.items[i].ptr);
    free(all.items);
    return unexplained ? EXIT_FAILURE : EXIT_SUCCESS;
}
