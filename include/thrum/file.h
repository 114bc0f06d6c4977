/* SPDX-License-Identifier: MIT */

/*
 * Files. No call holds up a worker: the calling fiber waits, the others go on; a plain thread
 * blocks.
 *
 * What is in memory already is done at once. All else goes to io_uring, where that is the back end,
 * or to a thread of the pool "files". Results are the same either way.
 *
 * Reads and writes are whole: they do all that was asked for, or fail, and then th_err_detail()
 * says how far they came; a read gives less only at the end of the file. Any fiber of any worker,
 * and any thread, may use a file, several at once.
 *
 * All calls obey the scope of their fiber by one rule:
 *
 * - The scope is asked first: when it is cancelled or past its deadline, -ECANCELED or -ETIMEDOUT,
 *   and nothing is done.
 * - A call that waits for its turn is taken back when the scope ends, and nothing was done.
 * - A call that is under way is not abandoned: the kernel is asked to end it where it can be, its
 *   end is awaited, and what it has done is the result. The next call tells of the scope. So no
 *   byte is written, to memory or to the file, after a call has returned. A disk or a file server
 *   that does not answer holds up the fiber that long, but nobody else.
 *
 * What waits for somebody at the other end, a FIFO or a terminal, is not a file in this sense: such
 * calls give -EAGAIN instead of waiting.
 *
 * <thrum/path.h> has what is done to names: rename, remove, list. <thrum/watch.h> tells changes.
 */
#ifndef THRUM_FILE_H
#define THRUM_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <thrum/defs.h>
#include <thrum/mem.h>
#include <thrum/str.h>

TH_BEGIN_DECLS

typedef struct th_file th_file;

/**
 * Opens a file.
 *
 * @param path   its name
 * @param flags  of open(2): O_RDONLY, O_WRONLY or O_RDWR, with O_CREAT, O_EXCL, O_TRUNC, O_APPEND,
 *               O_DIRECTORY, O_NOFOLLOW and so on; O_CLOEXEC, O_NOCTTY and O_NONBLOCK are added
 * @param mode   of a file that is made, before the process' umask; else without meaning
 * @param file   out: the file, to be freed with th_file_free()
 * @return 0; -EINVAL for NULL; -ENOMEM; -ECANCELED, -ETIMEDOUT: the caller's scope; -EPERM for a
 *         worker's loop; -errno of open(2), with the path as detail
 *
 * Suspends: yes, unless names on the way are in memory and nothing is made
 * Thread: any
 * On cancel: nothing opened; a file that was to be made may be there
 * Since: 0.1
 */
TH_API TH_MUST int th_file_open(const char *path, int flags, mode_t mode, th_file **file);

/**
 * Opens a file whose name is relative to a directory.
 *
 * @param dir    a directory, opened with O_DIRECTORY or O_PATH; NULL: the working directory
 * @param path   its name; an absolute one does not depend on dir
 * @param flags  as th_file_open()
 * @param mode   as th_file_open()
 * @param file   out: the file
 * @return 0; -EBADF when dir is closed; else as th_file_open()
 *
 * Suspends: yes, unless names on the way are in memory and nothing is made
 * Thread: any
 * On cancel: nothing opened; a file that was to be made may be there
 * Since: 0.1
 */
TH_API TH_MUST int th_file_open_in(th_file *dir, const char *path, int flags, mode_t mode,
                                   th_file **file);

/**
 * Makes a file of a descriptor.
 *
 * @param fd    open, of a file, a directory or a device that does not wait; taken over on success
 * @param file  out: the file
 * @return 0; -EINVAL for a negative fd or NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_file_adopt(int fd, th_file **file);

/**
 * Tells the descriptor, for calls that take one, such as th_stream_sendfile().
 *
 * @param file  the file
 * @return the descriptor, which stays the file's; -EBADF when it is closed; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_file_fd(const th_file *file);

/**
 * Closes a file.
 *
 * Later calls return -EBADF; those under way go on, and the descriptor is closed when the last of
 * them has ended.
 *
 * @param file  the file
 * @return 0; -EBADF when it is closed already; -EINVAL for NULL; -errno of close(2): it is closed
 *         even so, but what was written may be lost; th_file_sync() is the way to be sure
 *
 * Suspends: yes
 * Thread: any
 * On cancel: closes all the same
 * Since: 0.1
 */
TH_API int th_file_close(th_file *file);

/**
 * Closes a file if it is open and frees it. No call on it may be under way.
 *
 * @param file  the file; NULL is allowed and does nothing
 *
 * Suspends: yes, if it is open
 * Thread: any
 * On cancel: frees all the same
 * Since: 0.1
 */
TH_API void th_file_free(th_file *file);

/**
 * Reads at the file's position, which moves on.
 *
 * @param file  the file
 * @param buf   out: the bytes
 * @param size  how many bytes
 * @return the number of bytes, less than size only where the file ends; 0 at its end; -EINVAL for
 *         NULL; -EBADF when it is closed or not open for reading; -EISDIR; -ECANCELED, -ETIMEDOUT:
 *         the caller's scope; -EPERM for a worker's loop; -errno of read(2)
 *
 * Suspends: yes, unless the bytes are in memory
 * Thread: any; of two at once, it is open who gets what
 * On cancel: after some of the bytes the detail tells how many; the position has moved by so many
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_file_read(th_file *file, void *buf, size_t size);

/**
 * Writes all bytes at the file's position, which moves on.
 *
 * @param file  the file
 * @param buf   the bytes; borrowed during the call
 * @param size  how many bytes
 * @return size; -ENOSPC, -EDQUOT, -EFBIG, -EIO and so on of write(2), and then the detail tells how
 *         many bytes were written before; else as th_file_read()
 *
 * Suspends: yes
 * Thread: any
 * On cancel: some of the bytes may have been written; the detail tells how many
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_file_write(th_file *file, const void *buf, size_t size);

/**
 * Reads at an offset; the file's position is neither used nor moved.
 *
 * @param file    the file
 * @param buf     out: the bytes
 * @param size    how many bytes
 * @param offset  where to start, bytes
 * @return as th_file_read(); -EINVAL for a negative offset; -ESPIPE for what has no offsets
 *
 * Suspends: yes, unless the bytes are in memory
 * Thread: any
 * On cancel: nothing, or some of the bytes in buf; the detail tells how many
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_file_pread(th_file *file, void *buf, size_t size, int64_t offset);

/**
 * Writes all bytes at an offset; the file's position is neither used nor moved.
 *
 * @param file    the file; not with O_APPEND, which sends all to the end
 * @param buf     the bytes; borrowed during the call
 * @param size    how many bytes
 * @param offset  where to start, bytes; a gap before it reads as zeros
 * @return as th_file_write(); -EINVAL for a negative offset; -ESPIPE for what has no offsets
 *
 * Suspends: yes
 * Thread: any
 * On cancel: some of the bytes may have been written; the detail tells how many
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_file_pwrite(th_file *file, const void *buf, size_t size, int64_t offset);

/**
 * Reads into several pieces, at the file's position or at an offset.
 *
 * @param file    the file
 * @param iov     the pieces, filled in order; borrowed during the call
 * @param count   how many, at least 1, any number
 * @param offset  where to start, bytes; -1: at the file's position
 * @return as th_file_pread(); -EINVAL for count < 1 or a sum beyond SSIZE_MAX
 *
 * Suspends: yes, unless the bytes are in memory
 * Thread: any
 * On cancel: nothing, or some of the bytes in the pieces; the detail tells how many
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_file_readv(th_file *file, const struct iovec *iov, int count,
                                     int64_t offset);

/**
 * Writes all bytes of several pieces, at the file's position or at an offset.
 *
 * @param file    the file
 * @param iov     the pieces, taken in order; borrowed during the call
 * @param count   how many, at least 1, any number
 * @param offset  where to start, bytes; -1: at the file's position
 * @return as th_file_pwrite(); -EINVAL for count < 1 or a sum beyond SSIZE_MAX
 *
 * Suspends: yes
 * Thread: any
 * On cancel: some of the bytes may have been written; the detail tells how many
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_file_writev(th_file *file, const struct iovec *iov, int count,
                                      int64_t offset);

/**
 * Tells what is known about a file.
 *
 * @param file  the file
 * @param st    out: as fstat(2)
 * @return 0; -EINVAL for NULL; -EBADF when it is closed; -ECANCELED, -ETIMEDOUT: the caller's
 *         scope; -EPERM for a worker's loop; -errno of fstat(2)
 *
 * Suspends: yes
 * Thread: any
 * On cancel: nothing done
 * Since: 0.1
 */
TH_API TH_MUST int th_file_stat(th_file *file, struct stat *st);

/**
 * Waits until all that was written to a file, and what is known about it, is on the disk.
 *
 * A file that was just made is found again after a crash only if its directory is synced, too: open
 * that with O_DIRECTORY.
 *
 * @param file  the file
 * @return 0; -EIO when something could not be written, perhaps by an earlier call; -ENOSPC,
 *         -EDQUOT; -EINVAL for NULL and for what cannot be synced; else as th_file_stat()
 *
 * Suspends: yes
 * Thread: any
 * On cancel: nobody knows what is on the disk
 * Since: 0.1
 */
TH_API TH_MUST int th_file_sync(th_file *file);

/**
 * The same, but of what is known only the size, not the times.
 *
 * @param file  the file
 * @return as th_file_sync()
 *
 * Suspends: yes
 * Thread: any
 * On cancel: nobody knows what is on the disk
 * Since: 0.1
 */
TH_API TH_MUST int th_file_datasync(th_file *file);

/**
 * Makes a file shorter or longer. What is added reads as zeros.
 *
 * @param file  the file, open for writing
 * @param size  the new size, bytes
 * @return 0; -EINVAL for NULL, a negative size, and for what has no size; -EFBIG; else as
 *         th_file_stat()
 *
 * Suspends: yes
 * Thread: any
 * On cancel: nothing done
 * Since: 0.1
 */
TH_API TH_MUST int th_file_truncate(th_file *file, int64_t size);

/**
 * Reads a whole file.
 *
 * @param path     its name
 * @param limit    the most bytes it may have; SIZE_MAX: what memory holds
 * @param arena    where the content is put, with a NUL behind it
 * @param content  out: a view of it in the arena
 * @return 0; TH_ELIMIT when there is more, with a detail; -EISDIR; -ENOMEM, also when the arena has
 *         no room; else as th_file_open() and th_file_read(). A failure may have used room in the
 *         arena.
 *
 * Suspends: yes, unless the file is in memory
 * Thread: any
 * On cancel: nothing read
 * Since: 0.1
 */
TH_API TH_MUST int th_file_load(const char *path, size_t limit, th_arena *arena, th_str *content);

/**
 * Replaces a whole file by a new one.
 *
 * There is always either the former file or the new one under its name, also after a crash of the
 * machine. The bytes go to a new file in the same directory, `.thrum-` and sixteen digits, which is
 * synced, renamed, and its directory is synced. So a link under the name is replaced, not followed,
 * and owner and permissions are those of a new file.
 *
 * @param path  its name
 * @param data  the bytes; borrowed during the call
 * @param size  how many bytes
 * @param mode  permissions, before the process' umask
 * @return 0; -EINVAL for NULL; -ECANCELED, -ETIMEDOUT: the caller's scope, before anything was
 *         done; -EPERM for a worker's loop; -errno of whatever failed, with the path as detail: the
 *         former file is still there, unless only the directory could not be synced
 *
 * Suspends: yes
 * Thread: any
 * On cancel: nothing done, or all of it
 * Since: 0.1
 */
TH_API TH_MUST int th_file_save(const char *path, const void *data, size_t size, mode_t mode);

TH_END_DECLS

#endif
