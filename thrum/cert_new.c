/* SPDX-License-Identifier: MIT */

/* thrum cert new and request: a certificate that is signed with its own key, or a request for one.
 */
#include "cert_commands.h"
#include "cert_make.h"
#include "cert_words.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DAYS_DEFAULT 365

#define KEY_OPTIONS                                                                                \
    { "key", "FILE", "the private key: used if it is there, else made; NAME-key.pem by default",   \
      cert_set_key },                                                                              \
        { "type", "KIND",                                                                          \
          "of a new key: p256 (the default), p384, p521, ed25519, rsa2048, rsa3072, rsa4096",      \
          cert_set_type },                                                                         \
    {                                                                                              \
        "subject", "TEXT", "as in O=Example,CN=example.org; by default CN=NAME", cert_set_subject  \
    }

#define NAMES_HELP                                                                                 \
    "NAME is that of a host, perhaps with a wildcard, *.example.org, an address, a mail address\n" \
    "or a URI. The first one names the files.\n"

static const option new_options[] = {
    { "out", "FILE", "where the certificate goes; NAME.pem by default", cert_set_out },
    { "days", "N", "how long it is valid; 365 by default", cert_set_days },
    KEY_OPTIONS,
    CERT_MAKE_OPTIONS,
    { NULL, NULL, NULL, NULL },
};

const command cert_new_command = {
    .name = "cert new",
    .arguments = "NAME...",
    .purpose = "Makes a certificate that is signed with its own key.",
    .details = NAMES_HELP,
    .options = new_options,
    .argument = cert_take_name,
};

static const option request_options[] = {
    { "out", "FILE", "where the request goes; NAME.csr by default", cert_set_out },
    KEY_OPTIONS,
    CERT_MAKE_OPTIONS,
    { NULL, NULL, NULL, NULL },
};

const command cert_request_command = {
    .name = "cert request",
    .arguments = "NAME...",
    .purpose = "Makes a request for a certificate, which an authority signs.",
    .details = NAMES_HELP "`thrum cert sign` signs it, and so does any authority.\n",
    .options = request_options,
    .argument = cert_take_name,
};

static void print_key(const cert_make *s, const cert_key *key)
{
    th_key_info info;
    char text[CERT_KEY_TEXT_SIZE];
    if (th_key_get_info(key->key, &info) == 0)
        cert_say("key          %s: %s%s\n", s->key, cert_key_text(&info, text),
                 key->is_new ? ", new" : "");
}

static int make_certificate(const cert_make *s, const cert_pass *pass, th_arena *arena,
                            const cert_key *key, const th_cert_opts *opts)
{
    const command *cmd = &cert_new_command;
    th_cert *cert;
    th_str pem;
    th_cert_info info;
    int err = th_cert_self_sign(key->key, opts, &cert);
    if (err < 0)
        return cert_failed(cmd, err, NULL);
    err = th_cert_pem(cert, arena, &pem);
    if (err == 0)
        err = th_cert_get_info(cert, arena, &info);
    th_cert_unref(cert);
    if (err != 0)
        return cert_failed(cmd, err, NULL);
    if (!cert_save_made(cmd, s, pass, key, pem))
        return 1;
    if (!cert_is_standard(s->out)) {
        char when[CERT_WHEN_SIZE];
        cert_say("certificate  %s: %s, until %s\n", s->out,
                 cert_names_text(arena, info.alts, info.alts_count, info.subject_text),
                 cert_when(info.not_after, when));
        print_key(s, key);
    }
    return 0;
}

static int make_request(const cert_make *s, const cert_pass *pass, th_arena *arena,
                        const cert_key *key, const th_cert_opts *opts)
{
    const command *cmd = &cert_request_command;
    th_cert_request *request;
    th_str pem;
    th_cert_request_info info;
    int err = th_cert_request_new(key->key, opts, &request);
    if (err < 0)
        return cert_failed(cmd, err, NULL);
    err = th_cert_request_pem(request, arena, &pem);
    if (err == 0)
        err = th_cert_request_get_info(request, arena, &info);
    th_cert_request_unref(request);
    if (err != 0)
        return cert_failed(cmd, err, NULL);
    if (!cert_save_made(cmd, s, pass, key, pem))
        return 1;
    if (!cert_is_standard(s->out)) {
        cert_say("request      %s: %s\n", s->out,
                 cert_names_text(arena, info.alts, info.alts_count, info.subject_text));
        print_key(s, key);
    }
    return 0;
}

/* Everything that may be wrong is looked at before a key is made, which is never undone. */
static int prepare(const command *cmd, cert_make *s, th_arena *arena, cert_pass *pass,
                   th_cert_opts *opts)
{
    if (s->name_count == 0)
        return options_wrong(cmd, "a name is missing");
    if (s->authority && s->name_count > 1)
        return options_wrong(cmd, "%s: an authority has one name", s->names[1]);
    if (!cert_fill(cmd, s, arena, opts))
        return EXIT_USAGE;
    if (!s->out)
        s->out = cert_default_file(arena, s->names[0], cmd == &cert_new_command ? ".pem" : ".csr");
    if (!s->key)
        s->key = cert_default_file(arena, s->names[0], "-key.pem");
    if (!s->out || !s->key)
        return cert_failed(cmd, -ENOMEM, NULL);
    return cert_may_write(cmd, s->out, s->force) && cert_load_pass(cmd, s->pass, pass) ? -1 : 1;
}

typedef int maker(const cert_make *s, const cert_pass *pass, th_arena *arena, const cert_key *key,
                  const th_cert_opts *opts);

static int run(const command *cmd, maker *make, int argc, char **argv)
{
    cert_make s = { .type = "ec:P-256", .usage = "serverAuth" };
    cert_pass pass = { .len = 0 };
    cert_key key = { .key = NULL };
    th_cert_opts opts = { .size = sizeof opts };
    th_arena arena;
    int status = options_read(cmd, argc, argv, &s);
    if (status >= 0)
        return status;
    th_arena_init(&arena, NULL, 0, 0);
    status = prepare(cmd, &s, &arena, &pass, &opts);
    if (cmd == &cert_new_command)
        opts.valid_for = (s.days ? s.days : DAYS_DEFAULT) * DAY;
    if (status < 0)
        status = cert_get_key(cmd, &s, &pass, &key) ? make(&s, &pass, &arena, &key, &opts) : 1;
    explicit_bzero(&pass, sizeof pass);
    th_key_unref(key.key);
    th_arena_deinit(&arena);
    return status;
}

int cert_new_main(int argc, char **argv)
{
    return run(&cert_new_command, make_certificate, argc, argv);
}

int cert_request_main(int argc, char **argv)
{
    return run(&cert_request_command, make_request, argc, argv);
}
