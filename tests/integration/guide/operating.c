/* SPDX-License-Identifier: MIT */

/* Runs the fragment of docs/guide/operating.md. */
#include <stdio.h>
#include <sys/resource.h>

#include "nofile.inc"

int main(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 1;
    limit.rlim_cur = limit.rlim_max / 2;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 1;
    raise_descriptor_limit();
    return getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur != limit.rlim_max;
}
