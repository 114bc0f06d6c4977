/* SPDX-License-Identifier: MIT */

/* What a file of certificates has in it, whatever its form is. */
#ifndef THRUM_PROGRAM_CERT_THINGS_H
#define THRUM_PROGRAM_CERT_THINGS_H

#include "cert_files.h"

#include <thrum.h>

/* All zero is empty. */
typedef struct cert_things {
    th_certs certs;           /* in order */
    th_key *key;              /* private or public; NULL: none */
    bool key_is_locked;       /* there is a private key, which is encrypted, and no pass phrase */
    th_cert_request *request; /* NULL: none */
    th_crl *crl;              /* NULL: none */
    bool is_pkcs12;
} cert_things;

/*
 * Reads a file: PEM with anything in it, or DER of one thing, or PKCS#12. A locked key is no
 * failure. False when it has told what is wrong: nothing is in it, or something is broken.
 */
bool cert_things_load(const command *cmd, const char *path, const cert_pass *pass,
                      cert_things *things);

/* Gives all of it back. */
void cert_things_clear(cert_things *things);

#endif
