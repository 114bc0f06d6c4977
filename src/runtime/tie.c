/* SPDX-License-Identifier: MIT */

/* An array of ties that grows. */
#include "runtime/tie.h"

#include "base/alloc.h"

#include <errno.h>

int thi_ties_add(thi_ties *ties, const thi_tie *tie)
{
    if (ties->count == ties->room) {
        size_t room = ties->room ? 2 * ties->room : 16;
        thi_tie *at = thi_realloc_array(ties->at, room, sizeof *at);
        if (!at)
            return -ENOMEM;
        ties->at = at;
        ties->room = room;
    }
    ties->at[ties->count++] = *tie;
    return 0;
}

void thi_ties_deinit(thi_ties *ties)
{
    thi_free(ties->at);
    *ties = (thi_ties){ .at = NULL };
}
