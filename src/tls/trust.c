/* SPDX-License-Identifier: MIT */

/*
 * Whom to believe.
 *
 * What is given in files and memory is read when the context is built, and all of it or nothing is
 * taken. Directories are OpenSSL's: a certificate is looked for by the hash of its name when a
 * chain needs it, a short read of a small file on the worker, and then kept.
 *
 * The system's authorities are the same for all contexts: one store, shared. Where the system has a
 * directory with names by hash (Debian), nothing is read beforehand; where it has a bundle only,
 * the bundle is read once. The environment and the bundle's time are part of the key under which
 * the store is kept, so that an updated bundle is seen by the next context.
 */
#include "tls/trust.h"

#include "base/alloc.h"
#include "sys/sys.h"
#include "tls/cert_store.h"
#include "tls/ossl.h"
#include "tls/stacks.h"
#include "tls/system_trust.h"
#include "tls/whole.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- certificates and lists into a store ---- */

/* Mixes something that is believed into the digest. */
static int mix(thi_tls_trust *trust, const void *bytes, size_t len)
{
    unsigned char both[2 * sizeof trust->digest];
    memcpy(both, trust->digest, sizeof trust->digest);
    if (EVP_Digest(bytes, len, both + sizeof trust->digest, NULL, EVP_sha256(), NULL) != 1 ||
        EVP_Digest(both, sizeof both, trust->digest, NULL, EVP_sha256(), NULL) != 1)
        return thi_ossl_fail(TH_ETLS, "SHA-256");
    return 0;
}

/* And all certificates that have been read. */
static int mix_certs(thi_tls_trust *trust)
{
    unsigned char one[32];
    unsigned len;
    int err = 0;
    STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(trust->store);
    for (int i = 0; i < sk_X509_OBJECT_num(all) && err == 0; i++) {
        const X509 *cert = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));
        if (cert && X509_digest(cert, EVP_sha256(), one, &len) != 1)
            err = thi_ossl_fail(TH_ETLS, "SHA-256");
        else if (cert)
            err = mix(trust, one, len);
    }
    return err;
}

static int add_certs(thi_tls_trust *trust, th_str text, const char *what)
{
    STACK_OF(X509) * certs;
    int err = thi_stack_certs(text, what, &certs);
    if (err < 0)
        return err;
    thi_ossl_begin();
    bool good = true;
    for (int i = 0; good && i < sk_X509_num(certs); i++) {
        X509_NAME *name = X509_NAME_dup(X509_get_subject_name(sk_X509_value(certs, i)));
        good = name && X509_STORE_add_cert(trust->store, sk_X509_value(certs, i)) == 1;
        if (!good || sk_X509_NAME_push(trust->names, name) <= 0) {
            X509_NAME_free(name);
            good = false;
        }
    }
    sk_X509_pop_free(certs, X509_free);
    return good ? 0 : thi_ossl_fail(TH_ETLS, "%s", what);
}

static int add_crls(thi_tls_trust *trust, th_str text, const char *what)
{
    STACK_OF(X509_CRL) * crls;
    int err = thi_stack_crls(text, what, &crls);
    if (err < 0)
        return err;
    thi_ossl_begin();
    bool good = true;
    for (int i = 0; good && i < sk_X509_CRL_num(crls); i++)
        good = X509_STORE_add_crl(trust->store, sk_X509_CRL_value(crls, i)) == 1;
    sk_X509_CRL_pop_free(crls, X509_CRL_free);
    return good ? 0 : thi_ossl_fail(TH_ETLS, "%s", what);
}

static int add_file(thi_tls_trust *trust, const char *path,
                    int (*add)(thi_tls_trust *, th_str, const char *))
{
    thi_whole file;
    int err = thi_whole_read_any(path, THI_STACK_LIMIT, &file);
    if (err < 0)
        return err;
    err = add(trust, thi_whole_str(&file), path);
    thi_whole_free(&file);
    return err;
}

static int add_files(thi_tls_trust *trust, const char *const *paths,
                     int (*add)(thi_tls_trust *, th_str, const char *))
{
    int err = 0;
    for (size_t i = 0; paths && paths[i] && err == 0; i++)
        err = add_file(trust, paths[i], add);
    return err;
}

/* Those of a list with colons; what is not there is passed over. */
static int add_dirs(X509_STORE *store, const char *paths)
{
    thi_ossl_begin();
    X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_hash_dir());
    if (!lookup || X509_LOOKUP_add_dir(lookup, paths, X509_FILETYPE_PEM) != 1)
        return thi_ossl_fail(TH_ETLS, "%s", paths);
    return 0;
}

static int add_dir(X509_STORE *store, const char *path)
{
    struct statx info;
    int err = thi_sys_statx(AT_FDCWD, path, 0, &info);
    if (err == 0 && !S_ISDIR(info.stx_mode))
        err = -ENOTDIR;
    if (err < 0)
        return thi_err_set(err, "%s: %s", path, th_strerror(err));
    return add_dirs(store, path);
}

/* Into a store that is empty, so that what is in it afterwards is all from there. */
static int add_store(thi_tls_trust *trust, const th_cert_store *from)
{
    int err = thi_cert_store_fill(from, trust->store);
    if (err < 0)
        return err;
    STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(trust->store);
    for (int i = 0; i < sk_X509_OBJECT_num(all); i++) {
        const X509 *cert = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i));
        X509_NAME *name = cert ? X509_NAME_dup(X509_get_subject_name(cert)) : NULL;
        if (cert && (!name || sk_X509_NAME_push(trust->names, name) <= 0)) {
            X509_NAME_free(name);
            return thi_err_clear(-ENOMEM);
        }
    }
    return 0;
}

/* ---- the system's ---- */

/* What the system's store is made of, as a text to compare; NULL: no memory. */
static char *key_of(const thi_system_trust *paths)
{
    static const char format[] = "%s\n%s\n%lld.%09u %llu";
    const char *file = paths->file ? paths->file : "";
    const char *dir = paths->dir ? paths->dir : "";
    struct statx info;
    if (!paths->file || thi_sys_statx(AT_FDCWD, paths->file, 0, &info) < 0)
        memset(&info, 0, sizeof info);
    size_t size = strlen(file) + strlen(dir) + 80;
    char *key = thi_alloc(size);
    if (key)
        snprintf(key, size, format, file, dir, (long long)info.stx_mtime.tv_sec,
                 info.stx_mtime.tv_nsec, (unsigned long long)info.stx_size);
    return key;
}

/* Into a store; nobody is told the names of these authorities. */
static int add_system(X509_STORE *store, const thi_system_trust *paths)
{
    thi_tls_trust into = { .store = store, .names = sk_X509_NAME_new_null() };
    int err = into.names ? 0 : thi_err_clear(-ENOMEM);
    if (err == 0 && paths->file)
        err = add_file(&into, paths->file, add_certs);
    if (err == 0 && paths->dir)
        err = add_dirs(store, paths->dir);
    sk_X509_NAME_pop_free(into.names, X509_NAME_free);
    return err;
}

/* The store that is kept, and of what it was made. */
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static X509_STORE *kept;
static char *kept_key;

/* With the lock. The key is taken on success. */
static int renew_kept(const thi_system_trust *paths, char *key)
{
    X509_STORE *loaded = X509_STORE_new();
    int err = loaded ? add_system(loaded, paths) : thi_err_clear(-ENOMEM);
    if (err < 0) {
        X509_STORE_free(loaded);
        return err;
    }
    X509_STORE_free(kept);
    thi_free(kept_key);
    kept = loaded;
    kept_key = key;
    return 0;
}

int thi_tls_trust_system(X509_STORE **store)
{
    thi_system_trust paths = thi_system_trust_find();
    char *key = key_of(&paths);
    int err = 0;
    if (!key)
        return thi_err_clear(-ENOMEM);
    pthread_mutex_lock(&kept_lock);
    if (!kept || strcmp(key, kept_key) != 0)
        err = renew_kept(&paths, key);
    if (err == 0) {
        X509_STORE_up_ref(kept);
        *store = kept;
    }
    if (key != kept_key)
        thi_free(key);
    pthread_mutex_unlock(&kept_lock);
    return err;
}

/* ---- what options name ---- */

bool thi_tls_trust_given(const th_tls_trust *opts)
{
    return opts->files || opts->dirs || opts->memory.len > 0 || opts->store || opts->system;
}

static bool has_crls(const th_tls_trust *opts)
{
    return (opts->crl_files && opts->crl_files[0]) || opts->crl_memory.len > 0;
}

static unsigned long flags_of(const th_tls_trust *opts)
{
    unsigned long flags = opts->partial ? X509_V_FLAG_PARTIAL_CHAIN : 0;
    if (opts->crl_check == TH_TLS_CRL_CHAIN)
        return flags | X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
    if (opts->crl_check == TH_TLS_CRL_LEAF || has_crls(opts))
        return flags | X509_V_FLAG_CRL_CHECK;
    return flags;
}

static int fill(thi_tls_trust *trust, const th_tls_trust *opts)
{
    int err = opts->store ? add_store(trust, opts->store) : 0;
    if (err == 0)
        err = add_files(trust, opts->files, add_certs);
    if (err == 0 && opts->memory.len > 0)
        err = add_certs(trust, opts->memory, "trusted certificates in memory");
    for (size_t i = 0; opts->dirs && opts->dirs[i] && err == 0; i++) {
        err = add_dir(trust->store, opts->dirs[i]);
        if (err == 0)
            err = mix(trust, opts->dirs[i], strlen(opts->dirs[i]));
    }
    if (err == 0 && opts->system) {
        thi_system_trust paths = thi_system_trust_find();
        err = add_system(trust->store, &paths);
    }
    if (err == 0 && opts->system)
        err = mix(trust, "system", strlen("system"));
    if (err == 0)
        err = add_files(trust, opts->crl_files, add_crls);
    if (err == 0 && opts->crl_memory.len > 0)
        err = add_crls(trust, opts->crl_memory, "revocation lists in memory");
    return err == 0 ? mix_certs(trust) : err;
}

int thi_tls_trust_load(const th_tls_trust *opts, thi_tls_trust *trust)
{
    thi_tls_trust loaded = { .store = X509_STORE_new(),
                             .names = sk_X509_NAME_new_null(),
                             .flags = flags_of(opts) };
    int err = loaded.store && loaded.names ? 0 : thi_err_clear(-ENOMEM);
    if (err == 0)
        err = fill(&loaded, opts);
    if (err < 0)
        thi_tls_trust_deinit(&loaded);
    else
        *trust = loaded;
    return err;
}

int thi_tls_trust_names(const char *const *files, STACK_OF(X509_NAME) * *names)
{
    thi_tls_trust read = { .store = X509_STORE_new(), .names = sk_X509_NAME_new_null() };
    int err =
        read.store && read.names ? add_files(&read, files, add_certs) : thi_err_clear(-ENOMEM);
    if (err == 0) {
        *names = read.names;
        read.names = NULL;
    }
    thi_tls_trust_deinit(&read);
    return err;
}

void thi_tls_trust_deinit(thi_tls_trust *trust)
{
    X509_STORE_free(trust->store);
    sk_X509_NAME_pop_free(trust->names, X509_NAME_free);
    *trust = (thi_tls_trust){ 0 };
}
