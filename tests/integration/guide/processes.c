/* SPDX-License-Identifier: MIT */

/* Runs the fragments of docs/guide/processes.md. */
#include <thrum.h>

#include <errno.h>
#include <string.h>

#include "limited.inc"

#include "talk.inc"

static int work(void)
{
    return th_sleep(TH_MILLISECOND);
}

#include "scoped.inc"

static int app(int argc, char **argv)
{
    static const char *const hello[] = { "echo", "hello", NULL };
    static const char *const sleeper[] = { "sleep", "100", NULL };
    th_process_output done;
    char answer[16] = "";
    (void)argc;
    (void)argv;
    int err = convert(hello, &done);
    if (err < 0)
        return err;
    int same = strcmp(done.out, "hello\n") == 0;
    th_process_output_free(&done);
    err = ask_calculator("6*7\n", answer, sizeof answer - 1);
    if (err == 0)
        err = work_beside_a_helper(sleeper);
    if (err < 0)
        return err;
    return same && strcmp(answer, "42\n") == 0 ? 0 : -EPROTO;
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
