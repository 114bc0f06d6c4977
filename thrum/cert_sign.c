/* SPDX-License-Identifier: MIT */

/*
 * thrum cert sign: makes a certificate of a request, signed by an authority.
 *
 * Whoever wrote the request says what it is called and which key it has, and proves to have that
 * key. What the certificate is good for says the command line alone: a request that asks to be an
 * authority becomes none.
 */
#include "cert_commands.h"
#include "cert_make.h"
#include "cert_words.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAYS_DEFAULT 365
#define SLACK        3600 /* seconds that clocks differ */

static const char *set_ca(void *settings, const char *value)
{
    ((cert_make *)settings)->ca = value;
    return *value ? NULL : "must be a file";
}

static const char *set_ca_key(void *settings, const char *value)
{
    ((cert_make *)settings)->ca_key = value;
    return *value ? NULL : "must be a file";
}

static const char *set_dev(void *settings, const char *value)
{
    (void)value;
    ((cert_make *)settings)->dev = true;
    return NULL;
}

static const char *set_name(void *settings, const char *value)
{
    return cert_take_name(settings, value);
}

static const char *take_request(void *settings, const char *text)
{
    cert_make *s = settings;
    if (s->request)
        return "only one request can be signed";
    if (!*text)
        return "no file has an empty name";
    s->request = text;
    return NULL;
}

static const option options[] = {
    { "ca", "FILE", "the authority's certificate, with its chain if it has one", set_ca },
    { "ca-key", "FILE", "its private key; by default in the file of the certificate", set_ca_key },
    { "dev", NULL, "sign by the authority of thrum cert dev", set_dev },
    { "out", "FILE", "where the certificate goes; by default REQUEST with .pem", cert_set_out },
    { "days", "N", "how long it is valid, but not longer than its authority; 365 by default",
      cert_set_days },
    { "name", "NAME", "instead of the names that are asked for; repeatable", set_name },
    { "subject", "TEXT", "instead of the subject that is asked for", cert_set_subject },
    CERT_MAKE_OPTIONS,
    { NULL, NULL, NULL, NULL },
};

const command cert_sign_command = {
    .name = "cert sign",
    .arguments = "REQUEST",
    .purpose = "Signs a request: makes a certificate of it.",
    .details = "The file gets the certificate and those of the authority's chain, without the\n"
               "root: what a server sends.\n",
    .options = options,
    .argument = take_request,
};

/* All that takes part. */
typedef struct parts {
    th_certs chain; /* of the authority, its own certificate first */
    th_cert_info ca;
    th_key *key;
    th_cert_request *request;
    th_cert_request_info asked;
} parts;

static void parts_clear(parts *p)
{
    th_certs_clear(&p->chain);
    th_key_unref(p->key);
    th_cert_request_unref(p->request);
}

/* The files of the authority for developing; the paths are copied to the arena. */
static bool find_dev(cert_make *s, th_arena *arena)
{
    th_cert_dev *dev;
    int err = th_cert_dev_open(NULL, &dev);
    if (err == 0) {
        s->ca = th_arena_strdup(arena, th_str_of(th_cert_dev_authority_key_file(dev)));
        th_cert_dev_free(dev);
        err = s->ca ? 0 : -ENOMEM;
    }
    if (err < 0)
        cert_failed(&cert_sign_command, err, NULL);
    return err == 0;
}

static bool load_authority(const cert_make *s, const cert_pass *pass, th_arena *arena, parts *p)
{
    const command *cmd = &cert_sign_command;
    int err = th_certs_load(s->ca, &p->chain);
    if (err >= 0)
        err = th_cert_get_info(p->chain.at[0], arena, &p->ca);
    if (err < 0) {
        cert_failed(cmd, err, s->ca);
        return false;
    }
    if (p->ca.ca != 1 || (p->ca.usage != -1 && !(p->ca.usage & TH_USAGE_CERT_SIGN))) {
        print_error("thrum %s: %s is no authority: its certificate does not say that it may sign "
                    "others",
                    cmd->name, s->ca);
        return false;
    }
    if (s->authority && p->ca.path_max == 0) {
        print_error("thrum %s: %s may sign no further authority: the path length in its "
                    "certificate is 0",
                    cmd->name, s->ca);
        return false;
    }
    const char *key = s->ca_key ? s->ca_key : s->ca;
    if (!cert_load_key(cmd, key, pass, &p->key))
        return false;
    if (th_cert_has_key(p->chain.at[0], p->key) == 1)
        return true;
    print_error("thrum %s: the key in %s does not belong to the certificate in %s", cmd->name, key,
                s->ca);
    return false;
}

static bool load_request(const cert_make *s, th_arena *arena, parts *p)
{
    const command *cmd = &cert_sign_command;
    int err = th_cert_request_load(s->request, &p->request);
    if (err == 0)
        err = th_cert_request_get_info(p->request, arena, &p->asked);
    if (err < 0) {
        cert_failed(cmd, err, s->request);
        return false;
    }
    err = th_cert_request_verify(p->request, NULL);
    if (err == 0)
        return true;
    print_error("thrum %s: %s: its signature is wrong: it was changed, or whoever made it does not "
                "have the key",
                cmd->name, s->request);
    return false;
}

/* Clients look for the names of hosts among the alternative names alone (RFC 9525 section 2). */
static int take_common_name(th_arena *arena, const parts *p, th_cert_opts *opts)
{
    th_str name;
    if (opts->ca || opts->alts_count > 0 || p->asked.alts_count > 0 ||
        th_cert_name_find(&p->asked.subject, "CN", 0, &name) != 1)
        return 0;
    th_cert_alt *alt = th_arena_calloc(arena, 1, sizeof *alt);
    const char *text = th_arena_strdup(arena, name);
    if (!alt || !text)
        return -ENOMEM;
    if (strlen(text) == name.len && cert_is_name(text, alt)) {
        opts->alts = alt;
        opts->alts_count = 1;
    }
    return 0;
}

/* The certificate, then those between it and the root. */
static int pem_of(const parts *p, th_cert *cert, th_arena *arena, th_str *pem)
{
    th_certs all = { NULL, 0 };
    int err = th_certs_add(&all, cert);
    for (size_t i = 0; err == 0 && i < p->chain.count; i++) {
        th_cert_info info;
        err = th_cert_get_info(p->chain.at[i], arena, &info);
        if (err == 0 && !info.self_issued)
            err = th_certs_add(&all, p->chain.at[i]);
    }
    if (err == 0)
        err = th_certs_pem(&all, arena, pem);
    th_certs_clear(&all);
    return err;
}

static int sign(const cert_make *s, th_arena *arena, parts *p, th_cert_opts *opts)
{
    const command *cmd = &cert_sign_command;
    th_cert *cert = NULL;
    th_cert_info info;
    th_str pem;
    int64_t now = (int64_t)time(NULL);
    opts->not_before = now - SLACK > p->ca.not_before ? now - SLACK : p->ca.not_before;
    opts->not_after = now + (s->days ? s->days : DAYS_DEFAULT) * DAY;
    if (opts->not_after > p->ca.not_after)
        opts->not_after = p->ca.not_after;
    opts->path_limit = s->authority ? 1 : 0;
    int err = take_common_name(arena, p, opts);
    if (err == 0)
        err = th_cert_issue_request(p->chain.at[0], p->key, p->request, opts, &cert);
    if (err == 0)
        err = pem_of(p, cert, arena, &pem);
    if (err == 0)
        err = th_cert_get_info(cert, arena, &info);
    th_cert_unref(cert);
    if (err != 0)
        return cert_failed(cmd, err, s->request);
    if (!cert_save(cmd, s->out, pem, false, s->force))
        return 1;
    if (!cert_is_standard(s->out)) {
        char when[CERT_WHEN_SIZE];
        cert_say("certificate  %s: %s, until %s\n", s->out,
                 cert_names_text(arena, info.alts, info.alts_count, info.subject_text),
                 cert_when(info.not_after, when));
        cert_say("signed by    %.*s\n", TH_STR_ARG(info.issuer_text));
    }
    return 0;
}

/* "x.csr" becomes "x.pem", and so does "x". */
static const char *default_out(th_arena *arena, const char *request)
{
    const char *slash = strrchr(request, '/');
    const char *dot = strrchr(slash ? slash : request, '.');
    size_t len = dot && dot[1] ? (size_t)(dot - request) : strlen(request);
    return th_arena_printf(arena, "%.*s.pem", (int)len, request);
}

static int prepare(cert_make *s, th_arena *arena, th_cert_opts *opts)
{
    const command *cmd = &cert_sign_command;
    if (!s->request)
        return options_wrong(cmd, "a request is missing");
    if (!s->ca == !s->dev)
        return options_wrong(cmd, s->ca ? "--ca FILE and --dev exclude each other"
                                        : "--ca FILE or --dev must say who signs");
    if (s->authority && s->name_count > 0)
        return options_wrong(cmd, "--name is for hosts; an authority is named by --subject");
    if (!cert_fill(cmd, s, arena, opts))
        return EXIT_USAGE;
    /* A name that was given is an alternative name; it does not change the subject. */
    if (!s->subject)
        opts->subject = (th_cert_name){ NULL, 0 };
    if (!s->out && !(s->out = default_out(arena, s->request)))
        return cert_failed(cmd, -ENOMEM, NULL);
    return cert_may_write(cmd, s->out, s->force) ? -1 : 1;
}

int cert_sign_main(int argc, char **argv)
{
    cert_make s = { .usage = "serverAuth" };
    cert_pass pass = { .len = 0 };
    th_cert_opts opts = { .size = sizeof opts };
    parts p = { .key = NULL };
    th_arena arena;
    int status = options_read(&cert_sign_command, argc, argv, &s);
    if (status >= 0)
        return status;
    th_arena_init(&arena, NULL, 0, 0);
    status = prepare(&s, &arena, &opts);
    if (status < 0)
        status = (!s.dev || find_dev(&s, &arena)) &&
                         cert_load_pass(&cert_sign_command, s.pass, &pass) &&
                         load_authority(&s, &pass, &arena, &p) && load_request(&s, &arena, &p)
                     ? sign(&s, &arena, &p, &opts)
                     : 1;
    explicit_bzero(&pass, sizeof pass);
    parts_clear(&p);
    th_arena_deinit(&arena);
    return status;
}
