/* SPDX-License-Identifier: MIT */

/*
 * The table of watches by descriptor.
 *
 * The kernel hands out the lowest free number, so an array indexed by descriptor is dense in a
 * process with one loop. With several loops each has a pointer for the others' descriptors too:
 * the price of an exact and constant-time answer.
 */
#include "loop/watchset.h"

#include "base/alloc.h"
#include "base/util.h"
#include "sys/sys.h"

#include <errno.h>
#include <string.h>

#define SIZE_MIN 64

/* The kernel calls these always ready or refuses to wait for them; both would surprise a caller. */
static bool never_waits(mode_t mode)
{
    return S_ISREG(mode) || S_ISDIR(mode) || S_ISBLK(mode);
}

/* Makes room for a descriptor. */
static int reserve(thi_watchset *set, size_t fd)
{
    if (fd < set->size)
        return 0;
    size_t size = thi_max(set->size, (size_t)SIZE_MIN);
    while (size <= fd)
        size *= 2;
    thi_watch **by_fd = thi_realloc_array(set->by_fd, size, sizeof *by_fd);
    if (!by_fd)
        return -ENOMEM;
    memset(by_fd + set->size, 0, (size - set->size) * sizeof *by_fd);
    set->by_fd = by_fd;
    set->size = size;
    return 0;
}

int thi_watchset_add(thi_watchset *set, thi_watch *watch)
{
    struct stat st;
    int err = thi_sys_fstat(watch->fd, &st);
    if (err < 0)
        return err;
    if (never_waits(st.st_mode))
        return -EPERM;
    if (thi_watchset_find(set, watch->fd))
        return -EEXIST;
    err = reserve(set, (size_t)watch->fd);
    if (err < 0)
        return err;
    set->by_fd[watch->fd] = watch;
    return 0;
}

void thi_watchset_remove(thi_watchset *set, const thi_watch *watch)
{
    if (thi_watchset_find(set, watch->fd) == watch)
        set->by_fd[watch->fd] = NULL;
}

void thi_watchset_deinit(thi_watchset *set)
{
    thi_free(set->by_fd);
    *set = (thi_watchset){ 0 };
}
