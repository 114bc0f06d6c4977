/* SPDX-License-Identifier: MIT */

/* A folder for tests of files: made by the set-up of a test, filled by it, removed at its end. */
#ifndef THI_TEST_SITE_FOLDER_H
#define THI_TEST_SITE_FOLDER_H

#include "check_main.h"

#include "sys/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64]; /* its path */

/* The path of a name in it; eight may be in use. */
static inline const char *path_of(const char *name)
{
    static char paths[8][512];
    static size_t next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static inline void make_folder(void)
{
    strcpy(folder, "/tmp/thrum-site-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static inline int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static inline void remove_folder(void)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void make_dir(const char *name)
{
    ck_assert_int_eq(mkdir(path_of(name), 0755), 0);
}

static inline void write_bytes(const char *name, const void *data, size_t size)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, data, size), (ssize_t)size);
    close(fd);
}

static inline void write_text(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

static inline void make_link(const char *target, const char *name)
{
    ck_assert_int_eq(symlink(target, path_of(name)), 0);
}

/* How many descriptors the process has. */
static inline int count_descriptors(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

#define NO_OPENAT2 "no openat2(2)"

/* Whether the kernel has openat2(2), and no sandbox in front of it refuses it. */
static inline bool has_openat2(void)
{
    int fd = thi_sys_real.openat2(AT_FDCWD, ".", O_PATH | O_DIRECTORY, RESOLVE_BENEATH);
    ck_assert(fd >= 0 || fd == -ENOSYS || fd == -EPERM);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

#endif
