/* SPDX-License-Identifier: MIT */

/* What tests of keys and certificates share: an arena, a folder of their own, texts and keys. */
#ifndef THI_TEST_TLS_TEXTS_H
#define THI_TEST_TLS_TEXTS_H

#include "check_main.h"

#include <thrum/cert.h>
#include <thrum/cert_issue.h>
#include <thrum/error.h>
#include <thrum/key.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <unistd.h>

static th_arena arena;
static char folder[64];

static inline void setup(void)
{
    th_arena_init(&arena, NULL, 0, 0);
    strcpy(folder, "/tmp/thrum-tls-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static inline int drop_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

static inline void teardown(void)
{
    th_arena_deinit(&arena);
    nftw(folder, drop_file, 8, FTW_DEPTH | FTW_PHYS);
}

static inline const char *path_of(const char *name)
{
    char *path = th_arena_printf(&arena, "%s/%s", folder, name);
    ck_assert_ptr_nonnull(path);
    return path;
}

static inline const char *write_file(const char *name, th_str content)
{
    const char *path = path_of(name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, content.ptr, content.len), (ssize_t)content.len);
    close(fd);
    return path;
}

/* The shell's answer: the output of a command in the folder, its exit status in *status. */
static inline th_str run(const char *command, int *status)
{
    static char out[65536];
    char line[4096];
    snprintf(line, sizeof line, "cd %s && { %s; } 2>&1", folder, command);
    FILE *pipe = popen(line, "r");
    ck_assert_ptr_nonnull(pipe);
    size_t n = fread(out, 1, sizeof out - 1, pipe);
    out[n] = '\0';
    *status = pclose(pipe);
    return th_str_make(out, n);
}

/* Asserts that a command succeeds. */
static inline th_str run_well(const char *command)
{
    int status;
    th_str out = run(command, &status);
    ck_assert_msg(status == 0, "%s: %s", command, out.ptr);
    return out;
}

static inline bool has_openssl(void)
{
    return system("command -v openssl >/dev/null 2>&1") == 0;
}

static inline th_key *new_key(const char *what)
{
    th_key *key = NULL;
    int err = th_key_new(what, &key);
    ck_assert_msg(err == 0, "%s: %s", what, th_err_detail());
    return key;
}

static inline th_str joined(th_str a, th_str b)
{
    char *both = th_arena_alloc(&arena, a.len + b.len + 1);
    ck_assert_ptr_nonnull(both);
    memcpy(both, a.ptr, a.len);
    memcpy(both + a.len, b.ptr, b.len);
    both[a.len + b.len] = '\0';
    return th_str_make(both, a.len + b.len);
}

static inline bool has_text(th_str text, const char *what)
{
    return memmem(text.ptr, text.len, what, strlen(what)) != NULL;
}

#define ck_ok(expression)                                                                          \
    do {                                                                                           \
        int ck_ok_ = (expression);                                                                 \
        ck_assert_msg(ck_ok_ == 0, #expression " is %s: %s", th_errname(ck_ok_), th_err_detail()); \
    } while (0)

#define ck_detail(what) ck_assert_msg(strstr(th_err_detail(), what), "%s", th_err_detail())

static inline void ck_same(th_str a, th_str b)
{
    ck_assert_uint_eq(a.len, b.len);
    ck_assert_mem_eq(a.ptr, b.ptr, a.len);
}

#endif
