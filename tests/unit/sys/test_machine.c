/* SPDX-License-Identifier: MIT */

/* Facts about the machine, on made-up machines: a table of system calls that serves the files. */
#include "check_main.h"

#include "base/util.h"
#include "sys/machine.h"
#include "sys/sys.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* A file of a made-up machine. */
typedef struct file {
    const char *path;
    const char *text;
} file;

static const file *files; /* ends with a NULL path */

/* Slashes may be doubled, as in the kernel. */
static bool same_path(const char *a, const char *b)
{
    for (;; a++, b++) {
        while (a[0] == '/' && a[1] == '/')
            a++;
        if (*a != *b)
            return false;
        if (*a == '\0')
            return true;
    }
}

static int fake_openat(int dir, const char *path, int flags, mode_t mode)
{
    (void)dir, (void)flags, (void)mode;
    for (int i = 0; files[i].path; i++)
        if (same_path(files[i].path, path))
            return i + 1000;
    return -ENOENT;
}

static ssize_t fake_read(int fd, void *buf, size_t n)
{
    const char *text = files[fd - 1000].text;
    size_t len = thi_min(strlen(text), n);
    memcpy(buf, text, len);
    return (ssize_t)len;
}

static int fake_close(int fd)
{
    return fd >= 1000 ? 0 : -EBADF;
}

static void make_machine(const file *made)
{
    static thi_sys table;
    table = thi_sys_real;
    table.openat = fake_openat;
    table.read = fake_read;
    table.close = fake_close;
    files = made;
    thi_sys_table = &table;
}

/* CPUs of the real affinity mask, by libc's own count. */
static unsigned allowed(void)
{
    cpu_set_t set;
    ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
    return (unsigned)CPU_COUNT(&set);
}

static unsigned cpus_of(const file *made)
{
    make_machine(made);
    return thi_machine_cpus();
}

START_TEST(cpus_are_those_of_the_affinity_mask_without_control_groups)
{
    static const file machine[] = { { NULL, NULL } };
    ck_assert_uint_eq(cpus_of(machine), allowed());
}
END_TEST

START_TEST(cpus_follow_the_affinity_mask)
{
    static const file machine[] = { { NULL, NULL } };
    cpu_set_t set, one;
    ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &set))
            CPU_SET(i, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    ck_assert_uint_eq(cpus_of(machine), 1);
}
END_TEST

START_TEST(quota_of_version_2_counts)
{
    static const file half[] = { { "/proc/self/cgroup", "0::/\n" },
                                 { "/sys/fs/cgroup/cpu.max", "50000 100000\n" },
                                 { NULL, NULL } };
    ck_assert_uint_eq(cpus_of(half), 1);
    static const file none[] = { { "/proc/self/cgroup", "0::/\n" },
                                 { "/sys/fs/cgroup/cpu.max", "max 100000\n" },
                                 { NULL, NULL } };
    ck_assert_uint_eq(cpus_of(none), allowed());
    static const file ample[] = { { "/proc/self/cgroup", "0::/\n" },
                                  { "/sys/fs/cgroup/cpu.max", "900000000 100000\n" },
                                  { NULL, NULL } };
    ck_assert_uint_eq(cpus_of(ample), allowed());
}
END_TEST

START_TEST(quota_is_rounded_up)
{
    if (allowed() < 2)
        return;
    static const file more[] = { { "/proc/self/cgroup", "0::/\n" },
                                 { "/sys/fs/cgroup/cpu.max", "100001 100000\n" },
                                 { NULL, NULL } };
    ck_assert_uint_eq(cpus_of(more), 2);
    static const file exact[] = { { "/proc/self/cgroup", "0::/\n" },
                                  { "/sys/fs/cgroup/cpu.max", "100000 100000\n" },
                                  { NULL, NULL } };
    ck_assert_uint_eq(cpus_of(exact), 1);
}
END_TEST

START_TEST(lowest_quota_on_the_way_up_holds)
{
    static const file machine[] = { { "/proc/self/cgroup", "0::/system.slice/thrum.service\n" },
                                    { "/sys/fs/cgroup/system.slice/thrum.service/cpu.max",
                                      "max 100000\n" },
                                    { "/sys/fs/cgroup/system.slice/cpu.max", "100000 100000\n" },
                                    { NULL, NULL } };
    ck_assert_uint_eq(cpus_of(machine), 1);
}
END_TEST

START_TEST(path_hidden_by_a_namespace_leaves_the_levels_that_can_be_read)
{
    static const file machine[] = { { "/proc/self/cgroup", "0::/../../elsewhere\n" },
                                    { "/sys/fs/cgroup/cpu.max", "20000 100000\n" },
                                    { NULL, NULL } };
    ck_assert_uint_eq(cpus_of(machine), 1);
}
END_TEST

START_TEST(quota_of_version_1_counts)
{
    static const file machine[] = {
        { "/proc/self/cgroup", "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/\n" },
        { "/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us", "10000\n" },
        { "/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us", "100000\n" },
        { NULL, NULL }
    };
    ck_assert_uint_eq(cpus_of(machine), 1);
    static const file unlimited[] = { { "/proc/self/cgroup", "4:cpuacct,cpu:/\n" },
                                      { "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n" },
                                      { "/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n" },
                                      { NULL, NULL } };
    ck_assert_uint_eq(cpus_of(unlimited), allowed());
}
END_TEST

START_TEST(quota_of_another_controller_does_not_count)
{
    static const file machine[] = { { "/proc/self/cgroup", "4:cpuacct:/\n3:cpuset:/\n" },
                                    { "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "1000\n" },
                                    { "/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n" },
                                    { NULL, NULL } };
    ck_assert_uint_eq(cpus_of(machine), allowed());
}
END_TEST

START_TEST(nonsense_in_the_files_is_ignored)
{
    static const char *const texts[] = { "", "max", "-5 100000", "100000 0", "0 0", "\n", "x y" };
    for (size_t i = 0; i < thi_array_len(texts); i++) {
        const file machine[] = { { "/proc/self/cgroup", "no colon\n1:only one\n0::/\n" },
                                 { "/sys/fs/cgroup/cpu.max", texts[i] },
                                 { NULL, NULL } };
        ck_assert_uint_eq(cpus_of(machine), allowed());
    }
}
END_TEST

START_TEST(overlong_group_is_ignored)
{
    static char text[2000] = "0::/";
    memset(text + 4, 'a', 1500);
    const file machine[] = { { "/proc/self/cgroup", text },
                             { "/sys/fs/cgroup/cpu.max", "20000 100000\n" },
                             { NULL, NULL } };
    ck_assert_uint_eq(cpus_of(machine), 1);
}
END_TEST

START_TEST(this_machine_has_a_cpu_and_pages)
{
    ck_assert_uint_ge(thi_machine_cpus(), 1);
    ck_assert_uint_le(thi_machine_cpus(), allowed());
    ck_assert_uint_ge(thi_machine_page_size(), 4096);
    ck_assert(thi_is_pow2(thi_machine_page_size()));
    ck_assert_int_ge(thi_machine_somaxconn(), 1);
}
END_TEST

START_TEST(queue_of_connections_is_what_the_kernel_says)
{
    static const file machine[] = { { "/proc/sys/net/core/somaxconn", "511\n" }, { NULL, NULL } };
    make_machine(machine);
    ck_assert_int_eq(thi_machine_somaxconn(), 511);
    static const char *const texts[] = { "", "0", "-1", "many", "99999999999" };
    for (size_t i = 0; i < thi_array_len(texts); i++) {
        const file odd[] = { { "/proc/sys/net/core/somaxconn", texts[i] }, { NULL, NULL } };
        make_machine(odd);
        ck_assert_int_eq(thi_machine_somaxconn(), SOMAXCONN);
    }
}
END_TEST

static int threads_of(const char *stat, const char *status)
{
    const file machine[] = { { stat ? "/proc/self/stat" : "/none", stat },
                             { status ? "/proc/self/status" : "/none", status },
                             { NULL, NULL } };
    make_machine(machine);
    return thi_machine_threads();
}

#define STAT(threads)   "7 (a) b) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 " threads " 0 99\n"
#define STATUS(threads) "Name:\ta\\nThreads:\t9\nGroups:\t0 1 \nThreads:\t" threads "\nSigQ:\t0/1\n"

START_TEST(threads_are_as_many_as_the_kernel_says)
{
    ck_assert_int_eq(threads_of(STAT("1"), STATUS("5")), 1);
    ck_assert_int_eq(threads_of(STAT("31"), NULL), 31);
    static const char *const odd[] = { STAT("0"), STAT("-1"), STAT("x"), "", ")", "7 (a) S 1" };
    for (size_t i = 0; i < thi_array_len(odd); i++) {
        ck_assert_int_eq(threads_of(odd[i], STATUS("5")), 5);
        ck_assert_int_eq(threads_of(odd[i], STATUS("0")), -1);
        ck_assert_int_eq(threads_of(odd[i], STATUS("99999999999")), -1);
        ck_assert_int_eq(threads_of(odd[i], "Name:\ta\\nThreads:\t9\nGroups:\t0 1"), -1);
        ck_assert_int_eq(threads_of(odd[i], NULL), -1);
    }
    ck_assert_int_eq(threads_of(NULL, STATUS("5")), 5);
    ck_assert_int_eq(threads_of(NULL, NULL), -1);
}
END_TEST

static void *end_when_told(void *arg)
{
    while (sem_wait(arg) != 0)
        continue;
    return NULL;
}

START_TEST(threads_of_this_process_are_counted)
{
    sem_t end;
    pthread_t threads[4];
    ck_assert_int_eq(sem_init(&end, 0, 0), 0);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, end_when_told, &end), 0);
        ck_assert_int_ge(thi_machine_threads(), i + 2);
    }
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(sem_post(&end), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

START_TEST(soft_limit_of_descriptors_is_raised_to_the_hard_one)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = thi_min((rlim_t)100, limit.rlim_max);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq(thi_machine_raise_nofile(), (long)limit.rlim_max);
    ck_assert_int_eq(thi_machine_raise_nofile(), (long)limit.rlim_max);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_uint_eq(limit.rlim_cur, limit.rlim_max);
}
END_TEST

/* ---- waiting for a CPU ---- */

static atomic_bool enough;

static void *spin_on_this_cpu(void *arg)
{
    (void)arg;
    while (!atomic_load(&enough))
        continue;
    return NULL;
}

START_TEST(who_shares_a_cpu_waits_for_it_and_that_is_counted)
{
    cpu_set_t one;
    pthread_t rival;
    int self = thi_machine_thread();
    SKIP_UNLESS(access("/proc/self/schedstat", R_OK) == 0, "the kernel does not count it");
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    int64_t before = thi_machine_run_delay(self);
    ck_assert_int_ge(before, 0);
    ck_assert_int_eq(pthread_create(&rival, NULL, spin_on_this_cpu, NULL), 0);
    while (thi_machine_run_delay(self) - before < 1000000)
        continue;
    atomic_store(&enough, true);
    ck_assert_int_eq(pthread_join(rival, NULL), 0);
    ck_assert_int_eq(thi_machine_run_delay(-1), 0);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "cpus");
    tcase_add_test(tcase, cpus_are_those_of_the_affinity_mask_without_control_groups);
    tcase_add_test(tcase, cpus_follow_the_affinity_mask);
    tcase_add_test(tcase, quota_of_version_2_counts);
    tcase_add_test(tcase, quota_is_rounded_up);
    tcase_add_test(tcase, lowest_quota_on_the_way_up_holds);
    tcase_add_test(tcase, path_hidden_by_a_namespace_leaves_the_levels_that_can_be_read);
    tcase_add_test(tcase, quota_of_version_1_counts);
    tcase_add_test(tcase, quota_of_another_controller_does_not_count);
    tcase_add_test(tcase, nonsense_in_the_files_is_ignored);
    tcase_add_test(tcase, overlong_group_is_ignored);

    tcase = thi_check_case(suite, "facts");
    tcase_add_test(tcase, this_machine_has_a_cpu_and_pages);
    tcase_add_test(tcase, queue_of_connections_is_what_the_kernel_says);
    tcase_add_test(tcase, threads_are_as_many_as_the_kernel_says);
    tcase_add_test(tcase, threads_of_this_process_are_counted);
    tcase_add_test(tcase, soft_limit_of_descriptors_is_raised_to_the_hard_one);
    tcase_add_test(tcase, who_shares_a_cpu_waits_for_it_and_that_is_counted);
}

int main(void)
{
    return thi_check_run("sys/machine", fill_suite);
}
