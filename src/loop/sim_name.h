/* SPDX-License-Identifier: MIT */

/*
 * The files of simulated Unix sockets: they are seen by stat, chmod and unlink, and stay behind
 * when their socket is closed.
 */
#ifndef THI_LOOP_SIM_NAME_H
#define THI_LOOP_SIM_NAME_H

#include "loop/sim_world.h"

#include <sys/stat.h>

/*
 * Makes the file of a bound socket and tells its inode number, by which the socket is found later:
 * -EADDRINUSE when there is one of that name, simulated or real; -ENOMEM.
 */
TH_MUST int thi_sim_name_add(thi_sim *w, const char *path, uint64_t *inode);

/* The inode number of a simulated file, 0 when there is none. */
uint64_t thi_sim_name_inode(const thi_sim *w, const char *path);

/* What the system calls of these names do; -ENOENT where the name is none of the simulated ones. */
TH_MUST int thi_sim_name_stat(const thi_sim *w, const char *path, struct stat *st);
TH_MUST int thi_sim_name_chmod(thi_sim *w, const char *path, mode_t mode);
TH_MUST int thi_sim_name_unlink(thi_sim *w, const char *path);

/* Forgets all names. */
void thi_sim_name_clear(thi_sim *w);

#endif
