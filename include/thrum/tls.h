/* SPDX-License-Identifier: MIT */

/*
 * TLS settings: certificates, trust, versions, names; what a connection needs to know beforehand.
 *
 * A context is built once from options, checked as a whole, and never changes: connections of any
 * thread use it without a lock. To change settings while the program runs, build another context
 * and th_tls_replace() the old one: connections that are made from then on have all the new
 * settings, those that live keep all the old ones. A context serves both roles; which one a
 * connection has, says the call that makes it (thrum/tls_stream.h).
 *
 * What nothing is said about is safe: TLS 1.2 and 1.3 with forward secrecy, a client verifies the
 * server's chain, name and dates against the authorities of the system. Renegotiation, compression
 * and early data are off.
 *
 * The callbacks below get `user`, what the connection was made with, and `arg`, what the context
 * was built with. They are called on the fiber that does the handshake, may be called by several
 * workers at once, and may suspend. What was verified with a session of before is not verified
 * again when that is resumed, and `verify` is not called. A negative result of theirs ends the
 * handshake and is what the caller of the handshake gets, with the detail that the callback has
 * set.
 */
#ifndef THRUM_TLS_H
#define THRUM_TLS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <thrum/defs.h>
#include <thrum/str.h>

TH_BEGIN_DECLS

typedef struct th_tls th_tls;

struct th_certs;           /* thrum/cert.h */
struct th_key;             /* thrum/key.h */
struct th_passphrase;      /* thrum/key.h */
struct th_cert_store;      /* thrum/cert_store.h */
struct th_tls_ticket_keys; /* thrum/tls_session.h */
struct th_tls_sessions;    /* thrum/tls_session.h */

/* Versions of the protocol, as they are on the wire. */
enum { TH_TLS_1_2 = 0x0303, TH_TLS_1_3 = 0x0304 };

/* Does a server ask for the client's certificate? */
enum {
    TH_TLS_CLIENT_AUTH_OFF = 0,
    TH_TLS_CLIENT_AUTH_OPTIONAL = 1, /* asks; a certificate that comes has to be good */
    TH_TLS_CLIENT_AUTH_REQUIRED = 2  /* and who has none is refused */
};

/* What a server does with a name for which it has no certificate. */
enum {
    TH_TLS_UNKNOWN_DEFAULT = 0,        /* shows its first certificate */
    TH_TLS_UNKNOWN_REFUSE = 1,         /* alert `unrecognized name`; without a name: the first */
    TH_TLS_UNKNOWN_REFUSE_NAMELESS = 2 /* the same, and who says no name is refused, too */
};

/* What a server does when the client offers protocols and none is known. */
enum {
    TH_TLS_ALPN_REFUSE = 0, /* alert `no application protocol`, as RFC 7301 wants it */
    TH_TLS_ALPN_GO_ON = 1   /* goes on without one */
};

/* Which certificates are looked up in the revocation lists. */
enum {
    TH_TLS_CRL_AUTO = 0, /* the peer's own when lists are given, else none */
    TH_TLS_CRL_LEAF = 1, /* the peer's own; it fails when there is no list for it */
    TH_TLS_CRL_CHAIN = 2 /* the whole chain */
};

/* Does a client ask for a stapled OCSP response? */
enum {
    TH_TLS_OCSP_OFF = 0,     /* no; nor does it look whether the certificate demands one */
    TH_TLS_OCSP_ASK = 1,     /* asks; one that comes has to be good, and where the certificate
                                demands one (must-staple) it has to come */
    TH_TLS_OCSP_REQUIRED = 2 /* and where none comes the handshake fails */
};

/* What th_tls_opts.info tells. */
enum {
    TH_TLS_INFO_START = 1,         /* the handshake begins */
    TH_TLS_INFO_DONE = 2,          /* the handshake is complete */
    TH_TLS_INFO_STEP = 3,          /* it has come to the state in `text` */
    TH_TLS_INFO_ALERT_SENT = 4,    /* an alert, with its number and name */
    TH_TLS_INFO_ALERT_RECEIVED = 5 /* likewise, the peer's */
};

/* Special values of options and results. */
enum {
    TH_TLS_NO_TICKETS = -1, /* th_tls_opts.tickets */
    TH_TLS_ALPN_NONE = -1   /* result of th_tls_opts.alpn_choose: go on without a protocol */
};

/* The result of a callback that ends the handshake with this alert: TH_TLS_ALERT(112). */
#define TH_TLS_ALERT(number) (0x10000 | ((number)&0xff))

/*
 * A certificate with its key. One of cert, cert_pem and cert_object is given; the key is in key,
 * key_pem or key_object, and where none of these is given, beside the certificate.
 */
typedef struct th_tls_cert {
    const char *cert; /* a file in PEM: the certificate, then those of its chain */
    th_str cert_pem;  /* the same in memory; copied */
    const struct th_certs *cert_object; /* the same as objects; counted */
    const char *key; /* a file in PEM, or "keyd:unix:PATH#NAME": a key that lives elsewhere */
    th_str key_pem;  /* the same in memory; copied */
    const struct th_key *key_object;    /* the same as an object; counted */
    const struct th_passphrase *phrase; /* of an encrypted key; NULL: none. Nobody is ever asked at
                                           the terminal */
    const char *const *chain; /* further files in PEM, ended by NULL, whose certificates are sent
                                 behind those of cert; NULL: none */
    const char *const *names; /* server: the names for which it is shown, ended by NULL, such as
                                 "example.com" and "*.example.com"; NULL: those in it */
    const char *ocsp_file;    /* server: a file with the OCSP response to staple; NULL: none */
} th_tls_cert;

/* Whom to believe. All zero: a client believes the system's authorities, a server nobody. */
typedef struct th_tls_trust {
    const char *const *files; /* of PEM certificates, ended by NULL; NULL: none */
    const char *const *dirs; /* with names by hash as `openssl rehash` makes them, read when needed,
                                ended by NULL; NULL: none */
    th_str memory;           /* certificates in PEM or DER; copied */
    const struct th_cert_store *store; /* a store of certificates and lists */
    int system;                   /* 1: the system's as well; SSL_CERT_FILE and SSL_CERT_DIR of the
                                     environment are honoured */
    const char *const *crl_files; /* revocation lists in PEM, ended by NULL; NULL: none */
    th_str crl_memory;            /* the same in memory; copied */
    int crl_check;                /* TH_TLS_CRL_* */
    const char *const *pins; /* client: public keys, "sha256/" and the base64 or hex of the SHA-256
                                of the SubjectPublicKeyInfo, ended by NULL: one of the verified
                                chain has to be among them; NULL: no such demand */
    int partial;             /* 1: a chain may end at any trusted certificate, root or not */
} th_tls_trust;

/* One certificate of a peer's chain, shown to th_tls_opts.verify. Valid during the call. */
typedef struct th_tls_verify {
    int depth;           /* 0: the peer's own, 1: its issuer's, ... */
    int error;           /* what is wrong so far, X509_V_ERR_* of OpenSSL; 0: nothing */
    const char *words;   /* the same as text, "" for 0 */
    th_str cert;         /* the certificate, DER */
    const th_str *chain; /* the chain as far as it is built, DER, the peer's own first */
    size_t chain_count;
    const char *name; /* the host that was asked for; NULL at a server */
} th_tls_verify;

/*
 * How connections are made; all zero is a client that is safe. Everything is read, copied or
 * counted during th_tls_new(); `arg` is the caller's and lives as long as the context and its
 * connections.
 */
typedef struct th_tls_opts {
    size_t size; /* sizeof(th_tls_opts), or 0 for the present one */

    /* Who one is. */
    const char *cert;         /* for one certificate without more to say: its file, in PEM, the
                                 chain behind it; NULL: none */
    const char *key;          /* its key's file; NULL: in cert */
    const th_tls_cert *certs; /* further ones; the first of all is the default of a server and the
                                 one that a client shows */
    size_t certs_count;
    int unknown_name; /* server: TH_TLS_UNKNOWN_* */

    /* What is spoken. */
    const char *profile;  /* "intermediate", "modern" (1.3 only), "old" (1.2 also with CBC; still
                             forward secrecy only), as Mozilla names them; NULL: "intermediate" */
    int dtls;             /* 1: also for datagrams, DTLS 1.2 (thrum/dtls.h) */
    int min_version;      /* TH_TLS_1_2, ...; 0: as the profile says */
    int max_version;      /* 0: no limit */
    const char *ciphers;  /* for 1.2, as openssl-ciphers(1) reads them, best first, but for those
                             whose key exchange is RSA's, which are never spoken; NULL: the
                             profile's. A server takes its own best that the client has, but ChaCha20
                             for a client that puts this first */
    const char *suites13; /* for 1.3, names separated by colons, best first, likewise; NULL: the
                             profile's */
    const char *groups; /* for the key exchange, best first, "X25519:P-256"; NULL: the profile's */
    const char *const *alpn; /* application protocols, best first, of 1 to 255 bytes, ended by
                                NULL: a client offers them, a server takes its best; NULL: none */
    int alpn_unknown;        /* server: TH_TLS_ALPN_* */

    /* Whom one believes. */
    th_tls_trust trust;
    int client_auth; /* server: TH_TLS_CLIENT_AUTH_* */
    const char *const
        *client_ca_files;  /* server: whose authorities' names are told to clients, PEM,
                              ended by NULL; NULL: all of trust.files and .memory */
    unsigned verify_depth; /* longest chain, in issuers between peer and anchor; 0: 10 */
    int insecure_any_name; /* client: 1: the chain is verified, but not for whom it is: to be used
                              only with authorities that certify nobody else */
    int insecure_no_verification; /* 1: a client believes anybody, who might be an attacker; with
                                     trust.pins, anybody who has such a key */
    int post_handshake_auth;      /* client, 1.3: 1: answers when asked for a certificate later */

    /* Limits. */
    int64_t handshake_time;  /* ns for a handshake; 0: 10 s; TH_NEVER: no limit */
    size_t chain_max;        /* bytes of the peer's certificates; 0: 100 KiB */
    unsigned record_max;     /* bytes in a record that is sent, 512 to 16,384; 0: 16,384 */
    unsigned handshakes_max; /* under way on a worker at a time, others wait; 0: see
                                thrum/tls_stream.h */

    /* Who encrypts. */
    int kernel_sends; /* 1: what is sent over TCP is encrypted by the kernel where it can (kTLS), so
                         that files are sent without a copy. Such a socket encrypts for ever: no
                         th_tls_unwrap(), nothing plain behind `keep_below`; and a peer that asks
                         for new keys ends the sending. 0: OpenSSL encrypts */

    /* Sessions (thrum/tls_session.h). */
    int tickets;          /* server: sent after a handshake of 1.3; 0: 2; TH_TLS_NO_TICKETS */
    int64_t session_time; /* ns that a session may be resumed; 0: 12 h; at most 7 d */
    struct th_tls_ticket_keys *ticket_keys; /* server; NULL: those of the process, in memory */
    struct th_tls_sessions *sessions; /* client: where sessions are kept; NULL: the context's own */
    int no_sessions;                  /* client: 1: keeps none */
    const char *session_id;  /* server: what sessions belong to, 1 to 32 bytes; NULL: derived from
                                the demands on clients, so that hosts with the same settings resume
                                each other's; with client_auth and `verify`, of this callback and
                                `arg` in this process alone */
    uint32_t early_data_max; /* server: bytes of early data taken, 1.3; client: not 0: may send
                                some; 0: off */

    /* Revocation by OCSP. */
    int ocsp; /* client: TH_TLS_OCSP_* */

    /* For Wireshark. */
    const char *keylog_file; /* secrets are appended, in NSS format; NULL: none. Who can read it
                                can read the connections */

    /* Callbacks, each NULL or as said above. */

    /* Server: the name that the client said, NULL when it said none, before anything is chosen.
     * 0: go on, with the context that was put in *other (borrowed; counted by the connection) or
     * with this one; TH_TLS_ALERT(n): refuse; negative: fail. */
    int (*choose)(const char *name, th_tls **other, void *user, void *arg);
    /* Server: which of the offered protocols; its index, TH_TLS_ALPN_NONE, TH_TLS_ALERT(n), or a
     * failure, less than TH_TLS_ALPN_NONE. */
    int (*alpn_choose)(const th_str *offered, size_t count, void *user, void *arg);
    /* For each certificate of the peer's chain, from the anchor down, at least once: 1: good, 0:
     * not, whatever was found before; negative: fail. */
    int (*verify)(const th_tls_verify *seen, void *user, void *arg);
    /* Client: the response that came, empty when none came. 0: go on; negative: fail. */
    int (*ocsp_check)(th_str response, void *user, void *arg);
    /* Server: asked for a response: put one in *response (copied) or leave it empty. 0; negative:
     * fail. */
    int (*ocsp_staple)(th_str *response, void *user, void *arg);
    /* A line of the key log, without its end; `user` as above. */
    void (*keylog)(const char *line, void *user, void *arg);
    /* What happens in the handshake: TH_TLS_INFO_*, number and text of an alert. */
    void (*info)(int what, int number, const char *text, void *user, void *arg);
    void *arg; /* for the callbacks */
} th_tls_opts;

/**
 * Builds a context.
 *
 * Files are read, certificates and keys matched, all options tried: what is returned works. The
 * work is done off the loop when a fiber calls.
 *
 * @param opts  options, or NULL for the defaults; all is read, copied or counted during the call,
 *              but for opts->arg
 * @param tls   out: the context with one reference, to be given back with th_tls_unref()
 * @return 0; -ENOENT, -EACCES and other -errno of a file; -EACCES also when a pass phrase is wrong
 *         or missing; TH_ETLS for what is not what it should be, for a key that does not match or
 *         has no private part, and for ciphers, suites and groups that match nothing, each with the
 *         reason and the path as detail; TH_ECONFIG for a word that is not known (profile, pin,
 *         name); the code of a callback; -ECANCELED or -ETIMEDOUT when the caller's scope says so;
 *         -EPERM on a worker outside a fiber; -EINVAL for NULL and wrong options, with a detail;
 *         TH_ELIMIT for a file of more than 16 MiB; -ENOMEM
 *
 * Suspends: yes, while files are read
 * Thread: any
 * On cancel: nothing is built
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_new(const th_tls_opts *opts, th_tls **tls);

/**
 * Finds the context of clients that say nothing: the system's authorities, all defaults.
 *
 * It is built at the first call, lives as long as the process, and is the same for all.
 *
 * @param tls  out: the context with a reference for the caller, to be given back with
 *             th_tls_unref()
 * @return 0; as th_tls_new() when building it fails, and then the next call tries again; -EINVAL
 *         for NULL
 *
 * Suspends: yes, the first time
 * Thread: any
 * On cancel: nothing is built
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_client_default(th_tls **tls);

/**
 * Takes another reference.
 *
 * @param tls  a context, or NULL
 * @return tls
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_tls *th_tls_ref(th_tls *tls);

/**
 * Gives a reference back; with the last one the context goes.
 *
 * What connections need of it lives as long as they do.
 *
 * @param tls  a context, or NULL, for which nothing happens
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_tls_unref(th_tls *tls);

/**
 * Makes a context have all the settings of another.
 *
 * It is one step: a connection is made with the settings of before or of after. Connections that
 * live keep those they were made with. Sessions of before can be resumed after if the ticket keys
 * are the same object and the demands on clients the same.
 *
 * @param tls    the context that servers and clients use
 * @param newer  where the settings come from; it stays as it is, and later changes of the one do
 *               not change the other
 * @return 0; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_replace(th_tls *tls, const th_tls *newer);

/* What a context says about itself. */
typedef struct th_tls_facts {
    size_t size;         /* out: of what was filled */
    const char *profile; /* static text */
    int min_version;     /* TH_TLS_1_2 or above */
    int max_version;
    int client_auth;      /* TH_TLS_CLIENT_AUTH_* */
    int verifies_servers; /* 0: with insecure_no_verification */
    unsigned verify_depth;
    int64_t handshake_time; /* ns; TH_NEVER: no limit */
    size_t chain_max;       /* bytes */
    unsigned record_max;    /* bytes */
    int tickets;            /* TH_TLS_NO_TICKETS or how many */
    int64_t session_time;   /* ns */
    uint32_t early_data_max;
    size_t certs;        /* how many certificates of one's own */
    size_t names;        /* how many names, wildcards counted once */
    int64_t not_after;   /* seconds of Unix time at which the first of them expires; INT64_MAX
                            without any */
    uint64_t generation; /* 1, and one more with each th_tls_replace() */
} th_tls_facts;

/**
 * Tells the settings of a context, as they are now.
 *
 * @param tls    the context
 * @param size   sizeof(th_tls_facts)
 * @param facts  out: the settings, as plain data
 * @return 0; -EINVAL for NULL and a wrong size
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_tell(const th_tls *tls, size_t size, th_tls_facts *facts);

TH_END_DECLS

#endif
