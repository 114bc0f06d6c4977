/* SPDX-License-Identifier: MIT */

/* The orderly end: how it is asked for, and who is told. */
#ifndef THI_RUNTIME_STOP_H
#define THI_RUNTIME_STOP_H

#include "runtime/worker.h"

/* Asks for the orderly end, or for the quick one when it was asked for before. On worker 0. */
void thi_stop_asked(thi_runtime *runtime);

/* The same from any thread, while the runtime runs. */
void thi_stop_send(thi_runtime *runtime);

/*
 * Adds and removes somebody who wants to hear of an orderly stop: once, here if it is on already.
 */
void thi_stopper_add(thi_stopper *stopper, void (*fn)(thi_stopper *stopper));
void thi_stopper_remove(thi_stopper *stopper);

#endif
