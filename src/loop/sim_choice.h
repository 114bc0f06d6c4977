/* SPDX-License-Identifier: MIT */

/*
 * Chance in a simulation: choices of who goes first, and numbers that order nothing.
 *
 * Both come from the seed. Where a schedule is given the choices come from it, and what it does not
 * say is as calm as can be: the first of all, the lowest number, no accident. So an exploration can
 * try out the choices one by one while everything else stays the same.
 */
#ifndef THI_LOOP_SIM_CHOICE_H
#define THI_LOOP_SIM_CHOICE_H

#include "loop/sim_world.h"

/* Choices that were made, and from how many each time. */
struct thi_sim_schedule {
    uint16_t *chosen;
    uint16_t *of;
    size_t room;
    size_t given; /* choices at the beginning of `chosen` that are to be made */
    size_t made;  /* choices made so far, also those beyond `room` */
};

/* Which of n goes first, 0 to n - 1; with n <= 1 there is no choice. */
unsigned thi_sim_choose(thi_sim *w, const char *what, size_t n);

/* A number from lo to hi, both included; lo is the calmest. */
int64_t thi_sim_draw(thi_sim *w, int64_t lo, int64_t hi);

/* Whether something of that probability happens; never under a schedule. */
bool thi_sim_happens(thi_sim *w, uint32_t per_million);

#endif
