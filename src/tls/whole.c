/* SPDX-License-Identifier: MIT */

/*
 * Files that are read as a whole, and again when they have changed.
 *
 * The stamp has the time of the last status change, which nobody can set back, so that a file is
 * told from one of the same size that was written within the same second. It is
 * taken before the reading: a file that changes meanwhile is read again at the next look.
 */
#include "tls/whole.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>

static thi_stamp stamp_of(const struct stat *st)
{
    return (thi_stamp){ .device = (uint64_t)st->st_dev,
                        .inode = (uint64_t)st->st_ino,
                        .size = (int64_t)st->st_size,
                        .changed_s = (int64_t)st->st_ctim.tv_sec,
                        .changed_ns = (int64_t)st->st_ctim.tv_nsec };
}

static bool stamps_equal(const thi_stamp *a, const thi_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed_s == b->changed_s && a->changed_ns == b->changed_ns;
}

bool thi_whole_changed(const char *path, const thi_stamp *stamp)
{
    struct stat st;
    if (thi_sys_fstatat(AT_FDCWD, path, &st, 0) < 0)
        return false;
    thi_stamp now = stamp_of(&st);
    return !stamps_equal(&now, stamp);
}

/* ---- reading ---- */

#define STEP ((size_t)16 * 1024) /* where a file does not say how long it is */

static int fail(int err, const char *path)
{
    return thi_err_set(err, "%s: %s", path, th_strerror(err));
}

/* Room for `room` bytes and a NUL; the former bytes are wiped, which realloc() would not do. False
 * without memory. */
static bool grow(thi_whole *whole, size_t room)
{
    thi_whole larger = { .data = thi_alloc(room + 1), .size = whole->size, .stamp = whole->stamp };
    if (!larger.data)
        return false;
    if (whole->size > 0)
        memcpy(larger.data, whole->data, whole->size);
    thi_whole_free(whole);
    *whole = larger;
    return true;
}

/* To the end, or to one byte beyond the limit. */
static int read_all(int fd, const char *path, size_t limit, size_t room, thi_whole *whole)
{
    while (grow(whole, room)) {
        ssize_t n = 1;
        while (n > 0 && whole->size < room) {
            n = thi_sys_read(fd, whole->data + whole->size, room - whole->size);
            whole->size += n > 0 ? (size_t)n : 0;
        }
        whole->data[whole->size] = '\0';
        if (n < 0)
            return fail((int)n, path);
        if (whole->size > limit)
            return thi_err_set(TH_ELIMIT, "%s: more than %zu bytes", path, limit);
        if (n == 0)
            return 0;
        room = room > limit / 2 ? limit + 1 : 2 * room;
    }
    return thi_err_clear(-ENOMEM);
}

static int read_open(int fd, const char *path, size_t limit, const struct stat *st,
                     thi_whole *whole)
{
    thi_whole read = { .stamp = stamp_of(st) };
    size_t size = st->st_size > 0 ? (size_t)st->st_size : STEP;
    /* A byte more than there seems to be tells that it is all. */
    int err = read_all(fd, path, limit, thi_min(size, limit) + 1, &read);
    if (err < 0)
        thi_whole_free(&read);
    else
        *whole = read;
    return err;
}

static int check(const char *path, const struct stat *st, mode_t forbidden)
{
    if (!S_ISREG(st->st_mode))
        return thi_err_set(S_ISDIR(st->st_mode) ? -EISDIR : -EINVAL, "%s: not a regular file",
                           path);
    if ((st->st_mode & forbidden) != 0)
        return thi_err_set(-EACCES, "%s: others may use it (mode %04o): chmod %04o", path,
                           (unsigned)st->st_mode & 07777U,
                           (unsigned)(st->st_mode & 07777 & ~forbidden));
    return 0;
}

/* One that is not regular must not hold up whoever opens it before that is found out. */
int thi_whole_read(const char *path, size_t limit, mode_t forbidden, thi_whole *whole)
{
    struct stat st;
    int fd = thi_sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
    if (fd < 0)
        return fail(fd, path);
    int err = thi_sys_fstat(fd, &st);
    err = err < 0 ? fail(err, path) : check(path, &st, forbidden);
    if (err == 0)
        err = read_open(fd, path, limit, &st, whole);
    (void)thi_sys_close(fd);
    return err;
}

int thi_whole_read_any(const char *path, size_t limit, thi_whole *whole)
{
    struct stat st;
    int fd = thi_sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0);
    if (fd < 0)
        return fail(fd, path);
    int err = thi_sys_fstat(fd, &st);
    err = err < 0 ? fail(err, path) : read_open(fd, path, limit, &st, whole);
    (void)thi_sys_close(fd);
    return err;
}

void thi_whole_free(thi_whole *whole)
{
    if (whole->data)
        OPENSSL_cleanse(whole->data, whole->size);
    thi_free(whole->data);
    *whole = (thi_whole){ .data = NULL };
}
