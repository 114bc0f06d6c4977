/* SPDX-License-Identifier: MIT */

/*
 * A server's certificates by name.
 *
 * Two maps: whole names, and for wildcards what stands behind "*.". A look-up therefore costs two
 * probes, however many names there are: the whole name, then what is behind its first dot. As a
 * wildcard stands for exactly one label (RFC 6125, 6.4.3), there is no third.
 */
#include "tls/sni.h"

#include "base/alloc.h"
#include "base/error.h"
#include "sys/sys.h"

#include <errno.h>
#include <string.h>

void thi_tls_sni_init(thi_tls_sni *sni, int unknown)
{
    uint64_t seed[2] = { 0, 0 };
    /* Without a secret the maps still work; names come from certificates, not from strangers. */
    (void)thi_sys_random(seed, sizeof seed);
    thi_map_init(&sni->exact, seed[0]);
    thi_map_init(&sni->wildcard, seed[1]);
    sni->unknown = unknown;
}

static void forget(thi_map *map)
{
    for (const thi_map_entry *e = NULL; (e = thi_map_next(map, e)) != NULL;)
        thi_free((char *)(uintptr_t)e->key.bytes);
    thi_map_deinit(map);
}

void thi_tls_sni_deinit(thi_tls_sni *sni)
{
    forget(&sni->exact);
    forget(&sni->wildcard);
}

/* Letters, digits, hyphens, and the underscore that some names inside houses have. */
static bool is_label_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

/* Of a name's bytes, whatever the locale of the process says. */
static char to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

ssize_t thi_tls_name_read(const char *name, size_t len, char lower[static THI_TLS_NAME_MAX + 1])
{
    size_t label = 0;
    if (len > 0 && name[len - 1] == '.')
        len--; /* the root: "example.com." is the same name */
    if (len == 0 || len > THI_TLS_NAME_MAX)
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '.' ? label == 0 : !is_label_byte(name[i]))
            return -EINVAL;
        label = name[i] == '.' ? 0 : label + 1;
        if (label > 63)
            return -EINVAL;
        lower[i] = to_lower(name[i]);
    }
    if (label == 0)
        return -EINVAL;
    lower[len] = '\0';
    return (ssize_t)len;
}

static int put(thi_map *map, th_str name, SSL_CTX *ctx)
{
    if (thi_map_get(map, name))
        return 0;
    char *key = thi_strdup_n(name.ptr, name.len);
    if (!key)
        return thi_err_clear(-ENOMEM);
    int err = thi_map_put(map, th_str_make(key, name.len), ctx);
    if (err < 0)
        thi_free(key);
    return err < 0 ? thi_err_clear(err) : 0;
}

int thi_tls_sni_add(thi_tls_sni *sni, const char *name, size_t len, SSL_CTX *ctx)
{
    char lower[THI_TLS_NAME_MAX + 1];
    bool wild = len > 2 && name[0] == '*' && name[1] == '.';
    ssize_t n = thi_tls_name_read(wild ? name + 2 : name, wild ? len - 2 : len, lower);
    if (n < 0)
        return thi_err_set(TH_ECONFIG, "'%.*s' cannot be the name of a server",
                           len < 100 ? (int)len : 100, name);
    return put(wild ? &sni->wildcard : &sni->exact, th_str_make(lower, (size_t)n), ctx);
}

SSL_CTX *thi_tls_sni_find(const thi_tls_sni *sni, const char *name, size_t len)
{
    char lower[THI_TLS_NAME_MAX + 1];
    ssize_t n = thi_tls_name_read(name, len, lower);
    if (n < 0)
        return NULL;
    SSL_CTX *found = thi_map_get(&sni->exact, th_str_make(lower, (size_t)n));
    const char *dot = found ? NULL : memchr(lower, '.', (size_t)n);
    if (dot)
        found = thi_map_get(&sni->wildcard, th_str_make(dot + 1, (size_t)(lower + n - dot - 1)));
    return found;
}

size_t thi_tls_sni_count(const thi_tls_sni *sni)
{
    return thi_map_count(&sni->exact) + thi_map_count(&sni->wildcard);
}
