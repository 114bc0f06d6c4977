/* SPDX-License-Identifier: MIT */

/* Whom to believe: stores of authorities from files, directories, memory and the system; lists of
 * what they have revoked. */
#ifndef THI_TLS_TRUST_H
#define THI_TLS_TRUST_H

#include <thrum/tls.h>

#include <openssl/ssl.h>
#include <stdbool.h>

typedef struct thi_tls_trust {
    X509_STORE *store;           /* owned; NULL: nobody */
    STACK_OF(X509_NAME) * names; /* owned; subjects of the authorities from files and memory */
    unsigned char digest[32];    /* of all that was given: equal for who believes the same */
    unsigned long flags;         /* X509_V_FLAG_* for the verification */
} thi_tls_trust;

/* Whether the options name anybody. */
bool thi_tls_trust_given(const th_tls_trust *opts);

/*
 * Reads what the options name; blocks. 0; -errno of a file, TH_ETLS for one that holds no
 * certificates or something else besides, with the path as detail; -ENOMEM. On failure there is
 * nothing.
 */
TH_MUST int thi_tls_trust_load(const th_tls_trust *opts, thi_tls_trust *trust);

/*
 * The system's authorities. They are one store for the whole process, made anew when SSL_CERT_FILE,
 * SSL_CERT_DIR or the file they name have changed. Blocks. 0 and a reference; -ENOMEM.
 */
TH_MUST int thi_tls_trust_system(X509_STORE **store);

/* Reads the subjects in PEM files, ended by NULL; blocks. As thi_tls_trust_load(). */
TH_MUST int thi_tls_trust_names(const char *const *files, STACK_OF(X509_NAME) * *names);

void thi_tls_trust_deinit(thi_tls_trust *trust);

#endif
