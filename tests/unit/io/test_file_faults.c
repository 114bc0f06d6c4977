/* SPDX-License-Identifier: MIT */

/* Files in trouble: each call, and each allocation, of a scenario fails once; and simulations. */
#include "io/files.h"

#include "base/alloc.h"
#include "sys/fault.h"

#include <thrum/sim.h>

/* ---- transfers that come in pieces, or end in the middle ---- */

static size_t share; /* the most that a step moves */
static int moves;    /* steps that are left until one fails; -1: none will */
static int move_fails;

static bool cut(const struct iovec *iov, struct iovec *first, int *err)
{
    *err = moves == 0 ? move_fails : 0;
    moves -= moves > 0;
    *first = (struct iovec){ iov->iov_base, thi_min(iov->iov_len, share) };
    return *err == 0;
}

/* What is only tried, on a file that knows no trying, is no step. */
static ssize_t short_preadv2(int fd, const struct iovec *iov, int count, int64_t at, int flags)
{
    struct iovec first;
    int err, before = moves;
    (void)count;
    if (!cut(iov, &first, &err))
        return err;
    ssize_t n = thi_sys_real.preadv2(fd, &first, 1, at, flags);
    if (n == -EOPNOTSUPP)
        moves = before;
    return n;
}

static ssize_t short_pwritev2(int fd, const struct iovec *iov, int count, int64_t at, int flags)
{
    struct iovec first;
    int err;
    (void)count;
    return cut(iov, &first, &err) ? thi_sys_real.pwritev2(fd, &first, 1, at, flags) : err;
}

static void cut_transfers(size_t to, int count, int error)
{
    static thi_sys sys;
    sys = thi_sys_real;
    sys.preadv2 = short_preadv2;
    sys.pwritev2 = short_pwritev2;
    thi_sys_table = &sys;
    share = to;
    moves = count;
    move_fails = error;
}

/* Where the kernel itself makes the calls, they are not cut, and the test is of no use. */
static bool is_cut(void)
{
    return !thi_worker_self || !thi_worker_self->loop.engine->submit ||
           !(atomic_load(&thi_fileways) & THI_FILEWAY_ENGINE);
}

FILE_TEST(short_steps_are_put_together)
{
    char text[11] = "";
    struct iovec iov[3] = { { "01", 2 }, { "23456", 5 }, { "789", 3 } };
    th_file *file = open_file("file", O_RDWR | O_CREAT);
    cut_transfers(3, -1, 0);
    ck_assert_int_eq(th_file_writev(file, iov, 3, -1), 10);
    assert_content("file", "0123456789", 10);
    ck_assert_int_eq(th_file_pread(file, text, 10, 0), 10);
    ck_assert_str_eq(text, "0123456789");
    ck_assert_int_eq(th_file_pread(file, text, 10, 5), 5);
    th_file_free(file);
}

FILE_TEST(how_far_a_failed_transfer_came_is_told)
{
    char text[10];
    if (!is_cut())
        return;
    th_file *file = open_file("file", O_RDWR | O_CREAT);
    cut_transfers(3, 2, -ENOSPC);
    ck_assert_int_eq(th_file_write(file, "0123456789", 10), -ENOSPC);
    ck_assert_str_eq(th_err_detail(), "6 bytes were written before");
    assert_content("file", "012345", 6);
    cut_transfers(3, 0, -EIO);
    ck_assert_int_eq(th_file_pwrite(file, "x", 1, 0), -EIO);
    ck_assert_str_eq(th_err_detail(), "");
    cut_transfers(2, 2, -EIO);
    ck_assert_int_eq(th_file_pread(file, text, 6, 0), -EIO);
    ck_assert_str_eq(th_err_detail(), "4 bytes were read before");
    th_file_free(file);
}

static ssize_t no_pwritev2(int fd, const struct iovec *iov, int count, int64_t at, int flags)
{
    (void)fd, (void)iov, (void)count, (void)at, (void)flags;
    return 0;
}

FILE_TEST(a_write_of_nothing_is_not_repeated_for_ever)
{
    static thi_sys sys;
    if (!is_cut())
        return;
    th_file *file = open_file("file", O_RDWR | O_CREAT);
    sys = thi_sys_real;
    sys.pwritev2 = no_pwritev2;
    thi_sys_table = &sys;
    ck_assert_int_eq(th_file_write(file, "x", 1), -EIO);
    thi_sys_table = &thi_sys_real;
    th_file_free(file);
}

/* File systems that know no trying are found out, once for each file. */
static int tries;

static ssize_t untried_preadv2(int fd, const struct iovec *iov, int count, int64_t at, int flags)
{
    if (!(flags & RWF_NOWAIT))
        return thi_sys_real.preadv2(fd, iov, count, at, flags);
    tries++;
    return -EOPNOTSUPP;
}

static int unknown_openat2(int dir, const char *path, int flags, uint64_t resolve)
{
    (void)dir, (void)path, (void)flags, (void)resolve;
    return -ENOSYS;
}

FILE_TEST(kernels_that_know_no_trying_are_not_asked_again)
{
    static thi_sys sys;
    char byte;
    write_text("file", "1");
    sys = thi_sys_real;
    sys.preadv2 = untried_preadv2;
    sys.openat2 = unknown_openat2;
    thi_sys_table = &sys;
    tries = 0;
    for (int i = 0; i < 3; i++) {
        th_file *file = open_file("file", O_RDONLY);
        ck_assert_int_eq(th_file_pread(file, &byte, 1, 0), 1);
        ck_assert_int_eq(th_file_pread(file, &byte, 1, 0), 1);
        th_file_free(file);
    }
    ck_assert_int_le(tries, 3);
    thi_sys_table = &thi_sys_real;
}

/* ---- everything fails once ---- */

/* Uses files in all ways; a failure must be the one that was ordered. */
static int use_files(void)
{
    char text[16];
    struct stat st;
    th_file *file = NULL;
    th_dir *dir = NULL;
    th_dir_entry entry;
    int err = th_file_open(path_of("file"), O_RDWR | O_CREAT, 0600, &file);
    if (err == 0)
        err = (int)th_file_write(file, "0123456789", 10);
    if (err >= 0)
        err = (int)th_file_pread(file, text, sizeof text, 0);
    if (err >= 0)
        err = th_file_stat(file, &st);
    if (err >= 0)
        err = th_file_sync(file);
    if (err >= 0)
        err = th_file_truncate(file, 3);
    th_file_free(file);
    if (err >= 0)
        err = th_path_rename(path_of("file"), path_of("other"));
    if (err >= 0)
        err = th_dir_open(folder, &dir);
    while (err >= 0 && (err = th_dir_read(dir, &entry)) > 0)
        ;
    th_dir_free(dir);
    if (err >= 0)
        err = th_path_unlink(path_of("other"));
    return err;
}

static void clean(void)
{
    (void)unlink(path_of("file"));
    (void)unlink(path_of("other"));
}

static const struct {
    int error;
    const char *calls;
} troubles[] = {
    { EIO, "openat openat2 preadv2 pwritev2 fsync ftruncate statx renameat getdents unlinkat" },
    { ENOSPC, "openat pwritev2 fsync renameat" },
    { ENOMEM, "openat openat2 preadv2 pwritev2 statx getdents uring_enter" },
    { EINTR, "epoll_wait poll select uring_enter" },
    { EMFILE, "openat openat2" },
};

FILE_TEST(each_call_may_fail_and_leaves_nothing_behind)
{
    ck_assert_int_eq(use_files(), 0);
    ck_assert_int_eq(th_path_unlink(path_of("file")), -ENOENT); /* details have a place now */
    int open = count_descriptors();
    int64_t live = thi_alloc_live();
    thi_fault_begin(0, 0);
    for (size_t t = 0; t < thi_array_len(troubles); t++) {
        const char *hit;
        unsigned long n = 0;
        do {
            thi_fault_order(troubles[t].calls, ++n, troubles[t].error);
            int err = use_files();
            hit = thi_fault_hit();
            thi_fault_order(NULL, 0, 0);
            bool waits = hit && strstr("epoll_wait poll select uring_enter", hit);
            ck_assert_msg(err == 0 || (hit && !waits && err == -troubles[t].error), "%s: %s",
                          hit ? hit : "no call", th_errname(err));
            ck_assert_int_eq(count_descriptors(), open);
            ck_assert_int_eq(thi_alloc_live(), live);
            clean();
        } while (hit && n < 200);
        ck_assert_uint_lt(n, 200);
    }
    (void)thi_fault_end();
}

FILE_TEST(each_allocation_may_fail_and_leaves_nothing_behind)
{
    ck_assert_int_eq(use_files(), 0);
    ck_assert_int_eq(th_path_unlink(path_of("file")), -ENOENT); /* details have a place now */
    int open = count_descriptors();
    int64_t live = thi_alloc_live();
    for (int64_t n = 1;; n++) {
        ck_assert_int_lt(n, 50);
        (void)thi_alloc_fail_at(n);
        int err = use_files();
        bool struck = thi_alloc_fail_at(0) == 0;
        ck_assert_int_eq(count_descriptors(), open);
        ck_assert_int_eq(thi_alloc_live(), live);
        clean();
        if (!struck) {
            ck_assert_int_eq(err, 0);
            break;
        }
        ck_assert_int_eq(err, -ENOMEM);
    }
}

/* ---- simulations ---- */

static int tally[3]; /* runs that went well, that had no space, that were too late */

/* Several fibers with a file each, some of which have little time. */
static int work_on_file(void *arg)
{
    static const char text[] = "the quick brown fox jumps over the lazy dog";
    char name[16], found[sizeof text] = "";
    th_file *file;
    th_scope scope;
    snprintf(name, sizeof name, "file-%d", (int)(intptr_t)arg);
    open_scope_for(&scope, (intptr_t)arg % 2 ? TH_HOUR : 3 * TH_MILLISECOND);
    int err = th_file_open(path_of(name), O_RDWR | O_CREAT | O_TRUNC, 0600, &file);
    if (err == 0) {
        err = (int)th_file_write(file, text, sizeof text);
        if (err > 0)
            err = (int)th_file_pread(file, found, sizeof found, 0);
        if (err > 0) {
            ck_assert_int_eq(err, sizeof text);
            ck_assert_str_eq(found, text);
        }
        th_file_free(file);
    }
    close_scope(&scope);
    ck_assert_msg(err > 0 || err == -ENOSPC || err == -ETIMEDOUT, "%s", th_errname(err));
    tally[err > 0 ? 0 : err == -ENOSPC ? 1 : 2]++;
    return 0;
}

static int work_on_files(void *arg)
{
    th_scope scope;
    (void)arg;
    open_scope(&scope);
    for (intptr_t i = 0; i < 6; i++)
        spawn_on(&scope, (unsigned)i % 2, work_on_file, (void *)i);
    close_scope(&scope);
    return 0;
}

START_TEST(the_same_seed_moves_the_same_pieces)
{
    th_sim_opts opts = { .workers = 2 };
    uint64_t shorts = 0;
    make_folder();
    opts.faults[TH_SIM_SHORT_READ].per_million = 300000;
    opts.faults[TH_SIM_SHORT_WRITE].per_million = 300000;
    opts.faults[TH_SIM_NO_SPACE].per_million = 50000;
    for (opts.seed = 1; opts.seed <= 60; opts.seed++) {
        th_sim_result first, second;
        ck_assert_int_eq(th_sim_run(work_on_files, NULL, &opts, &first), 0);
        ck_assert_int_eq(th_sim_run(work_on_files, NULL, &opts, &second), 0);
        ck_assert_uint_eq(first.hash, second.hash);
        ck_assert_int_eq(first.live_allocations, 0);
        ck_assert_uint_eq(first.open_descriptors, 0);
        shorts += first.faults[TH_SIM_SHORT_READ] + first.faults[TH_SIM_SHORT_WRITE];
    }
    ck_assert_uint_gt(shorts, 0);
    for (size_t i = 0; i < thi_array_len(tally); i++)
        ck_assert_int_gt(tally[i], 0); /* all of this has happened */
    remove_folder();
}
END_TEST

static void fill(Suite *suite)
{
    TCase *pieces = thi_check_case(suite, "pieces");
    add_in_places(pieces, short_steps_are_put_together);
    add_in_places(pieces, how_far_a_failed_transfer_came_is_told);
    add_in_places(pieces, a_write_of_nothing_is_not_repeated_for_ever);
    add_in_places(pieces, kernels_that_know_no_trying_are_not_asked_again);
    TCase *torture = thi_check_case(suite, "torture");
    add_in_places(torture, each_call_may_fail_and_leaves_nothing_behind);
    add_in_places(torture, each_allocation_may_fail_and_leaves_nothing_behind);
    TCase *sim = thi_check_case(suite, "simulation");
    tcase_add_test(sim, the_same_seed_moves_the_same_pieces);
}

int main(void)
{
    return thi_check_run("io/file_faults", fill);
}
