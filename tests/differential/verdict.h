/* SPDX-License-Identifier: MIT */

/* What a parser says about the first request of a stream, in a form that can be compared. */
#ifndef THI_TEST_VERDICT_H
#define THI_TEST_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

typedef enum verdict_kind {
    VERDICT_REFUSED,
    VERDICT_INCOMPLETE,
    VERDICT_COMPLETE,
} verdict_kind;

typedef struct verdict {
    verdict_kind kind;
    int code;           /* refused: our status, or their http_errno */
    size_t offset;      /* refused: where we stopped */
    const char *reason; /* refused: static */
    size_t consumed;    /* complete: length of the request with its body */
    bool keep_alive;    /* complete: another request may follow */
    bool switched;      /* complete: CONNECT or an upgrade, where what follows is no HTTP */
    char *text;         /* complete: everything that was read; owned */
    size_t text_len;
} verdict;

verdict verdict_ours(const char *data, size_t len);
verdict verdict_theirs(const char *data, size_t len);
void verdict_free(verdict *v);

#endif
