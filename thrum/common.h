/* SPDX-License-Identifier: MIT */

/* What the subcommands that run a server have in common: where to listen, on what to run. */
#ifndef THRUM_PROGRAM_COMMON_H
#define THRUM_PROGRAM_COMMON_H

#include "options.h"

#include <thrum.h>

#define LISTEN_MAX 64

typedef struct server_settings {
    const char *listen[LISTEN_MAX];
    size_t listen_count;
    th_listen_opts how;
    uint32_t max_per_peer;
    th_run_opts run;
    bool quiet;
    th_listener *listeners[LISTEN_MAX];
    size_t listener_count;
} server_settings;

/* For the tables of options; the settings begin with server_settings. */
const char *set_listen(void *settings, const char *value);
const char *set_workers(void *settings, const char *value);
const char *set_backend(void *settings, const char *value);
const char *set_quiet(void *settings, const char *value);
const char *set_tune(void *settings, const char *value);
const char *set_reuse_port(void *settings, const char *value);
const char *set_proxy_protocol(void *settings, const char *value);
const char *set_proxy_from(void *settings, const char *value);
const char *set_max_per_peer(void *settings, const char *value);

#define SERVER_OPTIONS(default_address)                                                            \
    { "listen", "ADDR",                                                                            \
      "where to listen: HOST:PORT, [IPv6]:PORT, unix:/path, systemd:NAME, fd:N, tls://HOST:PORT; " \
      "repeatable; " default_address,                                                              \
      set_listen },                                                                                \
        { "tune", "OPTIONS", "options of sockets, or a profile, as in latency,rcvbuf=1M",          \
          set_tune },                                                                              \
        { "reuse-port", NULL, "share the port with other processes", set_reuse_port },             \
        { "proxy-protocol", "KIND",                                                                \
          "a PROXY header names the client: required, or optional (from proxies only)",            \
          set_proxy_protocol },                                                                    \
        { "proxy-from", "NETS", "networks of proxies that are believed, as in 10.0.0.0/8,::1",     \
          set_proxy_from },                                                                        \
        { "max-per-peer", "N", "connections of one IPv4 address or IPv6 /64; no limit",            \
          set_max_per_peer },                                                                      \
        { "workers", "N", "threads that serve; one per CPU", set_workers },                        \
        { "backend", "NAME", "event loop: auto, epoll, uring, poll, select", set_backend },        \
    {                                                                                              \
        "quiet", NULL, "print nothing but errors", set_quiet                                       \
    }

/* Opens all listeners, or tells which one failed and returns its error. In a fiber or before. */
TH_MUST int open_listeners(server_settings *settings, const char *default_address);
void close_listeners(server_settings *settings);

/* Prints what a person wants to see at the start. The schemes are those without TLS and with it. */
void print_start(const server_settings *settings, const char *const schemes[2], const char *what);

/* Sends the library's log to standard error, warnings and errors. */
void log_to_stderr(void);

/* Raises the limit of open descriptors as far as it goes. */
void raise_descriptor_limit(void);

/* Runs `app` as the main fiber; the exit status. */
int run_program(const char *name, int (*app)(void *settings), server_settings *settings);

#endif
