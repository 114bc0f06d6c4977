/* SPDX-License-Identifier: MIT */

/* thrum cert convert: between PEM, DER and PKCS#12. */
#include "cert_commands.h"
#include "cert_make.h"
#include "cert_things.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef enum form { FORM_UNKNOWN, FORM_PEM, FORM_DER, FORM_PKCS12 } form;

typedef struct convert_settings {
    const char *from;
    const char *to;
    const char *key;   /* file of a further key; NULL: none */
    const char *chain; /* file of further certificates; NULL: none */
    const char *pass;  /* file; NULL: none */
    const char *name;  /* friendly name; NULL: none */
    form form;
    bool force;
} convert_settings;

static const char *set_form(void *settings, const char *value)
{
    convert_settings *s = settings;
    s->form = strcmp(value, "pem") == 0   ? FORM_PEM
              : strcmp(value, "der") == 0 ? FORM_DER
              : strcmp(value, "p12") == 0 ? FORM_PKCS12
                                          : FORM_UNKNOWN;
    return s->form == FORM_UNKNOWN ? "must be pem, der or p12" : NULL;
}

static const char *set_key(void *settings, const char *value)
{
    ((convert_settings *)settings)->key = value;
    return *value ? NULL : "must be a file";
}

static const char *set_chain(void *settings, const char *value)
{
    ((convert_settings *)settings)->chain = value;
    return *value ? NULL : "must be a file";
}

static const char *set_pass(void *settings, const char *value)
{
    ((convert_settings *)settings)->pass = value;
    return *value ? NULL : "must be a file";
}

static const char *set_name(void *settings, const char *value)
{
    ((convert_settings *)settings)->name = value;
    return *value ? NULL : "must be a name";
}

static const char *set_force(void *settings, const char *value)
{
    (void)value;
    ((convert_settings *)settings)->force = true;
    return NULL;
}

static const char *take_file(void *settings, const char *text)
{
    convert_settings *s = settings;
    const char **file = s->from ? &s->to : &s->from;
    if (s->to)
        return "only two files are possible";
    *file = text;
    return *text ? NULL : "no file has an empty name";
}

static const option options[] = {
    { "to", "FORM", "pem, der or p12; by default what the end of TO says", set_form },
    { "key", "FILE", "a private key to add, for PKCS#12", set_key },
    { "chain", "FILE", "certificates to add behind those of FROM", set_chain },
    { "name", "TEXT", "what PKCS#12 calls the key", set_name },
    { "pass", "FILE", "pass phrase of PKCS#12 and encrypted keys, the file's first line",
      set_pass },
    { "force", NULL, "replace TO if it is there", set_force },
    { NULL, NULL, NULL, NULL },
};

const command cert_convert_command = {
    .name = "cert convert",
    .arguments = "FROM TO",
    .purpose = "Converts certificates, keys, requests and revocation lists.",
    .details =
        "Reads PEM, DER and PKCS#12, whatever FROM is called. Writes what the end of TO says: "
        ".pem,\n"
        ".crt and .key are PEM, .der and .cer are DER, .p12 and .pfx are PKCS#12. \"-\" is "
        "standard\n"
        "input or output. Private keys are written unencrypted, except for PKCS#12 with --pass.\n",
    .options = options,
    .argument = take_file,
};

static form form_of(const char *path)
{
    static const struct {
        const char *end;
        form form;
    } ends[] = { { ".pem", FORM_PEM }, { ".crt", FORM_PEM },    { ".key", FORM_PEM },
                 { ".csr", FORM_PEM }, { ".crl", FORM_PEM },    { ".der", FORM_DER },
                 { ".cer", FORM_DER }, { ".p12", FORM_PKCS12 }, { ".pfx", FORM_PKCS12 } };
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (th_str_has_suffix(th_str_of(path), th_str_of(ends[i].end)))
            return ends[i].form;
    return FORM_UNKNOWN;
}

/* ---- writing ---- */

/* Appends to what there is. */
static int append(th_arena *arena, th_str *all, th_str more)
{
    const char *text = th_arena_printf(arena, "%.*s%.*s", TH_STR_ARG(*all), TH_STR_ARG(more));
    if (!text)
        return -ENOMEM;
    *all = th_str_make(text, all->len + more.len);
    return 0;
}

static int key_as(const th_key *key, form as, th_arena *arena, th_str *out)
{
    th_key_info info;
    int err = th_key_get_info(key, &info);
    if (err < 0)
        return err;
    if (as == FORM_PEM)
        return info.is_private ? th_key_pem(key, NULL, arena, out)
                               : th_key_public_pem(key, arena, out);
    return info.is_private ? th_key_der(key, NULL, arena, out) : th_key_public_der(key, arena, out);
}

/* The key first, then certificates: what servers read. */
static int write_pem(const cert_things *t, th_arena *arena, th_str *out)
{
    th_str part;
    int err = 0;
    *out = th_str_make("", 0);
    if (t->key) {
        err = key_as(t->key, FORM_PEM, arena, &part);
        err = err == 0 ? append(arena, out, part) : err;
    }
    if (err == 0 && t->certs.count > 0) {
        err = th_certs_pem(&t->certs, arena, &part);
        err = err == 0 ? append(arena, out, part) : err;
    }
    if (err == 0 && t->request) {
        err = th_cert_request_pem(t->request, arena, &part);
        err = err == 0 ? append(arena, out, part) : err;
    }
    if (err == 0 && t->crl) {
        err = th_crl_pem(t->crl, arena, &part);
        err = err == 0 ? append(arena, out, part) : err;
    }
    return err;
}

/* DER holds one thing: of a certificate with its key and its chain that is the certificate. */
static int write_der(const cert_things *t, th_arena *arena, th_str *out)
{
    if (t->certs.count > 0)
        return th_cert_der(t->certs.at[0], arena, out);
    if (t->request)
        return th_cert_request_der(t->request, arena, out);
    if (t->crl)
        return th_crl_der(t->crl, arena, out);
    return key_as(t->key, FORM_DER, arena, out);
}

static int write_pkcs12(const convert_settings *s, const cert_things *t, const cert_pass *pass,
                        th_arena *arena, th_str *out)
{
    const th_passphrase phrase = { .text = { pass->text, pass->len } };
    th_pkcs12 p12 = { .key = t->key, .name = s->name };
    if (t->certs.count > 0) {
        p12.cert = t->certs.at[0];
        p12.chain = (th_certs){ t->certs.at + 1, t->certs.count - 1 };
    }
    return th_pkcs12_write(&p12, &phrase, NULL, arena, out);
}

/* ---- the whole ---- */

static bool add_key(const convert_settings *s, const cert_pass *pass, cert_things *t)
{
    const command *cmd = &cert_convert_command;
    if (!s->key)
        return true;
    th_key_unref(t->key);
    t->key = NULL;
    if (!cert_load_key(cmd, s->key, pass, &t->key))
        return false;
    if (t->certs.count == 0 || th_cert_has_key(t->certs.at[0], t->key) == 1)
        return true;
    print_error("thrum %s: %s does not belong to %s", cmd->name, s->key, s->from);
    return false;
}

static bool add_chain(const convert_settings *s, cert_things *t)
{
    if (!s->chain)
        return true;
    int err = th_certs_load(s->chain, &t->certs);
    return err >= 0 || (cert_failed(&cert_convert_command, err, s->chain), false);
}

/* Whether all of it can be written in this form. */
static bool fits(const convert_settings *s, const cert_things *t)
{
    const command *cmd = &cert_convert_command;
    if (t->key_is_locked && !t->key) {
        print_error("thrum %s: %s: the key is encrypted; --pass FILE tells its pass phrase",
                    cmd->name, s->from);
        return false;
    }
    if (s->form != FORM_PKCS12)
        return true;
    if (!s->pass) {
        print_error("thrum %s: %s: PKCS#12 needs a pass phrase: --pass FILE", cmd->name, s->to);
        return false;
    }
    if (t->certs.count > 0 || t->key)
        return true;
    print_error("thrum %s: %s: PKCS#12 holds keys and certificates alone", cmd->name, s->from);
    return false;
}

static int write_all(const convert_settings *s, const cert_things *t, const cert_pass *pass,
                     th_arena *arena)
{
    const command *cmd = &cert_convert_command;
    th_str out = { NULL, 0 };
    int err = s->form == FORM_PEM   ? write_pem(t, arena, &out)
              : s->form == FORM_DER ? write_der(t, arena, &out)
                                    : write_pkcs12(s, t, pass, arena, &out);
    if (err < 0)
        return cert_failed(cmd, err, s->from);
    th_key_info info;
    bool is_secret = t->key && th_key_get_info(t->key, &info) == 0 && info.is_private;
    bool ok = cert_save(cmd, s->to, out, is_secret, s->force);
    explicit_bzero((char *)(uintptr_t)out.ptr, out.len);
    return ok ? 0 : 1;
}

static int convert(const convert_settings *s, cert_pass *pass)
{
    const command *cmd = &cert_convert_command;
    cert_things things = { .key = NULL };
    th_arena arena;
    th_arena_init(&arena, NULL, 0, 0);
    int status = 1;
    if (cert_may_write(cmd, s->to, s->force) && cert_load_pass(cmd, s->pass, pass) &&
        cert_things_load(cmd, s->from, pass, &things) && add_key(s, pass, &things) &&
        add_chain(s, &things) && fits(s, &things))
        status = write_all(s, &things, pass, &arena);
    cert_things_clear(&things);
    th_arena_deinit(&arena);
    return status;
}

int cert_convert_main(int argc, char **argv)
{
    convert_settings s = { .form = FORM_UNKNOWN };
    cert_pass pass = { .len = 0 };
    int status = options_read(&cert_convert_command, argc, argv, &s);
    if (status >= 0)
        return status;
    if (!s.to)
        return options_wrong(&cert_convert_command, "two files are needed: from and to");
    if (s.form == FORM_UNKNOWN)
        s.form = form_of(s.to);
    if (s.form == FORM_UNKNOWN)
        return options_wrong(&cert_convert_command,
                             "%s: its name does not tell the form; say --to pem, der or p12", s.to);
    status = convert(&s, &pass);
    explicit_bzero(&pass, sizeof pass);
    return status;
}
