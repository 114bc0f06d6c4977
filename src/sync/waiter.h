/* SPDX-License-Identifier: MIT */

/* Waiters, under the name by which the primitives know them. */
#ifndef THI_SYNC_WAITER_H
#define THI_SYNC_WAITER_H

#include "runtime/waiter.h"

#endif
