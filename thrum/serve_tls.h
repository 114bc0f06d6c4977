/* SPDX-License-Identifier: MIT */

/* thrum serve over TLS: its options, the context, and how that is renewed while it serves. */
#ifndef THRUM_PROGRAM_SERVE_TLS_H
#define THRUM_PROGRAM_SERVE_TLS_H

#include "common.h"

#include <sys/stat.h>
#include <thrum/cert_dev.h>
#include <thrum/tls_session.h>

#define TLS_CERTS_MAX 64
#define TLS_CAS_MAX   16
#define TLS_FILES_MAX (3 * TLS_CERTS_MAX + 2 * TLS_CAS_MAX)

/* Settings of a server that can speak TLS. They begin with server_settings. */
typedef struct tls_settings {
    server_settings server;
    bool tls_on; /* any of the options below was given */
    th_tls_cert certs[TLS_CERTS_MAX];
    size_t cert_count;
    const char *phrase_file;                 /* NULL: no key is encrypted */
    th_passphrase phrase;                    /* reads it */
    const char *client_cas[TLS_CAS_MAX + 1]; /* ended by NULL */
    size_t client_ca_count;
    const char *client_crls[TLS_CAS_MAX + 1]; /* likewise */
    size_t client_crl_count;
    bool client_chosen;   /* it was said whether clients need a certificate */
    bool client_optional; /* a client may do without one */
    const char *profile;
    int min_version;
    uint32_t hsts; /* seconds; 0: off */
    const char *keylog;
    bool kernel;                     /* it encrypts what is sent, where it can */
    const char *ticket_file;         /* NULL: the keys of tickets are in memory */
    th_tls_ticket_keys *ticket_keys; /* for the life of the server */
    th_cert_dev *dev;                /* the certificate of this machine; NULL: --cert names one */
    th_tls *tls;                     /* what connections are made with; NULL: plain HTTP */
    /* How it is renewed: */
    bool renews; /* the scope is open */
    th_scope renewers;
    th_mutex renewing; /* one at a time; zero is unlocked */
    th_signals *hangups;
    th_watch *files;
    unsigned changes;                /* how often a look has found one */
    struct stat seen[TLS_FILES_MAX]; /* of the files when they were last read */
} tls_settings;

/* For the table of options. */
const char *set_tls(void *settings, const char *value);
const char *set_cert(void *settings, const char *value);
const char *set_key(void *settings, const char *value);
const char *set_phrase_file(void *settings, const char *value);
const char *set_ocsp(void *settings, const char *value);
const char *set_client_ca(void *settings, const char *value);
const char *set_client_crl(void *settings, const char *value);
const char *set_client_cert(void *settings, const char *value);
const char *set_tls_profile(void *settings, const char *value);
const char *set_min_tls(void *settings, const char *value);
const char *set_hsts(void *settings, const char *value);
const char *set_ticket_keys(void *settings, const char *value);
const char *set_keylog(void *settings, const char *value);
const char *set_tls_kernel(void *settings, const char *value);

#define TLS_OPTIONS                                                                                \
    { "tls", NULL, "speak HTTPS; without --cert with a certificate for this machine", set_tls },   \
        { "cert", "FILE",                                                                          \
          "a certificate and its chain, PEM; repeatable: clients say which name they want",        \
          set_cert },                                                                              \
        { "key", "FILE", "the key of the --cert before it; in the same file", set_key },           \
        { "phrase-file", "FILE", "its first line is the pass phrase of encrypted keys",            \
          set_phrase_file },                                                                       \
        { "ocsp", "FILE", "an OCSP response to staple, for the --cert before it", set_ocsp },      \
        { "client-ca", "FILE", "clients need a certificate of one of these authorities",           \
          set_client_ca },                                                                         \
        { "client-crl", "FILE", "revocation lists of these authorities, PEM; repeatable",          \
          set_client_crl },                                                                        \
        { "client-cert", "KIND", "whether they do: required or optional; required",                \
          set_client_cert },                                                                       \
        { "tls-profile", "NAME", "intermediate, modern or old; intermediate", set_tls_profile },   \
        { "min-tls", "VERSION", "1.2 or 1.3; as the profile says", set_min_tls },                  \
        { "hsts", "SECONDS", "tell browsers to use nothing but HTTPS for so long", set_hsts },     \
        { "ticket-keys", "FILE",                                                                   \
          "keys of session tickets that hosts share; made by each for itself", set_ticket_keys },  \
        { "tls-kernel", NULL, "let the kernel encrypt what is sent, where it can: kTLS",           \
          set_tls_kernel },                                                                        \
    {                                                                                              \
        "tls-keylog", "FILE", "write the secrets of connections, for Wireshark", set_keylog        \
    }

/* What is wrong with the options together, or NULL. */
const char *check_tls(const tls_settings *settings);

/* Builds the context, if TLS is wanted; 0 or an error with its detail. On a fiber. */
TH_MUST int open_tls(tls_settings *settings);

/* Prints, below the lines of the start, which certificate serves when none was named. */
void print_tls(const tls_settings *settings);

/*
 * Starts to renew the context on SIGHUP and when its files change, until the call below. What
 * cannot be watched is told as a warning: then SIGHUP does it.
 */
TH_MUST int start_renewing_tls(tls_settings *settings);
void stop_renewing_tls(tls_settings *settings);

/* After the last connection; no-op without TLS. */
void close_tls(tls_settings *settings);

#endif
