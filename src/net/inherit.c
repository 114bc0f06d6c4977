/* SPDX-License-Identifier: MIT */

/*
 * Inherited sockets: systemd's protocol (sd_listen_fds(3)), and bare numbers.
 *
 * systemd leaves sockets from descriptor 3 on, and in the environment their number, their names,
 * and the process they are for; a child of that process inherits the environment but not the
 * sockets, which is why the process is compared. Nothing in the environment is changed: that could
 * not be done safely once there are threads.
 *
 * Who has taken which is noted, because two users of one descriptor would close it twice.
 * Several sockets may have one name (an IPv4 and an IPv6 one, or one of streams and one of
 * datagrams); each taking gives the next of the kind that is wanted.
 */
#include "net/inherit.h"

#include "base/error.h"
#include "base/util.h"
#include "sys/sys.h"
#include "sys/machine.h"

#include <thrum/str.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define FIRST    3
#define FD_LIMIT 4096 /* descriptors beyond are none that anybody passes on */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t taken[FD_LIMIT / 64];

bool thi_inherit_means(const char *address)
{
    return strncmp(address, "fd:", 3) == 0 || strncmp(address, "systemd:", 8) == 0;
}

/* Notes that a descriptor is taken; false when it is already. */
static bool claim(int fd)
{
    uint64_t bit = UINT64_C(1) << fd % 64;
    (void)pthread_mutex_lock(&lock);
    bool was_free = !(taken[fd / 64] & bit);
    taken[fd / 64] |= bit;
    (void)pthread_mutex_unlock(&lock);
    return was_free;
}

void thi_inherit_release(int fd)
{
    (void)pthread_mutex_lock(&lock);
    taken[fd / 64] &= ~(UINT64_C(1) << fd % 64);
    (void)pthread_mutex_unlock(&lock);
}

/* SOCK_STREAM and the like, or -errno. */
static int type_of(int fd)
{
    int type = 0;
    socklen_t len = sizeof type;
    int err = thi_sys_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
    return err < 0 ? err : type;
}

static int prepare(int fd, const char *address, int want)
{
    int type = type_of(fd);
    if (type < 0)
        return thi_err_set(type, "%.100s: descriptor %d", address, fd);
    if (type != want)
        return thi_err_set(-EPROTOTYPE, "%.100s: descriptor %d carries no %s", address, fd,
                           want == SOCK_STREAM ? "streams" : "datagrams");
    int err = thi_sys_fcntl(fd, F_SETFD, FD_CLOEXEC);
    int flags = err < 0 ? err : thi_sys_fcntl(fd, F_GETFL, 0);
    if (flags >= 0)
        err = thi_sys_fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    if (flags < 0 || err < 0)
        return thi_err_set(flags < 0 ? flags : err, "%.100s: descriptor %d", address, fd);
    return fd;
}

static int take_number(const char *address, int type)
{
    uint64_t n;
    if (th_str_to_u64(th_str_of(address + 3), &n) < 0 || n >= FD_LIMIT)
        return thi_err_set(TH_EADDRESS, "'%.100s': the number must be 0 to %d", address,
                           FD_LIMIT - 1);
    int fd = (int)n;
    if (!claim(fd))
        return thi_err_set(-EBUSY, "%.100s is used already", address);
    int err = prepare(fd, address, type);
    if (err < 0)
        thi_inherit_release(fd);
    return err;
}

/* A number in the environment; -1 when there is none. */
static int64_t number_in(const char *variable)
{
    uint64_t n;
    const char *text = getenv(variable);
    return text && th_str_to_u64(th_str_of(text), &n) == 0 && n <= INT32_MAX ? (int64_t)n : -1;
}

/* Takes the next name off a list; sockets without a name are called "unknown". */
static th_str next_name(th_str *names)
{
    if (!names->ptr)
        return TH_STR("unknown");
    const char *colon = memchr(names->ptr, ':', names->len);
    size_t len = colon ? (size_t)(colon - names->ptr) : names->len;
    th_str name = th_str_make(names->ptr, len);
    *names = colon ? th_str_make(colon + 1, names->len - len - 1) : th_str_make(NULL, 0);
    return name;
}

/* Whether one of this name is another kind of socket: then it is somebody else's. */
static bool is_other(int fd, int want)
{
    int type = type_of(fd);
    return type >= 0 && type != want;
}

static int take_named(const char *address, int type)
{
    th_str want = th_str_of(address + 8);
    const char *list = getenv("LISTEN_FDNAMES");
    th_str names = list ? th_str_of(list) : th_str_make(NULL, 0);
    int64_t count = number_in("LISTEN_FDS");
    const char *why = "no socket of this name was passed";
    if (count < 1 || number_in("LISTEN_PID") != thi_machine_process())
        return thi_err_set(-ENOENT, "%.100s: this process was passed no sockets", address);
    for (int fd = FIRST; fd < FIRST + thi_min(count, INT64_C(1) * FD_LIMIT - FIRST); fd++) {
        th_str name = next_name(&names);
        if (want.len > 0 && !th_str_eq(name, want))
            continue;
        if (is_other(fd, type)) {
            why = type == SOCK_STREAM ? "no socket of this name carries streams"
                                      : "no socket of this name carries datagrams";
            continue;
        }
        why = "all sockets of this name are used already";
        if (!claim(fd))
            continue;
        int err = prepare(fd, address, type);
        if (err < 0)
            thi_inherit_release(fd);
        return err;
    }
    return thi_err_set(-ENOENT, "%.100s: %s", address, why);
}

int thi_inherit_take(const char *address, int type)
{
    return strncmp(address, "fd:", 3) == 0 ? take_number(address, type) : take_named(address, type);
}
