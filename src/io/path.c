/* SPDX-License-Identifier: MIT */

/* Names of files: each call is one system call, made without holding up a worker. */
#include "io/file.h"

#include "base/error.h"

#include <thrum/path.h>

#include <errno.h>
#include <fcntl.h>

/* The path, and the other one if there is one, are told with a failure. */
static int make(thi_filecall *call)
{
    call->fd = call->other_fd = AT_FDCWD;
    int64_t result = thi_fileway_make(call, NULL);
    if (result >= 0)
        return (int)result;
    if (call->other)
        return thi_err_set((int)result, "%s, %s", call->path, call->other);
    return thi_err_set((int)result, "%s", call->path);
}

static int look(const char *path, int flags, struct stat *st)
{
    struct statx info;
    thi_filecall call = { .kind = THI_FILE_STAT, .path = path, .flags = flags, .info = &info };
    if (!path || !st)
        return thi_err_clear(-EINVAL);
    int err = make(&call);
    if (err == 0)
        thi_file_stat_of(&info, st);
    return err;
}

int th_path_stat(const char *path, struct stat *st)
{
    return look(path, 0, st);
}

int th_path_lstat(const char *path, struct stat *st)
{
    return look(path, AT_SYMLINK_NOFOLLOW, st);
}

static int remove_name(const char *path, int flags)
{
    thi_filecall call = { .kind = THI_FILE_UNLINK, .path = path, .flags = flags };
    return path ? make(&call) : thi_err_clear(-EINVAL);
}

int th_path_unlink(const char *path)
{
    return remove_name(path, 0);
}

int th_path_rmdir(const char *path)
{
    return remove_name(path, AT_REMOVEDIR);
}

int th_path_mkdir(const char *path, mode_t mode)
{
    thi_filecall call = { .kind = THI_FILE_MKDIR, .path = path, .mode = mode };
    return path ? make(&call) : thi_err_clear(-EINVAL);
}

static int make_with_two(uint8_t kind, const char *path, const char *other)
{
    thi_filecall call = { .kind = kind, .path = path, .other = other };
    return path && other ? make(&call) : thi_err_clear(-EINVAL);
}

int th_path_rename(const char *from, const char *to)
{
    return make_with_two(THI_FILE_RENAME, from, to);
}

int th_path_link(const char *path, const char *name)
{
    return make_with_two(THI_FILE_LINK, path, name);
}

int th_path_symlink(const char *target, const char *name)
{
    return make_with_two(THI_FILE_SYMLINK, target, name);
}

/* readlink(2) cuts off without a word what does not fit, so a full buffer is one that is too small.
 */
ssize_t th_path_readlink(const char *path, char *buf, size_t size)
{
    thi_filecall call = { .kind = THI_FILE_READLINK, .path = path, .buf = buf, .size = size };
    if (!path || !buf || size == 0)
        return thi_err_clear(-EINVAL);
    int n = make(&call);
    if (n >= 0 && (size_t)n == size)
        return thi_err_clear(-ERANGE);
    if (n >= 0)
        buf[n] = 0;
    return n;
}
