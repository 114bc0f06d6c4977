/* SPDX-License-Identifier: MIT */

/* Runs a function in a child process and keeps how it ended and what it said on standard error. */
#ifndef THI_TEST_CAPTURE_H
#define THI_TEST_CAPTURE_H

#include <check.h>

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct capture {
    int status;      /* of waitpid(2) */
    char said[8192]; /* the beginning of it */
} capture;

/* The child's exit status is what fn returns. */
static inline capture run_captured(int (*fn)(void))
{
    capture c = { .status = 0 };
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        _exit(fn());
    }
    close(fds[1]);
    size_t len = 0;
    char rest[512];
    for (;;) {
        size_t room = sizeof c.said - 1 - len;
        ssize_t n = read(fds[0], room > 0 ? c.said + len : rest, room > 0 ? room : sizeof rest);
        if (n <= 0)
            break;
        len += room > 0 ? (size_t)n : 0;
    }
    close(fds[0]);
    ck_assert_int_eq(waitpid(child, &c.status, 0), child);
    return c;
}

static inline void expect_said(const capture *c, const char *text)
{
    ck_assert_msg(strstr(c->said, text) != NULL, "no '%s' in: %s", text, c->said);
}

#endif
