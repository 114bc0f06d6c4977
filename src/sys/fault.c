/* SPDX-License-Identifier: MIT */

/*
 * Fails the n-th system call of a thread.
 *
 * A torture test runs its scenario with n = 1, 2, ... until a run ends without a hit: then each
 * call of the scenario has failed once. The state is thread-local like the table itself.
 */
#include "sys/fault.h"

#include <stddef.h>
#include <string.h>

#include "sys/sys.h"

static _Thread_local const thi_sys *below;
static _Thread_local unsigned long counted;
static _Thread_local unsigned long fail_at;
static _Thread_local int fail_with;
static _Thread_local const char *hit;

/* Clocks cannot fail, and a failed close or unmap would only leak in the test itself. */
static bool is_exempt(const char *name)
{
    return strcmp(name, "clock") == 0 || strcmp(name, "wall") == 0 || strcmp(name, "close") == 0 ||
           strcmp(name, "munmap") == 0;
}

static bool fails_now(const char *name)
{
    if (is_exempt(name) || ++counted != fail_at)
        return false;
    hit = name;
    return true;
}

#define FAULT_CALL(ret, name, params, args)                                                        \
    static ret fault_##name params                                                                 \
    {                                                                                              \
        return fails_now(#name) ? (ret)(-fail_with) : below->name args;                            \
    }
THI_SYS_LIST(FAULT_CALL)
#undef FAULT_CALL

static const thi_sys fault_table = { .name = "fault",
#define FAULT_MEMBER(ret, name, params, args) .name = fault_##name,
                                     THI_SYS_LIST(FAULT_MEMBER)
#undef FAULT_MEMBER
};

void thi_fault_begin(unsigned long n, int error)
{
    counted = 0;
    fail_at = n;
    fail_with = error;
    hit = NULL;
    if (thi_sys_table != &fault_table)
        below = thi_sys_table;
    thi_sys_table = &fault_table;
}

unsigned long thi_fault_end(void)
{
    if (thi_sys_table == &fault_table)
        thi_sys_table = below;
    return counted;
}

const char *thi_fault_hit(void)
{
    return hit;
}
