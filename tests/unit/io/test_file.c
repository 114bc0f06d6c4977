/* SPDX-License-Identifier: MIT */

/* Files: what they are read, written and told to be, by every way. */
#include "io/files.h"

#include <limits.h>

#define GIB ((int64_t)1 << 30)

/* ---- opening ---- */

static int try_open(const char *path, int flags)
{
    th_file *file = (th_file *)8;
    int err = th_file_open(path, flags, 0644, &file);
    ck_assert_int_lt(err, 0);
    ck_assert_ptr_eq(file, (th_file *)8);
    return err;
}

FILE_TEST(what_cannot_be_opened_is_told_with_its_name)
{
    char longer[NAME_MAX + 20];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    make_link("loop", "loop");
    write_text("there", "1");
    const char *missing = path_of("missing");
    ck_assert_int_eq(try_open(missing, O_RDONLY), -ENOENT);
    ck_assert_str_eq(th_err_detail(), missing);
    ck_assert_int_eq(try_open(path_of(longer), O_RDONLY), -ENAMETOOLONG);
    ck_assert_int_eq(try_open(path_of("loop"), O_RDONLY), -ELOOP);
    ck_assert_int_eq(try_open(path_of("there"), O_RDWR | O_CREAT | O_EXCL), -EEXIST);
    ck_assert_int_eq(try_open(path_of("there"), O_RDONLY | O_DIRECTORY), -ENOTDIR);
    ck_assert_int_eq(try_open(path_of("there/x"), O_RDONLY), -ENOTDIR);
    ck_assert_int_eq(try_open(folder, O_RDWR), -EISDIR);
    ck_assert_int_eq(try_open(NULL, O_RDONLY), -EINVAL);
    ck_assert_int_eq(th_file_open(missing, O_RDONLY, 0, NULL), -EINVAL);
}

FILE_TEST(descriptors_are_not_inherited_and_do_not_wait)
{
    th_file *file = open_file("new", O_RDWR | O_CREAT);
    ck_assert_int_eq(fcntl(th_file_fd(file), F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(fcntl(th_file_fd(file), F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    th_file_free(file);
}

FILE_TEST(names_in_an_open_directory_follow_it)
{
    th_file *dir = NULL;
    th_file *file = NULL;
    make_dir("old");
    write_text("old/file", "here");
    ck_assert_int_eq(th_file_open(path_of("old"), O_PATH | O_DIRECTORY, 0, &dir), 0);
    ck_assert_int_eq(th_path_rename(path_of("old"), path_of("new")), 0);
    ck_assert_int_eq(th_file_open_in(dir, "file", O_RDONLY, 0, &file), 0);
    th_file_free(file);
    ck_assert_int_eq(th_file_open_in(dir, "other", O_WRONLY | O_CREAT, 0600, &file), 0);
    th_file_free(file);
    assert_content("new/other", "", 0);
    ck_assert_int_eq(th_file_open_in(NULL, path_of("new/file"), O_RDONLY, 0, &file), 0);
    th_file_free(file);
    ck_assert_int_eq(th_file_close(dir), 0);
    ck_assert_int_eq(th_file_open_in(dir, "file", O_RDONLY, 0, &file), -EBADF);
    th_file_free(dir);
}

FILE_TEST(closed_files_do_nothing_any_more)
{
    char byte = 0;
    struct stat st;
    struct iovec iov = { &byte, 1 };
    int before = count_descriptors();
    th_file *file = open_file("file", O_RDWR | O_CREAT);
    ck_assert_int_eq(th_file_close(file), 0);
    ck_assert_int_eq(count_descriptors(), before);
    ck_assert_int_eq(th_file_close(file), -EBADF);
    ck_assert_int_eq(th_file_fd(file), -EBADF);
    ck_assert_int_eq(th_file_read(file, &byte, 1), -EBADF);
    ck_assert_int_eq(th_file_read(file, &byte, 0), -EBADF);
    ck_assert_int_eq(th_file_write(file, &byte, 1), -EBADF);
    ck_assert_int_eq(th_file_pread(file, &byte, 1, 0), -EBADF);
    ck_assert_int_eq(th_file_writev(file, &iov, 1, -1), -EBADF);
    ck_assert_int_eq(th_file_stat(file, &st), -EBADF);
    ck_assert_int_eq(th_file_sync(file), -EBADF);
    ck_assert_int_eq(th_file_truncate(file, 0), -EBADF);
    th_file_free(file);
    th_file_free(NULL);
}

FILE_TEST(descriptors_can_be_taken_over)
{
    char text[8];
    th_file *file = NULL;
    write_text("file", "taken");
    int fd = open(path_of("file"), O_RDONLY);
    ck_assert_int_eq(th_file_adopt(-1, &file), -EINVAL);
    ck_assert_int_eq(th_file_adopt(fd, NULL), -EINVAL);
    ck_assert_int_eq(th_file_adopt(fd, &file), 0);
    ck_assert_int_eq(th_file_fd(file), fd);
    ck_assert_int_eq(th_file_read(file, text, sizeof text), 5);
    th_file_free(file);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}

/* ---- reading and writing ---- */

FILE_TEST(what_is_written_at_the_position_is_read_there)
{
    char text[16] = "";
    th_file *file = open_file("file", O_RDWR | O_CREAT | O_TRUNC);
    ck_assert_int_eq(th_file_write(file, "hello, ", 7), 7);
    ck_assert_int_eq(th_file_write(file, "world", 5), 5);
    assert_content("file", "hello, world", 12);
    ck_assert_int_eq(th_file_read(file, text, 4), 0);
    th_file *second = open_file("file", O_RDONLY);
    ck_assert_int_eq(th_file_read(second, text, 5), 5);
    ck_assert_int_eq(th_file_read(second, text + 5, 11), 7);
    ck_assert_str_eq(text, "hello, world");
    ck_assert_int_eq(th_file_read(second, text, 11), 0);
    ck_assert_int_eq(th_file_write(second, "x", 1), -EBADF); /* not open for that */
    th_file_free(second);
    th_file_free(file);
}

FILE_TEST(offsets_leave_the_position_alone)
{
    char text[16] = "";
    th_file *file = open_file("file", O_RDWR | O_CREAT | O_TRUNC);
    ck_assert_int_eq(th_file_pwrite(file, "world", 5, 7), 5);
    ck_assert_int_eq(th_file_pwrite(file, "hello, ", 7, 0), 7);
    ck_assert_int_eq(th_file_pread(file, text, 5, 7), 5);
    ck_assert_int_eq(th_file_pread(file, text + 5, 11, 9), 3);
    ck_assert_str_eq(text, "worldrld");
    ck_assert_int_eq(th_file_pread(file, text, 1, 12), 0);
    ck_assert_int_eq(th_file_pread(file, text, 1, 1000), 0);
    ck_assert_int_eq(th_file_read(file, text, 5), 5);
    ck_assert_mem_eq(text, "hello", 5);
    th_file_free(file);
}

FILE_TEST(misuse_does_nothing)
{
    char byte = 0;
    struct iovec two[2] = { { &byte, SSIZE_MAX }, { &byte, 1 } };
    th_file *file = open_file("file", O_RDWR | O_CREAT);
    ck_assert_int_eq(th_file_read(file, NULL, 1), -EINVAL);
    ck_assert_int_eq(th_file_read(NULL, &byte, 1), -EINVAL);
    ck_assert_int_eq(th_file_write(file, NULL, 1), -EINVAL);
    ck_assert_int_eq(th_file_write(file, &byte, (size_t)SSIZE_MAX + 1), -EINVAL);
    ck_assert_int_eq(th_file_pread(file, &byte, 1, -1), -EINVAL);
    ck_assert_int_eq(th_file_pwrite(file, &byte, 1, -1), -EINVAL);
    ck_assert_int_eq(th_file_pwrite(file, &byte, 2, INT64_MAX - 1), -EINVAL);
    ck_assert_int_eq(th_file_readv(file, NULL, 1, 0), -EINVAL);
    ck_assert_int_eq(th_file_readv(file, two, 0, 0), -EINVAL);
    ck_assert_int_eq(th_file_writev(file, two, -1, 0), -EINVAL);
    ck_assert_int_eq(th_file_writev(file, two, 2, 0), -EINVAL);
    ck_assert_int_eq(th_file_writev(file, two, 1, -2), -EINVAL);
    ck_assert_int_eq(th_file_stat(file, NULL), -EINVAL);
    ck_assert_int_eq(th_file_stat(NULL, &(struct stat){ 0 }), -EINVAL);
    ck_assert_int_eq(th_file_truncate(file, -1), -EINVAL);
    ck_assert_int_eq(th_file_close(NULL), -EINVAL);
    ck_assert_int_eq(th_file_fd(NULL), -EINVAL);
    ck_assert_int_eq(th_file_read(file, &byte, 0), 0);
    ck_assert_int_eq(th_file_write(file, NULL, 0), 0);
    assert_content("file", "", 0);
    th_file_free(file);
}

FILE_TEST(any_number_of_pieces_is_moved)
{
    enum { PIECES = 2 * IOV_MAX + 7 };
    static struct iovec iov[PIECES];
    static char out[PIECES * 2], in[PIECES * 2];
    size_t size = 0;
    for (int i = 0; i < PIECES; i++) {
        iov[i] = (struct iovec){ out + size, (size_t)i % 3 }; /* some are empty */
        size += (size_t)i % 3;
    }
    for (size_t i = 0; i < size; i++)
        out[i] = (char)(i * 7);
    th_file *file = open_file("file", O_RDWR | O_CREAT);
    ck_assert_int_eq(th_file_writev(file, iov, PIECES, -1), (ssize_t)size);
    assert_content("file", out, size);
    for (int i = 0; i < PIECES; i++)
        iov[i].iov_base = in + ((char *)iov[i].iov_base - out);
    ck_assert_int_eq(th_file_readv(file, iov, PIECES, 0), (ssize_t)size);
    ck_assert_mem_eq(in, out, size);
    memset(in, 0, sizeof in);
    ck_assert_int_eq(th_file_readv(file, iov, PIECES, 10), (ssize_t)size - 10);
    ck_assert_mem_eq(in, out + 10, size - 10);
    th_file_free(file);
}

FILE_TEST(offsets_beyond_four_gib_are_right)
{
    char text[8];
    struct stat st;
    th_file *file = open_file("file", O_RDWR | O_CREAT);
    ck_assert_int_eq(th_file_pwrite(file, "far", 3, 5 * GIB), 3);
    ck_assert_int_eq(th_file_stat(file, &st), 0);
    ck_assert_int_eq(st.st_size, 5 * GIB + 3);
    ck_assert_int_eq(th_file_pread(file, text, 8, 5 * GIB - 1), 4);
    ck_assert_mem_eq(text, "\0far", 4);
    ck_assert_int_eq(th_file_pread(file, text, 8, GIB + 3), 8);
    ck_assert_mem_eq(text, "\0\0\0\0\0\0\0\0", 8);
    ck_assert_int_eq(th_file_truncate(file, 3 * GIB), 0);
    ck_assert_int_eq(th_file_stat(file, &st), 0);
    ck_assert_int_eq(st.st_size, 3 * GIB);
    th_file_free(file);
}

FILE_TEST(directories_have_no_bytes)
{
    char byte;
    th_file *dir = NULL;
    ck_assert_int_eq(th_file_open(folder, O_RDONLY | O_DIRECTORY, 0, &dir), 0);
    ck_assert_int_eq(th_file_read(dir, &byte, 1), -EISDIR);
    ck_assert_int_eq(th_file_pread(dir, &byte, 1, 0), -EISDIR);
    ck_assert_int_eq(th_file_sync(dir), 0);
    th_file_free(dir);
}

FILE_TEST(devices_and_files_of_the_kernel_are_read)
{
    char text[4096];
    th_file *file = NULL;
    ck_assert_int_eq(th_file_open("/dev/zero", O_RDWR, 0, &file), 0);
    memset(text, 1, sizeof text);
    ck_assert_int_eq(th_file_read(file, text, sizeof text), sizeof text);
    ck_assert_int_eq(text[0] | text[sizeof text - 1], 0);
    ck_assert_int_eq(th_file_write(file, text, sizeof text), sizeof text);
    th_file_free(file);
    ck_assert_int_eq(th_file_open("/proc/self/stat", O_RDONLY, 0, &file), 0);
    ck_assert_int_gt(th_file_read(file, text, sizeof text), 10);
    th_file_free(file);
    ck_assert_int_eq(th_file_open("/dev/full", O_WRONLY, 0, &file), 0);
    ck_assert_int_eq(th_file_write(file, text, 10), -ENOSPC);
    ck_assert_str_eq(th_err_detail(), "");
    th_file_free(file);
}

FILE_TEST(fifos_give_what_is_there_and_do_not_wait)
{
    char text[8];
    ck_assert_int_eq(mkfifo(path_of("fifo"), 0600), 0);
    th_file *reader = open_file("fifo", O_RDONLY);
    ck_assert_int_eq(th_file_read(reader, text, sizeof text), 0); /* nobody writes */
    th_file *writer = open_file("fifo", O_WRONLY);
    ck_assert_int_eq(th_file_read(reader, text, sizeof text), -EAGAIN);
    ck_assert_int_eq(th_file_write(writer, "some", 4), 4);
    ck_assert_int_eq(th_file_read(reader, text, sizeof text), 4);
    ck_assert_int_eq(th_file_pread(reader, text, sizeof text, 0), -ESPIPE);
    ck_assert_int_eq(th_file_read(reader, text, sizeof text), -EAGAIN);
    th_file_free(writer);
    th_file_free(reader);
}

/* ---- what is known, and what is kept ---- */

FILE_TEST(what_is_told_is_what_stat_tells)
{
    struct stat st, own;
    th_file *file = open_file("file", O_RDWR | O_CREAT);
    ck_assert_int_eq(th_file_write(file, "12345", 5), 5);
    ck_assert_int_eq(th_file_sync(file), 0);
    ck_assert_int_eq(th_file_datasync(file), 0);
    ck_assert_int_eq(th_file_stat(file, &st), 0);
    ck_assert_int_eq(stat(path_of("file"), &own), 0);
    ck_assert_uint_eq(st.st_dev, own.st_dev);
    ck_assert_uint_eq(st.st_ino, own.st_ino);
    ck_assert_uint_eq(st.st_mode, own.st_mode);
    ck_assert_uint_eq(st.st_nlink, own.st_nlink);
    ck_assert_uint_eq(st.st_uid, own.st_uid);
    ck_assert_uint_eq(st.st_gid, own.st_gid);
    ck_assert_int_eq(st.st_size, own.st_size);
    ck_assert_int_eq(st.st_blocks, own.st_blocks);
    ck_assert_int_eq(st.st_blksize, own.st_blksize);
    ck_assert_int_eq(st.st_mtim.tv_sec, own.st_mtim.tv_sec);
    ck_assert_int_eq(st.st_mtim.tv_nsec, own.st_mtim.tv_nsec);
    ck_assert_int_eq(st.st_ctim.tv_nsec, own.st_ctim.tv_nsec);
    ck_assert_int_eq(st.st_atim.tv_nsec, own.st_atim.tv_nsec);
    th_file_free(file);
    ck_assert_int_eq(th_path_stat("/dev/null", &st), 0);
    ck_assert_int_eq(stat("/dev/null", &own), 0);
    ck_assert_uint_eq(st.st_rdev, own.st_rdev);
}

FILE_TEST(files_are_made_shorter_and_longer)
{
    th_file *file = open_file("file", O_RDWR | O_CREAT);
    ck_assert_int_eq(th_file_write(file, "12345", 5), 5);
    ck_assert_int_eq(th_file_truncate(file, 2), 0);
    ck_assert_int_eq(th_file_truncate(file, 4), 0);
    assert_content("file", "12\0\0", 4);
    th_file_free(file);
    file = open_file("file", O_RDONLY);
    ck_assert_int_eq(th_file_truncate(file, 0), -EINVAL); /* not open for writing */
    th_file_free(file);
}

static void fill(Suite *suite)
{
    TCase *opening = thi_check_case(suite, "opening");
    add_in_places(opening, what_cannot_be_opened_is_told_with_its_name);
    add_in_places(opening, descriptors_are_not_inherited_and_do_not_wait);
    add_in_places(opening, names_in_an_open_directory_follow_it);
    add_in_places(opening, closed_files_do_nothing_any_more);
    add_in_places(opening, descriptors_can_be_taken_over);
    TCase *moving = thi_check_case(suite, "reading and writing");
    add_in_places(moving, what_is_written_at_the_position_is_read_there);
    add_in_places(moving, offsets_leave_the_position_alone);
    add_in_places(moving, misuse_does_nothing);
    add_in_places(moving, any_number_of_pieces_is_moved);
    add_in_places(moving, offsets_beyond_four_gib_are_right);
    add_in_places(moving, directories_have_no_bytes);
    add_in_places(moving, devices_and_files_of_the_kernel_are_read);
    add_in_places(moving, fifos_give_what_is_there_and_do_not_wait);
    TCase *known = thi_check_case(suite, "the rest");
    add_in_places(known, what_is_told_is_what_stat_tells);
    add_in_places(known, files_are_made_shorter_and_longer);
}

int main(void)
{
    return thi_check_run("io/file", fill);
}
