/* SPDX-License-Identifier: MIT */

/*
 * Revocation lists: which certificates of an authority must no longer be believed.
 *
 * A list is counted and never changes: any thread may use it, several at once, without a lock.
 */
#ifndef THRUM_CRL_H
#define THRUM_CRL_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/cert.h>
#include <thrum/cert_name.h>
#include <thrum/defs.h>
#include <thrum/key.h>
#include <thrum/mem.h>
#include <thrum/str.h>

TH_BEGIN_DECLS

typedef struct th_crl th_crl;

/* A certificate that is revoked. */
typedef struct th_crl_entry {
    const char *serial; /* its number: hexadecimal digits, with colons or not as input; upper-case
                           without colons as output */
    int64_t when;       /* seconds since 1970; as input 0: now */
    const char *reason; /* one of th_crl_reason(), as input without regard to case and blanks; NULL:
                           none is given */
} th_crl_entry;

/* What shall be in a list; all zero is the default. */
typedef struct th_crl_opts {
    size_t size;                 /* sizeof(th_crl_opts), or 0 for the present one */
    const th_crl_entry *entries; /* the revoked certificates, kept in this order */
    size_t entries_count;        /* how many */
    int64_t last_update;         /* seconds since 1970; 0: now */
    int64_t next_update;         /* seconds since 1970; 0: 30 days after last_update */
    const char *number;          /* of the list, hexadecimal digits; higher than that of the list
                                    before; NULL: none is given */
    const char *digest;          /* as in th_cert_opts */
} th_crl_opts;

/* What a list says. All of it lives in the arena that th_crl_get_info() was given. */
typedef struct th_crl_info {
    th_cert_name issuer;         /* whose list it is */
    th_str issuer_text;          /* the same as th_cert_name_text() writes it */
    int64_t last_update;         /* seconds since 1970 */
    int64_t next_update;         /* seconds since 1970; 0: not said */
    th_str number;               /* upper-case hexadecimal digits; empty: none */
    const char *signature;       /* how it is signed: "ecdsa-with-SHA256"; static */
    const th_crl_entry *entries; /* in the order of the list */
    size_t entries_count;        /* how many */
} th_crl_info;

/**
 * Names the reasons for a revocation, one after the other: "unspecified", "keyCompromise", ...
 *
 * @param index  in: from 0 on
 * @return a static name; NULL when there are no more
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API const char *th_crl_reason(size_t index);

/**
 * Makes a list.
 *
 * @param issuer      in: the authority's certificate
 * @param issuer_key  in: its private key
 * @param opts        in: what is in it, or NULL for an empty list; read during the call only
 * @param crl         out: the list, to be given back with th_crl_unref()
 * @return 0; -EINVAL, with what is wrong as detail: NULL, a key that is not the one of issuer or
 *         has no private part, a bad serial number, an unknown reason, an unknown digest, a next
 *         update before the last; -ENOMEM; TH_ETLS with OpenSSL's reason
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_crl_new(const th_cert *issuer, const th_key *issuer_key,
                              const th_crl_opts *opts, th_crl **crl);

/**
 * Reads a list: DER, or the first of a PEM text.
 *
 * @param data  in, borrowed for the call: PEM or DER, at most 64 MiB
 * @param crl   out: the list, to be given back with th_crl_unref()
 * @return 0; TH_ETLS when there is none in it or it is broken, with OpenSSL's reason as detail;
 *         TH_ELIMIT when data is too long; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_crl_parse(th_str data, th_crl **crl);

/**
 * Reads a list from a file.
 *
 * @param path  in: the file's name, any bytes
 * @param crl   out: the list, to be given back with th_crl_unref()
 * @return as th_crl_parse() and th_file_load(), with the path in the detail
 *
 * Suspends: yes, unless the file is in memory
 * Thread: any
 * On cancel: nothing read
 * Since: 0.1
 */
TH_API TH_MUST int th_crl_load(const char *path, th_crl **crl);

/**
 * Counts one more user of a list.
 *
 * @param crl  in: a list
 * @return crl
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_crl *th_crl_ref(th_crl *crl);

/**
 * Gives a list back; the last user's frees it.
 *
 * @param crl  in: a list; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_crl_unref(th_crl *crl);

/**
 * Writes a list as PEM, "BEGIN X509 CRL".
 *
 * @param crl    in: a list
 * @param arena  in: where the text is put, with a NUL behind it
 * @param pem    out: a view of it in the arena
 * @return 0; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_crl_pem(const th_crl *crl, th_arena *arena, th_str *pem);

/**
 * Writes a list as DER.
 *
 * @param crl    in: a list
 * @param arena  in: where the bytes are put
 * @param der    out: a view of them in the arena
 * @return 0; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_crl_der(const th_crl *crl, th_arena *arena, th_str *der);

/**
 * Writes what a list says in words, a line each, for a person.
 *
 * @param crl    in: a list
 * @param arena  in: where the text is put, with a NUL behind it
 * @param text   out: a view of it in the arena; control characters are escaped
 * @return 0; -EINVAL for NULL; -ENOMEM; TH_ETLS when something in it cannot be read
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_crl_text(const th_crl *crl, th_arena *arena, th_str *text);

/**
 * Tells all that a list says, as plain data.
 *
 * @param crl    in: a list
 * @param arena  in: where what info points to is put
 * @param info   out: what it says
 * @return 0; -EINVAL for NULL; -ENOMEM; TH_ETLS when something in it cannot be read
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_crl_get_info(const th_crl *crl, th_arena *arena, th_crl_info *info);

/**
 * Checks the signature of a list, and nothing else.
 *
 * @param crl  in: a list
 * @param key  in: the key of its issuer, private or public
 * @return 0; TH_ETLS when it was not signed by that key; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_crl_verify(const th_crl *crl, const th_key *key);

/**
 * Tells whether a list revokes a certificate, by its issuer and its number.
 *
 * Neither the signature of the list nor its age is looked at.
 *
 * @param crl   in: a list
 * @param cert  in: a certificate
 * @return 1 when it is in the list; 0 when it is not, or is of another issuer; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_crl_revokes(const th_crl *crl, const th_cert *cert);

TH_END_DECLS

#endif
