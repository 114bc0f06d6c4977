/* SPDX-License-Identifier: MIT */

/*
 * Counts the words in all files below a directory, at most 32 files at a time.
 *
 *     count_words DIRECTORY
 *
 * Each file and each directory has a fiber. No worker waits for a disk: while one file is fetched,
 * the words of another are counted.
 */
#include <thrum.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE 8192

static atomic_long words;
static atomic_long files;
static th_sem room = TH_SEM_INIT(32);

static long count_in(const char *bytes, ssize_t n, int *inside)
{
    long count = 0;
    for (ssize_t i = 0; i < n; i++) {
        int is_space = isspace((unsigned char)bytes[i]);
        count += !is_space && !*inside;
        *inside = !is_space;
    }
    return count;
}

static int count_file(const char *path)
{
    static const int flags = O_RDONLY | O_NOFOLLOW;
    char piece[PIECE];
    int inside = 0;
    ssize_t n = 0;
    th_file *file;
    int err = th_file_open(path, flags, 0, &file);
    if (err < 0)
        return err;
    while ((n = th_file_read(file, piece, sizeof piece)) > 0)
        atomic_fetch_add(&words, count_in(piece, n, &inside));
    th_file_free(file);
    atomic_fetch_add(&files, 1);
    return (int)n;
}

/* A fiber's: counts the file whose path it owns. */
static int count_one(void *arg)
{
    int err = th_sem_acquire(&room);
    if (err == 0) {
        err = count_file(arg);
        th_sem_release(&room, 1);
    }
    free(arg);
    return err;
}

/* The same for a directory: a fiber for each entry. */
static int count_below(void *arg)
{
    th_scope scope;
    th_dir *dir;
    th_dir_entry entry;
    int err = th_dir_open(arg, &dir);
    if (err < 0) {
        free(arg);
        return err;
    }
    err = th_scope_open(&scope, NULL);
    while (err >= 0 && (err = th_dir_read(dir, &entry)) > 0) {
        char *path;
        if (entry.kind != TH_DIR_FILE && entry.kind != TH_DIR_DIRECTORY)
            continue;
        if (asprintf(&path, "%s/%s", (const char *)arg, entry.name) < 0) {
            err = -ENOMEM;
            break;
        }
        err = th_spawn(&scope, entry.kind == TH_DIR_FILE ? count_one : count_below, path);
        if (err < 0)
            free(path);
    }
    int closed = th_scope_close(&scope);
    th_dir_free(dir);
    free(arg);
    return err < 0 ? err : closed;
}

static int app(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    int err = count_below(strdup(argv[1]));
    if (err < 0) {
        fprintf(stderr, "%s: %s: %s\n", argv[0], th_strerror(err), th_err_detail());
        return 1;
    }
    printf("%ld words in %ld files\n", atomic_load(&words), atomic_load(&files));
    return 0;
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
