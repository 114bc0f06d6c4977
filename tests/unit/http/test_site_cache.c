/* SPDX-License-Identifier: MIT */

/* Tests of the cache: what is shared, for how long, and that nothing stale is ever given out. */
#include "http/site_cache.h"

#include "runtime/in_fiber.h"
#include "site_folder.h"

#include "base/alloc.h"
#include "loop/engines.h"
#include "runtime/worker.h"

#include <errno.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <utime.h>

static thi_sys table;
static thi_loop loop;
static thi_site_root root;
static thi_site_caches caches;
static thi_site_cache *cache;
static int opens;               /* of files in the kernel, since it was last set to 0 */
static const char *during_read; /* a file to append to while the next one is read */

/* A name that is walked opens its folders on the way, by O_PATH. */
static int count_openat(int dir, const char *path, int flags, mode_t mode)
{
    opens += (flags & O_PATH) == 0;
    return thi_sys_real.openat(dir, path, flags, mode);
}

static int count_openat2(int dir, const char *path, int flags, uint64_t resolve)
{
    opens++;
    return thi_sys_real.openat2(dir, path, flags, resolve);
}

static ssize_t meddling_preadv2(int fd, const struct iovec *iov, int n, int64_t at, int flags)
{
    ssize_t got = thi_sys_real.preadv2(fd, iov, n, at, flags);
    if (during_read) {
        int other = open(during_read, O_WRONLY | O_APPEND | O_CLOEXEC);
        ck_assert_int_eq(write(other, "!", 1), 1);
        close(other);
        during_read = NULL;
    }
    return got;
}

/* Files that were changed three seconds ago, or the test would have to wait for that. */
static int aged_fstat(int fd, struct stat *st)
{
    int err = thi_sys_real.fstat(fd, st);
    st->st_ctim.tv_sec -= 3;
    return err;
}

static void setup(void)
{
    make_folder();
    table = thi_sys_real;
    table.openat = count_openat;
    table.openat2 = count_openat2;
    table.preadv2 = meddling_preadv2;
    table.fstat = aged_fstat;
    thi_sys_table = &table;
    thi_engine_choice choice;
    ck_assert_int_eq(thi_engine_choose("epoll", &choice), 0);
    ck_assert_int_eq(thi_loop_open(&loop, choice.engine), 0);
    ck_assert_int_eq(thi_site_root_open(folder, false, &root), 0);
    cache = thi_site_cache_of(&caches, &loop);
    ck_assert_ptr_nonnull(cache);
    opens = 0;
}

static void teardown(void)
{
    thi_site_caches_free(&caches);
    thi_site_root_close(&root);
    thi_loop_close(&loop);
    thi_sys_table = &thi_sys_real;
    remove_folder();
}

static void turn(void)
{
    ck_assert_int_eq(thi_loop_turn(&loop, 0), 0);
}

static thi_site_file spare;

static int get(const char *name, thi_site_file **file)
{
    return thi_site_cache_get(cache, &root, th_str_of(name), &spare, file);
}

/* Gets a file and checks what is in it. */
static thi_site_file *take(const char *name, const char *want)
{
    thi_site_file *file = NULL;
    char text[256];
    ck_assert_int_eq(get(name, &file), 0);
    size_t size = strlen(want);
    ck_assert_int_eq(file->meta.stamp.size, (int64_t)size);
    if (file->content)
        memcpy(text, file->content, size);
    else
        ck_assert_int_eq(pread(file->fd, text, sizeof text, 0), (ssize_t)size);
    ck_assert_mem_eq(text, want, size);
    return file;
}

static void check_content(const char *name, const char *want)
{
    thi_site_file_put(take(name, want));
}

static void check_fails(const char *name, int err)
{
    thi_site_file *file = NULL;
    ck_assert_int_eq(get(name, &file), err);
}

/* Makes a file of a size and tells whether it is kept in memory. */
static bool is_kept(int64_t size)
{
    thi_site_file *file = NULL;
    write_text("sized", "");
    ck_assert_int_eq(truncate(path_of("sized"), size), 0);
    turn();
    ck_assert_int_eq(get("sized", &file), 0);
    ck_assert_int_eq(file->meta.stamp.size, size);
    ck_assert_int_eq(file->fd < 0, file->content != NULL);
    bool kept = file->content != NULL;
    thi_site_file_put(file);
    return kept;
}

START_TEST(small_files_are_kept_up_to_the_limit)
{
    ck_assert(is_kept(0));
    ck_assert(is_kept(1));
    ck_assert(is_kept(THI_SITE_CONTENT_MAX));
    ck_assert(!is_kept(THI_SITE_CONTENT_MAX + 1));
}
END_TEST

START_TEST(a_file_is_opened_once_in_a_turn_and_again_in_the_next)
{
    write_text("f", "abc");
    for (int i = 1; i <= 3; i++) {
        check_content("f", "abc");
        check_content("f", "abc");
        ck_assert_int_eq(opens, i);
        turn();
    }
    ck_assert_uint_eq(thi_site_cache_count(cache), 1);
}
END_TEST

START_TEST(another_loop_at_the_same_place_believes_nothing)
{
    write_text("f", "abc");
    check_content("f", "abc");
    uint64_t turns = loop.turns;
    turn();
    loop.turns = turns;
    write_text("f", "def");
    check_content("f", "def");
}
END_TEST

START_TEST(a_changed_file_is_seen_in_the_next_turn)
{
    write_text("f", "old");
    check_content("f", "old");
    write_text("f", "new");
    turn();
    check_content("f", "new");
    write_text("g", "other");
    ck_assert_int_eq(rename(path_of("g"), path_of("f")), 0);
    turn();
    check_content("f", "other");
    ck_assert_int_eq(truncate(path_of("f"), 2), 0);
    turn();
    check_content("f", "ot");
    ck_assert_int_eq(unlink(path_of("f")), 0);
    turn();
    check_fails("f", -ENOENT);
    ck_assert_uint_eq(thi_site_cache_count(cache), 0);
    ck_assert_uint_eq(thi_site_cache_bytes(cache), 0);
}
END_TEST

/* Size and time of modification are as they were: only ctime tells. */
START_TEST(a_change_that_hides_is_seen)
{
    struct stat st;
    write_text("f", "old");
    ck_assert_int_eq(stat(path_of("f"), &st), 0);
    check_content("f", "old");
    write_text("f", "new");
    struct timespec times[] = { st.st_atim, st.st_mtim };
    ck_assert_int_eq(utimensat(AT_FDCWD, path_of("f"), times, 0), 0);
    turn();
    check_content("f", "new");
}
END_TEST

/* Within two seconds a second change may leave every number as it was. */
START_TEST(content_that_has_just_changed_is_read_again)
{
    table.fstat = thi_sys_real.fstat;
    write_text("f", "abc");
    check_content("f", "abc");
    thi_site_file *before = take("f", "abc");
    thi_site_file_put(before);
    turn();
    write_text("g", "x");
    during_read = path_of("g"); /* proof of a read */
    check_content("f", "abc");
    ck_assert_ptr_null(during_read);
}
END_TEST

START_TEST(content_that_has_settled_is_not_read_again)
{
    write_text("f", "abc");
    check_content("f", "abc");
    turn();
    write_text("g", "x");
    during_read = path_of("g");
    check_content("f", "abc");
    ck_assert_ptr_nonnull(during_read);
}
END_TEST

START_TEST(a_file_that_changes_while_it_is_read_is_not_kept)
{
    thi_site_file *file = NULL;
    write_text("f", "abc");
    during_read = path_of("f");
    ck_assert_int_eq(get("f", &file), 0);
    ck_assert_ptr_eq(file, &spare);
    ck_assert_ptr_null(file->content);
    ck_assert_int_eq(file->meta.stamp.size, 4);
    thi_site_file_put(file);
    ck_assert_uint_eq(thi_site_cache_count(cache), 0);
}
END_TEST

START_TEST(what_may_not_be_opened_any_more_is_not_given_out)
{
    make_dir("d");
    write_text("d/f", "abc");
    check_content("d/f", "abc");
    ck_assert_int_eq(rename(path_of("d"), path_of("e")), 0);
    make_link("e", "d");
    turn();
    check_fails("d/f", root.walk
                           ? -ENOTDIR
                           : -ELOOP); /* the very same file, but by a way that is not allowed */
    ck_assert_int_eq(unlink(path_of("d")), 0);
    ck_assert_int_eq(rename(path_of("e"), path_of("d")), 0);
    turn();
    check_content("d/f", "abc");
    ck_assert_int_eq(chmod(path_of("d/f"), 0), 0);
    ck_assert_int_eq(chmod(folder, 0755), 0);
    turn();
    if (seteuid(65534) == 0) {
        check_fails("d/f", -EACCES);
        ck_assert_int_eq(seteuid(0), 0);
    }
}
END_TEST

START_TEST(a_folder_in_a_files_place_is_told)
{
    write_text("f", "abc");
    check_content("f", "abc");
    ck_assert_int_eq(unlink(path_of("f")), 0);
    make_dir("f");
    turn();
    int before = count_descriptors();
    check_fails("f", -EISDIR);
    ck_assert_int_eq(count_descriptors(), before);
    ck_assert_uint_eq(thi_site_cache_count(cache), 0);
}
END_TEST

/* ---- files in use ---- */

START_TEST(content_stays_while_it_is_in_use)
{
    write_text("f", "old");
    thi_site_file *old = take("f", "old");
    write_text("f", "new");
    turn();
    thi_site_file *new = take("f", "new");
    ck_assert_ptr_ne(old, new);
    ck_assert_mem_eq(old->content, "old", 3);
    thi_site_file_put(old);
    thi_site_file_put(new);
    ck_assert_uint_eq(thi_site_cache_count(cache), 1);
}
END_TEST

static void write_large(const char *name, char byte)
{
    static char data[THI_SITE_CONTENT_MAX + 1];
    memset(data, byte, sizeof data);
    write_bytes(name, data, sizeof data);
}

static thi_site_file *take_large(const char *name, char want)
{
    thi_site_file *file = NULL;
    char got;
    ck_assert_int_eq(get(name, &file), 0);
    ck_assert_int_eq(pread(file->fd, &got, 1, 0), 1);
    ck_assert_int_eq(got, want);
    return file;
}

START_TEST(a_descriptor_is_shared_in_a_turn_and_closed_after_it)
{
    write_large("f", 'a');
    int before = count_descriptors();
    thi_site_file *one = take_large("f", 'a');
    thi_site_file *two = take_large("f", 'a');
    ck_assert_ptr_eq(one, two);
    thi_site_file_put(one);
    thi_site_file_put(two);
    thi_site_file_put(take_large("f", 'a'));
    ck_assert_int_eq(opens, 1);
    ck_assert_int_eq(count_descriptors(), before + 1);
    turn();
    ck_assert_int_eq(count_descriptors(), before);
    ck_assert_uint_eq(thi_site_cache_count(cache), 0);
    ck_assert_uint_eq(thi_site_cache_bytes(cache), 0);
}
END_TEST

START_TEST(a_descriptor_in_use_outlives_the_turn_and_is_shared_on)
{
    write_large("f", 'a');
    int before = count_descriptors();
    thi_site_file *one = take_large("f", 'a');
    turn();
    turn();
    thi_site_file *two = take_large("f", 'a');
    ck_assert_ptr_eq(one, two);
    ck_assert_int_eq(count_descriptors(), before + 1);
    thi_site_file_put(one);
    turn();
    thi_site_file_put(two); /* the turn in which it was believed is over: it goes at once */
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

START_TEST(a_descriptor_of_an_old_file_stays_with_its_reply)
{
    write_large("f", 'a');
    int before = count_descriptors();
    thi_site_file *old = take_large("f", 'a');
    write_large("g", 'b');
    ck_assert_int_eq(rename(path_of("g"), path_of("f")), 0);
    turn();
    thi_site_file *new = take_large("f", 'b');
    char got;
    ck_assert_int_eq(pread(old->fd, &got, 1, 0), 1);
    ck_assert_int_eq(got, 'a');
    thi_site_file_put(new);
    thi_site_file_put(old);
    turn();
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

/* ---- limits ---- */

static void write_numbered(int from, int to, size_t size)
{
    static char data[THI_SITE_CONTENT_MAX];
    char name[16];
    for (int i = from; i < to; i++) {
        snprintf(name, sizeof name, "%d", i);
        write_bytes(name, data, size);
        thi_site_file *file = NULL;
        ck_assert_int_eq(get(name, &file), 0);
        thi_site_file_put(file);
    }
}

/* Whether a file needs no opening in this turn. */
static bool is_known(const char *name)
{
    thi_site_file *file = NULL;
    opens = 0;
    ck_assert_int_eq(get(name, &file), 0);
    thi_site_file_put(file);
    return opens == 0;
}

START_TEST(the_file_used_longest_ago_goes_when_there_are_too_many)
{
    write_numbered(0, (int)THI_SITE_ENTRIES_MAX, 1);
    ck_assert_uint_eq(thi_site_cache_count(cache), THI_SITE_ENTRIES_MAX);
    ck_assert(is_known("0")); /* and is now the one used last */
    write_numbered(10000, 10001, 1);
    ck_assert_uint_eq(thi_site_cache_count(cache), THI_SITE_ENTRIES_MAX);
    ck_assert(is_known("0"));
    ck_assert(is_known("10000"));
    ck_assert(!is_known("1"));
}
END_TEST

START_TEST(the_memory_is_bounded)
{
    int count = (int)(THI_SITE_BYTES_MAX / THI_SITE_CONTENT_MAX) + 10;
    write_numbered(0, count, THI_SITE_CONTENT_MAX);
    ck_assert_uint_le(thi_site_cache_bytes(cache), THI_SITE_BYTES_MAX);
    ck_assert_uint_gt(thi_site_cache_bytes(cache), THI_SITE_BYTES_MAX - 2 * THI_SITE_CONTENT_MAX);
    ck_assert(!is_known("0"));
}
END_TEST

START_TEST(a_file_that_is_pushed_out_while_in_use_stays_with_its_reply)
{
    write_text("first", "abc");
    thi_site_file *file = take("first", "abc");
    write_numbered(0, (int)THI_SITE_ENTRIES_MAX, 1);
    ck_assert_mem_eq(file->content, "abc", 3);
    thi_site_file_put(file);
    ck_assert(!is_known("first"));
}
END_TEST

/* ---- failures ---- */

START_TEST(without_a_cache_a_file_is_opened_each_time)
{
    thi_site_file *file = NULL;
    write_text("f", "abc");
    int before = count_descriptors();
    for (int i = 1; i <= 3; i++) {
        ck_assert_int_eq(thi_site_cache_get(NULL, &root, TH_STR("f"), &spare, &file), 0);
        ck_assert_ptr_eq(file, &spare);
        ck_assert_int_eq(opens, i);
        thi_site_file_put(file);
    }
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

static void check_without_memory(const char *name)
{
    for (int64_t n = 1;; n++) {
        thi_site_file *file = NULL;
        int before = count_descriptors();
        int64_t live = thi_alloc_live();
        thi_alloc_fail_at(n);
        int err = get(name, &file);
        bool untouched = thi_alloc_fail_at(0) > 0;
        ck_assert_int_eq(err, 0);
        if (!untouched) {
            ck_assert_ptr_eq(file, &spare);
            thi_site_file_put(file);
            ck_assert_int_eq(thi_alloc_live(), live);
            ck_assert_int_eq(count_descriptors(), before);
            continue;
        }
        ck_assert_ptr_ne(file, &spare);
        thi_site_file_put(file);
        ck_assert_int_gt(n, 1);
        return;
    }
}

START_TEST(without_memory_files_are_served_from_no_cache)
{
    write_text("small", "abc");
    write_large("large", 'a');
    check_without_memory("small");
    check_without_memory("large");
}
END_TEST

START_TEST(a_site_without_memory_has_no_cache)
{
    thi_site_caches none = { NULL };
    thi_alloc_fail_at(1);
    ck_assert_ptr_null(thi_site_cache_of(&none, &loop));
    thi_alloc_fail_at(0);
    ck_assert_ptr_nonnull(thi_site_cache_of(&none, &loop));
    thi_site_caches_free(&none);
}
END_TEST

/* ---- caches of several loops ---- */

START_TEST(each_loop_has_one_cache)
{
    thi_loop other = loop;
    thi_site_cache *second = thi_site_cache_of(&caches, &other);
    ck_assert_ptr_ne(second, cache);
    ck_assert_ptr_eq(thi_site_cache_of(&caches, &loop), cache);
    ck_assert_ptr_eq(thi_site_cache_of(&caches, &other), second);
}
END_TEST

START_TEST(a_cache_whose_message_is_under_way_goes_with_it)
{
    int64_t live = thi_alloc_live();
    int before = count_descriptors();
    thi_site_caches some = { NULL };
    cache = thi_site_cache_of(&some, &loop);
    write_text("small", "abc");
    write_large("large", 'a');
    check_content("small", "abc");
    thi_site_file_put(take_large("large", 'a'));
    thi_site_caches_free(&some);
    ck_assert_int_gt(thi_alloc_live(), live);
    turn();
    ck_assert_int_eq(thi_alloc_live(), live);
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

START_TEST(a_cache_that_rests_goes_at_once)
{
    int64_t live = thi_alloc_live();
    thi_site_caches some = { NULL };
    cache = thi_site_cache_of(&some, &loop);
    write_text("small", "abc");
    write_large("large", 'a');
    check_content("small", "abc");
    thi_site_file_put(take_large("large", 'a'));
    turn();
    thi_site_caches_free(&some);
    ck_assert_int_eq(thi_alloc_live(), live);
}
END_TEST

/* ---- files that are not in memory ---- */

static int on_loop, elsewhere; /* calls that waited for a disk, by the thread that made them */
static pthread_t loop_thread;

static void note_wait(void)
{
    if (pthread_equal(pthread_self(), loop_thread))
        on_loop++;
    else
        __atomic_fetch_add(&elsewhere, 1, __ATOMIC_RELAXED);
}

static int cold_openat2(int dir, const char *path, int flags, uint64_t resolve)
{
    if (resolve & RESOLVE_CACHED)
        return -EAGAIN;
    note_wait();
    return thi_sys_real.openat2(dir, path, flags, resolve);
}

static ssize_t cold_preadv2(int fd, const struct iovec *iov, int n, int64_t at, int flags)
{
    if (flags & RWF_NOWAIT)
        return -EAGAIN;
    note_wait();
    return thi_sys_real.preadv2(fd, iov, n, at, flags);
}

static int get_cold(void *arg)
{
    thi_site_file own, *file = NULL;
    thi_site_cache *mine = thi_site_cache_of(&caches, &thi_worker_self->loop);
    (void)arg;
    ck_assert_int_eq(thi_site_cache_get(mine, &root, TH_STR("cold"), &own, &file), 0);
    ck_assert_ptr_nonnull(file->content);
    ck_assert_mem_eq(file->content, "content", 7);
    ck_assert_uint_eq(thi_site_cache_count(mine), 1);
    (void)th_yield();
    ck_assert_mem_eq(file->content, "content", 7); /* whoever else got it meanwhile */
    thi_site_file_put(file);
    return 0;
}

static int get_cold_by_many(void *arg)
{
    th_scope scope;
    (void)arg;
    loop_thread = pthread_self();
    open_scope(&scope);
    for (int i = 0; i < 20; i++)
        spawn(&scope, get_cold, NULL);
    close_scope(&scope);
    open_cancelled_scope(&scope);
    thi_site_file own, *file = NULL;
    ck_assert_int_eq(thi_site_cache_get(NULL, &root, TH_STR("cold"), &own, &file), -ECANCELED);
    close_scope(&scope);
    return 0;
}

START_TEST(cold_files_are_fetched_by_the_pool_whoever_wants_them)
{
    write_text("cold", "content");
    table.openat2 = cold_openat2;
    table.preadv2 = cold_preadv2;
    root.tells = true;
    run_in_fiber(1, 0, get_cold_by_many, NULL);
    ck_assert_int_eq(on_loop, 0);
    ck_assert_int_ge(elsewhere, 2);
    table.openat2 = count_openat2;
}
END_TEST

static void fill(Suite *suite)
{
    TCase *fresh = thi_check_case(suite, "fresh");
    tcase_add_checked_fixture(fresh, setup, teardown);
    tcase_add_test(fresh, small_files_are_kept_up_to_the_limit);
    tcase_add_test(fresh, a_file_is_opened_once_in_a_turn_and_again_in_the_next);
    tcase_add_test(fresh, another_loop_at_the_same_place_believes_nothing);
    tcase_add_test(fresh, a_changed_file_is_seen_in_the_next_turn);
    tcase_add_test(fresh, a_change_that_hides_is_seen);
    tcase_add_test(fresh, content_that_has_just_changed_is_read_again);
    tcase_add_test(fresh, content_that_has_settled_is_not_read_again);
    tcase_add_test(fresh, a_file_that_changes_while_it_is_read_is_not_kept);
    tcase_add_test(fresh, what_may_not_be_opened_any_more_is_not_given_out);
    tcase_add_test(fresh, a_folder_in_a_files_place_is_told);
    TCase *use = thi_check_case(suite, "in use");
    tcase_add_checked_fixture(use, setup, teardown);
    tcase_add_test(use, content_stays_while_it_is_in_use);
    tcase_add_test(use, a_descriptor_is_shared_in_a_turn_and_closed_after_it);
    tcase_add_test(use, a_descriptor_in_use_outlives_the_turn_and_is_shared_on);
    tcase_add_test(use, a_descriptor_of_an_old_file_stays_with_its_reply);
    TCase *limits = thi_check_case(suite, "limits");
    tcase_add_checked_fixture(limits, setup, teardown);
    tcase_set_timeout(limits, 60);
    tcase_add_test(limits, the_file_used_longest_ago_goes_when_there_are_too_many);
    tcase_add_test(limits, the_memory_is_bounded);
    tcase_add_test(limits, a_file_that_is_pushed_out_while_in_use_stays_with_its_reply);
    TCase *failures = thi_check_case(suite, "failures");
    tcase_add_checked_fixture(failures, setup, teardown);
    tcase_add_test(failures, without_a_cache_a_file_is_opened_each_time);
    tcase_add_test(failures, without_memory_files_are_served_from_no_cache);
    tcase_add_test(failures, a_site_without_memory_has_no_cache);
    TCase *cold = thi_check_case(suite, "cold");
    tcase_add_checked_fixture(cold, setup, teardown);
    tcase_add_test(cold, cold_files_are_fetched_by_the_pool_whoever_wants_them);
    TCase *loops = thi_check_case(suite, "loops");
    tcase_add_checked_fixture(loops, setup, teardown);
    tcase_add_test(loops, each_loop_has_one_cache);
    tcase_add_test(loops, a_cache_whose_message_is_under_way_goes_with_it);
    tcase_add_test(loops, a_cache_that_rests_goes_at_once);
}

int main(void)
{
    return thi_check_run("http/site_cache", fill);
}
