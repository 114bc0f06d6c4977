/* SPDX-License-Identifier: MIT */

/* Serial numbers, of any size, between hexadecimal text and OpenSSL. */
#include "tls/cert_serial.h"

#include "base/error.h"
#include "tls/ossl.h"

#include <errno.h>
#include <openssl/bn.h>
#include <stdbool.h>
#include <string.h>

#define DIGITS_MAX 256
#define BITS       159 /* positive in 20 bytes, the most that RFC 5280, 4.1.2.2, allows */

int thi_serial_read(const ASN1_INTEGER *from, th_arena *arena, th_str *text)
{
    thi_ossl_begin();
    BIGNUM *number = ASN1_INTEGER_to_BN(from, NULL);
    char *hex = number ? BN_bn2hex(number) : NULL;
    BN_free(number);
    if (!hex)
        return thi_ossl_fail(-ENOMEM, "a serial number");
    bool negative = hex[0] == '-';
    const char *digits = hex + negative;
    char *made = th_arena_printf(arena, "%s%s%s", negative ? "-" : "",
                                 strlen(digits) % 2 ? "0" : "", digits);
    OPENSSL_free(hex);
    if (!made)
        return thi_err_clear(-ENOMEM);
    *text = th_str_of(made);
    return 0;
}

/* The digits without colons; false for what is not that. */
static bool gather(const char *text, char digits[DIGITS_MAX + 1])
{
    size_t n = 0;
    for (; *text; text++) {
        bool digit = (*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'f') ||
                     (*text >= 'A' && *text <= 'F');
        if (*text == ':' && n > 0)
            continue;
        if (!digit || n == DIGITS_MAX)
            return false;
        digits[n++] = *text;
    }
    digits[n] = '\0';
    return n > 0;
}

int thi_serial_make(const char *text, ASN1_INTEGER **serial)
{
    char digits[DIGITS_MAX + 1];
    if (text && !gather(text, digits))
        return thi_err_set(-EINVAL, "\"%.60s\" is no serial number: hexadecimal digits, up to %d",
                           text, DIGITS_MAX);
    thi_ossl_begin();
    BIGNUM *number = BN_new();
    int ok = number ? 1 : 0;
    if (number && text)
        ok = BN_hex2bn(&number, digits) > 0;
    else if (number)
        ok = BN_rand(number, BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY);
    ASN1_INTEGER *made = ok == 1 ? BN_to_ASN1_INTEGER(number, NULL) : NULL;
    BN_free(number);
    if (!made)
        return thi_ossl_fail(-ENOMEM, "a serial number");
    *serial = made;
    return 0;
}
