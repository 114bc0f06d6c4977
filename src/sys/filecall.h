/* SPDX-License-Identifier: MIT */

/*
 * A call on a file as data, to be made in one of two ways with the same result: by the calling
 * thread, or by a ring.
 */
#ifndef THI_SYS_FILECALL_H
#define THI_SYS_FILECALL_H

#include "sys/uring.h"

#include <thrum/defs.h>

#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

/* What is done, and the fields beside `kind` that say how. */
enum {
    THI_FILE_OPEN,     /* path in fd; flags, mode */
    THI_FILE_CLOSE,    /* fd */
    THI_FILE_READ,     /* fd, iov, count; at (-1: at the file's position) */
    THI_FILE_WRITE,    /* the same */
    THI_FILE_SYNC,     /* fd */
    THI_FILE_DATASYNC, /* fd */
    THI_FILE_TRUNCATE, /* fd; at: the new size */
    THI_FILE_STAT,     /* path in fd; flags AT_*, info */
    THI_FILE_RENAME,   /* path in fd; other path in other_fd */
    THI_FILE_UNLINK,   /* path in fd; flags AT_REMOVEDIR */
    THI_FILE_MKDIR,    /* path in fd; mode */
    THI_FILE_LINK,     /* path in fd; other path in other_fd */
    THI_FILE_SYMLINK,  /* path: what it says; other path in other_fd */
    THI_FILE_READLINK, /* path in fd; buf, size */
    THI_FILE_LIST,     /* fd, buf, size: records of getdents64(2) */
    THI_FILE_KINDS
};

/* What it refers to is borrowed until it is done. */
typedef struct thi_filecall {
    uint8_t kind;
    int fd; /* or the directory that a path starts in, or AT_FDCWD */
    int other_fd;
    int flags;
    mode_t mode;
    int count;
    int64_t at;
    size_t size;
    const char *path;
    const char *other;
    const struct iovec *iov;
    void *buf;
    struct statx *info;
} thi_filecall;

/* Makes it here and now: what the system call returns, or -errno. */
int64_t thi_filecall_make(const thi_filecall *call);

/* Whether the ring can make such a call. */
bool thi_filecall_fits(const thi_filecall *call, const thi_uring *ring);

/* Puts it into a request of a ring that can; user_data is the caller's. */
void thi_filecall_fill(const thi_filecall *call, struct io_uring_sqe *request);

#endif
