/* SPDX-License-Identifier: MIT */

/*
 * The default pools: static, so that to have them cannot fail, and without a thread until there is
 * work.
 *
 * When the last runtime ends, their idle threads are sent home, so that a process is after th_run()
 * what it was before; a thread at work stays until its work is done, for that may take as long as a
 * name server that is dead. The pools remain, for the next runtime or for plain threads.
 *
 * At the end of the process what has not begun is dropped, what runs is told, and waited for at
 * most a second: to hang at the end would be worse than to lose what nobody waits for. If it is a
 * job that ends the process, nobody is waited for, since it would wait for itself.
 *
 * In the child of a fork() no thread has survived: the pools begin anew there.
 *
 * Each simulation has pools of its own, which begin and end with it.
 */
#include "pool/defaults.h"

#include "base/assert.h"
#include "loop/sim_world.h"
#include "pool/pool.h"
#include "pool/simulated.h"
#include "runtime/outside.h"
#include "runtime/run.h"
#include "sys/machine.h"
#include "sys/sys.h"

#include <thrum/time.h>

#include <stdlib.h>
#include <string.h>

#define PATIENCE       TH_SECOND /* at the end of the process */
#define CPUS_SIMULATED 2         /* the same on every machine */
#define KEYS_GIVE_WAY  2         /* two thirds of the weight, sched(7) */

enum { DEFAULT, FILES, NAMES, CRYPTO, COUNT };

static th_pool real_pools[COUNT];

/* Of the simulation that runs on this thread. */
static _Thread_local th_pool virtual_pools[COUNT];
static _Thread_local const thi_sim *virtual_of;

/*
 * Names and keys have few threads so that their trouble stays theirs; a disk likes a queue. Keys
 * give way to the workers: on a machine that is busy, a worker gets the CPU as soon as a signature
 * is there, and not when the whole queue of them has been computed.
 */
static void init(th_pool *pools, bool simulated)
{
    unsigned cpus = simulated ? CPUS_SIMULATED : thi_machine_cpus();
    const th_pool_opts opts[COUNT] = {
        [DEFAULT] = { .name = "default" },
        [FILES] = { .name = "files", .threads_max = 8 },
        [NAMES] = { .name = "names", .threads_max = 4 },
        [CRYPTO] = { .name = "crypto", .threads_max = cpus, .gives_way = KEYS_GIVE_WAY },
    };
    for (int i = 0; i < COUNT; i++) {
        int err = thi_pool_init(&pools[i], &opts[i], simulated);
        TH_ASSERT(err == 0);
        pools[i].lasting = true;
    }
}

static void end_simulation(void)
{
    if (virtual_of == thi_sim_self)
        for (int i = 0; i < COUNT; i++)
            thi_simulated_end(&virtual_pools[i], thi_sim_self->result.verdict != 0);
    virtual_of = NULL;
}

static void on_run_ended(bool last)
{
    if (thi_sim_self)
        end_simulation();
    else if (last)
        for (int i = 0; i < COUNT; i++)
            thi_crew_drain(&real_pools[i], false, PATIENCE);
}

static void on_exit_of_process(void)
{
    int64_t end = thi_sys_clock() + PATIENCE;
    if (thi_pool_self)
        return;
    for (int i = 0; i < COUNT; i++)
        thi_crew_stop(&real_pools[i], THI_CREW_ABORTS);
    for (int i = 0; i < COUNT; i++)
        thi_crew_drain(&real_pools[i], true, thi_max(end - thi_sys_clock(), INT64_C(0)));
}

static void on_fork_in_child(void)
{
    thi_outside_forked();
    init(real_pools, false);
}

static void init_real(void)
{
    init(real_pools, false);
    /* Without memory for these the kernel does the rest: it ends all threads. */
    (void)atexit(on_exit_of_process);
    (void)pthread_atfork(NULL, NULL, on_fork_in_child);
    atomic_store(&thi_run_ended, on_run_ended);
}

static th_pool *pools(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (TH_LIKELY(!thi_sim_self)) {
        (void)pthread_once(&once, init_real);
        return real_pools;
    }
    if (virtual_of != thi_sim_self) {
        init(virtual_pools, true);
        virtual_of = thi_sim_self;
        atomic_store(&thi_run_ended, on_run_ended);
    }
    return virtual_pools;
}

th_pool *thi_default_pool(void)
{
    return &pools()[DEFAULT];
}

th_pool *th_pool_default(const char *name)
{
    th_pool *all = pools();
    for (int i = 0; name && i < COUNT; i++)
        if (strcmp(name, all[i].name) == 0)
            return &all[i];
    return NULL;
}
