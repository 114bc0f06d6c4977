/* SPDX-License-Identifier: MIT */

/* What show and check look at: a file, or the server at HOST:PORT. */
#ifndef THRUM_PROGRAM_CERT_TARGET_H
#define THRUM_PROGRAM_CERT_TARGET_H

#include "cert_things.h"

/* All zero is empty. */
typedef struct cert_target {
    cert_things things; /* of a server: its certificates */
    bool is_server;
    char host[256];       /* of a server, without brackets */
    char connection[200]; /* of a server: version, cipher and so on, in words */
} cert_target;

/* Seconds that a server may take, unless something else is said. */
#define CERT_PATIENCE 10

/* How to look at it. */
typedef struct cert_look {
    const char *name;      /* that a server is asked for; NULL: its host */
    const cert_pass *pass; /* of a file */
    long seconds;          /* that a server may take */
} cert_look;

/*
 * Reads a file, or connects to a server, which may show any certificate. 0; or a failure that has
 * been told.
 */
int cert_target_open(const command *cmd, const char *what, const cert_look *look,
                     cert_target *target);

/* Gives all of it back. */
void cert_target_clear(cert_target *target);

#endif
