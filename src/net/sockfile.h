/* SPDX-License-Identifier: MIT */

/* The file that a Unix socket makes when it is bound to a path. */
#ifndef THI_NET_SOCKFILE_H
#define THI_NET_SOCKFILE_H

#include <thrum/addr.h>

#include <stdbool.h>
#include <sys/types.h>

/* Which file it is, so that nobody else's is removed. All zero: none was made. */
typedef struct thi_sockfile {
    bool made;
    dev_t dev;
    ino_t ino;
} thi_sockfile;

/* Whether an address is a path, and not an abstract name or no name at all. */
static inline bool thi_sockfile_is_path(const th_addr *addr)
{
    return addr->kind == TH_ADDR_UNIX && addr->path_len > 0 && addr->path[0] != '\0';
}

/*
 * Binds a socket of the given type to a path, and gives the file its mode (0: as the umask says)
 * before anybody can use it. A file that no socket holds any more is replaced; anything else at the
 * path is somebody's data: -EADDRINUSE.
 */
TH_MUST int thi_sockfile_bind(thi_sockfile *file, int fd, int type, const th_addr *addr, int mode);

/* Removes the file if it is still the one that was made here. */
void thi_sockfile_remove(thi_sockfile *file, const th_addr *addr);

#endif
