/* SPDX-License-Identifier: MIT */

/* Files of keys, certificates and the like: read, handed to a parser, wiped. */
#ifndef THI_TLS_LOAD_H
#define THI_TLS_LOAD_H

#include <thrum/str.h>

#include <stddef.h>

/*
 * Reads a file of at most `limit` bytes, hands it to `parse`, and wipes it from memory, for there
 * may be a key in it. What `parse` returned, or as th_file_load(); the detail of a failure has the
 * path in front. May suspend.
 */
TH_MUST int thi_load(const char *path, size_t limit, int (*parse)(th_str data, void *out),
                     void *out);

#endif
