/* SPDX-License-Identifier: MIT */

/*
 * What is spoken: the profiles of Mozilla's "Server Side TLS" (version 5.7), and the fixed rules.
 *
 * Three things differ from the lists there. No profile goes below TLS 1.2. Ciphers without forward
 * secrecy are in none, not even `old`. And those with finite-field Diffie-Hellman are left out:
 * whoever offers nothing else makes the server compute for a few bytes (D(HE)at, CVE-2002-20001),
 * and clients that know TLS 1.2 but no elliptic curves have died out.
 *
 * A server takes the first cipher of its own list that the client has, in every profile: what a
 * client puts first is often the longest key, not the wisest choice, and with `old` it may be CBC.
 * Only who begins with ChaCha20, as machines without instructions for AES do, gets that.
 *
 * What the machine's openssl.cnf says about security levels is overridden: the same options mean
 * the same on every host.
 *
 * Where somebody names ciphers himself, those of the key exchange by RSA are taken out of what he
 * names: there the private key decrypts, which none does that is used elsewhere (signer.h), and who
 * gets hold of it reads what was recorded before.
 */
#include "tls/policy.h"

#include "base/alloc.h"
#include "tls/ossl.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

#define AEAD                                                                                       \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                   \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

#define CBC                                                                                        \
    "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:"                                           \
    "ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:"                                           \
    "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:"                                                 \
    "ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA"

/* OpenSSL's own, but for SHA-1, SHA-224 and DSA. */
#define SIGNATURES                                                                                 \
    "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:ed448:"                                        \
    "rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:"                                    \
    "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"                                 \
    "RSA+SHA256:RSA+SHA384:RSA+SHA512"

#define GROUPS "X25519:P-256:P-384"

static const thi_tls_policy profiles[] = {
    { "intermediate", TH_TLS_1_2, 0, AEAD, SUITES, GROUPS, 2 },
    { "modern", TH_TLS_1_3, 0, AEAD, SUITES, GROUPS, 2 },
    { "old", TH_TLS_1_2, 0, AEAD ":" CBC, SUITES, GROUPS ":P-521", 1 },
};

static int read_profile(const char *name, thi_tls_policy *policy)
{
    *policy = profiles[0];
    for (size_t i = 0; name && i < sizeof profiles / sizeof profiles[0]; i++) {
        if (strcmp(profiles[i].profile, name) != 0)
            continue;
        *policy = profiles[i];
        return 0;
    }
    if (name)
        return thi_err_set(TH_ECONFIG, "profile '%.40s' is none of intermediate, modern, old",
                           name);
    return 0;
}

static bool is_version(int version)
{
    return version == 0 || version == TH_TLS_1_2 || version == TH_TLS_1_3;
}

int thi_tls_policy_read(const th_tls_opts *opts, thi_tls_policy *policy)
{
    thi_tls_policy read;
    int err = read_profile(opts->profile, &read);
    if (err < 0)
        return err;
    if (!is_version(opts->min_version) || !is_version(opts->max_version))
        return thi_err_set(-EINVAL, "a version is neither TLS 1.2 nor TLS 1.3");
    read.min_version = opts->min_version ? opts->min_version : read.min_version;
    read.max_version = opts->max_version;
    if (read.max_version != 0 && read.max_version < read.min_version)
        return thi_err_set(-EINVAL, "the maximum version is below the minimum");
    read.ciphers = opts->ciphers ? opts->ciphers : read.ciphers;
    read.suites13 = opts->suites13 ? opts->suites13 : read.suites13;
    read.groups = opts->groups ? opts->groups : read.groups;
    *policy = read;
    return 0;
}

/*
 * SSL_CTX_set_cipher_list() is content with a list that leaves the suites of 1.3 alone, which it
 * does not touch: that it names no cipher of 1.2 is found out by looking.
 */
static bool has_cipher12(SSL_CTX *ctx)
{
    STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(ctx);
    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++)
        if (strcmp(SSL_CIPHER_get_version(sk_SSL_CIPHER_value(ciphers, i)), "TLSv1.3") != 0)
            return true;
    return false;
}

static int set_ciphers(const thi_tls_policy *policy, SSL_CTX *ctx)
{
    static const char never[] = ":!kRSA";
    size_t len = strlen(policy->ciphers);
    char *list = thi_alloc(len + sizeof never);
    if (!list)
        return thi_err_clear(-ENOMEM);
    memcpy(list, policy->ciphers, len);
    memcpy(list + len, never, sizeof never);
    int good = SSL_CTX_set_cipher_list(ctx, list);
    thi_free(list);
    if (good != 1)
        return thi_ossl_fail(TH_ETLS, "ciphers '%.80s'", policy->ciphers);
    return has_cipher12(ctx)
               ? 0
               : thi_err_set(TH_ETLS, "ciphers '%.80s': no cipher match", policy->ciphers);
}

static void set_fixed(SSL_CTX *ctx)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_clear_options(ctx, SSL_OP_LEGACY_SERVER_CONNECT | SSL_OP_IGNORE_UNEXPECTED_EOF |
                                   SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_ENABLE_PARTIAL_WRITE);
    /* What is sent is what the file has: nothing is searched for in each handshake. */
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
    /* Servers give tickets instead, which need no lock; clients' sessions are kept per target. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
}

/* Of datagrams there is 1.2 only. */
static int set_versions(const thi_tls_policy *policy, bool dtls, SSL_CTX *ctx)
{
    if (dtls && policy->min_version > TH_TLS_1_2)
        return thi_err_set(-EINVAL, "DTLS is 1.2, which the minimum version does not allow");
    int least = dtls ? DTLS1_2_VERSION : policy->min_version;
    int most = dtls ? DTLS1_2_VERSION : policy->max_version;
    if (SSL_CTX_set_min_proto_version(ctx, least) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, most) != 1)
        return thi_ossl_fail(TH_ETLS, "versions");
    return 0;
}

int thi_tls_policy_apply(const thi_tls_policy *policy, bool dtls, SSL_CTX *ctx)
{
    thi_ossl_begin();
    set_fixed(ctx);
    SSL_CTX_set_security_level(ctx, policy->security_level);
    int err = set_versions(policy, dtls, ctx);
    if (err < 0)
        return err;
    if (SSL_CTX_set_ciphersuites(ctx, policy->suites13) != 1)
        return thi_ossl_fail(TH_ETLS, "suites '%.80s'", policy->suites13);
    err = set_ciphers(policy, ctx);
    if (err < 0)
        return err;
    if (SSL_CTX_set1_sigalgs_list(ctx, SIGNATURES) != 1)
        return thi_ossl_fail(TH_ETLS, "signatures");
    if (SSL_CTX_set1_groups_list(ctx, policy->groups) != 1)
        return thi_ossl_fail(TH_ETLS, "groups '%.80s'", policy->groups);
    return 0;
}
