/* SPDX-License-Identifier: MIT */

/*
 * Fails the n-th system call.
 *
 * A torture test runs its scenario with n = 1, 2, ... until a run ends without a hit: then each
 * call of the scenario has failed once. There is one order for the process, because a scenario may
 * have several workers, each of which takes over the table of the thread that started it. Threads
 * that have another table neither count nor fail.
 */
#include "sys/fault.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "sys/sys.h"

static const thi_sys *below; /* set before any thread takes the table over */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *among; /* the calls that count; NULL: all */
static unsigned long counted;
static unsigned long fail_at;
static int fail_with;
static const char *hit;

/* Clocks cannot fail, and a failed close or unmap would only leak in the test itself. */
static bool is_exempt(const char *name)
{
    return strcmp(name, "clock") == 0 || strcmp(name, "wall") == 0 || strcmp(name, "close") == 0 ||
           strcmp(name, "munmap") == 0;
}

/* Whether a word is in a list of words with blanks between them. */
static bool is_among(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += len)
        if ((at == list || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
            return true;
    return false;
}

/* The error with which this call is to fail; 0: none. */
static int error_of(const char *name)
{
    int error = 0;
    if (is_exempt(name))
        return 0;
    pthread_mutex_lock(&lock);
    if ((!among || is_among(among, name)) && ++counted == fail_at) {
        hit = name;
        error = fail_with;
    }
    pthread_mutex_unlock(&lock);
    return error;
}

#define FAULT_CALL(ret, name, params, args)                                                        \
    static ret fault_##name params                                                                 \
    {                                                                                              \
        int error = error_of(#name);                                                               \
        return error ? (ret)(-error) : below->name args;                                           \
    }
THI_SYS_LIST(FAULT_CALL)
#undef FAULT_CALL

static const thi_sys fault_table = { .name = "fault",
#define FAULT_MEMBER(ret, name, params, args) .name = fault_##name,
                                     THI_SYS_LIST(FAULT_MEMBER)
#undef FAULT_MEMBER
};

void thi_fault_order(const char *calls, unsigned long n, int error)
{
    pthread_mutex_lock(&lock);
    among = calls;
    counted = 0;
    fail_at = n;
    fail_with = error;
    hit = NULL;
    pthread_mutex_unlock(&lock);
}

void thi_fault_begin(unsigned long n, int error)
{
    thi_fault_order(NULL, n, error);
    if (thi_sys_table == &fault_table)
        return;
    below = thi_sys_table;
    thi_sys_table = &fault_table;
}

unsigned long thi_fault_end(void)
{
    if (thi_sys_table == &fault_table)
        thi_sys_table = below;
    pthread_mutex_lock(&lock);
    unsigned long calls = counted;
    fail_at = 0;
    pthread_mutex_unlock(&lock);
    return calls;
}

const char *thi_fault_hit(void)
{
    pthread_mutex_lock(&lock);
    const char *name = hit;
    pthread_mutex_unlock(&lock);
    return name;
}
