/* SPDX-License-Identifier: MIT */

/* Reading the keys of a key process. The list is short, and looked through for each request. */
#include "tls/keyd_keys.h"

#include "base/alloc.h"
#include "tls/key.h"
#include "tls/ossl.h"
#include "tls/sign_cost.h"

#include <openssl/evp.h>

#include <errno.h>
#include <string.h>

/* ---- names ----------------------------------------------------------------------------------- */

/* The name given, or that of the file without folder and suffix. */
static int take_name(thi_keyd_held *key, const th_keyd_key *from)
{
    const char *name = from->name;
    size_t len = name ? strlen(name) : 0;
    if (!name) {
        const char *slash = strrchr(from->file, '/');
        name = slash ? slash + 1 : from->file;
        const char *dot = strrchr(name, '.');
        len = dot && dot != name ? (size_t)(dot - name) : strlen(name);
    }
    if (len == 0 || len > THI_KEYD_NAME_MAX)
        return thi_err_set(-EINVAL, "the name of the key in %s must have 1 to %d bytes", from->file,
                           THI_KEYD_NAME_MAX);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] <= ' ' || name[i] == 0x7f)
            return thi_err_set(-EINVAL, "the name of the key in %s has blanks", from->file);
    memcpy(key->name, name, len);
    key->name[len] = '\0';
    return 0;
}

/* ---- files ----------------------------------------------------------------------------------- */

static int read_key(const th_keyd_key *from, th_key **key)
{
    const th_passphrase phrase = { .text = th_str_of(from->phrase ? from->phrase : "") };
    int err = th_key_load(from->file, from->phrase ? &phrase : NULL, key);
    if (err < 0)
        return err == -ENOMEM ? err : thi_err_set(err, "the key %s", th_err_detail());
    if (!(*key)->info.is_private)
        return thi_err_set(TH_ETLS, "the key %s is a public one", from->file);
    return 0;
}

static void name_kind(thi_keyd_held *held, const th_key_info *info)
{
    held->bits = (unsigned)info->bits;
    if (info->kind == TH_KEY_RSA)
        snprintf(held->kind, sizeof held->kind, "RSA-%u", held->bits);
    else
        snprintf(held->kind, sizeof held->kind, "%s", info->name);
}

static int check_kind(const th_keyd_key *from, const EVP_PKEY *key)
{
    int kind = EVP_PKEY_get_base_id(key);
    if ((kind != EVP_PKEY_RSA && kind != EVP_PKEY_EC) || EVP_PKEY_get_size(key) > THI_SIGN_MAX)
        return thi_err_set(TH_ETLS, "the key %s is of a kind that cannot be held: %s of %d bits",
                           from->file, EVP_PKEY_get0_type_name(key), EVP_PKEY_get_bits(key));
    return 0;
}

static int load_one(thi_keyd_held *held, const th_keyd_key *from)
{
    th_key *key = NULL;
    int err = take_name(held, from);
    if (err == 0)
        err = read_key(from, &key);
    if (err == 0)
        err = check_kind(from, key->pkey);
    if (err == 0)
        err = thi_keyd_id(key->pkey, held->id);
    if (err == 0)
        err = thi_signer_local(key->pkey, &held->signer);
    if (err == 0) {
        name_kind(held, &key->info);
        held->dear = thi_sign_is_dear(key->pkey);
    }
    th_key_unref(key);
    return err;
}

/* ---- the list -------------------------------------------------------------------------------- */

static bool is_twice(const thi_keyd_keys *keys, const thi_keyd_held *key)
{
    for (size_t i = 0; i < keys->count; i++)
        if (strcmp(keys->list[i].name, key->name) == 0)
            return true;
    return false;
}

int thi_keyd_keys_load(thi_keyd_keys *keys, const th_keyd_key *from, size_t count)
{
    *keys = (thi_keyd_keys){ 0 };
    keys->list = thi_calloc(count, sizeof *keys->list);
    if (!keys->list)
        return thi_err_clear(-ENOMEM);
    int err = 0;
    for (size_t i = 0; i < count && err == 0; i++) {
        thi_keyd_held *held = &keys->list[keys->count];
        err = from[i].file ? load_one(held, &from[i]) : thi_err_set(-EINVAL, "a key has no file");
        if (err == 0 && is_twice(keys, held))
            err = thi_err_set(TH_ETLS, "two keys are called %s", held->name);
        keys->count += held->signer != NULL;
    }
    if (err < 0)
        thi_keyd_keys_deinit(keys);
    return err;
}

void thi_keyd_keys_deinit(thi_keyd_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        thi_signer_unref(keys->list[i].signer);
    thi_free(keys->list);
    *keys = (thi_keyd_keys){ 0 };
}

const thi_keyd_held *thi_keyd_keys_find(const thi_keyd_keys *keys, const thi_keyd_request *r)
{
    for (size_t i = 0; i < keys->count; i++) {
        const thi_keyd_held *key = &keys->list[i];
        bool named = r->name_len == 0 || (strlen(key->name) == r->name_len &&
                                          memcmp(key->name, r->name, r->name_len) == 0);
        if (named && memcmp(key->id, r->id, sizeof key->id) == 0)
            return key;
    }
    return NULL;
}
