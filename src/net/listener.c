/* SPDX-License-Identifier: MIT */

/*
 * Opening and closing listening sockets.
 *
 * A Unix socket leaves a file behind when its server dies. Such a file is replaced, but only when
 * nobody listens on it and it is a socket; anything else at the path is somebody's data.
 *
 * Options that were asked for by name are set before the address is bound, after those that are
 * always set, so that they win. What connections do not inherit is kept for the server to set.
 */
#include "net/listener.h"

#include "base/alloc.h"
#include "base/error.h"
#include "net/addr.h"
#include "net/inherit.h"
#include "net/tls_address.h"
#include "sys/sys.h"

#include <thrum/time.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#define UNIX_PATH_MAX sizeof(((struct sockaddr_un *)0)->sun_path)

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
    l->made_file = true;
    return 0;
}

/* "unix:@" has no name of its own: bind(2) chooses one when it is given none at all. */
static bool is_nameless(const th_addr *addr)
{
    return addr->kind == TH_ADDR_UNIX && addr->path_len == 1 && addr->path[0] == '\0';
}

static int learn_address(th_listener *l)
{
    thi_sockaddr sa;
    socklen_t len = sizeof sa;
    int err = thi_sys_getsockname(l->fd, &sa.sa, &len);
    if (err == 0)
        thi_addr_from_sockaddr(&sa, len, &l->addr);
    return err;
}

static int start_listening(const th_listener *l, const th_listen_opts *opts)
{
    return thi_sys_listen(l->fd, opts && opts->backlog > 0 ? opts->backlog : INT32_MAX);
}

static int bind_and_listen(th_listener *l, const th_listen_opts *opts)
{
    thi_sockaddr sa;
    socklen_t len = thi_addr_to_sockaddr(&l->addr, &sa);
    bool nameless = is_nameless(&l->addr);
    if (nameless)
        len = sizeof(sa_family_t);
    int err =
        is_path(&l->addr) ? bind_path(l->fd, &l->addr, &sa, len) : thi_sys_bind(l->fd, &sa.sa, len);
    if (err == 0 && is_path(&l->addr))
        err = settle_path(l, opts);
    if (err == 0)
        err = start_listening(l, opts);
    if (err == 0 && (nameless || l->addr.kind != TH_ADDR_UNIX))
        err = learn_address(l);
    return err;
}

/* ---- options ---- */

static int keep_proxy(th_listener *l, const th_listen_opts *opts)
{
    l->proxy = opts->proxy_protocol;
    l->proxy_time = opts->proxy_time ? opts->proxy_time : 5 * TH_SECOND;
    return opts->proxy_from ? thi_networks_parse(opts->proxy_from, &l->proxy_from) : 0;
}

static int check(const th_listen_opts *opts)
{
    if (opts->size > sizeof *opts || opts->backlog < 0 || opts->proxy_time < 0 ||
        opts->proxy_protocol < TH_PROXY_NONE || opts->proxy_protocol > TH_PROXY_OPTIONAL)
        return thi_err_clear(-EINVAL);
    if (opts->proxy_protocol == TH_PROXY_OPTIONAL && !opts->proxy_from)
        return thi_err_set(-EINVAL, "an optional PROXY header needs networks it comes from");
    if (opts->proxy_protocol == TH_PROXY_NONE && opts->proxy_from)
        return thi_err_set(-EINVAL, "networks of proxies are of no use without PROXY headers");
    return 0;
}

/* A listener without a socket, which knows its options; NULL with *err. */
static th_listener *prepare(const th_listen_opts *opts, int *err)
{
    *err = opts ? check(opts) : 0;
    if (*err < 0)
        return NULL;
    th_listener *l = thi_calloc(1, sizeof *l);
    if (!l) {
        *err = thi_err_clear(-ENOMEM);
        return NULL;
    }
    l->fd = -1;
    l->tls = opts && opts->tls;
    if (opts && opts->tune)
        *err = th_tune_parse(opts->tune, &l->tune);
    if (*err == 0 && opts)
        *err = keep_proxy(l, opts);
    if (*err == 0)
        return l;
    th_listener_close(l);
    return NULL;
}

static int set_tune(th_listener *l, thi_tune_moment moment)
{
    l->has_own = thi_tune_has_own(&l->tune, l->addr.kind == TH_ADDR_UNIX);
    return thi_tune_set(l->fd, &l->tune, moment);
}

static int set_reuse_port(const th_listener *l, const th_listen_opts *opts)
{
    int one = 1;
    if (!opts || !opts->reuse_port)
        return 0;
    int err = l->addr.kind == TH_ADDR_UNIX
                  ? -EOPNOTSUPP
                  : thi_sys_setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    return err < 0 ? thi_err_set(err, "reuse_port") : 0;
}

/* ---- opening ---- */

static int open_at(th_listener *l, const char *address, const th_listen_opts *opts)
{
    l->fd = thi_sys_socket(thi_addr_family(&l->addr), SOCK_STREAM, 0);
    if (l->fd < 0)
        return thi_err_set(l->fd, "no socket for %.100s", address);
    set_options(l->fd, &l->addr, opts);
    int err = set_reuse_port(l, opts);
    if (err == 0)
        err = set_tune(l, THI_TUNE_TO_LISTEN);
    if (err < 0)
        return thi_err_set(err, "cannot listen on %.100s: %.120s", address, th_err_detail());
    err = bind_and_listen(l, opts);
    return err < 0 ? thi_err_set(err, "cannot listen on %.100s", address) : 0;
}

static int listen_at(const th_addr *addr, const char *address, const th_listen_opts *opts,
                     th_listener **listener)
{
    int err;
    th_listener *l = prepare(opts, &err);
    if (!l)
        return err;
    l->addr = *addr;
    err = open_at(l, address, opts);
    if (err < 0)
        th_listener_close(l);
    else
        *listener = l;
    return err;
}

/* Whoever passed the socket has bound it, and mostly listens already. */
static int adopt(th_listener *l, const char *address, const th_listen_opts *opts)
{
    int listens = 0;
    socklen_t len = sizeof listens;
    int err = thi_sys_getsockopt(l->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len);
    if (err == 0 && (!listens || (opts && opts->backlog > 0)))
        err = start_listening(l, opts);
    if (err == 0)
        err = learn_address(l);
    if (err < 0)
        return thi_err_set(err, "cannot listen on %.100s", address);
    if (l->addr.kind != TH_ADDR_UNIX)
        set_option(l->fd, IPPROTO_TCP, TCP_NODELAY);
    err = set_tune(l, THI_TUNE_LISTENING);
    return err < 0 ? thi_err_set(err, "cannot listen on %.100s: %.120s", address, th_err_detail())
                   : 0;
}

static int listen_inherited(const char *address, const th_listen_opts *opts, th_listener **listener)
{
    int err;
    if (opts && (opts->mode || opts->dual_stack || opts->reuse_port))
        return thi_err_set(-EINVAL, "%.100s is bound already, with its own mode and options",
                           address);
    th_listener *l = prepare(opts, &err);
    if (!l)
        return err;
    int fd = thi_inherit_take(address, SOCK_STREAM);
    if (fd < 0) {
        th_listener_close(l);
        return fd;
    }
    l->fd = fd;
    l->inherited = true;
    err = adopt(l, address, opts);
    if (err < 0) { /* it stays whose it was */
        l->fd = -1;
        thi_inherit_release(fd);
        th_listener_close(l);
        return err;
    }
    *listener = l;
    return 0;
}

static int listen_text(const char *place, const char *address, const th_listen_opts *opts,
                       th_listener **listener)
{
    th_addr addr;
    if (thi_inherit_means(place))
        return listen_inherited(place, opts, listener);
    int err = opts ? check(opts) : 0;
    if (err == 0)
        err = th_addr_parse(place, &addr);
    return err < 0 ? err : listen_at(&addr, address, opts, listener);
}

/* What the address says of TLS is kept for who serves it. */
static int keep_tls(th_listener *l, const char *params)
{
    l->tls = true;
    if (!params)
        return 0;
    size_t size = strlen(params) + 1;
    l->tls_params = thi_alloc(size);
    if (!l->tls_params)
        return thi_err_clear(-ENOMEM);
    memcpy(l->tls_params, params, size);
    return 0;
}

int th_listen(const char *address, const th_listen_opts *opts, th_listener **listener)
{
    thi_tls_address tls;
    th_listener *l = NULL;
    if (!address || !listener)
        return thi_err_clear(-EINVAL);
    if (!thi_tls_address_means(address))
        return listen_text(address, address, opts, listener);
    int err = thi_tls_address_read(address, &tls);
    if (err == 0)
        err = listen_text(tls.place, tls.shown, opts, &l);
    if (err != 0 || !l)
        return err;
    err = keep_tls(l, tls.params);
    if (err < 0)
        th_listener_close(l);
    else
        *listener = l;
    return err;
}

int th_listen_addr(const th_addr *addr, const th_listen_opts *opts, th_listener **listener)
{
    char text[TH_ADDR_TEXT];
    if (!addr || !listener || addr->kind < TH_ADDR_IP4 || addr->kind > TH_ADDR_UNIX ||
        (addr->kind == TH_ADDR_UNIX && (addr->path_len == 0 || addr->path_len > UNIX_PATH_MAX)))
        return thi_err_clear(-EINVAL);
    return listen_at(addr, th_addr_format(addr, text, sizeof text), opts, listener);
}

thi_proxy_rule thi_listener_proxy_rule(const th_listener *l, const th_addr *from)
{
    if (l->proxy == TH_PROXY_NONE)
        return THI_PROXY_PLAIN;
    if (!l->proxy_from.list || thi_networks_have(&l->proxy_from, from))
        return THI_PROXY_HEADER;
    return l->proxy == TH_PROXY_OPTIONAL ? THI_PROXY_PLAIN : THI_PROXY_STRANGER;
}

int th_listener_tune(th_listener *l, const th_tune *tune)
{
    if (!l || !tune || tune->size > sizeof *tune)
        return thi_err_clear(-EINVAL);
    if (l->fd < 0)
        return thi_err_clear(-EBADF);
    int err = thi_tune_set(l->fd, tune, THI_TUNE_LISTENING);
    if (err < 0)
        return err;
    thi_tune_add(&l->tune, tune);
    l->has_own = thi_tune_has_own(&l->tune, l->addr.kind == TH_ADDR_UNIX);
    return 0;
}

int th_listener_tuning(const th_listener *l, th_tune *tune)
{
    if (!l || !tune)
        return thi_err_clear(-EINVAL);
    return l->fd < 0 ? thi_err_clear(-EBADF) : thi_tune_read(l->fd, tune);
}

int th_listener_is_tls(const th_listener *listener)
{
    return listener->tls;
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
    if (l->inherited) /* not before: who takes it then would have it closed */
        thi_inherit_release(l->fd);
    l->fd = -1;
}

void th_listener_close(th_listener *l)
{
    if (!l)
        return;
    thi_listener_retire(l);
    thi_networks_deinit(&l->proxy_from);
    thi_free(l->tls_params);
    thi_free(l);
}
