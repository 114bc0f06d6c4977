/* SPDX-License-Identifier: MIT */

/*
 * Tickets of a server.
 *
 * OpenSSL asks for the keys through one callback, for a new ticket and for one that came. What it
 * says back is whether the ticket is good and whether it is to be replaced. In TLS 1.3 every ticket
 * is: a client uses each once (RFC 8446 C.4), and without a new one its next handshake but one
 * would be a full one.
 *
 * The session cache of OpenSSL is off: it would only be a lock that all connections share. Its
 * option for early data that would bring it back, replay protection by stateful tickets, is off as
 * well (early.c).
 */
#include "tls/tickets.h"

#include "base/error.h"
#include "base/util.h"
#include "tls/ossl.h"
#include "tls/slot.h"

#include <thrum/time.h>

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <string.h>

static void forget_keys(void *keys)
{
    th_tls_ticket_keys_unref(keys);
}

static thi_slot keys_of = { .class = CRYPTO_EX_INDEX_SSL_CTX, .forget = forget_keys };

/* Fetched once, which takes a lock and a search by name, and there until the process ends. */
static _Atomic(EVP_CIPHER *) cipher;

static bool have_cipher(void)
{
    EVP_CIPHER *there = atomic_load(&cipher);
    EVP_CIPHER *made = there ? NULL : EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    if (made && !atomic_compare_exchange_strong(&cipher, &there, made))
        EVP_CIPHER_free(made);
    return there || made;
}

static int set_mac(EVP_MAC_CTX *mac, const th_tls_ticket_key *key)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY,
                                          (void *)(uintptr_t)thi_ticket_mac(key), THI_TICKET_MAC),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params);
}

/* 1; -1 when OpenSSL fails. */
static int make(th_tls_ticket_keys *keys, unsigned char *name, unsigned char *iv,
                EVP_CIPHER_CTX *crypt, EVP_MAC_CTX *mac)
{
    th_tls_ticket_key key;
    thi_ticket_keys_current(keys, &key);
    memcpy(name, key.bytes, THI_TICKET_NAME);
    bool made = RAND_bytes(iv, EVP_CIPHER_get_iv_length(cipher)) > 0 &&
                EVP_EncryptInit_ex2(crypt, cipher, thi_ticket_aes(&key), iv, NULL) > 0 &&
                set_mac(mac, &key) > 0;
    OPENSSL_cleanse(&key, sizeof key);
    return made ? 1 : -1;
}

/* 0: not ours, let there be a full handshake; 1: good; 2: good, and to be replaced. */
static int take(th_tls_ticket_keys *keys, const SSL *ssl, const unsigned char *name,
                const unsigned char *iv, EVP_CIPHER_CTX *crypt, EVP_MAC_CTX *mac)
{
    th_tls_ticket_key key;
    thi_ticket_age age = thi_ticket_keys_find(keys, name, &key);
    if (age == THI_TICKET_UNKNOWN)
        return 0;
    bool taken = set_mac(mac, &key) > 0 &&
                 EVP_DecryptInit_ex2(crypt, cipher, thi_ticket_aes(&key), iv, NULL) > 0;
    OPENSSL_cleanse(&key, sizeof key);
    if (!taken)
        return -1;
    return age == THI_TICKET_PREVIOUS || SSL_version(ssl) == TLS1_3_VERSION ? 2 : 1;
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *crypt,
                     EVP_MAC_CTX *mac, int encrypts)
{
    th_tls_ticket_keys *keys = thi_slot_ctx(&keys_of, SSL_get_SSL_CTX(ssl));
    if (!keys)
        return encrypts ? -1 : 0;
    return encrypts ? make(keys, name, iv, crypt, mac) : take(keys, ssl, name, iv, crypt, mac);
}

static bool are_valid(const thi_tls_ticket_rules *rules)
{
    return rules->count >= 0 && rules->count <= THI_TLS_TICKETS_MAX &&
           rules->session_time >= TH_SECOND && rules->session_time <= THI_TLS_SESSION_MAX &&
           rules->id && rules->id_size >= 1 && rules->id_size <= SSL_MAX_SID_CTX_LENGTH;
}

/* OpenSSL copies the time and the number into each connection. */
static void set_rules(SSL_CTX *ctx, const thi_tls_ticket_rules *rules)
{
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(ctx, (long)(rules->session_time / TH_SECOND));
    SSL_CTX_set_num_tickets(ctx, (size_t)rules->count);
    if (rules->count == 0)
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    else
        SSL_CTX_clear_options(ctx, SSL_OP_NO_TICKET);
}

int thi_tls_tickets_attach(SSL_CTX *ctx, th_tls_ticket_keys *keys,
                           const thi_tls_ticket_rules *rules)
{
    if (!keys || !are_valid(rules))
        return thi_err_clear(-EINVAL);
    thi_ossl_begin();
    if (!have_cipher())
        return thi_ossl_fail(-ENOMEM, "tickets");
    if (!SSL_CTX_set_session_id_context(ctx, rules->id, (unsigned)rules->id_size) ||
        !SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket))
        return thi_ossl_fail(TH_ETLS, "tickets");
    th_tls_ticket_keys *before = thi_slot_ctx(&keys_of, ctx);
    int err = thi_slot_put_ctx(&keys_of, ctx, th_tls_ticket_keys_ref(keys));
    if (err < 0) {
        th_tls_ticket_keys_unref(keys);
        return err;
    }
    th_tls_ticket_keys_unref(before);
    set_rules(ctx, rules);
    return 0;
}
