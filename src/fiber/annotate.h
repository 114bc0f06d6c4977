/* SPDX-License-Identifier: MIT */

/*
 * What AddressSanitizer, ThreadSanitizer and Valgrind must hear of stacks and switches.
 *
 * One of the three headers below is in force; each defines thi_annotation and the same calls:
 *   thi_annotate_stack(note, low, size)   a stack exists
 *   thi_annotate_thread(note)             this note stands for the calling thread's own stack
 *   thi_annotate_gone(note)               the stack will not run again; called from another one
 *   thi_annotate_leaving(from, to)        right before a switch
 *   thi_annotate_arrived(self)            right after a switch, on the stack that was switched to
 *   thi_annotate_ended(self, below)       what runs here has ended: nothing below is alive
 *   thi_annotate_reused(self)             the next one begins here
 *   thi_annotate_forbids_below()          whether what lies below the running frame is off limits
 */
#ifndef THI_FIBER_ANNOTATE_H
#define THI_FIBER_ANNOTATE_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__ 1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__)
#include "fiber/annotate_asan.h"
#elif defined(__SANITIZE_THREAD__)
#include "fiber/annotate_tsan.h"
#else
#include "fiber/annotate_none.h"
#endif

#endif
