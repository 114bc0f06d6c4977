/* SPDX-License-Identifier: MIT */

/*
 * Opening and closing listening sockets.
 *
 * A Unix socket leaves a file behind when its server dies. Such a file is replaced, but only when
 * nobody listens on it and it is a socket; anything else at the path is somebody's data.
 */
#include "net/listener.h"

#include "base/alloc.h"
#include "base/error.h"
#include "net/addr.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

static bool is_path(const th_addr *addr)
{
    return addr->kind == TH_ADDR_UNIX && addr->path_len > 0 && addr->path[0] != '\0';
}

static void copy_path(const th_addr *addr, char path[sizeof addr->path + 1])
{
    memcpy(path, addr->path, addr->path_len);
    path[addr->path_len] = '\0';
}

static void set_option(int fd, int level, int name)
{
    int one = 1;
    (void)thi_sys_setsockopt(fd, level, name, &one, sizeof one);
}

/*
 * TCP_NODELAY is inherited by accepted connections: an answer in two pieces must not wait for the
 * acknowledgement of the first.
 */
static void set_options(int fd, const th_addr *addr, const th_listen_opts *opts)
{
    if (addr->kind == TH_ADDR_UNIX)
        return;
    set_option(fd, SOL_SOCKET, SO_REUSEADDR);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY);
    if (addr->kind == TH_ADDR_IP6) {
        int only = !(opts && opts->dual_stack);
        (void)thi_sys_setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    }
}

/* Whether a socket file is a leftover: a connection to it is refused. */
static bool is_stale(const char *path, const thi_sockaddr *sa, socklen_t len)
{
    struct stat st;
    if (thi_sys_fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = thi_sys_socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        return false;
    int err = thi_sys_connect(fd, &sa->sa, len);
    thi_sys_close(fd);
    return err == -ECONNREFUSED;
}

static int bind_path(int fd, const th_addr *addr, const thi_sockaddr *sa, socklen_t len)
{
    char path[sizeof addr->path + 1];
    int err = thi_sys_bind(fd, &sa->sa, len);
    copy_path(addr, path);
    if (err == -EADDRINUSE && is_stale(path, sa, len) && thi_sys_unlink(path) == 0)
        err = thi_sys_bind(fd, &sa->sa, len);
    return err;
}

/* Remembers which file was made, and gives it its mode before anybody can connect. */
static int settle_path(th_listener *l, const th_listen_opts *opts)
{
    char path[sizeof l->addr.path + 1];
    struct stat st = { .st_ino = 0 };
    copy_path(&l->addr, path);
    int err = opts && opts->mode ? thi_sys_chmod(path, (mode_t)opts->mode) : 0;
    if (err == 0)
        err = thi_sys_fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW);
    if (err < 0) {
        thi_sys_unlink(path);
        return err;
    }
    l->dev = st.st_dev;
    l->ino = st.st_ino;
    l->made_file = 1;
    return 0;
}

static int bind_and_listen(th_listener *l, const th_listen_opts *opts)
{
    thi_sockaddr sa;
    socklen_t len = thi_addr_to_sockaddr(&l->addr, &sa);
    int err =
        is_path(&l->addr) ? bind_path(l->fd, &l->addr, &sa, len) : thi_sys_bind(l->fd, &sa.sa, len);
    if (err == 0 && is_path(&l->addr))
        err = settle_path(l, opts);
    if (err == 0)
        err = thi_sys_listen(l->fd, opts && opts->backlog > 0 ? opts->backlog : INT32_MAX);
    if (err < 0)
        return err;
    if (l->addr.kind != TH_ADDR_UNIX) {
        len = sizeof sa;
        err = thi_sys_getsockname(l->fd, &sa.sa, &len);
        if (err == 0)
            thi_addr_from_sockaddr(&sa, len, &l->addr);
    }
    return err;
}

int th_listen(const char *address, const th_listen_opts *opts, th_listener **listener)
{
    if (!address || !listener || (opts && (opts->size > sizeof *opts || opts->backlog < 0)))
        return thi_err_clear(-EINVAL);
    th_addr addr;
    int err = th_addr_parse(address, &addr);
    if (err < 0)
        return err;
    th_listener *l = thi_calloc(1, sizeof *l);
    if (!l)
        return thi_err_clear(-ENOMEM);
    l->addr = addr;
    l->fd = thi_sys_socket(thi_addr_family(&addr), SOCK_STREAM, 0);
    if (l->fd < 0) {
        err = l->fd;
        thi_free(l);
        return thi_err_set(err, "no socket for %.100s", address);
    }
    set_options(l->fd, &addr, opts);
    err = bind_and_listen(l, opts);
    if (err < 0) {
        th_listener_close(l);
        return thi_err_set(err, "cannot listen on %.100s", address);
    }
    *listener = l;
    return 0;
}

void th_listener_addr(const th_listener *listener, th_addr *addr)
{
    *addr = listener->addr;
}

void thi_listener_retire(th_listener *l)
{
    if (l->fd < 0)
        return;
    struct stat st;
    char path[sizeof l->addr.path + 1];
    if (l->made_file) {
        copy_path(&l->addr, path);
        if (thi_sys_fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == l->dev &&
            st.st_ino == l->ino)
            (void)thi_sys_unlink(path);
    }
    thi_sys_close(l->fd);
    l->fd = -1;
}

void th_listener_close(th_listener *l)
{
    if (!l)
        return;
    thi_listener_retire(l);
    thi_free(l);
}
