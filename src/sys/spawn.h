/* SPDX-License-Identifier: MIT */

/* Starting a program in a new process, as one system call would if there were one. */
#ifndef THI_SYS_SPAWN_H
#define THI_SYS_SPAWN_H

#include <thrum/defs.h>

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

/* A descriptor of this process, and the number that it is to have in the new one. */
typedef struct thi_spawn_fd {
    int from;
    int to;
} thi_spawn_fd;

typedef struct thi_spawn_limit {
    int resource; /* RLIMIT_* */
    struct rlimit limit;
} thi_spawn_limit;

/* What to do on the way; in this order. */
typedef enum thi_spawn_step {
    THI_SPAWN_BEGIN, /* in this process */
    THI_SPAWN_GROUP,
    THI_SPAWN_FDS,
    THI_SPAWN_TERMINAL,
    THI_SPAWN_CWD,
    THI_SPAWN_LIMITS,
    THI_SPAWN_USER,
    THI_SPAWN_EXEC
} thi_spawn_step;

typedef struct thi_spawn_plan {
    char *const *paths; /* of the program, to be tried in order; NULL after the last */
    char *const *argv;
    char *const *env;
    const char *cwd; /* NULL: stays */
    const thi_spawn_fd *fds;
    int *moved; /* room for as many numbers as there are fds, for the new process */
    size_t fd_count;
    const thi_spawn_limit *limits;
    size_t limit_count;
    bool new_session;
    bool new_group;
    int terminal; /* the number, in the new process, of its controlling terminal; -1: none */
    bool set_user;
    uid_t uid;
    gid_t gid;
} thi_spawn_plan;

typedef struct thi_spawned {
    pid_t pid;
    int fd;              /* a pidfd, close-on-exec; -1 where there is none */
    thi_spawn_step step; /* that failed */
} thi_spawned;

/*
 * Starts the program: 0 once it runs; -errno, and the step that failed, when it does not: then
 * there is no new process, not even a dead one. It inherits the descriptors of the plan and no
 * other, has no signal blocked, and every signal does what the system does by default.
 */
int thi_spawn(const thi_spawn_plan *plan, thi_spawned *spawned);

/*
 * Where a program may be: its name if that has a slash, else the name in each folder of PATH. One
 * block, for thi_free(); NULL without memory.
 */
TH_MUST char **thi_spawn_find(const char *name);

/* What a step does, for messages. */
const char *thi_spawn_step_name(thi_spawn_step step);

#endif
