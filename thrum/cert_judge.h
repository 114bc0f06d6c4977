/* SPDX-License-Identifier: MIT */

/* What is wrong with certificates, as far as they say so themselves. */
#ifndef THRUM_PROGRAM_CERT_JUDGE_H
#define THRUM_PROGRAM_CERT_JUDGE_H

#include "cert_files.h"

#include <thrum.h>

typedef enum cert_grade { CERT_OK, CERT_WARNING, CERT_CRITICAL } cert_grade;

/* Called for each thing that is wrong, with a clause in words. */
typedef void cert_finding_fn(void *arg, cert_grade grade, const char *words);

/* By what a certificate is judged. */
typedef struct cert_measure {
    int64_t warning;      /* seconds that it must go on being valid, else a warning */
    int64_t critical;     /* seconds, else critical */
    const char *name;     /* that it must be for; NULL: any */
    const char *usage;    /* "server", "client"; NULL: any */
    th_cert_store *store; /* whom to believe; NULL: it is not looked at */
    cert_finding_fn *tell;
    void *arg;
} cert_measure;

/* "ok", "warning", "critical". */
const char *cert_grade_name(cert_grade grade);

/* Judges certificates as a peer would get them, the leaf first; the worst grade. */
cert_grade cert_judge(const cert_measure *measure, const th_certs *certs);

/* Whether a key is the one of the certificate; tells when not. */
cert_grade cert_judge_key(const cert_measure *measure, const th_cert *cert, const th_key *key,
                          const char *path);

/* A store of a file, or of the system for NULL; false when it has told what is wrong. */
bool cert_open_store(const command *cmd, const char *path, th_cert_store **store);

#endif
