/* SPDX-License-Identifier: MIT */

/*
 * Facts about the machine, read from the kernel's files.
 *
 * A container that is limited to 1.5 CPUs of a machine with 64 sees all 64 in its affinity mask.
 * Workers beyond the quota would only make the kernel stop all of them for the rest of each period,
 * so the quota counts as CPUs. It may be set on any level above us, and the lowest one holds.
 *
 * Files are read from the places where distributions mount control groups. Where a namespace hides
 * our own path, the levels that can be read decide.
 */
#include "sys/machine.h"

#include "base/alloc.h"
#include "base/util.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Reads the start of a file as a string; whether there was anything. */
static bool read_text(const char *path, char *text, size_t size)
{
    int fd = thi_sys_openat(AT_FDCWD, path, O_RDONLY, 0);
    if (fd < 0)
        return false;
    ssize_t n = thi_sys_read(fd, text, size - 1);
    thi_sys_close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    return true;
}

/* The number at *text, which then stands behind it; whether there was one. */
static bool parse_number(const char **text, long *number)
{
    char *end;
    errno = 0;
    long value = strtol(*text, &end, 10);
    if (end == *text || errno != 0)
        return false;
    *text = end;
    *number = value;
    return true;
}

static bool read_number(const char *path, long *number)
{
    char text[32];
    const char *at = text;
    return read_text(path, text, sizeof text) && parse_number(&at, number);
}

/* CPUs in the affinity mask. The kernel wants a mask at least as large as its own. */
static unsigned affinity(void)
{
    for (size_t cpus = CPU_SETSIZE; cpus <= CPU_SETSIZE << 8; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        if (!set)
            break;
        size_t size = CPU_ALLOC_SIZE(cpus);
        int err = sched_getaffinity(0, size, set) < 0 ? errno : 0;
        int count = err ? 0 : CPU_COUNT_S(size, set);
        CPU_FREE(set);
        if (err != EINVAL)
            return (unsigned)thi_max(count, 1);
    }
    return 1;
}

/* One version of control groups: where it is, and how a level's quota is read. */
typedef struct hierarchy {
    const char *mount;
    bool (*read)(const char *dir, long *quota, long *period);
} hierarchy;

#define DIR_SIZE 600

static bool read_v2(const char *dir, long *quota, long *period)
{
    char path[DIR_SIZE + 32], text[64];
    const char *at = text;
    snprintf(path, sizeof path, "%s/cpu.max", dir);
    return read_text(path, text, sizeof text) && parse_number(&at, quota) &&
           parse_number(&at, period);
}

static bool read_v1(const char *dir, long *quota, long *period)
{
    char path[DIR_SIZE + 32];
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", dir);
    if (!read_number(path, quota))
        return false;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", dir);
    return read_number(path, period);
}

static const hierarchy v2 = { "/sys/fs/cgroup", read_v2 };
static const hierarchy v1 = { "/sys/fs/cgroup/cpu", read_v1 };

/* CPUs that one level grants, rounded up; `cpus` when it sets no limit (v2 "max", v1 -1). */
static unsigned quota_of_level(const hierarchy *in, const char *dir, unsigned cpus)
{
    long quota, period;
    if (!in->read(dir, &quota, &period) || quota <= 0 || period <= 0)
        return cpus;
    long granted = quota / period + (quota % period != 0);
    return granted < (long)cpus ? (unsigned)granted : cpus;
}

/* The lowest quota from our own group up to the mount. */
static unsigned quota_of_path(const hierarchy *in, const char *group, unsigned cpus)
{
    char dir[DIR_SIZE];
    size_t root = strlen(in->mount);
    if ((size_t)snprintf(dir, sizeof dir, "%s%s", in->mount, group) >= sizeof dir)
        dir[root] = '\0';
    for (;;) {
        cpus = quota_of_level(in, dir, cpus);
        char *slash = strrchr(dir + root, '/');
        if (!slash)
            return cpus;
        *slash = '\0';
    }
}

/* Whether a comma-separated list has the element "cpu". */
static bool has_cpu(const char *list, const char *end)
{
    for (const char *at = list; at < end;) {
        size_t n = strcspn(at, ",:");
        if (n == 3 && memcmp(at, "cpu", 3) == 0)
            return true;
        at += n + 1;
    }
    return false;
}

/* One line of /proc/self/cgroup: "number:controllers:group", without controllers in version 2. */
static unsigned quota_of_line(const char *line, unsigned cpus)
{
    const char *controllers = strchr(line, ':');
    const char *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group)
        return cpus;
    if (group == controllers + 1)
        return quota_of_path(&v2, group + 1, cpus);
    return has_cpu(controllers + 1, group) ? quota_of_path(&v1, group + 1, cpus) : cpus;
}

#define GROUPS_SIZE 4096

unsigned thi_machine_cpus(void)
{
    unsigned cpus = affinity();
    char *groups = thi_alloc(GROUPS_SIZE);
    if (!groups)
        return cpus;
    char *rest = NULL;
    if (!read_text("/proc/self/cgroup", groups, GROUPS_SIZE))
        *groups = '\0';
    for (char *line = strtok_r(groups, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        cpus = quota_of_line(line, cpus);
    thi_free(groups);
    return cpus;
}

size_t thi_machine_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

int thi_machine_process(void)
{
    return getpid();
}

int thi_machine_thread(void)
{
    return gettid();
}

bool thi_machine_is_realtime(void)
{
    int policy = sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
    return policy == SCHED_FIFO || policy == SCHED_RR;
}

/* To these calls 0 is the thread, not the process: setpriority(2), "C library/kernel differences".
 */
int thi_machine_give_way(unsigned steps)
{
    errno = 0;
    int now = getpriority(PRIO_PROCESS, 0);
    if (now == -1 && errno != 0)
        return -errno;
    return setpriority(PRIO_PROCESS, 0, now + (int)steps) < 0 ? -errno : 0;
}

int thi_machine_somaxconn(void)
{
    long limit;
    if (!read_number("/proc/sys/net/core/somaxconn", &limit) || limit < 1 || limit > INT_MAX)
        return SOMAXCONN;
    return (int)limit;
}

/* In /proc/self/stat it is the 18th number after the name, which may hold anything: proc(5). */
static bool find_in_stat(const char *text, long *count)
{
    const char *at = strrchr(text, ')');
    for (int i = 0; at && i < 18; i++)
        at = strchr(at + 1, ' ');
    return at && parse_number(&at, count);
}

/* In /proc/self/status it has a line, and no name looks like one: newlines in it are escaped. */
static bool find_in_status(const char *text, long *count)
{
    static const char key[] = "\nThreads:";
    const char *at = strstr(text, key);
    if (!at)
        return false;
    at += sizeof key - 1;
    return parse_number(&at, count);
}

/*
 * The second file has the number behind a list of groups that may be too long, so the first one is
 * asked first. Who runs programs of another processor makes that up, and without the number.
 */
int thi_machine_threads(void)
{
    char text[1536];
    long count = 0;
    bool known =
        (read_text("/proc/self/stat", text, sizeof text) && find_in_stat(text, &count) &&
         count > 0) ||
        (read_text("/proc/self/status", text, sizeof text) && find_in_status(text, &count));
    return known && count > 0 && count <= INT_MAX ? (int)count : -1;
}

/* The second number of schedstat, see the kernel's Documentation/scheduler/sched-stats.rst. */
int64_t thi_machine_run_delay(int thread)
{
    char path[64];
    char text[128];
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/schedstat", thread);
    const char *at = read_text(path, text, sizeof text) ? strchr(text, ' ') : NULL;
    long delay;
    return at && parse_number(&at, &delay) && delay > 0 ? delay : 0;
}

long thi_machine_raise_nofile(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    if (limit.rlim_cur != limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
            return -errno;
    }
    return limit.rlim_cur > LONG_MAX ? LONG_MAX : (long)limit.rlim_cur;
}
