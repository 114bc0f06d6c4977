/* SPDX-License-Identifier: MIT */

/* The detail text of a failure: where it is kept and how it is set. */
#ifndef THI_BASE_ERROR_H
#define THI_BASE_ERROR_H

#include <thrum/error.h>

#include <stdbool.h>
#include <sys/types.h>

/* Room for one detail text with its NUL; what is longer is cut. */
#define THI_ERR_DETAIL_SIZE 256

/* One per fiber, and one per thread for code that runs outside of fibers. Zeroed is empty. */
typedef struct thi_err_slot {
    char text[THI_ERR_DETAIL_SIZE];
} thi_err_slot;

/*
 * Finds the slot of the running fiber; NULL outside of one, and then the slot of the thread is
 * used. A fiber gets its slot when it first has something to keep there: without `make` the empty
 * slot stands for one that it does not have. Set once by the runtime before it starts threads; NULL
 * until then.
 */
extern thi_err_slot *(*thi_err_slot_hook)(bool make);

/* A slot in which nothing is ever written, for a hook to return. */
extern thi_err_slot thi_err_empty;

/*
 * Formats the detail of a failure into the current slot and returns code, so that a caller writes
 * `return thi_err_set(-EINVAL, "port %d is too large", port)`. The arguments may refer to the
 * present detail. Keeps errno.
 */
int thi_err_set(int code, const char *format, ...) TH_PRINTF(2, 3);

/*
 * For a failure about which there is nothing to add: takes away the detail of the one before, which
 * would be mistaken for its own. Returns code.
 */
int thi_err_clear(int code);

/* A result of which there is nothing more to say, also if it is a failure. */
static inline ssize_t thi_err_plain(ssize_t result)
{
    return TH_LIKELY(result >= 0) ? result : thi_err_clear((int)result);
}

/*
 * Name ("EPIPE") and text of a positive errno, static; NULL when it is unknown. Implemented by
 * errno_np.c where libc has them, else by errno_list.c.
 */
const char *thi_errno_name(int number);
const char *thi_errno_text(int number);

#endif
