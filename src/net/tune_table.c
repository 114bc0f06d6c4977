/* SPDX-License-Identifier: MIT */

/* The table of options. Names and stages come from TH_TUNE_LIST, the rest stands here. */
#include "net/tune_table.h"

#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

/* Newer than the headers of some systems. */
#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif

#define US INT64_C(1000)
#define MS (1000 * US)
#define S  (1000 * MS)

#define SOCKET(kind_, sockets_, option_)                                                           \
    .kind = THI_TUNE_##kind_, .sockets = THI_TUNE_ON_##sockets_, .level = SOL_SOCKET,              \
    .option = (option_)
#define TCP(kind_, option_)                                                                        \
    .kind = THI_TUNE_##kind_, .sockets = THI_TUNE_ON_TCP, .level = IPPROTO_TCP, .option = (option_)
#define IP(kind_, option_)                                                                         \
    .kind = THI_TUNE_##kind_, .sockets = THI_TUNE_ON_INET, .level = IPPROTO_IP, .option = (option_)

#define AS_NODELAY   TCP(FLAG, TCP_NODELAY)
#define AS_QUICKACK  TCP(FLAG, TCP_QUICKACK)
#define AS_THIN      TCP(FLAG, TCP_THIN_LINEAR_TIMEOUTS)
#define AS_OOBINLINE SOCKET(FLAG, ALL, SO_OOBINLINE)
#define AS_ZEROCOPY  SOCKET(FLAG, INET, SO_ZEROCOPY)
#define AS_REUSEADDR SOCKET(FLAG, INET, SO_REUSEADDR)
#define AS_REUSEPORT SOCKET(FLAG, INET, SO_REUSEPORT)
#define AS_V6ONLY                                                                                  \
    .kind = THI_TUNE_FLAG, .sockets = THI_TUNE_ON_IP6, .level = IPPROTO_IPV6, .option = IPV6_V6ONLY
#define AS_FREEBIND           IP(FLAG, IP_FREEBIND)
#define AS_TRANSPARENT        IP(FLAG, IP_TRANSPARENT)
#define AS_BIND_LATE          IP(FLAG, IP_BIND_ADDRESS_NO_PORT)
#define AS_PREFER_BUSY_POLL   SOCKET(FLAG, INET, SO_PREFER_BUSY_POLL)
#define AS_RCVBUF             SOCKET(BUFFER, ALL, SO_RCVBUF)
#define AS_SNDBUF             SOCKET(BUFFER, ALL, SO_SNDBUF)
#define AS_RCVLOWAT           SOCKET(BYTES, ALL, SO_RCVLOWAT)
#define AS_NOTSENT_LOWAT      TCP(BYTES, TCP_NOTSENT_LOWAT)
#define AS_WINDOW_CLAMP       TCP(BYTES, TCP_WINDOW_CLAMP)
#define AS_PACING             SOCKET(RATE, INET, SO_MAX_PACING_RATE), .max = INT64_MAX
#define AS_USER_TIMEOUT       TCP(TIME, TCP_USER_TIMEOUT), .unit = MS
#define AS_KEEPALIVE          SOCKET(FLAG, TCP, SO_KEEPALIVE)
#define AS_KEEPALIVE_IDLE     TCP(TIME, TCP_KEEPIDLE), .unit = S
#define AS_KEEPALIVE_INTERVAL TCP(TIME, TCP_KEEPINTVL), .unit = S
#define AS_KEEPALIVE_COUNT    TCP(NUMBER, TCP_KEEPCNT)
#define AS_LINGER             SOCKET(LINGER, ALL, SO_LINGER), .unit = S
#define AS_FIN_TIMEOUT        TCP(TIME, TCP_LINGER2), .unit = S
#define AS_DEFER_ACCEPT       TCP(TIME, TCP_DEFER_ACCEPT), .unit = S
#define AS_BUSY_POLL          SOCKET(TIME, INET, SO_BUSY_POLL), .unit = US
#define AS_FASTOPEN           TCP(NUMBER, TCP_FASTOPEN)
#define AS_MAXSEG             TCP(NUMBER, TCP_MAXSEG)
#define AS_SYNCNT             TCP(NUMBER, TCP_SYNCNT)
#define AS_PRIORITY           SOCKET(NUMBER, INET, SO_PRIORITY)
#define AS_MARK               SOCKET(NUMBER, INET, SO_MARK), .max = UINT32_MAX
#define AS_TOS                IP(NUMBER, IP_TOS), .option6 = IPV6_TCLASS, .max = 255
#define AS_TTL                IP(NUMBER, IP_TTL), .option6 = IPV6_UNICAST_HOPS, .max = 255
#define AS_INCOMING_CPU       SOCKET(NUMBER, INET, SO_INCOMING_CPU)
#define AS_CONGESTION         TCP(TEXT, TCP_CONGESTION)
#define AS_DEVICE             SOCKET(TEXT, INET, SO_BINDTODEVICE)

const thi_tune_entry thi_tune_entries[TH_TUNE_OPTIONS] = {
#define ENTRY(NAME, member, STAGE, what)                                                           \
    [TH_TUNE_##NAME] = { .name = #member,                                                          \
                         .offset = offsetof(th_tune, member),                                      \
                         .size = sizeof((th_tune){ .size = 0 }.member),                            \
                         .stage = THI_TUNE_##STAGE,                                                \
                         AS_##NAME },
    TH_TUNE_LIST(ENTRY)
#undef ENTRY
};

static const void *member(const th_tune *tune, const thi_tune_entry *e)
{
    return (const char *)tune + e->offset;
}

int64_t thi_tune_get(const th_tune *tune, const thi_tune_entry *e)
{
    int64_t wide = 0;
    int narrow = 0;
    if (e->size == sizeof wide)
        memcpy(&wide, member(tune, e), sizeof wide);
    else
        memcpy(&narrow, member(tune, e), sizeof narrow);
    return e->size == sizeof wide ? wide : narrow;
}

const char *thi_tune_text(const th_tune *tune, const thi_tune_entry *e)
{
    return member(tune, e);
}

void thi_tune_put(th_tune *tune, enum th_tune_option option, int64_t value)
{
    const thi_tune_entry *e = &thi_tune_entries[option];
    int narrow = (int)value;
    char *at = (char *)tune + e->offset;
    if (e->size == sizeof value)
        memcpy(at, &value, sizeof value);
    else
        memcpy(at, &narrow, sizeof narrow);
    tune->given |= TH_TUNE_BIT(option);
}

void thi_tune_put_text(th_tune *tune, enum th_tune_option option, const char *text, size_t len)
{
    const thi_tune_entry *e = &thi_tune_entries[option];
    char *at = (char *)tune + e->offset;
    memset(at, 0, e->size);
    memcpy(at, text, len);
    tune->given |= TH_TUNE_BIT(option);
}

void thi_tune_drop(th_tune *tune, enum th_tune_option option)
{
    const thi_tune_entry *e = &thi_tune_entries[option];
    memset((char *)tune + e->offset, 0, e->size);
    tune->given &= ~TH_TUNE_BIT(option);
}

bool thi_tune_is_set(const th_tune *tune, enum th_tune_option option)
{
    const thi_tune_entry *e = &thi_tune_entries[option];
    if (tune->given & TH_TUNE_BIT(option))
        return true;
    return e->kind == THI_TUNE_TEXT ? *thi_tune_text(tune, e) != '\0' : thi_tune_get(tune, e) != 0;
}

bool thi_tune_in_range(const thi_tune_entry *e, int64_t value)
{
    int64_t max = e->max ? e->max : INT_MAX;
    if (e->kind == THI_TUNE_TEXT || (e->kind == THI_TUNE_LINGER && value == -1))
        return true;
    if (e->kind == THI_TUNE_FLAG)
        return value == 0 || value == 1;
    if (e->kind == THI_TUNE_TIME || e->kind == THI_TUNE_LINGER)
        value = value / e->unit + (value % e->unit > 0);
    return value >= 0 && value <= max;
}
