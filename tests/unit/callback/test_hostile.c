/* SPDX-License-Identifier: MIT */

/* Servers of all three ways among hostile clients, on every back end of a real machine. */
#include "callback/hostile.h"
#include "runtime/in_fiber.h"

#include "base/alloc.h"

#include <dirent.h>

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir))
        count++;
    (void)closedir(dir);
    return count;
}

static void run_way(int way, int engine, unsigned workers)
{
    static hostile_stage st;
    size_t descriptors = open_descriptors();
    int64_t live = thi_alloc_live();
    st.way = way;
    run_in_fiber(workers, engine, hostile_scenario, &st);
    ck_assert_msg(st.wrong[0] == '\0', "%s, %u workers: %s", engine_names[engine], workers,
                  st.wrong);
    ck_assert_uint_eq(open_descriptors(), descriptors);
    ck_assert_int_eq(thi_alloc_live(), live);
}

START_TEST(fibers_serve_who_is_honest)
{
    run_way(HOSTILE_FIBERS, _i, 1);
    run_way(HOSTILE_FIBERS, _i, 2);
}
END_TEST

START_TEST(protocols_serve_who_is_honest)
{
    run_way(HOSTILE_PROTOCOLS, _i, 1);
    run_way(HOSTILE_PROTOCOLS, _i, 2);
}
END_TEST

START_TEST(dispatchers_serve_who_is_honest)
{
    run_way(HOSTILE_DISPATCHERS, _i, 1);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "hostile clients");
    tcase_set_timeout(tcase, 60);
    add_on_engines(tcase, fibers_serve_who_is_honest);
    add_on_engines(tcase, protocols_serve_who_is_honest);
    add_on_engines(tcase, dispatchers_serve_who_is_honest);
}

int main(void)
{
    return thi_check_run("callback/hostile", fill);
}
