/* SPDX-License-Identifier: MIT */

/* Watching for changes: what is told, in what order, and to whom. */
#include "io/files.h"

#include "base/alloc.h"

#include <thrum/sim.h>
#include <thrum/watch.h>

#include <sys/inotify.h>

static th_watch *watch;

static void open_watch(void)
{
    ck_assert_int_eq(th_watch_open(&watch), 0);
}

static int add(const char *name, unsigned what)
{
    int id = th_watch_add(watch, *name ? path_of(name) : folder, what);
    ck_assert_msg(id > 0, "%s: %s", name, th_errname(id));
    return id;
}

/* The next event must be this one; gives its cookie. */
static uint32_t expect(int id, unsigned what, const char *name)
{
    th_watch_event event;
    int err = th_watch_read(watch, &event);
    ck_assert_msg(err == 0, "%s", th_errname(err));
    ck_assert_str_eq(event.path, *name ? path_of(name) : folder);
    ck_assert_uint_eq(event.what, what);
    ck_assert_int_eq(event.id, id);
    return event.cookie;
}

/* Nothing more is told: another change is the next event. */
static void expect_nothing(void)
{
    th_watch_event event;
    int marker = add("", TH_WATCH_CREATED);
    write_text("marker", "");
    ck_assert_int_eq(th_watch_read(watch, &event), 0);
    ck_assert_str_eq(event.path, path_of("marker"));
    ck_assert_int_eq(th_watch_remove(watch, marker), 0);
    ck_assert_int_eq(unlink(path_of("marker")), 0);
}

/* ---- what is told ---- */

FILE_TEST(what_happens_in_a_directory_is_told_in_order)
{
    open_watch();
    int id = add("", 0);
    write_text("file", "1");
    expect(id, TH_WATCH_CREATED, "file");
    expect(id, TH_WATCH_CHANGED, "file");
    expect(id, TH_WATCH_WRITTEN, "file");
    ck_assert_int_eq(chmod(path_of("file"), 0600), 0);
    expect(id, TH_WATCH_ATTRIBUTES, "file");
    ck_assert_int_eq(rename(path_of("file"), path_of("other")), 0);
    uint32_t cookie = expect(id, TH_WATCH_MOVED_FROM, "file");
    ck_assert_uint_ne(cookie, 0);
    ck_assert_uint_eq(expect(id, TH_WATCH_MOVED_TO, "other"), cookie);
    ck_assert_int_eq(unlink(path_of("other")), 0);
    ck_assert_uint_eq(expect(id, TH_WATCH_REMOVED, "other"), 0);
    th_watch_free(watch);
}

FILE_TEST(only_what_was_asked_for_is_told)
{
    open_watch();
    int id = add("", TH_WATCH_REMOVED);
    write_text("file", "1");
    ck_assert_int_eq(unlink(path_of("file")), 0);
    expect(id, TH_WATCH_REMOVED, "file");
    ck_assert_int_eq(add("", TH_WATCH_CREATED), id); /* the same path, asked anew */
    write_text("file", "1");
    expect(id, TH_WATCH_CREATED, "file");
    ck_assert_int_eq(unlink(path_of("file")), 0);
    write_text("file", "1");
    expect(id, TH_WATCH_CREATED, "file");
    th_watch_free(watch);
}

FILE_TEST(directories_are_told_from_files)
{
    th_watch_event event;
    open_watch();
    (void)add("", TH_WATCH_CREATED);
    make_dir("dir");
    ck_assert_int_eq(th_watch_read(watch, &event), 0);
    ck_assert_int_eq(event.directory, 1);
    write_text("file", "");
    ck_assert_int_eq(th_watch_read(watch, &event), 0);
    ck_assert_int_eq(event.directory, 0);
    th_watch_free(watch);
}

FILE_TEST(a_file_that_is_replaced_is_gone)
{
    write_text("file", "1");
    write_text("new", "2");
    open_watch();
    int id = add("file", TH_WATCH_CHANGED | TH_WATCH_MOVED);
    int other = add("new", TH_WATCH_CHANGED | TH_WATCH_MOVED);
    ck_assert_int_ne(other, id);
    ck_assert_int_eq(rename(path_of("new"), path_of("file")), 0);
    expect(other, TH_WATCH_MOVED, "new");
    expect(id, TH_WATCH_GONE, "file");
    ck_assert_int_eq(th_watch_remove(watch, id), -ENOENT);
    ck_assert_int_eq(th_watch_remove(watch, other), 0);
    expect_nothing();
    th_watch_free(watch);
}

FILE_TEST(what_is_removed_is_not_told)
{
    open_watch();
    make_dir("dir");
    int id = add("dir", 0);
    write_text("dir/a", "1"); /* not read yet */
    ck_assert_int_eq(th_watch_remove(watch, id), 0);
    ck_assert_int_eq(th_watch_remove(watch, id), -ENOENT);
    write_text("dir/b", "1");
    expect_nothing();
    th_watch_free(watch);
}

FILE_TEST(what_cannot_be_watched_is_told)
{
    th_watch_event event;
    open_watch();
    write_text("file", "");
    ck_assert_int_eq(th_watch_add(watch, path_of("missing"), 0), -ENOENT);
    ck_assert_str_eq(th_err_detail(), path_of("missing"));
    ck_assert_int_eq(th_watch_add(watch, path_of("file"), TH_WATCH_TREE), -ENOTDIR);
    ck_assert_int_eq(th_watch_add(watch, NULL, 0), -EINVAL);
    ck_assert_int_eq(th_watch_add(NULL, folder, 0), -EINVAL);
    ck_assert_int_eq(th_watch_add(watch, folder, TH_WATCH_GONE), -EINVAL);
    ck_assert_int_eq(th_watch_remove(watch, 0), -ENOENT);
    ck_assert_int_eq(th_watch_remove(NULL, 1), -EINVAL);
    ck_assert_int_eq(th_watch_read(watch, NULL), -EINVAL);
    ck_assert_int_eq(th_watch_read(NULL, &event), -EINVAL);
    ck_assert_int_eq(th_watch_open(NULL), -EINVAL);
    ck_assert_int_eq(th_watch_close(NULL), -EINVAL);
    ck_assert_int_eq(th_watch_close(watch), 0);
    ck_assert_int_eq(th_watch_close(watch), -EBADF);
    ck_assert_int_eq(th_watch_add(watch, folder, 0), -EBADF);
    ck_assert_int_eq(th_watch_remove(watch, 1), -EBADF);
    ck_assert_int_eq(th_watch_read(watch, &event), -EBADF);
    th_watch_free(watch);
    th_watch_free(NULL);
}

static bool overflows;

static ssize_t read_with_overflow(int fd, void *buf, size_t size)
{
    struct inotify_event e = { .wd = -1, .mask = IN_Q_OVERFLOW };
    if (!overflows || size < 1000)
        return thi_sys_real.read(fd, buf, size);
    overflows = false;
    memcpy(buf, &e, sizeof e);
    ssize_t n = thi_sys_real.read(fd, (char *)buf + sizeof e, size - sizeof e);
    return n < 0 ? (ssize_t)sizeof e : n + (ssize_t)sizeof e;
}

FILE_TEST(lost_events_are_told)
{
    static thi_sys sys;
    th_watch_event event;
    open_watch();
    int id = add("", TH_WATCH_CREATED);
    sys = thi_sys_real;
    sys.read = read_with_overflow;
    thi_sys_table = &sys;
    overflows = true;
    write_text("file", "");
    ck_assert_int_eq(th_watch_read(watch, &event), 0);
    ck_assert_int_eq(event.id, -1);
    ck_assert_uint_eq(event.what, TH_WATCH_LOST);
    ck_assert_str_eq(event.path, "");
    expect(id, TH_WATCH_CREATED, "file");
    th_watch_free(watch);
    thi_sys_table = &thi_sys_real;
}

/* ---- trees ---- */

FILE_TEST(a_tree_is_watched_to_its_leaves)
{
    make_dir("a");
    make_dir("a/b");
    make_dir("a/b/c");
    make_link("..", "a/b/up");
    open_watch();
    int id = add("a", TH_WATCH_CREATED | TH_WATCH_TREE);
    write_text("a/b/c/file", "");
    expect(id, TH_WATCH_CREATED, "a/b/c/file");
    write_text("outside", "");
    make_dir("a/new");
    expect(id, TH_WATCH_CREATED, "a/new");
    make_dir("a/new/below");
    expect(id, TH_WATCH_CREATED, "a/new/below");
    write_text("a/new/below/file", "");
    expect(id, TH_WATCH_CREATED, "a/new/below/file");
    ck_assert_int_eq(th_watch_remove(watch, id), 0);
    write_text("a/b/c/more", "");
    expect_nothing();
    th_watch_free(watch);
}

FILE_TEST(what_came_with_a_directory_is_told_as_created)
{
    bool file = false, sub = false, deep = false;
    th_watch_event event;
    make_dir("a");
    make_dir("other");
    make_dir("other/sub");
    write_text("other/file", "");
    write_text("other/sub/deep", "");
    open_watch();
    int id = add("a", TH_WATCH_CREATED | TH_WATCH_MOVED_TO | TH_WATCH_TREE);
    ck_assert_int_eq(rename(path_of("other"), path_of("a/other")), 0);
    expect(id, TH_WATCH_MOVED_TO, "a/other");
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(th_watch_read(watch, &event), 0);
        ck_assert_uint_eq(event.what, TH_WATCH_CREATED);
        file |= strcmp(event.path, path_of("a/other/file")) == 0;
        sub |= strcmp(event.path, path_of("a/other/sub")) == 0 && event.directory;
        deep |= strcmp(event.path, path_of("a/other/sub/deep")) == 0 && !event.directory;
    }
    ck_assert(file && sub && deep);
    th_watch_free(watch);
}

FILE_TEST(a_directory_that_leaves_a_tree_is_watched_no_more)
{
    make_dir("a");
    make_dir("a/b");
    make_dir("a/b/c");
    open_watch();
    int id = add("a", TH_WATCH_CREATED | TH_WATCH_MOVED_FROM | TH_WATCH_MOVED_TO | TH_WATCH_TREE);
    ck_assert_int_eq(rename(path_of("a/b"), path_of("a/d")), 0); /* within the tree */
    expect(id, TH_WATCH_MOVED_FROM, "a/b");
    expect(id, TH_WATCH_MOVED_TO, "a/d");
    expect(id, TH_WATCH_CREATED, "a/d/c"); /* it is there under a new name */
    write_text("a/d/c/file", "");
    expect(id, TH_WATCH_CREATED, "a/d/c/file");
    ck_assert_int_eq(rename(path_of("a/d"), path_of("left")), 0);
    expect(id, TH_WATCH_MOVED_FROM, "a/d");
    write_text("left/c/file2", "");
    write_text("left/file", "");
    expect_nothing();
    th_watch_free(watch);
}

FILE_TEST(a_tree_ends_with_its_root)
{
    make_dir("a");
    make_dir("a/b");
    open_watch();
    int id = add("a", TH_WATCH_REMOVED | TH_WATCH_TREE);
    ck_assert_int_eq(rmdir(path_of("a/b")), 0);
    expect(id, TH_WATCH_REMOVED, "a/b");
    ck_assert_int_eq(rmdir(path_of("a")), 0);
    expect(id, TH_WATCH_GONE, "a");
    ck_assert_int_eq(th_watch_remove(watch, id), -ENOENT);
    expect_nothing();
    th_watch_free(watch);
}

static int adds_left;

static int add_few(int fd, const char *path, uint32_t mask)
{
    return adds_left-- > 0 ? thi_sys_real.inotify_add(fd, path, mask) : -ENOSPC;
}

FILE_TEST(a_tree_that_is_too_large_is_not_watched_at_all)
{
    static thi_sys sys;
    th_watch_event event;
    make_dir("a");
    make_dir("a/b");
    make_dir("a/c");
    sys = thi_sys_real;
    sys.inotify_add = add_few;
    thi_sys_table = &sys;
    open_watch();
    adds_left = 2;
    ck_assert_int_eq(th_watch_add(watch, path_of("a"), TH_WATCH_TREE), -ENOSPC);
    adds_left = 100;
    write_text("a/file", "");
    expect_nothing();
    adds_left = 1;
    (void)add("a/c", TH_WATCH_CREATED | TH_WATCH_TREE);
    make_dir("a/c/d");
    ck_assert_int_eq(th_watch_read(watch, &event), 0);
    ck_assert_uint_eq(event.what, TH_WATCH_CREATED);
    ck_assert_int_eq(th_watch_read(watch, &event), 0);
    ck_assert_uint_eq(event.what, TH_WATCH_LOST); /* of what is in there nothing will be told */
    adds_left = 100;
    th_watch_free(watch);
    thi_sys_table = &thi_sys_real;
}

/* ---- waiting ---- */

typedef struct reader {
    int result;
    bool done;
    th_watch_event event;
} reader;

static int read_one(void *arg)
{
    reader *r = arg;
    r->result = th_watch_read(watch, &r->event);
    r->done = true;
    return 0;
}

FILE_TEST(who_reads_waits_for_the_change)
{
    reader r = { 0 };
    th_scope scope;
    th_watch_event event;
    open_watch();
    open_scope(&scope);
    spawn(&scope, read_one, &r);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
    ck_assert(!r.done);
    ck_assert_int_eq(th_watch_read(watch, &event), -EBUSY);
    (void)add("", TH_WATCH_CREATED); /* also when it begins to read first */
    write_text("file", "");
    close_scope(&scope);
    ck_assert_int_eq(r.result, 0);
    ck_assert_str_eq(r.event.path, path_of("file"));
    th_watch_free(watch);
}

FILE_TEST(closing_wakes_who_reads)
{
    reader r = { 0 };
    th_scope scope;
    int before = count_descriptors();
    for (int turns = 0; turns < 10; turns++) { /* wherever it is by then */
        r.done = false;
        open_watch();
        (void)add("", 0);
        open_scope(&scope);
        spawn(&scope, read_one, &r);
        for (int i = 0; i < turns; i++)
            ck_assert_int_eq(th_yield(), 0);
        ck_assert_int_eq(th_watch_close(watch), 0);
        close_scope(&scope);
        ck_assert_int_eq(r.result, turns == 0 ? -EBADF : -ECANCELED);
        th_watch_free(watch);
        ck_assert_int_le(count_descriptors(), before + 3); /* what a runtime opens by itself */
    }
}

FILE_TEST(the_scope_ends_the_wait_and_loses_nothing)
{
    th_scope scope;
    th_watch_event event;
    open_watch();
    int id = add("", TH_WATCH_CREATED);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_watch_read(watch, &event), -ETIMEDOUT);
    close_scope(&scope);
    write_text("file", "");
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_watch_read(watch, &event), -ECANCELED);
    ck_assert_int_eq(th_watch_add(watch, folder, 0), -ECANCELED);
    close_scope(&scope);
    expect(id, TH_WATCH_CREATED, "file");
    th_watch_free(watch);
}

static void use_outside(void)
{
    th_watch_event event;
    ck_assert_int_eq(th_watch_add(watch, folder, 0), -EPERM);
    ck_assert_int_eq(th_watch_read(watch, &event), -EPERM);
}

FILE_TEST(loops_must_not_wait_for_changes)
{
    open_watch();
    call_in_loop(use_outside);
    th_watch_free(watch);
}

/* ---- in trouble, and in simulations ---- */

FILE_TEST(each_allocation_may_fail)
{
    make_dir("a");
    make_dir("a/b");
    ck_assert_int_eq(th_path_unlink(path_of("file")), -ENOENT); /* details have a place now */
    open_watch();
    (void)add("a", TH_WATCH_TREE | TH_WATCH_CREATED);
    th_watch_free(watch);
    int open = count_descriptors();
    int64_t live = thi_alloc_live();
    bool struck = true;
    for (int64_t n = 1; struck; n++) {
        th_watch_event event;
        (void)thi_alloc_fail_at(n);
        int err = th_watch_open(&watch);
        if (err == 0) {
            err = th_watch_add(watch, path_of("a"), TH_WATCH_TREE | TH_WATCH_CREATED);
            write_text("a/b/file", "");
            if (err > 0)
                err = th_watch_read(watch, &event);
            th_watch_free(watch);
        }
        struck = thi_alloc_fail_at(0) == 0;
        ck_assert_msg(err == 0 || (struck && err == -ENOMEM), "%s", th_errname(err));
        (void)unlink(path_of("a/b/file"));
        ck_assert_int_eq(thi_alloc_live(), live);
        ck_assert_int_eq(count_descriptors(), open);
        ck_assert_int_lt(n, 60);
    }
}

static int change_later(void *arg)
{
    (void)arg;
    if (th_sleep(TH_MINUTE) < 0)
        return -ECANCELED;
    return th_file_save(path_of("file"), "x", 1, 0600);
}

static int watch_simulated(void *arg)
{
    th_scope scope;
    (void)arg;
    open_watch();
    int id = add("", TH_WATCH_MOVED_TO);
    open_scope(&scope);
    spawn(&scope, change_later, NULL);
    expect(id, TH_WATCH_MOVED_TO, "file");
    close_scope(&scope);
    th_watch_free(watch);
    return 0;
}

START_TEST(simulated_time_passes_while_nothing_changes)
{
    make_folder();
    for (uint64_t seed = 1; seed <= 3; seed++) {
        th_sim_result first, second;
        th_sim_opts opts = { .seed = seed, .workers = 2 };
        ck_assert_int_eq(th_sim_run(watch_simulated, NULL, &opts, &first), 0);
        ck_assert_int_eq(th_sim_run(watch_simulated, NULL, &opts, &second), 0);
        ck_assert_uint_eq(first.hash, second.hash);
        ck_assert_int_ge(first.time, TH_MINUTE);
    }
    remove_folder();
}
END_TEST

static void fill(Suite *suite)
{
    TCase *told = thi_check_case(suite, "told");
    add_in_places(told, what_happens_in_a_directory_is_told_in_order);
    add_in_places(told, only_what_was_asked_for_is_told);
    add_in_places(told, directories_are_told_from_files);
    add_in_places(told, a_file_that_is_replaced_is_gone);
    add_in_places(told, what_is_removed_is_not_told);
    add_in_places(told, what_cannot_be_watched_is_told);
    add_in_places(told, lost_events_are_told);
    TCase *trees = thi_check_case(suite, "trees");
    add_in_places(trees, a_tree_is_watched_to_its_leaves);
    add_in_places(trees, what_came_with_a_directory_is_told_as_created);
    add_in_places(trees, a_directory_that_leaves_a_tree_is_watched_no_more);
    add_in_places(trees, a_tree_ends_with_its_root);
    add_in_places(trees, a_tree_that_is_too_large_is_not_watched_at_all);
    TCase *waiting = thi_check_case(suite, "waiting");
    add_in_fibers(waiting, who_reads_waits_for_the_change);
    add_in_fibers(waiting, closing_wakes_who_reads);
    add_in_fibers(waiting, the_scope_ends_the_wait_and_loses_nothing);
    add_in_fibers(waiting, loops_must_not_wait_for_changes);
    TCase *trouble = thi_check_case(suite, "trouble");
    add_in_places(trouble, each_allocation_may_fail);
    tcase_add_test(trouble, simulated_time_passes_while_nothing_changes);
}

int main(void)
{
    return thi_check_run("io/watch", fill);
}
