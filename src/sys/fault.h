/* SPDX-License-Identifier: MIT */

/* A table of system calls that fails the n-th of them, for torture tests. */
#ifndef THI_SYS_FAULT_H
#define THI_SYS_FAULT_H

#include <stdbool.h>

/*
 * Puts the failing table in front of the calling thread's present one: the n-th call from now (1 is
 * the next) returns -error instead of being made; clock reads and closes are not counted, for
 * nobody can act on their failure. With n = 0 it only counts. Threads that take the table over
 * count along.
 */
void thi_fault_begin(unsigned long n, int error);

/*
 * Counts anew, from any thread, while the table is in force somewhere, and only the calls whose
 * names are in `calls`, with blanks between them (borrowed; NULL: all).
 */
void thi_fault_order(const char *calls, unsigned long n, int error);

/* Nothing fails any more; restores the table in force before; returns how many calls were counted.
 */
unsigned long thi_fault_end(void);

/* Whether the n-th call was reached, and its name (NULL when not). */
const char *thi_fault_hit(void);

#endif
