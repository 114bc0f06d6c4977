/* SPDX-License-Identifier: MIT */

/* Names and directories, by every way. */
#include "io/files.h"

/* ---- names ---- */

FILE_TEST(links_are_followed_or_looked_at)
{
    struct stat st;
    write_text("file", "12345");
    ck_assert_int_eq(th_path_symlink("file", path_of("link")), 0);
    ck_assert_int_eq(th_path_symlink("file", path_of("link")), -EEXIST);
    ck_assert_int_eq(th_path_stat(path_of("link"), &st), 0);
    ck_assert(S_ISREG(st.st_mode) && st.st_size == 5);
    ck_assert_int_eq(th_path_lstat(path_of("link"), &st), 0);
    ck_assert(S_ISLNK(st.st_mode));
    ck_assert_int_eq(th_path_symlink("nowhere", path_of("broken")), 0);
    ck_assert_int_eq(th_path_stat(path_of("broken"), &st), -ENOENT);
    ck_assert_str_eq(th_err_detail(), path_of("broken"));
    ck_assert_int_eq(th_path_lstat(path_of("broken"), &st), 0);
}

FILE_TEST(what_a_link_says_must_fit)
{
    char text[8];
    make_link("1234567", "link");
    write_text("file", "");
    ck_assert_int_eq(th_path_readlink(path_of("link"), text, 8), 7);
    ck_assert_str_eq(text, "1234567");
    ck_assert_int_eq(th_path_readlink(path_of("link"), text, 7), -ERANGE);
    ck_assert_int_eq(th_path_readlink(path_of("file"), text, 8), -EINVAL);
    ck_assert_int_eq(th_path_readlink(path_of("missing"), text, 8), -ENOENT);
    ck_assert_int_eq(th_path_readlink(path_of("link"), text, 0), -EINVAL);
    ck_assert_int_eq(th_path_readlink(path_of("link"), NULL, 8), -EINVAL);
}

FILE_TEST(names_are_given_changed_and_taken)
{
    struct stat st;
    write_text("a", "a");
    write_text("b", "bb");
    ck_assert_int_eq(th_path_link(path_of("a"), path_of("second")), 0);
    ck_assert_int_eq(th_path_link(path_of("a"), path_of("b")), -EEXIST);
    ck_assert_int_eq(th_path_stat(path_of("second"), &st), 0);
    ck_assert_uint_eq(st.st_nlink, 2);
    ck_assert_int_eq(th_path_rename(path_of("b"), path_of("a")), 0);
    assert_content("a", "bb", 2);
    assert_content("second", "a", 1);
    ck_assert_int_eq(th_path_rename(path_of("b"), path_of("c")), -ENOENT);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), path_of("c")));
    ck_assert_int_eq(th_path_unlink(path_of("second")), 0);
    ck_assert_int_eq(th_path_unlink(path_of("second")), -ENOENT);
    ck_assert_int_eq(count_names(), 1);
    ck_assert_int_eq(th_path_rename(path_of("a"), "/proc/x"), -EXDEV);
}

FILE_TEST(directories_are_made_and_removed)
{
    struct stat st;
    mode_t before = umask(022);
    ck_assert_int_eq(th_path_mkdir(path_of("dir"), 0775), 0);
    umask(before);
    ck_assert_int_eq(th_path_mkdir(path_of("dir"), 0755), -EEXIST);
    ck_assert_int_eq(th_path_mkdir(path_of("no/dir"), 0755), -ENOENT);
    ck_assert_int_eq(th_path_stat(path_of("dir"), &st), 0);
    ck_assert_uint_eq(st.st_mode, S_IFDIR | 0755);
    write_text("dir/file", "");
    ck_assert_int_eq(th_path_rmdir(path_of("dir")), -ENOTEMPTY);
    ck_assert_int_eq(th_path_rmdir(path_of("dir/file")), -ENOTDIR);
    ck_assert_int_eq(th_path_unlink(path_of("dir")), -EISDIR);
    ck_assert_int_eq(th_path_unlink(path_of("dir/file")), 0);
    ck_assert_int_eq(th_path_rmdir(path_of("dir")), 0);
    ck_assert_int_eq(count_names(), 0);
}

FILE_TEST(names_that_are_none_are_refused)
{
    struct stat st;
    ck_assert_int_eq(th_path_stat(NULL, &st), -EINVAL);
    ck_assert_int_eq(th_path_stat("/", NULL), -EINVAL);
    ck_assert_int_eq(th_path_lstat(NULL, &st), -EINVAL);
    ck_assert_int_eq(th_path_rename(NULL, "x"), -EINVAL);
    ck_assert_int_eq(th_path_rename("x", NULL), -EINVAL);
    ck_assert_int_eq(th_path_unlink(NULL), -EINVAL);
    ck_assert_int_eq(th_path_mkdir(NULL, 0), -EINVAL);
    ck_assert_int_eq(th_path_rmdir(NULL), -EINVAL);
    ck_assert_int_eq(th_path_link(NULL, "x"), -EINVAL);
    ck_assert_int_eq(th_path_symlink("x", NULL), -EINVAL);
    ck_assert_int_eq(th_path_stat("", &st), -ENOENT);
}

/* ---- directories ---- */

static th_dir *open_dir(const char *name)
{
    th_dir *dir = NULL;
    ck_assert_int_eq(th_dir_open(path_of(name), &dir), 0);
    return dir;
}

FILE_TEST(each_entry_is_told_once_and_its_kind)
{
    enum { FILES = 500 }; /* several batches, for their names are long */
    static bool seen[FILES];
    char name[128];
    th_dir_entry entry;
    int others = 0;
    int result;
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "file-%d-%0100d", i, i);
        ck_assert_int_eq(mknod(path_of(name), S_IFREG | 0600, 0), 0);
    }
    make_dir("dir");
    make_link("dir", "link");
    ck_assert_int_eq(mkfifo(path_of("fifo"), 0600), 0);
    th_dir *dir = open_dir("");
    while ((result = th_dir_read(dir, &entry)) == 1) {
        int i;
        ck_assert_uint_ne(entry.inode, 0);
        if (sscanf(entry.name, "file-%d", &i) == 1) {
            ck_assert(!seen[i] && entry.kind == TH_DIR_FILE);
            seen[i] = true;
            continue;
        }
        others++;
        if (strcmp(entry.name, "dir") == 0)
            ck_assert_int_eq(entry.kind, TH_DIR_DIRECTORY);
        else if (strcmp(entry.name, "link") == 0)
            ck_assert_int_eq(entry.kind, TH_DIR_LINK);
        else
            ck_assert_int_eq(entry.kind, TH_DIR_OTHER);
    }
    ck_assert_int_eq(result, 0);
    ck_assert_int_eq(others, 3);
    for (int i = 0; i < FILES; i++)
        ck_assert(seen[i]);
    ck_assert_int_eq(th_dir_read(dir, &entry), 0); /* and again */
    th_dir_free(dir);
}

FILE_TEST(directories_may_be_empty_missing_or_none)
{
    th_dir *dir = NULL;
    th_dir_entry entry;
    write_text("file", "");
    make_dir("empty");
    ck_assert_int_eq(th_dir_open(path_of("missing"), &dir), -ENOENT);
    ck_assert_int_eq(th_dir_open(path_of("file"), &dir), -ENOTDIR);
    ck_assert_int_eq(th_dir_open(NULL, &dir), -EINVAL);
    ck_assert_int_eq(th_dir_open(folder, NULL), -EINVAL);
    ck_assert_int_eq(th_dir_read(NULL, &entry), -EINVAL);
    dir = open_dir("empty");
    ck_assert_int_eq(th_dir_read(dir, NULL), -EINVAL);
    ck_assert_int_eq(th_dir_read(dir, &entry), 0);
    th_dir_free(dir);
    th_dir_free(NULL);
}

FILE_TEST(a_directory_that_is_removed_ends)
{
    th_dir_entry entry;
    make_dir("dir");
    th_dir *dir = open_dir("dir");
    ck_assert_int_eq(rmdir(path_of("dir")), 0);
    ck_assert_int_eq(th_dir_read(dir, &entry), 0);
    th_dir_free(dir);
}

static ssize_t getdents_without_types(int fd, void *buf, size_t size)
{
    ssize_t n = thi_sys_real.getdents(fd, buf, size);
    for (ssize_t at = 0; at < n;) {
        struct dirent64 *record = (void *)((char *)buf + at);
        record->d_type = DT_UNKNOWN;
        at += record->d_reclen;
    }
    return n;
}

FILE_TEST(file_systems_without_types_are_asked)
{
    static thi_sys sys;
    th_dir_entry entry;
    sys = thi_sys_real;
    sys.getdents = getdents_without_types;
    thi_sys_table = &sys;
    make_dir("dir");
    make_dir("dir/sub");
    th_dir *dir = open_dir("dir");
    ck_assert_int_eq(th_dir_read(dir, &entry), 1);
    ck_assert_str_eq(entry.name, "sub");
    ck_assert_int_eq(entry.kind, TH_DIR_DIRECTORY);
    th_dir_free(dir);
    write_text("dir/gone", "");
    dir = open_dir("dir");
    ck_assert_int_eq(th_dir_read(dir, &entry), 1);
    ck_assert_int_eq(unlink(path_of("dir/gone")), 0);
    ck_assert_int_eq(rmdir(path_of("dir/sub")), 0);
    ck_assert_int_eq(th_dir_read(dir, &entry), 1);
    ck_assert_int_eq(entry.kind, TH_DIR_OTHER);
    th_dir_free(dir);
    thi_sys_table = &thi_sys_real;
}

static void fill(Suite *suite)
{
    TCase *names = thi_check_case(suite, "names");
    add_in_places(names, links_are_followed_or_looked_at);
    add_in_places(names, what_a_link_says_must_fit);
    add_in_places(names, names_are_given_changed_and_taken);
    add_in_places(names, directories_are_made_and_removed);
    add_in_places(names, names_that_are_none_are_refused);
    TCase *listing = thi_check_case(suite, "directories");
    add_in_places(listing, each_entry_is_told_once_and_its_kind);
    add_in_places(listing, directories_may_be_empty_missing_or_none);
    add_in_places(listing, a_directory_that_is_removed_ends);
    add_in_places(listing, file_systems_without_types_are_asked);
}

int main(void)
{
    return thi_check_run("io/path", fill);
}
