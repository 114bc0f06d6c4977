/* SPDX-License-Identifier: MIT */

/*
 * How OpenSSL reaches the bytes of an engine: a BIO between its two buffers.
 *
 * OpenSSL never sees a descriptor. What came from the peer lies in `in` before OpenSSL is called,
 * and what it makes for the peer lies in `out` when it returns; who moves the bytes is not its
 * business, and so it never runs into a wait or an error of the network. It reads a record in two
 * pieces, the head and the rest, and so takes nothing that is behind the record: what a peer sends
 * plainly behind its last one is still in `in` then.
 *
 * A write is taken as a whole or not at all. OpenSSL would keep a record of which half was taken
 * and insist on going on with just that one; so one that has been begun must never be refused,
 * which is what `unbounded` is for.
 */
#include "tls/bio.h"

#include "base/util.h"
#include "tls/bio_kind.h"
#include "tls/kernel.h"

#include <string.h>

/* Keeps the head of the first record, or of what is none. */
static void note_first(thi_tls_wire *wire, const char *buf, size_t n)
{
    n = thi_min(n, sizeof wire->seen - wire->seen_count);
    memcpy(wire->seen + wire->seen_count, buf, n);
    wire->seen_count += (unsigned char)n;
}

static int wire_read(BIO *bio, char *buf, int size)
{
    thi_tls_wire *wire = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (size <= 0)
        return 0;
    size_t n = thi_buf_read(&wire->in, buf, (size_t)size);
    if (TH_UNLIKELY(wire->seen_count < sizeof wire->seen))
        note_first(wire, buf, n);
    if (n > 0)
        return (int)n;
    BIO_set_retry_read(bio);
    return -1;
}

static int wire_write(BIO *bio, const char *buf, int size)
{
    thi_tls_wire *wire = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (size <= 0)
        return 0;
    if (!wire->unbounded && thi_buf_len(&wire->out) >= wire->out_limit) {
        BIO_set_retry_write(bio);
        return -1;
    }
    int err = TH_UNLIKELY(wire->kernel.sends)
                  ? thi_tls_kernel_put(wire, wire->kernel.next, buf, (size_t)size)
                  : thi_buf_append(&wire->out, buf, (size_t)size);
    if (err < 0) {
        wire->no_memory = true;
        return -1;
    }
    return size;
}

static long wire_ctrl(BIO *bio, int what, long number, void *arg)
{
    if (what == BIO_CTRL_FLUSH)
        return 1; /* nothing is held back */
    return thi_tls_kernel_ctrl(BIO_get_data(bio), what, number, arg);
}

BIO *thi_tls_bio_new(thi_tls_wire *wire)
{
    static thi_bio_kind kind = {
        .name = "thrum", .read = wire_read, .write = wire_write, .ctrl = wire_ctrl
    };
    return thi_bio_new(&kind, wire);
}
