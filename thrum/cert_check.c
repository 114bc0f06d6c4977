/* SPDX-License-Identifier: MIT */

/* thrum cert check: whether certificates are good, for a program that watches over them. */
#include "cert_commands.h"
#include "cert_judge.h"
#include "cert_make.h"
#include "cert_target.h"
#include "cert_words.h"

#include <stdio.h>
#include <string.h>

#define TARGETS_MAX 256

typedef struct check_settings {
    const char *targets[TARGETS_MAX];
    size_t target_count;
    long warning_days;
    long critical_days;
    long seconds;      /* that a server may take */
    const char *key;   /* file; NULL: what is in the target */
    const char *trust; /* file; NULL: the system */
    const char *name;  /* NULL: a server's host */
    const char *pass;  /* file; NULL: none */
    const char *usage; /* "server", "client"; NULL: any */
    bool no_trust;
    bool quiet;
    /* while it runs */
    const char *target;
    cert_pass phrase;
} check_settings;

static const char *set_warning(void *settings, const char *value)
{
    return options_number(value, 0, 36500, &((check_settings *)settings)->warning_days)
               ? NULL
               : "must be a number from 0 to 36500";
}

static const char *set_critical(void *settings, const char *value)
{
    return options_number(value, 0, 36500, &((check_settings *)settings)->critical_days)
               ? NULL
               : "must be a number from 0 to 36500";
}

static const char *set_key(void *settings, const char *value)
{
    ((check_settings *)settings)->key = value;
    return *value ? NULL : "must be a file";
}

static const char *set_trust(void *settings, const char *value)
{
    ((check_settings *)settings)->trust = value;
    return *value ? NULL : "must be a file";
}

static const char *set_no_trust(void *settings, const char *value)
{
    (void)value;
    ((check_settings *)settings)->no_trust = true;
    return NULL;
}

static const char *set_name(void *settings, const char *value)
{
    ((check_settings *)settings)->name = value;
    return *value ? NULL : "must be a name";
}

static const char *set_pass(void *settings, const char *value)
{
    ((check_settings *)settings)->pass = value;
    return *value ? NULL : "must be a file";
}

static const char *set_usage(void *settings, const char *value)
{
    check_settings *s = settings;
    s->usage = strcmp(value, "any") == 0 ? NULL : value;
    return !s->usage || strcmp(value, "server") == 0 || strcmp(value, "client") == 0
               ? NULL
               : "must be server, client or any";
}

static const char *set_timeout(void *settings, const char *value)
{
    return options_number(value, 1, 3600, &((check_settings *)settings)->seconds)
               ? NULL
               : "must be a number from 1 to 3600";
}

static const char *set_quiet(void *settings, const char *value)
{
    (void)value;
    ((check_settings *)settings)->quiet = true;
    return NULL;
}

static const char *take_target(void *settings, const char *text)
{
    check_settings *s = settings;
    if (s->target_count == TARGETS_MAX)
        return "at most 256 can be checked at once";
    s->targets[s->target_count++] = text;
    return *text ? NULL : "no file has an empty name";
}

static const option options[] = {
    { "days", "N", "a warning when it expires within N days; 30", set_warning },
    { "critical-days", "N", "critical when it expires within N days; 7", set_critical },
    { "name", "NAME", "that it must be for; of a server by default HOST", set_name },
    { "usage", "KIND", "what it must be good for: server (the default), client or any", set_usage },
    { "key", "FILE", "the private key that must belong to it", set_key },
    { "trust", "FILE", "authorities that are trusted; by default those of the system", set_trust },
    { "no-trust", NULL, "do not ask whether it is trusted", set_no_trust },
    { "pass", "FILE", "pass phrase of an encrypted file, the file's first line", set_pass },
    { "timeout", "SECONDS", "how long a server may take; 10", set_timeout },
    { "quiet", NULL, "print what is wrong, nothing else", set_quiet },
    { NULL, NULL, NULL, NULL },
};

const command cert_check_command = {
    .name = "cert check",
    .arguments = "FILE|HOST:PORT...",
    .purpose = "Checks certificates: dates, chain, key, names, strength, use.",
    .details = "Prints a line for each thing that is wrong. The exit status is that of the worst:\n"
               "0 for none, 1 for a warning, 2 for something critical, also when there is nothing\n"
               "to look at. A file holds what a server sends, its own certificate first.\n",
    .options = options,
    .argument = take_target,
};

static void tell(void *arg, cert_grade grade, const char *words)
{
    const check_settings *s = arg;
    cert_say("%s: %s: %s\n", cert_grade_name(grade), s->target, words);
}

static cert_grade worse(cert_grade a, cert_grade b)
{
    return a > b ? a : b;
}

/* The key of the file that is checked, or of another one. */
static cert_grade check_key(const check_settings *s, const cert_measure *m, const cert_things *t)
{
    cert_grade grade = CERT_OK;
    th_key *key = t->key ? th_key_ref(t->key) : NULL;
    const char *path = s->target;
    if (s->key) {
        th_key_unref(key);
        key = NULL;
        path = s->key;
        if (!cert_load_key(&cert_check_command, s->key, &s->phrase, &key))
            return CERT_CRITICAL;
    }
    if (key)
        grade = cert_judge_key(m, t->certs.at[0], key, path);
    th_key_unref(key);
    return grade;
}

static void tell_good(const check_settings *s, const th_certs *certs)
{
    th_arena arena;
    th_cert_info info;
    char when[CERT_WHEN_SIZE];
    th_arena_init(&arena, NULL, 0, 0);
    if (!s->quiet && th_cert_get_info(certs->at[0], &arena, &info) == 0) {
        const char *names = cert_names_text(&arena, info.alts, info.alts_count, info.subject_text);
        cert_say("ok: %s: %s, until %s\n", s->target, names ? names : "",
                 cert_when(info.not_after, when));
    }
    th_arena_deinit(&arena);
}

/* What cannot be looked at is critical: a service that does not answer needs somebody, too. */
static cert_grade check_target(const check_settings *s, cert_measure m)
{
    cert_target target = { .is_server = false };
    const command *cmd = &cert_check_command;
    cert_grade grade = CERT_CRITICAL;
    const cert_look look = { .name = s->name, .pass = &s->phrase, .seconds = s->seconds };
    if (cert_target_open(cmd, s->target, &look, &target) == 0) {
        const cert_things *t = &target.things;
        m.name = s->name ? s->name : target.is_server ? target.host : NULL;
        if (t->certs.count == 0) {
            print_error("thrum %s: %s: there is no certificate in it", cmd->name, s->target);
        } else {
            grade = cert_judge(&m, &t->certs);
            grade = worse(grade, check_key(s, &m, t));
            if (grade == CERT_OK)
                tell_good(s, &t->certs);
        }
    }
    cert_target_clear(&target);
    return grade;
}

static int check_all(check_settings *s)
{
    cert_measure m = {
        .warning = s->warning_days * DAY,
        .critical = s->critical_days * DAY,
        .usage = s->usage,
        .tell = tell,
        .arg = s,
    };
    cert_grade worst = CERT_OK;
    if (!cert_load_pass(&cert_check_command, s->pass, &s->phrase))
        return CERT_CRITICAL;
    if (!s->no_trust && !cert_open_store(&cert_check_command, s->trust, &m.store))
        worst = CERT_CRITICAL;
    for (size_t i = 0; i < s->target_count; i++) {
        s->target = s->targets[i];
        worst = worse(worst, check_target(s, m));
    }
    th_cert_store_unref(m.store);
    return (int)worst;
}

int cert_check_main(int argc, char **argv)
{
    check_settings s = {
        .warning_days = 30, .critical_days = 7, .seconds = CERT_PATIENCE, .usage = "server"
    };
    int status = options_read(&cert_check_command, argc, argv, &s);
    if (status >= 0)
        return status;
    if (s.target_count == 0)
        return options_wrong(&cert_check_command, "a file or HOST:PORT is missing");
    status = check_all(&s);
    explicit_bzero(&s.phrase, sizeof s.phrase);
    return status;
}
