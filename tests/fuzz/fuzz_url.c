/* SPDX-License-Identifier: MIT */

/* URLs, authorities, paths and queries: what they must promise whatever comes in. */
#include "proto/url.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool condition)
{
    if (!condition)
        abort();
}

/* A copy of exactly the size, with room behind it for `more`. */
static char *copy_of(th_str s, size_t more)
{
    char *copy = malloc(s.len + more + 1);
    expect(copy != NULL);
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    return copy;
}

static bool contains(th_str s, const char *part)
{
    return memmem(s.ptr, s.len, part, strlen(part)) != NULL;
}

static void check_path(th_str s)
{
    char *out = copy_of(s, 1);
    char *in_place = copy_of(s, 0);
    ssize_t n = thi_url_path_resolve(s, out);
    if (s.len > 0)
        expect(thi_url_path_resolve(th_str_make(in_place, s.len), in_place) == n);
    if (n >= 0) {
        th_str path = th_str_make(out, (size_t)n);
        expect(path.len <= s.len + 1 && path.len > 0 && *path.ptr == '/');
        expect(!contains(path, "//") && !contains(path, "/./") && !contains(path, "/../"));
        expect(!th_str_has_suffix(path, TH_STR("/.")) && !th_str_has_suffix(path, TH_STR("/..")));
        expect(!memchr(out, '\0', path.len) && !memchr(out, '\\', path.len));
        expect(s.len == 0 || memcmp(out, in_place, path.len) == 0);

        char *encoded = copy_of(path, 2 * path.len);
        char *again = copy_of(path, 2 * path.len + 1);
        size_t len = thi_url_encode_path(path, encoded);
        expect(thi_url_path_resolve(th_str_make(encoded, len), again) == n);
        expect(memcmp(again, out, path.len) == 0);
        free(encoded);
        free(again);
    }
    free(in_place);
    free(out);
}

static void check_decode(th_str s)
{
    char *out = copy_of(s, 0);
    char *encoded = copy_of(s, 2 * s.len);
    ssize_t n = thi_url_decode(s, true, out);
    expect(n <= (ssize_t)s.len);
    size_t len = thi_url_encode_path(s, encoded);
    n = thi_url_decode(th_str_make(encoded, len), false, encoded);
    expect(n == (ssize_t)s.len && (n == 0 || memcmp(encoded, s.ptr, s.len) == 0));
    free(encoded);
    free(out);
}

static void check_query(th_str s)
{
    th_str rest = s, name, value;
    size_t bytes = 0;
    while (thi_url_query_next(&rest, &name, &value)) {
        expect(name.len + value.len > 0 || s.len > 0);
        bytes += name.len + value.len;
    }
    expect(bytes <= s.len);
}

static bool inside(th_str part, th_str whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static void check_url(th_str s)
{
    thi_url url;
    thi_authority authority;
    if (thi_url_parse(s, &url) == 0) {
        expect(inside(url.scheme, s) && inside(url.authority.host, s) && inside(url.path, s));
        expect(inside(url.query, s) && inside(url.fragment, s));
        expect(url.scheme.len > 0 && url.authority.host.len > 0);
        expect(url.path.len == 0 || *url.path.ptr == '/');
    }
    if (thi_authority_parse(s, &authority) == 0) {
        expect(inside(authority.host, s));
        expect(authority.port >= -1 && authority.port <= 65535);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    th_str s = th_str_make((const char *)data, size);
    check_path(s);
    check_decode(s);
    check_query(s);
    check_url(s);
    return 0;
}
