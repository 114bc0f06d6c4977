/* SPDX-License-Identifier: MIT */

/* Opening files below a folder, with no way out of it. */
#ifndef THI_HTTP_SITE_OPEN_H
#define THI_HTTP_SITE_OPEN_H

#include "sys/sys.h"

#include <thrum/defs.h>

#include <stdbool.h>

/* The folder of a site. Shared by all workers and never written while they serve. */
typedef struct thi_site_root {
    int fd;
    bool follow; /* symbolic links are followed as long as they stay below the folder */
    bool walk;   /* openat2(2) is not to be had: names are walked step by step */
    bool tells;  /* openat2(2) tells what it would have to wait for (Linux 5.12) */
} thi_site_root;

/*
 * Opens the folder. -ENOENT, -ENOTDIR, -EACCES and so on; -EOPNOTSUPP where links shall be followed
 * and the kernel has no safe way to do it.
 */
TH_MUST int thi_site_root_open(const char *path, bool follow, thi_site_root *root);

void thi_site_root_close(thi_site_root *root);

/*
 * Opens a regular file or a directory for reading. What is not in memory, names and what they stand
 * for, is fetched by the pool: then the calling fiber waits. The name is relative
 * to the root, without "." and ".." and slashes at its ends; "" is the root itself. Returns the
 * descriptor, and what it is in *st. -ENXIO for everything that is neither of the two; -ELOOP for a
 * link that must not be followed, -EXDEV for one that leads out; -ECANCELED or -ETIMEDOUT when it
 * has to wait and the caller's scope says so; else as open(2).
 */
TH_MUST int thi_site_open(const thi_site_root *root, const char *name, struct stat *st);

#endif
