/* SPDX-License-Identifier: MIT */

/* What tests of certificates share: authorities, names, looking at what was made. */
#ifndef THI_TEST_TLS_AUTHORITIES_H
#define THI_TEST_TLS_AUTHORITIES_H

#include "texts.h"

/* A key and a certificate that may sign others. */
typedef struct authority {
    th_key *key;
    th_cert *cert;
} authority;

static inline th_cert_name name_of(const char *text)
{
    th_cert_name name;
    ck_ok(th_cert_name_parse(th_str_of(text), &arena, &name));
    return name;
}

static inline authority new_authority(const char *name)
{
    authority made = { .key = new_key("ec") };
    th_cert_opts opts = { .subject = name_of(name), .ca = 1 };
    ck_ok(th_cert_self_sign(made.key, &opts, &made.cert));
    return made;
}

/* One that another has signed. */
static inline authority new_authority_below(const authority *above, const char *name)
{
    authority made = { .key = new_key("ec") };
    th_cert_opts opts = { .subject = name_of(name), .ca = 1 };
    ck_ok(th_cert_issue(above->cert, above->key, made.key, &opts, &made.cert));
    return made;
}

static inline void drop_authority(authority *a)
{
    th_key_unref(a->key);
    th_cert_unref(a->cert);
}

static inline th_cert_info info_of(const th_cert *cert)
{
    th_cert_info info;
    ck_ok(th_cert_get_info(cert, &arena, &info));
    return info;
}

static inline const th_cert_ext *ext_of(const th_cert_info *info, const char *name)
{
    for (size_t i = 0; i < info->exts_count; i++)
        if (strcmp(info->exts[i].name, name) == 0)
            return &info->exts[i];
    ck_abort_msg("there is no %s", name);
    return NULL;
}

#endif
