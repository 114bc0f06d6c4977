/* SPDX-License-Identifier: MIT */

/* The inside of a file, for those that are made of one. */
#ifndef THI_IO_FILE_H
#define THI_IO_FILE_H

#include "io/fileway.h"

#include <thrum/file.h>

/* Added to the flags of whoever opens: nothing that is opened waits for somebody. */
#define THI_FILE_FLAGS (O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

struct th_file {
    int fd;
    atomic_uint calls; /* under way, and THI_FILE_CLOSED */
    thi_filefacts facts;
};

#define THI_FILE_CLOSED 0x80000000U

/* Begins a call on the file, during which its descriptor stays open. -EINVAL for NULL; -EBADF. */
TH_MUST int thi_file_enter(th_file *file);

void thi_file_leave(th_file *file);

/* Makes a call on the descriptor of a file. */
TH_MUST int64_t thi_file_make(th_file *file, thi_filecall *call);

/* From what statx(2) tells to what stat(2) does. */
void thi_file_stat_of(const struct statx *info, struct stat *st);

#endif
