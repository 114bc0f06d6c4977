/* SPDX-License-Identifier: MIT */

/* Making and removing the files of Unix sockets; whoever has died left one behind. */
#include "net/sockfile.h"

#include "net/addr.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

typedef struct path_text {
    char text[sizeof((th_addr *)0)->path + 1];
} path_text;

static path_text path_of(const th_addr *addr)
{
    path_text path;
    memcpy(path.text, addr->path, addr->path_len);
    path.text[addr->path_len] = '\0';
    return path;
}

/* Whether a socket file is a leftover: a connection to it is refused. */
static bool is_stale(const char *path, int type, const thi_sockaddr *sa, socklen_t len)
{
    struct stat st;
    if (thi_sys_fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = thi_sys_socket(AF_UNIX, type, 0);
    if (fd < 0)
        return false;
    int err = thi_sys_connect(fd, &sa->sa, len);
    thi_sys_close(fd);
    return err == -ECONNREFUSED;
}

int thi_sockfile_bind(thi_sockfile *file, int fd, int type, const th_addr *addr, int mode)
{
    thi_sockaddr sa;
    socklen_t len = thi_addr_to_sockaddr(addr, &sa);
    path_text path = path_of(addr);
    struct stat st = { .st_ino = 0 };
    int err = thi_sys_bind(fd, &sa.sa, len);
    if (err == -EADDRINUSE && is_stale(path.text, type, &sa, len) && thi_sys_unlink(path.text) == 0)
        err = thi_sys_bind(fd, &sa.sa, len);
    if (err < 0)
        return err;
    err = mode ? thi_sys_chmod(path.text, (mode_t)mode) : 0;
    if (err == 0)
        err = thi_sys_fstatat(AT_FDCWD, path.text, &st, AT_SYMLINK_NOFOLLOW);
    if (err < 0) {
        thi_sys_unlink(path.text);
        return err;
    }
    *file = (thi_sockfile){ .made = true, .dev = st.st_dev, .ino = st.st_ino };
    return 0;
}

void thi_sockfile_remove(thi_sockfile *file, const th_addr *addr)
{
    struct stat st;
    if (!file->made)
        return;
    file->made = false;
    path_text path = path_of(addr);
    if (thi_sys_fstatat(AT_FDCWD, path.text, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_dev == file->dev && st.st_ino == file->ino)
        (void)thi_sys_unlink(path.text);
}
