/* SPDX-License-Identifier: MIT */

/*
 * Whom to believe: a store of trusted certificates and revocation lists, and the check of a chain
 * against it, without a connection.
 *
 * A store may be added to at any time, by any thread; a check sees what is in it when it begins.
 * A TLS context takes a copy of what is in a store when the context is built.
 */
#ifndef THRUM_CERT_STORE_H
#define THRUM_CERT_STORE_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/cert.h>
#include <thrum/crl.h>
#include <thrum/defs.h>
#include <thrum/mem.h>
#include <thrum/str.h>

TH_BEGIN_DECLS

typedef struct th_cert_store th_cert_store;

/* Which certificates of a chain are looked for in revocation lists. */
enum {
    TH_CRL_NONE, /* none */
    TH_CRL_LEAF, /* the first; there must be a list of its issuer */
    TH_CRL_ALL   /* all; there must be a list for each issuer */
};

/* How to check; all zero is the default. */
typedef struct th_cert_check_opts {
    size_t size;           /* sizeof(th_cert_check_opts), or 0 for the present one */
    const th_certs *chain; /* certificates that may be used on the way to a trusted one, in any
                              order, trusted by nobody; NULL: none */
    const char
        *purpose;       /* "server", "client", "email", "ocsp", "timestamp" or "any"; NULL: "any" */
    th_str host;        /* a name or an address that the certificate must be for; empty: any */
    int64_t when;       /* the second at which it shall be valid, since 1970; 0: now */
    int crl;            /* TH_CRL_... */
    int depth_max;      /* how many authorities may stand between leaf and trusted one; 0: 100;
                           -1: none */
    int partial;        /* 1: any certificate of the store ends the chain; else one must be
                           signed by itself */
    int security_level; /* 0 to 5, of OpenSSL: how weak keys and digests may be; 0: 2, which is
                           112 bits; -1: anything */
} th_cert_check_opts;

/* What a check came to. */
typedef struct th_cert_verdict {
    int code;         /* OpenSSL's X509_V_ERR_...; 0: good */
    const char *name; /* what that means, OpenSSL's text: "certificate has expired"; static */
    int depth;        /* which certificate: 0 is the leaf */
    th_str words;     /* all of it in words, for a person; in the arena */
    th_certs chain;   /* the chain as far as it came, leaf first; to be given back with
                         th_certs_clear() */
} th_cert_verdict;

/**
 * Makes an empty store.
 *
 * @param store  out: the store, to be given back with th_cert_store_unref()
 * @return 0; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_store_new(th_cert_store **store);

/**
 * Counts one more user of a store.
 *
 * @param store  in: a store
 * @return store
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_cert_store *th_cert_store_ref(th_cert_store *store);

/**
 * Gives a store back; the last user's frees it.
 *
 * @param store  in: a store; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_cert_store_unref(th_cert_store *store);

/**
 * Adds a certificate to those that are trusted; once more does no harm.
 *
 * @param store  in: a store
 * @param cert   in: a certificate, which is counted: the caller keeps its own
 * @return 0; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_store_add(th_cert_store *store, th_cert *cert);

/**
 * Adds a revocation list. Of one issuer the latest is used.
 *
 * @param store  in: a store
 * @param crl    in: a list, which is counted: the caller keeps its own
 * @return 0; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_store_add_crl(th_cert_store *store, th_crl *crl);

/**
 * Adds all certificates of a PEM text, or the one of a DER, and all revocation lists in it.
 *
 * @param store  in: a store
 * @param data   in, borrowed for the call: at most 64 MiB
 * @return how many were added, at least 1; TH_ETLS when there is none in it, one is broken, or
 *         something stands behind a DER: nothing is added then; TH_ELIMIT when data is too long;
 *         -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_store_add_text(th_cert_store *store, th_str data);

/**
 * Adds what a file or a directory has, or both.
 *
 * A file is read at once. A directory has files named by a hash of the subject ("9d66eef0.0",
 * OpenSSL's c_rehash makes them); they are read when they are needed, by the thread that checks.
 *
 * @param store      in: a store
 * @param file       in: a file's name, any bytes; NULL: none
 * @param directory  in: a directory's name, any bytes; NULL: none
 * @return 0; -EINVAL for NULL as store, and when both are NULL; as th_cert_store_add_text() and
 *         th_file_load(), with the path in the detail; -ENOENT and -ENOTDIR for the directory
 *
 * Suspends: yes, unless the file is in memory
 * Thread: any
 * On cancel: nothing added
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_store_add_path(th_cert_store *store, const char *file,
                                          const char *directory);

/**
 * Adds what this system trusts.
 *
 * That is the file and the directory that the environment names in SSL_CERT_FILE and SSL_CERT_DIR,
 * else those that OpenSSL was built with, else the usual ones. What does not exist of them is
 * passed over.
 *
 * @param store  in: a store
 * @return 0; -ENOENT when there is nothing at all, with the places in the detail; -EINVAL for NULL;
 *         as th_cert_store_add_path()
 *
 * Suspends: yes, unless the file is in memory
 * Thread: any
 * On cancel: nothing added
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_store_add_system(th_cert_store *store);

/**
 * Checks whether a certificate has a chain to one that the store trusts.
 *
 * All in the chain has to be as it should: signatures, times, usages, names, and, if asked for,
 * revocation lists.
 *
 * @param store    in: a store
 * @param cert     in: the certificate
 * @param opts     in: how, or NULL for the defaults; read during the call only
 * @param arena    in: where verdict->words is put; may be NULL when verdict is
 * @param verdict  out: what it came to, also when that is TH_ETLS; NULL: not wanted
 * @return 0 when it is good; TH_ETLS when it is not, with the words as detail, and verdict is set;
 *         -EINVAL for NULL and wrong options; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_check(th_cert_store *store, const th_cert *cert,
                                 const th_cert_check_opts *opts, th_arena *arena,
                                 th_cert_verdict *verdict);

TH_END_DECLS

#endif
