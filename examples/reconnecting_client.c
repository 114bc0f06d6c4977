/* SPDX-License-Identifier: MIT */

/*
 * A client that prints the lines a server sends, and connects again whenever it loses it.
 *
 * It ends when the server says "bye", or after ten attempts in vain.
 */
#include <thrum.h>

#include <errno.h>
#include <stdio.h>

static th_reconnect *client;

static int line(th_framing *framing, void *self, th_str text)
{
    (void)self;
    th_reconnect_reset(client); /* it speaks: all is well */
    printf("%.*s\n", TH_STR_ARG(text));
    fflush(stdout);
    if (!th_str_eq(text, TH_STR("bye")))
        return 0;
    th_reconnect_stop(client);
    return th_transport_close(th_framing_transport(framing));
}

static int make_lines(th_transport *transport, void *arg)
{
    static const th_frames lines = { .frame = line };
    th_framing_opts opts = { .kind = TH_FRAMING_LINES };
    return th_framing_start(transport, &opts, &lines, arg, NULL);
}

static void waits(void *arg, int error, int64_t delay)
{
    int *result = arg;
    const char *why = error < 0 ? th_strerror(error) : "the server has hung up";
    if (delay >= 0) {
        printf("%s: again in %lld ms\n", why, (long long)(delay / TH_MILLISECOND));
    } else {
        printf("%s: giving up\n", why);
        *result = error < 0 ? error : -ECONNREFUSED;
    }
    fflush(stdout);
}

static int app(int argc, char **argv)
{
    int result = 0;
    th_scope scope;
    th_reconnect_opts opts = {
        .first = 20 * TH_MILLISECOND, .most = 300 * TH_MILLISECOND, .retries = 10, .waits = waits
    };
    int err = th_scope_open(&scope, NULL);
    if (err < 0)
        return err;
    err = th_reconnect_start(argc > 1 ? argv[1] : "127.0.0.1:7000", make_lines, &result, &opts,
                             &client);
    th_scope_close(&scope); /* waits for the client, which belongs to it */
    th_reconnect_free(err < 0 ? NULL : client);
    return err < 0 ? err : result;
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, &(th_run_opts){ .workers = 1 });
}
