/* SPDX-License-Identifier: MIT */

/* What is spoken: versions, ciphers, suites, groups; the named profiles and the fixed rules. */
#ifndef THI_TLS_POLICY_H
#define THI_TLS_POLICY_H

#include <thrum/tls.h>

#include <openssl/ssl.h>

/* With all defaults filled in; the texts are static or the caller's. */
typedef struct thi_tls_policy {
    const char *profile;
    int min_version;
    int max_version; /* 0: no limit */
    const char *ciphers;
    const char *suites13;
    const char *groups;
    int security_level; /* of OpenSSL */
} thi_tls_policy;

/* Reads the options. 0; TH_ECONFIG for an unknown profile, -EINVAL for versions, with a detail. */
TH_MUST int thi_tls_policy_read(const th_tls_opts *opts, thi_tls_policy *policy);

/*
 * Applies it, and what is so in every profile (modes, no renegotiation, no compression), to a new
 * SSL_CTX. 0; TH_ETLS with OpenSSL's reason; -ENOMEM.
 */
TH_MUST int thi_tls_policy_apply(const thi_tls_policy *policy, bool dtls, SSL_CTX *ctx);

#endif
