/* SPDX-License-Identifier: MIT */

/* Tests of making a site; how it answers is tested with real clients (tests/integration). */
#include <thrum/error.h>
#include <thrum/http.h>

#include "site_folder.h"

#include "base/alloc.h"
#include "sys/sys.h"

#include <errno.h>

static th_http_site *site;

static void setup(void)
{
    make_folder();
    write_text("file", "abc");
}

START_TEST(a_folder_makes_a_site)
{
    th_http_site_opts opts = { .index = " a.html   b ", .listing = 1 };
    int before = count_descriptors();
    ck_assert_int_eq(th_http_site_new(folder, NULL, &site), 0);
    th_http_site_free(site);
    ck_assert_int_eq(th_http_site_new(folder, &opts, &site), 0);
    th_http_site_free(site);
    opts.size = sizeof opts;
    opts.index = "";
    ck_assert_int_eq(th_http_site_new(folder, &opts, &site), 0);
    th_http_site_free(site);
    th_http_site_free(NULL);
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

START_TEST(what_is_no_folder_is_refused_with_its_path)
{
    ck_assert_int_eq(th_http_site_new(path_of("none"), NULL, &site), -ENOENT);
    ck_assert_str_eq(th_err_detail(), path_of("none"));
    ck_assert_int_eq(th_http_site_new(path_of("file"), NULL, &site), -ENOTDIR);
    ck_assert_str_eq(th_err_detail(), path_of("file"));
    ck_assert_int_eq(th_http_site_new("", NULL, &site), -ENOENT);
    ck_assert_ptr_null(site);
}
END_TEST

START_TEST(misuse_is_refused)
{
    th_http_site_opts opts = { .size = sizeof opts + 1 };
    ck_assert_int_eq(th_http_site_new(NULL, NULL, &site), -EINVAL);
    ck_assert_int_eq(th_http_site_new(folder, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_http_site_new(folder, &opts, &site), -EINVAL);
    ck_assert_ptr_null(site);
}
END_TEST

START_TEST(eight_index_files_are_the_limit)
{
    th_http_site_opts opts = { .index = "1 2 3 4 5 6 7 8" };
    ck_assert_int_eq(th_http_site_new(folder, &opts, &site), 0);
    th_http_site_free(site);
    site = NULL;
    opts.index = "1 2 3 4 5 6 7 8 9";
    ck_assert_int_eq(th_http_site_new(folder, &opts, &site), -EINVAL);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "8"));
    ck_assert_ptr_null(site);
}
END_TEST

START_TEST(an_index_file_is_in_its_folder)
{
    static const char *const names[] = { "a/b", "/", "x ../x", ".", "x ..", "/etc/passwd" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        th_http_site_opts opts = { .index = names[i] };
        ck_assert_int_eq(th_http_site_new(folder, &opts, &site), -EINVAL);
        ck_assert(*th_err_detail());
    }
    ck_assert_ptr_null(site);
}
END_TEST

static int no_openat2(int dir, const char *path, int flags, uint64_t resolve)
{
    (void)dir;
    (void)path;
    (void)flags;
    (void)resolve;
    return -ENOSYS;
}

START_TEST(links_cannot_be_followed_safely_everywhere)
{
    th_http_site_opts opts = { .follow_symlinks = 1 };
    thi_sys table = thi_sys_real;
    table.openat2 = no_openat2;
    thi_sys_table = &table;
    ck_assert_int_eq(th_http_site_new(folder, &opts, &site), -EOPNOTSUPP);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), folder));
    opts.follow_symlinks = 0;
    ck_assert_int_eq(th_http_site_new(folder, &opts, &site), 0);
    th_http_site_free(site);
    thi_sys_table = &thi_sys_real;
}
END_TEST

START_TEST(every_lack_of_memory_is_told_and_leaks_nothing)
{
    th_http_site_opts opts = { .index = "a b" };
    int before = count_descriptors();
    for (int64_t n = 1;; n++) {
        th_http_site *made = NULL;
        int64_t live = thi_alloc_live();
        thi_alloc_fail_at(n);
        int err = th_http_site_new(folder, &opts, &made);
        bool untouched = thi_alloc_fail_at(0) > 0;
        ck_assert_int_eq(err, untouched ? 0 : -ENOMEM);
        th_http_site_free(made);
        ck_assert_int_eq(thi_alloc_live(), live);
        if (untouched)
            break;
    }
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *make = thi_check_case(suite, "make");
    tcase_add_checked_fixture(make, setup, remove_folder);
    tcase_add_test(make, a_folder_makes_a_site);
    tcase_add_test(make, what_is_no_folder_is_refused_with_its_path);
    tcase_add_test(make, misuse_is_refused);
    tcase_add_test(make, eight_index_files_are_the_limit);
    tcase_add_test(make, an_index_file_is_in_its_folder);
    tcase_add_test(make, links_cannot_be_followed_safely_everywhere);
    tcase_add_test(make, every_lack_of_memory_is_told_and_leaks_nothing);
}

int main(void)
{
    return thi_check_run("http/site", fill);
}
