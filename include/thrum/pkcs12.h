/* SPDX-License-Identifier: MIT */

/*
 * PKCS#12: one file that holds a private key, its certificate and the chain, protected by a pass
 * phrase. Windows, Java and browsers exchange them.
 */
#ifndef THRUM_PKCS12_H
#define THRUM_PKCS12_H

#include <stddef.h>

#include <thrum/cert.h>
#include <thrum/defs.h>
#include <thrum/key.h>
#include <thrum/mem.h>
#include <thrum/str.h>

TH_BEGIN_DECLS

/* The contents. Caller's storage; all zero is empty, and each part may be missing. */
typedef struct th_pkcs12 {
    th_key *key;      /* private; NULL: none */
    th_cert *cert;    /* the certificate of the key; NULL: none */
    th_certs chain;   /* the other certificates, in the order of the file */
    const char *name; /* the friendly name, UTF-8, terminated; NULL: none. As output on the heap
                         until th_pkcs12_clear(); as input borrowed */
} th_pkcs12;

/* How to write a file; all zero is the default. */
typedef struct th_pkcs12_opts {
    size_t size;         /* sizeof(th_pkcs12_opts), or 0 for the present one */
    const char *cipher;  /* for key and certificates, a CBC cipher; NULL: "aes-256-cbc" */
    const char *mac;     /* digest that guards the whole; NULL: "sha256" */
    unsigned iterations; /* of the phrase's hash, 1,000 to 10,000,000; 0: 600,000 */
} th_pkcs12_opts;

/**
 * Reads a PKCS#12 file that is in memory. The MAC is always checked.
 *
 * Without a phrase both meanings of "none" are tried, no phrase and an empty one. Files of old
 * programs, whose ciphers are RC2 or 3DES with 40 or 168 bits, can only be read where OpenSSL's
 * "legacy" provider is loaded; the detail says so.
 *
 * @param data    in, borrowed for the call: DER, at most 16 MiB
 * @param phrase  in, borrowed for the call: the phrase; NULL: none
 * @param p12     out: the contents, to be given back with th_pkcs12_clear()
 * @return 0; -EACCES when the phrase is wrong or missing; TH_ETLS when the file is broken or its
 *         ciphers are not there, with OpenSSL's reason as detail; TH_ELIMIT when data is too long
 *         or the phrase would have to be hashed more than 10,000,000 times for one part or
 *         40,000,000 times for all of them; -EINVAL for NULL and a phrase that is too long; what
 *         phrase->ask returned; -ENOMEM; -EPERM on a worker outside a fiber, and as th_offload() on
 *         one
 *
 * Suspends: yes
 * Thread: any
 * On cancel: nothing read
 * Since: 0.1
 */
TH_API TH_MUST int th_pkcs12_parse(th_str data, const th_passphrase *phrase, th_pkcs12 *p12);

/**
 * Reads a PKCS#12 file.
 *
 * @param path    in: the file's name, any bytes
 * @param phrase  in, borrowed for the call: the phrase; NULL: none
 * @param p12     out: the contents, to be given back with th_pkcs12_clear()
 * @return as th_pkcs12_parse() and th_file_load(), with the path in the detail
 *
 * Suspends: yes
 * Thread: any
 * On cancel: nothing read
 * Since: 0.1
 */
TH_API TH_MUST int th_pkcs12_load(const char *path, const th_passphrase *phrase, th_pkcs12 *p12);

/**
 * Gives back what th_pkcs12_parse() has put into a struct, and makes it empty.
 *
 * @param p12  in, out: the contents; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_pkcs12_clear(th_pkcs12 *p12);

/**
 * Writes a PKCS#12 file.
 *
 * @param p12     in: the contents; a part that is NULL is left out, but not all of them may be
 * @param phrase  in: protects it; NULL: an empty phrase, which protects nothing
 * @param opts    in: options, or NULL for the defaults; read during the call only
 * @param arena   in: where the bytes are put
 * @param der     out: a view of them in the arena
 * @return 0; -EINVAL, with what is wrong as detail: NULL, nothing in it, a key that has no private
 *         part or is not the one of cert, an unknown cipher or digest, wrong options, a phrase that
 *         is too long or has NUL bytes, which the format cannot tell from its end; what phrase->ask
 *         returned; -ENOMEM; TH_ETLS with OpenSSL's reason; -EPERM on a worker outside
 *         a fiber, and as th_offload() on one
 *
 * Suspends: yes
 * Thread: any
 * On cancel: nothing written
 * Since: 0.1
 */
TH_API TH_MUST int th_pkcs12_write(const th_pkcs12 *p12, const th_passphrase *phrase,
                                   const th_pkcs12_opts *opts, th_arena *arena, th_str *der);

TH_END_DECLS

#endif
