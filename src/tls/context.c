/* SPDX-License-Identifier: MIT */

/*
 * The handle and its snapshots.
 *
 * Taking a reference through a pointer that others change needs care: between reading the pointer
 * and counting, the last reference may go. A lock of the handle makes both one step; it is held for
 * a few instructions, once per connection.
 */
#include "tls/context.h"

#include "base/alloc.h"
#include "base/error.h"
#include "tls/early_once.h"
#include "tls/keylog.h"

#include <thrum/tls_session.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

struct th_tls {
    atomic_uint refs;
    pthread_mutex_t lock;   /* of what follows */
    thi_tls_config *config; /* a reference; never NULL */
    uint64_t generation;
};

/* ---- snapshots ---- */

thi_tls_config *thi_tls_config_new(void)
{
    static atomic_uint_fast64_t last_id;
    thi_tls_config *config = thi_calloc(1, sizeof *config);
    if (!config)
        return NULL;
    atomic_init(&config->refs, 1);
    config->id = atomic_fetch_add(&last_id, 1) + 1;
    return config;
}

thi_tls_config *thi_tls_config_ref(thi_tls_config *config)
{
    atomic_fetch_add_explicit(&config->refs, 1, memory_order_relaxed);
    return config;
}

void thi_tls_config_unref(thi_tls_config *config)
{
    if (!config || atomic_fetch_sub_explicit(&config->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < config->others_count; i++)
        SSL_CTX_free(config->others[i]);
    thi_free(config->others);
    SSL_CTX_free(config->server);
    SSL_CTX_free(config->client);
    SSL_CTX_free(config->dtls_server);
    SSL_CTX_free(config->dtls_client);
    thi_tls_sni_deinit(&config->sni);
    thi_tls_alpn_deinit(&config->alpn);
    thi_tls_pins_deinit(&config->pins);
    th_tls_ticket_keys_unref(config->ticket_keys);
    th_tls_sessions_unref(config->sessions);
    thi_tls_keylog_unref(config->keylog);
    thi_early_once_unref(config->hellos);
    thi_free(config->groups);
    thi_free(config);
}

/* ---- the handle ---- */

int thi_tls_handle_new(thi_tls_config *config, th_tls **tls)
{
    th_tls *made = thi_calloc(1, sizeof *made);
    if (!made)
        return thi_err_clear(-ENOMEM);
    atomic_init(&made->refs, 1);
    pthread_mutex_init(&made->lock, NULL);
    made->config = config;
    made->generation = 1;
    *tls = made;
    return 0;
}

th_tls *th_tls_ref(th_tls *tls)
{
    if (tls)
        atomic_fetch_add_explicit(&tls->refs, 1, memory_order_relaxed);
    return tls;
}

void th_tls_unref(th_tls *tls)
{
    if (!tls || atomic_fetch_sub_explicit(&tls->refs, 1, memory_order_acq_rel) > 1)
        return;
    thi_tls_config_unref(tls->config);
    pthread_mutex_destroy(&tls->lock);
    thi_free(tls);
}

/* The lock is no part of what a caller sees as constant. */
static pthread_mutex_t *lock_of(const th_tls *tls)
{
    return &((th_tls *)(uintptr_t)tls)->lock;
}

thi_tls_config *thi_tls_config_of(const th_tls *tls)
{
    pthread_mutex_lock(lock_of(tls));
    thi_tls_config *config = thi_tls_config_ref(tls->config);
    pthread_mutex_unlock(lock_of(tls));
    return config;
}

int th_tls_replace(th_tls *tls, const th_tls *newer)
{
    if (!tls || !newer)
        return thi_err_clear(-EINVAL);
    thi_tls_config *config = thi_tls_config_of(newer);
    pthread_mutex_lock(&tls->lock);
    thi_tls_config *former = tls->config;
    tls->config = config;
    tls->generation++;
    pthread_mutex_unlock(&tls->lock);
    thi_tls_config_unref(former); /* perhaps the last: not with the lock */
    return 0;
}

int th_tls_tell(const th_tls *tls, size_t size, th_tls_facts *facts)
{
    th_tls_facts all;
    if (!tls || !facts || size == 0 || size > sizeof *facts)
        return thi_err_clear(-EINVAL);
    pthread_mutex_lock(lock_of(tls));
    all = tls->config->facts;
    all.generation = tls->generation;
    pthread_mutex_unlock(lock_of(tls));
    all.size = size;
    memcpy(facts, &all, size);
    return 0;
}
