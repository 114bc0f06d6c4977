/* SPDX-License-Identifier: MIT */

/*
 * Calls on files, made by the thread or put into a ring.
 *
 * The fields of a request are reused by each opcode in its own way; io_uring_enter(2) tells which
 * means what. A kernel that lacks an opcode says so when the ring is opened.
 */
#include "sys/filecall.h"

#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>

/* Linux 6.9; the headers may be older than the kernel. */
#define OP_FTRUNCATE 55

/* The kinds that no ring has are 0, the opcode of doing nothing. */
static const uint8_t opcodes[THI_FILE_KINDS] = {
    [THI_FILE_OPEN] = IORING_OP_OPENAT,       [THI_FILE_CLOSE] = IORING_OP_CLOSE,
    [THI_FILE_READ] = IORING_OP_READV,        [THI_FILE_WRITE] = IORING_OP_WRITEV,
    [THI_FILE_SYNC] = IORING_OP_FSYNC,        [THI_FILE_DATASYNC] = IORING_OP_FSYNC,
    [THI_FILE_TRUNCATE] = OP_FTRUNCATE,       [THI_FILE_STAT] = IORING_OP_STATX,
    [THI_FILE_RENAME] = IORING_OP_RENAMEAT,   [THI_FILE_UNLINK] = IORING_OP_UNLINKAT,
    [THI_FILE_MKDIR] = IORING_OP_MKDIRAT,     [THI_FILE_LINK] = IORING_OP_LINKAT,
    [THI_FILE_SYMLINK] = IORING_OP_SYMLINKAT,
};

int64_t thi_filecall_make(const thi_filecall *c)
{
    switch (c->kind) {
    case THI_FILE_OPEN:
        return thi_sys_openat(c->fd, c->path, c->flags, c->mode);
    case THI_FILE_CLOSE:
        return thi_sys_close(c->fd);
    case THI_FILE_READ:
        return thi_sys_preadv2(c->fd, c->iov, c->count, c->at, c->flags);
    case THI_FILE_WRITE:
        return thi_sys_pwritev2(c->fd, c->iov, c->count, c->at, c->flags);
    case THI_FILE_SYNC:
        return thi_sys_fsync(c->fd);
    case THI_FILE_DATASYNC:
        return thi_sys_fdatasync(c->fd);
    case THI_FILE_TRUNCATE:
        return thi_sys_ftruncate(c->fd, c->at);
    case THI_FILE_STAT:
        return thi_sys_statx(c->fd, c->path, c->flags, c->info);
    case THI_FILE_RENAME:
        return thi_sys_renameat(c->fd, c->path, c->other_fd, c->other);
    case THI_FILE_UNLINK:
        return thi_sys_unlinkat(c->fd, c->path, c->flags);
    case THI_FILE_MKDIR:
        return thi_sys_mkdirat(c->fd, c->path, c->mode);
    case THI_FILE_LINK:
        return thi_sys_linkat(c->fd, c->path, c->other_fd, c->other);
    case THI_FILE_SYMLINK:
        return thi_sys_symlinkat(c->path, c->other_fd, c->other);
    case THI_FILE_READLINK:
        return thi_sys_readlinkat(c->fd, c->path, c->buf, c->size);
    case THI_FILE_LIST:
        return thi_sys_getdents(c->fd, c->buf, c->size);
    default:
        return -EINVAL;
    }
}

bool thi_filecall_fits(const thi_filecall *call, const thi_uring *ring)
{
    unsigned opcode = opcodes[call->kind];
    return opcode != IORING_OP_NOP && thi_uring_can(ring, opcode);
}

static uint64_t address(const void *at)
{
    return (uintptr_t)at;
}

/* Opening, looking, and what else is done to a name. */
static void fill_with_name(const thi_filecall *c, struct io_uring_sqe *r)
{
    r->fd = c->fd;
    r->addr = address(c->path);
    switch (c->kind) {
    case THI_FILE_OPEN:
        r->open_flags = (uint32_t)(c->flags | O_CLOEXEC);
        r->len = c->mode;
        break;
    case THI_FILE_STAT:
        r->statx_flags = (uint32_t)c->flags;
        r->len = STATX_BASIC_STATS;
        r->addr2 = address(c->info);
        break;
    case THI_FILE_UNLINK:
        r->unlink_flags = (uint32_t)c->flags;
        break;
    case THI_FILE_MKDIR:
        r->len = c->mode;
        break;
    case THI_FILE_SYMLINK: /* the path is text here */
        r->fd = c->other_fd;
        r->addr2 = address(c->other);
        break;
    default: /* rename, link */
        r->len = (uint32_t)c->other_fd;
        r->addr2 = address(c->other);
    }
}

void thi_filecall_fill(const thi_filecall *c, struct io_uring_sqe *r)
{
    r->opcode = opcodes[c->kind];
    switch (c->kind) {
    case THI_FILE_READ:
    case THI_FILE_WRITE:
        r->fd = c->fd;
        r->off = (uint64_t)c->at;
        r->addr = address(c->iov);
        r->len = (uint32_t)c->count;
        r->rw_flags = (__typeof__(r->rw_flags))c->flags; /* headers differ in the sign */
        break;
    case THI_FILE_DATASYNC:
        r->fsync_flags = IORING_FSYNC_DATASYNC;
        r->fd = c->fd;
        break;
    case THI_FILE_TRUNCATE:
        r->off = (uint64_t)c->at;
        r->fd = c->fd;
        break;
    case THI_FILE_SYNC:
    case THI_FILE_CLOSE:
        r->fd = c->fd;
        break;
    default:
        fill_with_name(c, r);
    }
}
