/* SPDX-License-Identifier: MIT */

/*
 * The record path of TLS over memory: whatever bytes come, and in whatever pieces, an engine says
 * what it may say, goes on saying it, and gives no byte to its user that the peer did not write.
 *
 * The first byte of an input chooses the role and where the input strikes: before the handshake, or
 * behind a complete one. The second is the size of the pieces. Then come the bytes.
 */
#include "fuzz_tls.h"

#include <thrum/error.h>
#include <thrum/tls_engine.h>

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void carry(th_tls_engine *from, th_tls_engine *to)
{
    char buf[4096];
    ssize_t n;
    while ((n = th_tls_engine_take(from, buf, sizeof buf)) > 0)
        expect(th_tls_engine_feed(to, buf, (size_t)n) == n);
}

static void shake(th_tls_engine *server, th_tls_engine *client)
{
    for (int i = 0; i < 10; i++) {
        (void)!th_tls_engine_handshake(client);
        carry(client, server);
        (void)!th_tls_engine_handshake(server);
        carry(server, client);
    }
    expect(th_tls_engine_handshake(client) == 0);
    expect(th_tls_engine_handshake(server) == 0);
}

static bool may_be_said(ssize_t result)
{
    return result == -EAGAIN || result == -ENOBUFS || result == TH_ETLS || result == TH_EOF ||
           result == TH_ETRUNCATED || result == TH_ELIMIT;
}

/* Nobody knows the keys, so nothing that is not the peer's can be read. */
static void look(th_tls_engine *engine)
{
    char buf[100];
    ssize_t n = th_tls_engine_read(engine, buf, sizeof buf);
    expect(may_be_said(n));
    if (n == TH_ETLS || n == TH_ELIMIT || n == TH_ETRUNCATED) {
        expect(th_tls_engine_read(engine, buf, sizeof buf) == n);
        expect(th_tls_engine_write(engine, buf, 1) == n);
    }
}

static void strike(th_tls_engine *engine, const uint8_t *data, size_t size, size_t piece)
{
    char alert[4096];
    for (size_t at = 0; at < size;) {
        size_t n = size - at < piece ? size - at : piece;
        ssize_t fed = th_tls_engine_feed(engine, data + at, n);
        expect(fed == (ssize_t)n || fed == -ENOBUFS || (fed > 0 && fed < (ssize_t)n));
        look(engine);
        expect(th_tls_engine_take(engine, alert, sizeof alert) >= 0);
        if (fed <= 0)
            break;
        at += (size_t)fed;
    }
    expect(th_tls_engine_feed_end(engine) == 0);
    look(engine);
    expect(th_tls_engine_read(engine, alert, 1) != -EAGAIN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static th_tls *tls;
    th_tls_engine *server, *client;
    th_tls_engine_opts anybody = { .connection.verify = TH_TLS_VERIFY_NONE_INSECURE };
    if (size < 2)
        return 0;
    if (!tls)
        tls = make_tls(false);
    expect(th_tls_engine_new(tls, TH_TLS_SERVER, NULL, &server) == 0);
    expect(th_tls_engine_new(tls, TH_TLS_CLIENT, &anybody, &client) == 0);
    if (data[0] & 2)
        shake(server, client);
    strike(data[0] & 1 ? client : server, data + 2, size - 2, 1 + (size_t)data[1] * 8);
    th_tls_engine_free(server);
    th_tls_engine_free(client);
    return 0;
}
