/* SPDX-License-Identifier: MIT */

/*
 * Small files that are read as a whole, and again when they have changed.
 *
 * The stamp has the time of the last status change, which nobody can set back, so that a file is
 * told from one of the same size that was written within the same second.
 */
#include "tls/whole.h"

#include "base/alloc.h"
#include "base/error.h"
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

static int read_all(int fd, const char *path, thi_whole *whole, size_t room)
{
    while (whole->size < room) {
        struct iovec piece = { whole->data + whole->size, room - whole->size };
        ssize_t n = thi_sys_preadv2(fd, &piece, 1, (int64_t)whole->size, 0);
        if (n < 0)
            return thi_err_set((int)n, "%s", path);
        if (n == 0)
            break;
        whole->size += (size_t)n;
    }
    whole->data[whole->size] = '\0';
    return 0;
}

static int check(const char *path, const struct stat *st, size_t limit, mode_t forbidden)
{
    if (!S_ISREG(st->st_mode))
        return thi_err_set(S_ISDIR(st->st_mode) ? -EISDIR : -EINVAL, "%s: not a regular file",
                           path);
    if ((st->st_mode & forbidden) != 0)
        return thi_err_set(-EACCES, "%s: others may use it (mode %04o): chmod %04o", path,
                           (unsigned)st->st_mode & 07777U,
                           (unsigned)(st->st_mode & 07777 & ~forbidden));
    if (st->st_size > 0 && (size_t)st->st_size > limit)
        return thi_err_set(TH_ELIMIT, "%s: more than %zu bytes", path, limit);
    return 0;
}

/* A file that grows while it is read is cut; its stamp then tells that it has changed. */
static int read_open(int fd, const char *path, size_t limit, mode_t forbidden, thi_whole *whole)
{
    struct stat st;
    int err = thi_sys_fstat(fd, &st);
    if (err < 0)
        return thi_err_set(err, "%s", path);
    err = check(path, &st, limit, forbidden);
    if (err < 0)
        return err;
    size_t room = (size_t)st.st_size;
    thi_whole read = { .data = thi_alloc(room + 1), .stamp = stamp_of(&st) };
    if (!read.data)
        return thi_err_clear(-ENOMEM);
    err = read_all(fd, path, &read, room);
    if (err < 0)
        thi_whole_free(&read);
    else
        *whole = read;
    return err;
}

int thi_whole_read(const char *path, size_t limit, mode_t forbidden, thi_whole *whole)
{
    int fd = thi_sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
    if (fd < 0)
        return thi_err_set(fd, "%s", path);
    int err = read_open(fd, path, limit, forbidden, whole);
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
