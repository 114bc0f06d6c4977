/* SPDX-License-Identifier: MIT */

/* Private keys off the loop: parked inside of OpenSSL, cancelled there, used by several workers. */
#include "tls/ssl_pair.h"

#include "runtime/in_fiber.h"

#include "base/alloc.h"
#include "base/metrics.h"
#include "sys/machine.h"
#include "tls/ossl.h"
#include "tls/sign_cost.h"
#include "tls/signer.h"

#include <thrum/key_cost.h>
#include <thrum/pool.h>

#include <stdatomic.h>

#define SHAKERS 20

/* ---- keys of the tests ----------------------------------------------------------------------- */

/* Made before the tests, each of which is a process of its own, and never changed: OpenSSL takes
 * longer to find them than for all else here. */
static EVP_PKEY *rsa2048, *rsa3072;

/* A reference to a key of that kind; of RSA always the same one. */
static EVP_PKEY *new_key(const char *kind)
{
    bool large = strcasecmp(kind, "rsa3072") == 0;
    if (strncasecmp(kind, "rsa", 3) != 0)
        return mint_key(kind);
    EVP_PKEY *key = large ? rsa3072 : rsa2048;
    ck_assert_int_eq(EVP_PKEY_up_ref(key), 1);
    return key;
}

/* ---- the pool -------------------------------------------------------------------------------- */

/* Threads of the pool that are held up, until they are told to go on. */
static atomic_uint held;
static atomic_bool go_on;

static int hold_up(void *arg)
{
    (void)arg;
    atomic_fetch_add(&held, 1);
    while (!atomic_load(&go_on))
        ;
    return 0;
}

/* Holds up all threads that the pool may have: whatever else it gets waits in its queue. */
static void hold_pool(void)
{
    unsigned threads = thi_machine_cpus();
    atomic_store(&held, 0);
    atomic_store(&go_on, false);
    for (unsigned i = 0; i < threads; i++)
        ck_assert_int_eq(th_pool_submit(th_pool_default("crypto"), hold_up, NULL, 0, NULL), 0);
    while (atomic_load(&held) < threads)
        th_yield();
}

static void release_pool(void)
{
    atomic_store(&go_on, true);
}

/* ---- handshakes ------------------------------------------------------------------------------ */

static EVP_PKEY *wrap(EVP_PKEY *key, thi_signer_where where)
{
    EVP_PKEY *wrapped = NULL;
    ck_assert_int_eq(thi_signer_wrap(key, where, &wrapped), 0);
    return wrapped;
}

typedef struct hall {
    SSL_CTX *server;
    SSL_CTX *client;
    atomic_int inside; /* fibers that have begun a handshake */
    atomic_int done;
} hall;

static int meet(void *arg)
{
    hall *h = arg;
    ssl_pair p = tie(h->server, h->client);
    atomic_fetch_add(&h->inside, 1);
    ck_assert_int_eq(shake_hands(&p), 0);
    ck_assert_uint_eq(thi_ossl_peek(), 0);
    atomic_fetch_add(&h->done, 1);
    untie(&p);
    return 0;
}

/* Opens a hall for a key of that kind. */
static void open_hall(hall *h, const char *kind, int version)
{
    EVP_PKEY *key = new_key(kind);
    EVP_PKEY *wrapped = wrap(key, THI_SIGNER_OFF_LOOP);
    ck_assert(thi_signer_has(wrapped));
    ck_assert(!thi_signer_has(key));
    *h = (hall){ .server = new_server_ctx(key, wrapped), .client = new_client_ctx(version) };
    EVP_PKEY_free(key);
    EVP_PKEY_free(wrapped); /* the context has it */
}

static void close_hall(hall *h)
{
    SSL_CTX_free(h->server);
    SSL_CTX_free(h->client);
}

static void shake_many(const char *kind, int version, unsigned workers)
{
    hall h;
    th_scope scope;
    open_hall(&h, kind, version);
    int64_t before = thi_metric_read(THI_M_TLS_SIGNED_POOL);
    hold_pool();
    open_scope(&scope);
    for (int i = 0; i < SHAKERS; i++)
        spawn_on(&scope, (unsigned)i % workers, meet, &h);
    while (atomic_load(&h.inside) < SHAKERS) /* all are parked in there */
        th_yield();
    ck_assert_int_eq(atomic_load(&h.done), 0);
    release_pool();
    close_scope(&scope);
    ck_assert_int_eq(atomic_load(&h.done), SHAKERS);
    ck_assert_int_eq(thi_metric_read(THI_M_TLS_SIGNED_POOL) - before, SHAKERS);
    close_hall(&h);
}

FIBER_TEST(twenty_fibers_park_inside_of_handshakes_with_rsa)
{
    shake_many("rsa", TLS1_3_VERSION, 1);
}

FIBER_TEST(twenty_fibers_park_inside_of_handshakes_with_ec)
{
    shake_many("P-256", TLS1_3_VERSION, 1);
}

FIBER_TEST(the_older_version_signs_with_the_other_padding)
{
    shake_many("rsa", TLS1_2_VERSION, 1);
    shake_many("P-384", TLS1_2_VERSION, 1);
}

FIBER_TEST_ON(3, several_workers_use_one_key)
{
    shake_many("rsa", TLS1_3_VERSION, 3);
    shake_many("P-256", TLS1_3_VERSION, 3);
}

START_TEST(outside_of_a_fiber_the_key_is_used_in_place)
{
    hall h;
    int64_t before = thi_metric_read(THI_M_TLS_SIGNED_HERE);
    open_hall(&h, "rsa", TLS1_3_VERSION);
    meet(&h);
    ck_assert_int_eq(thi_metric_read(THI_M_TLS_SIGNED_HERE) - before, 1);
    close_hall(&h);
}
END_TEST

/* ---- the end of a wait ----------------------------------------------------------------------- */

typedef struct lone_shaker {
    hall *hall;
    int result; /* of the handshake, as a stream would tell it */
    char detail[THI_ERR_DETAIL_SIZE];
} lone_shaker;

static int shake_and_tell(void *arg)
{
    lone_shaker *s = arg;
    ssl_pair p = tie(s->hall->server, s->hall->client);
    if (shake_hands(&p) == 0)
        s->result = 1;
    else
        s->result = thi_ossl_fail(TH_ETLS, "handshake");
    snprintf(s->detail, sizeof s->detail, "%s", th_err_detail());
    untie(&p);
    return 0;
}

FIBER_TEST(a_fiber_that_waits_for_its_signature_can_be_cancelled)
{
    hall h;
    open_hall(&h, "rsa", TLS1_3_VERSION);
    hold_pool();
    lone_shaker s = { &h, 0, "" };
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, shake_and_tell, &s);
    ck_assert_int_eq(th_yield(), 0); /* it is parked inside */
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    (void)th_scope_close(&scope);
    ck_assert_int_eq(s.result, -ECANCELED);
    ck_assert_str_eq(s.detail, "handshake: Operation canceled");
    release_pool();
    close_hall(&h);
}

FIBER_TEST(a_deadline_ends_the_wait_for_a_signature)
{
    hall h;
    open_hall(&h, "P-384", TLS1_3_VERSION);
    hold_pool();
    lone_shaker s = { &h, 0, "" };
    th_scope scope;
    open_scope_for(&scope, 20 * TH_MILLISECOND);
    shake_and_tell(&s);
    close_scope(&scope);
    ck_assert_int_eq(s.result, -ETIMEDOUT);
    release_pool();
    close_hall(&h);
}

/* Whoever is cancelled while a thread computes waits for that: the buffers are on its stack. */
static void cancel_after(hall *h, int64_t span)
{
    lone_shaker s = { h, 0, "" };
    th_scope scope;
    open_scope(&scope);
    th_fiber *shaker = spawn_handle(&scope, shake_and_tell, &s);
    ck_assert_int_eq(th_sleep(span), 0);
    ck_assert_int_eq(th_fiber_cancel(shaker, 0), 0);
    (void)th_scope_close(&scope);
    th_fiber_unref(shaker);
    ck_assert(s.result == 1 || s.result == -ECANCELED);
}

FIBER_TEST(work_that_has_begun_is_waited_for)
{
    hall h;
    open_hall(&h, "rsa3072", TLS1_3_VERSION);
    for (int i = 0; i < 20; i++)
        cancel_after(&h, i * 200 * TH_MICROSECOND);
    close_hall(&h);
}

/* ---- errors of others ------------------------------------------------------------------------ */

static int leave_an_error(void *arg)
{
    (void)arg;
    ERR_raise(ERR_LIB_SSL, SSL_R_NO_SHARED_CIPHER);
    return 0;
}

FIBER_TEST(errors_of_other_fibers_are_not_found_in_the_handshake)
{
    hall h;
    th_scope scope;
    open_hall(&h, "rsa", TLS1_3_VERSION);
    open_scope(&scope);
    spawn(&scope, meet, &h); /* wants an empty queue at its end */
    spawn(&scope, leave_an_error, NULL);
    close_scope(&scope);
    ck_assert_int_eq(atomic_load(&h.done), 1);
    close_hall(&h);
}

/* A signer that fails, while another fiber has emptied the queue. */
static int fail_to_sign(thi_signer *signer, const thi_sign_request *request)
{
    (void)signer;
    (void)request;
    ERR_raise(ERR_LIB_SSL, SSL_R_NO_SHARED_CIPHER);
    return thi_err_set(TH_ETLS, "the key is in the other trousers");
}

static void do_not_free(thi_signer *signer)
{
    ck_assert_uint_eq(signer->refs, 0);
}

START_TEST(the_failure_of_a_signer_is_that_of_the_handshake)
{
    static const thi_signer_ops failing = { fail_to_sign, do_not_free };
    const char *const kinds[] = { "RSA", "P-256" };
    for (int i = 0; i < 2; i++) {
        thi_signer signer = { &failing, 1 };
        EVP_PKEY *key = new_key(kinds[i]);
        EVP_PKEY *wrapped = NULL;
        ck_assert_int_eq(thi_signer_key(key, &signer, &wrapped), 0);
        hall h = { .server = new_server_ctx(key, wrapped),
                   .client = new_client_ctx(TLS1_3_VERSION) };
        EVP_PKEY_free(key);
        EVP_PKEY_free(wrapped);
        lone_shaker s = { &h, 0, "" };
        shake_and_tell(&s);
        ck_assert_int_eq(s.result, TH_ETLS);
        ck_assert_str_eq(s.detail, "handshake: the key is in the other trousers");
        close_hall(&h);
        ck_assert_uint_eq(signer.refs, 0);
    }
}
END_TEST

/* ---- keys ------------------------------------------------------------------------------------ */

START_TEST(the_certificate_fits_the_key_with_a_signer)
{
    const char *const kinds[] = { "RSA", "P-256", "P-521" };
    for (int i = 0; i < 3; i++) {
        EVP_PKEY *key = new_key(kinds[i]);
        EVP_PKEY *other = mint_key(i == 0 ? "rsa1024" : kinds[i]);
        X509 *cert = mint_cert(key, NULL, NULL, (minting){ .cn = "test" });
        X509 *wrong = mint_cert(other, NULL, NULL, (minting){ .cn = "test" });
        EVP_PKEY *wrapped = wrap(key, THI_SIGNER_OFF_LOOP);
        ck_assert_int_eq(X509_check_private_key(cert, wrapped), 1);
        ck_assert_int_ne(X509_check_private_key(wrong, wrapped), 1);
        ck_assert_int_eq(EVP_PKEY_get_bits(wrapped), EVP_PKEY_get_bits(key));
        EVP_PKEY_free(wrapped);
        EVP_PKEY_free(key);
        EVP_PKEY_free(other);
        X509_free(cert);
        X509_free(wrong);
    }
}
END_TEST

START_TEST(a_key_outlives_who_made_it_and_is_wrapped_once)
{
    EVP_PKEY *key = new_key("rsa");
    EVP_PKEY *wrapped = wrap(key, THI_SIGNER_OFF_LOOP);
    EVP_PKEY *again = wrap(wrapped, THI_SIGNER_OFF_LOOP);
    ck_assert_ptr_eq(again, wrapped);
    EVP_PKEY_free(key);
    EVP_PKEY_free(wrapped);
    EVP_PKEY *copy = EVP_PKEY_dup(again);
    X509 *cert = mint_cert(again, NULL, NULL, (minting){ .cn = "test" }); /* signs */
    ck_assert_int_eq(X509_verify(cert, again), 1);
    X509_free(cert);
    EVP_PKEY_free(again);
    EVP_PKEY_free(copy);
}
END_TEST

START_TEST(a_public_key_is_refused)
{
    EVP_PKEY *key = new_key("rsa");
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(key, &der);
    const unsigned char *at = der;
    EVP_PKEY *public = d2i_PUBKEY(NULL, &at, len);
    EVP_PKEY *wrapped = NULL;
    ck_assert_int_eq(thi_signer_wrap(public, THI_SIGNER_OFF_LOOP, &wrapped), TH_ETLS);
    ck_assert_str_eq(th_err_detail(), "the key has no private part");
    ck_assert_ptr_null(wrapped);
    OPENSSL_free(der);
    EVP_PKEY_free(public);
    EVP_PKEY_free(key);
}
END_TEST

START_TEST(without_memory_there_is_no_signer_and_no_leak)
{
    EVP_PKEY *key = new_key("P-384");
    EVP_PKEY *wrapped = NULL;
    int64_t live = thi_alloc_live();
    thi_alloc_fail_at(1);
    ck_assert_int_eq(thi_signer_wrap(key, THI_SIGNER_OFF_LOOP, &wrapped), -ENOMEM);
    thi_alloc_fail_at(0);
    ck_assert_ptr_null(wrapped);
    ck_assert_int_eq(thi_alloc_live(), live);
    EVP_PKEY_free(key);
}
END_TEST

/* ---- costs ----------------------------------------------------------------------------------- */

START_TEST(cheap_keys_stay_as_they_are_and_dear_ones_do_not)
{
    EVP_PKEY *cheap = new_key("ED25519");
    EVP_PKEY *dear = new_key("rsa3072");
    EVP_PKEY *same = wrap(cheap, THI_SIGNER_AS_MEASURED);
    EVP_PKEY *wrapped = wrap(dear, THI_SIGNER_AS_MEASURED);
    ck_assert_ptr_eq(same, cheap);
    ck_assert(thi_signer_has(wrapped));
    ck_assert_int_gt(thi_sign_cost(dear), thi_sign_cost(cheap));
    ck_assert_int_eq(thi_sign_cost(dear), thi_sign_cost(dear)); /* it is measured once */
    EVP_PKEY_free(cheap);
    EVP_PKEY_free(dear);
    EVP_PKEY_free(same);
    EVP_PKEY_free(wrapped);
}
END_TEST

/* P-256 has code of its own in OpenSSL, other curves of its size are slower by far. */
START_TEST(curves_of_one_size_are_measured_each)
{
    EVP_PKEY *usual = new_key("P-256");
    EVP_PKEY *other = EVP_EC_gen("brainpoolP256r1");
    ck_assert_ptr_nonnull(other);
    ck_assert_int_ne(thi_sign_cost(usual), thi_sign_cost(other));
    ck_assert_int_gt(thi_sign_cost(other), thi_sign_cost(usual));
    EVP_PKEY_free(usual);
    EVP_PKEY_free(other);
}
END_TEST

static void look_at_costs(void)
{
    th_key_cost costs[TH_KEY_COSTS];
    int64_t handoff = 0;
    ck_assert_int_eq(th_key_costs(costs, &handoff), 0);
    ck_assert_int_ge(handoff, 20 * TH_MICROSECOND);
    ck_assert_int_le(handoff, 100 * TH_MICROSECOND);
    for (int i = 0; i < TH_KEY_COSTS; i++) {
        ck_assert_int_gt(costs[i].cost, 0);
        ck_assert_int_lt(costs[i].cost, TH_SECOND);
    }
    ck_assert_str_eq(costs[4].kind, "RSA-2048");
    ck_assert_str_eq(costs[6].kind, "RSA-4096");
    ck_assert_int_gt(costs[6].cost, costs[4].cost);
    ck_assert_int_eq(costs[3].pooled, 0); /* Ed25519 cannot be handed over */
    ck_assert_int_eq(costs[6].pooled, 1);
}

START_TEST(the_table_of_costs_is_measured_by_a_thread)
{
    look_at_costs();
    int64_t handoff;
    th_key_cost costs[TH_KEY_COSTS];
    ck_assert_int_eq(th_key_costs(NULL, &handoff), -EINVAL);
    ck_assert_int_eq(th_key_costs(costs, NULL), -EINVAL);
}
END_TEST

FIBER_TEST(the_table_of_costs_is_measured_for_a_fiber)
{
    look_at_costs();
}

FIBER_TEST(a_cancelled_fiber_measures_nothing)
{
    th_scope scope;
    int64_t handoff = -1;
    th_key_cost costs[TH_KEY_COSTS];
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_key_costs(costs, &handoff), -ECANCELED);
    ck_assert_int_eq(handoff, -1);
    EVP_PKEY *key = new_key("rsa");
    EVP_PKEY *wrapped = wrap(key, THI_SIGNER_AS_MEASURED);
    ck_assert(thi_signer_has(wrapped)); /* by its size */
    EVP_PKEY_free(key);
    EVP_PKEY_free(wrapped);
    (void)th_scope_close(&scope);
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "handshakes");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, twenty_fibers_park_inside_of_handshakes_with_rsa);
    tcase_add_test(tcase, twenty_fibers_park_inside_of_handshakes_with_ec);
    tcase_add_test(tcase, the_older_version_signs_with_the_other_padding);
    tcase_add_test(tcase, several_workers_use_one_key);
    tcase_add_test(tcase, outside_of_a_fiber_the_key_is_used_in_place);
    tcase = thi_check_case(suite, "waiting");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_fiber_that_waits_for_its_signature_can_be_cancelled);
    tcase_add_test(tcase, a_deadline_ends_the_wait_for_a_signature);
    tcase_add_test(tcase, work_that_has_begun_is_waited_for);
    tcase = thi_check_case(suite, "errors");
    tcase_add_test(tcase, errors_of_other_fibers_are_not_found_in_the_handshake);
    tcase_add_test(tcase, the_failure_of_a_signer_is_that_of_the_handshake);
    tcase = thi_check_case(suite, "keys");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, the_certificate_fits_the_key_with_a_signer);
    tcase_add_test(tcase, a_key_outlives_who_made_it_and_is_wrapped_once);
    tcase_add_test(tcase, a_public_key_is_refused);
    tcase_add_test(tcase, without_memory_there_is_no_signer_and_no_leak);
    tcase = thi_check_case(suite, "costs");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, cheap_keys_stay_as_they_are_and_dear_ones_do_not);
    tcase_add_test(tcase, curves_of_one_size_are_measured_each);
    tcase_add_test(tcase, the_table_of_costs_is_measured_by_a_thread);
    tcase_add_test(tcase, the_table_of_costs_is_measured_for_a_fiber);
    tcase_add_test(tcase, a_cancelled_fiber_measures_nothing);
}

int main(void)
{
    rsa2048 = EVP_RSA_gen(2048);
    rsa3072 = EVP_RSA_gen(3072);
    int result = thi_check_run("tls/signer", fill);
    EVP_PKEY_free(rsa2048);
    EVP_PKEY_free(rsa3072);
    return result;
}
