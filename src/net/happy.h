/* SPDX-License-Identifier: MIT */

/*
 * Several attempts to connect, of which the first that succeeds counts (RFC 8305).
 *
 * The addresses come from whoever resolves them, at any time while the race goes on. All is one
 * fiber's: it is rung for by sockets and times, and steps.
 */
#ifndef THI_NET_HAPPY_H
#define THI_NET_HAPPY_H

#include "net/bell.h"
#include "net/socket.h"
#include "net/tune.h"

#include <thrum/addr.h>

/* How each attempt is made. */
typedef struct thi_race_opts {
    th_addr source;     /* TH_ADDR_NONE: any */
    const char *device; /* NULL: any */
    int64_t delay;      /* after which the next attempt joins in, ns */
    unsigned attempts_max;
    const th_tune *tune; /* options of the sockets; NULL: none */
    char *why;           /* room for THI_RACE_WHY bytes: the option that could not be set; or "" */
} thi_race_opts;

#define THI_RACE_WHY 104

typedef struct thi_attempt thi_attempt;

/* The families take turns in this order, unless `turn` says otherwise before the first attempt. */
enum { THI_RACE_IP6, THI_RACE_IP4, THI_RACE_QUEUES };

typedef struct thi_race {
    const thi_race_opts *opts;
    thi_bell *bell;
    thi_list waiting[THI_RACE_QUEUES]; /* attempts to be made */
    thi_list running;
    thi_list failed;   /* in the order in which they did */
    unsigned attempts; /* made so far */
    int turn;          /* whose turn it is */
    thi_timer timer;   /* when the next one joins in */
    bool may_start;    /* it need not wait for that */
    thi_socket *winner;
} thi_race;

void thi_race_init(thi_race *race, const thi_race_opts *opts, thi_bell *bell);

/* Adds an address that may be tried. -ENOMEM. */
TH_MUST int thi_race_add(thi_race *race, const th_addr *addr);

/* The address of a family that would be tried next; NULL: there is none. */
const th_addr *thi_race_next(const thi_race *race, int family);

/*
 * Goes on: starts what may be started if `open`, and looks what has become of the rest. 1: there is
 * a winner; 0: wait; otherwise all attempts have failed, with the error of the last one, or
 * -EAGAIN when there was none.
 */
TH_MUST int thi_race_step(thi_race *race, bool open);

/* Whether something runs or waits to. */
bool thi_race_is_on(const thi_race *race);

/* Has all that run looked at once more, whether or not they rang: before they are given up. */
void thi_race_rouse(thi_race *race);

/* Writes each address that was tried, with its error; "" when none was. */
void thi_race_tell(const thi_race *race, char *text, size_t size);

/* Gives up what still runs. The winner is the caller's. */
void thi_race_end(thi_race *race);

#endif
