/* SPDX-License-Identifier: MIT */

/* Signals of the process as calls on the thread of a loop. */
#ifndef THI_LOOP_SIGNALS_H
#define THI_LOOP_SIGNALS_H

#include "loop/loop.h"

typedef struct thi_signals thi_signals;

/*
 * Calls fn(arg, signo) in a turn of the loop, in no signal context, after one of the signals listed
 * (a 0 after the last one) has come. The same signal several times between two turns may lead to
 * one call; different ones are all told, the lowest number first. Any number of these may watch the
 * same signal, on any loops: each is called. *opened is for thi_signals_close().
 *
 * -EINVAL for what cannot be watched (see thi_sigsink_open), -ENOMEM, -EMFILE.
 */
TH_MUST int thi_signals_open(thi_loop *loop, const int *signals, void (*fn)(void *arg, int signo),
                             void *arg, thi_signals **opened);

/* The same for somebody who does without those that another one takes instead of him. */
TH_MUST int thi_signals_open_fallback(thi_loop *loop, const int *signals,
                                      void (*fn)(void *arg, int signo), void *arg,
                                      thi_signals **opened);

/*
 * Ends the calls, also for signals that came and were not told yet, and puts the former actions
 * back. May be called by fn. NULL is a no-op.
 */
void thi_signals_close(thi_signals *signals);

#endif
