/* SPDX-License-Identifier: MIT */

/*
 * The record path of TLS over memory: whatever bytes come, and in whatever pieces, an engine says
 * what it may say, goes on saying it, and gives no byte to its user that the peer did not write.
 *
 * The first byte of an input chooses the role and where the input strikes: before the handshake, or
 * behind a complete one. The second is the size of the pieces. Then come the bytes.
 */
#include <thrum/error.h>
#include <thrum/tls.h>
#include <thrum/tls_engine.h>

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition)
{
    if (!condition)
        abort();
}

/* A key of the test's own and a certificate for it, until 2125. */
static const char identity[] = "-----BEGIN PRIVATE KEY-----\n"
                               "MC4CAQAwBQYDK2VwBCIEIN/XE7RYfXIHiEQ4MgbxKmRM/p9Xwhw9o12xmyxdKvQg\n"
                               "-----END PRIVATE KEY-----\n"
                               "-----BEGIN CERTIFICATE-----\n"
                               "MIIBVTCCAQegAwIBAgIUHVnCGO//o1xoEMTlVxYC6ho15KkwBQYDK2VwMBQxEjAQ\n"
                               "BgNVBAMMCWZ1enoudGVzdDAgFw0yNjExMjcwMzU4MjNaGA8yMTI2MTEwMzAzNTgy\n"
                               "M1owFDESMBAGA1UEAwwJZnV6ei50ZXN0MCowBQYDK2VwAyEAJ8sFmqD1FpHtTp+i\n"
                               "w5mijK53qaxa92fLBlIbyRyN7gGjaTBnMB0GA1UdDgQWBBRW9h1W/dqRgopxHZP+\n"
                               "KnS50DQ0rTAfBgNVHSMEGDAWgBRW9h1W/dqRgopxHZP+KnS50DQ0rTAPBgNVHRMB\n"
                               "Af8EBTADAQH/MBQGA1UdEQQNMAuCCWZ1enoudGVzdDAFBgMrZXADQQBaY2jpHIJU\n"
                               "CtW0mLf0mes7jX/R2ll+ovOncqQwvlPOw8VOQSSH/Ar77/9Wki03Uu4pvGJx1A93\n"
                               "YjJF4h76GDkJ\n"
                               "-----END CERTIFICATE-----\n";

static th_tls *make_tls(void)
{
    th_tls *tls = NULL;
    th_tls_cert cert = { .cert_pem = th_str_of(identity) };
    th_tls_opts opts = { .certs = &cert,
                         .certs_count = 1,
                         .insecure_no_verification = 1,
                         .no_sessions = 1,
                         .tickets = TH_TLS_NO_TICKETS };
    expect(th_tls_new(&opts, &tls) == 0);
    return tls;
}

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
        tls = make_tls();
    expect(th_tls_engine_new(tls, TH_TLS_SERVER, NULL, &server) == 0);
    expect(th_tls_engine_new(tls, TH_TLS_CLIENT, &anybody, &client) == 0);
    if (data[0] & 2)
        shake(server, client);
    strike(data[0] & 1 ? client : server, data + 2, size - 2, 1 + (size_t)data[1] * 8);
    th_tls_engine_free(server);
    th_tls_engine_free(client);
    return 0;
}
