/* SPDX-License-Identifier: MIT */

/*
 * Stands before the locks of <pthread.h>, and remembers which of them each thread holds and where
 * it took them. The library asks when a fiber suspends (src/runtime/locks.c).
 *
 * An object of its own, for LD_PRELOAD or -lthrum-debug-locks: who does not load it pays nothing.
 * The calls that take and release a lock are defined here and pass on to the next object's. A wait
 * for a condition releases and takes its mutex out of sight, and leaves the record right. Nothing
 * here allocates or takes a lock itself.
 */
#include "sys/held.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

static _Thread_local __attribute__((tls_model("initial-exec"))) struct {
    thi_held held[THI_HELD_MAX];
    size_t count;
} mine;

EXPORT thi_held *thrum_debug_locks_held(size_t *count);

thi_held *thrum_debug_locks_held(size_t *count)
{
    *count = mine.count;
    return mine.held;
}

static void taken(const void *lock, const char *what, const void *site)
{
    if (mine.count < THI_HELD_MAX)
        mine.held[mine.count++] = (thi_held){ .lock = lock, .site = site, .what = what };
}

/* The last one taken of those that are the same: a recursive mutex is there several times. */
static void released(const void *lock)
{
    for (size_t i = mine.count; i-- > 0;) {
        if (mine.held[i].lock != lock)
            continue;
        mine.count--;
        memmove(&mine.held[i], &mine.held[i + 1], (mine.count - i) * sizeof mine.held[0]);
        return;
    }
}

/* Finds the next object's function once; several threads find the same. */
#define NEXT(name)                                                                                 \
    static __typeof__(&name) next;                                                                 \
    __typeof__(&name) real = __atomic_load_n(&next, __ATOMIC_RELAXED);                             \
    if (!real) {                                                                                   \
        real = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                                         \
        __atomic_store_n(&next, real, __ATOMIC_RELAXED);                                           \
    }

#define TAKES(name, what, parameters, arguments)                                                   \
    EXPORT int name parameters                                                                     \
    {                                                                                              \
        NEXT(name)                                                                                 \
        int err = real arguments;                                                                  \
        if (err == 0)                                                                              \
            taken(lock, what, __builtin_return_address(0));                                        \
        return err;                                                                                \
    }

#define RELEASES(name, type)                                                                       \
    EXPORT int name(type *lock)                                                                    \
    {                                                                                              \
        NEXT(name)                                                                                 \
        int err = real(lock);                                                                      \
        if (err == 0)                                                                              \
            released(lock);                                                                        \
        return err;                                                                                \
    }

typedef const struct timespec time_limit;

TAKES(pthread_mutex_lock, "mutex", (pthread_mutex_t * lock), (lock))
TAKES(pthread_mutex_trylock, "mutex", (pthread_mutex_t * lock), (lock))
TAKES(pthread_mutex_timedlock, "mutex",
      (pthread_mutex_t *restrict lock, time_limit *restrict until), (lock, until))
TAKES(pthread_mutex_clocklock, "mutex",
      (pthread_mutex_t *restrict lock, clockid_t clock, time_limit *restrict until),
      (lock, clock, until))
RELEASES(pthread_mutex_unlock, pthread_mutex_t)

TAKES(pthread_rwlock_rdlock, "rwlock", (pthread_rwlock_t * lock), (lock))
TAKES(pthread_rwlock_tryrdlock, "rwlock", (pthread_rwlock_t * lock), (lock))
TAKES(pthread_rwlock_wrlock, "rwlock", (pthread_rwlock_t * lock), (lock))
TAKES(pthread_rwlock_trywrlock, "rwlock", (pthread_rwlock_t * lock), (lock))
RELEASES(pthread_rwlock_unlock, pthread_rwlock_t)
