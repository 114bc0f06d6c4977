/* SPDX-License-Identifier: MIT */

/*
 * A response of OCSP in a file.
 *
 * Somebody else, a job of cron's, fetches it from the responder and replaces the file: to fetch it
 * here would let every server depend on the responder, at a time of the responder's choice. The
 * file is looked at in the background (renewal.h), while there are handshakes that want it. A new
 * one that is no good is told in the log, and the old one stays as long as it is valid.
 *
 * A response is shown to clients while it is valid by its own word, and no moment longer: a client
 * that gets none may go on, one that gets a stale one may not. That it nears its end, a quarter of
 * its time before that, is told in the log, once; so is the end.
 */
#include "tls/ocsp_file.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "sys/sys.h"
#include "tls/ocsp.h"
#include "tls/renewal.h"
#include "tls/whole.h"

#include <thrum/time.h>

#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <string.h>

/* What was told in the log about the response that is there. */
typedef enum told { TOLD_NOTHING, TOLD_NEAR, TOLD_OVER } told;

struct thi_ocsp_file {
    atomic_uint refs;
    char *path;
    X509 *cert;
    X509 *issuer; /* or NULL */
    thi_renewal renewal;
    thi_stamp stamp; /* these two are those of whoever looks, one at a time */
    told told;
    pthread_mutex_t lock; /* of these */
    thi_whole whole;
    int64_t since; /* seconds of Unix time */
    int64_t until;
};

int64_t thi_ocsp_file_look_after = 10 * TH_SECOND;

/* ---- reading ---- */

static bool is_taken(thi_ocsp_verdict verdict)
{
    return verdict == THI_OCSP_GOOD || verdict == THI_OCSP_EARLY || verdict == THI_OCSP_STALE ||
           verdict == THI_OCSP_REVOKED;
}

static void swap_in(thi_ocsp_file *file, thi_whole *whole, const thi_ocsp_findings *f)
{
    pthread_mutex_lock(&file->lock);
    thi_whole former = file->whole;
    file->whole = *whole;
    file->since = f->since;
    file->until = f->until;
    pthread_mutex_unlock(&file->lock);
    *whole = former;
    file->told = TOLD_NOTHING;
}

/* A revocation is no reason to show nothing: clients have a right to know. */
static void tell_of(const thi_ocsp_file *file, const thi_ocsp_findings *f)
{
    char words[160];
    if (f->verdict != THI_OCSP_GOOD)
        thi_log(f->verdict == THI_OCSP_REVOKED ? TH_LOG_ERROR : TH_LOG_WARNING,
                "the OCSP response in %s %s", file->path, thi_ocsp_words(f, words, sizeof words));
    else if (f->unsigned_)
        thi_log(TH_LOG_WARNING,
                "the signature of the OCSP response in %s is not verified: the certificate of the "
                "issuer is not in the chain",
                file->path);
}

static int take(thi_ocsp_file *file, thi_whole *whole)
{
    char words[160];
    thi_ocsp_findings f;
    th_str der = th_str_make(whole->data, whole->size);
    thi_ocsp_judge(der, file->cert, file->issuer, thi_sys_wall() / TH_SECOND, &f);
    if (!is_taken(f.verdict))
        return thi_err_set(f.verdict == THI_OCSP_UNJUDGED ? -ENOMEM : TH_ETLS,
                           "the OCSP response in %s %s", file->path,
                           thi_ocsp_words(&f, words, sizeof words));
    tell_of(file, &f);
    swap_in(file, whole, &f);
    return 0;
}

static int read_file(thi_ocsp_file *file)
{
    thi_whole whole;
    int err = thi_whole_read(file->path, THI_OCSP_MAX, 0, &whole);
    if (err < 0)
        return err;
    file->stamp = whole.stamp;
    err = take(file, &whole);
    thi_whole_free(&whole);
    return err;
}

/* ---- looking again ---- */

static thi_ocsp_file *file_of(thi_renewal *renewal)
{
    return thi_container_of(renewal, thi_ocsp_file, renewal);
}

/* `since` and `until` change only in a look, of which this is a part. */
static void tell_of_end(thi_ocsp_file *file)
{
    int64_t left = file->until - thi_sys_wall() / TH_SECOND;
    if (left <= 0 && file->told < TOLD_OVER) {
        file->told = TOLD_OVER;
        thi_log(TH_LOG_WARNING, "the time of the OCSP response in %s is up: none is shown any more",
                file->path);
    } else if (left > 0 && left < (file->until - file->since) / 4 && file->told < TOLD_NEAR) {
        file->told = TOLD_NEAR;
        thi_log(TH_LOG_WARNING, "the OCSP response in %s is valid for %lld more minutes only",
                file->path, (long long)(left / 60));
    }
}

static void look(thi_renewal *renewal)
{
    thi_ocsp_file *file = file_of(renewal);
    int err = thi_whole_changed(file->path, &file->stamp) ? read_file(file) : 0;
    if (err < 0)
        thi_log(TH_LOG_WARNING, "the OCSP response stays as it is: %s",
                *th_err_detail() ? th_err_detail() : th_strerror(err));
    tell_of_end(file);
}

static void hold(thi_renewal *renewal)
{
    (void)thi_ocsp_file_ref(file_of(renewal));
}

static void release(thi_renewal *renewal)
{
    thi_ocsp_file_unref(file_of(renewal));
}

static const thi_renewal_ops ops = {
    .look = look, .hold = hold, .release = release, .pool = "files"
};

/* ---- the object ---- */

int thi_ocsp_file_new(const char *path, X509 *cert, X509 *issuer, thi_ocsp_file **out)
{
    thi_ocsp_file *file = thi_calloc(1, sizeof *file);
    if (!file)
        return thi_err_clear(-ENOMEM);
    atomic_init(&file->refs, 1);
    pthread_mutex_init(&file->lock, NULL);
    thi_renewal_init(&file->renewal, thi_ocsp_file_look_after, &ops);
    X509_up_ref(cert);
    file->cert = cert;
    if (issuer)
        X509_up_ref(issuer);
    file->issuer = issuer;
    file->path = thi_strdup_n(path, strlen(path));
    int err = file->path ? read_file(file) : thi_err_clear(-ENOMEM);
    if (err < 0)
        thi_ocsp_file_unref(file);
    else
        *out = file;
    return err;
}

thi_ocsp_file *thi_ocsp_file_ref(thi_ocsp_file *file)
{
    if (file)
        atomic_fetch_add_explicit(&file->refs, 1, memory_order_relaxed);
    return file;
}

void thi_ocsp_file_unref(thi_ocsp_file *file)
{
    if (!file || atomic_fetch_sub_explicit(&file->refs, 1, memory_order_acq_rel) > 1)
        return;
    thi_whole_free(&file->whole);
    X509_free(file->cert);
    X509_free(file->issuer);
    pthread_mutex_destroy(&file->lock);
    thi_free(file->path);
    thi_free(file);
}

bool thi_ocsp_file_is_of(const thi_ocsp_file *file, const X509 *cert)
{
    return X509_cmp(file->cert, cert) == 0;
}

unsigned char *thi_ocsp_file_copy(thi_ocsp_file *file, size_t *size)
{
    unsigned char *copy = NULL;
    int64_t now = thi_sys_wall() / TH_SECOND;
    thi_renewal_ask(&file->renewal);
    pthread_mutex_lock(&file->lock);
    if (file->since <= now && now < file->until) {
        copy = OPENSSL_memdup(file->whole.data, file->whole.size);
        *size = file->whole.size;
    }
    pthread_mutex_unlock(&file->lock);
    return copy;
}
