/* SPDX-License-Identifier: MIT */

/* Reading clocks. */
#include "load/account.h"

#include <stdio.h>
#include <unistd.h>

static const int64_t second = 1000 * 1000 * 1000;

int64_t load_clock_ns(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return t.tv_sec * second + t.tv_nsec;
}

static int64_t server_cpu_ns(const struct load_options *o)
{
    int64_t sum = 0;
    clockid_t id;

    for (unsigned i = 0; i < o->servers; i++)
        if (clock_getcpuclockid(o->server[i], &id) == 0)
            sum += load_clock_ns(id);
    return sum;
}

/* Time that the CPUs of the machine were not idle since it started; in ticks of the kernel. */
static int64_t busy_cpu_ns(void)
{
    long long use[8] = { 0 }; /* user nice system idle iowait irq softirq steal */
    FILE *f = fopen("/proc/stat", "re");
    int fields = 0;

    if (f == NULL)
        return 0;
    fields = fscanf(f, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &use[0], &use[1], &use[2],
                    &use[3], &use[4], &use[5], &use[6], &use[7]);
    fclose(f);
    if (fields != 8)
        return 0;
    return (use[0] + use[1] + use[2] + use[5] + use[6] + use[7]) * (second / sysconf(_SC_CLK_TCK));
}

void load_account_begin(const struct load_options *o, struct load_result *r)
{
    r->elapsed_ns = load_clock_ns(CLOCK_MONOTONIC);
    r->client_cpu_ns = load_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    r->server_cpu_ns = server_cpu_ns(o);
    r->busy_cpu_ns = busy_cpu_ns();
    r->client_idle_ns = 0;
}

void load_account_end(const struct load_options *o, struct load_result *r)
{
    r->elapsed_ns = load_clock_ns(CLOCK_MONOTONIC) - r->elapsed_ns;
    r->client_cpu_ns = load_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - r->client_cpu_ns;
    r->server_cpu_ns = server_cpu_ns(o) - r->server_cpu_ns;
    r->busy_cpu_ns = busy_cpu_ns() - r->busy_cpu_ns;
}
