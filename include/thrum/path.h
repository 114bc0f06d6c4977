/* SPDX-License-Identifier: MIT */

/*
 * What is done to names of files, and listing directories. Like <thrum/file.h>, whose rules hold
 * here too, no call holds up a worker.
 *
 * A call that is under way when its scope ends is not abandoned: its end is awaited, and its result
 * is told. -ECANCELED and -ETIMEDOUT therefore mean that nothing was done.
 */
#ifndef THRUM_PATH_H
#define THRUM_PATH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <thrum/defs.h>

TH_BEGIN_DECLS

/**
 * Tells what is known about what has a name; a link is followed.
 *
 * @param path  the name
 * @param st    out: as stat(2)
 * @return 0; -EINVAL for NULL; -ECANCELED, -ETIMEDOUT: the caller's scope; -EPERM for a worker's
 *         loop, too; -errno of stat(2), with the path as detail
 *
 * Suspends: yes
 * Thread: any
 * On cancel: nothing done
 * Since: 0.1
 */
TH_API TH_MUST int th_path_stat(const char *path, struct stat *st);

/**
 * The same, of a link itself.
 *
 * @param path  the name
 * @param st    out: as lstat(2)
 * @return as th_path_stat()
 *
 * Suspends: yes
 * Thread: any
 * On cancel: nothing done
 * Since: 0.1
 */
TH_API TH_MUST int th_path_lstat(const char *path, struct stat *st);

/**
 * Gives a file or directory another name on the same file system; what had that name is replaced.
 *
 * @param from  the present name
 * @param to    the new name
 * @return 0; -EXDEV for another file system; -errno of rename(2); else as th_path_stat()
 *
 * Suspends: yes
 * Thread: any
 * On cancel: nothing done
 * Since: 0.1
 */
TH_API TH_MUST int th_path_rename(const char *from, const char *to);

/**
 * Removes a name that is not that of a directory.
 *
 * The file goes with its last name, once nobody has it open.
 *
 * @param path  the name
 * @return 0; -EISDIR; -errno of unlink(2); else as th_path_stat()
 *
 * Suspends: yes
 * Thread: any
 * On cancel: nothing done
 * Since: 0.1
 */
TH_API int th_path_unlink(const char *path);

/**
 * Makes a directory.
 *
 * @param path  its name
 * @param mode  its permissions, before the process' umask
 * @return 0; -EEXIST; -errno of mkdir(2); else as th_path_stat()
 *
 * Suspends: yes
 * Thread: any
 * On cancel: nothing done
 * Since: 0.1
 */
TH_API TH_MUST int th_path_mkdir(const char *path, mode_t mode);

/**
 * Removes an empty directory.
 *
 * @param path  its name
 * @return 0; -ENOTEMPTY, -ENOTDIR; -errno of rmdir(2); else as th_path_stat()
 *
 * Suspends: yes
 * Thread: any
 * On cancel: nothing done
 * Since: 0.1
 */
TH_API int th_path_rmdir(const char *path);

/**
 * Gives a file a second name on the same file system.
 *
 * @param path  a name that it has; a link is not followed
 * @param name  the new name, which must be free
 * @return 0; -EEXIST, -EXDEV; -errno of link(2); else as th_path_stat()
 *
 * Suspends: yes
 * Thread: any
 * On cancel: nothing done
 * Since: 0.1
 */
TH_API TH_MUST int th_path_link(const char *path, const char *name);

/**
 * Makes a symbolic link.
 *
 * @param target  what it says; need not exist
 * @param name    its name, which must be free
 * @return 0; -EEXIST; -errno of symlink(2); else as th_path_stat()
 *
 * Suspends: yes
 * Thread: any
 * On cancel: nothing done
 * Since: 0.1
 */
TH_API TH_MUST int th_path_symlink(const char *target, const char *name);

/**
 * Tells what a symbolic link says.
 *
 * @param path  its name
 * @param buf   out: the text, with a NUL behind it
 * @param size  room at buf, bytes
 * @return the length of the text; -ERANGE when it does not fit; -EINVAL also when it is no link;
 *         -errno of readlink(2); else as th_path_stat()
 *
 * Suspends: yes
 * Thread: any
 * On cancel: nothing done
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_path_readlink(const char *path, char *buf, size_t size);

typedef struct th_dir th_dir;

/* What an entry of a directory is. */
enum th_dir_kind { TH_DIR_FILE, TH_DIR_DIRECTORY, TH_DIR_LINK, TH_DIR_OTHER };

/* An entry of a directory. */
typedef struct th_dir_entry {
    const char *name;      /* without a path; borrowed until the next read */
    enum th_dir_kind kind; /* of the entry itself: a link is not followed */
    uint64_t inode;        /* its number in the file system */
} th_dir_entry;

/**
 * Opens a directory to list it.
 *
 * @param path  its name
 * @param dir   out: the directory, to be freed with th_dir_free()
 * @return 0; -ENOTDIR; else as th_file_open()
 *
 * Suspends: yes, unless names on the way are in memory
 * Thread: any
 * On cancel: nothing opened
 * Since: 0.1
 */
TH_API TH_MUST int th_dir_open(const char *path, th_dir **dir);

/**
 * Gives the next entry of a directory, in no order.
 *
 * "." and ".." are left out. What is added or removed meanwhile may be told or not; all else is
 * told once. A directory that is removed ends.
 *
 * @param dir    the directory; one caller at a time
 * @param entry  out: the entry
 * @return 1; 0 when there are no more; -EINVAL for NULL; -ECANCELED, -ETIMEDOUT: the caller's
 *         scope; -EPERM for a worker's loop; -errno of getdents(2)
 *
 * Suspends: yes, once for several hundred entries
 * Thread: any
 * On cancel: nothing done
 * Since: 0.1
 */
TH_API TH_MUST int th_dir_read(th_dir *dir, th_dir_entry *entry);

/**
 * Closes a directory and frees it. No call on it may be under way.
 *
 * @param dir  the directory; NULL is allowed and does nothing
 *
 * Suspends: yes
 * Thread: any
 * On cancel: frees all the same
 * Since: 0.1
 */
TH_API void th_dir_free(th_dir *dir);

TH_END_DECLS

#endif
