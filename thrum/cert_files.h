/* SPDX-License-Identifier: MIT */

/* The files that thrum cert reads and writes, and what it says when it cannot. */
#ifndef THRUM_PROGRAM_CERT_FILES_H
#define THRUM_PROGRAM_CERT_FILES_H

#include "options.h"

#include <thrum.h>

/* No file of certificates is larger: the list of all public authorities has some 250 KiB. */
#define CERT_FILE_MAX ((size_t)16 << 20)

/* Longer pass phrases the library refuses. */
#define CERT_PASS_MAX 1024

/* A pass phrase from a file. */
typedef struct cert_pass {
    char text[CERT_PASS_MAX + 1];
    size_t len;
    bool given;
} cert_pass;

/*
 * Prints one line, "thrum cert new: ...", with the library's words for the failure of what was done
 * with a file, or of something else when path is NULL. Exit status 1.
 */
int cert_failed(const command *cmd, int err, const char *path);

/* Whether a path is "-", which stands for standard input and output. */
bool cert_is_standard(const char *path);

/* Reads a whole file; "-" is standard input. False when it has told what is wrong. */
bool cert_load(const command *cmd, const char *path, th_arena *arena, th_str *content);

/* The pass phrase in a file: its first line without the end; a NUL byte may be in it. A part. */
th_str cert_pass_in(th_str content);

/* Reads the first line of a file as pass phrase; path NULL: none is given. False as above. */
bool cert_load_pass(const command *cmd, const char *path, cert_pass *pass);

/* Whether a file may be written: it is not there, or may be replaced. False as above. */
bool cert_may_write(const command *cmd, const char *path, bool force);

/* Writes a file as a whole, "-" is standard output. False as above. */
bool cert_save(const command *cmd, const char *path, th_str content, bool is_secret, bool force);

#endif
