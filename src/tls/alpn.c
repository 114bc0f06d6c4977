/* SPDX-License-Identifier: MIT */

/* Application protocols: the list on the wire, and the server's choice. */
#include "tls/alpn.h"

#include "base/alloc.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>

/* The bytes on the wire, 0 for a list that is wrong. */
static size_t measure(const char *const *names)
{
    size_t total = 0;
    for (size_t i = 0; names[i]; i++) {
        size_t len = strlen(names[i]);
        if (len == 0 || len > 255 || total + len + 1 > THI_TLS_ALPN_MAX)
            return 0;
        total += len + 1;
    }
    return total;
}

int thi_tls_alpn_read(const char *const *names, thi_tls_alpn *alpn)
{
    *alpn = (thi_tls_alpn){ 0 };
    if (!names)
        return 0;
    size_t len = measure(names);
    if (len == 0)
        return thi_err_set(-EINVAL, "application protocols: a list of names of 1 to 255 bytes "
                                    "is wanted");
    unsigned char *wire = thi_alloc(len);
    if (!wire)
        return thi_err_clear(-ENOMEM);
    *alpn = (thi_tls_alpn){ wire, len };
    for (size_t i = 0; names[i]; i++) {
        size_t n = strlen(names[i]);
        *wire++ = (unsigned char)n;
        memcpy(wire, names[i], n);
        wire += n;
    }
    return 0;
}

void thi_tls_alpn_deinit(thi_tls_alpn *alpn)
{
    thi_free(alpn->wire);
    *alpn = (thi_tls_alpn){ 0 };
}

/* Takes the next name off a list; false at its end, and where a name goes beyond it. */
static bool next(const unsigned char **at, const unsigned char *end, th_str *name)
{
    if (*at >= end || (size_t)(end - *at) < (size_t) * *at + 1)
        return false;
    *name = th_str_make((const char *)*at + 1, **at);
    *at += **at + 1;
    return true;
}

size_t thi_tls_alpn_views(const unsigned char *wire, size_t len,
                          th_str views[static THI_TLS_ALPN_SEEN])
{
    const unsigned char *end = wire + len;
    size_t count = 0;
    while (count < THI_TLS_ALPN_SEEN && next(&wire, end, &views[count]))
        count++;
    return count;
}

th_str thi_tls_alpn_best(const thi_tls_alpn *ours, const unsigned char *wire, size_t len)
{
    const unsigned char *our = ours->wire;
    th_str mine, theirs;
    while (our && next(&our, ours->wire + ours->len, &mine)) {
        for (const unsigned char *at = wire; next(&at, wire + len, &theirs);)
            if (mine.len == theirs.len && memcmp(mine.ptr, theirs.ptr, mine.len) == 0)
                return theirs;
    }
    return th_str_make(NULL, 0);
}
