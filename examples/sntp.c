/* SPDX-License-Identifier: MIT */

/*
 * A time server over UDP, and its client: SNTP version 4, RFC 4330.
 *
 * `sntp ADDRESS` serves the time of this machine. `sntp --query ADDRESS` asks a server, three times
 * if need be, and prints how far this clock is from that one, and how long the way was.
 */
#include <thrum.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PACKET     48
#define ERA        INT64_C(2208988800) /* seconds from 1900 to 1970 */
#define VERSION    4
#define CLIENT     3
#define SERVER     4
#define ATTEMPTS   3
#define PATIENCE   TH_SECOND
#define AT_ORIGIN  24 /* what the client sent as its time, */
#define AT_RECEIVE 32 /* when the server had it, */
#define AT_SEND    40 /* and when it answered */

/* ---- time stamps: seconds since 1900 and 2^-32 of them, in network order ---- */

static void put_time(unsigned char *at, int64_t wall)
{
    uint64_t seconds = (uint64_t)(wall / TH_SECOND + ERA);
    uint64_t fraction = ((uint64_t)(wall % TH_SECOND) << 32) / (uint64_t)TH_SECOND;
    uint64_t stamp = seconds << 32 | fraction;
    for (int i = 0; i < 8; i++)
        at[i] = (unsigned char)(stamp >> (56 - 8 * i));
}

static int64_t get_time(const unsigned char *at)
{
    uint64_t stamp = 0;
    for (int i = 0; i < 8; i++)
        stamp = stamp << 8 | at[i];
    /* Since 2036 the seconds begin anew, with the first bit clear: RFC 4330, section 3. */
    int64_t seconds = (int64_t)(stamp >> 32) + (stamp >> 63 ? 0 : INT64_C(1) << 32) - ERA;
    uint64_t fraction = (stamp & UINT32_MAX) * (uint64_t)TH_SECOND;
    return seconds * TH_SECOND + (int64_t)((fraction + (UINT64_C(1) << 31)) >> 32);
}

/* ---- the server ---- */

/* Makes the answer of the question; 0 for what is none. */
static int answer(th_dgram *d, int64_t received)
{
    unsigned char *p = d->data;
    unsigned char asked[8];
    if (d->size < PACKET || (p[0] & 7) != CLIENT)
        return 0;
    int version = p[0] >> 3 & 7;
    memcpy(asked, p + AT_SEND, sizeof asked);
    memset(p, 0, PACKET);
    p[0] = (unsigned char)(version << 3 | SERVER);
    p[1] = 1;    /* stratum: this clock is the reference */
    p[3] = 0xec; /* precision: 2^-20 s */
    memcpy(p + 12, "LOCL", 4);
    put_time(p + 16, received); /* when the clock was last set: it is its own measure */
    memcpy(p + AT_ORIGIN, asked, sizeof asked);
    put_time(p + AT_RECEIVE, received);
    put_time(p + AT_SEND, th_wall());
    d->size = PACKET;
    return 1;
}

static int serve(th_udp *udp, void *arg)
{
    th_udp_batch *batch;
    th_dgram *dgrams;
    (void)arg;
    int n = th_udp_batch_new(32, 256, &batch);
    if (n < 0)
        return n;
    while ((n = th_udp_recv_batch(udp, batch, &dgrams)) > 0) {
        int64_t received = th_wall();
        size_t answers = 0;
        for (int i = 0; i < n; i++)
            if (answer(&dgrams[i], received))
                dgrams[answers++] = dgrams[i];
        (void)th_udp_send_batch(udp, dgrams, answers);
    }
    th_udp_batch_free(batch);
    return n;
}

static void listening(const th_addr *addr, void *arg)
{
    (void)arg;
    char text[TH_ADDR_TEXT];
    printf("listening on %s\n", th_addr_format(addr, text, sizeof text));
    fflush(stdout);
}

/* ---- the client ---- */

/* Waits for the answer to what was sent; anything else is of somebody else, or of long ago. */
static int await_answer(th_udp *udp, const unsigned char *asked, unsigned char *p)
{
    for (;;) {
        ssize_t n = th_udp_recv(udp, p, PACKET, NULL, NULL);
        if (n < 0)
            return (int)n;
        if (n == PACKET && (p[0] & 7) == SERVER && memcmp(p + AT_ORIGIN, asked, 8) == 0)
            return p[1] == 0 ? TH_EPROTO : 0; /* "kiss of death": go away */
    }
}

static int ask_once(th_udp *udp)
{
    unsigned char p[PACKET] = { VERSION << 3 | CLIENT };
    unsigned char asked[8];
    int64_t sent = th_wall();
    put_time(p + AT_SEND, sent);
    memcpy(asked, p + AT_SEND, sizeof asked);
    int err = th_udp_send(udp, p, sizeof p, NULL);
    if (err == 0)
        err = await_answer(udp, asked, p);
    if (err < 0)
        return err;
    int64_t back = th_wall();
    int64_t there = get_time(p + AT_RECEIVE);
    int64_t thence = get_time(p + AT_SEND);
    printf("offset %+" PRId64 " us, delay %" PRId64 " us, stratum %d\n",
           ((there - sent) + (thence - back)) / 2 / TH_MICROSECOND,
           ((back - sent) - (thence - there)) / TH_MICROSECOND, p[1]);
    return 0;
}

/* A datagram may be lost, so it is tried again; that nobody is there need not be tried twice. */
static int query(const char *address)
{
    th_udp *udp;
    th_scope scope;
    int err = th_udp_dial(address, NULL, &udp);
    if (err < 0)
        return err;
    for (int i = 0; i < ATTEMPTS; i++) {
        err = th_scope_open(&scope, &(th_scope_opts){ .deadline = th_after(PATIENCE) });
        if (err == 0) {
            err = ask_once(udp);
            (void)th_scope_close(&scope);
        }
        if (err != -ETIMEDOUT)
            break;
    }
    th_udp_free(udp);
    return err;
}

static int app(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--query") == 0)
        return query(argv[2]);
    th_udp_opts udp = { .tell = TH_UDP_TELL_LOCAL };
    th_udp_serve_opts opts = { .udp = &udp, .listening = listening };
    return th_udp_serve(argc > 1 ? argv[1] : "udp://127.0.0.1:1123", serve, NULL, &opts);
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
