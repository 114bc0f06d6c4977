/* SPDX-License-Identifier: MIT */

/*
 * An echo that becomes safe when the client wants it, as mail servers do: the conversation begins
 * plainly, "STARTTLS" is answered by "ready", and then both go on in TLS. What is echoed, and how,
 * does not know the difference.
 *
 * Server: tls_echo serve ADDRESS CERT KEY. Client: tls_echo ask ADDRESS NAME AUTHORITY LINE...
 */
#include <thrum.h>

#include <stdio.h>
#include <string.h>

static const char question[] = "STARTTLS\n";
static const char answer[] = "ready\n";

/* ---- the server ---- */

static int echo(th_stream *stream)
{
    char buf[4096];
    ssize_t n;
    while ((n = th_stream_read(stream, buf, sizeof buf)) > 0)
        if ((n = th_stream_write(stream, buf, (size_t)n)) < 0)
            break;
    return n == TH_EOF ? 0 : (int)n; /* TH_ETRUNCATED: the end that nobody has said */
}

/* The stream below is th_serve()'s, which frees it; so it is kept, and what is left is sent first.
 */
static int echo_safely(th_tls *tls, th_stream *plain)
{
    th_stream *safe;
    int err = th_tls_server(tls, plain, &(th_tls_stream_opts){ .keep_below = 1 }, &safe);
    if (err < 0)
        return err;
    err = echo(safe);
    if (err == 0)
        err = th_stream_shutdown(safe);
    if (err == 0)
        err = th_tls_flush(safe);
    th_stream_free(safe);
    return err;
}

static int serve(th_stream *plain, void *tls)
{
    char word[sizeof question - 1];
    ssize_t n = th_stream_read_all(plain, word, sizeof word);
    if (n < 0)
        return (int)n;
    if (memcmp(word, question, sizeof word) != 0)
        return TH_EPROTO;
    n = th_stream_write(plain, answer, sizeof answer - 1);
    return n < 0 ? (int)n : echo_safely(tls, plain);
}

static void listening(const th_addr *addr, void *arg)
{
    char text[TH_ADDR_TEXT];
    (void)arg;
    printf("listening on %s\n", th_addr_format(addr, text, sizeof text));
    fflush(stdout);
}

static int be_server(char **words)
{
    th_tls *tls;
    th_serve_opts opts = { .listening = listening };
    int err = th_tls_new(&(th_tls_opts){ .cert = words[1], .key = words[2] }, &tls);
    if (err < 0)
        return err;
    err = th_serve(words[0], serve, tls, &opts);
    th_tls_unref(tls);
    return err;
}

/* ---- the client ---- */

static int ask_for_tls(th_stream *plain)
{
    char word[sizeof answer - 1];
    ssize_t n = th_stream_write(plain, question, sizeof question - 1);
    if (n >= 0)
        n = th_stream_read_all(plain, word, sizeof word);
    if (n < 0)
        return (int)n;
    return memcmp(word, answer, sizeof word) == 0 ? 0 : TH_EPROTO;
}

static int exchange(th_stream *safe, const char *line)
{
    char got[1024];
    size_t len = strlen(line);
    if (len > sizeof got)
        return TH_ELIMIT;
    ssize_t n = th_stream_write(safe, line, len);
    if (n >= 0)
        n = th_stream_read_all(safe, got, len);
    if (n >= 0)
        printf("%.*s\n", (int)n, got);
    return n < 0 ? (int)n : 0;
}

static int talk(th_stream *safe, char **lines)
{
    th_tls_info info = { .size = sizeof info };
    int err = th_tls_info_get(safe, &info);
    if (err == 0)
        printf("%s with %s\n", info.version_name, info.name);
    while (err == 0 && *lines)
        err = exchange(safe, *lines++);
    return err;
}

static int be_client(char **words)
{
    const char *const authorities[] = { words[2], NULL };
    th_tls_stream_opts who = { .name = words[1] };
    th_stream *plain, *safe;
    th_tls *tls;
    int err = th_tls_new(&(th_tls_opts){ .trust = { .files = authorities } }, &tls);
    if (err < 0)
        return err;
    err = th_dial(words[0], NULL, &plain);
    if (err == 0) {
        err = ask_for_tls(plain);
        if (err == 0)
            err = th_tls_client(tls, plain, &who, &safe);
        if (err == 0) {
            err = talk(safe, words + 3);
            int ended = err == 0 ? th_stream_finish(safe, 0) : 0;
            err = err < 0 ? err : ended;
            th_stream_free(safe);
        } else {
            th_stream_free(plain);
        }
    }
    th_tls_unref(tls);
    return err;
}

static int app(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "serve") == 0)
        return be_server(argv + 2);
    if (argc >= 5 && strcmp(argv[1], "ask") == 0)
        return be_client(argv + 2);
    fprintf(stderr, "usage: tls_echo serve ADDRESS CERT KEY\n"
                    "       tls_echo ask ADDRESS NAME AUTHORITY LINE...\n");
    return 2;
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
