/* SPDX-License-Identifier: MIT */

/*
 * A port forwarder: whoever connects here talks to the target. Either side may end first, and the
 * other hears of it. Once there are many bytes, they pass through the kernel alone (splice(2)).
 */
#include <thrum.h>

#include <stdio.h>

static int forward(th_stream *client, void *arg)
{
    th_stream *server;
    int err = th_dial(arg, NULL, &server);
    if (err < 0)
        return err;
    err = th_stream_relay(client, server, &(th_relay_opts){ .idle = 5 * TH_MINUTE }, NULL);
    th_stream_free(server);
    return err;
}

static void listening(const th_addr *addr, void *arg)
{
    char text[TH_ADDR_TEXT];
    printf("forwarding to %s\n", (const char *)arg);
    printf("listening on %s\n", th_addr_format(addr, text, sizeof text));
    fflush(stdout);
}

static int app(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: forward LISTEN TARGET\n");
        return 2;
    }
    return th_serve(argv[1], forward, argv[2], &(th_serve_opts){ .listening = listening });
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
