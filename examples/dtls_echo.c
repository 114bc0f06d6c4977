/* SPDX-License-Identifier: MIT */

/*
 * DTLS: a server that sends back what it gets, and a client that asks it.
 *
 *     dtls_echo serve dtls://127.0.0.1:7005 CERT KEY
 *     dtls_echo ask dtls://127.0.0.1:7005 CA WORD...
 *
 * A word that gets no answer within a second is asked again, for datagrams get lost.
 */
#include <thrum.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int fail(const char *what, int err)
{
    fprintf(stderr, "%s: %s: %s\n", what, th_strerror(err), th_err_detail());
    return err;
}

static int echo(th_dtls *dtls, void *arg)
{
    char buf[1500];
    ssize_t n;
    (void)arg;
    while ((n = th_dtls_recv(dtls, buf, sizeof buf)) > 0)
        if (th_dtls_send(dtls, buf, (size_t)n) < 0)
            break;
    return (int)n;
}

static void listening(const th_addr *addr, void *arg)
{
    char text[TH_ADDR_TEXT];
    (void)arg;
    printf("listening on %s\n", th_addr_format(addr, text, sizeof text));
    fflush(stdout);
}

static int serve(const char *address, const char *cert, const char *key)
{
    th_tls *tls;
    int err = th_tls_new(&(th_tls_opts){ .cert = cert, .key = key, .dtls = 1 }, &tls);
    if (err < 0)
        return fail(cert, err);
    err = th_dtls_serve(address, echo, NULL,
                        &(th_dtls_serve_opts){ .tls = tls, .listening = listening });
    th_tls_unref(tls);
    return err < 0 ? fail(address, err) : 0;
}

/* The answer to one word, for which it waits a second, three times. */
static ssize_t ask_once(th_dtls *dtls, const char *word, char *buf, size_t size)
{
    ssize_t n = -ETIMEDOUT;
    for (int i = 0; i < 3 && n == -ETIMEDOUT; i++) {
        th_scope scope;
        n = th_scope_open(&scope, &(th_scope_opts){ .deadline = th_after(TH_SECOND) });
        if (n < 0)
            return n;
        n = th_dtls_send(dtls, word, strlen(word));
        if (n == 0)
            n = th_dtls_recv(dtls, buf, size);
        (void)th_scope_close(&scope);
    }
    return n;
}

static int ask_all(th_dtls *dtls, char **words)
{
    for (; *words; words++) {
        char buf[1500];
        ssize_t n = ask_once(dtls, *words, buf, sizeof buf);
        if (n < 0)
            return fail(*words, (int)n);
        printf("%.*s\n", (int)n, buf);
    }
    return 0;
}

static int ask(const char *address, const char *ca, char **words)
{
    th_tls *tls;
    th_dtls *dtls;
    const char *const files[] = { ca, NULL };
    int err = th_tls_new(&(th_tls_opts){ .trust.files = files, .dtls = 1 }, &tls);
    if (err < 0)
        return fail(ca, err);
    err = th_dtls_dial(address, &(th_dtls_opts){ .tls = tls }, &dtls);
    th_tls_unref(tls);
    if (err < 0)
        return fail(address, err);
    err = ask_all(dtls, words);
    th_dtls_free(dtls);
    return err;
}

static int app(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "serve") == 0)
        return serve(argv[2], argv[3], argv[4]);
    if (argc >= 5 && strcmp(argv[1], "ask") == 0)
        return ask(argv[2], argv[3], argv + 4);
    fprintf(stderr, "usage: dtls_echo serve ADDRESS CERT KEY | ask ADDRESS CA WORD...\n");
    return -EINVAL;
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
