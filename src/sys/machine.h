/* SPDX-License-Identifier: MIT */

/* Facts about the machine that decide how Thrum sets itself up. */
#ifndef THI_SYS_MACHINE_H
#define THI_SYS_MACHINE_H

#include <thrum/defs.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How many CPUs the process may keep busy: those of its affinity mask, but no more than the quota
 * of its control groups allows, rounded up. At least 1.
 */
unsigned thi_machine_cpus(void);

/* Bytes of a page of memory. */
size_t thi_machine_page_size(void);

/* The kernel's number of the calling thread. */
int thi_machine_thread(void);

/* The kernel's number of this process. */
int thi_machine_process(void);

/* The longest queue of connections that listen(2) grants: net.core.somaxconn. */
int thi_machine_somaxconn(void);

/* Threads of this process; -1 when that cannot be had. */
int thi_machine_threads(void);

/* For how long a thread of this process was ready to run and had no CPU, so far, ns; 0 when that
 * cannot be had. */
int64_t thi_machine_run_delay(int thread);

/* Whether the calling thread runs in real time: SCHED_FIFO or SCHED_RR. */
bool thi_machine_is_realtime(void);

/* Makes the calling thread `steps` nicer. In real time that changes nothing, and nothing else must
 * be done there: a thread of higher priority would spin for ever for a lock that this one has. */
TH_MUST int thi_machine_give_way(unsigned steps);

/* Raises the soft limit of open descriptors to the hard one; the limit then in force, or -errno. */
TH_MUST long thi_machine_raise_nofile(void);

#endif
