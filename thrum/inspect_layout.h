/* SPDX-License-Identifier: MIT */

/* Finding the layouts of Thrum in what is looked into; see <thrum/inspect.h>. */
#ifndef THRUM_PROGRAM_INSPECT_LAYOUT_H
#define THRUM_PROGRAM_INSPECT_LAYOUT_H

#include "inspect_target.h"

#include <thrum/inspect.h>

/* A process has one, unless its program and a library carry Thrum each. */
#define LAYOUTS_MAX 8

/* Bytes that are read of a wait, a scope, and a kind of wait; all that is shown of them is within.
 */
#define LAYOUT_WAIT_MAX  64
#define LAYOUT_SCOPE_MAX 512
#define LAYOUT_KIND_MAX  32

/* How many there are, or -1 when there is one of a version that is not understood. */
int layouts_find(target *t, th_inspect layouts[LAYOUTS_MAX]);

#endif
