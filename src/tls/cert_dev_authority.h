/* SPDX-License-Identifier: MIT */

/* The private authority for developing: found in its folder, or made there. */
#ifndef THI_TLS_CERT_DEV_AUTHORITY_H
#define THI_TLS_CERT_DEV_AUTHORITY_H

#include <thrum/cert.h>
#include <thrum/cert_name.h>
#include <thrum/key.h>

#include <stdbool.h>
#include <stdint.h>

/* What ends earlier than this many seconds from now is made again. */
#define THI_CERT_DEV_LEAD ((int64_t)30 * 24 * 3600)

/* Clocks of machines that share files differ: what is made is valid since so many seconds ago. */
#define THI_CERT_DEV_SLACK ((int64_t)3600)

typedef struct thi_cert_dev_authority {
    th_cert *cert;     /* counted */
    th_key *key;       /* private, counted */
    int64_t not_after; /* of cert, seconds since 1970 */
    bool made;         /* by this call: nobody trusts it yet */
} thi_cert_dev_authority;

/*
 * Reads the authority; if `may_make`, it is made when it is not there or near its end.
 * `public_path` gets its certificate alone, `secret_path` the key, too. `host` is what it may speak
 * for beside the usual names; NULL: nothing. 1 when all is well, 0 when something has to be made
 * first; failures are those of th_cert_dev_open().
 */
TH_MUST int thi_cert_dev_authority_open(const char *public_path, const char *secret_path,
                                        const char *host, bool may_make,
                                        thi_cert_dev_authority *authority);

/* Gives key and certificate back; all zero is allowed. */
void thi_cert_dev_authority_close(thi_cert_dev_authority *authority);

/* Whether clients would believe it this name: 1 or 0; -ENOMEM and so on. */
TH_MUST int thi_cert_dev_authority_may(const thi_cert_dev_authority *authority,
                                       const th_cert_alt *name);

/*
 * Reads the private key and the certificates of a file, which others must not be able to read.
 * The failures of files, TH_ECONFIG with advice, TH_ETLS; all with the path as detail.
 */
TH_MUST int thi_cert_dev_load(const char *path, th_key **key, th_cert **cert);

/* Writes a key and a certificate to a file, which is replaced as a whole. */
TH_MUST int thi_cert_dev_save(const char *path, const th_key *key, const th_cert *cert);

#endif
