/* SPDX-License-Identifier: MIT */

/* What happens in handshakes. */
#include "tls/info.h"

#include "tls/link.h"
#include "tls/ossl_aside.h"

static void tell(thi_tls_link *link, int what, int number, const char *text)
{
    const thi_tls_hooks *hooks = &link->config->hooks;
    thi_ossl_aside aside; /* an alert is told of in the middle of a failure */
    if (!hooks->info)
        return;
    thi_ossl_put_aside(&aside);
    hooks->info(what, number, text, link->user, hooks->arg);
    thi_ossl_take_back(&aside);
}

static void on_alert(thi_tls_link *link, int where, int number)
{
    bool received = (where & SSL_CB_READ) != 0;
    if (received)
        link->alert_received = number;
    else
        link->alert_sent = number;
    tell(link, received ? TH_TLS_INFO_ALERT_RECEIVED : TH_TLS_INFO_ALERT_SENT, number,
         thi_tls_alert_name(number));
}

/* OpenSSL tells of a handshake also when tickets come behind it: here there is one. */
static void on_info(const SSL *ssl, int where, int number)
{
    thi_tls_link *link = thi_tls_link_of(ssl);
    if (!link)
        return;
    if ((where & SSL_CB_ALERT) != 0) {
        on_alert(link, where, number & 0xff);
    } else if ((where & SSL_CB_HANDSHAKE_START) != 0 && !link->started) {
        link->started = true;
        tell(link, TH_TLS_INFO_START, 0, "");
    } else if ((where & SSL_CB_HANDSHAKE_DONE) != 0 && !link->done) {
        link->done = true;
        tell(link, TH_TLS_INFO_DONE, 0, "");
    } else if ((where & SSL_CB_LOOP) != 0 && !link->done) {
        tell(link, TH_TLS_INFO_STEP, 0, SSL_state_string_long(ssl));
    }
}

void thi_tls_info_attach(SSL_CTX *ctx)
{
    SSL_CTX_set_info_callback(ctx, on_info);
}
