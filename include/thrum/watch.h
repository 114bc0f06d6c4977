/* SPDX-License-Identifier: MIT */

/*
 * Watching files and directories for changes.
 *
 * A watch is asked about any number of paths and tells, one by one, what happens to them. Fibers of
 * any worker and plain threads may use one; one at a time reads.
 *
 *     while ((err = th_watch_read(watch, &event)) == 0)
 *         printf("%s\n", event.path);
 *
 * What is told is what the kernel tells (inotify(7)): changes made through this system, not by
 * another machine on a network file system. Whoever wants to know about a file that others replace
 * by renaming watches its directory: a watch on the file stays with the file that is replaced.
 */
#ifndef THRUM_WATCH_H
#define THRUM_WATCH_H

#include <stdint.h>

#include <thrum/defs.h>

TH_BEGIN_DECLS

typedef struct th_watch th_watch;

/* What happens; the first eight can be asked for. Each event tells one of them. */
enum {
    TH_WATCH_CREATED = 0x1,     /* an entry of the directory was made */
    TH_WATCH_REMOVED = 0x2,     /* an entry was removed */
    TH_WATCH_MOVED_FROM = 0x4,  /* an entry was renamed: this is its former name */
    TH_WATCH_MOVED_TO = 0x8,    /* and this its new one, with the same cookie */
    TH_WATCH_CHANGED = 0x10,    /* bytes were written, or the size was set */
    TH_WATCH_WRITTEN = 0x20,    /* a file that was open for writing was closed */
    TH_WATCH_ATTRIBUTES = 0x40, /* permissions, owner, times or number of names */
    TH_WATCH_MOVED = 0x80,      /* the watched path itself was renamed; events keep its old name */
    TH_WATCH_ALL = 0xff,
    /* Asked for in addition: all directories below the path, those that are made later included. */
    TH_WATCH_TREE = 0x100,
    /* Told in any case. */
    TH_WATCH_GONE = 0x200, /* the watched path was removed; its number is free */
    TH_WATCH_LOST = 0x400  /* events were lost, so that everything may have changed */
};

/* Something that has happened. */
typedef struct th_watch_event {
    int id;           /* what th_watch_add() gave; -1 for TH_WATCH_LOST */
    unsigned what;    /* one of TH_WATCH_* */
    int directory;    /* 1: what the path names is a directory */
    uint32_t cookie;  /* the same in both events of a renaming, else 0 */
    const char *path; /* the path as given to th_watch_add(), with the name of an entry behind it;
                         "" for TH_WATCH_LOST; borrowed until the next read */
} th_watch_event;

/**
 * Makes a watch that is asked about nothing yet.
 *
 * @param watch  out: the watch, to be freed with th_watch_free()
 * @return 0; -EINVAL for NULL; -ENOMEM; -EMFILE, also when the user has too many watches
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_watch_open(th_watch **watch);

/**
 * Watches a path.
 *
 * A link is followed. A path that is watched already keeps its number, and is asked about what is
 * asked now. With TH_WATCH_TREE, what is in a directory that appears later is told as created; what
 * is made in it at that very time may be told twice. Links to directories are not followed.
 *
 * @param watch  the watch
 * @param path   what to watch; copied
 * @param what   TH_WATCH_* added up; 0: TH_WATCH_ALL
 * @return a number of 1 or more; -EINVAL for NULL and for what cannot be asked for; -ENOENT,
 *         -EACCES and so on as open(2), -ENOTDIR for TH_WATCH_TREE on a file, with the path as
 *         detail; -ENOSPC when the user watches too much (fs.inotify.max_user_watches); -ENOMEM;
 *         -EBADF when the watch is closed; -ECANCELED, -ETIMEDOUT: the caller's scope; -EPERM for
 *         a worker's loop
 *
 * Suspends: yes
 * Thread: any
 * On cancel: nothing is watched that was not before
 * Since: 0.1
 */
TH_API TH_MUST int th_watch_add(th_watch *watch, const char *path, unsigned what);

/**
 * Watches a path no more. What has happened and was not read yet is not told any more.
 *
 * @param watch  the watch
 * @param id     what th_watch_add() gave
 * @return 0; -ENOENT when there is none of that number; -EINVAL for NULL; -EBADF when the watch is
 *         closed
 *
 * Suspends: yes, while another fiber adds
 * Thread: any
 * On cancel: removes all the same
 * Since: 0.1
 */
TH_API int th_watch_remove(th_watch *watch, int id);

/**
 * Gives the next event, and waits for it if need be.
 *
 * @param watch  the watch
 * @param event  out: what has happened
 * @return 0; -EINVAL for NULL; -EBADF when the watch is closed, -ECANCELED when it is closed
 *         meanwhile; -ECANCELED, -ETIMEDOUT: the caller's scope; -EBUSY when another one reads;
 *         -EPERM for a worker's loop; -ENOMEM, after which reading goes on with the next event
 *
 * Suspends: yes, until something happens
 * Thread: any
 * On cancel: no event is lost
 * Since: 0.1
 */
TH_API TH_MUST int th_watch_read(th_watch *watch, th_watch_event *event);

/**
 * Closes a watch. Who reads returns -ECANCELED; later calls return -EBADF.
 *
 * @param watch  the watch
 * @return 0; -EBADF when it is closed already; -EINVAL for NULL
 *
 * Suspends: yes, while another fiber adds
 * Thread: any
 * On cancel: closes all the same
 * Since: 0.1
 */
TH_API int th_watch_close(th_watch *watch);

/**
 * Closes a watch if it is open and frees it. No call on it may be under way.
 *
 * @param watch  the watch; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: any
 * On cancel: frees all the same
 * Since: 0.1
 */
TH_API void th_watch_free(th_watch *watch);

TH_END_DECLS

#endif
