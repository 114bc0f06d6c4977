/* SPDX-License-Identifier: MIT */

/* Pins: hashes of the public keys that are accepted. */
#include "tls/pins.h"

#include "base/alloc.h"
#include "base/error.h"

#include <thrum/str.h>

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

/* Of 32 bytes in base64: 43 digits and a padding. */
#define BASE64_LEN 44
#define HEX_LEN    (2 * THI_TLS_PIN_SIZE)

static bool read_base64(const char *text, unsigned char pin[static THI_TLS_PIN_SIZE])
{
    unsigned char out[BASE64_LEN / 4 * 3];
    if (strlen(text) != BASE64_LEN || strchr(text, '=') != text + BASE64_LEN - 1)
        return false;
    if (EVP_DecodeBlock(out, (const unsigned char *)text, BASE64_LEN) != (int)sizeof out)
        return false;
    memcpy(pin, out, THI_TLS_PIN_SIZE);
    return true;
}

static bool read_hex(const char *text, unsigned char pin[static THI_TLS_PIN_SIZE])
{
    return strlen(text) == HEX_LEN && th_str_hex_decode(th_str_of(text), (char *)pin) == 0;
}

static int read_pin(const char *text, unsigned char pin[static THI_TLS_PIN_SIZE])
{
    const char prefix[] = "sha256/";
    const char *digits = text + strlen(prefix);
    if (strncmp(text, prefix, strlen(prefix)) == 0) {
        if (*digits == '/')
            digits++;
        if (read_base64(digits, pin) || read_hex(digits, pin))
            return 0;
        /* A base64 pin that begins with a slash looks as if curl had written it. */
        if (digits[-1] == '/' && read_base64(digits - 1, pin))
            return 0;
    }
    return thi_err_set(TH_ECONFIG, "pin '%.80s' is not 'sha256/' and base64 or hex of 32 bytes",
                       text);
}

int thi_tls_pins_parse(const char *const *texts, thi_tls_pins *pins)
{
    size_t count = 0;
    while (texts && texts[count])
        count++;
    *pins = (thi_tls_pins){ 0 };
    if (count == 0)
        return 0;
    pins->list = thi_calloc(count, sizeof *pins->list);
    if (!pins->list)
        return thi_err_clear(-ENOMEM);
    for (pins->count = 0; pins->count < count; pins->count++) {
        int err = read_pin(texts[pins->count], pins->list[pins->count]);
        if (err < 0) {
            thi_tls_pins_deinit(pins);
            return err;
        }
    }
    return 0;
}

void thi_tls_pins_deinit(thi_tls_pins *pins)
{
    thi_free(pins->list);
    *pins = (thi_tls_pins){ 0 };
}

bool thi_tls_pins_have(const thi_tls_pins *pins, const X509 *cert)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    bool hashed = len > 0 && EVP_Digest(der, (size_t)len, hash, NULL, EVP_sha256(), NULL) == 1;
    OPENSSL_free(der);
    for (size_t i = 0; hashed && i < pins->count; i++)
        if (memcmp(pins->list[i], hash, THI_TLS_PIN_SIZE) == 0)
            return true;
    return false;
}

bool thi_tls_pins_have_one(const thi_tls_pins *pins, const STACK_OF(X509) * chain)
{
    for (int i = 0; i < sk_X509_num(chain); i++)
        if (thi_tls_pins_have(pins, sk_X509_value(chain, i)))
            return true;
    return false;
}
