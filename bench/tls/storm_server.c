/* SPDX-License-Identifier: MIT */

/*
 * A server for storms: the same small answer by HTTP and by HTTPS, from the same workers.
 *
 * usage: storm_server CERT KEY HTTP-PORT HTTPS-PORT [WORKERS]
 */
#include <thrum.h>

#include <stdio.h>
#include <stdlib.h>

static int answer(th_http_request *request, th_http_reply *reply, void *arg)
{
    (void)request;
    (void)arg;
    return th_http_reply_text(reply, 200, "hello, world\n");
}

typedef struct door {
    const char *port;
    th_tls *tls;
} door;

static int serve(void *arg)
{
    const door *d = arg;
    char address[64];
    snprintf(address, sizeof address, "127.0.0.1:%s", d->port);
    return th_http_serve(address, answer, NULL, &(th_http_opts){ .tls = d->tls });
}

static int run(void *arg)
{
    char **words = arg;
    door plain = { .port = words[3] };
    door secure = { .port = words[4] };
    th_scope scope;
    int err = th_tls_new(&(th_tls_opts){ .cert = words[1], .key = words[2] }, &secure.tls);
    if (err < 0) {
        fprintf(stderr, "storm_server: %s\n", th_err_detail());
        return err;
    }
    err = th_scope_open(&scope, NULL);
    if (err == 0)
        err = th_spawn(&scope, serve, &plain);
    if (err == 0)
        err = serve(&secure);
    (void)th_scope_close(&scope);
    th_tls_unref(secure.tls);
    return err;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    th_run_opts opts = { .workers = argc > 5 ? (unsigned)atoi(argv[5]) : 0 };
    return th_run(run, argv, &opts) < 0;
}
