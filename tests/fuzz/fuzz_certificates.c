/* SPDX-License-Identifier: MIT */

/*
 * Keys, certificates, requests, revocation lists and PKCS#12 from untrusted bytes. What is read is
 * told in all its fields and as text, and what is written of it is read again as the same.
 */
#include <thrum/cert.h>
#include <thrum/cert_issue.h>
#include <thrum/cert_store.h>
#include <thrum/crl.h>
#include <thrum/key.h>
#include <thrum/pkcs12.h>

#include <stdint.h>
#include <stdlib.h>

static void must(int good)
{
    if (!good)
        abort();
}

static void look_at_key(th_str data, th_arena *arena)
{
    th_key *key = NULL, *again = NULL;
    th_str out;
    if (th_key_parse(data, NULL, &key) < 0)
        return;
    if (th_key_public_pem(key, arena, &out) == 0 && th_key_parse(out, NULL, &again) == 0)
        must(th_key_equal(key, again));
    th_key_unref(again);
    th_key_unref(key);
}

static void look_at_cert(th_str data, th_arena *arena)
{
    th_certs certs = { 0 };
    th_cert *again = NULL;
    th_cert_info info;
    th_str out;
    th_key *key = NULL;
    int count = th_certs_parse(data, &certs);
    must(count < 0 ? certs.count == 0 : (size_t)count == certs.count);
    for (size_t i = 0; i < certs.count && i < 4; i++) {
        (void)!th_cert_get_info(certs.at[i], arena, &info);
        (void)!th_cert_text(certs.at[i], arena, &out);
        (void)th_cert_is_for(certs.at[i], TH_STR("www.example.org"));
        if (th_cert_key(certs.at[i], &key) == 0)
            (void)!th_cert_verify(certs.at[i], key);
        th_key_unref(key);
        key = NULL;
        if (th_cert_der(certs.at[i], arena, &out) == 0 && th_cert_parse(out, &again) == 0)
            must(th_cert_equal(certs.at[i], again));
        th_cert_unref(again);
        again = NULL;
    }
    th_certs_clear(&certs);
}

static void look_at_request(th_str data, th_arena *arena)
{
    th_cert_request *request = NULL;
    th_str out;
    if (th_cert_request_parse(data, &request) < 0)
        return;
    (void)!th_cert_request_text(request, arena, &out);
    (void)!th_cert_request_verify(request, NULL);
    th_cert_request_unref(request);
}

static void look_at_list(th_str data, th_arena *arena)
{
    th_crl *crl = NULL;
    th_str out;
    if (th_crl_parse(data, &crl) < 0)
        return;
    (void)!th_crl_text(crl, arena, &out);
    (void)!th_crl_pem(crl, arena, &out);
    th_crl_unref(crl);
}

/* Trusting each certificate in it, checks the first against the others. */
static void check(th_str data, th_arena *arena)
{
    th_cert_store *store = NULL;
    th_certs certs = { 0 };
    th_cert_verdict verdict = { 0 };
    if (th_cert_store_new(&store) < 0)
        return;
    (void)!th_cert_store_add_text(store, data);
    if (th_certs_parse(data, &certs) > 0) {
        th_cert_check_opts opts = { .chain = &certs, .crl = TH_CRL_ALL, .when = 1 };
        (void)!th_cert_check(store, certs.at[0], &opts, arena, &verdict);
    }
    th_certs_clear(&verdict.chain);
    th_certs_clear(&certs);
    th_cert_store_unref(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    th_str data = th_str_make((const char *)bytes, size);
    th_pkcs12 p12 = { 0 };
    th_cert_name name;
    th_str out;
    int64_t seconds;
    th_arena arena;
    th_arena_init(&arena, NULL, 0, 0);
    look_at_key(data, &arena);
    look_at_cert(data, &arena);
    look_at_request(data, &arena);
    look_at_list(data, &arena);
    check(data, &arena);
    if (size < 4096)
        (void)!th_pkcs12_parse(data, NULL, &p12);
    th_pkcs12_clear(&p12);
    if (th_cert_name_parse(data, &arena, &name) == 0)
        must(th_cert_name_text(&name, &arena, &out) == 0);
    (void)!th_cert_time_parse(data, &seconds);
    th_arena_deinit(&arena);
    return 0;
}
