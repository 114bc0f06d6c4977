/* SPDX-License-Identifier: MIT */

/* Connecting to an address or a name. */
#ifndef THRUM_DIAL_H
#define THRUM_DIAL_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/defs.h>
#include <thrum/names.h>
#include <thrum/proxied.h>
#include <thrum/stream.h>

TH_BEGIN_DECLS

struct th_tls; /* thrum/tls.h */

/* How to connect; all zero is the default. */
typedef struct th_dial_opts {
    size_t size;              /* sizeof(th_dial_opts), or 0 for the present one */
    const char *source;       /* the address to call from, with or without a port: "192.0.2.7",
                                 "[2001:db8::7]:2000"; addresses of the other family are left out;
                                 NULL: whichever the system chooses */
    const char *device;       /* the interface to call through, by name; NULL: whichever */
    th_resolver *resolver;    /* for names; NULL: the machine's configuration */
    int family;               /* TH_ADDR_IP4 or TH_ADDR_IP6 alone; 0: both */
    unsigned attempts_max;    /* addresses to try; 0: 32 */
    int64_t attempt_delay;    /* ns after which the next address is tried beside those that have
                                 not answered yet, at least 10 ms; 0: 250 ms; TH_NEVER: not before
                                 they have failed */
    int64_t resolution_delay; /* ns that the first IPv4 address waits for one of IPv6; 0: 50 ms */
    const char *tune;         /* options of the socket, as th_tune_parse() reads them; NULL: none */
    const th_proxied *proxied; /* the PROXY header to send first, as th_proxied_send() does, to a
                                  server that expects one, also before TLS; NULL: none */
    struct th_tls *tls;        /* tls: how it is spoken; NULL: as the address says, else with
                                  th_tls_client_default() */
    const char *tls_name; /* tls: the host name or IP address that the server's certificate must be
                             for; NULL: the host of the address */
} th_dial_opts;

/**
 * Connects to an address or a name.
 *
 * A name may have several addresses of both families. They are tried in turns, each beside the ones
 * before it as soon as these have failed or have not answered for a while; the first that succeeds
 * is taken, and the others are given up (Happy Eyeballs, RFC 8305). It begins with the first answer
 * of a name server, without waiting for the rest, and with IPv6, unless an address of IPv4 suits
 * this machine better; those of one family are in the order of th_resolve().
 *
 * `tls://HOST:PORT`, and `tls+` before another address, as `tls+unix:/run/db.sock`, mean that TLS
 * is spoken there. The call then makes the handshake, too: the server's certificate has to be
 * valid, and be for HOST. Behind a `?` may stand, parted by `&`, what else would be in
 * opts->tls: `ca=FILE` has the authorities to believe instead of the system's, `cert=FILE` and
 * `key=FILE` are the certificate of this client, in PEM, `name=NAME` is what the server's must be
 * for, and `dev` alone stands for the authority of th_cert_dev_open(). Bytes that would mean
 * something else are written as in URLs, `%26` for a `&`. Files are read in each call: who dials
 * often makes a th_tls.
 *
 * The scope is obeyed as by a th_stream_read(): when it has ended before, no attempt is made; when
 * it ends meanwhile, an attempt that has succeeded or failed by then returns that.
 *
 * @param address  where: what th_addr_parse() reads, or the same with a name as host,
 *                 "example.com:80" or "tls://example.com:443"; `0.0.0.0` and `[::]` mean this
 *                 machine
 * @param opts     options, or NULL for the defaults; read during the call only
 * @param stream   out: the connection, to be given back with th_stream_free()
 * @return 0; TH_EADDRESS; TH_ENAME and TH_ENAMESERVER as th_resolve(); -ECONNREFUSED, -EHOSTUNREACH
 *         and other -errno of the last attempt, with each address and its error as detail;
 *         -EADDRNOTAVAIL when the name has no address that can be called from opts->source;
 *         -ECANCELED or -ETIMEDOUT when the caller's scope says so; -EPERM outside a fiber, and
 *         where the device is not for this user; -ENOPROTOOPT, TH_ECONFIG and -errno for an option
 *         in opts->tune, which the detail names; as th_proxied_send() for opts->proxied; as
 *         th_tls_client() and th_tls_new() for TLS, TH_ETLS above all; -EINVAL for NULL and wrong
 *         options, those of TLS for an address without TLS or beside one that says the same among
 *         them; -ENOMEM
 *
 * Suspends: yes, until the connection is made
 * Thread: fiber
 * On cancel: gives the attempts up
 * Since: 0.1
 */
TH_API TH_MUST int th_dial(const char *address, const th_dial_opts *opts, th_stream **stream);

TH_END_DECLS

#endif
