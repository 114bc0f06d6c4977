/* SPDX-License-Identifier: MIT */

/* Places on OpenSSL's objects where something of ours hangs. */
#include "tls/slot.h"

#include "base/error.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>

/* NOLINTNEXTLINE(readability-function-size): six parameters, because OpenSSL wants six */
static void on_free(void *parent, void *what, CRYPTO_EX_DATA *data, int index, long l, void *arg)
{
    const thi_slot *slot = arg;
    (void)parent, (void)data, (void)index, (void)l;
    if (what && slot->forget)
        slot->forget(what);
}

static int index_of(const thi_slot *slot)
{
    return atomic_load_explicit(&slot->place, memory_order_acquire) - 1;
}

/* The number; negative without memory. */
static int make_index(thi_slot *slot)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    if (TH_LIKELY(index_of(slot) >= 0))
        return index_of(slot);
    pthread_mutex_lock(&lock);
    int index = index_of(slot);
    if (index < 0) {
        index = CRYPTO_get_ex_new_index(slot->class, 0, slot, NULL, NULL, on_free);
        atomic_store_explicit(&slot->place, index + 1, memory_order_release);
    }
    pthread_mutex_unlock(&lock);
    return index;
}

int thi_slot_put_ctx(thi_slot *slot, SSL_CTX *ctx, void *what)
{
    int index = make_index(slot);
    return index >= 0 && SSL_CTX_set_ex_data(ctx, index, what) == 1 ? 0 : thi_err_clear(-ENOMEM);
}

int thi_slot_put_ssl(thi_slot *slot, SSL *ssl, void *what)
{
    int index = make_index(slot);
    return index >= 0 && SSL_set_ex_data(ssl, index, what) == 1 ? 0 : thi_err_clear(-ENOMEM);
}

void *thi_slot_ctx(const thi_slot *slot, const SSL_CTX *ctx)
{
    int index = index_of(slot);
    return index >= 0 ? SSL_CTX_get_ex_data(ctx, index) : NULL;
}

void *thi_slot_ssl(const thi_slot *slot, const SSL *ssl)
{
    int index = index_of(slot);
    return index >= 0 ? SSL_get_ex_data(ssl, index) : NULL;
}
