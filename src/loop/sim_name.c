/* SPDX-License-Identifier: MIT */

/* A list of paths: few sockets have one. */
#include "loop/sim_name.h"

#include "base/alloc.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define DEVICE 0x5155 /* of no real file system */

typedef struct name {
    thi_list link; /* in w->names */
    uint64_t inode;
    mode_t mode;
    char path[];
} name;

static name *find(const thi_sim *w, const char *path)
{
    thi_list_each (node, &w->names) {
        name *n = thi_list_item(node, name, link);
        if (strcmp(n->path, path) == 0)
            return n;
    }
    return NULL;
}

int thi_sim_name_add(thi_sim *w, const char *path, uint64_t *inode)
{
    struct stat st;
    if (find(w, path) || thi_sys_real.fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return -EADDRINUSE;
    name *made = thi_alloc(sizeof *made + strlen(path) + 1);
    if (!made)
        return -ENOMEM;
    *made = (name){ .inode = ++w->last_inode, .mode = S_IFSOCK | 0755 };
    memcpy(made->path, path, strlen(path) + 1);
    thi_list_push_back(&w->names, &made->link);
    *inode = made->inode;
    return 0;
}

uint64_t thi_sim_name_inode(const thi_sim *w, const char *path)
{
    const name *n = find(w, path);
    return n ? n->inode : 0;
}

int thi_sim_name_stat(const thi_sim *w, const char *path, struct stat *st)
{
    const name *n = find(w, path);
    if (!n)
        return -ENOENT;
    *st = (struct stat){ .st_dev = DEVICE, .st_ino = n->inode, .st_mode = n->mode, .st_nlink = 1 };
    return 0;
}

int thi_sim_name_chmod(thi_sim *w, const char *path, mode_t mode)
{
    name *n = find(w, path);
    if (!n)
        return -ENOENT;
    n->mode = S_IFSOCK | (mode & 07777);
    return 0;
}

static void drop(name *n)
{
    thi_list_remove(&n->link);
    thi_free(n);
}

int thi_sim_name_unlink(thi_sim *w, const char *path)
{
    name *n = find(w, path);
    if (!n)
        return -ENOENT;
    drop(n);
    return 0;
}

void thi_sim_name_clear(thi_sim *w)
{
    while (!thi_list_empty(&w->names))
        drop(thi_list_item(thi_list_first(&w->names), name, link));
}
