/* SPDX-License-Identifier: MIT */

/*
 * A UDP echo server on all cores, in batches.
 *
 * Each worker has a socket of its own at the address, and a fiber that receives what is there with
 * one call and sends it back with another. It ends in order on SIGTERM.
 */
#include <thrum.h>

#include <stdio.h>

static int echo(th_udp *udp, void *arg)
{
    th_udp_batch *batch;
    th_dgram *dgrams;
    (void)arg;
    int n = th_udp_batch_new(64, 2048, &batch);
    if (n < 0)
        return n;
    while ((n = th_udp_recv_batch(udp, batch, &dgrams)) > 0)
        (void)th_udp_send_batch(udp, dgrams, (size_t)n); /* who cannot be reached is no trouble */
    th_udp_batch_free(batch);
    return n;
}

static void listening(const th_addr *addr, void *arg)
{
    (void)arg;
    char text[TH_ADDR_TEXT];
    printf("listening on %s\n", th_addr_format(addr, text, sizeof text));
    fflush(stdout);
}

static int app(int argc, char **argv)
{
    th_udp_serve_opts opts = { .udp = &(th_udp_opts){ .coalesce = 1 }, .listening = listening };
    return th_udp_serve(argc > 1 ? argv[1] : "udp://127.0.0.1:7000", echo, NULL, &opts);
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
