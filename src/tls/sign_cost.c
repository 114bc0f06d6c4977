/* SPDX-License-Identifier: MIT */

/*
 * Measuring signatures and hand-overs.
 *
 * Whoever loads a key may be a fiber, so the measurement is itself handed to the pool. Results are
 * kept by kind and size in a small table without a lock: two threads that measure the same kind at
 * once both write what is true.
 */
#include "tls/sign_cost.h"

#include "base/util.h"
#include "loop/sim_world.h"
#include "pool/crew.h"
#include "runtime/sched.h"
#include "sys/sys.h"
#include "tls/ossl.h"

#include <thrum/fiber.h>
#include <thrum/pool.h>
#include <thrum/time.h>

#include <openssl/evp.h>
#include <openssl/objects.h>

#include <stdatomic.h>

#define TRIES       32
#define LONG_ENOUGH (4 * TH_MILLISECOND) /* of tries that go well */

#define HANDOFF_TRIES 12
#define HANDOFF_REST  TH_MILLISECOND /* between tries: a thread that is asleep is to be woken */
#define HANDOFF_MIN   (20 * TH_MICROSECOND)
#define HANDOFF_MAX   (100 * TH_MICROSECOND)
#define HANDOFF_GUESS (40 * TH_MICROSECOND) /* where nothing can be handed over */

/* The rest of a handshake, which stays in place, takes several times as long. */
#define WORTH_IT (100 * TH_MICROSECOND)

/* ---- one signature --------------------------------------------------------------------------- */

typedef struct measurement {
    EVP_PKEY *key;
    int64_t cost;
} measurement;

/* Kinds that sign the message itself take no digest. */
static bool sign_once(EVP_PKEY *key, int64_t *cost)
{
    static const uint8_t message[64] = { 0 };
    uint8_t signature[1024]; /* larger ones, of RSA keys above 8192 bits, are not handed over */
    size_t len = sizeof signature;
    int kind = EVP_PKEY_get_base_id(key);
    const EVP_MD *md = kind == EVP_PKEY_ED25519 || kind == EVP_PKEY_ED448 ? NULL : EVP_sha256();
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int64_t began = thi_sys_clock();
    bool done = ctx && EVP_DigestSignInit(ctx, NULL, md, NULL, key) == 1 &&
                EVP_DigestSign(ctx, signature, &len, message, sizeof message) == 1;
    *cost = thi_sys_clock() - began;
    EVP_MD_CTX_free(ctx);
    return done;
}

static int measure(void *arg)
{
    measurement *m = arg;
    thi_ossl_begin();
    /* The first sets things up, and on a busy machine any may be interrupted for milliseconds: the
     * cheapest so far tells how long the next ones take, not what they all took. */
    for (int i = 0; i < TRIES && (i < 2 || i * m->cost < LONG_ENOUGH); i++) {
        int64_t cost;
        if (!sign_once(m->key, &cost))
            break;
        m->cost = thi_min(m->cost, cost);
    }
    thi_ossl_begin(); /* a key that cannot sign will say so itself */
    return 0;
}

/* ---- the table ------------------------------------------------------------------------------- */

/* A kind with its size, or its curve, in one word with what it costs: 0 is free. */
#define COST_BITS 40
#define SLOTS     32

static _Atomic(uint64_t) table[SLOTS];

/* Curves of one size differ by a factor of ten and more: OpenSSL has code of its own for some. */
static int size_of(const EVP_PKEY *key)
{
    char curve[64];
    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
        EVP_PKEY_get_group_name(key, curve, sizeof curve, NULL) != 1)
        return EVP_PKEY_get_bits(key);
    return OBJ_txt2nid(curve);
}

static uint64_t name_of(const EVP_PKEY *key)
{
    uint64_t kind = (uint64_t)(unsigned)EVP_PKEY_get_base_id(key) & 0xff;
    uint64_t size = (uint64_t)(unsigned)size_of(key) & 0xffff;
    return (kind << 16 | size) << COST_BITS;
}

static bool look_up(uint64_t name, int64_t *cost)
{
    for (size_t i = 0; i < SLOTS; i++) {
        uint64_t word = atomic_load_explicit(&table[i], memory_order_relaxed);
        if (word >> COST_BITS != name >> COST_BITS)
            continue;
        *cost = (int64_t)(word & ((UINT64_C(1) << COST_BITS) - 1));
        return true;
    }
    return false;
}

/* Where there is no room it will be measured again. */
static void keep(uint64_t name, int64_t cost)
{
    int64_t most = (INT64_C(1) << COST_BITS) - 1;
    uint64_t word = name | (uint64_t)thi_min(cost, most);
    for (size_t i = 0; i < SLOTS; i++) {
        uint64_t nothing = 0;
        if (atomic_compare_exchange_strong(&table[i], &nothing, word) ||
            nothing >> COST_BITS == name >> COST_BITS)
            return;
    }
}

/* By the size alone: curves of 256 bits are cheap. */
static int64_t guess(const EVP_PKEY *key)
{
    return EVP_PKEY_get_bits(key) > 256 ? 3 * HANDOFF_MAX : 0;
}

int64_t thi_sign_cost(EVP_PKEY *key)
{
    int64_t cost;
    if (thi_sim_self)
        return guess(key);
    thi_ossl_begin();
    uint64_t name = name_of(key);
    thi_ossl_begin();
    if (look_up(name, &cost))
        return cost;
    measurement m = { key, INT64_MAX };
    /* A fiber that is cancelled, or finds no thread, measures nothing: then the size must tell. */
    if (!thi_sched_self())
        (void)measure(&m);
    else if (th_offload(th_pool_default("crypto"), measure, &m) < 0)
        return guess(key);
    if (m.cost != INT64_MAX)
        keep(name, m.cost);
    return m.cost;
}

/* ---- handing over ---------------------------------------------------------------------------- */

static int nothing_to_do(void *arg)
{
    (void)arg;
    return 0;
}

/* False when the scope of a fiber has ended. */
static bool rest(void)
{
    uint32_t word = 0;
    if (thi_sched_self())
        return th_sleep(HANDOFF_REST) == 0;
    (void)thi_sys_futex_wait(&word, 0, HANDOFF_REST);
    return true;
}

int64_t thi_sign_handoff(void)
{
    static _Atomic(int64_t) known;
    int64_t best =
        thi_sim_self ? HANDOFF_GUESS : atomic_load_explicit(&known, memory_order_relaxed);
    if (best > 0)
        return best;
    best = INT64_MAX;
    th_pool *pool = th_pool_default("crypto");
    if (thi_pool_self == pool) /* it would hand over to itself */
        return HANDOFF_GUESS;
    for (int i = 0; i < HANDOFF_TRIES; i++) {
        if (i > 0 && !rest())
            return HANDOFF_GUESS;
        int64_t began = thi_sys_clock();
        if (th_offload(pool, nothing_to_do, NULL) < 0)
            return HANDOFF_GUESS;
        best = thi_min(best, thi_sys_clock() - began);
    }
    best = thi_max(thi_min(best, HANDOFF_MAX), HANDOFF_MIN);
    atomic_store_explicit(&known, best, memory_order_relaxed);
    return best;
}

/* ---- the decision ---------------------------------------------------------------------------- */

bool thi_sign_cost_is_dear(int64_t cost)
{
    return cost > thi_max(2 * thi_sign_handoff(), WORTH_IT);
}

bool thi_sign_is_dear(EVP_PKEY *key)
{
    return thi_sign_cost_is_dear(thi_sign_cost(key));
}
