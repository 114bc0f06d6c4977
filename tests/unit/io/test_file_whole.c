/* SPDX-License-Identifier: MIT */

/* Whole files: loading up to a limit, and saving all or nothing. */
#include "io/files.h"

#include "base/alloc.h"
#include "sys/fault.h"

/* ---- loading ---- */

static int load(const char *path, size_t limit, size_t room, th_str *content)
{
    static th_arena arena;
    th_arena_deinit(&arena);
    th_arena_init(&arena, NULL, 0, room);
    return th_file_load(path, limit, &arena, content);
}

FILE_TEST(files_are_loaded_up_to_the_limit)
{
    th_str content = { NULL, 7 };
    write_text("file", "12345");
    write_text("empty", "");
    ck_assert_int_eq(load(path_of("file"), 5, 0, &content), 0);
    ck_assert_uint_eq(content.len, 5);
    ck_assert_str_eq(content.ptr, "12345"); /* with a NUL */
    content.len = 7;
    ck_assert_int_eq(load(path_of("file"), 4, 0, &content), TH_ELIMIT);
    ck_assert_str_eq(th_err_detail(), "more than 4 bytes");
    ck_assert_uint_eq(content.len, 7);
    ck_assert_int_eq(load(path_of("file"), 0, 0, &content), TH_ELIMIT);
    ck_assert_int_eq(load(path_of("file"), SIZE_MAX, 0, &content), 0);
    ck_assert_int_eq(load(path_of("empty"), 0, 0, &content), 0);
    ck_assert_uint_eq(content.len, 0);
    ck_assert_int_eq(load(path_of("empty"), SIZE_MAX, 0, &content), 0);
}

FILE_TEST(files_that_do_not_say_how_large_they_are_are_loaded)
{
    th_str content;
    ck_assert_int_eq(load("/proc/self/smaps", SIZE_MAX, 0, &content), 0);
    ck_assert_uint_gt(content.len, 4097); /* more than the first guess */
    ck_assert_int_eq(content.ptr[content.len - 1], '\n');
    ck_assert_int_eq(load("/proc/self/smaps", 100, 0, &content), TH_ELIMIT);
    ck_assert_int_eq(load("/dev/zero", 100000, 0, &content), TH_ELIMIT);
}

FILE_TEST(what_cannot_be_loaded_is_told)
{
    th_str content;
    th_arena arena;
    int before = count_descriptors();
    write_text("file", "12345");
    ck_assert_int_eq(load(path_of("missing"), 10, 0, &content), -ENOENT);
    ck_assert_int_eq(load(folder, 10, 0, &content), -EISDIR);
    ck_assert_int_eq(load(NULL, 10, 0, &content), -EINVAL);
    ck_assert_int_eq(load(path_of("file"), 10, 0, NULL), -EINVAL);
    ck_assert_int_eq(th_file_load(path_of("file"), 10, NULL, &content), -EINVAL);
    th_arena_init(&arena, NULL, 0, 4);
    ck_assert_int_eq(th_file_load(path_of("file"), 10, &arena, &content), -ENOMEM);
    th_arena_deinit(&arena);
    ck_assert_int_eq(count_descriptors(), before);
}

/* ---- saving ---- */

FILE_TEST(the_new_file_takes_the_place_of_the_former_one)
{
    struct stat st;
    mode_t before = umask(027);
    write_text("file", "former");
    ck_assert_int_eq(link(path_of("file"), path_of("kept")), 0);
    ck_assert_int_eq(th_file_save(path_of("file"), "new", 3, 0666), 0);
    umask(before);
    assert_content("file", "new", 3);
    assert_content("kept", "former", 6);
    ck_assert_int_eq(stat(path_of("file"), &st), 0);
    ck_assert_uint_eq(st.st_mode, S_IFREG | 0640);
    ck_assert_int_eq(th_file_save(path_of("other"), NULL, 0, 0600), 0);
    assert_content("other", "", 0);
    ck_assert_int_eq(count_names(), 3);
}

FILE_TEST(a_link_is_replaced)
{
    write_text("target", "stays");
    make_link("target", "link");
    ck_assert_int_eq(th_file_save(path_of("link"), "new", 3, 0600), 0);
    assert_content("target", "stays", 5);
    assert_content("link", "new", 3);
}

FILE_TEST(names_in_the_working_directory_are_saved)
{
    ck_assert_int_eq(chdir(folder), 0);
    ck_assert_int_eq(th_file_save("file", "here", 4, 0600), 0);
    assert_content("file", "here", 4);
    ck_assert_int_eq(th_file_save("/", "x", 1, 0600), -EISDIR);
    ck_assert_int_eq(th_file_save("no/file", "x", 1, 0600), -ENOENT);
    ck_assert_str_eq(th_err_detail(), "no/file");
    ck_assert_int_eq(th_file_save("", "x", 1, 0600), -EISDIR);
    ck_assert_int_eq(th_file_save(NULL, "x", 1, 0600), -EINVAL);
    ck_assert_int_eq(th_file_save("file", NULL, 1, 0600), -EINVAL);
    make_dir("dir");
    ck_assert_int_eq(th_file_save("dir", "x", 1, 0600), -EISDIR); /* by rename(2) */
    ck_assert_int_eq(count_names(), 2);
    ck_assert_int_eq(chdir("/"), 0);
}

/* Each call of a saving fails once, with whatever error. */
FILE_TEST(a_saving_that_fails_leaves_the_former_file)
{
    static const int errors[] = { EIO, ENOSPC, ENOMEM };
    ck_assert_int_eq(th_file_save(path_of("file"), "", 0, 0600), 0); /* the pool is there */
    int before = count_descriptors();
    thi_fault_begin(0, 0);
    for (size_t e = 0; e < thi_array_len(errors); e++) {
        const char *hit;
        unsigned long n = 0;
        do {
            write_text("file", "former");
            thi_fault_order("random openat pwritev2 fsync renameat", ++n, errors[e]);
            int err = th_file_save(path_of("file"), "new one", 7, 0600);
            hit = thi_fault_hit();
            thi_fault_order(NULL, 0, 0);
            ck_assert_int_eq(err, hit ? -errors[e] : 0);
            if (n <= 6)
                assert_content("file", "former", 6);
            else /* only the directory was not synced, or nothing failed */
                assert_content("file", "new one", 7);
            ck_assert_int_eq(count_names(), 1);
            ck_assert_int_eq(count_descriptors(), before);
        } while (hit);
        ck_assert_uint_eq(n, 7 + 1); /* openat twice, fsync twice */
    }
    (void)thi_fault_end();
}

static ssize_t write_little(int fd, const struct iovec *iov, int count, int64_t at, int flags)
{
    struct iovec first = { iov->iov_base, thi_min(iov->iov_len, (size_t)3) };
    (void)count;
    return thi_sys_real.pwritev2(fd, &first, 1, at, flags);
}

static int refuse_to_sync(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? -EINVAL : thi_sys_real.fsync(fd);
}

FILE_TEST(short_writes_and_directories_that_cannot_be_synced_are_no_failures)
{
    static thi_sys sys;
    sys = thi_sys_real;
    sys.pwritev2 = write_little;
    sys.fsync = refuse_to_sync;
    thi_sys_table = &sys;
    ck_assert_int_eq(th_file_save(path_of("file"), "0123456789", 10, 0600), 0);
    thi_sys_table = &thi_sys_real;
    assert_content("file", "0123456789", 10);
}

static void fill(Suite *suite)
{
    TCase *loading = thi_check_case(suite, "loading");
    add_in_places(loading, files_are_loaded_up_to_the_limit);
    add_in_places(loading, files_that_do_not_say_how_large_they_are_are_loaded);
    add_in_places(loading, what_cannot_be_loaded_is_told);
    TCase *saving = thi_check_case(suite, "saving");
    add_in_places(saving, the_new_file_takes_the_place_of_the_former_one);
    add_in_places(saving, a_link_is_replaced);
    add_in_places(saving, names_in_the_working_directory_are_saved);
    add_in_places(saving, a_saving_that_fails_leaves_the_former_file);
    add_in_places(saving, short_writes_and_directories_that_cannot_be_synced_are_no_failures);
}

int main(void)
{
    return thi_check_run("io/file_whole", fill);
}
