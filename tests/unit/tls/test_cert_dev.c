/* SPDX-License-Identifier: MIT */

/* The certificate for developing: made once, whole whatever fails, and agreed on by many at once.
 */
#include "io/files.h"

#include "base/alloc.h"
#include "sys/fault.h"

#include <thrum/cert.h>
#include <thrum/cert_dev.h>
#include <thrum/cert_store.h>

static int open_dev(const char *dir, const char *name, th_cert_dev **dev)
{
    return th_cert_dev_open(
        &(th_cert_dev_opts){ .dir = dir, .names = &name, .name_count = name ? 1 : 0 }, dev);
}

/* The one in the test's folder, which has to be there or be made. */
static th_cert_dev *good_dev(const char *name)
{
    th_cert_dev *dev = NULL;
    int err = open_dev(path_of("dev"), name, &dev);
    ck_assert_msg(err == 0, "%s: %s", th_errname(err), th_err_detail());
    return dev;
}

static bool has_name(const th_cert_dev *dev, const char *name)
{
    const char *found;
    for (size_t i = 0; (found = th_cert_dev_name(dev, i)) != NULL; i++)
        if (strcmp(found, name) == 0)
            return true;
    return false;
}

/* A client that trusts the authority believes the certificate. */
static void assert_believed(const char *host)
{
    th_cert *leaf;
    th_cert *authority;
    th_cert_store *store;
    th_key *key;
    const th_cert_check_opts opts = { .purpose = "server", .host = th_str_of(host) };
    ck_assert_int_eq(th_cert_load(path_of("dev/localhost.pem"), &leaf), 0);
    ck_assert_int_eq(th_key_load(path_of("dev/localhost.pem"), NULL, &key), 0);
    ck_assert_int_eq(th_cert_load(path_of("dev/authority.pem"), &authority), 0);
    ck_assert_int_eq(th_cert_store_new(&store), 0);
    ck_assert_int_eq(th_cert_store_add(store, authority), 0);
    int err = th_cert_check(store, leaf, &opts, NULL, NULL);
    ck_assert_msg(err == 0, "%s", th_err_detail());
    ck_assert_int_eq(th_cert_has_key(leaf, key), 1);
    th_cert_store_unref(store);
    th_cert_unref(authority);
    th_cert_unref(leaf);
    th_key_unref(key);
}

/* Nothing but the four files: no temporary one is left. */
static void assert_tidy(void)
{
    static const char *const names[] = { "authority.pem", "authority-key.pem", "localhost.pem",
                                         ".lock" };
    for (size_t i = 0; i < thi_array_len(names); i++) {
        char name[64];
        struct stat st;
        snprintf(name, sizeof name, "dev/%s", names[i]);
        ck_assert_int_eq(stat(path_of(name), &st), 0);
        ck_assert_uint_eq(st.st_mode & 0777, i == 0 ? 0644 : 0600);
    }
    DIR *dir = opendir(path_of("dev"));
    int count = 0;
    while (readdir(dir))
        count++;
    closedir(dir);
    ck_assert_int_eq(count, 4 + 2);
}

FILE_TEST(it_is_made_once)
{
    mode_t before = umask(022);
    th_cert_dev *dev = good_dev(NULL);
    ck_assert_uint_eq(th_cert_dev_made(dev),
                      TH_CERT_DEV_MADE_AUTHORITY | TH_CERT_DEV_MADE_CERTIFICATE);
    ck_assert_str_eq(th_cert_dev_file(dev), path_of("dev/localhost.pem"));
    ck_assert_str_eq(th_cert_dev_authority_file(dev), path_of("dev/authority.pem"));
    ck_assert_str_eq(th_cert_dev_authority_key_file(dev), path_of("dev/authority-key.pem"));
    ck_assert(has_name(dev, "localhost") && has_name(dev, "127.0.0.1"));
    int64_t left = th_cert_dev_not_after(dev) - th_wall() / TH_SECOND;
    ck_assert_int_le(left, INT64_C(397) * 86400);
    ck_assert_int_gt(left, INT64_C(396) * 86400);
    th_cert_dev_free(dev);
    assert_tidy();
    assert_believed("localhost");
    assert_believed("127.0.0.1");
    dev = good_dev("LOCALHOST");
    ck_assert_uint_eq(th_cert_dev_made(dev), 0);
    th_cert_dev_free(dev);
    dev = good_dev("shop.test");
    ck_assert_uint_eq(th_cert_dev_made(dev), TH_CERT_DEV_MADE_CERTIFICATE);
    ck_assert(has_name(dev, "shop.test"));
    th_cert_dev_free(dev);
    assert_believed("shop.test");
    umask(before);
}

FILE_TEST(misuse_changes_nothing)
{
    th_cert_dev *dev = NULL;
    const char *none = NULL;
    const char *dir = path_of("dev");
    ck_assert_int_eq(th_cert_dev_open(NULL, NULL), -EINVAL);
    ck_assert_int_eq(open_dev("", NULL, &dev), -EINVAL);
    ck_assert_int_eq(
        th_cert_dev_open(&(th_cert_dev_opts){ .size = sizeof(th_cert_dev_opts) + 1, .dir = dir },
                         &dev),
        -EINVAL);
    ck_assert_int_eq(th_cert_dev_open(&(th_cert_dev_opts){ .dir = dir, .name_count = 1 }, &dev),
                     -EINVAL);
    ck_assert_int_eq(
        th_cert_dev_open(&(th_cert_dev_opts){ .dir = dir, .names = &none, .name_count = 1 }, &dev),
        -EINVAL);
    ck_assert_int_eq(open_dev(dir, "ops@shop.test", &dev), -EINVAL);
    ck_assert_ptr_null(dev);
    ck_assert_int_eq(count_names(), 0);
    th_cert_dev_free(NULL);
    ck_assert_ptr_null(th_cert_dev_file(NULL));
    ck_assert_ptr_null(th_cert_dev_authority_file(NULL));
    ck_assert_ptr_null(th_cert_dev_authority_key_file(NULL));
    ck_assert_ptr_null(th_cert_dev_name(NULL, 0));
    ck_assert_uint_eq(th_cert_dev_made(NULL), 0);
    ck_assert_int_eq(th_cert_dev_not_after(NULL), 0);
}

FILE_TEST(names_of_strangers_are_refused_by_name)
{
    th_cert_dev *dev = NULL;
    ck_assert_int_eq(open_dev(path_of("dev"), "example.com", &dev), -EINVAL);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "example.com"));
    ck_assert_int_eq(open_dev(path_of("dev"), "8.8.8.8", &dev), -EINVAL);
    ck_assert_ptr_null(dev);
}

FILE_TEST(without_a_home_there_is_no_folder)
{
    th_cert_dev *dev = NULL;
    unsetenv("XDG_DATA_HOME");
    unsetenv("HOME");
    ck_assert_int_eq(th_cert_dev_open(NULL, &dev), TH_ECONFIG);
    ck_assert_int_eq(setenv("XDG_DATA_HOME", folder, 1), 0);
    ck_assert_int_eq(th_cert_dev_open(NULL, &dev), 0);
    ck_assert_str_eq(th_cert_dev_file(dev), path_of("thrum/localhost.pem"));
    th_cert_dev_free(dev);
}

/* When all is good nothing is written, not even the lock: a container's folder may be read-only. */
FILE_TEST(what_is_good_is_only_read)
{
    th_cert_dev_free(good_dev(NULL));
    thi_fault_begin(0, 0);
    thi_fault_order("pwritev2 renameat mkdirat fcntl fsync unlinkat", 1, EROFS);
    th_cert_dev_free(good_dev(NULL));
    ck_assert_ptr_null(thi_fault_hit());
    th_cert_dev *dev = NULL;
    ck_assert_int_lt(open_dev(path_of("dev"), "new.test", &dev), 0);
    (void)thi_fault_end();
    ck_assert_ptr_null(dev);
}

static int sync_nothing(int fd)
{
    (void)fd;
    return 0;
}

/* A disk takes longer than all the rest, and there are many runs. */
static void forget_the_disk(void)
{
    static thi_sys sys;
    sys = thi_sys_real;
    sys.fsync = sync_nothing;
    thi_sys_table = &sys;
}

/* Each call fails once; what is there then is whole, and the next call makes the rest. */
FILE_TEST(whatever_fails_the_files_stay_whole)
{
    forget_the_disk();
    th_file_free(open_file("x", O_WRONLY | O_CREAT)); /* the pool is there */
    int before = count_descriptors();
    const char *hit;
    unsigned long n = 0;
    thi_fault_begin(0, 0);
    do {
        th_cert_dev *dev = NULL;
        remove_folder();
        ck_assert_int_eq(mkdir(folder, 0700), 0);
        thi_fault_order("openat pwritev2 preadv2 renameat mkdirat fstatat statx fcntl random", ++n,
                        EIO);
        int err = open_dev(path_of("dev"), "shop.test", &dev);
        hit = thi_fault_hit();
        thi_fault_order(NULL, 0, 0);
        ck_assert(err < 0 ? dev == NULL : dev != NULL);
        th_cert_dev_free(dev);
        th_cert_dev_free(good_dev("shop.test"));
        assert_tidy();
        assert_believed("shop.test");
        ck_assert_int_eq(count_descriptors(), before);
    } while (hit);
    (void)thi_fault_end();
    ck_assert_uint_gt(n, 10);
}

static void without_memory(const char *name)
{
    int64_t n = 0;
    for (bool failed = true; failed;) {
        th_cert_dev *dev = NULL;
        int64_t live = thi_alloc_live();
        thi_alloc_fail_at(++n);
        int err = open_dev(path_of("dev"), name, &dev);
        failed = thi_alloc_fail_at(0) <= 0;
        ck_assert(err == 0 ? dev != NULL : dev == NULL);
        if (err < 0)
            ck_assert_msg(err == -ENOMEM, "%s: %s", th_errname(err), th_err_detail());
        th_cert_dev_free(dev);
        ck_assert_int_eq(thi_alloc_live(), live);
    }
    ck_assert_int_gt(n, 5);
}

START_TEST(lack_of_memory_is_told_and_leaves_nothing)
{
    make_folder();
    forget_the_disk();
    th_cert_dev_free(good_dev(NULL));
    without_memory(NULL);
    without_memory("shop.test");
    assert_believed("shop.test");
    remove_folder();
}
END_TEST

/* ---- many at once ---- */

static char wanted[8][16];

static char dev_path[512]; /* path_of() is for one thread */

static int want_one(void *arg)
{
    th_cert_dev *dev = NULL;
    int err = open_dev(dev_path, arg, &dev);
    th_cert_dev_free(dev);
    return err;
}

static int want_many(void *arg)
{
    (void)arg;
    th_scope scope;
    snprintf(dev_path, sizeof dev_path, "%s", path_of("dev"));
    open_scope(&scope);
    for (unsigned i = 0; i < 8; i++) {
        snprintf(wanted[i], sizeof wanted[i], "n%u.test", i);
        spawn_on(&scope, i % 3, want_one, wanted[i]);
    }
    close_scope(&scope);
    th_cert_dev *dev = good_dev(NULL);
    ck_assert_uint_eq(th_cert_dev_made(dev), 0);
    for (unsigned i = 0; i < 8; i++)
        ck_assert(has_name(dev, wanted[i]));
    th_cert_dev_free(dev);
    assert_tidy();
    return 0;
}

START_TEST(fibers_of_several_workers_agree)
{
    make_folder();
    run_in_fiber(3, _i, want_many, NULL);
    remove_folder();
}
END_TEST

/* Somebody else holds the folder's lock. */
static int hold_lock(void)
{
    struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd = open(path_of("dev/.lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &all), 0);
    return fd;
}

FILE_TEST(waiting_for_the_lock_ends_with_the_scope)
{
    th_scope scope;
    th_cert_dev *dev = NULL;
    make_dir("dev");
    int lock = hold_lock();
    open_scope_for(&scope, 20 * TH_MILLISECOND);
    ck_assert_int_eq(open_dev(path_of("dev"), NULL, &dev), -ETIMEDOUT);
    close_scope(&scope);
    open_cancelled_scope(&scope);
    ck_assert_int_eq(open_dev(path_of("dev"), NULL, &dev), -ECANCELED);
    close_scope(&scope);
    ck_assert_ptr_null(dev);
    close(lock);
    th_cert_dev_free(good_dev(NULL));
}

static int want_locked(void *arg)
{
    (void)arg;
    note('a');
    th_cert_dev_free(good_dev(NULL));
    note('c');
    return 0;
}

FILE_TEST(who_waits_for_the_lock_gets_it)
{
    th_scope scope;
    make_dir("dev");
    int lock = hold_lock();
    open_scope(&scope);
    spawn(&scope, want_locked, NULL);
    while (trace[0] == '\0')
        ck_assert_int_eq(th_yield(), 0);
    note('b');
    close(lock);
    close_scope(&scope);
    ck_assert_str_eq(trace, "abc");
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "dev");
    add_in_places(tcase, it_is_made_once);
    add_in_places(tcase, misuse_changes_nothing);
    add_in_places(tcase, names_of_strangers_are_refused_by_name);
    add_in_places(tcase, without_a_home_there_is_no_folder);
    add_in_places(tcase, what_is_good_is_only_read);
    TCase *torture = thi_check_case(suite, "torture");
    tcase_set_timeout(torture, 60); /* hundreds of runs */
    /* On a thread, or by the pool: what io_uring does cannot be made to fail. */
    tcase_add_loop_test(torture, whatever_fails_the_files_stay_whole, 0, 3);
    tcase_add_test(torture, lack_of_memory_is_told_and_leaves_nothing);
    TCase *many = thi_check_case(suite, "many");
    add_on_engines(many, fibers_of_several_workers_agree);
    add_in_fibers(many, waiting_for_the_lock_ends_with_the_scope);
    add_in_fibers(many, who_waits_for_the_lock_gets_it);
}

int main(void)
{
    return thi_check_run("tls/cert_dev", fill);
}
