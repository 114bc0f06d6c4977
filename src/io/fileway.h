/* SPDX-License-Identifier: MIT */

/* The ways of a call on a file: at once, by the worker's engine, or by the pool `files`. */
#ifndef THI_IO_FILEWAY_H
#define THI_IO_FILEWAY_H

#include "sys/filecall.h"

#include <stdatomic.h>

/* The ways that are taken where they can be; what is left is the pool. For tests and benchmarks. */
enum { THI_FILEWAY_TRY = 1, THI_FILEWAY_ENGINE = 2, THI_FILEWAY_ALL = 3 };
extern atomic_uint thi_fileways;

/* What has been found out about a file, for its reads and writes. Zero: nothing yet. */
typedef struct thi_filefacts {
    atomic_bool hopeless;  /* its file system knows no reading at once */
    atomic_uchar endpoint; /* THI_ENDPOINT_* */
} thi_filefacts;

/* What is on a disk ends by itself. Others, a FIFO, may wait for ever: no engine shall. */
enum { THI_ENDPOINT_UNKNOWN, THI_ENDPOINT_DISK, THI_ENDPOINT_OTHER };

/*
 * Makes a call on a file without holding up the worker: the calling fiber waits, other threads
 * block. With facts, a read or an opening is first tried at once. The result is that of the system
 * call. -ECANCELED or -ETIMEDOUT: the caller's scope says so, and nothing was done. -EPERM: on a
 * worker outside of a fiber.
 */
TH_MUST int64_t thi_fileway_make(const thi_filecall *call, thi_filefacts *facts);

/* Reads at an offset, perhaps less than asked for: as thi_fileway_make(). */
TH_MUST ssize_t thi_fileway_pread(int fd, void *buf, size_t size, int64_t at, thi_filefacts *facts);

/* Makes it in any case, whatever the scope says; for closing and cleaning up. */
int64_t thi_fileway_make_shielded(const thi_filecall *call);

/*
 * Runs work that waits for files on a thread of the pool, by the caller's table of system calls;
 * plain threads run it themselves. The work's result, or why it was not run: as above.
 */
TH_MUST int thi_fileway_run(int (*work)(void *arg), void *arg);

/*
 * Gets a stretch of a file into memory if it is not there, as far as one can tell by its two ends:
 * who reads it next will not wait for a disk. Errors of the file are left to him. 0; the scope.
 */
TH_MUST int thi_fileway_warm(int fd, int64_t at, size_t size);

#endif
