/* SPDX-License-Identifier: MIT */

/*
 * What a file of certificates has in it, whatever its form is.
 *
 * A text is looked through for blocks by their labels, RFC 7468. Bytes are tried as one kind after
 * the other: only one of them can be parsed as what they are, since their outermost structures
 * differ.
 */
#include "cert_things.h"

#include <errno.h>
#include <string.h>

#define KINDS "neither a certificate, a request, a revocation list, a key nor a PKCS#12 file"

static bool has(th_str text, const char *word)
{
    return memmem(text.ptr, text.len, word, strlen(word)) != NULL;
}

static int read_key(th_str content, const th_passphrase *phrase, cert_things *things)
{
    int err = th_key_parse(content, phrase, &things->key);
    things->key_is_locked = err == -EACCES && !phrase;
    return things->key_is_locked ? 0 : err;
}

static int read_text(th_str text, const th_passphrase *phrase, cert_things *things)
{
    int err = 0;
    if (has(text, "-----BEGIN CERTIFICATE-----") || has(text, " TRUSTED CERTIFICATE-----") ||
        has(text, "-----BEGIN X509 CERTIFICATE-----"))
        err = th_certs_parse(text, &things->certs);
    if (err >= 0 && has(text, "CERTIFICATE REQUEST-----"))
        err = th_cert_request_parse(text, &things->request);
    if (err >= 0 && has(text, "-----BEGIN X509 CRL-----"))
        err = th_crl_parse(text, &things->crl);
    if (err >= 0 && (has(text, "PRIVATE KEY-----") || has(text, "-----BEGIN PUBLIC KEY-----")))
        err = read_key(text, phrase, things);
    return err < 0 ? err : 0;
}

static int read_pkcs12(th_str data, const th_passphrase *phrase, cert_things *things)
{
    th_pkcs12 p12;
    int err = th_pkcs12_parse(data, phrase, &p12);
    if (err < 0)
        return err;
    things->is_pkcs12 = true;
    things->key = p12.key;
    p12.key = NULL;
    if (p12.cert)
        err = th_certs_add(&things->certs, p12.cert);
    for (size_t i = 0; err == 0 && i < p12.chain.count; i++)
        err = th_certs_add(&things->certs, p12.chain.at[i]);
    th_pkcs12_clear(&p12);
    return err;
}

static int read_bytes(th_str data, const th_passphrase *phrase, cert_things *things)
{
    int err = th_certs_parse(data, &things->certs);
    if (err == TH_ETLS)
        err = th_cert_request_parse(data, &things->request);
    if (err == TH_ETLS)
        err = th_crl_parse(data, &things->crl);
    if (err == TH_ETLS)
        err = read_pkcs12(data, phrase, things);
    if (err == TH_ETLS)
        err = read_key(data, phrase, things);
    return err < 0 ? err : 0;
}

static bool is_empty(const cert_things *t)
{
    return t->certs.count == 0 && !t->key && !t->key_is_locked && !t->request && !t->crl;
}

bool cert_things_load(const command *cmd, const char *path, const cert_pass *pass,
                      cert_things *things)
{
    const th_passphrase phrase = { .text = { pass->text, pass->len } };
    const th_passphrase *given = pass->given ? &phrase : NULL;
    th_arena arena;
    th_str content;
    th_arena_init(&arena, NULL, 0, 0);
    bool ok = cert_load(cmd, path, &arena, &content);
    if (ok) {
        bool is_text = has(content, "-----BEGIN ");
        int err = is_text ? read_text(content, given, things) : read_bytes(content, given, things);
        explicit_bzero((char *)(uintptr_t)content.ptr, content.len);
        ok = err == 0 && !is_empty(things);
        if (err == -EACCES && !pass->given)
            print_error("thrum %s: %s: it is encrypted; --pass FILE tells its pass phrase",
                        cmd->name, path);
        else if (err == -EACCES)
            print_error("thrum %s: %s: the pass phrase is wrong", cmd->name, path);
        else if ((err == TH_ETLS && !is_text) || (err == 0 && !ok))
            print_error("thrum %s: %s: " KINDS, cmd->name, path);
        else if (err < 0)
            cert_failed(cmd, err, path);
    }
    th_arena_deinit(&arena);
    return ok;
}

void cert_things_clear(cert_things *things)
{
    th_certs_clear(&things->certs);
    th_key_unref(things->key);
    th_cert_request_unref(things->request);
    th_crl_unref(things->crl);
    *things = (cert_things){ .key = NULL };
}
