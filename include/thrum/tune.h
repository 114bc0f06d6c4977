/* SPDX-License-Identifier: MIT */

/*
 * Tuning sockets: every option by name, as a structure or as text.
 *
 * A th_tune holds values for some options and leaves the others as they are. In text it is a list:
 *
 *     latency,rcvbuf=1M,keepalive=60/10/5,user_timeout=30s
 *
 * An option without a value is switched on. Sizes take K, M and G (of 1024), times take us, ms, s,
 * m and h, and are seconds without a unit. Later entries win over earlier ones. An entry may be the
 * name of a profile, which stands for several options and is advice: of these are left out without
 * a word those that a socket does not have or the process has no right to. An option that was named
 * itself is never left out: it takes effect, or there is an error that names it.
 *
 * Profiles:
 * - latency      nodelay, quickack, notsent_lowat=16K, thin
 * - throughput   nodelay=0, notsent_lowat=1M, zerocopy
 * - many-idle    keepalive=120/30/4, user_timeout=4m, rcvbuf=64K, sndbuf=64K, notsent_lowat=16K
 *
 * When each option is set, on sockets that listen, connect, or are connected, and how it comes to
 * accepted connections, is in TH_TUNE_LIST.
 */
#ifndef THRUM_TUNE_H
#define THRUM_TUNE_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/defs.h>
#include <thrum/stream.h>

TH_BEGIN_DECLS

struct th_listener; /* thrum/serve.h */

/*
 * All options: X(NAME, member, stage, what it is).
 *
 * BIND: before an address is bound or connected, so for listeners and in dialling only; LISTEN: for
 * listeners only; DIAL: in dialling only; OPEN: for all, and at any time. What a TCP listener has
 * of these its connections inherit from the kernel. EACH: the same, but not inherited: it is set on
 * each accepted connection. On a Unix listener all that connections can have is set on each.
 */
#define TH_TUNE_LIST(X)                                                                            \
    X(NODELAY, nodelay, OPEN, "TCP_NODELAY: small writes leave at once; on unless switched off")   \
    X(QUICKACK, quickack, EACH,                                                                    \
      "TCP_QUICKACK: acknowledge at once, until the kernel thinks "                                \
      "better of it")                                                                              \
    X(THIN, thin, OPEN, "TCP_THIN_LINEAR_TIMEOUTS: no exponential waits on thin connections")      \
    X(OOBINLINE, oobinline, OPEN, "SO_OOBINLINE: urgent data among the other")                     \
    X(ZEROCOPY, zerocopy, OPEN, "SO_ZEROCOPY: sending without copying is allowed")                 \
    X(REUSEADDR, reuseaddr, BIND, "SO_REUSEADDR; on for listeners unless switched off")            \
    X(REUSEPORT, reuseport, BIND, "SO_REUSEPORT: several listeners share a port")                  \
    X(V6ONLY, v6only, BIND,                                                                        \
      "IPV6_V6ONLY: no IPv4 on an IPv6 socket; on for listeners unless "                           \
      "dual_stack")                                                                                \
    X(FREEBIND, freebind, BIND, "IP_FREEBIND: the address need not be there yet")                  \
    X(TRANSPARENT, transparent, BIND, "IP_TRANSPARENT: foreign addresses; needs CAP_NET_ADMIN")    \
    X(BIND_LATE, bind_late, DIAL, "IP_BIND_ADDRESS_NO_PORT: the port is chosen on connecting")     \
    X(PREFER_BUSY_POLL, prefer_busy_poll, OPEN, "SO_PREFER_BUSY_POLL; needs CAP_NET_ADMIN")        \
    X(RCVBUF, rcvbuf, OPEN, "SO_RCVBUF, bytes; the kernel counts double, and reads back so")       \
    X(SNDBUF, sndbuf, OPEN, "SO_SNDBUF, bytes; likewise")                                          \
    X(RCVLOWAT, rcvlowat, OPEN, "SO_RCVLOWAT: so many bytes make a socket readable")               \
    X(NOTSENT_LOWAT, notsent_lowat, OPEN,                                                          \
      "TCP_NOTSENT_LOWAT: unsent bytes that make it "                                              \
      "unwritable")                                                                                \
    X(WINDOW_CLAMP, window_clamp, OPEN, "TCP_WINDOW_CLAMP: bound of the window, bytes")            \
    X(PACING, pacing, OPEN, "SO_MAX_PACING_RATE, bytes a second")                                  \
    X(USER_TIMEOUT, user_timeout, OPEN, "TCP_USER_TIMEOUT: unacknowledged for so long is broken")  \
    X(KEEPALIVE, keepalive, OPEN, "SO_KEEPALIVE; in text also IDLE[/INTERVAL[/COUNT]]")            \
    X(KEEPALIVE_IDLE, keepalive_idle, OPEN, "TCP_KEEPIDLE: quiet time before the first probe")     \
    X(KEEPALIVE_INTERVAL, keepalive_interval, OPEN, "TCP_KEEPINTVL: time between probes")          \
    X(KEEPALIVE_COUNT, keepalive_count, OPEN, "TCP_KEEPCNT: probes without an answer")             \
    X(LINGER, linger, OPEN, "SO_LINGER: 0 resets on closing; in text also off")                    \
    X(FIN_TIMEOUT, fin_timeout, OPEN, "TCP_LINGER2: life of a half-closed connection")             \
    X(DEFER_ACCEPT, defer_accept, LISTEN, "TCP_DEFER_ACCEPT: wait so long for the first bytes")    \
    X(BUSY_POLL, busy_poll, OPEN, "SO_BUSY_POLL; older kernels want CAP_NET_ADMIN")                \
    X(FASTOPEN, fastopen, BIND,                                                                    \
      "TCP_FASTOPEN: length of its queue, in text also on (256); in dialling: "                    \
      "on or off")                                                                                 \
    X(MAXSEG, maxseg, BIND, "TCP_MAXSEG: largest segment, bytes")                                  \
    X(SYNCNT, syncnt, DIAL, "TCP_SYNCNT: attempts to connect")                                     \
    X(PRIORITY, priority, EACH, "SO_PRIORITY; above 6 it needs CAP_NET_ADMIN")                     \
    X(MARK, mark, OPEN, "SO_MARK; needs CAP_NET_ADMIN")                                            \
    X(TOS, tos, OPEN,                                                                              \
      "IP_TOS and IPV6_TCLASS; in text also dscp=46, dscp=ef, dscp=af41, dscp=cs1")                \
    X(TTL, ttl, OPEN, "IP_TTL and IPV6_UNICAST_HOPS")                                              \
    X(INCOMING_CPU, incoming_cpu, OPEN,                                                            \
      "SO_INCOMING_CPU: of listeners that share a port, this one is "                              \
      "for what arrives there; on connections the kernel changes it")                              \
    X(CONGESTION, congestion, OPEN, "TCP_CONGESTION: name of the algorithm")                       \
    X(DEVICE, device, BIND, "SO_BINDTODEVICE: name of the interface")

enum th_tune_option {
#define TH_TUNE_ENUM(name, member, stage, what) TH_TUNE_##name,
    TH_TUNE_LIST(TH_TUNE_ENUM)
#undef TH_TUNE_ENUM
        TH_TUNE_OPTIONS /* how many there are */
};

/* An option's bit in the masks of th_tune. */
#define TH_TUNE_BIT(option) (UINT64_C(1) << (option))

/*
 * Values of options. One that is not 0 is set; one that is 0 only if its bit is in `given`. All
 * zero changes nothing.
 */
typedef struct th_tune {
    size_t size;       /* sizeof(th_tune), or 0 for the present one */
    uint64_t given;    /* TH_TUNE_BIT()s of options that are set though they are 0 */
    uint64_t optional; /* of those that are left out where they cannot be had */
    /* On (1) or off (0). */
    int nodelay, quickack, thin, oobinline, zerocopy;
    int reuseaddr, reuseport, v6only, freebind, transparent, bind_late, prefer_busy_poll;
    /* Bytes. */
    int64_t rcvbuf, sndbuf, rcvlowat, notsent_lowat, window_clamp, pacing;
    /* Nanoseconds, rounded up to what the kernel counts in: seconds, but milliseconds of
     * user_timeout, microseconds of busy_poll. */
    int64_t user_timeout, keepalive_idle, keepalive_interval, fin_timeout, defer_accept, busy_poll;
    int64_t linger; /* -1: off */
    /* Numbers. */
    int keepalive, keepalive_count, fastopen, maxseg, syncnt, priority;
    int64_t mark;
    int tos, ttl, incoming_cpu;
    /* Names. */
    char congestion[16], device[16];
} th_tune;

/**
 * Reads options from text and adds them to those that are there.
 *
 * @param text  the list, as described above; borrowed
 * @param tune  in, out: zeroed for a new one; untouched on failure
 * @return 0; -ENOPROTOOPT for an option or profile that does not exist, TH_ECONFIG for a value that
 *         cannot be, each with a detail that names it; -EINVAL for NULL or an unknown size
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_tune_parse(const char *text, th_tune *tune);

/* Room for the text of any th_tune, with its NUL. */
#define TH_TUNE_TEXT 2048

/**
 * Writes options as text that th_tune_parse() reads.
 *
 * @param tune  the options
 * @param text  out: the text, cut if there is no room, with a NUL unless size is 0
 * @param size  bytes at text; TH_TUNE_TEXT is always enough
 * @return text
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API char *th_tune_format(const th_tune *tune, char *text, size_t size);

/**
 * Sets options of a connection.
 *
 * That is done in the order of the list; those before one that fails are set.
 *
 * @param stream  the stream
 * @param tune    the options
 * @return 0; -errno of the first that the kernel refuses (-EPERM without the right to it,
 *         -ENOENT for an unknown congestion algorithm), -EPERM also for a buffer larger than the
 *         system allows, which the kernel would cut without a word; -EOPNOTSUPP for one that such a
 *         socket does not have; -EINVAL for one that comes too late, or a value out of range; each
 *         with a detail that names it; -EOPNOTSUPP for a stream that is no socket; -EBADF when it
 *         is closed; -EINVAL for an unknown size
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_stream_tune(th_stream *stream, const th_tune *tune);

/**
 * Tells what is in force on a connection, as the kernel has it.
 *
 * @param stream  the stream
 * @param tune    out: all options that such a socket has, each with its bit in `given`
 * @return 0; -EOPNOTSUPP for a stream that is no socket; -EBADF when it is closed
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_stream_tuning(th_stream *stream, th_tune *tune);

/**
 * Sets options of a listener.
 *
 * Connections accepted from now on have them too. Options that have to be there earlier stand in
 * th_listen_opts.tune.
 *
 * @param listener  a listener that nobody serves yet
 * @param tune      the options
 * @return as th_stream_tune(); -EBADF when an orderly stop has ended listening
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_listener_tune(struct th_listener *listener, const th_tune *tune);

/**
 * Tells what is in force on a listener, as the kernel has it.
 *
 * @param listener  the listener
 * @param tune      out: all options that such a socket has, each with its bit in `given`
 * @return 0; -EBADF when an orderly stop has ended listening
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_listener_tuning(const struct th_listener *listener, th_tune *tune);

/* What TCP knows of a connection. Times are nanoseconds; what a kernel does not tell is 0. */
typedef struct th_tcp_info {
    int state;              /* as in the kernel: 1 is established */
    int64_t rtt;            /* smoothed round trip */
    int64_t rttvar;         /* its mean deviation */
    int64_t min_rtt;        /* the shortest */
    int64_t rto;            /* when what is not acknowledged will be sent again */
    int64_t since_sent;     /* since data were last sent */
    int64_t since_received; /* since data last came */
    uint32_t mss;           /* of segments sent, bytes */
    uint32_t cwnd;          /* congestion window, segments */
    uint32_t ssthresh;      /* of slow start, segments */
    uint32_t unacked;       /* segments on their way */
    uint32_t lost;          /* of these, thought lost */
    uint32_t retransmits;   /* of the oldest, one after the other; 0 when all goes well */
    uint32_t retransmitted; /* segments sent again, ever */
    uint32_t reordering;    /* how far out of order segments come */
    uint32_t notsent;       /* bytes written and not sent yet */
    uint32_t send_window;   /* what the peer can take, bytes */
    uint64_t bytes_sent;    /* with what was sent again */
    uint64_t bytes_acked;
    uint64_t bytes_received;
    uint64_t delivery_rate; /* bytes a second, as last measured */
    uint64_t pacing_rate;   /* bytes a second; UINT64_MAX: without bound */
    int64_t busy;           /* time spent sending */
    int64_t window_limited; /* of this, waiting for the peer's window */
    int64_t buffer_limited; /* of this, waiting for the own send buffer */
} th_tcp_info;

/**
 * Tells what TCP knows of a connection: round trip, losses, windows, rates.
 *
 * @param stream  the stream
 * @param info    out: as of this moment
 * @return 0; -EOPNOTSUPP for what is no TCP connection, -EBADF when it is closed
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_stream_tcp_info(th_stream *stream, th_tcp_info *info);

TH_END_DECLS

#endif
