/* SPDX-License-Identifier: MIT */

/*
 * Private keys: what a full handshake of TLS 1.3 costs, for each way to use the server's key.
 *
 *   plain      OpenSSL's own key
 *   methods    a key with methods of ours that compute in place: what the way through them costs
 *   pool       the same in fibers of one worker, with a pool that computes
 *   job        OpenSSL's own key in an ASYNC_JOB, which has a stack of its own: what that costs,
 * without anything being computed elsewhere
 *
 * Both ends are in this process and joined by memory, so the client's half is in all figures alike.
 * `cpu` is CPU time of the process and `worker` that of the thread that makes the handshakes, both
 * in microseconds for one handshake. The ways take turns; shown are the median and the best round.
 *
 * usage: micro_signer [RSA-2048|P-256|...] [HANDSHAKES] [ROUNDS]
 */
#include "tls/signer.h"

#include <thrum.h>

#include <openssl/async.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS_MAX 100
#define TOGETHER   16 /* fibers */

static int count = 400;
static SSL_CTX *client;

static void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "micro_signer: %s\n", what);
    exit(1);
}

static int64_t clock_of(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* ---- a pair ---------------------------------------------------------------------------------- */

static SSL_CTX *server_of(EVP_PKEY *key, EVP_PKEY *used)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    X509 *cert = X509_new();
    must(ctx && cert, "no memory");
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_set_pubkey(cert, key);
    must(X509_sign(cert, key, EVP_sha256()) > 0, "no certificate");
    must(SSL_CTX_use_certificate(ctx, cert) == 1 && SSL_CTX_use_PrivateKey(ctx, used) == 1,
         "the key is not taken");
    SSL_CTX_set_num_tickets(ctx, 0);
    X509_free(cert);
    return ctx;
}

static void shake(SSL_CTX *server)
{
    SSL *a = SSL_new(server);
    SSL *b = SSL_new(client);
    BIO *to_a = BIO_new(BIO_s_mem());
    BIO *to_b = BIO_new(BIO_s_mem());
    must(a && b && to_a && to_b, "no memory");
    BIO_up_ref(to_a);
    BIO_up_ref(to_b);
    SSL_set_bio(a, to_a, to_b);
    SSL_set_bio(b, to_b, to_a);
    SSL_set_accept_state(a);
    SSL_set_connect_state(b);
    int done_a = 0;
    int done_b = 0;
    for (int i = 0; i < 10 && !(done_a == 1 && done_b == 1); i++) {
        done_b = SSL_do_handshake(b);
        done_a = SSL_do_handshake(a);
    }
    must(done_a == 1 && done_b == 1, "a handshake failed");
    SSL_free(a);
    SSL_free(b);
}

/* ---- the ways -------------------------------------------------------------------------------- */

typedef struct cost {
    int64_t cpu;
    int64_t worker;
    int64_t wall;
} cost;

typedef struct way {
    const char *name;
    SSL_CTX *server;
    bool fibers;
    cost costs[ROUNDS_MAX];
} way;

static int shake_some(void *arg)
{
    for (int i = 0; i < count / TOGETHER; i++)
        shake(arg);
    return 0;
}

static cost now(void)
{
    return (cost){ clock_of(CLOCK_PROCESS_CPUTIME_ID), clock_of(CLOCK_THREAD_CPUTIME_ID),
                   clock_of(CLOCK_MONOTONIC) };
}

static int run_way(void *arg)
{
    way *w = arg;
    th_scope scope;
    if (!w->fibers) {
        for (int i = 0; i < count; i++)
            shake(w->server);
        return 0;
    }
    must(th_scope_open(&scope, NULL) == 0, "no scope");
    th_spawn_opts opts = { .stack_size = (size_t)128 * 1024 };
    for (int i = 0; i < TOGETHER; i++)
        must(th_spawn_with(&scope, shake_some, w->server, &opts, NULL) == 0, "no fiber");
    return th_scope_close(&scope);
}

static void run_round(way *w, int round)
{
    cost began = now();
    th_run_opts opts = { .workers = 1, .no_signals = 1 };
    must((w->fibers ? th_run(run_way, w, &opts) : run_way(w)) == 0, "a way failed");
    cost ended = now();
    w->costs[round] =
        (cost){ (ended.cpu - began.cpu) / count, (ended.worker - began.worker) / count,
                (ended.wall - began.wall) / count };
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void print_column(const way *w, int rounds, size_t offset)
{
    int64_t values[ROUNDS_MAX];
    for (int i = 0; i < rounds; i++)
        memcpy(&values[i], (const char *)&w->costs[i] + offset, sizeof values[i]);
    qsort(values, (size_t)rounds, sizeof values[0], compare);
    printf("%10.1f %8.1f", (double)values[rounds / 2] / 1e3, (double)values[0] / 1e3);
}

static EVP_PKEY *make_key(const char *kind)
{
    if (strncmp(kind, "RSA-", 4) == 0)
        return EVP_RSA_gen((size_t)atoi(kind + 4));
    return EVP_EC_gen(kind);
}

int main(int argc, char **argv)
{
    const char *kind = argc > 1 ? argv[1] : "RSA-2048";
    count = argc > 2 ? atoi(argv[2]) : count;
    int rounds = argc > 3 ? atoi(argv[3]) : 9;
    EVP_PKEY *key = make_key(kind);
    EVP_PKEY *wrapped = NULL;
    must(key && rounds > 0 && rounds <= ROUNDS_MAX && count >= TOGETHER, "see the usage");
    must(thi_signer_wrap(key, THI_SIGNER_OFF_LOOP, &wrapped) == 0, "the key cannot be wrapped");
    client = SSL_CTX_new(TLS_client_method());
    way ways[] = { { .name = "plain", .server = server_of(key, key) },
                   { .name = "methods", .server = server_of(key, wrapped) },
                   { .name = "pool", .server = server_of(key, wrapped), .fibers = true },
                   { .name = "job", .server = server_of(key, key) } };
    must(ASYNC_is_capable() == 1, "no jobs");
    SSL_CTX_set_mode(ways[3].server, SSL_MODE_ASYNC);
    for (int round = 0; round < rounds; round++)
        for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
            run_round(&ways[i], round);
    printf("%s, %d handshakes a round, %d rounds; us for one: median and best\n", kind, count,
           rounds);
    printf("%-10s%19s%19s%19s\n", "", "cpu", "worker", "wall");
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        printf("%-10s", ways[i].name);
        print_column(&ways[i], rounds, offsetof(cost, cpu));
        print_column(&ways[i], rounds, offsetof(cost, worker));
        print_column(&ways[i], rounds, offsetof(cost, wall));
        printf("\n");
    }
    return 0;
}
