/* SPDX-License-Identifier: MIT */

/*
 * The private authority for developing: found in its folder, or made there.
 *
 * One file has its key and its certificate, so that they are replaced together; from it the file
 * with the certificate alone is copied, and copied again whenever the two differ. Who makes
 * something holds the folder's lock, see cert_dev.c, who reads does not.
 *
 * Its name constraints (RFC 5280 section 4.2.1.10) hold it to names that mean nothing on the
 * Internet: names that are reserved for this machine and for private networks (RFC 6761, RFC 6762,
 * RFC 8375, and "internal", which ICANN has set aside), private addresses (RFC 1918, RFC 4193) and
 * those of links, and the host name. Its extended key usage holds it to TLS.
 */
#include "tls/cert_dev_authority.h"

#include "base/error.h"
#include "tls/cert_time.h"
#include "tls/load.h"

#include <thrum/cert_issue.h>
#include <thrum/cert_store.h>
#include <thrum/file.h>
#include <thrum/path.h>

#include <errno.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <string.h>

#define YEARS_10 ((int64_t)3652 * 24 * 3600)
#define FILE_MAX ((size_t)1 << 20) /* no key with a certificate is longer */

/* In the form of OpenSSL's configuration. */
#define PERMITTED                                                                                  \
    "permitted;DNS:localhost,permitted;DNS:test,permitted;DNS:local,permitted;DNS:internal,"       \
    "permitted;DNS:home.arpa,permitted;IP:127.0.0.0/255.0.0.0,permitted;IP:10.0.0.0/255.0.0.0,"    \
    "permitted;IP:172.16.0.0/255.240.0.0,permitted;IP:192.168.0.0/255.255.0.0,"                    \
    "permitted;IP:169.254.0.0/255.255.0.0,"                                                        \
    "permitted;IP:0:0:0:0:0:0:0:1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff,"                        \
    "permitted;IP:fc00:0:0:0:0:0:0:0/fe00:0:0:0:0:0:0:0,"                                          \
    "permitted;IP:fe80:0:0:0:0:0:0:0/ffc0:0:0:0:0:0:0:0"

/* ---- files with a key ---- */

/* A key that others can read is no secret any more, whoever has made it so. */
static int check_mode(const char *path)
{
    struct stat st;
    int err = th_path_stat(path, &st);
    if (err < 0)
        return err;
    if ((st.st_mode & 077) == 0)
        return 0;
    return thi_err_set(TH_ECONFIG,
                       "%s can be read or changed by others than its owner, so its key may be "
                       "known: remove it, and a new one is made; or, if nobody had access, "
                       "`chmod 600` it",
                       path);
}

typedef struct pair {
    th_key *key;
    th_cert *cert;
} pair;

/* Both out of one reading: the file may be replaced at any time. */
static int parse(th_str content, void *arg)
{
    pair *found = arg;
    int err = th_key_parse(content, NULL, &found->key);
    if (err == 0)
        err = th_cert_parse(content, &found->cert);
    if (err == 0 && th_cert_has_key(found->cert, found->key) != 1)
        err = thi_err_set(TH_ETLS, "the key in it is not the one of the certificate in it");
    /* Encrypted, or too long: not what it should be either. */
    return err == -EACCES || err == TH_ELIMIT ? thi_err_set(TH_ETLS, "%s", th_err_detail()) : err;
}

int thi_cert_dev_load(const char *path, th_key **key, th_cert **cert)
{
    pair found = { .key = NULL };
    int err = check_mode(path);
    if (err == 0)
        err = thi_load(path, FILE_MAX, parse, &found);
    if (err < 0) {
        th_key_unref(found.key);
        th_cert_unref(found.cert);
        return err == TH_ELIMIT ? thi_err_set(TH_ETLS, "%s", th_err_detail()) : err;
    }
    *key = found.key;
    *cert = found.cert;
    return 0;
}

int thi_cert_dev_save(const char *path, const th_key *key, const th_cert *cert)
{
    th_arena arena;
    th_str secret = { NULL, 0 };
    th_str open = { NULL, 0 };
    th_arena_init(&arena, NULL, 0, 0);
    int err = th_key_pem(key, NULL, &arena, &secret);
    if (err == 0)
        err = th_cert_pem(cert, &arena, &open);
    th_str pem = { NULL, secret.len + open.len };
    if (err == 0) {
        pem.ptr = th_arena_printf(&arena, "%.*s%.*s", TH_STR_ARG(secret), TH_STR_ARG(open));
        err = pem.ptr ? 0 : thi_err_clear(-ENOMEM);
    }
    if (err == 0)
        err = th_file_save(path, pem.ptr, pem.len, 0600);
    if (secret.ptr)
        explicit_bzero((char *)(uintptr_t)secret.ptr, secret.len);
    if (pem.ptr)
        explicit_bzero((char *)(uintptr_t)pem.ptr, secret.len);
    th_arena_deinit(&arena);
    return err;
}

/* ---- making one ---- */

static int make(const char *host, thi_cert_dev_authority *a)
{
    char permitted[sizeof PERMITTED + 300];
    char name[65]; /* of ub-common-name characters, RFC 5280 appendix A */
    snprintf(permitted, sizeof permitted, "%s%s%s", PERMITTED, host ? ",permitted;DNS:" : "",
             host ? host : "");
    snprintf(name, sizeof name, "Thrum development authority%s%s", host ? " of " : "",
             host ? host : "");
    const th_cert_name_part parts[] = { { .type = "O", .value = TH_STR("Thrum development") },
                                        { .type = "CN", .value = th_str_of(name) } };
    const th_cert_ext constraints = { "nameConstraints", th_str_of(permitted), 1 };
    const int64_t now = thi_cert_now();
    const th_cert_opts opts = {
        .subject = { parts, 2 },
        .not_before = now - THI_CERT_DEV_SLACK,
        .not_after = now + YEARS_10,
        .ca = 1,
        .path_limit = 1,
        .extended_usage = "serverAuth,clientAuth",
        .exts = &constraints,
        .exts_count = 1,
    };
    int err = th_key_new("ec:P-256", &a->key);
    if (err == 0)
        err = th_cert_self_sign(a->key, &opts, &a->cert);
    a->not_after = opts.not_after;
    a->made = err == 0;
    return err;
}

static int load(const char *path, thi_cert_dev_authority *a)
{
    th_arena arena;
    th_cert_info info;
    int err = thi_cert_dev_load(path, &a->key, &a->cert);
    if (err < 0)
        return err;
    th_arena_init(&arena, NULL, 0, 0);
    err = th_cert_get_info(a->cert, &arena, &info);
    if (err == 0 && info.ca != 1)
        err = thi_err_set(TH_ETLS, "%s: the certificate in it is no authority's", path);
    if (err == 0)
        a->not_after = info.not_after;
    th_arena_deinit(&arena);
    return err;
}

static bool is_fresh(const thi_cert_dev_authority *a)
{
    return a->not_after >= thi_cert_now() + THI_CERT_DEV_LEAD;
}

/* The file for clients, if it is not what it should be. 1 when it is; 0 when not. */
static int publish(const char *path, const th_cert *cert, bool may_make)
{
    th_arena arena;
    th_str pem;
    th_str present;
    int good = 1;
    th_arena_init(&arena, NULL, 0, 0);
    int err = th_cert_pem(cert, &arena, &pem);
    if (err == 0) {
        err = th_file_load(path, FILE_MAX, &arena, &present);
        if (err == -ENOENT || err == TH_ELIMIT || (err == 0 && !th_str_eq(pem, present))) {
            good = may_make;
            err = may_make ? th_file_save(path, pem.ptr, pem.len, 0644) : 0;
        }
    }
    th_arena_deinit(&arena);
    return err < 0 ? err : good;
}

int thi_cert_dev_authority_open(const char *public_path, const char *secret_path, const char *host,
                                bool may_make, thi_cert_dev_authority *authority)
{
    thi_cert_dev_authority a = { .cert = NULL };
    int err = load(secret_path, &a);
    bool good = err == 0 && is_fresh(&a);
    if ((err == 0 || err == -ENOENT) && !good && may_make) {
        thi_cert_dev_authority_close(&a);
        err = make(host, &a);
        if (err == 0)
            err = thi_cert_dev_save(secret_path, a.key, a.cert);
        good = err == 0;
    }
    if (good)
        err = publish(public_path, a.cert, may_make);
    else if (err == -ENOENT)
        err = 0;
    if (err == 1)
        *authority = a;
    else
        thi_cert_dev_authority_close(&a);
    return err;
}

void thi_cert_dev_authority_close(thi_cert_dev_authority *authority)
{
    th_key_unref(authority->key);
    th_cert_unref(authority->cert);
    *authority = (thi_cert_dev_authority){ .cert = NULL };
}

/* ---- what it may speak for ---- */

/* Tried with a certificate that nobody gets: of all readers of constraints, OpenSSL matters most.
 */
int thi_cert_dev_authority_may(const thi_cert_dev_authority *authority, const th_cert_alt *name)
{
    th_cert *trial = NULL;
    th_cert_store *store = NULL;
    th_cert_verdict verdict = { .code = X509_V_OK };
    const th_cert_opts opts = { .alts = name, .alts_count = 1 };
    th_arena arena;
    th_arena_init(&arena, NULL, 0, 0);
    int err = th_cert_store_new(&store);
    if (err == 0)
        err = th_cert_store_add(store, authority->cert);
    if (err == 0)
        err = th_cert_issue(authority->cert, authority->key, authority->key, &opts, &trial);
    if (err == 0)
        err = th_cert_check(store, trial, &(th_cert_check_opts){ .purpose = "server" }, &arena,
                            &verdict);
    th_certs_clear(&verdict.chain);
    th_cert_unref(trial);
    th_cert_store_unref(store);
    th_arena_deinit(&arena);
    if (err == TH_ETLS && verdict.code == X509_V_ERR_PERMITTED_VIOLATION)
        return 0;
    return err == 0 ? 1 : err;
}
