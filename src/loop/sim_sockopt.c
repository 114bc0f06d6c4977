/* SPDX-License-Identifier: MIT */

/* A small table of options per socket; a few are answered from the socket's state. */
#include "loop/sim_sockopt.h"

#include "base/util.h"
#include "loop/sim_group.h"
#include "sys/sys.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <string.h>

static thi_sim_option *find(thi_sim_endpoint *ep, int level, int name)
{
    for (unsigned i = 0; i < ep->option_count; i++)
        if (ep->options[i].level == level && ep->options[i].name == name)
            return &ep->options[i];
    return NULL;
}

int thi_sim_sockopt_set(thi_sim_endpoint *ep, int level, int name, const void *val, socklen_t n)
{
    if (level != SOL_SOCKET && ep->family == AF_UNIX)
        return -EOPNOTSUPP;
    if (!val && n > 0)
        return -EFAULT;
    if (ep->mail && thi_sim_group_is_option(level, name))
        return thi_sim_group_change(ep, name, val, n);
    if (level == SOL_SOCKET && name == SO_ZEROCOPY) /* memory is never lent here */
        return -EOPNOTSUPP;
    if (level == IPPROTO_TCP && name == TCP_ULP) /* nor is TLS in this kernel */
        return -EOPNOTSUPP;
    if (n < 1 || n > THI_SIM_OPTION_SIZE)
        return -EINVAL;
    thi_sim_option *o = find(ep, level, name);
    if (!o && ep->option_count == THI_SIM_OPTIONS)
        return -ENOBUFS;
    if (!o)
        o = &ep->options[ep->option_count++];
    *o = (thi_sim_option){ .level = level, .name = name, .len = n };
    memcpy(o->value, val, n);
    return 0;
}

static int take_error(thi_sim_endpoint *ep)
{
    int error = ep->error;
    ep->error = 0;
    return error;
}

/* What the socket itself knows; false for what must have been set. */
static bool ask_socket(thi_sim_endpoint *ep, int name, int *value)
{
    switch (name) {
    case SO_ERROR:
        *value = take_error(ep);
        return true;
    case SO_TYPE:
        *value = ep->mail ? SOCK_DGRAM : SOCK_STREAM;
        return true;
    case SO_DOMAIN:
        *value = ep->family;
        return true;
    case SO_PROTOCOL:
        *value = ep->family == AF_UNIX ? 0 : ep->mail ? IPPROTO_UDP : IPPROTO_TCP;
        return true;
    case SO_ACCEPTCONN:
        *value = ep->state == THI_SIM_LISTENING;
        return true;
    default:
        return false;
    }
}

/* How much of what was written waits in the sender's buffer: SO_MEMINFO, which is in no manual. */
static void ask_memory(const thi_sim_endpoint *ep, uint32_t info[SK_MEMINFO_VARS])
{
    if (ep->state != THI_SIM_CONNECTED || ep->mail)
        return;
    const thi_sim_flow *out = thi_sim_outflow(ep);
    info[SK_MEMINFO_SNDBUF] = (uint32_t)out->size;
    info[SK_MEMINFO_WMEM_QUEUED] = (uint32_t)(out->sent - out->acked);
}

/* Both ends are of this process, and it is real. */
static int ask_peer(thi_sim_endpoint *ep, void *val, socklen_t *n)
{
    int fds[2];
    if (ep->family != AF_UNIX || ep->state != THI_SIM_CONNECTED)
        return -EOPNOTSUPP;
    int err = thi_sys_real.socketpair(AF_UNIX, SOCK_STREAM, fds);
    if (err < 0)
        return err;
    err = thi_sys_real.getsockopt(fds[0], SOL_SOCKET, SO_PEERCRED, val, n);
    (void)thi_sys_real.close(fds[0]);
    (void)thi_sys_real.close(fds[1]);
    return err;
}

static int give(const void *value, socklen_t len, void *val, socklen_t *n)
{
    *n = thi_min(*n, len);
    memcpy(val, value, *n);
    return 0;
}

int thi_sim_sockopt_get(thi_sim_endpoint *ep, int level, int name, void *val, socklen_t *n)
{
    int value = 0;
    if (!val || !n)
        return -EFAULT;
    if (level == SOL_SOCKET && ask_socket(ep, name, &value))
        return give(&value, sizeof value, val, n);
    if (level == SOL_SOCKET && name == SO_PEERCRED)
        return ask_peer(ep, val, n);
    if (level == SOL_SOCKET && name == SO_MEMINFO) {
        uint32_t info[SK_MEMINFO_VARS] = { 0 };
        ask_memory(ep, info);
        return give(info, sizeof info, val, n);
    }
    if (level != SOL_SOCKET && ep->family == AF_UNIX)
        return -EOPNOTSUPP;
    const thi_sim_option *o = find(ep, level, name);
    return o ? give(o->value, o->len, val, n) : give(&value, sizeof value, val, n);
}

int thi_sim_sockopt_int(const thi_sim_endpoint *ep, int level, int name)
{
    int value = 0;
    for (unsigned i = 0; i < ep->option_count; i++)
        if (ep->options[i].level == level && ep->options[i].name == name)
            memcpy(&value, ep->options[i].value, thi_min(sizeof value, (size_t)ep->options[i].len));
    return value;
}

bool thi_sim_sockopt_aborts(const thi_sim_endpoint *ep)
{
    for (unsigned i = 0; i < ep->option_count; i++) {
        const thi_sim_option *o = &ep->options[i];
        struct linger linger;
        if (o->level != SOL_SOCKET || o->name != SO_LINGER || o->len < sizeof linger)
            continue;
        memcpy(&linger, o->value, sizeof linger);
        return linger.l_onoff && linger.l_linger == 0;
    }
    return false;
}

void thi_sim_sockopt_inherit(thi_sim_endpoint *ep, const thi_sim_endpoint *listener)
{
    memcpy(ep->options, listener->options, sizeof ep->options);
    ep->option_count = listener->option_count;
}
