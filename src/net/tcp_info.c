/* SPDX-License-Identifier: MIT */

/*
 * What TCP knows of a connection.
 *
 * The structure is <linux/tcp.h>'s, which is newer than libc's and must not be included beside it.
 * It only ever grows: an older kernel fills less of it, and the rest stays 0.
 */
#include <thrum/tune.h>

#include "base/error.h"
#include "io/stream.h"
#include "sys/sys.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>

#define US INT64_C(1000)
#define MS INT64_C(1000000)

static void translate(const struct tcp_info *k, th_tcp_info *info)
{
    *info = (th_tcp_info){
        .state = k->tcpi_state,
        .rtt = k->tcpi_rtt * US,
        .rttvar = k->tcpi_rttvar * US,
        .min_rtt = k->tcpi_min_rtt == UINT32_MAX ? 0 : k->tcpi_min_rtt * US,
        .rto = k->tcpi_rto * US,
        .since_sent = k->tcpi_last_data_sent * MS,
        .since_received = k->tcpi_last_data_recv * MS,
        .mss = k->tcpi_snd_mss,
        .cwnd = k->tcpi_snd_cwnd,
        .ssthresh = k->tcpi_snd_ssthresh,
        .unacked = k->tcpi_unacked,
        .lost = k->tcpi_lost,
        .retransmits = k->tcpi_retransmits,
        .retransmitted = k->tcpi_total_retrans,
        .reordering = k->tcpi_reordering,
        .notsent = k->tcpi_notsent_bytes,
        .send_window = k->tcpi_snd_wnd,
        .bytes_sent = k->tcpi_bytes_sent,
        .bytes_acked = k->tcpi_bytes_acked,
        .bytes_received = k->tcpi_bytes_received,
        .delivery_rate = k->tcpi_delivery_rate,
        .pacing_rate = k->tcpi_pacing_rate,
        .busy = (int64_t)k->tcpi_busy_time * US,
        .window_limited = (int64_t)k->tcpi_rwnd_limited * US,
        .buffer_limited = (int64_t)k->tcpi_sndbuf_limited * US,
    };
}

int th_stream_tcp_info(th_stream *stream, th_tcp_info *info)
{
    struct tcp_info kernel = { .tcpi_state = 0 };
    socklen_t len = sizeof kernel;
    if (!stream || !info)
        return thi_err_clear(-EINVAL);
    int fd = stream->ops->descriptor ? stream->ops->descriptor(stream) : -EOPNOTSUPP;
    if (fd < 0)
        return thi_err_clear(fd);
    int err = thi_sys_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &kernel, &len);
    if (err == -ENOTSOCK || err == -ENOPROTOOPT)
        err = -EOPNOTSUPP;
    if (err < 0)
        return thi_err_clear(err);
    translate(&kernel, info);
    return 0;
}
