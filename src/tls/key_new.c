/* SPDX-License-Identifier: MIT */

/* Making keys. */
#include "base/util.h"
#include "pool/blocking.h"
#include "tls/key.h"
#include "tls/ossl.h"
#include "tls/passphrase.h"

#include <thrum/str.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BITS_MIN 1024
#define BITS_MAX 16384 /* what OpenSSL accepts in a handshake */
#define BITS     3072

/* With the names that OpenSSL has for the same. */
static const struct curve {
    const char *name, *other;
} curves[] = {
    { "P-256", "prime256v1" },   { "P-384", "secp384r1" },    { "P-521", "secp521r1" },
    { "P-224", "secp224r1" },    { "secp256k1", NULL },       { "brainpoolP256r1", NULL },
    { "brainpoolP384r1", NULL }, { "brainpoolP512r1", NULL },
};

const char *th_key_curve(size_t index)
{
    return index < thi_array_len(curves) ? curves[index].name : NULL;
}

/* ---- the kinds ---- */

/* What is to be made, and what became of it. */
typedef struct order {
    const char *type;  /* OpenSSL's name */
    const char *curve; /* of an EC key */
    size_t bits;       /* of an RSA key */
    EVP_PKEY *pkey;
} order;

static int make(void *arg)
{
    order *o = arg;
    thi_ossl_begin();
    if (o->bits > 0)
        o->pkey = EVP_PKEY_Q_keygen(NULL, NULL, o->type, o->bits);
    else if (o->curve)
        o->pkey = EVP_PKEY_Q_keygen(NULL, NULL, o->type, o->curve);
    else
        o->pkey = EVP_PKEY_Q_keygen(NULL, NULL, o->type);
    return o->pkey ? 0 : thi_ossl_fail(TH_ETLS, "making a key");
}

static int read_bits(const char *text, size_t *bits)
{
    uint64_t n;
    if (th_str_to_u64(th_str_of(text), &n) < 0 || n < BITS_MIN || n > BITS_MAX)
        return thi_err_set(-EINVAL, "an RSA key has %d to %d bits, not \"%s\"", BITS_MIN, BITS_MAX,
                           text);
    *bits = (size_t)n;
    return 0;
}

static int read_curve(const char *text, const char **curve)
{
    for (size_t i = 0; i < thi_array_len(curves); i++)
        if (th_str_eq_nocase(th_str_of(text), th_str_of(curves[i].name)) ||
            (curves[i].other && strcmp(text, curves[i].other) == 0)) {
            *curve = curves[i].name;
            return 0;
        }
    return thi_err_set(-EINVAL, "unknown curve \"%s\"; P-256, P-384 and P-521 are the usual ones",
                       text);
}

/* Fills the order from "kind" or "kind:argument". */
static int read_what(const char *what, order *o)
{
    const char *colon = strchr(what, ':');
    const char *argument = colon ? colon + 1 : NULL;
    th_str kind = th_str_make(what, colon ? (size_t)(colon - what) : strlen(what));
    if (th_str_eq_nocase(kind, TH_STR("ec"))) {
        o->type = "EC";
        return read_curve(argument ? argument : "P-256", &o->curve);
    }
    if (th_str_eq_nocase(kind, TH_STR("rsa"))) {
        o->type = "RSA";
        o->bits = BITS;
        return argument ? read_bits(argument, &o->bits) : 0;
    }
    if (!argument && th_str_eq_nocase(kind, TH_STR("ed25519")))
        o->type = "ED25519";
    else if (!argument && th_str_eq_nocase(kind, TH_STR("ed448")))
        o->type = "ED448";
    else
        return thi_err_set(-EINVAL, "unknown kind of key \"%s\"; ec, rsa and ed25519 are known",
                           what);
    return 0;
}

int th_key_new(const char *what, th_key **key)
{
    order o = { 0 };
    if (!key)
        return thi_err_clear(-EINVAL);
    int err = read_what(what ? what : "ec", &o);
    if (err == 0)
        err = o.bits > 0 ? thi_compute(make, &o) : make(&o);
    return err == 0 ? thi_key_wrap(o.pkey, true, key) : err;
}
