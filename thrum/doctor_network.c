/* SPDX-License-Identifier: MIT */

/* The network: queues of clients, ports, connections that have ended, buffers, what is tracked. */
#include "doctor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG_ENOUGH  4096
#define TIME_WAIT       60 /* seconds, fixed in the kernel */
#define PORT_MAX        65535
#define PORT_FIRST      1024
#define WINDOW_GOOD     (8 << 20) /* to take in 40 MiB/s over 100 ms */
#define DATAGRAM        1400
#define DATAGRAM_COSTS  2304 /* what the kernel charges for one of an Ethernet frame's size */
#define BUFFER_PER_BUSY 8192 /* what a connection that has something under way needs at least */

static int64_t ipv4(const doctor *d, const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "/proc/sys/net/ipv4/%s", name);
    return doctor_number(d, path);
}

static int64_t core(const doctor *d, const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "/proc/sys/net/core/%s", name);
    return doctor_number(d, path);
}

/* After a restart all clients come back at once; a tenth of them shall find room. */
static void look_at_backlog(doctor *d)
{
    doctor_finding *f = doctor_begin(d, "backlog");
    doctor_words a;
    int64_t queue = core(d, "somaxconn");
    int64_t half = ipv4(d, "tcp_max_syn_backlog");
    int64_t cookies = ipv4(d, "tcp_syncookies");
    int64_t need = d->goal / 10 < BACKLOG_ENOUGH ? d->goal / 10 : BACKLOG_ENOUGH;
    doctor_fact(f, "%s clients may wait to be accepted", doctor_count(queue, &a));
    doctor_fact(f, ", %s for their handshake%s", doctor_count(half, &a),
                cookies > 0 ? " and any number beyond that by cookies" : "");
    doctor_value_add(f, "somaxconn", queue);
    doctor_value_add(f, "tcp_max_syn_backlog", half);
    doctor_value_add(f, "tcp_syncookies", cookies);
    if (queue != DOCTOR_UNKNOWN && queue < need)
        doctor_change(f, DOCTOR_MEND, "sysctl -w net.core.somaxconn=%d", BACKLOG_ENOUGH);
    if (cookies == 0)
        doctor_change(f, DOCTOR_NOTE, "sysctl -w net.ipv4.tcp_syncookies=1");
    if (cookies == 0 && half != DOCTOR_UNKNOWN && half < need)
        doctor_change(f, DOCTOR_MEND, "sysctl -w net.ipv4.tcp_max_syn_backlog=%d", BACKLOG_ENOUGH);
    if (f->level == DOCTOR_MEND)
        doctor_means(f,
                     "when %s clients come back at once, those that find no room try again "
                     "after one second, then three",
                     doctor_count(d->goal, &a));
}

/* Reserved ports in a range: "8080,9000-9010". */
static int64_t reserved_ports(const doctor *d, int64_t first, int64_t last)
{
    char text[4096];
    char *rest = NULL;
    int64_t count = 0;
    if (!doctor_read(d, "/proc/sys/net/ipv4/ip_local_reserved_ports", text, sizeof text))
        return 0;
    for (char *part = strtok_r(text, ",", &rest); part; part = strtok_r(NULL, ",", &rest)) {
        const char *at = part;
        int64_t from = doctor_parse(&at);
        int64_t to = from;
        if (from == DOCTOR_UNKNOWN)
            continue;
        if (*at == '-') {
            at++;
            to = doctor_parse(&at);
        }
        if (from < first)
            from = first;
        if (to > last)
            to = last;
        count += to >= from ? to - from + 1 : 0;
    }
    return count;
}

static void look_at_ports(doctor *d)
{
    doctor_finding *f = doctor_begin(d, "ports");
    doctor_words a;
    int64_t range[2];
    if (doctor_counts(d, "/proc/sys/net/ipv4/ip_local_port_range", range, 2) != 2) {
        doctor_fact(f, "unknown");
        return;
    }
    d->ports = range[1] - range[0] + 1 - reserved_ports(d, range[0], range[1]);
    if (d->ports < 0)
        d->ports = 0;
    doctor_fact(f, "%" PRId64 " to %" PRId64 " for connections that are made from here: %s",
                range[0], range[1], doctor_count(d->ports, &a));
    doctor_value_add(f, "first", range[0]);
    doctor_value_add(f, "last", range[1]);
    doctor_value_add(f, "usable", d->ports);
    doctor_means(f, "so many at the same time to one address and port, from one source address");
    if (!d->outgoing)
        return;
    doctor_bound(d, f, d->ports);
    if (d->ports >= d->goal)
        return;
    if (range[0] > PORT_FIRST || range[1] < PORT_MAX)
        doctor_change(f, DOCTOR_MEND, "sysctl -w net.ipv4.ip_local_port_range=\"%d %d\"",
                      PORT_FIRST, PORT_MAX);
    if (d->goal > PORT_MAX - PORT_FIRST + 1)
        doctor_change(f, DOCTOR_MEND,
                      "%" PRId64
                      " source addresses (th_dial_opts.source), or as many addresses to call",
                      ((d->goal + PORT_MAX - PORT_FIRST) / (PORT_MAX - PORT_FIRST + 1)));
}

static void look_at_time_wait(doctor *d)
{
    static const char *const reuse_words[] = { "are not used again", "are used again",
                                               "are used again on the loopback alone" };
    doctor_finding *f = doctor_begin(d, "ended connections");
    doctor_words a;
    doctor_words b;
    int64_t reuse = ipv4(d, "tcp_tw_reuse");
    int64_t most = ipv4(d, "tcp_max_tw_buckets");
    int64_t stamps = ipv4(d, "tcp_timestamps");
    doctor_fact(f, "%s wait for %d s, and their ports %s", doctor_count(most, &a), TIME_WAIT,
                reuse >= 0 && reuse <= 2 ? reuse_words[reuse] : "may be used again");
    doctor_value_add(f, "tcp_tw_reuse", reuse);
    doctor_value_add(f, "tcp_max_tw_buckets", most);
    doctor_value_add(f, "new_per_second", reuse == 1 ? DOCTOR_UNLIMITED : d->ports / TIME_WAIT);
    if (reuse == 1)
        return;
    doctor_means(f,
                 "whoever closes first from here can make %s new connections a second to one "
                 "address and port",
                 doctor_count(d->ports / TIME_WAIT, &b));
    if (d->outgoing && reuse != DOCTOR_UNKNOWN)
        doctor_change(f, DOCTOR_NOTE, "sysctl -w net.ipv4.tcp_tw_reuse=1");
    if (d->outgoing && stamps == 0)
        doctor_change(f, DOCTOR_NOTE, "sysctl -w net.ipv4.tcp_timestamps=1");
}

/* tcp_mem counts pages; beyond the third number nothing more is queued, whatever the process. */
static void look_at_tcp_memory(doctor *d)
{
    doctor_finding *f = doctor_begin(d, "TCP memory");
    doctor_words a;
    doctor_words b;
    int64_t pages[3];
    int64_t page = sysconf(_SC_PAGESIZE);
    if (doctor_counts(d, "/proc/sys/net/ipv4/tcp_mem", pages, 3) != 3) {
        doctor_fact(f, "unknown");
        return;
    }
    int64_t most = pages[2] * page;
    doctor_fact(f, "%s for what is under way on all connections together", doctor_size(most, &a));
    doctor_means(f, "%s for each of %s connections, if all are busy",
                 doctor_size(most / d->goal, &a), doctor_count(d->goal, &b));
    doctor_value_add(f, "most", most);
    doctor_value_add(f, "per_connection", most / d->goal);
    if (most / d->goal >= BUFFER_PER_BUSY)
        return;
    int64_t need = d->goal * BUFFER_PER_BUSY / page;
    doctor_change(f, DOCTOR_MEND,
                  "sysctl -w net.ipv4.tcp_mem=\"%" PRId64 " %" PRId64 " %" PRId64 "\"", (need / 2),
                  (need / 4 * 3), need);
}

static void look_at_buffers(doctor *d)
{
    doctor_finding *f = doctor_begin(d, "TCP buffers");
    doctor_words a;
    doctor_words b;
    int64_t in[3];
    int64_t out[3];
    if (doctor_counts(d, "/proc/sys/net/ipv4/tcp_rmem", in, 3) != 3 ||
        doctor_counts(d, "/proc/sys/net/ipv4/tcp_wmem", out, 3) != 3) {
        doctor_fact(f, "unknown");
        return;
    }
    doctor_fact(f, "up to %s to receive and %s to send, as the kernel sees fit",
                doctor_size(in[2], &a), doctor_size(out[2], &b));
    d->window = in[2] / 2; /* the other half is for what the packets themselves need */
    doctor_means(f, "over 100 ms of way one connection takes in %s/s and sends %s/s",
                 doctor_size(d->window * 10, &a), doctor_size(out[2] / 2 * 10, &b));
    doctor_value_add(f, "receive_default", in[1]);
    doctor_value_add(f, "receive_max", in[2]);
    doctor_value_add(f, "send_default", out[1]);
    doctor_value_add(f, "send_max", out[2]);
    if (in[2] / 2 < WINDOW_GOOD / 4)
        doctor_change(f, DOCTOR_NOTE, "sysctl -w net.ipv4.tcp_rmem=\"4096 131072 %d\"",
                      WINDOW_GOOD);
    if (out[2] / 2 < WINDOW_GOOD / 4)
        doctor_change(f, DOCTOR_NOTE, "sysctl -w net.ipv4.tcp_wmem=\"4096 16384 %d\"", WINDOW_GOOD);
}

/* A buffer that is asked for by its size is limited by these, for TCP and for datagrams. */
static void look_at_datagrams(doctor *d)
{
    doctor_finding *f = doctor_begin(d, "UDP buffers");
    doctor_words a;
    doctor_words b;
    int64_t usual = core(d, "rmem_default");
    int64_t in = core(d, "rmem_max");
    int64_t out = core(d, "wmem_max");
    doctor_fact(f, "%s to receive, or up to %s on demand", doctor_size(usual, &a),
                doctor_size(in, &b));
    doctor_value_add(f, "rmem_default", usual);
    doctor_value_add(f, "rmem_max", in);
    doctor_value_add(f, "wmem_max", out);
    if (in == DOCTOR_UNKNOWN || in == DOCTOR_UNLIMITED)
        return;
    /* What is asked for is doubled, to pay for the packets themselves. */
    int64_t holds = in * 2 / DATAGRAM_COSTS;
    doctor_means(
        f, "on demand %s datagrams of %d bytes wait; at 100,000 a second these are %" PRId64 " ms",
        doctor_count(holds, &a), DATAGRAM, (holds / 100));
    if (in < 1 << 20)
        doctor_change(f, DOCTOR_NOTE, "sysctl -w net.core.rmem_max=4194304");
    if (out != DOCTOR_UNKNOWN && out < 1 << 20)
        doctor_change(f, DOCTOR_NOTE, "sysctl -w net.core.wmem_max=4194304");
}

/* A firewall that tracks connections drops the packets of those that it has no room for. */
static void look_at_tracking(doctor *d)
{
    int64_t most = doctor_number(d, "/proc/sys/net/netfilter/nf_conntrack_max");
    int64_t used = doctor_number(d, "/proc/sys/net/netfilter/nf_conntrack_count");
    doctor_words a;
    doctor_words b;
    if (most == DOCTOR_UNKNOWN)
        return;
    doctor_finding *f = doctor_begin(d, "connection tracking");
    int64_t left = used == DOCTOR_UNKNOWN ? most : used < most ? most - used : 0;
    doctor_fact(f, "%s connections, of which %s are there", doctor_count(most, &a),
                doctor_count(used, &b));
    doctor_value_add(f, "most", most);
    doctor_value_add(f, "used", used);
    doctor_bound(d, f, left);
    if (left >= d->goal)
        return;
    doctor_means(f, "the firewall drops packets of connections that it has no room for");
    doctor_change(f, DOCTOR_MEND, "sysctl -w net.netfilter.nf_conntrack_max=%" PRId64,
                  (d->goal * 2 + doctor_finite(used)));
}

static void look_at_congestion(doctor *d)
{
    char now[64];
    char all[256];
    if (!doctor_read(d, "/proc/sys/net/ipv4/tcp_congestion_control", now, sizeof now))
        return;
    doctor_finding *f = doctor_begin(d, "congestion control");
    doctor_fact(f, "%s", now);
    if (doctor_read(d, "/proc/sys/net/ipv4/tcp_available_congestion_control", all, sizeof all))
        doctor_fact(f, "; there are: %s", all);
}

void doctor_look_at_network(doctor *d)
{
    look_at_backlog(d);
    look_at_ports(d);
    look_at_time_wait(d);
    look_at_tcp_memory(d);
    look_at_buffers(d);
    look_at_datagrams(d);
    look_at_tracking(d);
    look_at_congestion(d);
}
