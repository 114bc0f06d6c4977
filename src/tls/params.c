/* SPDX-License-Identifier: MIT */

/* What an address says of TLS, and the contexts that follow from it. */
#include "tls/params.h"

#include "base/alloc.h"
#include "base/error.h"
#include "proto/url.h"

#include <thrum/cert_dev.h>
#include <thrum/str.h>

#include <errno.h>
#include <string.h>

/* ---- reading ---- */

/* Where the value of a parameter goes; NULL: no parameter is called so. */
static const char **slot_of(thi_tls_params *params, th_str name)
{
    const struct {
        const char *name;
        const char **slot;
    } known[] = { { "cert", &params->cert },
                  { "key", &params->key },
                  { "ca", &params->ca },
                  { "name", &params->name } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (th_str_eq(name, th_str_of(known[i].name)))
            return known[i].slot;
    return NULL;
}

/* Decodes a value behind `at`, with its NUL; NULL when it is none. */
static char *put_value(th_str value, char *at)
{
    ssize_t len = thi_url_decode(value, false, at);
    if (len <= 0 || memchr(at, '\0', (size_t)len))
        return NULL;
    at[len] = '\0';
    return at + len + 1;
}

/* One "name=value"; *at is where values are put. */
static int take(thi_tls_params *params, th_str name, th_str value, const char *address, char **at)
{
    if (th_str_eq(name, th_str_of("dev")) && value.len == 0) {
        params->dev = true;
        return 0;
    }
    const char **slot = slot_of(params, name);
    if (!slot)
        return thi_err_set(TH_EADDRESS,
                           "'%.100s': TLS knows cert, key, ca, name and dev, but not '%.*s'",
                           address, (int)name.len, name.ptr);
    char *end = *slot || !*at ? NULL : put_value(value, *at);
    if (!end)
        return thi_err_set(TH_EADDRESS, "'%.100s': '%.*s' must have one value", address,
                           (int)name.len, name.ptr);
    *slot = *at;
    *at = end;
    return 0;
}

static int check(const thi_tls_params *params, const char *address)
{
    if (params->key && !params->cert)
        return thi_err_set(TH_EADDRESS, "'%.100s' names a key without a certificate", address);
    if (params->dev && (params->cert || params->ca))
        return thi_err_set(TH_EADDRESS, "'%.100s': dev stands for cert and ca, and beside neither",
                           address);
    return 0;
}

int thi_tls_params_read(const char *text, const char *address, thi_tls_params *params)
{
    thi_tls_params read = { .text = NULL };
    th_str rest = th_str_of(text ? text : "");
    th_str name, value;
    int err = 0;
    if (rest.len > 0) {
        read.text = thi_alloc(rest.len + 1); /* each value is at least as long here as decoded */
        if (!read.text)
            return thi_err_clear(-ENOMEM);
    }
    char *at = read.text;
    while (err == 0 && thi_url_query_next(&rest, &name, &value))
        err = take(&read, name, value, address, &at);
    if (err == 0)
        err = check(&read, address);
    if (err < 0)
        thi_tls_params_deinit(&read);
    else
        *params = read;
    return err;
}

void thi_tls_params_deinit(thi_tls_params *params)
{
    thi_free(params->text);
    params->text = NULL;
}

bool thi_tls_params_make(const thi_tls_params *params)
{
    return params->cert || params->ca || params->dev;
}

/* ---- contexts ---- */

static int refuse_both(const char *address)
{
    return thi_err_set(-EINVAL, "%.100s says how TLS is spoken, and .tls does so as well", address);
}

static int from_files(const char *cert, const char *key, const char *ca, bool server, th_tls **tls)
{
    const char *const files[] = { ca, NULL };
    th_tls_opts opts = { .cert = cert, .key = key };
    if (ca)
        opts.trust.files = files;
    if (ca && server)
        opts.client_auth = TH_TLS_CLIENT_AUTH_REQUIRED;
    return th_tls_new(&opts, tls);
}

static int from_dev(bool server, th_tls **tls)
{
    th_cert_dev *dev;
    int err = th_cert_dev_open(NULL, &dev);
    if (err < 0)
        return err;
    err = server ? from_files(th_cert_dev_file(dev), NULL, NULL, true, tls)
                 : from_files(NULL, NULL, th_cert_dev_authority_file(dev), false, tls);
    th_cert_dev_free(dev);
    return err;
}

static int make(const thi_tls_params *params, bool server, th_tls **tls)
{
    return params->dev ? from_dev(server, tls)
                       : from_files(params->cert, params->key, params->ca, server, tls);
}

int thi_tls_params_server(const thi_tls_params *params, th_tls *given, const char *address,
                          th_tls **tls)
{
    if (given && thi_tls_params_make(params))
        return refuse_both(address);
    if (params->cert || params->dev)
        return make(params, true, tls);
    if (!given)
        return thi_err_set(
            -EINVAL,
            "%.100s needs a certificate: set .tls, write ?cert=FILE, or ?dev for the "
            "one of thrum cert dev",
            address);
    *tls = th_tls_ref(given);
    return 0;
}

int thi_tls_params_client(const thi_tls_params *params, th_tls *given, const char *address,
                          th_tls **tls)
{
    if (given && thi_tls_params_make(params))
        return refuse_both(address);
    if (thi_tls_params_make(params))
        return make(params, false, tls);
    if (!given)
        return th_tls_client_default(tls);
    *tls = th_tls_ref(given);
    return 0;
}
