/* SPDX-License-Identifier: MIT */

/*
 * Whole files: reading one into an arena, and replacing one.
 *
 * Replacing is a single piece of work on a thread of the pool, for it must not end half-way when
 * its caller is cancelled: a new file with all the bytes, on the disk; then the name; then the
 * directory on the disk, which holds the name.
 */
#include "io/file.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* ---- reading ---- */

#define FIRST_GUESS ((size_t)4096)

/* The room to begin with: for all that there seems to be, and the byte that tells that it is all.
 */
static int guess(th_file *file, size_t limit, size_t *room)
{
    struct stat st;
    int err = th_file_stat(file, &st);
    if (err < 0)
        return err;
    size_t size = st.st_size > 0 ? (size_t)st.st_size : FIRST_GUESS;
    *room = thi_min(size, limit) + 1;
    return 0;
}

/* Moves what has been read to more room; NULL when there is none. An arena gives nothing back, so
 * it is wiped there: who reads a secret can wipe only what he gets. */
static char *move_on(th_arena *arena, size_t room, th_str *content)
{
    char *more = room < SIZE_MAX ? th_arena_alloc(arena, room + 1) : NULL;
    if (more && content->ptr) {
        memcpy(more, content->ptr, content->len);
        explicit_bzero((char *)(uintptr_t)content->ptr, content->len);
    }
    if (more)
        content->ptr = more;
    return more;
}

/* Reads on until there is no more, or one byte beyond the limit. */
static int read_rest(th_file *file, size_t limit, th_arena *arena, size_t room, th_str *content)
{
    for (;;) {
        char *buf = move_on(arena, room, content);
        if (!buf)
            return thi_err_clear(-ENOMEM);
        ssize_t n = th_file_read(file, buf + content->len, room - content->len);
        if (n < 0)
            return (int)n;
        content->len += (size_t)n;
        if (content->len > limit)
            return thi_err_set(TH_ELIMIT, "more than %zu bytes", limit);
        if (content->len < room) {
            buf[content->len] = 0;
            return 0;
        }
        room = room > limit / 2 ? limit + 1 : 2 * room;
    }
}

int th_file_load(const char *path, size_t limit, th_arena *arena, th_str *content)
{
    th_file *file;
    th_str read = { NULL, 0 };
    size_t room;
    if (!arena || !content)
        return thi_err_clear(-EINVAL);
    limit = thi_min(limit, (size_t)SSIZE_MAX - 1);
    int err = th_file_open(path, O_RDONLY, 0, &file);
    if (err < 0)
        return err;
    err = guess(file, limit, &room);
    if (err == 0)
        err = read_rest(file, limit, arena, room, &read);
    th_file_free(file);
    if (err == 0)
        *content = read;
    else if (read.len > 0)
        explicit_bzero((char *)(uintptr_t)read.ptr, read.len);
    return err;
}

/* ---- replacing ---- */

#define NAMES_MAX 8 /* that are tried before it is believed that none is free */

typedef struct save {
    const char *path;
    const char *name; /* the part of it behind the last slash */
    const char *data;
    size_t size;
    mode_t mode;
    int dir;            /* in which the name is */
    char temporary[32]; /* the name at first */
} save;

static int open_folder(save *s)
{
    const int flags = O_RDONLY | O_DIRECTORY | THI_FILE_FLAGS;
    const char *slash = strrchr(s->path, '/');
    s->name = slash ? slash + 1 : s->path;
    if (!*s->name)
        return -EISDIR;
    if (!slash)
        return thi_sys_openat(AT_FDCWD, ".", flags, 0);
    char *folder = thi_strdup_n(s->path, (size_t)(slash - s->path) + 1);
    if (!folder)
        return -ENOMEM;
    int fd = thi_sys_openat(AT_FDCWD, folder, flags, 0);
    thi_free(folder);
    return fd;
}

/* Makes a file under a name that nobody has. */
static int make_temporary(save *s)
{
    int fd = -EEXIST;
    for (int i = 0; fd == -EEXIST && i < NAMES_MAX; i++) {
        uint64_t number = 0;
        int err = thi_sys_random(&number, sizeof number);
        if (err < 0)
            return err;
        (void)snprintf(s->temporary, sizeof s->temporary, ".thrum-%016" PRIx64, number);
        fd =
            thi_sys_openat(s->dir, s->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, s->mode);
    }
    return fd;
}

static int write_all(const save *s, int fd)
{
    size_t done = 0;
    while (done < s->size) {
        struct iovec piece = { (char *)(uintptr_t)s->data + done, s->size - done };
        ssize_t n = thi_sys_pwritev2(fd, &piece, 1, (int64_t)done, 0);
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        done += (size_t)n;
    }
    return 0;
}

/* Errors of close(2) count: some file systems tell only then that there was no room. */
static int fill_temporary(save *s)
{
    int fd = make_temporary(s);
    if (fd < 0)
        return fd;
    int err = write_all(s, fd);
    if (err == 0)
        err = thi_sys_fsync(fd);
    int closed = thi_sys_close(fd);
    if (err == 0)
        err = closed;
    if (err == 0)
        err = thi_sys_renameat(s->dir, s->temporary, s->dir, s->name);
    if (err < 0)
        (void)thi_sys_unlinkat(s->dir, s->temporary, 0);
    return err;
}

/* Some file systems cannot sync a directory, and say EINVAL. */
static int save_whole(void *arg)
{
    save *s = arg;
    s->dir = open_folder(s);
    if (s->dir < 0)
        return s->dir;
    int err = fill_temporary(s);
    if (err == 0) {
        err = thi_sys_fsync(s->dir);
        err = err == -EINVAL ? 0 : err;
    }
    (void)thi_sys_close(s->dir);
    return err;
}

int th_file_save(const char *path, const void *data, size_t size, mode_t mode)
{
    save s = { .path = path, .data = data, .size = size, .mode = mode };
    if (!path || (!data && size > 0))
        return thi_err_clear(-EINVAL);
    int err = thi_fileway_run(save_whole, &s);
    return err < 0 ? thi_err_set(err, "%s", path) : 0;
}
