/* SPDX-License-Identifier: MIT */

/* Kinds of BIO of ours. */
#include "tls/bio_kind.h"

static int create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *make_method(const thi_bio_kind *kind)
{
    BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, kind->name);
    if (made && BIO_meth_set_read(made, kind->read) && BIO_meth_set_write(made, kind->write) &&
        BIO_meth_set_ctrl(made, kind->ctrl) && BIO_meth_set_create(made, create))
        return made;
    BIO_meth_free(made);
    return NULL;
}

/* Of two threads that make it at the same time, one throws its own away. */
static BIO_METHOD *method_of(thi_bio_kind *kind)
{
    BIO_METHOD *there = atomic_load(&kind->method);
    BIO_METHOD *made = there ? NULL : make_method(kind);
    if (!made)
        return there;
    if (atomic_compare_exchange_strong(&kind->method, &there, made))
        return made;
    BIO_meth_free(made);
    return there;
}

BIO *thi_bio_new(thi_bio_kind *kind, void *data)
{
    BIO_METHOD *method = method_of(kind);
    BIO *bio = method ? BIO_new(method) : NULL;
    if (bio)
        BIO_set_data(bio, data);
    return bio;
}
