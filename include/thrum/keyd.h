/* SPDX-License-Identifier: MIT */

/*
 * A process that holds private keys and signs for others.
 *
 * A server that is broken into loses what it has in memory. With a key process it has no private
 * keys: the certificate's key is given as "keyd:unix:/run/keyd" in th_tls_opts, and each handshake
 * asks the key process, over a Unix socket, for one signature. `thrum keyd` is such a process.
 *
 * It signs what TLS signs and nothing else: digests, padded here or shown to be padded; it does not
 * decrypt. So whoever has broken into the server cannot read what was recorded in former times, and
 * loses the keys' service when he is thrown out.
 */
#ifndef THRUM_KEYD_H
#define THRUM_KEYD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <thrum/addr.h>
#include <thrum/defs.h>
#include <thrum/mem.h>
#include <thrum/str.h>

TH_BEGIN_DECLS

/* As many keys may a process hold. */
#define TH_KEYD_KEYS_MAX 256

/* One key to be held. */
typedef struct th_keyd_key {
    const char *file;   /* PEM, RSA of up to 8192 bits or EC */
    const char *name;   /* for "keyd:unix:/path#name", and for people; up to 63 bytes; NULL: the
                           file's name without folder and suffix */
    const char *phrase; /* of an encrypted file; NULL: none. Nobody is asked. */
} th_keyd_key;

/* How to hold keys; all zero is the default, but for keys and count. */
typedef struct th_keyd_opts {
    size_t size;              /* sizeof(th_keyd_opts), or 0 for the present one */
    const th_keyd_key *keys;  /* read during the start only */
    size_t count;             /* 1 to TH_KEYD_KEYS_MAX */
    const uid_t *users;       /* who may connect besides the process's own user; NULL: nobody */
    size_t user_count;        /* up to 16 */
    uint32_t rate;            /* signatures in a second, of all; those of up to a second may come at
                                 once; further requests are refused; 0: 20,000 */
    uint32_t max_connections; /* at a time; others wait; 0: 1,024 */
    void (*listening)(const th_addr *addr, void *arg); /* called when clients can connect; may be
                                                          NULL */
    void *arg;                                         /* handed to it */
} th_keyd_opts;

/**
 * Holds keys, and signs for those who connect, until it is stopped.
 *
 * The socket's file belongs to the process's user alone, unless there are others in opts->users;
 * whoever connects is asked for, too (SO_PEERCRED). Signatures that are dearer than to hand them
 * over are computed in the pool "crypto".
 *
 * @param address  where to listen, as th_listen() takes it: a Unix socket, "unix:/path" or
 *                 "systemd:NAME"
 * @param opts     options; read during the call only
 * @return 0 after an orderly stop, as th_serve(); -errno of a file that cannot be read, -EACCES
 * also when its pass phrase is wrong or missing, TH_ETLS for what is no key in it or one that
 *         cannot be held, TH_EADDRESS for an address that is no Unix socket, and as
 *         th_listen() and th_serve(), all with a detail; -EINVAL for NULL or wrong options, with a
 *         detail; -EPERM outside a fiber; -ENOMEM
 *
 * Suspends: yes, until it is stopped
 * Thread: fiber
 * On cancel: ends the connections and returns
 * Since: 0.1
 */
TH_API TH_MUST int th_keyd_serve(const char *address, const th_keyd_opts *opts);

/**
 * Asks a key process what it holds and has done.
 *
 * The text has a line for each key (`key NAME KIND SHA256`, the last the fingerprint of the public
 * part in hexadecimal), and one for each count (`signed N`, `refused N`, `limited N`, `failed N`).
 *
 * @param address  where it listens, "unix:/path"
 * @param arena    where the text is put
 * @param text     out: the text; valid as long as the arena
 * @return 0; -errno when it cannot be reached, -EACCES when this user may not ask; TH_EPROTO when
 *         what is there is no key process; -ECANCELED or -ETIMEDOUT when the caller's scope says
 * so; -EPERM outside a fiber; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: yes
 * Thread: fiber
 * On cancel: gives up
 * Since: 0.1
 */
TH_API TH_MUST int th_keyd_status(const char *address, th_arena *arena, th_str *text);

TH_END_DECLS

#endif
