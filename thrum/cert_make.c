/* SPDX-License-Identifier: MIT */

/* What new, request and sign have in common: names, keys, what a certificate shall be good for. */
#include "cert_make.h"
#include "cert_words.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define COMMON_NAME_MAX 64 /* bytes, RFC 5280 appendix A */
#define HOST_MAX        253
#define LABEL_MAX       63

/* ---- options ---- */

const char *cert_set_subject(void *settings, const char *value)
{
    ((cert_make *)settings)->subject = value;
    return *value ? NULL : "must be a name, as in O=Example,CN=example.org";
}

const char *cert_set_type(void *settings, const char *value)
{
    static const char *const types[][2] = {
        { "p256", "ec:P-256" },    { "p384", "ec:P-384" },    { "p521", "ec:P-521" },
        { "ed25519", "ed25519" },  { "rsa2048", "rsa:2048" }, { "rsa3072", "rsa:3072" },
        { "rsa4096", "rsa:4096" },
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i][0], value) == 0) {
            ((cert_make *)settings)->type = types[i][1];
            return NULL;
        }
    }
    return "must be p256, p384, p521, ed25519, rsa2048, rsa3072 or rsa4096";
}

const char *cert_set_key(void *settings, const char *value)
{
    ((cert_make *)settings)->key = value;
    return *value && strcmp(value, "-") != 0 ? NULL : "must be a file";
}

const char *cert_set_out(void *settings, const char *value)
{
    ((cert_make *)settings)->out = value;
    return *value ? NULL : "must be a file";
}

const char *cert_set_pass(void *settings, const char *value)
{
    ((cert_make *)settings)->pass = value;
    return *value ? NULL : "must be a file";
}

const char *cert_set_usage(void *settings, const char *value)
{
    static const char *const usages[][2] = {
        { "server", "serverAuth" },
        { "client", "clientAuth" },
        { "both", "serverAuth,clientAuth" },
    };
    for (size_t i = 0; i < sizeof usages / sizeof usages[0]; i++) {
        if (strcmp(usages[i][0], value) == 0) {
            ((cert_make *)settings)->usage = usages[i][1];
            return NULL;
        }
    }
    return "must be server, client or both";
}

const char *cert_set_days(void *settings, const char *value)
{
    return options_number(value, 1, 36500, &((cert_make *)settings)->days)
               ? NULL
               : "must be a number from 1 to 36500";
}

const char *cert_set_authority(void *settings, const char *value)
{
    (void)value;
    ((cert_make *)settings)->authority = true;
    return NULL;
}

const char *cert_set_force(void *settings, const char *value)
{
    (void)value;
    ((cert_make *)settings)->force = true;
    return NULL;
}

const char *cert_take_name(void *settings, const char *text)
{
    cert_make *s = settings;
    if (s->name_count == CERT_NAMES_MAX)
        return "at most 256 names are possible";
    if (!*text)
        return "no name is empty";
    s->names[s->name_count++] = text;
    return NULL;
}

/* ---- names ---- */

/* One label of a host's name; underscores occur in practice. */
static bool is_label(const char *label, size_t len)
{
    if (len == 0 || len > LABEL_MAX || label[0] == '-' || label[len - 1] == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isascii(label[i]) || (!isalnum((unsigned char)label[i]) && !strchr("-_", label[i])))
            return false;
    return true;
}

/* A name whose last label is a number is an address that is written wrongly (RFC 3696 section 2).
 */
static bool is_host(th_str name)
{
    if (th_str_has_prefix(name, TH_STR("*.")))
        name = th_str_make(name.ptr + 2, name.len - 2);
    if (name.len > HOST_MAX)
        return false;
    const char *last = name.ptr;
    for (const char *at = name.ptr, *end = name.ptr + name.len; at <= end;) {
        const char *dot = memchr(at, '.', (size_t)(end - at));
        last = at;
        if (!is_label(at, (size_t)((dot ? dot : end) - at)))
            return false;
        at = (dot ? dot : end) + 1;
    }
    for (; last < name.ptr + name.len; last++)
        if (!isdigit((unsigned char)*last))
            return true;
    return false;
}

bool cert_is_name(const char *text, th_cert_alt *alt)
{
    if (th_cert_alt_of(text, alt) < 0)
        return false;
    if (alt->kind == TH_ALT_EMAIL) {
        const char *at = memrchr(alt->value.ptr, '@', alt->value.len);
        return at && at > alt->value.ptr && at + 1 < alt->value.ptr + alt->value.len;
    }
    return alt->kind != TH_ALT_DNS || is_host(alt->value);
}

char *cert_default_file(th_arena *arena, const char *name, const char *end)
{
    char *path = th_arena_printf(arena, "%s%s", name, end);
    for (char *c = path; c && *c; c++)
        if (*c == '*' || *c == '/')
            *c = '_';
        else if (*c == ' ')
            *c = '-';
    return path;
}

static bool no_memory(const command *cmd)
{
    print_error("thrum %s: %s", cmd->name, th_strerror(-ENOMEM));
    return false;
}

static bool fill_alts(const command *cmd, const cert_make *s, th_arena *arena, th_cert_opts *opts)
{
    th_cert_alt *alts = th_arena_calloc(arena, s->name_count + 1, sizeof *alts);
    if (!alts)
        return no_memory(cmd);
    for (size_t i = 0; i < s->name_count; i++) {
        if (!cert_is_name(s->names[i], &alts[i])) {
            options_wrong(cmd,
                          "%s: is no name of a host, address, mail address or URI; letters other "
                          "than a to z are written in the xn-- form",
                          s->names[i]);
            return false;
        }
    }
    opts->alts = alts;
    opts->alts_count = s->name_count;
    return true;
}

/* A name that is too long for a common name is an alternative name only. */
static bool fill_subject(const command *cmd, const cert_make *s, th_arena *arena,
                         th_cert_opts *opts)
{
    if (s->subject) {
        if (th_cert_name_parse(th_str_of(s->subject), arena, &opts->subject) == 0)
            return true;
        options_wrong(cmd, "--subject %s: %s", s->subject, th_err_detail());
        return false;
    }
    if (s->name_count == 0 || strlen(s->names[0]) > COMMON_NAME_MAX)
        return true;
    th_cert_name_part *part = th_arena_calloc(arena, 1, sizeof *part);
    if (!part)
        return no_memory(cmd);
    *part = (th_cert_name_part){ .type = "CN", .value = th_str_of(s->names[0]) };
    opts->subject = (th_cert_name){ part, 1 };
    return true;
}

/* The key of an intermediate authority signs certificates for servers, and no further authority. */
bool cert_fill(const command *cmd, const cert_make *s, th_arena *arena, th_cert_opts *opts)
{
    opts->ca = s->authority;
    opts->extended_usage = s->authority ? NULL : s->usage;
    if (!fill_subject(cmd, s, arena, opts))
        return false;
    return s->authority || s->name_count == 0 || fill_alts(cmd, s, arena, opts);
}

char *cert_names_text(th_arena *arena, const th_cert_alt *alts, size_t count, th_str subject)
{
    char *text = count == 0 ? th_arena_strdup(arena, subject) : NULL;
    for (size_t i = 0; i < count; i++) {
        char *longer = th_arena_printf(arena, "%s%s%.*s", text ? text : "", text ? ", " : "",
                                       TH_STR_ARG(alts[i].value));
        if (!longer)
            return NULL;
        text = longer;
    }
    return text;
}

/* ---- keys ---- */

char *cert_key_text(const th_key_info *info, char text[CERT_KEY_TEXT_SIZE])
{
    if (info->kind == TH_KEY_RSA)
        snprintf(text, CERT_KEY_TEXT_SIZE, "RSA, %d bits", info->bits);
    else if (info->kind == TH_KEY_EC)
        snprintf(text, CERT_KEY_TEXT_SIZE, "EC %s", info->name);
    else
        snprintf(text, CERT_KEY_TEXT_SIZE, "%s", info->name);
    return text;
}

bool cert_load_key(const command *cmd, const char *path, const cert_pass *pass, th_key **key)
{
    const th_passphrase phrase = { .text = { pass->text, pass->len } };
    int err = th_key_load(path, pass->given ? &phrase : NULL, key);
    if (err == -EACCES && !pass->given && strcmp(th_err_detail(), path) != 0)
        print_error("thrum %s: %s: the key is encrypted; --pass FILE tells its pass phrase",
                    cmd->name, path);
    else if (err < 0)
        cert_failed(cmd, err, path);
    return err == 0;
}

bool cert_get_key(const command *cmd, const cert_make *s, const cert_pass *pass, cert_key *key)
{
    struct stat st;
    int err = th_path_stat(s->key, &st);
    key->is_new = err == -ENOENT;
    if (!key->is_new)
        return cert_load_key(cmd, s->key, pass, &key->key);
    err = th_key_new(s->type, &key->key);
    return err == 0 || (cert_failed(cmd, err, NULL), false);
}

static bool save_key(const command *cmd, const cert_make *s, const cert_pass *pass,
                     const th_key *key)
{
    const th_passphrase phrase = { .text = { pass->text, pass->len } };
    const th_key_write_opts opts = { .phrase = pass->given ? &phrase : NULL };
    th_arena arena;
    th_str pem;
    th_arena_init(&arena, NULL, 0, 0);
    int err = th_key_pem(key, &opts, &arena, &pem);
    bool ok =
        err == 0 ? cert_save(cmd, s->key, pem, true, false) : (cert_failed(cmd, err, NULL), false);
    if (err == 0)
        explicit_bzero((char *)(uintptr_t)pem.ptr, pem.len);
    th_arena_deinit(&arena);
    return ok;
}

bool cert_save_made(const command *cmd, const cert_make *s, const cert_pass *pass,
                    const cert_key *key, th_str made)
{
    if (key->is_new && !save_key(cmd, s, pass, key->key))
        return false;
    if (cert_save(cmd, s->out, made, false, s->force))
        return true;
    if (key->is_new)
        (void)th_path_unlink(s->key);
    return false;
}
