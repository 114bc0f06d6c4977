/* SPDX-License-Identifier: MIT */

/*
 * Opening below a root.
 *
 * The kernel keeps the promise: openat2(2) (Linux 5.6) with RESOLVE_BENEATH resolves a name as a
 * whole and fails if any step would leave the root, be it by "..", by an absolute path, by a link,
 * or because somebody swaps a directory for a link at that very moment. To look at a name first and
 * open it afterwards would never be safe.
 *
 * Where there is no openat2 (older kernels, sandboxes that do not know it) the name is walked
 * component by component, each opened relative to the one before and never through a link. That
 * is as safe, costs a call for each step, and cannot follow links at all.
 *
 * Looking up names may wait for a disk. So it is first done with RESOLVE_CACHED, which fails
 * instead, and once more by a thread of the pool if need be. Where the kernel cannot tell it is
 * done on the spot: to hand over each name would cost more than it saves.
 *
 * O_NONBLOCK keeps a FIFO without a writer from stopping the worker; what has been opened by
 * mistake, a FIFO or a device, is closed before anything is read from it.
 */
#include "http/site_open.h"

#include "io/fileway.h"

#include <thrum/str.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>

#define FILE_FLAGS   (O_RDONLY | O_NONBLOCK | O_NOCTTY)
#define FOLDER_FLAGS (O_PATH | O_DIRECTORY)
#define RACES_MAX    8

static uint64_t resolve_flags(const thi_site_root *root)
{
    return RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | (root->follow ? 0 : RESOLVE_NO_SYMLINKS);
}

/* Whether the kernel knows RESOLVE_CACHED. */
static bool can_tell(const thi_site_root *root)
{
    int fd = thi_sys_openat2(root->fd, ".", FOLDER_FLAGS, resolve_flags(root) | RESOLVE_CACHED);
    if (fd >= 0)
        (void)thi_sys_close(fd);
    return fd >= 0 || fd == -EAGAIN;
}

int thi_site_root_open(const char *path, bool follow, thi_site_root *root)
{
    thi_site_root made = { .follow = follow };
    made.fd = thi_sys_openat(AT_FDCWD, path, FOLDER_FLAGS, 0);
    if (made.fd < 0)
        return made.fd;
    int probe = thi_sys_openat2(made.fd, ".", FOLDER_FLAGS, resolve_flags(&made));
    made.walk = probe == -ENOSYS || probe == -EPERM; /* EPERM: what seccomp filters answer */
    if (made.walk)
        probe = follow ? -EOPNOTSUPP : thi_sys_openat(made.fd, ".", FOLDER_FLAGS, 0);
    if (probe < 0) {
        (void)thi_sys_close(made.fd);
        return probe;
    }
    (void)thi_sys_close(probe);
    made.tells = !made.walk && can_tell(&made);
    *root = made;
    return 0;
}

void thi_site_root_close(thi_site_root *root)
{
    (void)thi_sys_close(root->fd);
    root->fd = -1;
}

/* Opens one component, which is not a link. */
static int open_step(int dir, th_str part, bool last)
{
    char name[NAME_MAX + 1];
    if (part.len > NAME_MAX)
        return -ENAMETOOLONG;
    if (part.len == 0 || th_str_eq(part, TH_STR("..")) || memchr(part.ptr, 0, part.len))
        return -ENOENT;
    memcpy(name, part.ptr, part.len);
    name[part.len] = 0;
    return thi_sys_openat(dir, name, (last ? FILE_FLAGS : FOLDER_FLAGS) | O_NOFOLLOW, 0);
}

static int open_by_walking(const thi_site_root *root, const char *name)
{
    int dir = root->fd;
    for (;;) {
        size_t len = strcspn(name, "/");
        bool last = name[len] == 0;
        int fd = open_step(dir, th_str_make(name, len), last);
        if (dir != root->fd)
            (void)thi_sys_close(dir);
        if (fd < 0 || last)
            return fd;
        dir = fd;
        name += len + 1;
    }
}

/* EAGAIN: something was renamed while a link with ".." was followed; see openat2(2). */
static int open_as_a_whole(const thi_site_root *root, const char *name)
{
    int fd = -EAGAIN;
    for (int i = 0; fd == -EAGAIN && i < RACES_MAX; i++)
        fd = thi_sys_openat2(root->fd, name, FILE_FLAGS, resolve_flags(root));
    return fd;
}

/* Whether what was opened may be shown: the descriptor, or -errno, and then it is closed. */
static int check(int fd, struct stat *st)
{
    if (fd < 0)
        return fd;
    int err = thi_sys_fstat(fd, st);
    if (err == 0 && !S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
        err = -ENXIO;
    if (err < 0)
        (void)thi_sys_close(fd);
    return err < 0 ? err : fd;
}

typedef struct opening {
    const thi_site_root *root;
    const char *name;
    struct stat st;
} opening;

static int open_and_wait(void *arg)
{
    opening *o = arg;
    int fd = o->root->walk ? open_by_walking(o->root, o->name) : open_as_a_whole(o->root, o->name);
    return check(fd, &o->st);
}

int thi_site_open(const thi_site_root *root, const char *name, struct stat *st)
{
    opening o = { .root = root, .name = *name ? name : "." };
    int fd;
    if (root->tells) {
        uint64_t resolve = resolve_flags(root) | RESOLVE_CACHED;
        fd = thi_sys_openat2(root->fd, o.name, FILE_FLAGS, resolve);
        fd = fd == -EAGAIN ? thi_fileway_run(open_and_wait, &o) : check(fd, &o.st);
    } else {
        fd = open_and_wait(&o);
    }
    if (fd >= 0)
        *st = o.st;
    return fd;
}
