/* SPDX-License-Identifier: MIT */

/*
 * Files: descriptors that are used without holding up a worker.
 *
 * A descriptor must not be closed while a call on it is under way on another thread: its number
 * might by then be that of another file. So calls are counted, and who leaves a closed file last,
 * a call or th_file_close() itself, closes the descriptor.
 */
#include "io/file.h"

#include "base/alloc.h"
#include "base/error.h"
#include "io/pieces.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/sysmacros.h>

/* ---- opening and closing ---- */

int thi_file_enter(th_file *file)
{
    if (!file)
        return -EINVAL;
    unsigned calls = atomic_load_explicit(&file->calls, memory_order_relaxed);
    do
        if (calls & THI_FILE_CLOSED)
            return -EBADF;
    while (!atomic_compare_exchange_weak_explicit(&file->calls, &calls, calls + 1,
                                                  memory_order_acq_rel, memory_order_relaxed));
    return 0;
}

static int64_t close_descriptor(th_file *file)
{
    return thi_fileway_make_shielded(&(thi_filecall){ .kind = THI_FILE_CLOSE, .fd = file->fd });
}

void thi_file_leave(th_file *file)
{
    if (atomic_fetch_sub_explicit(&file->calls, 1, memory_order_acq_rel) == (THI_FILE_CLOSED | 1))
        (void)close_descriptor(file);
}

int64_t thi_file_make(th_file *file, thi_filecall *call)
{
    int64_t result = thi_file_enter(file);
    if (result < 0)
        return result;
    call->fd = file->fd;
    result = thi_fileway_make(call, &file->facts);
    thi_file_leave(file);
    return result;
}

static th_file *new_file(int fd)
{
    th_file *made = thi_alloc(sizeof *made);
    if (made)
        *made = (th_file){ .fd = fd };
    return made;
}

int th_file_adopt(int fd, th_file **file)
{
    if (fd < 0 || !file)
        return thi_err_clear(-EINVAL);
    th_file *made = new_file(fd);
    if (!made)
        return thi_err_clear(-ENOMEM);
    *file = made;
    return 0;
}

/* Opens below a directory, AT_FDCWD or a descriptor. */
static int open_in(int dir, const char *path, int flags, mode_t mode, th_file **file)
{
    static thi_filefacts facts; /* of openings, wherever they lead */
    thi_filecall call = { .kind = THI_FILE_OPEN,
                          .fd = dir,
                          .path = path,
                          .flags = flags | THI_FILE_FLAGS,
                          .mode = mode };
    th_file *made = new_file(-1); /* first: what is opened is not to be closed again */
    if (!made)
        return thi_err_clear(-ENOMEM);
    int64_t fd = thi_fileway_make(&call, &facts);
    if (fd < 0) {
        thi_free(made);
        return thi_err_set((int)fd, "%s", path);
    }
    made->fd = (int)fd;
    *file = made;
    return 0;
}

int th_file_open(const char *path, int flags, mode_t mode, th_file **file)
{
    return th_file_open_in(NULL, path, flags, mode, file);
}

int th_file_open_in(th_file *dir, const char *path, int flags, mode_t mode, th_file **file)
{
    if (!path || !file)
        return thi_err_clear(-EINVAL);
    int err = dir ? thi_file_enter(dir) : 0;
    if (err < 0)
        return thi_err_clear(err);
    err = open_in(dir ? dir->fd : AT_FDCWD, path, flags, mode, file);
    if (dir)
        thi_file_leave(dir);
    return err;
}

int th_file_fd(const th_file *file)
{
    if (!file)
        return thi_err_clear(-EINVAL);
    bool closed = atomic_load_explicit(&file->calls, memory_order_relaxed) & THI_FILE_CLOSED;
    return closed ? thi_err_clear(-EBADF) : file->fd;
}

int th_file_close(th_file *file)
{
    if (!file)
        return thi_err_clear(-EINVAL);
    unsigned calls = atomic_fetch_or_explicit(&file->calls, THI_FILE_CLOSED, memory_order_acq_rel);
    if (calls & THI_FILE_CLOSED)
        return thi_err_clear(-EBADF);
    return calls == 0 ? (int)thi_err_plain(close_descriptor(file)) : 0;
}

void th_file_free(th_file *file)
{
    if (!file)
        return;
    if (!(atomic_load_explicit(&file->calls, memory_order_acquire) & THI_FILE_CLOSED))
        (void)th_file_close(file);
    thi_free(file);
}

/* ---- reading and writing ---- */

/* A step of no bytes by which something was to be written would be repeated for ever. */
static int64_t step(th_file *file, uint8_t kind, const struct iovec *iov, int count, int64_t at)
{
    thi_filecall call = { .kind = kind, .iov = iov, .count = count, .at = at };
    int64_t n = thi_file_make(file, &call);
    return n == 0 && kind == THI_FILE_WRITE ? -EIO : n;
}

/* Tells how far a transfer came that failed. What would have to wait is no failure then. */
static ssize_t stopped_after(uint8_t kind, size_t done, int64_t err)
{
    if (done == 0)
        return thi_err_clear((int)err);
    if (err == -EAGAIN)
        return (ssize_t)done;
    return thi_err_set((int)err, "%zu bytes were %s before", done,
                       kind == THI_FILE_READ ? "read" : "written");
}

/* All that was asked for, or up to the end of the file. */
static ssize_t transfer(th_file *file, uint8_t kind, const struct iovec *iov, int count, int64_t at)
{
    thi_pieces pieces = { .iov = iov, .count = count };
    struct iovec left[THI_PIECES];
    size_t done = 0;
    int n;
    while ((n = thi_pieces_left(&pieces, left)) > 0) {
        int64_t moved = step(file, kind, left, n, at < 0 ? -1 : at + (int64_t)done);
        if (moved < 0)
            return stopped_after(kind, done, moved);
        if (moved == 0)
            break;
        done += (size_t)moved;
        pieces.skip += (size_t)moved;
    }
    return (ssize_t)done;
}

/* Nothing to do is no reason not to say what is wrong with the file. */
static ssize_t transfer_checked(th_file *file, uint8_t kind, const struct iovec *iov, int count,
                                int64_t at)
{
    if (!file || !iov || count < 1 || at < -1)
        return thi_err_clear(-EINVAL);
    ssize_t size = thi_pieces_size(iov, count);
    if (size < 0 || (at > 0 && size > INT64_MAX - at))
        return thi_err_clear(-EINVAL);
    if (size == 0) {
        int fd = th_file_fd(file);
        return fd < 0 ? fd : 0;
    }
    return transfer(file, kind, iov, count, at);
}

/* The same with a single piece. */
static ssize_t transfer_one(th_file *file, uint8_t kind, const void *buf, size_t size, int64_t at)
{
    struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = size };
    if (!buf && size > 0)
        return thi_err_clear(-EINVAL);
    return transfer_checked(file, kind, &iov, 1, at);
}

ssize_t th_file_read(th_file *file, void *buf, size_t size)
{
    return transfer_one(file, THI_FILE_READ, buf, size, -1);
}

ssize_t th_file_write(th_file *file, const void *buf, size_t size)
{
    return transfer_one(file, THI_FILE_WRITE, buf, size, -1);
}

ssize_t th_file_pread(th_file *file, void *buf, size_t size, int64_t offset)
{
    return offset < 0 ? thi_err_clear(-EINVAL)
                      : transfer_one(file, THI_FILE_READ, buf, size, offset);
}

ssize_t th_file_pwrite(th_file *file, const void *buf, size_t size, int64_t offset)
{
    return offset < 0 ? thi_err_clear(-EINVAL)
                      : transfer_one(file, THI_FILE_WRITE, buf, size, offset);
}

ssize_t th_file_readv(th_file *file, const struct iovec *iov, int count, int64_t offset)
{
    return transfer_checked(file, THI_FILE_READ, iov, count, offset);
}

ssize_t th_file_writev(th_file *file, const struct iovec *iov, int count, int64_t offset)
{
    return transfer_checked(file, THI_FILE_WRITE, iov, count, offset);
}

/* ---- the rest ---- */

static struct timespec time_of(struct statx_timestamp t)
{
    return (struct timespec){ .tv_sec = t.tv_sec, .tv_nsec = t.tv_nsec };
}

void thi_file_stat_of(const struct statx *info, struct stat *st)
{
    *st = (struct stat){
        .st_dev = makedev(info->stx_dev_major, info->stx_dev_minor),
        .st_ino = info->stx_ino,
        .st_mode = info->stx_mode,
        .st_nlink = info->stx_nlink,
        .st_uid = info->stx_uid,
        .st_gid = info->stx_gid,
        .st_rdev = makedev(info->stx_rdev_major, info->stx_rdev_minor),
        .st_size = (off_t)info->stx_size,
        .st_blksize = (blksize_t)info->stx_blksize,
        .st_blocks = (blkcnt_t)info->stx_blocks,
        .st_atim = time_of(info->stx_atime),
        .st_mtim = time_of(info->stx_mtime),
        .st_ctim = time_of(info->stx_ctime),
    };
}

int th_file_stat(th_file *file, struct stat *st)
{
    struct statx info;
    thi_filecall call = {
        .kind = THI_FILE_STAT, .path = "", .flags = AT_EMPTY_PATH, .info = &info
    };
    if (!st)
        return thi_err_clear(-EINVAL);
    int err = (int)thi_file_make(file, &call);
    if (err == 0)
        thi_file_stat_of(&info, st);
    return (int)thi_err_plain(err);
}

int th_file_sync(th_file *file)
{
    return (int)thi_err_plain(thi_file_make(file, &(thi_filecall){ .kind = THI_FILE_SYNC }));
}

int th_file_datasync(th_file *file)
{
    return (int)thi_err_plain(thi_file_make(file, &(thi_filecall){ .kind = THI_FILE_DATASYNC }));
}

int th_file_truncate(th_file *file, int64_t size)
{
    if (size < 0)
        return thi_err_clear(-EINVAL);
    thi_filecall call = { .kind = THI_FILE_TRUNCATE, .at = size };
    return (int)thi_err_plain(thi_file_make(file, &call));
}
