/* SPDX-License-Identifier: MIT */

/* Runs the fragments of docs/guide/errors.md. */
#include <thrum.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.inc"

static int tell(th_stream *stream, void *arg)
{
    char asked[6];
    (void)arg;
    ssize_t n = th_stream_read_all(stream, asked, sizeof asked);
    if (n > 0)
        n = th_stream_write(stream, "12:34:56", 8);
    return (int)n;
}

static int serve(void *arg)
{
    th_listener *listener = arg;
    int err = th_serve_on(&listener, 1, tell, NULL, NULL);
    th_listener_close(listener);
    return err;
}

static int app(void *arg)
{
    th_listener *listener;
    th_addr addr;
    char address[TH_ADDR_TEXT];
    char answer[9] = "";
    (void)arg;
    if (ask("127.0.0.1:1", answer) != -ECONNREFUSED)
        return -EINVAL;
    int err = th_listen("127.0.0.1:0", NULL, &listener);
    if (err < 0)
        return err;
    th_listener_addr(listener, &addr);
    err = th_spawn(th_scope_root(), serve, listener);
    if (err == 0)
        err = ask(th_addr_format(&addr, address, sizeof address), answer);
    return err < 0 ? err : strcmp(answer, "12:34:56") == 0 ? 0 : -EINVAL;
}

int main(void)
{
    th_sim_result result;
    int err = th_sim_run(app, NULL, &(th_sim_opts){ .seed = 1 }, &result);
    if (err < 0 || result.open_descriptors > 0)
        printf("%s, %zu descriptors open\n", th_errname(err), result.open_descriptors);
    return err < 0;
}
