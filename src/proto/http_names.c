/* SPDX-License-Identifier: MIT */

/*
 * Recognition of methods and field names.
 *
 * Every field of every request passes through thi_http_field_of(), so it is one multiply-add hash
 * of the name's length, first and last letter, one table look-up and one comparison that handles
 * eight letters at a time. The hash is perfect over the list: two names with the same slot would be
 * two initialisers of the same element, which the compiler reports (-Woverride-init in gcc,
 * -Winitializer-overrides in clang), so the factors below can be trusted, and when a new name does
 * collide other small odd-looking factors are found in a moment by trying.
 */
#include "proto/http_names.h"

#include <string.h>

static const th_str method_names[THI_HTTP_METHOD_COUNT] = { [THI_HTTP_OTHER] = { "", 0 },
#define METHOD_NAME(name) [THI_HTTP_##name] = { #name, sizeof #name - 1 },
                                                            THI_HTTP_METHOD_LIST(METHOD_NAME)
#undef METHOD_NAME
};

static const th_str field_names[THI_FIELD_COUNT] = { [THI_FIELD_OTHER] = { "", 0 },
#define FIELD_NAME(id, name, first, last) [THI_FIELD_##id] = { name, sizeof name - 1 },
                                                     THI_HTTP_FIELD_LIST(FIELD_NAME)
#undef FIELD_NAME
};

/* An integer constant expression for constant arguments; letters in lower case. */
#define FIELD_HASH(len, first, last)                                                               \
    ((8u * (unsigned)(len) + 19u * (unsigned)(first) + 3u * (unsigned)(last)) & 255u)

static const uint8_t field_slots[256] = {
#define FIELD_SLOT(id, name, first, last)                                                          \
    [FIELD_HASH(sizeof name - 1, first, last)] = THI_FIELD_##id,
    THI_HTTP_FIELD_LIST(FIELD_SLOT)
#undef FIELD_SLOT
};

_Static_assert(THI_FIELD_COUNT <= 64, "a set of field ids must fit 64 bits");

thi_http_method thi_http_method_of(th_str token)
{
    for (unsigned i = THI_HTTP_OTHER + 1; i < THI_HTTP_METHOD_COUNT; i++) {
        if (th_str_eq(token, method_names[i]))
            return (thi_http_method)i;
    }
    return THI_HTTP_OTHER;
}

th_str thi_http_method_name(thi_http_method method)
{
    return method_names[method];
}

/*
 * A token's bytes in lower case. Setting the bit 0x20 makes capitals small and leaves small
 * letters, digits and the hyphen alone; the other bytes that it maps onto one of those are no
 * tchar.
 */
#define LOWER UINT64_C(0x2020202020202020)

static inline uint64_t load8(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint32_t load4(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Compares len bytes of a token with a name in lower case; the last piece may overlap the others.
 */
static inline bool same_name(const char *token, const char *name, size_t len)
{
    uint64_t differ = 0;
    if (len >= 8) {
        for (size_t i = 0; i + 8 < len; i += 8)
            differ |= (load8(token + i) | LOWER) ^ load8(name + i);
        differ |= (load8(token + len - 8) | LOWER) ^ load8(name + len - 8);
    } else if (len >= 4) {
        differ = (load4(token) | (uint32_t)LOWER) ^ load4(name);
        differ |= (load4(token + len - 4) | (uint32_t)LOWER) ^ load4(name + len - 4);
    } else {
        for (size_t i = 0; i < len; i++)
            differ |= (uint64_t)((token[i] | 0x20) ^ name[i]);
    }
    return differ == 0;
}

thi_http_field thi_http_field_of(const char *name, size_t len)
{
    if (len == 0)
        return THI_FIELD_OTHER;
    unsigned slot =
        FIELD_HASH(len, (unsigned char)name[0] | 0x20u, (unsigned char)name[len - 1] | 0x20u);
    thi_http_field id = (thi_http_field)field_slots[slot];
    th_str known = field_names[id];
    return known.len == len && same_name(name, known.ptr, len) ? id : THI_FIELD_OTHER;
}

th_str thi_http_field_name(thi_http_field id)
{
    return field_names[id];
}
