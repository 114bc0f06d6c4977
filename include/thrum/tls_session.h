/* SPDX-License-Identifier: MIT */

/*
 * Sessions of TLS: what lets a second connection do without the costly half of the handshake.
 *
 * A server keeps nothing. What it would have to know it gives to the client, encrypted, as a
 * ticket; whoever has the key of the ticket resumes the session. So all processes and hosts that
 * share ticket keys resume each other's sessions. There are three keys at a time: tickets are made
 * with the current one, and taken that were made with the one before or the one after it, by a host
 * that has rotated its keys a moment later or earlier. Who has a key can read all connections that
 * were resumed with its tickets and did no key exchange of their own, and pretend to be resumed to
 * a server, so a key must not live for long: keys in memory rotate by themselves.
 *
 * A client keeps the tickets that it was given in a cache, sorted by destination: host name, port,
 * server name, protocols offered, and the context with its demands on the server. A session is
 * therefore never resumed under another name, or with other demands, than it was verified for.
 *
 *     err = th_tls_ticket_keys_new(&(th_tls_ticket_opts){ .file = "/run/web/tickets" }, &keys);
 *     err = th_tls_new(&(th_tls_opts){ .cert = "web.pem", .ticket_keys = keys }, &tls);
 */
#ifndef THRUM_TLS_SESSION_H
#define THRUM_TLS_SESSION_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <thrum/defs.h>

TH_BEGIN_DECLS

struct th_tls; /* thrum/tls.h */

typedef struct th_tls_ticket_keys th_tls_ticket_keys;
typedef struct th_tls_sessions th_tls_sessions;
typedef struct th_tls_session th_tls_session;

/* ---- keys of tickets ---- */

/* A key: 80 bytes by chance. The first 16 are its name, which stands in each ticket. */
typedef struct th_tls_ticket_key {
    unsigned char bytes[80];
} th_tls_ticket_key;

/* The three keys of a moment. No two have the same name. */
typedef struct th_tls_ticket_set {
    th_tls_ticket_key previous; /* its tickets are taken, and replaced */
    th_tls_ticket_key current;  /* makes tickets */
    th_tls_ticket_key next;     /* its tickets are taken: another host is ahead */
} th_tls_ticket_set;

/**
 * Gets the keys that hosts share, from wherever they are.
 *
 * Called when the object is made and from time to time later, on a thread of the pool "default"
 * that it may block, never twice at once for one object.
 *
 * @param set  out: the three keys
 * @param arg  th_tls_ticket_opts.arg
 * @return 0; a negative code: th_tls_ticket_keys_new() returns it, later the keys stay as they are
 *         and a warning is logged
 */
typedef int (*th_tls_ticket_source_fn)(th_tls_ticket_set *set, void *arg);

/* Where keys come from; all zero: made by chance, in memory, for this process alone. */
typedef struct th_tls_ticket_opts {
    size_t size;      /* sizeof(th_tls_ticket_opts), or 0 for the present one */
    const char *file; /* three lines of 160 hexadecimal digits: the previous key, the current one,
                         the next one; empty lines and those that begin with # do not count. Others
                         must not be able to read it, nor its group to write it. NULL: none */
    th_tls_ticket_source_fn source; /* asked for the keys; NULL: none. Not together with a file */
    void *arg;                      /* for source */
    int64_t period; /* in memory: how long a key is the current one, ns; 0: 12 h; TH_NEVER: until
                       th_tls_ticket_keys_rotate() is called */
    int64_t look_after; /* with a file or a source: when a handshake comes and the last look was so
                           long ago, ns, somebody looks again in the background; 0: 5 s for a file,
                           60 s for a source; at most 1 h */
} th_tls_ticket_opts;

/**
 * Makes the keys for tickets, to be given to contexts.
 *
 * A file is looked at again when a handshake needs a key and the last look was some time ago. When
 * it has changed it is read; if it is broken then, a warning is logged and the old keys stay.
 *
 * @param opts  where they come from, or NULL for the defaults; read during the call, but for
 *              opts->arg
 * @param keys  out: the keys, with one reference, to be given back with th_tls_ticket_keys_unref()
 * @return 0; -ENOENT, -EACCES and other -errno of the file, -EACCES also for one that others may
 *         read; TH_ECONFIG for one that does not hold three keys, with line and reason as detail;
 *         what the source returned, TH_ECONFIG when its keys are not three different ones; -EINVAL
 *         for NULL and wrong options; -ECANCELED or -ETIMEDOUT when the caller's scope says so;
 *         -EPERM on a worker outside a fiber, with a file or source; -ENOMEM
 *
 * Suspends: yes, with a file or a source
 * Thread: any
 * On cancel: nothing is made
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_ticket_keys_new(const th_tls_ticket_opts *opts,
                                          th_tls_ticket_keys **keys);

/**
 * Takes another reference.
 *
 * @param keys  the keys, or NULL
 * @return keys
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_tls_ticket_keys *th_tls_ticket_keys_ref(th_tls_ticket_keys *keys);

/**
 * Gives a reference back; with the last one the keys are wiped from memory. Contexts hold one.
 *
 * @param keys  the keys, or NULL, for which nothing happens
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_tls_ticket_keys_unref(th_tls_ticket_keys *keys);

/**
 * Rotates keys now.
 *
 * In memory the next one becomes the current one, and a new one the next. A file or a source is
 * looked at, whenever that was done last.
 *
 * @param keys  the keys
 * @return 0; failures of file and source as th_tls_ticket_keys_new(), with the keys as they were;
 *         -EBUSY while another one is just looking; -EINVAL for NULL
 *
 * Suspends: yes, with a file or a source
 * Thread: any
 * On cancel: the keys stay as they were
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_ticket_keys_rotate(th_tls_ticket_keys *keys);

/**
 * Tells the keys, for others that shall have them. They are secrets.
 *
 * @param keys  the keys
 * @param set   out: the three of now
 * @return 0; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_ticket_keys_get(th_tls_ticket_keys *keys, th_tls_ticket_set *set);

/**
 * Sets keys in memory, which others have told; from now on they rotate only by this call.
 *
 * @param keys  keys without file and source
 * @param set   the three keys; copied
 * @return 0; -EINVAL for NULL, for keys of a file or source, and for keys of which two have the
 *         same name or one is all zero
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_ticket_keys_set(th_tls_ticket_keys *keys, const th_tls_ticket_set *set);

/**
 * Rotates the keys in a file.
 *
 * Its previous key goes, a new next one comes. A file that is not there is made, with three new
 * keys.
 *
 * The file is replaced as a whole, with permissions for its owner alone. For one program that does
 * so regularly for all hosts; `openssl rand -hex 80` makes a key as well.
 *
 * @param path  the file
 * @return 0; -EACCES, TH_ECONFIG and so on as th_tls_ticket_keys_new(), with the file as it was;
 *         -errno of writing, with the path as detail; -EINVAL for NULL; -ECANCELED, -ETIMEDOUT:
 *         the caller's scope; -EPERM on a worker outside a fiber; -ENOMEM
 *
 * Suspends: yes
 * Thread: any
 * On cancel: the file is as before, or rotated as a whole
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_ticket_file_rotate(const char *path);

/* ---- the client's cache ---- */

/* How a cache is; all zero is the default. */
typedef struct th_tls_sessions_opts {
    size_t size;          /* sizeof(th_tls_sessions_opts), or 0 for the present one */
    size_t max;           /* sessions in all, 1 to 1,000,000; 0: 1024. The oldest goes first */
    size_t max_each;      /* sessions of one destination, 1 to 64; 0: 4 */
    int64_t session_time; /* ns that one is kept, if the server does not say less; 0: 12 h */
} th_tls_sessions_opts;

/* What a cache is at and has done. */
typedef struct th_tls_sessions_stats {
    size_t size;         /* out: of what was filled */
    size_t sessions;     /* at present */
    size_t destinations; /* to which there are some */
    uint64_t stored;     /* sessions that came */
    uint64_t offered;    /* handshakes that began with one */
    uint64_t missed;     /* handshakes for which there was none */
    uint64_t expired;    /* sessions that went because of their age */
    uint64_t displaced;  /* sessions that went for lack of room */
} th_tls_sessions_stats;

/**
 * Makes a cache of sessions for clients. A context without one has its own.
 *
 * A session of TLS 1.3 is used once and then gone, since one that is used twice tells who looks on
 * that both connections come from the same client; servers send two at a time and a new one with
 * each connection. One of TLS 1.2 serves until it expires. One whose ticket has more than 16 KiB is
 * not kept: it would hardly fit into a hello.
 *
 * @param opts      options, or NULL for the defaults; read during the call only
 * @param sessions  out: the cache, with one reference, to be given back with
 *                  th_tls_sessions_unref()
 * @return 0; -EINVAL for NULL and wrong options; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_sessions_new(const th_tls_sessions_opts *opts,
                                       th_tls_sessions **sessions);

/**
 * Takes another reference.
 *
 * @param sessions  a cache, or NULL
 * @return sessions
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_tls_sessions *th_tls_sessions_ref(th_tls_sessions *sessions);

/**
 * Gives a reference back; with the last one the cache goes.
 *
 * Contexts and their connections hold some.
 *
 * @param sessions  a cache, or NULL, for which nothing happens
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_tls_sessions_unref(th_tls_sessions *sessions);

/**
 * Forgets all sessions in a cache.
 *
 * @param sessions  a cache, or NULL, for which nothing happens
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_tls_sessions_clear(th_tls_sessions *sessions);

/**
 * Tells what a cache is at and has done.
 *
 * @param sessions  a cache
 * @param size      sizeof(th_tls_sessions_stats)
 * @param stats     out: figures of one moment
 * @return 0; -EINVAL for NULL and a wrong size
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_sessions_get_stats(th_tls_sessions *sessions, size_t size,
                                             th_tls_sessions_stats *stats);

/* ---- single sessions: th_tls_session_get() and th_tls_engine_session() give them ---- */

/* What is known of a session. */
typedef struct th_tls_session_facts {
    size_t size;      /* out: of what was filled */
    int version;      /* TH_TLS_1_2, ... */
    int once;         /* 1: it should be used for one connection only */
    int64_t left;     /* for how long it may be resumed, by what the server said, ns; 0: no more */
    uint32_t early;   /* bytes of early data that the server takes with it */
    const char *name; /* the host it was verified for; "" for none; valid as long as the session */
} th_tls_session_facts;

/**
 * Tells what is known of a session.
 *
 * @param session  a session
 * @param size     sizeof(th_tls_session_facts)
 * @param facts    out: what is known
 * @return 0; -EINVAL for NULL and a wrong size
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_session_tell(const th_tls_session *session, size_t size,
                                       th_tls_session_facts *facts);

/**
 * Takes another reference.
 *
 * @param session  a session, or NULL
 * @return session
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_tls_session *th_tls_session_ref(th_tls_session *session);

/**
 * Gives a reference back; with the last one the session goes.
 *
 * @param session  a session, or NULL, for which nothing happens
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_tls_session_unref(th_tls_session *session);

/**
 * Writes a session as bytes, to be kept in a file or given to another process. They are a secret.
 *
 * @param session  a session
 * @param buf      out: the bytes; may be NULL when size is 0
 * @param size     room at buf, bytes
 * @return how many bytes it takes; when that is more than size, nothing is written; -EINVAL for
 *         NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_tls_session_export(const th_tls_session *session, void *buf, size_t size);

/**
 * Reads a session from bytes.
 *
 * The session carries what was found when the server was verified, and is not verified again. So
 * the caller vouches that the bytes come from th_tls_session_export() of a session that was made
 * with the same demands as this context has: whoever can forge them can pretend to be the server.
 *
 * @param tls      the context to whose connections it can be given
 * @param data     the bytes; copied
 * @param size     how many
 * @param session  out: the session, to be given back with th_tls_session_unref()
 * @return 0; TH_ETLS when these are no such bytes; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_session_import(struct th_tls *tls, const void *data, size_t size,
                                         th_tls_session **session);

TH_END_DECLS

#endif
