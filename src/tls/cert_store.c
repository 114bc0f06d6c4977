/* SPDX-License-Identifier: MIT */

/*
 * A store of those who are trusted.
 *
 * OpenSSL's own store may be added certificates to while others look something up, but neither
 * directories nor ways of looking things up. So what users add is kept here, in order, under a
 * lock, and OpenSSL's store is made of it when somebody wants to check: that one is never changed
 * again, except by OpenSSL itself, which keeps there what it finds in directories. When something
 * has been added since, the next check makes a new one; those under way keep the old one by its
 * count. That count orders nothing (OpenSSL lowers it relaxed), so it is lowered with the lock:
 * what one thread read is read before another frees it.
 */
#include "tls/cert_store.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "tls/cert.h"
#include "tls/crl.h"
#include "tls/load.h"
#include "tls/ossl.h"
#include "tls/system_trust.h"

#include <thrum/path.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define LIMIT ((size_t)64 << 20)

/* One thing that was added: one of the three is set. */
typedef struct item {
    th_cert *cert;
    th_crl *crl;
    char *directory;
} item;

struct th_cert_store {
    atomic_uint refs;
    pthread_mutex_t lock; /* of what follows; held for no longer than memory takes */
    item *items;
    size_t count;
    X509_STORE *made; /* of the items; NULL: not yet, or items were added since */
};

/* ---- the object ---- */

int th_cert_store_new(th_cert_store **store)
{
    if (!store)
        return thi_err_clear(-EINVAL);
    th_cert_store *made = thi_calloc(1, sizeof *made);
    if (!made)
        return thi_err_clear(-ENOMEM);
    atomic_init(&made->refs, 1);
    pthread_mutex_init(&made->lock, NULL);
    *store = made;
    return 0;
}

th_cert_store *th_cert_store_ref(th_cert_store *store)
{
    atomic_fetch_add_explicit(&store->refs, 1, memory_order_relaxed);
    return store;
}

static void drop_items(item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        th_cert_unref(items[i].cert);
        th_crl_unref(items[i].crl);
        thi_free(items[i].directory);
    }
    thi_free(items);
}

void th_cert_store_unref(th_cert_store *store)
{
    if (!store || atomic_fetch_sub_explicit(&store->refs, 1, memory_order_acq_rel) > 1)
        return;
    drop_items(store->items, store->count);
    X509_STORE_free(store->made);
    pthread_mutex_destroy(&store->lock);
    thi_free(store);
}

/* ---- adding ---- */

/* Items on their way into a store: all of them or none. */
typedef struct batch {
    item *items;
    size_t count;
} batch;

/* Takes what is in the item over, also on failure. */
static int put(batch *b, item one)
{
    item *more = thi_realloc_array(b->items, b->count + 1, sizeof *more);
    if (!more) {
        th_cert_unref(one.cert);
        th_crl_unref(one.crl);
        thi_free(one.directory);
        return thi_err_clear(-ENOMEM);
    }
    b->items = more;
    b->items[b->count++] = one;
    return 0;
}

/* Empties the batch in any case. */
static int add_batch(th_cert_store *store, batch *b)
{
    pthread_mutex_lock(&store->lock);
    item *more = thi_realloc_array(store->items, store->count + b->count + 1, sizeof *more);
    if (more) {
        store->items = more;
        if (b->count > 0)
            memcpy(more + store->count, b->items, b->count * sizeof *more);
        store->count += b->count;
        b->count = 0;
        X509_STORE_free(store->made);
        store->made = NULL;
    }
    pthread_mutex_unlock(&store->lock);
    drop_items(b->items, b->count);
    *b = (batch){ 0 };
    return more ? 0 : thi_err_clear(-ENOMEM);
}

int th_cert_store_add(th_cert_store *store, th_cert *cert)
{
    batch b = { 0 };
    if (!store || !cert)
        return thi_err_clear(-EINVAL);
    int err = put(&b, (item){ .cert = th_cert_ref(cert) });
    return err == 0 ? add_batch(store, &b) : err;
}

int th_cert_store_add_crl(th_cert_store *store, th_crl *crl)
{
    batch b = { 0 };
    if (!store || !crl)
        return thi_err_clear(-EINVAL);
    int err = put(&b, (item){ .crl = th_crl_ref(crl) });
    return err == 0 ? add_batch(store, &b) : err;
}

static int take_cert(void *arg, void *object)
{
    item one = { 0 };
    int err = thi_cert_wrap(object, &one.cert);
    return err == 0 ? put(arg, one) : err;
}

static int take_crl(void *arg, void *object)
{
    item one = { 0 };
    int err = thi_crl_wrap(object, &one.crl);
    return err == 0 ? put(arg, one) : err;
}

static int read_text(th_str data, batch *b)
{
    static const thi_pem_wanted wanted[] = { { &thi_cert_kind, take_cert },
                                             { &thi_crl_kind, take_crl } };
    int found = thi_pem_each_of(wanted, thi_array_len(wanted), data, LIMIT, b);
    return found < 0 ? found : 0;
}

int th_cert_store_add_text(th_cert_store *store, th_str data)
{
    batch b = { 0 };
    if (!store || (!data.ptr && data.len > 0))
        return thi_err_clear(-EINVAL);
    int err = read_text(data, &b);
    if (err < 0) {
        drop_items(b.items, b.count);
        return err;
    }
    int count = (int)b.count;
    err = add_batch(store, &b);
    return err < 0 ? err : count;
}

static int read_file(th_str data, void *arg)
{
    return read_text(data, arg);
}

/* One, or several with colons between them. */
static int put_directories(const char *path, batch *b)
{
    char *copy = thi_strdup_n(path, strlen(path));
    return copy ? put(b, (item){ .directory = copy }) : thi_err_clear(-ENOMEM);
}

static int read_directory(const char *path, batch *b)
{
    struct stat st;
    int err = th_path_stat(path, &st);
    if (err < 0)
        return err;
    if (!S_ISDIR(st.st_mode))
        return thi_err_set(-ENOTDIR, "%s: %s", path, th_strerror(-ENOTDIR));
    return put_directories(path, b);
}

static int add_or_drop(th_cert_store *store, batch *b, int err)
{
    if (err == 0)
        return add_batch(store, b);
    drop_items(b->items, b->count);
    return err;
}

int th_cert_store_add_path(th_cert_store *store, const char *file, const char *directory)
{
    batch b = { 0 };
    if (!store || (!file && !directory))
        return thi_err_clear(-EINVAL);
    int err = file ? thi_load(file, LIMIT, read_file, &b) : 0;
    if (err == 0 && directory)
        err = read_directory(directory, &b);
    return add_or_drop(store, &b, err);
}

int th_cert_store_add_system(th_cert_store *store)
{
    batch b = { 0 };
    if (!store)
        return thi_err_clear(-EINVAL);
    thi_system_trust found = thi_system_trust_find();
    if (!found.file && !found.dir)
        return thi_err_set(-ENOENT, "neither SSL_CERT_FILE, SSL_CERT_DIR, %s nor %s is there",
                           X509_get_default_cert_file(), X509_get_default_cert_dir());
    int err = found.file ? thi_load(found.file, LIMIT, read_file, &b) : 0;
    if (err == 0 && found.dir)
        err = put_directories(found.dir, &b);
    return add_or_drop(store, &b, err);
}

/* ---- OpenSSL's form ---- */

static int fill_directory(X509_STORE *into, const char *path)
{
    X509_LOOKUP *lookup = X509_STORE_add_lookup(into, X509_LOOKUP_hash_dir());
    if (lookup && X509_LOOKUP_add_dir(lookup, path, X509_FILETYPE_PEM) == 1)
        return 0;
    return thi_ossl_fail(TH_ETLS, "%s", path);
}

/* A copy of a list: OpenSSL sorts it when it looks something up. */
static int fill_crl(X509_STORE *into, const th_crl *crl)
{
    X509_CRL *copy = X509_CRL_dup(crl->crl);
    int ok = copy ? X509_STORE_add_crl(into, copy) : 0;
    X509_CRL_free(copy);
    return ok == 1 ? 0 : thi_ossl_fail(-ENOMEM, "a revocation list");
}

static int fill_item(X509_STORE *into, const item *one)
{
    if (one->directory)
        return fill_directory(into, one->directory);
    if (one->crl)
        return fill_crl(into, one->crl);
    return X509_STORE_add_cert(into, one->cert->x509) == 1 ? 0 : thi_ossl_fail(-ENOMEM, "a store");
}

/* With the lock. */
static int fill(const th_cert_store *store, X509_STORE *into)
{
    int err = 0;
    thi_ossl_begin();
    for (size_t i = 0; i < store->count && err == 0; i++)
        err = fill_item(into, &store->items[i]);
    return err;
}

int thi_cert_store_fill(const th_cert_store *store, X509_STORE *into)
{
    th_cert_store *own = (th_cert_store *)(uintptr_t)store; /* for its lock */
    pthread_mutex_lock(&own->lock);
    int err = fill(own, into);
    pthread_mutex_unlock(&own->lock);
    return err;
}

/* With the lock. */
static int make(th_cert_store *store)
{
    thi_ossl_begin();
    X509_STORE *made = X509_STORE_new();
    int err = made ? fill(store, made) : thi_ossl_fail(-ENOMEM, "a store");
    if (err == 0)
        store->made = made;
    else
        X509_STORE_free(made);
    return err;
}

int thi_cert_store_get(th_cert_store *store, X509_STORE **got)
{
    pthread_mutex_lock(&store->lock);
    int err = store->made ? 0 : make(store);
    if (err == 0) {
        X509_STORE_up_ref(store->made);
        *got = store->made;
    }
    pthread_mutex_unlock(&store->lock);
    return err;
}

void thi_cert_store_give_back(th_cert_store *store, X509_STORE *got)
{
    if (!got)
        return;
    pthread_mutex_lock(&store->lock);
    X509_STORE_free(got);
    pthread_mutex_unlock(&store->lock);
}
