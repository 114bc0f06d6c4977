/* SPDX-License-Identifier: MIT */

/*
 * Certificates, lists and keys in PEM, from files and from memory.
 *
 * Everything is first in memory, then read: a file that changes meanwhile is seen as it was at one
 * moment, or as two halves that do not fit, never half loaded into an object.
 */
#include "tls/pem_read.h"

#include "base/alloc.h"
#include "sys/sys.h"
#include "tls/ossl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/stat.h>

/* ---- files ---- */

#define STEP ((size_t)16 << 10)

void thi_tls_file_deinit(thi_tls_file *file)
{
    if (file->bytes)
        OPENSSL_cleanse(file->bytes, file->len);
    thi_free(file->bytes);
    *file = (thi_tls_file){ 0 };
}

/* Room for `room` bytes and a NUL; the former bytes are wiped, which realloc() would not do. */
static int grow(thi_tls_file *file, size_t room)
{
    unsigned char *bytes = thi_alloc(room + 1);
    if (!bytes)
        return -ENOMEM;
    if (file->len > 0)
        memcpy(bytes, file->bytes, file->len);
    size_t len = file->len;
    thi_tls_file_deinit(file);
    *file = (thi_tls_file){ bytes, len };
    return 0;
}

static int read_all(int fd, thi_tls_file *file)
{
    size_t room = 0;
    for (;;) {
        if (file->len == room) {
            room = room == 0 ? STEP : 2 * room;
            int err = room > 2 * THI_TLS_FILE_MAX ? TH_ELIMIT : grow(file, room);
            if (err < 0)
                return err;
        }
        ssize_t n = thi_sys_read(fd, file->bytes + file->len, room - file->len);
        if (n == -EINTR)
            continue;
        if (n <= 0) {
            file->bytes[file->len] = '\0';
            return (int)n;
        }
        file->len += (size_t)n;
        if (file->len > THI_TLS_FILE_MAX)
            return TH_ELIMIT;
    }
}

int thi_tls_file_load(const char *path, thi_tls_file *file)
{
    thi_tls_file loaded = { 0 };
    int fd = thi_sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0);
    if (fd < 0)
        return thi_err_set(fd, "%s: %s", path, th_strerror(fd));
    int err = read_all(fd, &loaded);
    (void)thi_sys_close(fd);
    if (err < 0) {
        thi_tls_file_deinit(&loaded);
        return thi_err_set(err, "%s: %s", path, th_strerror(err));
    }
    *file = loaded;
    return 0;
}

int thi_tls_file_copy(th_str text, thi_tls_file *file)
{
    char *bytes = thi_strdup_n(text.ptr, text.len);
    if (!bytes)
        return thi_err_clear(-ENOMEM);
    *file = (thi_tls_file){ (unsigned char *)bytes, text.len };
    return 0;
}

/* ---- certificates and lists ---- */

static BIO *open_text(th_str text)
{
    return text.len <= INT_MAX ? BIO_new_mem_buf(text.ptr ? text.ptr : "", (int)text.len) : NULL;
}

/* DER begins with a SEQUENCE whose length is in the next bytes; no text begins so. */
static bool is_der(th_str text)
{
    return text.len > 2 && text.ptr[0] == 0x30 && ((unsigned char)text.ptr[1] & 0x80) != 0;
}

/* After the last object there has to be no further one; what is no PEM at all is a comment. */
static bool at_end(void)
{
    unsigned long last = ERR_peek_last_error();
    bool end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    if (end)
        ERR_clear_error();
    return end;
}

/* What is read: how one is, and how one is freed. Never is a phrase asked at the terminal. */
typedef struct kind {
    const char *name;
    void *(*pem)(BIO *bio);
    void *(*der)(BIO *bio);
    void (*free)(void *one);
} kind;

static void *pem_cert(BIO *bio)
{
    return PEM_read_bio_X509_AUX(bio, NULL, NULL, (void *)(uintptr_t) "");
}

static void *der_cert(BIO *bio)
{
    return d2i_X509_bio(bio, NULL);
}

static void free_cert(void *one)
{
    X509_free(one);
}

static void *pem_crl(BIO *bio)
{
    return PEM_read_bio_X509_CRL(bio, NULL, NULL, (void *)(uintptr_t) "");
}

static void *der_crl(BIO *bio)
{
    return d2i_X509_CRL_bio(bio, NULL);
}

static void free_crl(void *one)
{
    X509_CRL_free(one);
}

static const kind certs_kind = { "certificate", pem_cert, der_cert, free_cert };
static const kind crls_kind = { "revocation list", pem_crl, der_crl, free_crl };

/* Reads what there is onto the stack; whether all of it could be read. */
static bool read_onto(OPENSSL_STACK *stack, BIO *bio, bool der, const kind *k)
{
    for (;;) {
        if (der && BIO_pending(bio) == 0)
            return true;
        void *one = der ? k->der(bio) : k->pem(bio);
        if (!one)
            return !der && OPENSSL_sk_num(stack) > 0 && at_end();
        if (OPENSSL_sk_push(stack, one) <= 0) {
            k->free(one);
            return false;
        }
    }
}

static int read_objects(th_str text, const char *what, const kind *k, OPENSSL_STACK **objects)
{
    thi_ossl_begin();
    BIO *bio = open_text(text);
    OPENSSL_STACK *stack = OPENSSL_sk_new_null();
    bool good = bio && stack && read_onto(stack, bio, is_der(text), k);
    BIO_free(bio);
    if (good) {
        *objects = stack;
        return 0;
    }
    OPENSSL_sk_pop_free(stack, k->free);
    return thi_ossl_fail(TH_ETLS, "%s: no %s can be read", what, k->name);
}

int thi_tls_read_certs(th_str text, const char *what, STACK_OF(X509) * *certs)
{
    OPENSSL_STACK *stack;
    int err = read_objects(text, what, &certs_kind, &stack);
    if (err == 0)
        *certs = (STACK_OF(X509) *)stack;
    return err;
}

int thi_tls_read_crls(th_str text, const char *what, STACK_OF(X509_CRL) * *crls)
{
    OPENSSL_STACK *stack;
    int err = read_objects(text, what, &crls_kind, &stack);
    if (err == 0)
        *crls = (STACK_OF(X509_CRL) *)stack;
    return err;
}

/* ---- keys ---- */

bool thi_tls_key_is_encrypted(th_str text)
{
    return text.ptr && memmem(text.ptr, text.len, "ENCRYPTED", strlen("ENCRYPTED")) != NULL;
}

typedef struct phrase {
    th_str text;
    bool wanted; /* out: it was asked for */
} phrase;

/* For OpenSSL: the phrase with whatever bytes are in it, or a refusal; never half of one. */
static int give_phrase(char *buf, int size, int writing, void *arg)
{
    phrase *p = arg;
    (void)writing;
    p->wanted = true;
    if (p->text.len == 0 || p->text.len > (size_t)size)
        return -1;
    memcpy(buf, p->text.ptr, p->text.len);
    return (int)p->text.len;
}

int thi_tls_read_key(th_str text, th_str secret, const char *what, EVP_PKEY **key)
{
    phrase p = { .text = secret };
    thi_ossl_begin();
    BIO *bio = open_text(text);
    EVP_PKEY *read = bio ? PEM_read_bio_PrivateKey(bio, NULL, give_phrase, &p) : NULL;
    BIO_free(bio);
    if (read) {
        ERR_clear_error();
        *key = read;
        return 0;
    }
    if (p.wanted && secret.len == 0) {
        ERR_clear_error();
        return thi_err_set(TH_ETLS, "%s: the key is encrypted, and there is no pass phrase", what);
    }
    return thi_ossl_fail(TH_ETLS,
                         p.wanted ? "%s: the pass phrase does not open the key"
                                  : "%s: no private key can be read",
                         what);
}
