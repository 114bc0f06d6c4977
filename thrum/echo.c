/* SPDX-License-Identifier: MIT */

/* thrum echo: a server of streams that sends back what it gets. */
#include "commands.h"
#include "common.h"

static const option options[] = {
    SERVER_OPTIONS("127.0.0.1:7000"),
    { NULL, NULL, NULL, NULL },
};

const command echo_command = {
    .name = "echo",
    .arguments = "",
    .purpose = "Sends back whatever a client sends.",
    .details = "",
    .options = options,
};

static int echo(th_stream *stream, void *arg)
{
    (void)arg;
    char buf[16 * 1024];
    ssize_t n;
    while ((n = th_stream_read(stream, buf, sizeof buf)) > 0)
        if ((n = th_stream_write(stream, buf, (size_t)n)) < 0)
            break;
    return (int)n;
}

static int run(void *arg)
{
    server_settings *s = arg;
    int err = open_listeners(s, "127.0.0.1:7000");
    if (err == 0) {
        print_start(s, (const char *const[]){ "tcp://", "tls://" }, "echo");
        err = th_serve_on(s->listeners, s->listener_count, echo, NULL,
                          &(th_serve_opts){ .max_per_peer = s->max_per_peer });
    }
    close_listeners(s);
    return err;
}

int echo_main(int argc, char **argv)
{
    server_settings settings = { .listen_count = 0 };
    int status = options_read(&echo_command, argc, argv, &settings);
    return status >= 0 ? status : run_program("echo", run, &settings);
}
