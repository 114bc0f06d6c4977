/* SPDX-License-Identifier: MIT */

/*
 * Setting options of sockets, and reading them back.
 *
 * Nothing that was asked for by name is left out in silence. The kernel itself is silent in one
 * place: a buffer larger than net.core.[rw]mem_max is cut. So buffers are read back, the call for
 * the privileged is tried, and then it is an error, which says what the system allows.
 */
#include "net/tune.h"

#include "base/error.h"
#include "base/util.h"
#include "io/stream.h"
#include "net/tune_table.h"
#include "sys/sys.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif

/* ---- which options a socket has ---- */

static int ask_int(int fd, int level, int option, int *value)
{
    socklen_t len = sizeof *value;
    *value = 0;
    return thi_sys_getsockopt(fd, level, option, value, &len);
}

/* The mask of what the socket is. */
static int kind_of(int fd, unsigned *kind)
{
    int domain;
    int type = 0;
    int err = ask_int(fd, SOL_SOCKET, SO_DOMAIN, &domain);
    if (err == 0)
        err = ask_int(fd, SOL_SOCKET, SO_TYPE, &type);
    if (err < 0)
        return err;
    if (domain == AF_UNIX)
        *kind = THI_TUNE_ON_UNIX;
    else if (domain == AF_INET || domain == AF_INET6)
        *kind = (type == SOCK_STREAM ? THI_TUNE_ON_TCP : THI_TUNE_ON_UDP) |
                (domain == AF_INET6 ? THI_TUNE_ON_IP6 : 0u);
    else
        return -EOPNOTSUPP;
    return 0;
}

static bool has(unsigned kind, const thi_tune_entry *e)
{
    return e->sockets & kind;
}

static const char *not_now(const thi_tune_entry *e, thi_tune_moment moment)
{
    bool early = moment == THI_TUNE_TO_LISTEN || moment == THI_TUNE_TO_CONNECT;
    bool listens = moment == THI_TUNE_TO_LISTEN || moment == THI_TUNE_LISTENING;
    if (e->stage == THI_TUNE_BIND && !early)
        return "must be set before an address is bound or connected";
    if (e->stage == THI_TUNE_LISTEN && !listens)
        return "is for listeners";
    if (e->stage == THI_TUNE_DIAL && moment != THI_TUNE_TO_CONNECT)
        return "is for dialling";
    return NULL;
}

/* What the kernel does not hand down from a listener to its connections. */
static bool is_own(const thi_tune_entry *e, bool is_unix)
{
    if (is_unix)
        return (e->sockets & THI_TUNE_ON_UNIX) && e->stage == THI_TUNE_OPEN;
    return e->stage == THI_TUNE_EACH;
}

bool thi_tune_has_own(const th_tune *tune, bool is_unix)
{
    for (int i = 0; i < TH_TUNE_OPTIONS; i++)
        if (is_own(&thi_tune_entries[i], is_unix) && thi_tune_is_set(tune, (enum th_tune_option)i))
            return true;
    return false;
}

void thi_tune_add(th_tune *tune, const th_tune *more)
{
    for (int i = 0; i < TH_TUNE_OPTIONS; i++) {
        enum th_tune_option option = (enum th_tune_option)i;
        const thi_tune_entry *e = &thi_tune_entries[i];
        const char *text = thi_tune_text(more, e);
        if (!thi_tune_is_set(more, option))
            continue;
        if (e->kind == THI_TUNE_TEXT)
            thi_tune_put_text(tune, option, text, strnlen(text, e->size - 1u));
        else
            thi_tune_put(tune, option, thi_tune_get(more, e));
        tune->optional = (tune->optional & ~TH_TUNE_BIT(i)) | (more->optional & TH_TUNE_BIT(i));
    }
}

/* ---- setting ---- */

/* Names the option with its value, and says why where the code does not. */
static int fail(int err, const thi_tune_entry *e, const th_tune *tune, const char *why)
{
    char text[80];
    th_tune one = *tune;
    for (int i = 0; i < TH_TUNE_OPTIONS; i++)
        if (e != &thi_tune_entries[i])
            thi_tune_drop(&one, (enum th_tune_option)i);
    (void)th_tune_format(&one, text, sizeof text);
    if (err == -ENOENT && e == &thi_tune_entries[TH_TUNE_CONGESTION])
        why = "the kernel has no such algorithm";
    return thi_err_set(err, "%s%s%s", text, *why ? ": " : "", why);
}

static int set_int(int fd, int level, int option, int64_t value)
{
    uint32_t number = (uint32_t)value;
    return thi_sys_setsockopt(fd, level, option, &number, sizeof number);
}

static int set_linger(int fd, int64_t seconds)
{
    struct linger linger = { .l_onoff = seconds >= 0,
                             .l_linger = (int)thi_max(seconds, INT64_C(0)) };
    return thi_sys_setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

/* The room for a reason. */
#define WHY_SIZE 100

/*
 * The kernel keeps twice what it is told, of that no more than it allows. Advice may be cut, an
 * order may not.
 */
static int set_buffer(int fd, const thi_tune_entry *e, int64_t want, bool optional,
                      char why[WHY_SIZE])
{
    bool receives = e->option == SO_RCVBUF;
    int got = 0;
    int err = set_int(fd, SOL_SOCKET, e->option, want);
    if (err == 0)
        err = ask_int(fd, SOL_SOCKET, e->option, &got);
    if (err < 0 || got / 2 >= want || optional)
        return err;
    err = set_int(fd, SOL_SOCKET, receives ? SO_RCVBUFFORCE : SO_SNDBUFFORCE, want);
    if (err == -EPERM)
        (void)snprintf(why, WHY_SIZE, "net.core.%s_max allows %d bytes without CAP_NET_ADMIN",
                       receives ? "rmem" : "wmem", got / 2);
    return err;
}

/* An IPv6 socket has both: its own option, and that of IPv4 for mapped addresses. */
static int set_both(int fd, const thi_tune_entry *e, int64_t value)
{
    int err = set_int(fd, IPPROTO_IPV6, e->option6, value);
    if (err == 0)
        (void)set_int(fd, e->level, e->option, value);
    return err;
}

static int set_value(int fd, const thi_tune_entry *e, const th_tune *tune, unsigned kind)
{
    if (e->kind == THI_TUNE_TEXT) {
        const char *text = thi_tune_text(tune, e);
        return thi_sys_setsockopt(fd, e->level, e->option, text, (socklen_t)strnlen(text, e->size));
    }
    int64_t value = thi_tune_get(tune, e);
    if (e->unit && value > 0)
        value = value / e->unit + (value % e->unit > 0);
    if (e->kind == THI_TUNE_LINGER)
        return set_linger(fd, value);
    if (e->kind == THI_TUNE_RATE)
        return thi_sys_setsockopt(fd, e->level, e->option, &value, sizeof value);
    if (e->option6 && (kind & THI_TUNE_ON_IP6))
        return set_both(fd, e, value);
    return set_int(fd, e->level, e->option, value);
}

static int set_one(int fd, const thi_tune_entry *e, const th_tune *tune, unsigned kind,
                   thi_tune_moment moment)
{
    bool optional = tune->optional & TH_TUNE_BIT(e - thi_tune_entries);
    char why[WHY_SIZE] = "";
    int err;
    if (!has(kind, e)) {
        err = -EOPNOTSUPP;
        (void)snprintf(why, sizeof why, "this kind of socket has no such option");
    } else if (not_now(e, moment)) {
        err = -EINVAL;
        (void)snprintf(why, sizeof why, "%s", not_now(e, moment));
    } else if (!thi_tune_in_range(e, thi_tune_get(tune, e))) {
        err = -EINVAL;
        (void)snprintf(why, sizeof why, "out of range");
    } else if (e->kind == THI_TUNE_BUFFER) {
        err = set_buffer(fd, e, thi_tune_get(tune, e), optional, why);
    } else if (e->stage == THI_TUNE_BIND && e->option == TCP_FASTOPEN && e->level == IPPROTO_TCP &&
               moment == THI_TUNE_TO_CONNECT) {
        err = set_int(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, thi_tune_get(tune, e) != 0);
    } else {
        err = set_value(fd, e, tune, kind);
    }
    return err == 0 || optional ? 0 : fail(err, e, tune, why);
}

static bool is_empty(const th_tune *tune)
{
    for (int i = 0; i < TH_TUNE_OPTIONS; i++)
        if (thi_tune_is_set(tune, (enum th_tune_option)i))
            return false;
    return true;
}

int thi_tune_set(int fd, const th_tune *tune, thi_tune_moment moment)
{
    unsigned kind;
    if (is_empty(tune))
        return 0;
    int err = kind_of(fd, &kind);
    if (err < 0)
        return thi_err_clear(err);
    for (int i = 0; i < TH_TUNE_OPTIONS && err == 0; i++) {
        const thi_tune_entry *e = &thi_tune_entries[i];
        bool own = is_own(e, kind & THI_TUNE_ON_UNIX);
        if (thi_tune_is_set(tune, (enum th_tune_option)i) && (own || moment != THI_TUNE_ACCEPTED))
            err = set_one(fd, e, tune, kind, moment);
    }
    return err;
}

int thi_tune_apply(int fd, const char *text)
{
    th_tune tune = { .size = sizeof tune };
    int err = th_tune_parse(text, &tune);
    return err < 0 ? err : thi_tune_set(fd, &tune, THI_TUNE_TO_CONNECT);
}

/* ---- reading ---- */

static int read_linger(int fd, int64_t *value)
{
    struct linger linger = { .l_onoff = 0 };
    socklen_t len = sizeof linger;
    int err = thi_sys_getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len);
    *value = linger.l_onoff ? linger.l_linger : -1;
    return err;
}

static int read_number(int fd, const thi_tune_entry *e, unsigned kind, int64_t *value)
{
    uint64_t number = 0; /* the kernel fills four bytes of it, or eight */
    int narrow = 0;
    socklen_t len = sizeof number;
    if (e->kind == THI_TUNE_LINGER)
        return read_linger(fd, value);
    bool six = e->option6 && (kind & THI_TUNE_ON_IP6);
    int err = thi_sys_getsockopt(fd, six ? IPPROTO_IPV6 : e->level, six ? e->option6 : e->option,
                                 &number, &len);
    memcpy(&narrow, &number, sizeof narrow);
    if (len == sizeof number)
        *value = number > INT64_MAX ? INT64_MAX : (int64_t)number;
    else
        *value = e->max == UINT32_MAX ? (int64_t)(uint32_t)narrow : narrow;
    return err;
}

static void read_one(int fd, const thi_tune_entry *e, unsigned kind, th_tune *tune)
{
    enum th_tune_option option = (enum th_tune_option)(e - thi_tune_entries);
    char text[sizeof tune->device] = "";
    socklen_t len = sizeof text;
    int64_t value;
    if (e->kind == THI_TUNE_TEXT) {
        if (thi_sys_getsockopt(fd, e->level, e->option, text, &len) == 0)
            thi_tune_put_text(tune, option, text, strnlen(text, sizeof text - 1));
    } else if (read_number(fd, e, kind, &value) == 0) {
        thi_tune_put(tune, option, e->unit && value > 0 ? value * e->unit : value);
    }
}

int thi_tune_read(int fd, th_tune *tune)
{
    unsigned kind;
    th_tune read = { .size = sizeof read };
    int err = kind_of(fd, &kind);
    if (err < 0)
        return thi_err_clear(err);
    for (int i = 0; i < TH_TUNE_OPTIONS; i++)
        if (has(kind, &thi_tune_entries[i]))
            read_one(fd, &thi_tune_entries[i], kind, &read);
    *tune = read;
    return 0;
}

/* ---- of streams ---- */

/* The descriptor of a stream, or an error for those that are no open sockets. */
static int descriptor_of(th_stream *stream)
{
    return stream->ops->descriptor ? stream->ops->descriptor(stream) : -EOPNOTSUPP;
}

/* A descriptor that is no socket is told as a stream that is none. */
static int told(int err)
{
    return err == -ENOTSOCK ? thi_err_clear(-EOPNOTSUPP) : err;
}

int th_stream_tune(th_stream *stream, const th_tune *tune)
{
    if (!stream || !tune || tune->size > sizeof *tune)
        return thi_err_clear(-EINVAL);
    int fd = descriptor_of(stream);
    return fd < 0 ? thi_err_clear(fd) : told(thi_tune_set(fd, tune, THI_TUNE_CONNECTED));
}

int th_stream_tuning(th_stream *stream, th_tune *tune)
{
    if (!stream || !tune)
        return thi_err_clear(-EINVAL);
    int fd = descriptor_of(stream);
    return fd < 0 ? thi_err_clear(fd) : told(thi_tune_read(fd, tune));
}
