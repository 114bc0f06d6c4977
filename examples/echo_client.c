/* SPDX-License-Identifier: MIT */

/* An echo client: sends its arguments, one line each, and prints what comes back within a second.
 */
#include <thrum.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int exchange(th_stream *stream, const char *line)
{
    char answer[1024];
    size_t len = strlen(line);
    if (len > sizeof answer)
        return -EMSGSIZE;
    ssize_t n = th_stream_write(stream, line, len);
    if (n >= 0)
        n = th_stream_read_all(stream, answer, len);
    if (n < 0)
        return (int)n;
    printf("%.*s\n", (int)n, answer);
    return 0;
}

static int app(int argc, char **argv)
{
    th_stream *stream;
    th_scope scope;
    if (argc < 3) {
        fprintf(stderr, "usage: echo_client ADDRESS LINE...\n");
        return 2;
    }
    /* Every call in the scope obeys its deadline: connecting, writing, reading. */
    int err = th_scope_open(&scope, &(th_scope_opts){ .deadline = th_after(TH_SECOND) });
    if (err < 0)
        return err;
    err = th_dial(argv[1], NULL, &stream);
    if (err == 0) {
        for (int i = 2; i < argc && err == 0; i++)
            err = exchange(stream, argv[i]);
        th_stream_free(stream);
    }
    th_scope_close(&scope);
    return err;
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, &(th_run_opts){ .workers = 1 });
}
