/* SPDX-License-Identifier: MIT */

/*
 * Errors of OpenSSL, made into details of ours.
 *
 * OpenSSL keeps a queue of errors per thread, and what one connection leaves there would be read as
 * the failure of another. Therefore every call that may fail stands between thi_ossl_begin() and,
 * when it has failed, thi_ossl_fail(), on one thread and with no suspension in between.
 */
#ifndef THI_TLS_OSSL_H
#define THI_TLS_OSSL_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/* Empties the thread's queue. */
void thi_ossl_begin(void);

/*
 * Returns `code` with the formatted text as its detail and, behind a colon, OpenSSL's reason for
 * the last failure; empties the queue. -ENOMEM instead of `code` when that is the reason, and what
 * was given to thi_ossl_raise() when that was the first one.
 */
int thi_ossl_fail(int code, const char *format, ...) TH_PRINTF(2, 3);

/*
 * Lays a failure of ours into the queue, for a callback that OpenSSL called: what then comes of the
 * call is told by thi_ossl_fail(), which returns this code and adds the present detail to its text.
 */
void thi_ossl_raise(int code);

/*
 * Writes OpenSSL's reason for the first failure in the queue to text, such as "no start line", and
 * empties the queue; an empty text when the queue is empty or the reason has none. Returns text.
 */
char *thi_ossl_reason(char *text, size_t size);

/* As above, but OpenSSL's packed code, 0 for an empty queue; the queue stays. */
unsigned long thi_ossl_peek(void);

/* Whether lack of memory is the first failure in the queue, or the last; the queue stays. */
bool thi_ossl_no_memory(void);

#endif
