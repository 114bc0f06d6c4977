/* SPDX-License-Identifier: MIT */

/* Children on other workers, and calls on a scope that come from elsewhere. */
#ifndef THI_RUNTIME_REMOTE_H
#define THI_RUNTIME_REMOTE_H

#include "runtime/scope.h"
#include "runtime/spawn.h"

struct thi_worker;

/* Starts a child of `scope` on another worker; its place is already counted. */
TH_MUST int thi_remote_spawn(thi_scope *scope, struct thi_worker *target, const thi_start *start);

/* Tells the children of `scope` on other workers that its status has changed. */
void thi_remote_cancel_all(thi_scope *scope);

/* From another thread: asks the scope's worker to start a fiber in it. -ENOMEM. */
TH_MUST int thi_remote_send_start(thi_scope *scope, const thi_start *start);

/* From another thread: asks the scope's worker to cancel it. -ENOMEM. */
TH_MUST int thi_remote_send_cancel(thi_scope *scope, int reason);

#endif
