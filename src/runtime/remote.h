/* SPDX-License-Identifier: MIT */

/* Children on other workers, and calls on a scope that come from elsewhere. */
#ifndef THI_RUNTIME_REMOTE_H
#define THI_RUNTIME_REMOTE_H

#include "runtime/start.h"

/* Starts a child here or elsewhere, as start->place says; its place is already counted. */
TH_MUST int thi_remote_start(thi_scope *scope, const thi_start *start);

/* From another thread: asks the scope's worker to start a fiber in it. -ENOMEM. */
TH_MUST int thi_remote_send_start(thi_scope *scope, const thi_start *start);

/* From another thread: asks the scope's worker to cancel it, unless somebody has. */
void thi_remote_send_cancel(thi_scope *scope, int reason);

#endif
