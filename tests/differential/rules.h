/* SPDX-License-Identifier: MIT */

/* The differences between the two parsers that are meant, each with its reason. */
#ifndef THI_TEST_RULES_H
#define THI_TEST_RULES_H

#include "verdict.h"

#include <thrum/str.h>

/* Whether both say the same. */
bool rules_same(const verdict *ours, const verdict *theirs);

/*
 * Finds the rule that explains a difference. A rule does not take our word for it: it looks at the
 * bytes itself. Returns its index, or -1 when nothing explains the difference.
 */
int rules_explain(th_str in, const verdict *ours, const verdict *theirs);

/* What rule i says; NULL past the last. */
const char *rules_text(int i);

#endif
