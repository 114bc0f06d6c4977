/* SPDX-License-Identifier: MIT */

/*
 * Cookies of DTLS.
 *
 * All servers of a process share two secrets, the one in use and the one before it. A worker whose
 * socket gets the second hello of a client need not be the one that answered the first.
 */
#include "tls/dtls_cookie.h"

#include "base/util.h"
#include "sys/sys.h"
#include "tls/slot.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <string.h>

typedef struct secret {
    unsigned char bytes[32];
} secret;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of these */
static secret current, previous;
static int64_t changes_at; /* 0: there is none yet */

static thi_slot peer_of = { .class = CRYPTO_EX_INDEX_SSL };

/* Changes the secrets when it is time; under the lock. */
static bool renew(int64_t now)
{
    secret fresh;
    if (changes_at != 0 && now < changes_at && now >= changes_at - THI_DTLS_SECRET_TIME)
        return true;
    if (thi_sys_random(&fresh, sizeof fresh) < 0)
        return changes_at != 0; /* the old one does for once */
    bool both = changes_at == 0 || now - changes_at >= THI_DTLS_SECRET_TIME;
    previous = both ? fresh : current;
    current = fresh;
    OPENSSL_cleanse(&fresh, sizeof fresh);
    changes_at = now + THI_DTLS_SECRET_TIME;
    return true;
}

/* What of an address counts. */
static size_t write_address(const th_addr *peer, unsigned char bytes[24])
{
    size_t len = peer->kind == TH_ADDR_IP4 ? 4 : 16;
    bytes[0] = (unsigned char)peer->kind;
    bytes[1] = (unsigned char)(peer->port >> 8);
    bytes[2] = (unsigned char)peer->port;
    memcpy(bytes + 3, peer->ip, len);
    return 3 + len;
}

static bool make(const secret *key, const th_addr *peer, unsigned char *cookie)
{
    unsigned char address[24];
    unsigned len = THI_DTLS_COOKIE;
    size_t size = write_address(peer, address);
    return HMAC(EVP_sha256(), key->bytes, sizeof key->bytes, address, size, cookie, &len) != NULL;
}

bool thi_dtls_cookie_make(const th_addr *peer, int64_t now, unsigned char *cookie)
{
    pthread_mutex_lock(&lock);
    bool made = renew(now);
    secret key = current;
    pthread_mutex_unlock(&lock);
    made = made && make(&key, peer, cookie);
    OPENSSL_cleanse(&key, sizeof key);
    return made;
}

bool thi_dtls_cookie_check(const th_addr *peer, int64_t now, const unsigned char *cookie,
                           size_t size)
{
    unsigned char ours[2][THI_DTLS_COOKIE];
    pthread_mutex_lock(&lock);
    bool there = renew(now);
    secret keys[2] = { current, previous };
    pthread_mutex_unlock(&lock);
    bool made = there && size == THI_DTLS_COOKIE && make(&keys[0], peer, ours[0]) &&
                make(&keys[1], peer, ours[1]);
    OPENSSL_cleanse(keys, sizeof keys);
    if (!made)
        return false;
    return CRYPTO_memcmp(ours[0], cookie, size) == 0 || CRYPTO_memcmp(ours[1], cookie, size) == 0;
}

/* ---- for OpenSSL ---- */

static int on_make(SSL *ssl, unsigned char *cookie, unsigned *size)
{
    const th_addr *peer = thi_slot_ssl(&peer_of, ssl);
    *size = THI_DTLS_COOKIE;
    return peer && thi_dtls_cookie_make(peer, thi_sys_clock(), cookie);
}

static int on_check(SSL *ssl, const unsigned char *cookie, unsigned size)
{
    const th_addr *peer = thi_slot_ssl(&peer_of, ssl);
    return peer && thi_dtls_cookie_check(peer, thi_sys_clock(), cookie, size);
}

void thi_dtls_cookie_attach(SSL_CTX *ctx)
{
    SSL_CTX_set_cookie_generate_cb(ctx, on_make);
    SSL_CTX_set_cookie_verify_cb(ctx, on_check);
}

int thi_dtls_cookie_set_peer(SSL *ssl, const th_addr *peer)
{
    return thi_slot_put_ssl(&peer_of, ssl, (void *)(uintptr_t)peer);
}
