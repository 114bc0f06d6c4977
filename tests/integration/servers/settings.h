/* SPDX-License-Identifier: MIT */

/* The command line of the test servers: name=value, times in milliseconds. */
#ifndef THRUM_TEST_SETTINGS_H
#define THRUM_TEST_SETTINGS_H

#include <thrum.h>

#include <stdbool.h>
#include <stdint.h>

#define LISTEN_MAX 4

typedef struct settings {
    th_run_opts run;
    th_http_opts http;
    th_listener *listeners[LISTEN_MAX];
    const char *listen[LISTEN_MAX];
    size_t listen_count;
    const char *file;         /* what /x/file sends */
    const char *log;          /* "common" or "json": an access log on standard output */
    const char *mode;         /* what a server of streams does with a connection */
    int64_t read_all;         /* largest body that is read as a whole */
    bool length_required;     /* answer 411 to a request without a Content-Length */
    th_tls_opts tls;          /* with a certificate: speak TLS */
    const char *ca[2];        /* whom a client believes */
    const char *client_ca[2]; /* whom both believe; a server then asks for a certificate */
} settings;

/* Reads the arguments; exits with 2 when one is wrong. */
void settings_read(settings *s, int argc, char **argv);

/* Makes the context of TLS, http.tls, if there is a certificate. */
int settings_make_tls(settings *s);

/* Opens all listeners and says so in one line each. */
int settings_listen(settings *s);

/* Runs the program: the library's messages go to standard error. The exit status. */
int settings_run(settings *s, int (*app)(void *settings));

#endif
