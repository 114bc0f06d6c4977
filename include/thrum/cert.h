/* SPDX-License-Identifier: MIT */

/*
 * Certificates: read, looked at, written.
 *
 * A certificate is counted and never changes: any thread may use it, several at once, without a
 * lock. Files and texts are PEM or DER, which is told apart by looking.
 *
 * <thrum/cert_issue.h> makes certificates and requests, <thrum/cert_store.h> checks chains,
 * <thrum/crl.h> has revocation lists, <thrum/pkcs12.h> what Windows and browsers exchange.
 */
#ifndef THRUM_CERT_H
#define THRUM_CERT_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/cert_name.h>
#include <thrum/defs.h>
#include <thrum/key.h>
#include <thrum/mem.h>
#include <thrum/str.h>

TH_BEGIN_DECLS

typedef struct th_cert th_cert;

/*
 * Several certificates, in order: a chain, or all of a file. Caller's storage; all zero is empty.
 * Each entry is one user of its certificate; th_certs_clear() gives them all back.
 */
typedef struct th_certs {
    th_cert **at; /* the certificates, made by th_certs_add(); NULL when there are none */
    size_t count; /* how many */
} th_certs;

/* Bits of keyUsage. */
enum {
    TH_USAGE_DIGITAL_SIGNATURE = 1 << 0,
    TH_USAGE_NON_REPUDIATION = 1 << 1,
    TH_USAGE_KEY_ENCIPHERMENT = 1 << 2,
    TH_USAGE_DATA_ENCIPHERMENT = 1 << 3,
    TH_USAGE_KEY_AGREEMENT = 1 << 4,
    TH_USAGE_CERT_SIGN = 1 << 5,
    TH_USAGE_CRL_SIGN = 1 << 6,
    TH_USAGE_ENCIPHER_ONLY = 1 << 7,
    TH_USAGE_DECIPHER_ONLY = 1 << 8
};

/* What a certificate says. All of it lives in the arena that th_cert_get_info() was given. */
typedef struct th_cert_info {
    int version;          /* 1 to 3 */
    th_str serial;        /* upper-case hexadecimal digits, an even number; "-" before them
                             when it is negative */
    th_cert_name subject; /* whose it is; may be empty when there are alternative names */
    th_cert_name issuer;  /* who signed it, says the certificate */
    th_str subject_text;  /* the same as th_cert_name_text() writes them */
    th_str issuer_text;
    int self_issued;        /* 1: subject and issuer are the same */
    int64_t not_before;     /* first second at which it is valid, since 1970 */
    int64_t not_after;      /* last second at which it is valid, since 1970 */
    th_str not_before_text; /* "20260102030405Z" */
    th_str not_after_text;
    const char *signature;   /* how it is signed: "ecdsa-with-SHA256"; static */
    const char *digest;      /* the digest that is signed, "SHA256"; "" when the method has its own
                                (Ed25519) or is unknown; static */
    th_key_info key;         /* of its public key; key.kind is TH_KEY_OTHER and key.bits 0 when
                                OpenSSL cannot read it; key.name is static or in the arena */
    const th_cert_alt *alts; /* alternative names, in order */
    size_t alts_count;
    int ca;       /* 1: basicConstraints say that it may sign others; 0: they say no;
                     -1: there are none */
    int path_max; /* how many authorities may stand between it and the leaf; -1: no
                     limit */
    int usage;    /* TH_USAGE_... together; -1: not limited */
    const char *const *extended_usages; /* short names ("serverAuth") or numbers, in order */
    size_t extended_usages_count;       /* 0: not limited */
    th_str subject_key_id;              /* bytes; empty: none */
    th_str authority_key_id;            /* bytes; empty: none */
    const th_str *crl_urls;             /* where revocation lists are, in order */
    size_t crl_urls_count;
    const th_str *ocsp_urls; /* where OCSP responders are, in order */
    size_t ocsp_urls_count;
    const th_str *issuer_urls; /* where the issuer's certificate is, in order */
    size_t issuer_urls_count;
    const char *const *policies; /* short names or numbers, in order */
    size_t policies_count;
    const th_cert_ext *exts; /* all extensions, those above too, in order, as texts */
    size_t exts_count;
} th_cert_info;

/**
 * Reads a certificate, DER or the first of a PEM text.
 *
 * Other blocks before it, such as a key, are passed over.
 *
 * @param data  in, borrowed for the call: PEM or DER, at most 1 MiB; DER with nothing behind it
 * @param cert  out: the certificate, to be given back with th_cert_unref()
 * @return 0; TH_ETLS when there is none in it or it is broken, with OpenSSL's reason as detail;
 *         TH_ELIMIT when data is too long; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_parse(th_str data, th_cert **cert);

/**
 * Reads a certificate from a file.
 *
 * @param path  in: the file's name, any bytes
 * @param cert  out: the certificate, to be given back with th_cert_unref()
 * @return as th_cert_parse() and th_file_load(), with the path in the detail
 *
 * Suspends: yes, unless the file is in memory
 * Thread: any
 * On cancel: nothing read
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_load(const char *path, th_cert **cert);

/**
 * Counts one more user of a certificate.
 *
 * @param cert  in: a certificate
 * @return cert
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_cert *th_cert_ref(th_cert *cert);

/**
 * Gives a certificate back; the last user's frees it.
 *
 * @param cert  in: a certificate; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_cert_unref(th_cert *cert);

/**
 * Reads all certificates of a PEM text, in order, or the one of a DER.
 *
 * @param data   in, borrowed for the call: PEM or DER, at most 16 MiB; other blocks are passed over
 * @param certs  in, out: the certificates are added behind those that are in it
 * @return how many were added, at least 1; TH_ETLS when there is none in it or one is broken, and
 *         then nothing is added; else as th_cert_parse()
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_certs_parse(th_str data, th_certs *certs);

/**
 * Reads all certificates of a file, in order.
 *
 * @param path   in: the file's name, any bytes
 * @param certs  in, out: the certificates are added behind those that are in it
 * @return as th_certs_parse() and th_file_load(), with the path in the detail
 *
 * Suspends: yes, unless the file is in memory
 * Thread: any
 * On cancel: nothing read
 * Since: 0.1
 */
TH_API TH_MUST int th_certs_load(const char *path, th_certs *certs);

/**
 * Adds a certificate to several.
 *
 * @param certs  in, out: the certificates
 * @param cert   in: one more, which is counted: the caller keeps its own
 * @return 0; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_certs_add(th_certs *certs, th_cert *cert);

/**
 * Gives all certificates back and makes the storage empty.
 *
 * @param certs  in, out: the certificates; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_certs_clear(th_certs *certs);

/**
 * Writes certificates one behind the other as PEM.
 *
 * @param certs  in: the certificates
 * @param arena  in: where the text is put, with a NUL behind it
 * @param pem    out: a view of it in the arena
 * @return 0; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_certs_pem(const th_certs *certs, th_arena *arena, th_str *pem);

/**
 * Writes a certificate as PEM.
 *
 * @param cert   in: a certificate
 * @param arena  in: where the text is put, with a NUL behind it
 * @param pem    out: a view of it in the arena
 * @return 0; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_pem(const th_cert *cert, th_arena *arena, th_str *pem);

/**
 * Writes a certificate as DER, byte for byte as it was read.
 *
 * @param cert   in: a certificate
 * @param arena  in: where the bytes are put
 * @param der    out: a view of them in the arena
 * @return 0; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_der(const th_cert *cert, th_arena *arena, th_str *der);

/**
 * Writes what a certificate says in words, a line each, for a person.
 *
 * @param cert   in: a certificate
 * @param arena  in: where the text is put, with a NUL behind it
 * @param text   out: a view of it in the arena; control characters are escaped
 * @return 0; -EINVAL for NULL; -ENOMEM; TH_ETLS when something in it cannot be read
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_text(const th_cert *cert, th_arena *arena, th_str *text);

/**
 * Tells the fingerprint of a certificate.
 *
 * @param cert    in: a certificate
 * @param digest  in: "sha256" or another that OpenSSL knows; NULL: "sha256"
 * @param arena   in: where the text is put, with a NUL behind it
 * @param text    out: upper-case hexadecimal pairs with colons between them
 * @return 0; -EINVAL for NULL and an unknown digest; -ENOMEM; TH_ETLS
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_fingerprint(const th_cert *cert, const char *digest, th_arena *arena,
                                       th_str *text);

/**
 * Tells all that a certificate says, as plain data.
 *
 * @param cert   in: a certificate
 * @param arena  in: where what info points to is put
 * @param info   out: what it says
 * @return 0; -EINVAL for NULL; -ENOMEM; TH_ETLS when an extension that has a field of its own is
 *         broken, with its name in the detail
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_get_info(const th_cert *cert, th_arena *arena, th_cert_info *info);

/**
 * Tells the public key of a certificate.
 *
 * @param cert  in: a certificate
 * @param key   out: its key, to be given back with th_key_unref()
 * @return 0; -EINVAL for NULL; -ENOMEM; TH_ETLS when the key is of a kind that OpenSSL does not
 *         know, or broken
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_key(const th_cert *cert, th_key **key);

/**
 * Tells whether a key is the one of a certificate.
 *
 * @param cert  in: a certificate
 * @param key   in: a key, private or public
 * @return 1 when it is; 0 when not; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_cert_has_key(const th_cert *cert, const th_key *key);

/**
 * Tells whether a certificate is for a host, by the rules of TLS clients.
 *
 * The common name of the subject counts only when there are no alternative names of hosts; a
 * wildcard stands for all of the left-most label and nothing else; an address is compared with
 * addresses only.
 *
 * @param cert  in: a certificate
 * @param host  in: a name or an address in text
 * @return 1 when it is; 0 when not; -EINVAL for NULL, an empty name, and one with NUL bytes;
 *         -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_cert_is_for(const th_cert *cert, th_str host);

/**
 * Checks the signature of a certificate, and nothing else.
 *
 * @param cert  in: a certificate
 * @param key   in: the key of its issuer, private or public
 * @return 0; TH_ETLS when it was not signed by that key; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_verify(const th_cert *cert, const th_key *key);

/**
 * Tells whether two certificates are the same, byte for byte.
 *
 * @param a  in: a certificate
 * @param b  in: a certificate
 * @return 1 or 0; 0 when one is NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_cert_equal(const th_cert *a, const th_cert *b);

TH_END_DECLS

#endif
