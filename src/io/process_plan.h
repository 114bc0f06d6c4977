/* SPDX-License-Identifier: MIT */

/* From the options of a process to what src/sys starts: names, descriptors, limits. */
#ifndef THI_IO_PROCESS_PLAN_H
#define THI_IO_PROCESS_PLAN_H

#include "sys/spawn.h"

#include <thrum/process.h>

enum { THI_PROCESS_MASTER = 3, THI_PROCESS_ENDS };

typedef struct thi_process_plan {
    thi_spawn_plan spawn;
    const char *name; /* of the program, as the caller gave it */
    char **paths;     /* where to look for it; one block with their text */
    thi_spawn_fd *fds;
    int *moved;
    thi_spawn_limit *limits;
    int ours[THI_PROCESS_ENDS]; /* our ends of the standard streams, and the terminal's master; -1
                                   where there is none, or it is somebody else's now */
    int theirs[5];              /* to be closed once the child has them; -1: none */
    size_t theirs_count;
    int null;  /* one of theirs; -1: none yet */
    int slave; /* likewise */
} thi_process_plan;

/* Makes a plan; it is to be freed in any case. -EINVAL, -EBADF, -EMFILE, -ENOMEM. */
TH_MUST int thi_process_plan_make(thi_process_plan *plan, const th_process_opts *opts);

/* Frees it, and closes the ends that are left. */
void thi_process_plan_free(thi_process_plan *plan);

#endif
