/* SPDX-License-Identifier: MIT */

/*
 * Keys: RSA, elliptic curves, Ed25519; made, read, written, checked.
 *
 * A key is counted and never changes: any thread may use it, several at once, without a lock. It
 * holds a private key, or only the public part of one.
 *
 * Files and texts are PEM or DER, which is told apart by looking. Read are PKCS#8, plain or
 * encrypted, the older forms of RSA and EC ("BEGIN RSA PRIVATE KEY"), and public keys
 * (SubjectPublicKeyInfo); written is PKCS#8 or, of the public part, SubjectPublicKeyInfo. The
 * library never asks on a terminal.
 *
 * What computes for long, making an RSA key and all that a pass phrase protects, is done by the
 * pool "crypto" while the calling fiber waits; a plain thread does it itself, and a callback on a
 * worker's loop, which must not, is refused with -EPERM.
 */
#ifndef THRUM_KEY_H
#define THRUM_KEY_H

#include <stddef.h>
#include <sys/types.h>

#include <thrum/defs.h>
#include <thrum/mem.h>
#include <thrum/str.h>

TH_BEGIN_DECLS

typedef struct th_key th_key;

/* The longest pass phrase, bytes. A longer one is refused, never cut. */
#define TH_PASSPHRASE_MAX 1024

/*
 * Tells the pass phrase when one is needed, at most once in a call. Runs on the caller's fiber and
 * may suspend. Returns the number of bytes that it has put into buf, any bytes, at most
 * TH_PASSPHRASE_MAX; a failure, such as -ECANCELED, becomes the result of the call as it is.
 */
typedef ssize_t th_passphrase_fn(void *arg, char *buf, size_t room);

/* Where a pass phrase comes from. All zero: there is none. */
typedef struct th_passphrase {
    size_t size;           /* sizeof(th_passphrase), or 0 for the present one */
    th_str text;           /* the phrase itself, NUL bytes allowed; used when text.ptr is not NULL,
                              also when it is empty */
    th_passphrase_fn *ask; /* tells the phrase; used when text.ptr is NULL; may be NULL */
    void *arg;             /* handed to ask */
} th_passphrase;

/* What a key is of. */
enum {
    TH_KEY_OTHER, /* something that OpenSSL knows and this list does not */
    TH_KEY_RSA,
    TH_KEY_EC,
    TH_KEY_ED25519,
    TH_KEY_ED448
};

/* What is known about a key. */
typedef struct th_key_info {
    int kind;          /* TH_KEY_... */
    int is_private;    /* 1: with the private part */
    int bits;          /* its size: of RSA's modulus, of a curve's field */
    int security_bits; /* what it is worth, as the size of a symmetric key: 112 for RSA 2048 */
    const char *name;  /* "RSA", "Ed25519", the curve's "P-256"; borrowed from the key */
} th_key_info;

/* How to write a private key. */
typedef struct th_key_write_opts {
    size_t size;                 /* sizeof(th_key_write_opts), or 0 for the present one */
    const th_passphrase *phrase; /* encrypts the key; NULL: it is written in the clear */
    const char *cipher;          /* a CBC cipher that OpenSSL knows; NULL: "aes-256-cbc" */
    unsigned iterations;         /* of PBKDF2 with HMAC-SHA256, 1,000 to 10,000,000; 0: 600,000 */
} th_key_write_opts;

/**
 * Makes a new private key.
 *
 * @param what  in: "ec" or "ec:CURVE", the curve as "P-256" (which "ec" alone means), "P-384",
 *              "P-521" or any of th_key_curve(); "rsa" or "rsa:BITS", 1,024 to 16,384, 3,072 by
 *              itself; "ed25519"; "ed448". NULL: "ec"
 * @param key   out: the key, to be given back with th_key_unref()
 * @return 0; -EINVAL for an unknown kind, an unknown curve or a size out of range, which the detail
 *         says, and for NULL; -ENOMEM; TH_ETLS with OpenSSL's reason; for RSA, -EPERM
 *         on a worker outside a fiber, and as th_offload() on one
 *
 * Suspends: yes, for RSA
 * Thread: any
 * On cancel: no key is made, or it is made to the end
 * Since: 0.1
 */
TH_API TH_MUST int th_key_new(const char *what, th_key **key);

/**
 * Names the curves that th_key_new() can make keys of, one after the other.
 *
 * @param index  in: from 0 on
 * @return a static name; NULL when there are no more
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API const char *th_key_curve(size_t index);

/**
 * Reads a key: a private one, or a public one.
 *
 * Of a PEM text the first block that is a key is read; others, such as certificates and EC
 * parameters, are passed over. Whether its numbers fit together is for th_key_check() to tell.
 *
 * @param data    in, borrowed for the call: PEM or DER, at most 1 MiB
 * @param phrase  in, borrowed for the call: for an encrypted key; NULL: none. Not used for one that
 *                is not encrypted
 * @param key     out: the key, to be given back with th_key_unref()
 * @return 0; TH_ETLS when there is no key in it or it is broken, with OpenSSL's reason as detail;
 *         -EACCES when it is encrypted and there is no phrase or it is wrong, which the detail
 *         says; -EINVAL for NULL, for a phrase that is too long, and for a phrase by value with a
 *         DER key that is not encrypted; TH_ELIMIT when data is too long, or the phrase would have
 *         to be hashed more than 10,000,000 times; what phrase->ask returned; -ENOMEM; for an
 *         encrypted key, -EPERM on a worker outside a fiber, and as th_offload() on one
 *
 * Suspends: yes, for an encrypted key
 * Thread: any
 * On cancel: nothing read
 * Since: 0.1
 */
TH_API TH_MUST int th_key_parse(th_str data, const th_passphrase *phrase, th_key **key);

/**
 * Reads a key from a file. What was read of it is wiped from memory.
 *
 * @param path    in: the file's name, any bytes
 * @param phrase  in, borrowed for the call: as th_key_parse()
 * @param key     out: the key, to be given back with th_key_unref()
 * @return as th_key_parse() and th_file_load(), with the path in the detail
 *
 * Suspends: yes
 * Thread: any
 * On cancel: nothing read
 * Since: 0.1
 */
TH_API TH_MUST int th_key_load(const char *path, const th_passphrase *phrase, th_key **key);

/**
 * Counts one more user of a key.
 *
 * @param key  in: a key
 * @return key
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_key *th_key_ref(th_key *key);

/**
 * Gives a key back; the last user's frees it, and a private part is wiped.
 *
 * @param key  in: a key; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_key_unref(th_key *key);

/**
 * Tells what is known about a key.
 *
 * @param key   in: a key
 * @param info  out: its properties; info->name is valid as long as the key
 * @return 0; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_key_get_info(const th_key *key, th_key_info *info);

/**
 * Checks a private key with all that mathematics offers.
 *
 * Primes are primes, the public part belongs to the private one. It takes some 10 ms for RSA of
 * 2,048 bits, and much longer for larger ones.
 *
 * @param key  in: a private key
 * @return 0; TH_ETLS when it is broken, with OpenSSL's reason; -EINVAL for NULL and for a public
 *         key, of which there is nothing to be said; -ENOMEM; -EPERM on a worker
 *         outside a fiber, and as th_offload() on one
 *
 * Suspends: yes
 * Thread: any
 * On cancel: not checked, or checked to the end
 * Since: 0.1
 */
TH_API TH_MUST int th_key_check(const th_key *key);

/**
 * Makes a key of the public part of another.
 *
 * @param key     in: a key
 * @param public_key  out: a key without a private part, to be given back with th_key_unref()
 * @return 0; -EINVAL for NULL; -ENOMEM; TH_ETLS
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_key_public(const th_key *key, th_key **public_key);

/**
 * Tells whether two keys have the same public part, as a private key and its certificate's do.
 *
 * @param a  in: a key
 * @param b  in: a key
 * @return 1 or 0; 0 when one is NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_key_equal(const th_key *a, const th_key *b);

/**
 * Writes a private key as PEM, "BEGIN PRIVATE KEY" or "BEGIN ENCRYPTED PRIVATE KEY".
 *
 * The text is as secret as the key, and an arena does not wipe what it frees.
 *
 * @param key    in: a private key
 * @param opts   in: options, or NULL for the defaults; read during the call only
 * @param arena  in: where the text is put, with a NUL behind it
 * @param pem    out: a view of it in the arena
 * @return 0; -EINVAL for NULL, a public key, an unknown cipher or one that is not CBC, a cipher
 *         without a phrase, a phrase that is too long, wrong options; what phrase->ask returned;
 *         -ENOMEM; TH_ETLS; with a phrase, -EPERM on a worker outside a fiber, and as
 *         th_offload() on one
 *
 * Suspends: yes, with a phrase
 * Thread: any
 * On cancel: nothing written
 * Since: 0.1
 */
TH_API TH_MUST int th_key_pem(const th_key *key, const th_key_write_opts *opts, th_arena *arena,
                              th_str *pem);

/**
 * Writes a private key as DER: PKCS#8.
 *
 * @param key    in: a private key
 * @param opts   in: options, or NULL for the defaults; read during the call only
 * @param arena  in: where the bytes are put
 * @param der    out: a view of them in the arena
 * @return as th_key_pem()
 *
 * Suspends: yes, with a phrase
 * Thread: any
 * On cancel: nothing written
 * Since: 0.1
 */
TH_API TH_MUST int th_key_der(const th_key *key, const th_key_write_opts *opts, th_arena *arena,
                              th_str *der);

/**
 * Writes the public part of a key as PEM, "BEGIN PUBLIC KEY".
 *
 * @param key    in: a key
 * @param arena  in: where the text is put, with a NUL behind it
 * @param pem    out: a view of it in the arena
 * @return 0; -EINVAL for NULL; -ENOMEM; TH_ETLS
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_key_public_pem(const th_key *key, th_arena *arena, th_str *pem);

/**
 * Writes the public part of a key as DER: SubjectPublicKeyInfo, of which pins are made.
 *
 * @param key    in: a key
 * @param arena  in: where the bytes are put
 * @param der    out: a view of them in the arena
 * @return as th_key_public_pem()
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_key_public_der(const th_key *key, th_arena *arena, th_str *der);

/**
 * Tells the fingerprint of the public part of a key, that of its SubjectPublicKeyInfo.
 *
 * @param key     in: a key
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
TH_API TH_MUST int th_key_fingerprint(const th_key *key, const char *digest, th_arena *arena,
                                      th_str *text);

TH_END_DECLS

#endif
