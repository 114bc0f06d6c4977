/* SPDX-License-Identifier: MIT */

/*
 * Names between plain data, text and OpenSSL.
 *
 * Values have a length everywhere: a NUL byte in a name is a trick that has fooled others
 * ("bank.example\0.evil.example"), and here it is a byte like any other that a reader gets to see.
 */
#include "tls/cert_name.h"

#include "base/error.h"
#include "tls/ossl.h"

#include <errno.h>
#include <limits.h>
#include <openssl/objects.h>
#include <string.h>

/* ---- from OpenSSL ---- */

const char *thi_object_name(const ASN1_OBJECT *object, th_arena *arena)
{
    int nid = OBJ_obj2nid(object);
    if (nid != NID_undef)
        return OBJ_nid2sn(nid);
    int len = OBJ_obj2txt(NULL, 0, object, 1);
    char *text = th_arena_alloc(arena, len > 0 ? (size_t)len + 1 : 2);
    if (text && OBJ_obj2txt(text, len > 0 ? len + 1 : 2, object, 1) <= 0)
        memcpy(text, "?", 2); /* an object without a number */
    return text;
}

/* What is not text at all is given byte by byte. */
static int read_value(const ASN1_STRING *from, th_arena *arena, th_str *value)
{
    unsigned char *utf8 = NULL;
    thi_ossl_begin();
    int len = ASN1_STRING_to_UTF8(&utf8, from);
    thi_ossl_begin();
    th_str bytes = len >= 0 ? th_str_make((const char *)utf8, (size_t)len)
                            : th_str_make((const char *)ASN1_STRING_get0_data(from),
                                          (size_t)ASN1_STRING_length(from));
    char *copy = th_arena_strdup(arena, bytes);
    OPENSSL_free(utf8);
    if (!copy)
        return thi_err_clear(-ENOMEM);
    *value = th_str_make(copy, bytes.len);
    return 0;
}

int thi_name_read(const X509_NAME *from, th_arena *arena, th_cert_name *name)
{
    int count = X509_NAME_entry_count(from);
    int set = -1;
    th_cert_name_part *parts = th_arena_calloc(arena, (size_t)count + 1, sizeof *parts);
    if (!parts)
        return thi_err_clear(-ENOMEM);
    for (int i = 0; i < count; i++) {
        const X509_NAME_ENTRY *entry = X509_NAME_get_entry(from, i);
        parts[i].type = thi_object_name(X509_NAME_ENTRY_get_object(entry), arena);
        parts[i].joined = X509_NAME_ENTRY_set(entry) == set;
        set = X509_NAME_ENTRY_set(entry);
        if (!parts[i].type)
            return thi_err_clear(-ENOMEM);
        int err = read_value(X509_NAME_ENTRY_get_data(entry), arena, &parts[i].value);
        if (err < 0)
            return err;
    }
    *name = (th_cert_name){ .parts = count > 0 ? parts : NULL, .count = (size_t)count };
    return 0;
}

/* ---- to OpenSSL ---- */

static int add_part(const th_cert_name_part *part, X509_NAME *name)
{
    if (!part->type || (!part->value.ptr && part->value.len > 0) || part->value.len > INT_MAX)
        return thi_err_set(-EINVAL, "a part of the name has no type or no value");
    thi_ossl_begin();
    ASN1_OBJECT *object = OBJ_txt2obj(part->type, 0);
    thi_ossl_begin();
    if (!object)
        return thi_err_set(-EINVAL, "unknown part of a name: %s", part->type);
    int ok =
        X509_NAME_add_entry_by_OBJ(name, object, MBSTRING_UTF8,
                                   (const unsigned char *)(part->value.ptr ? part->value.ptr : ""),
                                   (int)part->value.len, -1, part->joined ? -1 : 0);
    ASN1_OBJECT_free(object);
    if (ok == 1)
        return 0;
    return thi_ossl_fail(-EINVAL, "%s cannot be \"%.*s\"", part->type, TH_STR_ARG(part->value));
}

int thi_name_make(const th_cert_name *from, X509_NAME *name)
{
    int err = 0;
    if (!from->parts && from->count > 0)
        return thi_err_clear(-EINVAL);
    for (size_t i = 0; i < from->count && err == 0; i++)
        err = add_part(&from->parts[i], name);
    return err;
}

/* ---- text: reading ---- */

/* A text that is being taken apart. */
typedef struct scan {
    const char *at, *end;
    char between; /* parts: ',' or '/' */
    th_arena *arena;
    char *out; /* where values are put; as long as the text */
} scan;

/* The byte that a backslash stands for; false: there is none behind it. */
static bool take_escaped(scan *s, char *byte)
{
    if (s->at == s->end)
        return false;
    if (s->end - s->at >= 2 && th_str_hex_decode(th_str_make(s->at, 2), byte) == 0) {
        s->at += 2;
        return true;
    }
    *byte = *s->at++;
    return true;
}

static bool is_end(const scan *s)
{
    return s->at == s->end || *s->at == s->between || (s->between == ',' && *s->at == '+');
}

/* Blanks at both ends do not count, unless a backslash makes them. */
static int take_value(scan *s, th_str *value)
{
    char *start = s->out, *last = s->out;
    while (s->at < s->end && *s->at == ' ')
        s->at++;
    while (!is_end(s)) {
        char byte = *s->at++;
        bool escaped = byte == '\\';
        if (escaped && !take_escaped(s, &byte))
            return thi_err_set(-EINVAL, "the name ends with a backslash");
        *s->out++ = byte;
        if (escaped || byte != ' ')
            last = s->out;
    }
    s->out = last;
    *value = th_str_make(start, (size_t)(last - start));
    return 0;
}

static int check_type(const char *type)
{
    thi_ossl_begin();
    ASN1_OBJECT *object = OBJ_txt2obj(type, 0);
    thi_ossl_begin();
    if (!object)
        return thi_err_set(-EINVAL, "unknown part of a name: %s", type);
    ASN1_OBJECT_free(object);
    return 0;
}

static int take_part(scan *s, th_cert_name_part *part)
{
    const char *start = s->at;
    while (!is_end(s) && *s->at != '=')
        s->at++;
    th_str type = th_str_trim(th_str_make(start, (size_t)(s->at - start)));
    if (s->at == s->end || *s->at != '=' || type.len == 0)
        return thi_err_set(-EINVAL, "\"%.*s\" in the name is not TYPE=VALUE", TH_STR_ARG(type));
    s->at++;
    part->type = th_arena_strdup(s->arena, type);
    if (!part->type)
        return thi_err_clear(-ENOMEM);
    int err = check_type(part->type);
    return err < 0 ? err : take_value(s, &part->value);
}

/* No more parts than there are signs for them. */
static size_t count_parts(th_str text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == '=';
    return count;
}

static int take_parts(scan *s, size_t room, th_cert_name *name)
{
    th_cert_name_part *parts = th_arena_calloc(s->arena, room + 1, sizeof *parts);
    if (!parts)
        return thi_err_clear(-ENOMEM);
    size_t count = 0;
    bool joined = false;
    for (;;) {
        parts[count].joined = joined;
        int err = take_part(s, &parts[count]);
        if (err < 0)
            return err;
        count++;
        if (s->at == s->end)
            break;
        joined = *s->at++ == '+';
    }
    *name = (th_cert_name){ .parts = parts, .count = count };
    return 0;
}

int th_cert_name_parse(th_str text, th_arena *arena, th_cert_name *name)
{
    if (!arena || !name || (!text.ptr && text.len > 0))
        return thi_err_clear(-EINVAL);
    while (text.len > 0 && text.ptr[0] == ' ')
        text = th_str_make(text.ptr + 1, text.len - 1);
    if (text.len == 0) {
        *name = (th_cert_name){ 0 };
        return 0;
    }
    bool slashes = text.ptr[0] == '/';
    scan s = { .at = text.ptr + slashes,
               .end = text.ptr + text.len,
               .between = slashes ? '/' : ',',
               .arena = arena,
               .out = th_arena_alloc(arena, text.len) };
    if (!s.out)
        return thi_err_clear(-ENOMEM);
    return take_parts(&s, count_parts(text), name);
}

/* ---- text: writing ---- */

/* The length of the character at the beginning, when it is UTF-8 that may be shown; else 0. */
static size_t shown(th_str text)
{
    const unsigned char *at = (const unsigned char *)text.ptr;
    size_t len = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    if (len <= 1)
        return at[0] >= 0x20 && at[0] != 0x7f ? len : 0;
    if (len > text.len || at[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool long_form = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool surrogate = at[0] == 0xed && at[1] >= 0xa0;
    bool beyond = at[0] == 0xf4 && at[1] >= 0x90;
    bool control = at[0] == 0xc2 && at[1] < 0xa0;
    return long_form || surrogate || beyond || control ? 0 : len;
}

char *thi_text_escape(th_str text, const char *also, th_arena *arena)
{
    static const char digits[] = "0123456789ABCDEF";
    char *start = th_arena_alloc(arena, text.len * 3 + 1);
    char *out = start;
    if (!start)
        return NULL;
    while (text.len > 0) {
        size_t len = shown(text);
        if (len == 0) {
            unsigned char byte = (unsigned char)text.ptr[0];
            *out++ = '\\';
            *out++ = digits[byte >> 4];
            *out++ = digits[byte & 15];
            len = 1;
        } else {
            if (strchr(also, text.ptr[0]))
                *out++ = '\\';
            memcpy(out, text.ptr, len);
            out += len;
        }
        text = th_str_make(text.ptr + len, text.len - len);
    }
    *out = '\0';
    return start;
}

/* A value so that blanks at its ends are read again, too. */
static const char *value_text(th_str value, th_arena *arena)
{
    char *text = thi_text_escape(value, ",+\\", arena);
    size_t len = text ? strlen(text) : 0;
    if (len == 0 || (text[0] != ' ' && text[len - 1] != ' '))
        return text;
    bool before = text[0] == ' ', after = len > 1 && text[len - 1] == ' ';
    size_t middle = len - (size_t)before - (size_t)after;
    return th_arena_printf(arena, "%s%.*s%s", before ? "\\20" : "", (int)middle, text + before,
                           after ? "\\20" : "");
}

int th_cert_name_text(const th_cert_name *name, th_arena *arena, th_str *text)
{
    if (!name || !arena || !text || (!name->parts && name->count > 0))
        return thi_err_clear(-EINVAL);
    /* Measured first: a certificate may have tens of thousands of parts. */
    size_t len = 0;
    const char **values = th_arena_calloc(arena, name->count + 1, sizeof *values);
    for (size_t i = 0; values && i < name->count; i++) {
        values[i] = value_text(name->parts[i].value, arena);
        if (!values[i])
            return thi_err_clear(-ENOMEM);
        len += strlen(name->parts[i].type) + strlen(values[i]) + sizeof ", =" - 1;
    }
    char *start = values ? th_arena_alloc(arena, len + 1) : NULL;
    if (!start)
        return thi_err_clear(-ENOMEM);
    char *at = start;
    *at = '\0';
    for (size_t i = 0; i < name->count; i++) {
        at = stpcpy(at, i == 0 ? "" : name->parts[i].joined ? "+" : ", ");
        at = stpcpy(stpcpy(stpcpy(at, name->parts[i].type), "="), values[i]);
    }
    *text = th_str_make(start, (size_t)(at - start));
    return 0;
}

/* ---- looking ---- */

/* Whether both are names of one object. */
static bool same_type(const char *a, int nid, const char *b)
{
    return nid != NID_undef ? OBJ_txt2nid(a) == nid : strcmp(a, b) == 0;
}

int th_cert_name_find(const th_cert_name *name, const char *type, size_t index, th_str *value)
{
    if (!name || !type || !value)
        return thi_err_clear(-EINVAL);
    int err = check_type(type);
    if (err < 0)
        return err;
    int nid = OBJ_txt2nid(type);
    for (size_t i = 0; i < name->count; i++)
        if (same_type(name->parts[i].type, nid, type) && index-- == 0) {
            *value = name->parts[i].value;
            return 1;
        }
    return 0;
}
