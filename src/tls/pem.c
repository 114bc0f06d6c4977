/* SPDX-License-Identifier: MIT */

/*
 * PEM and DER: which of them something is, objects out of both, and objects into both.
 *
 * DER says by its first bytes how long it is; what is exactly that long is DER, even if
 * "-----BEGIN" stands somewhere in it, and of all else that line decides.
 */
#include "tls/pem.h"

#include "tls/ossl.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

/* ---- reading ---- */

/* Whether it is one SEQUENCE from the first to the last byte (X.690, 8.1.3). */
static bool is_sequence(th_str data)
{
    const unsigned char *at = (const unsigned char *)data.ptr;
    long len;
    int tag, class;
    if (data.len < 2 || data.len > LONG_MAX)
        return false;
    ERR_set_mark();
    int kind = ASN1_get_object(&at, &len, &tag, &class, (long)data.len);
    ERR_pop_to_mark();
    return kind == V_ASN1_CONSTRUCTED && tag == V_ASN1_SEQUENCE &&
           (const char *)at + len == data.ptr + data.len;
}

bool thi_pem_is(th_str data)
{
    static const char begin[] = "-----BEGIN ";
    return !is_sequence(data) && data.len > 0 &&
           memmem(data.ptr, data.len, begin, sizeof begin - 1) != NULL;
}

BIO *thi_pem_open(th_str data)
{
    return data.len <= INT_MAX ? BIO_new_mem_buf(data.ptr, (int)data.len) : NULL;
}

int thi_pem_next(BIO *bio, thi_pem_block *block)
{
    thi_ossl_begin();
    *block = (thi_pem_block){ 0 };
    if (PEM_read_bio(bio, &block->name, &block->header, &block->data, &block->len) == 1)
        return 1;
    unsigned long last = ERR_peek_last_error();
    if (ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE) {
        thi_ossl_begin();
        return 0;
    }
    return thi_ossl_fail(TH_ETLS, "the PEM text is broken");
}

void thi_pem_drop(thi_pem_block *block)
{
    OPENSSL_free(block->name);
    OPENSSL_free(block->header);
    OPENSSL_clear_free(block->data, (size_t)block->len);
    *block = (thi_pem_block){ 0 };
}

int thi_der_read(const thi_pem_kind *kind, th_str der, void **object)
{
    thi_ossl_begin();
    const unsigned char *at = (const unsigned char *)der.ptr;
    ASN1_VALUE *value = ASN1_item_d2i(NULL, &at, (long)der.len, kind->item());
    if (!value)
        return thi_ossl_fail(TH_ETLS, "this is no %s", kind->what);
    if ((const char *)at != der.ptr + der.len) {
        ASN1_item_free(value, kind->item());
        return thi_err_set(TH_ETLS, "something stands behind the %s", kind->what);
    }
    *object = value;
    return 0;
}

static bool is_named(const thi_pem_kind *kind, const char *name)
{
    return strcmp(name, kind->names[0]) == 0 ||
           (kind->names[1] && strcmp(name, kind->names[1]) == 0);
}

static int take_block(const thi_pem_wanted *wanted, const thi_pem_block *block, void *arg)
{
    void *object = NULL;
    th_str der = th_str_make((const char *)block->data, (size_t)block->len);
    int err = thi_der_read(wanted->kind, der, &object);
    if (err == 0)
        err = wanted->take(arg, object);
    return err < 0 ? err : 1;
}

/* 1: it was taken; 0: nobody wants it. */
static int offer_block(const thi_pem_wanted *wanted, size_t count, const thi_pem_block *block,
                       void *arg)
{
    for (size_t i = 0; i < count; i++)
        if (is_named(wanted[i].kind, block->name))
            return take_block(&wanted[i], block, arg);
    return 0;
}

static int each_block(const thi_pem_wanted *wanted, size_t count, BIO *bio, void *arg)
{
    thi_pem_block block;
    int found = 0;
    for (;;) {
        int more = thi_pem_next(bio, &block);
        if (more <= 0)
            return more < 0 ? more : found;
        int taken = offer_block(wanted, count, &block, arg);
        thi_pem_drop(&block);
        if (taken < 0)
            return taken;
        found += taken;
    }
}

/* A block of another kind is the best hint at what went wrong. */
static int none(const thi_pem_wanted *wanted, size_t count, th_str data)
{
    thi_pem_block block = { 0 };
    const char *other = count > 1 ? wanted[1].kind->what : "";
    BIO *bio = thi_pem_open(data);
    int found = bio ? thi_pem_next(bio, &block) : -ENOMEM;
    if (found >= 0)
        found = thi_err_set(TH_ETLS, "there is no %s%s%s in it%s%s", wanted[0].kind->what,
                            count > 1 ? " and no " : "", other, found == 1 ? ", but: " : "",
                            found == 1 ? block.name : "");
    thi_pem_drop(&block);
    BIO_free(bio);
    return found;
}

static int read_der(const thi_pem_wanted *wanted, th_str data, void *arg)
{
    const thi_pem_block all = { .data = (unsigned char *)(uintptr_t)data.ptr,
                                .len = (long)data.len };
    if (data.len == 0 || data.ptr[0] != 0x30)
        return thi_err_set(TH_ETLS, "this is no %s: neither PEM nor DER", wanted->kind->what);
    return take_block(wanted, &all, arg);
}

int thi_pem_each_of(const thi_pem_wanted *wanted, size_t count, th_str data, size_t limit,
                    void *arg)
{
    if (data.len > limit)
        return thi_err_set(TH_ELIMIT, "more than %zu bytes", limit);
    if (!thi_pem_is(data))
        return read_der(wanted, data, arg);
    BIO *bio = thi_pem_open(data);
    if (!bio)
        return thi_err_clear(-ENOMEM);
    int found = each_block(wanted, count, bio, arg);
    BIO_free(bio);
    return found != 0 ? found : none(wanted, count, data);
}

int thi_pem_each(const thi_pem_kind *kind, th_str data, size_t limit, thi_pem_take_fn *take,
                 void *arg)
{
    const thi_pem_wanted wanted = { kind, take };
    return thi_pem_each_of(&wanted, 1, data, limit, arg);
}

/* The first object ends the reading. */

static int keep_first(void *arg, void *object)
{
    void **first = arg;
    *first = object;
    return -EALREADY;
}

int thi_pem_read(const thi_pem_kind *kind, th_str data, size_t limit, void **object)
{
    void *first = NULL;
    int count = thi_pem_each(kind, data, limit, keep_first, &first);
    if (!first)
        return count;
    *object = first;
    return 0;
}

/* ---- writing ---- */

int thi_der_write(const ASN1_ITEM *item, const void *object, th_arena *arena, th_str *der)
{
    thi_ossl_begin();
    int len = ASN1_item_i2d(object, NULL, item);
    if (len <= 0)
        return thi_ossl_fail(TH_ETLS, "this cannot be written as DER");
    unsigned char *bytes = th_arena_alloc(arena, (size_t)len);
    if (!bytes)
        return thi_err_clear(-ENOMEM);
    *der = th_str_make((const char *)bytes, (size_t)len);
    len = ASN1_item_i2d(object, &bytes, item); /* moves bytes on */
    return len > 0 && (size_t)len == der->len ? 0 : thi_ossl_fail(-ENOMEM, "writing DER");
}

int thi_bio_copy(BIO *bio, th_arena *arena, th_str *text)
{
    char *bytes;
    long len = BIO_get_mem_data(bio, &bytes);
    char *copy = len >= 0 ? th_arena_strdup(arena, th_str_make(bytes, (size_t)len)) : NULL;
    if (!copy)
        return thi_err_clear(-ENOMEM);
    *text = th_str_make(copy, (size_t)len);
    return 0;
}

int thi_pem_write(const char *name, th_str der, th_arena *arena, th_str *pem)
{
    thi_ossl_begin();
    BIO *bio = BIO_new(BIO_s_mem());
    if (!bio)
        return thi_ossl_fail(-ENOMEM, "writing PEM");
    int err = PEM_write_bio(bio, name, "", (const unsigned char *)der.ptr, (long)der.len) > 0
                  ? thi_bio_copy(bio, arena, pem)
                  : thi_ossl_fail(TH_ETLS, "this cannot be written as PEM");
    BIO_free(bio);
    return err;
}

int thi_pem_write_object(const thi_pem_kind *kind, const void *object, th_arena *arena, th_str *pem)
{
    th_str der = { 0 };
    int err = thi_der_write(kind->item(), object, arena, &der);
    return err == 0 ? thi_pem_write(kind->names[0], der, arena, pem) : err;
}
