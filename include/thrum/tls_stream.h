/* SPDX-License-Identifier: MIT */

/*
 * TLS over a stream: th_tls_server() and th_tls_client() make one stream of another.
 *
 *     th_stream *plain, *safe;
 *     err = th_dial("db.example:5432", NULL, &plain);
 *     if (err == 0)
 *         err = th_tls_client(tls, plain, &(th_tls_stream_opts){ .name = "db.example" }, &safe);
 *     ...
 *     th_stream_free(safe);                       the stream below goes with it
 *
 * The stream below may be of any kind: a socket, a pair in memory, another TLS stream. From the
 * call on it is used by the new stream alone.
 *
 * What results is a stream as any other, with all calls of <thrum/stream.h>; these are the places
 * where TLS shows:
 *
 * - The end of the stream (TH_EOF) is what the peer said in TLS. When the stream below ends without
 *   that, somebody may have cut it: reading then fails with TH_ETRUNCATED, every time.
 * - th_stream_shutdown() says it to the peer. th_stream_close() says it as well, and does not wait
 *   for the peer's; th_stream_finish() does. What the stream below does not take at once is sent in
 *   the background, for 30 s at most, and then the stream below is closed. Before the handshake
 *   is complete there is no end to be said: a shutdown is -ENOTCONN then.
 *   th_stream_reset() says nothing, so that the peer finds its stream truncated.
 * - A failure of TLS is TH_ETLS (TH_ELIMIT for a peer that floods), and the detail tells what
 *   happened: the alert of the peer, what was wrong with its certificate. After one the stream is
 *   of no more use, and later calls fail alike. In TLS 1.3 a client learns only when it first
 *   reads, or a write finds that the server has gone, that this did not want its certificate.
 * - Bytes that a failed or broken off write had taken may arrive or not.
 * - A write with room for less than all of it (th_stream_try_write() among them) may have taken
 *   bytes that the stream below has not: these are sent as soon as it takes them.
 * - th_stream_detach() and th_stream_sendfile() without a copy are not possible.
 */
#ifndef THRUM_TLS_STREAM_H
#define THRUM_TLS_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <thrum/defs.h>
#include <thrum/str.h>
#include <thrum/stream.h>

TH_BEGIN_DECLS

struct th_tls;         /* thrum/tls.h */
struct th_tls_session; /* thrum/tls_session.h */

/* What may differ from one connection of a context to the next; all zero is the default. */
typedef struct th_tls_stream_opts {
    size_t size;      /* sizeof(th_tls_stream_opts), or 0 for the present one */
    const char *name; /* client: the host name or IP address that the certificate of the server must
                         be for; a name is also told to the server. NULL only where the context or
                         `verify` demands none */
    const char *sent_name;   /* client: told to the server instead of `name`; "": nothing is */
    const char *const *alpn; /* client: protocols to offer, best first, ended by NULL; NULL: those
                                of the context */
    uint16_t port; /* client: sessions are kept for each port of a server; 0: that of the stream
                      below, if it has one */
    struct th_tls_session *session; /* client: to be resumed; borrowed for the call. NULL: one that
                                       the context keeps, if it does */
    int64_t handshake_time; /* the handshake may take so long, ns; 0: as the context says; TH_NEVER:
                               no limit */
    size_t record;          /* bytes of the user's that one record carries at most, 512 to 16384;
                               0: as the context says. Smaller ones are read sooner, and cost more */
    th_str ahead; /* bytes of TLS that were read from the stream below already; borrowed for the
                     call */
    th_str first; /* client: what is sent first, at most 64 KiB; copied. With the hello already, as
                     early data, if the context allows that (early_data_max) and the session that is
                     resumed, too; else, or if the server does not take it so, right behind the
                     handshake. Somebody who records it can send it to the server again: only what
                     may be done twice belongs here */
    int early;  /* server: 1: early data is taken, if the context allows it: see th_tls_was_early().
                   handshake_time holds for all of the handshake, also behind early data */
    int verify; /* TH_TLS_VERIFY_...: how the peer's certificate is treated on this connection */
    int later;  /* 1: the call does not suspend; the first that reads or writes, or
                   th_tls_handshake(), makes the handshake */
    int keep_below; /* 1: the stream below is neither closed nor freed with this one, which then
                       cannot be closed (-EBUSY) while another fiber is in a call on it; see
                       th_tls_flush() */
    void *user;     /* for the callbacks of the context; the caller's, and valid while it lives */
} th_tls_stream_opts;

/* How the certificate of the peer is treated on one connection, where the context says otherwise.
 */
enum {
    TH_TLS_VERIFY_AS_CONTEXT,
    TH_TLS_VERIFY_NONE_INSECURE, /* not at all: a client believes anybody, who might be an attacker;
                                    a server does not ask */
    TH_TLS_VERIFY_OPTIONAL, /* a server asks, and what comes has to be good; a client's server has
                               to have a good one always */
    TH_TLS_VERIFY_REQUIRED  /* and who has none is refused */
};

/* What is known of a connection. Texts are borrowed; they end with the stream. */
typedef struct th_tls_info {
    size_t size;               /* in: sizeof(th_tls_info), or 0 for the present one */
    int server;                /* 1: this end is the server */
    int done;                  /* 1: the handshake is complete; before, what follows is 0 or NULL */
    int version;               /* 0x0303 for TLS 1.2, 0x0304 for TLS 1.3 */
    const char *version_name;  /* "TLSv1.3" */
    const char *cipher;        /* "TLS_AES_256_GCM_SHA384" */
    int bits;                  /* the strength of the cipher's key */
    const char *group;         /* of the key exchange: "x25519"; NULL when there was none or OpenSSL
                                  has no name for it */
    const char *name;          /* that the client sent, on both sides; NULL: none */
    th_str alpn;               /* the protocol both chose; empty: none */
    int resumed;               /* 1: a session of before was resumed */
    int early;                 /* of early data: 1 accepted, -1 refused, 0 none was offered */
    int verified;              /* 1: the peer's certificate was verified and found good */
    long verify_error;         /* else OpenSSL's code, X509_V_...; 0 when nothing was verified */
    size_t peer_certs;         /* certificates that the peer sent, the leaf first */
    size_t verified_certs;     /* those of the verified chain, from the leaf to the trust anchor */
    int sent_close;            /* 1: this end has said the end of what it sends */
    int received_close;        /* 1: the peer has */
    int kernel_sends;          /* 1: the kernel encrypts what is sent (kTLS) */
    int speaks_plainly;        /* 1: what came was no TLS but began like plain HTTP */
    size_t sent_finished_size; /* bytes of the following, 0 to 64 */
    size_t received_finished_size;       /* likewise */
    unsigned char sent_finished[64];     /* the Finished message of this end, */
    unsigned char received_finished[64]; /* and of the peer: what names the handshake to both */
} th_tls_info;

/**
 * Makes a stream of a server over a connection.
 *
 * @param tls    the context, with a certificate; the connection keeps what it needs of it
 * @param below  the connection, of which nothing has been read but opts->ahead; taken on success
 * @param opts   options, borrowed for the call; NULL: the defaults
 * @param stream out: the stream, for th_stream_free()
 * @return 0, after the handshake unless opts->later; TH_ETLS when it failed, TH_EOF or
 *         TH_ETRUNCATED when the peer left before its end, TH_ELIMIT for a peer that sends more
 *         than it may; -ETIMEDOUT when it took too long (then the detail says so) or the caller's
 *         scope says so; -EINVAL for NULL or wrong options, with a detail; -EPERM outside a fiber;
 *         -ENOMEM; else as th_stream_read() and th_stream_write() on the stream below. After a
 *         failure `below` is the caller's as before, though the peer has been told why.
 *
 * Suspends: yes, for the handshake; not with opts->later
 * Thread: fiber
 * On cancel: gives up the handshake; `below` is of no use for another
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_server(struct th_tls *tls, th_stream *below,
                                 const th_tls_stream_opts *opts, th_stream **stream);

/**
 * Makes a stream of a client over a connection.
 *
 * @param tls    the context; the connection keeps what it needs of it
 * @param below  the connection, of which nothing has been read; taken on success
 * @param opts   options, borrowed for the call, among them the name of the server; NULL: the
 *               defaults
 * @param stream out: the stream, for th_stream_free()
 * @return as th_tls_server(); TH_ETLS also when the certificate of the server is not good, and the
 *         detail tells why; -EINVAL also when there is no name to verify and the context demands it
 *
 * Suspends: yes, for the handshake; not with opts->later
 * Thread: fiber
 * On cancel: gives up the handshake; `below` is of no use for another
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_client(struct th_tls *tls, th_stream *below,
                                 const th_tls_stream_opts *opts, th_stream **stream);

/**
 * Makes the handshake of a stream that was made with opts->later, if that has not been done.
 *
 * @param stream  a stream of th_tls_server() or th_tls_client()
 * @return 0 when it is done, now or before; -EINVAL for another stream; -EBADF when it is closed;
 *         -EBUSY when another fiber makes it; else as th_tls_server(), every time
 *
 * Suspends: yes, for the handshake
 * Thread: fiber
 * On cancel: gives up the handshake; the stream is of no more use
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_handshake(th_stream *stream);

/**
 * Sends what the stream below has not taken yet.
 *
 * After th_stream_try_write() and th_stream_shutdown() some bytes may be left, which are sent in
 * the background. Not so with opts->keep_below: who ends such a connection calls this before.
 *
 * @param stream  a stream of th_tls_server() or th_tls_client()
 * @return 0 when nothing is left; -EINVAL for another stream; else as th_stream_write()
 *
 * Suspends: yes, while the stream below takes no more
 * Thread: fiber
 * On cancel: some of the bytes may have been sent
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_flush(th_stream *stream);

/**
 * Tells what is known of a connection.
 *
 * @param stream  a stream of th_tls_server() or th_tls_client(), open or closed
 * @param info    in: its size; out: the rest. Its texts are borrowed, until the stream is freed
 * @return 0, also before the handshake; -EINVAL for another stream, NULL or an unknown size
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_tls_info_get(th_stream *stream, th_tls_info *info);

/* Which chain th_tls_cert_get() looks into. */
enum {
    TH_TLS_CERTS_SENT = 1, /* what the peer sent, in its order */
    TH_TLS_CERTS_VERIFIED, /* what was verified, from the leaf to the trust anchor */
    TH_TLS_CERTS_OWN       /* 0: the certificate that this end has shown */
};

/**
 * Gives a certificate of a connection in DER.
 *
 * @param stream  a stream of th_tls_server() or th_tls_client(), open or closed
 * @param chain   TH_TLS_CERTS_...
 * @param at      which one, from 0
 * @param buf     out: the bytes, if there is room for all of them; NULL when size is 0
 * @param size    room at buf, bytes
 * @return how many bytes it has, also when that is more than size; -ENOENT when there is none;
 *         -EINVAL for another stream or an unknown chain; -ENOMEM
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_tls_cert_get(th_stream *stream, int chain, size_t at, void *buf,
                                       size_t size);

/**
 * Gives the session of a client's connection, with which another one can be resumed.
 *
 * Servers of TLS 1.3 send sessions behind the handshake, one or several, and they come with what is
 * read: this is the last that came. Others come with the handshake.
 *
 * @param stream   a stream of th_tls_client(), open or closed
 * @param session  out: the session with a reference, for th_tls_session_unref()
 * @return 0; -EAGAIN when none has come yet; -EINVAL for another stream, a server's, NULL, or a
 *         context that keeps no sessions; -ENOMEM
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_session_get(th_stream *stream, struct th_tls_session **session);

/**
 * Ends TLS in agreement with the peer and gives back the plain connection.
 *
 * Says the end of what this end sends, if it has not been said, and waits for the peer's. What the
 * peer sends plainly behind its end is not lost: it is read from the stream that comes back.
 *
 * @param stream  a stream of th_tls_server() or th_tls_client(), without opts->keep_below; on
 *                success it is gone
 * @param plain   out: the connection without TLS, for th_stream_free()
 * @return 0; -EBUSY when the peer has sent bytes that were not read, or another fiber is in a call
 *         on the stream; TH_ETRUNCATED when the connection ended before the peer said its end;
 *         -EINVAL, -EBADF; else as th_stream_read(). After a failure the stream is the caller's as
 *         before.
 *
 * Suspends: yes, until the peer has said its end
 * Thread: fiber
 * On cancel: the end has been said; may be called again
 * Since: 0.1
 */
TH_API TH_MUST int th_tls_unwrap(th_stream *stream, th_stream **plain);

/**
 * Tells whether what was read last had come as early data.
 *
 * A server with th_tls_stream_opts.early has its stream as soon as there is early data, before the
 * handshake is complete. Reading gives the early data first, never together with what came later;
 * what is written before the handshake is complete goes out at once. (th_tls_info.done tells
 * whether it is; th_stream_shutdown() completes it first, closing does not.)
 *
 * Such bytes may be sent again by somebody who has recorded them. Within this process they are
 * taken once, as long as the same context serves; another process with the same ticket keys takes
 * them, too. So nothing may come of them that must not happen twice.
 *
 * @param stream  a stream of th_tls_server()
 * @return 1: the bytes that the last read gave had come early; 0: they had not; -EINVAL for NULL
 *         and for a stream without TLS
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_tls_was_early(th_stream *stream);

TH_END_DECLS

#endif
