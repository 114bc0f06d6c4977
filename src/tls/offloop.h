/* SPDX-License-Identifier: MIT */

/* Work that waits for files or computes for long, done off the loop, with its detail. */
#ifndef THI_TLS_OFFLOOP_H
#define THI_TLS_OFFLOOP_H

#include <thrum/defs.h>

/*
 * Runs work on a thread of the pool while the calling fiber waits; a plain thread runs it itself.
 * The work's result with its detail, which is kept per fiber or thread and would stay behind; or
 * why it was not run: -ECANCELED, -ETIMEDOUT, -EPERM on a worker outside a fiber, -ENOMEM.
 */
TH_MUST int thi_tls_offloop(int (*work)(void *arg), void *arg);

#endif
