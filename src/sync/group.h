/* SPDX-License-Identifier: MIT */

/* What maps need of groups besides the public calls. */
#ifndef THI_SYNC_GROUP_H
#define THI_SYNC_GROUP_H

#include <thrum/group.h>

#include <stdbool.h>

/* Whether these options can be used by the calling fiber: 0, -EINVAL, -EPERM. */
TH_MUST int thi_group_check(const th_group_opts *opts);

/* Of a group without children: nobody will ask for those that have ended in the order of their
 * ends. */
void thi_group_set_ordered(th_group *group);

/* Forgets the child with the lowest index there is, which has ended; of a group so set. */
void thi_group_forget_first(th_group *group);

#endif
