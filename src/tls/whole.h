/* SPDX-License-Identifier: MIT */

/*
 * Files that are read as a whole, and again when they have changed.
 *
 * These calls block; they are for threads of a pool, or are run there by thi_fileway_run(). What
 * was read is wiped when it is given back, for it may be a secret.
 */
#ifndef THI_TLS_WHOLE_H
#define THI_TLS_WHOLE_H

#include <thrum/str.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* By what one file is told from its successor; all zero: none was read yet. */
typedef struct thi_stamp {
    uint64_t device;
    uint64_t inode;
    int64_t size;
    int64_t changed_s; /* status change: also a rename in place, or a mode */
    int64_t changed_ns;
} thi_stamp;

/* What was read. All zero: nothing. */
typedef struct thi_whole {
    char *data; /* a NUL follows; for thi_whole_free() */
    size_t size;
    thi_stamp stamp;
} thi_whole;

/* Whether the path now leads to something else than was read; false when that cannot be told. */
bool thi_whole_changed(const char *path, const thi_stamp *stamp);

/*
 * Reads a regular file of at most `limit` bytes. A file with any permission of `forbidden` is
 * -EACCES. 0, or -errno, TH_ELIMIT; each with path and reason as detail; -ENOMEM.
 */
TH_MUST int thi_whole_read(const char *path, size_t limit, mode_t forbidden, thi_whole *whole);

/* The same of whatever can be read to its end, a pipe of the shell's too. */
TH_MUST int thi_whole_read_any(const char *path, size_t limit, thi_whole *whole);

/* Wipes and frees. */
void thi_whole_free(thi_whole *whole);

static inline th_str thi_whole_str(const thi_whole *whole)
{
    return th_str_make(whole->data, whole->size);
}

#endif
