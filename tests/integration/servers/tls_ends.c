/* SPDX-License-Identifier: MIT */

/*
 * Both ends of TLS, for peers that follow a script.
 *
 * Who connects to the first address meets a server; to the second, a client, which begins with
 * "hello". Both echo what they read, but with mode=sink. At the third the counters of the process
 * are told. How a connection ends is told in one line: the role, the port of the peer, the error,
 * its detail.
 */
#include "settings.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

enum { SERVER, CLIENT, COUNTERS, ROLES };

static const char *const roles[] = { "server", "client", "counters" };

static settings set;
static uint16_t ports[ROLES];

static int echo(th_stream *safe)
{
    char buf[16384];
    ssize_t n;
    bool silent = strcmp(set.mode, "sink") == 0;
    while ((n = th_stream_read(safe, buf, sizeof buf)) > 0)
        if (!silent && (n = th_stream_write(safe, buf, (size_t)n)) < 0)
            break;
    return (int)n;
}

static int converse(th_stream *safe, int role)
{
    int err = th_tls_handshake(safe);
    if (err == 0 && role == CLIENT) {
        ssize_t n = th_stream_write(safe, "hello", 5);
        err = n < 0 ? (int)n : 0;
    }
    return err < 0 ? err : echo(safe);
}

/* Sessions are kept as for one server, whatever the port is. */
static int secure(th_stream *plain, int role, th_stream **safe)
{
    th_tls_stream_opts opts = { .name = "localhost", .port = 443, .later = 1 };
    if (role == SERVER)
        opts = (th_tls_stream_opts){ .later = 1, .early = set.tls.early_data_max > 0 };
    return role == SERVER ? th_tls_server(set.http.tls, plain, &opts, safe)
                          : th_tls_client(set.http.tls, plain, &opts, safe);
}

/* A stream of its own, for the one that th_serve_on() gives would have to be kept. */
static int talk(th_stream *given, int role, uint16_t port)
{
    th_stream *plain, *safe;
    int fd = th_stream_detach(given);
    int err = fd < 0 ? fd : th_stream_from_socket(fd, &plain);
    if (err < 0)
        return err;
    err = secure(plain, role, &safe);
    if (err < 0) {
        th_stream_free(plain);
        return err;
    }
    err = converse(safe, role);
    printf("%s %u %s %s\n", roles[role], (unsigned)port, th_errname(err), th_err_detail());
    fflush(stdout);
    th_stream_free(safe);
    return err;
}

static int tell_counters(th_stream *stream)
{
    th_arena arena;
    char heap[64];
    th_str text;
    th_arena_init(&arena, NULL, 0, 0);
    int err = th_metrics_text(&arena, &text);
    ssize_t n = err < 0 ? err : th_stream_write(stream, text.ptr, text.len);
    int len = snprintf(heap, sizeof heap, "heap_bytes %zu\n", mallinfo2().uordblks);
    if (n >= 0)
        n = th_stream_write(stream, heap, (size_t)len);
    th_arena_deinit(&arena);
    return n < 0 ? (int)n : 0;
}

static int serve(th_stream *stream, void *arg)
{
    th_addr here, there;
    int role = SERVER;
    (void)arg;
    int err = th_stream_local(stream, &here);
    if (err == 0)
        err = th_stream_peer(stream, &there);
    if (err < 0)
        return err;
    while (role < COUNTERS && ports[role] != here.port)
        role++;
    return role == COUNTERS ? tell_counters(stream) : talk(stream, role, there.port);
}

static int listen_for(int role)
{
    th_addr addr;
    char text[TH_ADDR_TEXT];
    int err = th_listen("127.0.0.1:0", NULL, &set.listeners[role]);
    if (err < 0)
        return err;
    th_listener_addr(set.listeners[role], &addr);
    ports[role] = addr.port;
    printf("listening on %s\n", th_addr_format(&addr, text, sizeof text));
    return 0;
}

static int app(void *arg)
{
    (void)arg;
    int err = settings_make_tls(&set);
    for (int role = 0; role < ROLES && err == 0; role++)
        err = listen_for(role);
    fflush(stdout);
    return err < 0 ? err : th_serve_on(set.listeners, ROLES, serve, NULL, NULL);
}

int main(int argc, char **argv)
{
    settings_read(&set, argc, argv);
    set.listen_count = ROLES;
    return settings_run(&set, app);
}
