/* SPDX-License-Identifier: MIT */

/* Setting options of sockets, by stage of their life. */
#ifndef THI_NET_TUNE_H
#define THI_NET_TUNE_H

#include <thrum/tune.h>

#include <stdbool.h>

/* What a socket is about to be, or is. */
typedef enum thi_tune_moment {
    THI_TUNE_TO_LISTEN, /* nothing is bound yet */
    THI_TUNE_LISTENING,
    THI_TUNE_TO_CONNECT, /* nothing is connected yet; also for sockets of datagrams */
    THI_TUNE_CONNECTED,
    THI_TUNE_ACCEPTED /* sets only what a connection does not inherit from its listener */
} thi_tune_moment;

/* Sets all options that are set in tune; -errno with a detail that names the option. */
TH_MUST int thi_tune_set(int fd, const th_tune *tune, thi_tune_moment moment);

/* Options from text, for a socket that will connect, or send datagrams. */
TH_MUST int thi_tune_apply(int fd, const char *text);

/* What is in force on a socket. */
TH_MUST int thi_tune_read(int fd, th_tune *tune);

/* Adds what is set in `more` to a list of options. */
void thi_tune_add(th_tune *tune, const th_tune *more);

/* Whether connections that a listener accepts need any option to be set. */
bool thi_tune_has_own(const th_tune *tune, bool is_unix);

#endif
