/* SPDX-License-Identifier: MIT */

/* A failure that is for good, kept with its words: what every later call on an object says. */
#ifndef THI_BASE_ERROR_KEPT_H
#define THI_BASE_ERROR_KEPT_H

#include "base/error.h"

/* Zeroed is none. */
typedef struct thi_err_kept {
    int code;   /* negative; 0: none */
    char *text; /* the detail; NULL: none, or there was no memory for it; owned */
} thi_err_kept;

/* Keeps a failure and the present detail. The first one counts: with one kept already, as
 * thi_err_again(). Returns the code. */
int thi_err_keep(thi_err_kept *kept, int code);

/* The code that is kept, with the detail of then; 0: none is, and the detail is left alone. */
int thi_err_again(const thi_err_kept *kept);

void thi_err_kept_deinit(thi_err_kept *kept);

#endif
