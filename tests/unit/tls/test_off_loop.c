/* SPDX-License-Identifier: MIT */

/* Streams of TLS whose private key is used off the loop: by the pool, and by a key process. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tls/ssl_pair.h"

#include "runtime/in_fiber.h"

#include "base/metrics.h"
#include "tls/keyd_wire.h"

#include <thrum/keyd.h>
#include <thrum/pool.h>
#include <thrum/sim.h>
#include <thrum/stream.h>
#include <thrum/tls.h>
#include <thrum/tls_stream.h>

#include <openssl/pem.h>

#include <stdatomic.h>
#include <unistd.h>

#define CROWD 24

/* ---- a server with an RSA key, and clients that believe anybody -------------------------------
 */

static char folder[] = "/tmp/off-loop-XXXXXX";
static char cert_file[64];
static char key_file[64];
static char keyd_spec[96];
static th_tls *server_tls;
static th_tls *client_tls;

static void make_files(const char *kind)
{
    EVP_PKEY *key = mint_key(kind);
    X509 *cert = mint_cert(key, NULL, NULL, (minting){ .cn = "test" });
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(cert_file, sizeof cert_file, "%s/cert.pem", folder);
    snprintf(key_file, sizeof key_file, "%s/key.pem", folder);
    snprintf(keyd_spec, sizeof keyd_spec, "keyd:unix:%s/keyd#key", folder);
    FILE *f = fopen(cert_file, "we");
    ck_assert(f && PEM_write_X509(f, cert) == 1);
    fclose(f);
    f = fopen(key_file, "we");
    ck_assert(f && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(f);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void make_contexts(const char *key, unsigned handshakes_max)
{
    ck_assert_int_eq(
        th_tls_new(
            &(th_tls_opts){ .cert = cert_file, .key = key, .handshakes_max = handshakes_max },
            &server_tls),
        0);
    ck_assert_int_eq(th_tls_new(&(th_tls_opts){ .insecure_no_verification = 1 }, &client_tls), 0);
}

static void tidy_up(void)
{
    th_tls_unref(server_tls);
    th_tls_unref(client_tls);
    (void)unlink(cert_file);
    (void)unlink(key_file);
    (void)rmdir(folder);
}

/* One handshake over memory, and what both say. */
typedef struct meeting {
    th_stream *ends[2];
    int server;
    int client;
    char detail[256]; /* of the server's failure */
} meeting;

static int be_server(void *arg)
{
    meeting *m = arg;
    th_stream *stream = NULL;
    m->server = th_tls_server(server_tls, m->ends[0], NULL, &stream);
    snprintf(m->detail, sizeof m->detail, "%s", th_err_detail());
    if (m->server < 0)
        th_stream_free(m->ends[0]);
    th_stream_free(stream);
    return 0;
}

static int meet(void *arg)
{
    meeting *m = arg;
    th_scope scope;
    th_stream *stream = NULL;
    ck_assert_int_eq(th_stream_memory(0, m->ends), 0);
    open_scope(&scope);
    spawn(&scope, be_server, m);
    m->client =
        th_tls_client(client_tls, m->ends[1], &(th_tls_stream_opts){ .name = "test" }, &stream);
    if (m->client < 0)
        th_stream_free(m->ends[1]);
    (void)th_scope_close(&scope);
    th_stream_free(stream);
    return 0;
}

static void meet_well(void)
{
    meeting m = { .server = 1 };
    meet(&m);
    ck_assert_msg(m.server == 0 && m.client == 0, "%s, %s: %s", th_errname(m.server),
                  th_errname(m.client), m.detail);
}

static void meet_in_a_crowd(unsigned workers)
{
    static meeting all[CROWD];
    th_scope scope;
    open_scope(&scope);
    for (unsigned i = 0; i < CROWD; i++) {
        all[i] = (meeting){ .server = 1 };
        spawn_on(&scope, i % workers, meet, &all[i]);
    }
    close_scope(&scope);
    for (int i = 0; i < CROWD; i++)
        ck_assert_int_eq(all[i].server | all[i].client, 0);
}

/* ---- the pool -------------------------------------------------------------------------------- */

FIBER_TEST_ON(2, rsa_signs_in_the_pool)
{
    int64_t before = thi_metric_read(THI_M_TLS_SIGNED_POOL);
    make_files("RSA");
    make_contexts(key_file, 0);
    meet_in_a_crowd(2);
    ck_assert_int_eq(thi_metric_read(THI_M_TLS_SIGNED_POOL) - before, CROWD);
    tidy_up();
}

FIBER_TEST(a_bound_of_one_lets_all_in_one_by_one)
{
    make_files("RSA");
    make_contexts(key_file, 1);
    meet_in_a_crowd(1);
    ck_assert_int_eq(thi_metric_read(THI_M_TLS_HANDSHAKES_WAITING), 0);
    tidy_up();
}

static atomic_bool go_on;

static int hold_up(void *arg)
{
    (void)arg;
    while (!atomic_load(&go_on))
        ;
    return 0;
}

/* Somebody who waits for his turn behind one whose signature does not come. */
FIBER_TEST(the_time_for_a_handshake_runs_while_it_waits)
{
    static meeting first;
    static meeting second;
    th_scope scope;
    th_scope inner;
    make_files("RSA");
    make_contexts(key_file, 1);
    for (int i = 0; i < 64; i++) /* more than there are threads */
        ck_assert_int_eq(th_pool_submit(th_pool_default("crypto"), hold_up, NULL, 0, NULL), 0);
    open_scope(&scope);
    spawn(&scope, meet, &first);
    while (thi_metric_read(THI_M_TLS_HANDSHAKES_WAITING) == 0) /* its client, behind the server */
        if (th_yield() < 0 || first.server != 0 || first.client != 0)
            break;
    open_scope_for(&inner, 20 * TH_MILLISECOND);
    meet(&second);
    close_scope(&inner);
    ck_assert_int_eq(second.client, -ETIMEDOUT);
    (void)th_scope_cancel(&scope, 0);
    atomic_store(&go_on, true);
    (void)th_scope_close(&scope);
    ck_assert_int_eq(first.server, -ECANCELED);
    ck_assert_int_eq(thi_metric_read(THI_M_TLS_HANDSHAKES_WAITING), 0);
    meet_well();
    tidy_up();
}

/* A pool of the simulation computes, at a moment that the seed draws. */
static int meet_in_a_simulation(void *arg)
{
    (void)arg;
    meet_in_a_crowd(1);
    return 0;
}

START_TEST(in_a_simulation_its_own_pool_signs)
{
    int64_t before = thi_metric_read(THI_M_TLS_SIGNED_POOL);
    make_files("RSA");
    make_contexts(key_file, 4);
    for (uint64_t seed = 1; seed <= 5; seed++)
        ck_assert_int_eq(
            th_sim_run(meet_in_a_simulation, NULL, &(th_sim_opts){ .seed = seed }, NULL), 0);
    ck_assert_int_eq(thi_metric_read(THI_M_TLS_SIGNED_POOL) - before, INT64_C(5) * CROWD);
    tidy_up();
}
END_TEST

/* ---- the key process ------------------------------------------------------------------------- */

static bool listens;

static void on_listening(const th_addr *addr, void *arg)
{
    (void)addr;
    (void)arg;
    listens = true;
}

static int run_keyd(void *arg)
{
    const th_keyd_key key = { .file = key_file };
    const th_keyd_opts opts = { .keys = &key, .count = 1, .listening = on_listening };
    int err = th_keyd_serve(arg, &opts);
    listens = false;
    return err == -ECANCELED ? 0 : err;
}

static void start_keyd(th_scope *scope)
{
    static char address[96];
    snprintf(address, sizeof address, "unix:%s/keyd", folder);
    open_scope(scope);
    spawn(scope, run_keyd, address);
    while (!listens)
        th_yield();
}

static void stop_keyd(th_scope *scope)
{
    (void)th_scope_cancel(scope, 0);
    (void)th_scope_close(scope);
}

static void serve_from_keyd(const char *kind)
{
    th_scope scope;
    int64_t before = thi_metric_read(THI_M_TLS_SIGNED_KEYD);
    make_files(kind);
    start_keyd(&scope);
    make_contexts(keyd_spec, 0);
    ck_assert_int_eq(unlink(key_file), 0); /* nobody needs it any more */
    meet_in_a_crowd(2);
    ck_assert_int_eq(thi_metric_read(THI_M_TLS_SIGNED_KEYD) - before, CROWD);
    stop_keyd(&scope);
    tidy_up();
}

FIBER_TEST_ON(2, a_server_has_its_rsa_key_elsewhere)
{
    serve_from_keyd("RSA");
}

FIBER_TEST_ON(2, a_server_has_its_ec_key_elsewhere)
{
    serve_from_keyd("P-256");
}

FIBER_TEST(the_key_process_is_not_there_and_then_it_is)
{
    th_scope scope;
    meeting m = { .server = 1 };
    make_files("RSA");
    make_contexts(keyd_spec, 0); /* nobody is asked for this */
    meet(&m);
    ck_assert_int_eq(m.server, -ENOENT);
    ck_assert_ptr_nonnull(strstr(m.detail, "the key process at unix:"));
    ck_assert_int_eq(m.client, TH_ETLS); /* it was told */
    start_keyd(&scope);
    int64_t began = th_now();
    do {
        ck_assert_int_lt(th_now() - began, 5 * TH_SECOND);
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0); /* the pause passes */
        meet(&m);
    } while (m.server != 0);
    ck_assert_int_eq(m.client, 0);
    stop_keyd(&scope);
    tidy_up();
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "pool");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, rsa_signs_in_the_pool);
    tcase_add_test(tcase, a_bound_of_one_lets_all_in_one_by_one);
    tcase_add_test(tcase, the_time_for_a_handshake_runs_while_it_waits);
    tcase_add_test(tcase, in_a_simulation_its_own_pool_signs);
    tcase = thi_check_case(suite, "key process");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_server_has_its_rsa_key_elsewhere);
    tcase_add_test(tcase, a_server_has_its_ec_key_elsewhere);
    tcase_add_test(tcase, the_key_process_is_not_there_and_then_it_is);
}

int main(void)
{
    return thi_check_run("tls/off_loop", fill);
}
