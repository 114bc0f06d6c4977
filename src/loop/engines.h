/* SPDX-License-Identifier: MIT */

/* The back ends that this build has, and how one of them is chosen. */
#ifndef THI_LOOP_ENGINES_H
#define THI_LOOP_ENGINES_H

#include "loop/loop.h"

extern const thi_engine thi_engine_epoll;
extern const thi_engine thi_engine_poll;
extern const thi_engine thi_engine_select;
extern const thi_engine thi_engine_uring;

/* The outcome of a choice, with the reason in words for whoever starts the program. */
typedef struct thi_engine_choice {
    const thi_engine *engine;
    char why[120];
} thi_engine_choice;

/*
 * Chooses a back end: by name, else by the environment's THRUM_BACKEND, else by itself ("auto" and
 * NULL mean that). One that the machine refuses is replaced by the default, quietly, and `why` says
 * what the kernel answered. -EINVAL for a name that does not exist, with the known names as detail.
 */
TH_MUST int thi_engine_choose(const char *name, thi_engine_choice *choice);

#endif
