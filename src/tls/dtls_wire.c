/* SPDX-License-Identifier: MIT */

/* The two queues of datagrams. What has no room or no memory is lost, as it might be on the way. */
#include "tls/dtls_wire.h"

#include "base/alloc.h"
#include "base/util.h"
#include "tls/bio_kind.h"

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

/* ---- the BIO ---- */

static int wire_read(BIO *bio, char *buf, int size)
{
    thi_dtls_wire *wire = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    thi_datagram *d = size > 0 ? datagram_of(thi_list_pop_front(&wire->in)) : NULL;
    if (!d) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t n = thi_min(d->size, (size_t)size);
    memcpy(buf, d->data, n);
    wire->waiting--;
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
