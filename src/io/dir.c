/* SPDX-License-Identifier: MIT */

/*
 * Listing a directory: records of getdents64(2), fetched in batches.
 *
 * Some file systems do not say what an entry is; then it is looked at.
 */
#include "io/file.h"

#include "base/alloc.h"
#include "base/error.h"
#include "runtime/sched.h"

#include <thrum/path.h>

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#define BATCH ((size_t)32 * 1024)

struct th_dir {
    th_file *file;
    size_t at;  /* of the next record */
    size_t end; /* of the records in the batch */
    _Alignas(struct dirent64) char batch[];
};

int th_dir_open(const char *path, th_dir **dir)
{
    if (!path || !dir)
        return thi_err_clear(-EINVAL);
    th_dir *made = thi_alloc(sizeof *made + BATCH);
    if (!made)
        return thi_err_clear(-ENOMEM);
    made->at = made->end = 0;
    int err = th_file_open(path, O_RDONLY | O_DIRECTORY, 0, &made->file);
    if (err < 0) {
        thi_free(made);
        return err;
    }
    *dir = made;
    return 0;
}

void th_dir_free(th_dir *dir)
{
    if (!dir)
        return;
    th_file_free(dir->file);
    thi_free(dir);
}

/* Fetches the next batch: 1, or 0 when there is none; a directory that was removed has none. */
static int fetch(th_dir *dir)
{
    thi_filecall call = { .kind = THI_FILE_LIST, .buf = dir->batch, .size = BATCH };
    int64_t n = thi_file_make(dir->file, &call);
    if (n < 0)
        return n == -ENOENT ? 0 : (int)n;
    dir->at = 0;
    dir->end = (size_t)n;
    return n > 0;
}

static enum th_dir_kind kind_of(mode_t type)
{
    switch (type) {
    case S_IFREG:
        return TH_DIR_FILE;
    case S_IFDIR:
        return TH_DIR_DIRECTORY;
    case S_IFLNK:
        return TH_DIR_LINK;
    default:
        return TH_DIR_OTHER;
    }
}

/* What has been removed since is nothing special any more. */
static int look(th_dir *dir, const char *name, enum th_dir_kind *kind)
{
    struct statx info;
    thi_filecall call = {
        .kind = THI_FILE_STAT, .path = name, .flags = AT_SYMLINK_NOFOLLOW, .info = &info
    };
    int err = (int)thi_file_make(dir->file, &call);
    if (err < 0 && err != -ENOENT)
        return err;
    *kind = err == 0 ? kind_of(info.stx_mode & S_IFMT) : TH_DIR_OTHER;
    return 0;
}

static int tell(th_dir *dir, const struct dirent64 *record, th_dir_entry *entry)
{
    th_dir_entry told = { .name = record->d_name, .inode = record->d_ino };
    told.kind = kind_of(DTTOIF(record->d_type));
    if (record->d_type == DT_UNKNOWN) {
        int err = look(dir, told.name, &told.kind);
        if (err < 0)
            return err;
    }
    dir->at += record->d_reclen;
    *entry = told;
    return 1;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int th_dir_read(th_dir *dir, th_dir_entry *entry)
{
    if (!dir || !entry)
        return thi_err_clear(-EINVAL);
    int err = thi_sched_self() ? thi_sched_may_park() : 0;
    if (err < 0)
        return thi_err_clear(err);
    for (;;) {
        if (dir->at == dir->end) {
            err = fetch(dir);
            if (err <= 0)
                return (int)thi_err_plain(err);
        }
        const struct dirent64 *record = (const void *)(dir->batch + dir->at);
        if (!is_dots(record->d_name))
            return (int)thi_err_plain(tell(dir, record, entry));
        dir->at += record->d_reclen;
    }
}
