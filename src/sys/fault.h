/* SPDX-License-Identifier: MIT */

/* A table of system calls that fails the n-th of them, for torture tests. */
#ifndef THI_SYS_FAULT_H
#define THI_SYS_FAULT_H

#include <stdbool.h>

/*
 * Puts the failing table in front of the calling thread's present one: the n-th call from now (1 is
 * the next) returns -error instead of being made; clock reads and closes are not counted, for
 * nobody can act on their failure. With n = 0 it only counts.
 */
void thi_fault_begin(unsigned long n, int error);

/* Restores the table in force before; returns how many calls were counted. */
unsigned long thi_fault_end(void);

/* Whether the n-th call was reached, and its name (NULL when not). */
const char *thi_fault_hit(void);

#endif
