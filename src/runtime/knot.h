/* SPDX-License-Identifier: MIT */

/* Among ties, those that nobody can end, and the circles that they make. */
#ifndef THI_RUNTIME_KNOT_H
#define THI_RUNTIME_KNOT_H

#include "runtime/tie.h"

/* What the search found: for each tie, in the order of `ties`, where it belongs. */
typedef struct thi_knots {
    size_t *next;   /* in a circle: the tie of the party that it waits for */
    size_t *circle; /* the number of its circle; THI_KNOT_FREE, THI_KNOT_BEHIND */
    size_t circles;
    size_t behind; /* ties that wait for one in a circle, and are in none */
} thi_knots;

#define THI_KNOT_FREE   SIZE_MAX       /* it may end */
#define THI_KNOT_BEHIND (SIZE_MAX - 1) /* it waits, perhaps by way of others, for a circle */

/*
 * Sorts the ties by party and finds the knots among them. All of them have to hold at one moment. A
 * party that is not among them counts as one that will come to do what is waited for. -ENOMEM.
 */
TH_MUST int thi_knots_find(thi_ties *ties, thi_knots *knots);

void thi_knots_deinit(thi_knots *knots);

#endif
