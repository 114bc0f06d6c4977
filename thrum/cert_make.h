/* SPDX-License-Identifier: MIT */

/* What new, request and sign have in common: names, keys, what a certificate shall be good for. */
#ifndef THRUM_PROGRAM_CERT_MAKE_H
#define THRUM_PROGRAM_CERT_MAKE_H

#include "cert_files.h"

#include <thrum.h>

#define CERT_NAMES_MAX 256

/* The settings of the three; each has options for those that concern it. */
typedef struct cert_make {
    const char *names[CERT_NAMES_MAX];
    size_t name_count;
    const char *subject; /* NULL: made of the first name */
    const char *type;    /* of a new key, for th_key_new() */
    const char *key;     /* file */
    const char *out;     /* file */
    const char *pass;    /* file; NULL: none */
    const char *usage;   /* for th_cert_opts.extended_usage */
    long days;           /* 0: the default */
    bool authority;
    bool force;
    /* sign alone */
    const char *request;
    const char *ca;
    const char *ca_key;
    bool dev;
} cert_make;

/* For the tables of options. */
const char *cert_set_subject(void *settings, const char *value);
const char *cert_set_type(void *settings, const char *value);
const char *cert_set_key(void *settings, const char *value);
const char *cert_set_out(void *settings, const char *value);
const char *cert_set_pass(void *settings, const char *value);
const char *cert_set_usage(void *settings, const char *value);
const char *cert_set_days(void *settings, const char *value);
const char *cert_set_authority(void *settings, const char *value);
const char *cert_set_force(void *settings, const char *value);
const char *cert_take_name(void *settings, const char *text);

#define CERT_MAKE_OPTIONS                                                                          \
    { "authority", NULL, "for an authority, which signs others; NAME is what it is called",        \
      cert_set_authority },                                                                        \
        { "usage", "KIND", "server (the default), client or both", cert_set_usage },               \
        { "force", NULL, "replace files that are there", cert_set_force },                         \
    {                                                                                              \
        "pass", "FILE", "pass phrase of the key, the file's first line", cert_set_pass             \
    }

/* A file's name made of a subject's: "*" and what a path cannot have are replaced. In the arena. */
char *cert_default_file(th_arena *arena, const char *name, const char *end);

/* Puts names, subject, usage and authority into opts; false when it has told what is wrong. */
bool cert_fill(const command *cmd, const cert_make *s, th_arena *arena, th_cert_opts *opts);

/* Whether a text is a name for a certificate; alt borrows it. */
bool cert_is_name(const char *text, th_cert_alt *alt);

/* A key that was read from a file, or is new and not written yet. */
typedef struct cert_key {
    th_key *key;
    bool is_new;
} cert_key;

/* Reads the key of a file, encrypted perhaps; false when it has told what is wrong. */
bool cert_load_key(const command *cmd, const char *path, const cert_pass *pass, th_key **key);

/* The same, but makes one when the file is not there. */
bool cert_get_key(const command *cmd, const cert_make *s, const cert_pass *pass, cert_key *key);

/* Writes a new key, and then what was made with it: both or none. False as above. */
bool cert_save_made(const command *cmd, const cert_make *s, const cert_pass *pass,
                    const cert_key *key, th_str made);

/* The names of a certificate or request, or else its subject, in words. In the arena. */
char *cert_names_text(th_arena *arena, const th_cert_alt *alts, size_t count, th_str subject);

/* "EC P-256", "RSA 2048 bits". Returns text. */
#define CERT_KEY_TEXT_SIZE 80
char *cert_key_text(const th_key_info *info, char text[CERT_KEY_TEXT_SIZE]);

#endif
