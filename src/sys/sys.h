/* SPDX-License-Identifier: MIT */

/*
 * The seam to the kernel: one table of calls for each thread, which tests and the simulation swap.
 *
 * A call costs one indirect jump more than the bare system call, which no benchmark can see. The
 * table in force is a thread-local pointer, so that a simulation in one thread leaves the others
 * alone; a new worker thread takes over the table of the thread that started it.
 */
#ifndef THI_SYS_H
#define THI_SYS_H

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "sys/sys_list.h"

struct thi_spawn_plan; /* sys/spawn.h */
struct thi_spawned;

typedef struct thi_sys {
    const char *name;
#define THI_SYS_MEMBER(ret, name, params, args) ret(*name) params;
    THI_SYS_LIST(THI_SYS_MEMBER)
#undef THI_SYS_MEMBER
} thi_sys;

/* The kernel itself. */
extern const thi_sys thi_sys_real;

/* The table in force for the calling thread. */
extern _Thread_local const thi_sys *thi_sys_table __attribute__((tls_model("initial-exec")));

#define THI_SYS_CALLER(ret, name, params, args)                                                    \
    static inline ret thi_sys_##name params                                                        \
    {                                                                                              \
        return thi_sys_table->name args;                                                           \
    }
THI_SYS_LIST(THI_SYS_CALLER)
#undef THI_SYS_CALLER

#endif
