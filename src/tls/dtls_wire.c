/* SPDX-License-Identifier: MIT */

/* The two queues of datagrams. What has no room or no memory is lost, as it might be on the way. */
#include "tls/dtls_wire.h"

#include "base/alloc.h"
#include "base/util.h"
#include "tls/bio_kind.h"

#include <openssl/obj_mac.h>
#include <openssl/ssl.h>
#include <string.h>

static thi_datagram *datagram_of(thi_list *link)
{
    return link ? thi_list_item(link, thi_datagram, link) : NULL;
}

static thi_datagram *make_datagram(const void *data, size_t size)
{
    thi_datagram *d = thi_alloc(sizeof *d + size);
    if (!d)
        return NULL;
    d->size = size;
    memcpy(d->data, data, size);
    return d;
}

static void drop_all(thi_list *list)
{
    for (thi_datagram *d; (d = datagram_of(thi_list_pop_front(list))) != NULL;)
        thi_free(d);
}

void thi_dtls_wire_init(thi_dtls_wire *wire, size_t waiting_max)
{
    thi_list_init(&wire->in);
    thi_list_init(&wire->out);
    wire->waiting = 0;
    wire->waiting_max = waiting_max;
    wire->ssl = NULL;
}

void thi_dtls_wire_deinit(thi_dtls_wire *wire)
{
    drop_all(&wire->in);
    drop_all(&wire->out);
    wire->waiting = 0;
}

void thi_dtls_wire_feed(thi_dtls_wire *wire, const void *data, size_t size)
{
    thi_datagram *d = NULL;
    if (size > 0 && wire->waiting < wire->waiting_max)
        d = make_datagram(data, size);
    if (!d)
        return;
    thi_list_push_back(&wire->in, &d->link);
    wire->waiting++;
}

thi_datagram *thi_dtls_wire_take(thi_dtls_wire *wire)
{
    return datagram_of(thi_list_pop_front(&wire->out));
}

/* ---- what OpenSSL may see ---- */

/*
 * OpenSSL (3.0.19) is to pass over what is forged, but there are two things in a datagram, which
 * anybody can send who knows the addresses, that break a connection for good:
 *
 * - a record that says it is sealed, and is too short for it;
 * - such a one inside of another: where OpenSSL does not like the head of a record (by its version
 *   or size) it leaves out the head alone, and takes what follows for the next.
 *
 * So it gets only datagrams that are records from end to end as OpenSSL counts them, each long
 * enough. A genuine peer sends no others, and so the rest of a bad one is no loss.
 */

/* How long a sealed record is at least: a nonce, where it is sent, and the seal; 16: a block. */
static size_t sealed_min(const SSL_CIPHER *cipher)
{
    bool is_long = cipher && SSL_CIPHER_is_aead(cipher) &&
                   SSL_CIPHER_get_cipher_nid(cipher) != NID_chacha20_poly1305 &&
                   !strstr(SSL_CIPHER_get_name(cipher), "CCM8");
    return is_long ? 8 + 16 : 16;
}

/* How long any may be. */
static size_t record_max(const SSL *ssl)
{
    const SSL_SESSION *session = SSL_get_session(ssl);
    unsigned power = session ? SSL_SESSION_get_max_fragment_length(session) : 0;
    return power ? ((size_t)256 << power) + SSL3_RT_MAX_ENCRYPTED_OVERHEAD
                 : SSL3_RT_MAX_ENCRYPTED_LENGTH;
}

/* What the records of a connection must be at present. */
typedef struct bounds {
    size_t least; /* of those that are sealed */
    size_t most;
    int version; /* 0: not yet agreed upon */
} bounds;

static bounds bounds_of(const SSL *ssl)
{
    if (SSL_is_init_finished(ssl))
        return (bounds){ .least = sealed_min(SSL_get_current_cipher(ssl)),
                         .most = record_max(ssl),
                         .version = SSL_version(ssl) };
    return (bounds){ .least = sealed_min(SSL_get_pending_cipher(ssl)), .most = record_max(ssl) };
}

/* The size of the record that these bytes begin with, with its head; 0: it is none. */
static size_t record_size(const unsigned char *at, size_t left, const bounds *b)
{
    if (left < DTLS1_RT_HEADER_LENGTH)
        return 0;
    int version = at[1] << 8 | at[2];
    bool sealed = at[3] || at[4]; /* its epoch is not the first */
    size_t size = (size_t)at[11] << 8 | at[12];
    if (b->version ? version != b->version : at[1] != DTLS1_VERSION_MAJOR)
        return 0;
    if (size > b->most || size > left - DTLS1_RT_HEADER_LENGTH || (sealed && size < b->least))
        return 0;
    return DTLS1_RT_HEADER_LENGTH + size;
}

static bool may_be_genuine(const thi_dtls_wire *wire, const thi_datagram *d)
{
    bounds b = bounds_of(wire->ssl);
    for (size_t at = 0; at < d->size;) {
        size_t size = record_size((const unsigned char *)d->data + at, d->size - at, &b);
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

static thi_datagram *next_in(thi_dtls_wire *wire)
{
    for (thi_datagram *d; (d = datagram_of(thi_list_pop_front(&wire->in))) != NULL;) {
        wire->waiting--;
        if (!wire->ssl || may_be_genuine(wire, d))
            return d;
        thi_free(d);
    }
    return NULL;
}

/* ---- the BIO ---- */

static int wire_read(BIO *bio, char *buf, int size)
{
    thi_dtls_wire *wire = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    thi_datagram *d = size > 0 ? next_in(wire) : NULL;
    if (!d) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t n = thi_min(d->size, (size_t)size);
    memcpy(buf, d->data, n);
    thi_free(d);
    return (int)n;
}

static int wire_write(BIO *bio, const char *buf, int size)
{
    thi_dtls_wire *wire = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    thi_datagram *d = size > 0 ? make_datagram(buf, (size_t)size) : NULL;
    if (d) /* else it is lost */
        thi_list_push_back(&wire->out, &d->link);
    return size;
}

/* Timers and sizes of packets are the connection's matter: of all else nothing is known here. */
static long wire_ctrl(BIO *bio, int what, long number, void *arg)
{
    (void)bio, (void)number, (void)arg;
    return what == BIO_CTRL_FLUSH;
}

BIO *thi_dtls_wire_bio(thi_dtls_wire *wire)
{
    static thi_bio_kind kind = {
        .name = "datagrams", .read = wire_read, .write = wire_write, .ctrl = wire_ctrl
    };
    return thi_bio_new(&kind, wire);
}
