/* SPDX-License-Identifier: MIT */

/*
 * Making certificates: by oneself, by an authority, on request.
 *
 * One struct says what shall be in a certificate; zero is the sensible default for each field, and
 * for a server nothing but `subject` or `alts` has to be set. A request has the same contents, but
 * neither a serial number nor a time.
 */
#ifndef THRUM_CERT_ISSUE_H
#define THRUM_CERT_ISSUE_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/cert.h>
#include <thrum/cert_name.h>
#include <thrum/defs.h>
#include <thrum/key.h>
#include <thrum/mem.h>
#include <thrum/str.h>

TH_BEGIN_DECLS

typedef struct th_cert_request th_cert_request;

/* What shall be in a certificate or a request; all zero is the default. */
typedef struct th_cert_opts {
    size_t size;             /* sizeof(th_cert_opts), or 0 for the present one */
    th_cert_name subject;    /* whose it is; empty: that of the request, else none, and then there
                                must be alternative names */
    const th_cert_alt *alts; /* alternative names; NULL: those of the request */
    size_t alts_count;
    const char
        *serial; /* hexadecimal digits, up to 256, with colons or not; NULL: 159 bits by chance */
    int64_t not_before; /* first second, since 1970; 0: now */
    int64_t not_after;  /* last second, since 1970; 0: not_before + valid_for */
    int64_t valid_for;  /* seconds; 0: 90 days */
    int ca;             /* 1: it may sign others */
    int path_limit;     /* of an authority: 1 more than the number of authorities that may
                           stand below it; 0: any number */
    const char *usage;  /* as OpenSSL writes it, "digitalSignature,keyAgreement", perhaps with
                           "critical," in front; "": left out; NULL: critical,keyCertSign,
                           cRLSign of an authority, else critical,digitalSignature, and with
                           RSA keyEncipherment */
    const char *extended_usage; /* "serverAuth,clientAuth"; "": left out; NULL: serverAuth, of an
                                 authority left out */
    const char *crl_url;        /* where its revocation list is; NULL: not said */
    const char *ocsp_url;       /* where to ask about it; NULL: not said */
    const char *issuer_url;     /* where the issuer's certificate is; NULL: not said */
    const char *policies;    /* numbers with commas: "1.3.6.1.4.1.1,2.23.140.1.2.1"; NULL: none */
    const th_cert_ext *exts; /* further extensions, or others instead of the ones above */
    size_t exts_count;
    const char *digest; /* what is signed: "sha256" and others that OpenSSL knows; NULL: as
                           strong as the key that signs; must be NULL for Ed25519 */
} th_cert_opts;

/**
 * Makes a certificate that is signed with its own key.
 *
 * Always in it are basicConstraints (critical in an authority) and subjectKeyIdentifier.
 *
 * @param key   in: a private key
 * @param opts  in: what is in it; read during the call only
 * @param cert  out: the certificate, to be given back with th_cert_unref()
 * @return 0; -EINVAL, with what is wrong as detail: NULL, a public key, no subject and no
 *         alternative names, an unknown part, a value of a bad form, an unknown extension or one
 *         whose text cannot be read, an unknown digest, a bad serial number, a last second before
 *         the first; -ENOMEM; TH_ETLS with OpenSSL's reason
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_self_sign(const th_key *key, const th_cert_opts *opts, th_cert **cert);

/**
 * Makes a certificate that an authority signs, for a key.
 *
 * In it are the extensions of th_cert_self_sign() and authorityKeyIdentifier.
 *
 * @param issuer      in: the authority's certificate
 * @param issuer_key  in: its private key
 * @param key         in: the key that is certified; its public part suffices
 * @param opts        in: what is in it; read during the call only
 * @param cert        out: the certificate, to be given back with th_cert_unref()
 * @return as th_cert_self_sign(); -EINVAL also when issuer_key is not the key of issuer, or issuer
 *         says that it is no authority
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_issue(const th_cert *issuer, const th_key *issuer_key, const th_key *key,
                                 const th_cert_opts *opts, th_cert **cert);

/**
 * Makes a certificate that an authority signs, for a request, whose signature is checked.
 *
 * Subject and alternative names come from the request unless opts has them; of the latter only
 * those of kinds that th_cert_alt can make. Nothing else does: what a certificate may be used for
 * is for the authority to say. th_cert_request_get_info() tells what else was asked for.
 *
 * @param issuer      in: the authority's certificate
 * @param issuer_key  in: its private key
 * @param request     in: the request
 * @param opts        in: what is in it, or NULL for the defaults; read during the call only
 * @param cert        out: the certificate, to be given back with th_cert_unref()
 * @return as th_cert_issue(); TH_ETLS when the request is not signed with its own key
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_issue_request(const th_cert *issuer, const th_key *issuer_key,
                                         const th_cert_request *request, const th_cert_opts *opts,
                                         th_cert **cert);

/* What a request says. All of it lives in the arena that th_cert_request_get_info() was given. */
typedef struct th_cert_request_info {
    th_cert_name subject;    /* whose certificate it shall become */
    th_str subject_text;     /* the same as th_cert_name_text() writes it */
    const char *signature;   /* how it is signed: "ecdsa-with-SHA256"; static */
    const char *digest;      /* the digest that is signed; as in th_cert_info */
    th_key_info key;         /* of its public key; as in th_cert_info */
    const th_cert_alt *alts; /* alternative names that are asked for, in order */
    size_t alts_count;
    const th_cert_ext *exts; /* all extensions that are asked for, in order, as texts */
    size_t exts_count;
} th_cert_request_info;

/**
 * Makes a request for a certificate.
 *
 * Asked for is what opts says, and nothing by default.
 *
 * @param key      in: a private key, which signs it
 * @param opts     in: what is asked for; serial, not_before, not_after and valid_for must be 0
 * @param request  out: the request, to be given back with th_cert_request_unref()
 * @return as th_cert_self_sign(), but no name at all is allowed
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_request_new(const th_key *key, const th_cert_opts *opts,
                                       th_cert_request **request);

/**
 * Reads a request: DER, or the first of a PEM text.
 *
 * @param data     in, borrowed for the call: PEM or DER, at most 1 MiB
 * @param request  out: the request, to be given back with th_cert_request_unref()
 * @return 0; TH_ETLS when there is none in it or it is broken, with OpenSSL's reason as detail;
 *         TH_ELIMIT when data is too long; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_request_parse(th_str data, th_cert_request **request);

/**
 * Reads a request from a file.
 *
 * @param path     in: the file's name, any bytes
 * @param request  out: the request, to be given back with th_cert_request_unref()
 * @return as th_cert_request_parse() and th_file_load(), with the path in the detail
 *
 * Suspends: yes, unless the file is in memory
 * Thread: any
 * On cancel: nothing read
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_request_load(const char *path, th_cert_request **request);

/**
 * Counts one more user of a request.
 *
 * @param request  in: a request
 * @return request
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_cert_request *th_cert_request_ref(th_cert_request *request);

/**
 * Gives a request back; the last user's frees it.
 *
 * @param request  in: a request; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_cert_request_unref(th_cert_request *request);

/**
 * Writes a request as PEM.
 *
 * @param request  in: a request
 * @param arena    in: where the text is put, with a NUL behind it
 * @param pem      out: a view of it in the arena
 * @return 0; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_request_pem(const th_cert_request *request, th_arena *arena,
                                       th_str *pem);

/**
 * Writes a request as DER.
 *
 * @param request  in: a request
 * @param arena    in: where the bytes are put
 * @param der      out: a view of them in the arena
 * @return 0; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_request_der(const th_cert_request *request, th_arena *arena,
                                       th_str *der);

/**
 * Writes what a request says in words, a line each, for a person.
 *
 * @param request  in: a request
 * @param arena    in: where the text is put, with a NUL behind it
 * @param text     out: a view of it in the arena; control characters are escaped
 * @return 0; -EINVAL for NULL; -ENOMEM; TH_ETLS when something in it cannot be read
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_request_text(const th_cert_request *request, th_arena *arena,
                                        th_str *text);

/**
 * Tells all that a request says, as plain data.
 *
 * @param request  in: a request
 * @param arena    in: where what info points to is put
 * @param info     out: what it says
 * @return 0; -EINVAL for NULL; -ENOMEM; TH_ETLS when its extensions or alternative names are
 *         broken
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_request_get_info(const th_cert_request *request, th_arena *arena,
                                            th_cert_request_info *info);

/**
 * Tells the public key of a request.
 *
 * @param request  in: a request
 * @param key      out: its key, to be given back with th_key_unref()
 * @return 0; -EINVAL for NULL; -ENOMEM; TH_ETLS when OpenSSL cannot read the key
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_request_key(const th_cert_request *request, th_key **key);

/**
 * Checks the signature of a request.
 *
 * @param request  in: a request
 * @param key      in: the key that should have signed it; NULL: its own
 * @return 0; TH_ETLS when it was not; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_request_verify(const th_cert_request *request, const th_key *key);

TH_END_DECLS

#endif
