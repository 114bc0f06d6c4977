/* SPDX-License-Identifier: MIT */

/* Tests of opening below a root: nothing leads out, nothing but files and folders is opened. */
#include "http/site_open.h"

#include "site_folder.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/un.h>

/* The kernel as it is, without openat2, and in a sandbox that does not know openat2. */
enum { WITH, WITHOUT, FORBIDDEN, WAYS };

static thi_sys table;
static thi_site_root root;
static int outcome;   /* of openat2, where it is faked */
static int calls;     /* of openat2 */
static int real_from; /* the call of openat2 from which on it is the kernel's */

static int fake_openat2(int dir, const char *path, int flags, uint64_t resolve)
{
    if (++calls < real_from)
        return outcome;
    return thi_sys_real.openat2(dir, path, flags, resolve);
}

static void fake(int result, int until)
{
    outcome = result;
    real_from = until;
    calls = 0;
    table = thi_sys_real;
    table.openat2 = fake_openat2;
    thi_sys_table = &table;
}

/* Whether this machine has a way: the others are to be had everywhere. */
static bool can(int way)
{
    return way != WITH || has_openat2();
}

static void open_root(int way, bool follow)
{
    if (way != WITH)
        fake(way == WITHOUT ? -ENOSYS : -EPERM, 1000000);
    ck_assert_int_eq(thi_site_root_open(folder, follow, &root), 0);
    ck_assert_int_eq(root.walk, way != WITH);
}

static void setup(void)
{
    root.fd = -1;
    make_folder();
    make_dir("root");
    make_dir("root/a");
    make_dir("root/a/b");
    make_dir("out");
    write_text("root/one", "1");
    write_text("root/a/two", "22");
    write_text("root/a/b/three", "333");
    write_text("out/secret", "secret");
    strcat(folder, "/root");
}

static void teardown(void)
{
    thi_site_root_close(&root);
    folder[strlen(folder) - strlen("/root")] = 0;
    remove_folder();
}

/* Opens, closes, and gives the result without the descriptor: 0 or -errno. */
static int try_open(const char *name, struct stat *st)
{
    int fd = thi_site_open(&root, name, st);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

static void check_file(const char *name, int64_t size)
{
    struct stat st;
    ck_assert_int_eq(try_open(name, &st), 0);
    ck_assert(S_ISREG(st.st_mode));
    ck_assert_int_eq(st.st_size, size);
}

static void check_fails(const char *name, int err)
{
    struct stat st;
    int got = try_open(name, &st);
    ck_assert_msg(got == err, "%s: %d instead of %d", name, got, err);
}

START_TEST(files_and_folders_open)
{
    SKIP_UNLESS(can(_i), NO_OPENAT2);
    struct stat st;
    open_root(_i, false);
    check_file("one", 1);
    check_file("a/two", 2);
    check_file("a/b/three", 3);
    static const char *const folders[] = { "", "a", "a/b" };
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(try_open(folders[i], &st), 0);
        ck_assert(S_ISDIR(st.st_mode));
    }
}
END_TEST

START_TEST(what_is_not_there_is_told)
{
    SKIP_UNLESS(can(_i), NO_OPENAT2);
    char name[300];
    open_root(_i, false);
    check_fails("none", -ENOENT);
    check_fails("none/one", -ENOENT);
    check_fails("a/none", -ENOENT);
    check_fails("one/x", -ENOTDIR);
    memset(name, 'x', sizeof name);
    name[255] = 0;
    check_fails(name, -ENOENT);
    name[255] = 'x';
    name[256] = 0;
    check_fails(name, -ENAMETOOLONG);
}
END_TEST

/* Resolved paths have none of these; opening would still not let them out. */
START_TEST(no_name_leads_out)
{
    SKIP_UNLESS(can(_i), NO_OPENAT2);
    static const char *const names[] = { "..",
                                         "../out/secret",
                                         "a/../../out/secret",
                                         "a/b/../../../out/secret",
                                         "/etc/passwd",
                                         "//etc/passwd",
                                         "../root/../out/secret",
                                         "a/../../../../../../../../etc/passwd" };
    struct stat st;
    open_root(_i, false);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ck_assert_msg(try_open(names[i], &st) < 0, "%s", names[i]);
}
END_TEST

START_TEST(no_link_is_followed_unless_asked_for)
{
    SKIP_UNLESS(can(_i), NO_OPENAT2);
    make_link("one", "link");
    make_link("a", "dir");
    make_link("../../out", "a/out");
    make_link("../../out/secret", "a/file");
    open_root(_i, false);
    check_fails("link", -ELOOP);
    check_fails("dir", -ELOOP);
    check_fails("a/file", -ELOOP);
    check_fails("dir/two", _i == WITH ? -ELOOP : -ENOTDIR);
    check_fails("a/out/secret", _i == WITH ? -ELOOP : -ENOTDIR);
}
END_TEST

START_TEST(links_inside_are_followed_when_asked_for)
{
    SKIP_UNLESS(can(WITH), NO_OPENAT2);
    make_link("one", "link");
    make_link("a/b", "deep");
    make_link("../a/b/three", "a/up");
    make_link("deep/three", "chain");
    open_root(WITH, true);
    check_file("link", 1);
    check_file("deep/three", 3);
    check_file("a/up", 3);
    check_file("chain", 3);
}
END_TEST

START_TEST(links_that_lead_out_are_never_followed)
{
    SKIP_UNLESS(can(WITH), NO_OPENAT2);
    char absolute[128], back[128];
    snprintf(absolute, sizeof absolute, "%s/one", folder);
    snprintf(back, sizeof back, "..%s/one", strrchr(folder, '/'));
    make_link("../out/secret", "out");
    make_link("/etc/passwd", "abs");
    make_link(absolute, "inside-but-absolute");
    make_link(back, "out-and-in-again");
    make_link("/proc/self/root/etc/passwd", "proc");
    make_link("/proc/self/cwd", "cwd");
    make_link("loop", "loop");
    open_root(WITH, true);
    static const char *const names[] = {
        "out", "abs", "inside-but-absolute", "out-and-in-again", "proc", "cwd/one"
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_fails(names[i], -EXDEV);
    check_fails("loop", -ELOOP);
}
END_TEST

/* A root of /proc would have links that lead anywhere by magic. */
START_TEST(magic_links_are_not_followed)
{
    SKIP_UNLESS(can(WITH), NO_OPENAT2);
    ck_assert_int_eq(thi_site_root_open("/proc/self", true, &root), 0);
    check_fails("root/etc/passwd", -ELOOP);
    check_fails("cwd", -ELOOP);
    check_fails("exe", -ELOOP);
}
END_TEST

START_TEST(following_without_openat2_is_refused)
{
    fake(_i == 0 ? -ENOSYS : -EPERM, 1000000);
    int before = count_descriptors();
    ck_assert_int_eq(thi_site_root_open(folder, true, &root), -EOPNOTSUPP);
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

START_TEST(only_files_and_folders_are_opened)
{
    SKIP_UNLESS(can(_i), NO_OPENAT2);
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path_of("socket"));
    ck_assert_int_eq(bind(s, (struct sockaddr *)&sa, sizeof sa), 0);
    ck_assert_int_eq(mkfifo(path_of("fifo"), 0644), 0);
    open_root(_i, false);
    check_fails("fifo", -ENXIO);
    check_fails("socket", -ENXIO);
    if (mknod(path_of("null"), S_IFCHR | 0644, 0x0103) == 0)
        check_fails("null", -ENXIO);
    close(s);
}
END_TEST

START_TEST(what_may_not_be_read_is_told)
{
    SKIP_UNLESS(can(_i), NO_OPENAT2);
    chmod(path_of("one"), 0);
    chmod(path_of("a/b"), 0);
    chmod(path_of(".."), 0755);
    ck_assert_int_eq(seteuid(65534), 0);
    open_root(_i, false);
    check_fails("one", -EACCES);
    check_fails("a/b", -EACCES);
    check_fails("a/b/three", -EACCES);
    check_file("a/two", 2);
    ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

START_TEST(the_root_must_be_a_folder_that_may_be_searched)
{
    int before = count_descriptors();
    if (_i != WITH)
        fake(-ENOSYS, 1000000);
    ck_assert_int_eq(thi_site_root_open(path_of("none"), false, &root), -ENOENT);
    ck_assert_int_eq(thi_site_root_open(path_of("one"), false, &root), -ENOTDIR);
    ck_assert_int_eq(thi_site_root_open("", false, &root), -ENOENT);
    chmod(path_of("a"), 0);
    chmod(path_of(".."), 0755);
    if (seteuid(65534) == 0) {
        ck_assert_int_eq(thi_site_root_open(path_of("a"), false, &root), -EACCES);
        ck_assert_int_eq(seteuid(0), 0);
    }
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

START_TEST(a_root_that_moves_stays_the_root)
{
    SKIP_UNLESS(can(_i), NO_OPENAT2);
    char moved[80];
    open_root(_i, false);
    snprintf(moved, sizeof moved, "%s-moved", folder);
    ck_assert_int_eq(rename(folder, moved), 0);
    check_file("a/two", 2);
    ck_assert_int_eq(rename(moved, folder), 0);
}
END_TEST

START_TEST(a_rename_meanwhile_is_tried_again_but_not_for_ever)
{
    SKIP_UNLESS(can(WITH), NO_OPENAT2);
    open_root(WITH, true);
    fake(-EAGAIN, 9); /* the first time to tell that it has to wait */
    check_file("one", 1);
    ck_assert_int_eq(calls, 9);
    fake(-EAGAIN, 10);
    check_fails("one", -EAGAIN);
}
END_TEST

START_TEST(no_descriptor_is_left_behind)
{
    SKIP_UNLESS(can(_i), NO_OPENAT2);
    struct stat st;
    static const char *const names[] = { "one", "a/b/three", "none", "a/none/x", "one/x", "", "a" };
    open_root(_i, false);
    ck_assert_int_eq(mkfifo(path_of("fifo"), 0644), 0);
    int before = count_descriptors();
    check_fails("fifo", -ENXIO);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        (void)!try_open(names[i], &st);
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

static atomic_bool ended;

/* Puts a folder and a link that leads out in each other's place, again and again. */
static void *swap(void *arg)
{
    const char *const *paths = arg;
    while (!atomic_load(&ended))
        (void)!renameat2(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE);
    return NULL;
}

START_TEST(a_folder_swapped_for_a_link_lets_nobody_out)
{
    SKIP_UNLESS(can(_i / 2), NO_OPENAT2);
    pthread_t thread;
    struct stat st, secret;
    int inside = 0, refused = 0;
    write_text("../out/two", "secret");
    ck_assert_int_eq(stat(path_of("../out/two"), &secret), 0);
    make_link("../out", "bad");
    open_root(_i / 2, _i % 2);
    const char *paths[] = { path_of("a"), path_of("bad") };
    ck_assert_int_eq(pthread_create(&thread, NULL, swap, paths), 0);
    for (int i = 0; i < 2000000 && (i < 2000 || inside == 0 || refused == 0); i++) {
        int err = try_open("a/two", &st);
        ck_assert(err < 0 || st.st_ino != secret.st_ino);
        inside += err == 0;
        refused += err == -ELOOP || err == -EXDEV || err == -ENOTDIR;
    }
    atomic_store(&ended, true);
    pthread_join(thread, NULL);
    ck_assert_int_gt(inside, 0);
    ck_assert_int_gt(refused, 0);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *open = thi_check_case(suite, "open");
    tcase_add_checked_fixture(open, setup, teardown);
    tcase_add_loop_test(open, files_and_folders_open, 0, WAYS);
    tcase_add_loop_test(open, what_is_not_there_is_told, 0, WAYS);
    tcase_add_loop_test(open, only_files_and_folders_are_opened, 0, WAYS);
    tcase_add_loop_test(open, no_descriptor_is_left_behind, 0, WAYS);
    tcase_add_test(open, a_rename_meanwhile_is_tried_again_but_not_for_ever);
    TCase *out = thi_check_case(suite, "no way out");
    tcase_add_checked_fixture(out, setup, teardown);
    tcase_add_loop_test(out, no_name_leads_out, 0, WAYS);
    tcase_add_loop_test(out, no_link_is_followed_unless_asked_for, 0, WAYS);
    tcase_add_test(out, links_inside_are_followed_when_asked_for);
    tcase_add_test(out, links_that_lead_out_are_never_followed);
    tcase_add_test(out, magic_links_are_not_followed);
    tcase_add_loop_test(out, following_without_openat2_is_refused, 0, 2);
    tcase_add_loop_test(out, a_folder_swapped_for_a_link_lets_nobody_out, 0, 3);
    TCase *roots = thi_check_case(suite, "roots");
    tcase_add_checked_fixture(roots, setup, teardown);
    tcase_add_loop_test(roots, the_root_must_be_a_folder_that_may_be_searched, 0, 2);
    tcase_add_loop_test(roots, a_root_that_moves_stays_the_root, 0, WAYS);
    if (geteuid() == 0)
        tcase_add_loop_test(roots, what_may_not_be_read_is_told, 0, WAYS);
}

int main(void)
{
    return thi_check_run("http/site_open", fill);
}
