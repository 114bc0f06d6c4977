/* SPDX-License-Identifier: MIT */

/*
 * Datagrams of strangers to an end of DTLS. To a server that does not know the peer they have
 * nothing remembered, and bring no more bytes back than came. Amid a handshake they may end it, and
 * no more than that. Behind it they are passed over: they neither are a message nor keep one away.
 *
 * The first byte of an input chooses the end that is struck and when. Then comes one datagram after
 * the other, each behind its size in two bytes.
 */
#include "base/alloc.h"
#include "base/util.h"
#include "tls/dtls_core.h"

#include "fuzz_tls.h"

#include <thrum/error.h>
#include <thrum/time.h>

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* When the datagrams come. */
enum { FIRST, WITH_COOKIE, AMID, BEHIND };

static const th_addr peer = { .kind = TH_ADDR_IP4, .port = 1234, .ip = { 192, 0, 2, 1 } };

static thi_dtls_core server, client;

static void open_both(th_tls *tls)
{
    thi_tls_link_opts anybody = { .verify = TH_TLS_VERIFY_NONE_INSECURE };
    thi_tls_config *config = thi_tls_config_of(tls);
    expect(thi_dtls_core_init(&server, config, true, &(thi_tls_link_opts){ 0 }, THI_DTLS_MTU) == 0);
    expect(thi_dtls_core_init(&client, config, false, &anybody, THI_DTLS_MTU) == 0);
    thi_tls_config_unref(config);
}

/* What an end has made goes to the other, or nowhere (NULL); how many bytes. */
static size_t carry(thi_dtls_core *from, thi_dtls_core *to)
{
    size_t total = 0;
    for (thi_datagram *d; (d = thi_dtls_wire_take(&from->wire)) != NULL;) {
        total += d->size;
        if (to)
            thi_dtls_wire_feed(&to->wire, d->data, d->size);
        thi_free(d);
    }
    return total;
}

/* As far as the server knows where the client is. */
static void meet(void)
{
    expect(thi_dtls_core_handshake(&client) == -EAGAIN);
    carry(&client, &server);
    expect(thi_dtls_core_listen(&server, &peer) == 0);
    carry(&server, &client);
    expect(thi_dtls_core_handshake(&client) == -EAGAIN);
    carry(&client, &server);
    expect(thi_dtls_core_listen(&server, &peer) == 1);
}

static void shake(void)
{
    int ends[2] = { -EAGAIN, -EAGAIN };
    for (int i = 0; i < 10 && (ends[0] || ends[1]); i++) {
        ends[0] = thi_dtls_core_handshake(&server);
        carry(&server, &client);
        ends[1] = thi_dtls_core_handshake(&client);
        carry(&client, &server);
    }
    expect(ends[0] == 0 && ends[1] == 0);
}

static void until(int when)
{
    if (when == WITH_COOKIE || when == AMID || when == BEHIND)
        meet();
    else
        expect(thi_dtls_core_handshake(&client) == -EAGAIN);
    if (when == AMID) {
        expect(thi_dtls_core_handshake(&server) == -EAGAIN);
        carry(&server, &client);
        expect(thi_dtls_core_handshake(&client) == -EAGAIN);
    }
    if (when == BEHIND)
        shake();
    carry(&server, NULL);
    carry(&client, NULL);
}

/* One datagram has come; whether the end is still there for more. */
static bool look(thi_dtls_core *struck, int when, size_t came)
{
    char buf[100];
    if (when == BEHIND) {
        expect(thi_dtls_core_read(struck, buf, sizeof buf) == -EAGAIN);
        carry(struck, NULL);
        return true;
    }
    if (when == FIRST && struck == &server) {
        expect(thi_dtls_core_listen(struck, &peer) == 0);
        expect(carry(struck, NULL) <= came);
        return true;
    }
    int err = thi_dtls_core_handshake(struck);
    expect(err < 0 && thi_dtls_core_wait(struck) >= 0);
    carry(struck, NULL);
    if (err == -EAGAIN)
        return true;
    expect(thi_dtls_core_handshake(struck) == err);
    expect(thi_dtls_core_write(struck, buf, 1) == err);
    return false;
}

static void still_heard(thi_dtls_core *from, thi_dtls_core *to)
{
    char buf[16];
    expect(thi_dtls_core_write(from, "heard", 5) == 0);
    carry(from, to);
    expect(thi_dtls_core_read(to, buf, sizeof buf) == 5 && memcmp(buf, "heard", 5) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static th_tls *tls;
    bool goes_on = true;
    if (size < 1)
        return 0;
    if (!tls)
        tls = make_tls(true);
    open_both(tls);
    thi_dtls_core *struck = data[0] & 1 ? &client : &server;
    int when = data[0] >> 1 & 3;
    until(when);
    for (size_t at = 1; goes_on && at + 2 <= size;) {
        size_t n = thi_min((size_t)data[at] << 8 | data[at + 1], size - at - 2);
        thi_dtls_wire_feed(&struck->wire, data + at + 2, n);
        goes_on = look(struck, when, n);
        at += 2 + n;
    }
    if (when == BEHIND)
        still_heard(struck == &server ? &client : &server, struck);
    thi_dtls_core_deinit(&server);
    thi_dtls_core_deinit(&client);
    return 0;
}
