/* SPDX-License-Identifier: MIT */

/*
 * The PROXY protocol: telling the next server, and learning from a proxy, who the client is.
 *
 * A proxy that forwards a connection sends a header before the client's bytes. A listener that
 * expects it (th_listen_opts.proxy_protocol) takes it off, and th_stream_peer() tells the client
 * instead of the proxy. Both versions are read: the line of text and the binary one.
 */
#ifndef THRUM_PROXIED_H
#define THRUM_PROXIED_H

#include <thrum/addr.h>
#include <thrum/defs.h>
#include <thrum/str.h>
#include <thrum/stream.h>

TH_BEGIN_DECLS

/* What the header says, or shall say. All zero, with a version, is a proxy that speaks for itself
 * or knows nothing of its client. */
typedef struct th_proxied {
    size_t size;         /* sizeof(th_proxied), or 0 for the present one */
    int version;         /* 1: text, 2: binary; to be sent: 0 is 2 */
    int local;           /* 1: the proxy speaks for itself, to see whether the server lives */
    int checksum;        /* version 2: 1: it had one, which was right, or shall have one */
    th_addr source;      /* the client; TH_ADDR_NONE when the proxy does not say */
    th_addr destination; /* what the client connected to; of the same kind */
    th_str tlvs;         /* version 2: further facts, for th_proxied_tlv(); borrowed */
} th_proxied;

/* Types of facts; there are others, and 0xe0 to 0xef are free for private use. */
enum {
    TH_PROXIED_ALPN = 0x01,      /* the application's protocol, such as h2 */
    TH_PROXIED_AUTHORITY = 0x02, /* the server's name as the client said it (SNI) */
    TH_PROXIED_UNIQUE_ID = 0x05, /* of the connection, up to 128 bytes */
    TH_PROXIED_SSL = 0x20,       /* how the client's TLS was; has facts inside */
    TH_PROXIED_NETNS = 0x30      /* name of the network's name space */
};

/**
 * Tells what the PROXY header of a connection said.
 *
 * @param stream   a connection that was accepted
 * @param proxied  out: the header; its tlvs are valid until the stream is closed
 * @return 0; -ENOENT when there was none; -EBADF when the stream is closed; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_stream_proxied(th_stream *stream, th_proxied *proxied);

/**
 * Looks for one fact in a header of version 2.
 *
 * @param proxied  the header
 * @param type     its type, as TH_PROXIED_ALPN
 * @param value    out: the first of that type; a view of the header's
 * @return 0; -ENOENT when there is none; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_proxied_tlv(const th_proxied *proxied, int type, th_str *value);

/**
 * Makes the header that tells the next server of a client: who it is, and where it connected to.
 *
 * @param client   the client's connection; where it came with a header itself, that is handed on
 * @param proxied  out: the header, of version 2; its tlvs as th_stream_proxied() says; with a
 *                 checksum if it came with one
 * @return 0; -EBADF when the stream is closed; -ENOTCONN when the client has gone; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_proxied_of(th_stream *client, th_proxied *proxied);

/**
 * Sends a header: the first thing to be written on a connection to a server that expects it.
 *
 * @param proxied  the header. Version 1 knows only IPv4 and IPv6, and no facts: anything else is
 *                 sent as unknown
 * @param stream   the connection to the server
 * @return 0; TH_ELIMIT when it has more than 1024 bytes; -EINVAL for NULL, an unknown version or
 *         size, addresses of two kinds, or tlvs that are none; else as
 *         th_stream_write()
 *
 * Suspends: yes, while the peer takes no more
 * Thread: fiber
 * On cancel: some of the bytes may have been written
 * Since: 0.1
 */
TH_API TH_MUST int th_proxied_send(const th_proxied *proxied, th_stream *stream);

TH_END_DECLS

#endif
