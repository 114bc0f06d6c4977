/* SPDX-License-Identifier: MIT */

/*
 * The HTTP server: handlers, requests, replies.
 *
 * A handler is called on a fiber of its own for each request and may suspend as it likes. Between
 * two requests a connection holds neither a fiber nor a buffer. All memory of a request, its texts
 * included, lives until its handler has returned.
 */
#ifndef THRUM_HTTP_H
#define THRUM_HTTP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <thrum/addr.h>
#include <thrum/defs.h>
#include <thrum/mem.h>
#include <thrum/serve.h>
#include <thrum/str.h>
#include <thrum/tls_stream.h>

TH_BEGIN_DECLS

typedef struct th_http_request th_http_request;
typedef struct th_http_reply th_http_reply;
typedef struct th_http_router th_http_router;

/*
 * Answers one request. A negative result before the reply has begun makes the server answer 500;
 * later it cuts the connection, so that the client can tell that the body is not complete.
 */
typedef int (*th_http_handler)(th_http_request *request, th_http_reply *reply, void *arg);

/* ---- the request ---- */

/**
 * Gives the method.
 *
 * @param request  the request
 * @return the method as sent, such as "GET"; never empty
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_str th_http_request_method(const th_http_request *request);

/**
 * Gives the target as sent, undecoded, such as "/a%20b?x=1".
 *
 * @param request  the request
 * @return the request target (RFC 9112, 3.2)
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_str th_http_request_target(const th_http_request *request);

/**
 * Gives the path, decoded and without dot segments, such as "/a b".
 *
 * @param request  the request
 * @return the path; starts with "/", contains no NUL and no encoded slash; "*" for OPTIONS *
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_str th_http_request_path(const th_http_request *request);

/**
 * Gives the query as sent, without the question mark.
 *
 * @param request  the request
 * @return the query; empty without one
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_str th_http_request_query(const th_http_request *request);

/**
 * Gives the host that the client wants to reach.
 *
 * @param request  the request
 * @return the host without its port, and without the brackets of an IPv6 address; empty where an
 *         HTTP/1.0 client named none
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_str th_http_request_host(const th_http_request *request);

/**
 * Finds a header field.
 *
 * @param request  the request
 * @param name     its name, in any case
 * @return the value of the first field of that name; a NULL ptr when there is none
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_str th_http_request_header(const th_http_request *request, const char *name);

/**
 * Gives the header fields one by one, in order of arrival.
 *
 * @param request  the request
 * @param index    from 0 on
 * @param name     out: the name as sent
 * @param value    out: the value
 * @return 0; -ENOENT when there are no more
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_http_request_header_at(const th_http_request *request, size_t index, th_str *name,
                                     th_str *value);

/**
 * Gives what a parameter of the route's pattern stands for.
 *
 * @param request  the request
 * @param name     the parameter's name without its colon or asterisk
 * @return the part of the path, decoded; a NULL ptr when the pattern has no such parameter
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_str th_http_request_param(const th_http_request *request, const char *name);

/**
 * Gives the memory of the request, for whatever shall live as long.
 *
 * @param request  the request
 * @return its arena
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_arena *th_http_request_arena(th_http_request *request);

/**
 * Tells who sent the request.
 *
 * @param request  the request
 * @param addr     out: the address of the peer of the connection
 * @return 0; -ENOTCONN when the peer is gone
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_http_request_peer(const th_http_request *request, th_addr *addr);

/**
 * Gives the scheme of what the client asked for.
 *
 * @param request  the request
 * @return "https" when it came over TLS, else "http"; static
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_str th_http_request_scheme(const th_http_request *request);

/**
 * Tells what TLS knows of the connection that the request came over.
 *
 * @param request  the request
 * @param info     in: its size; out: the rest, as th_tls_info_get() tells it. Its texts are valid
 * as long as the request
 * @return 0; -ENOTCONN when it came over none; -EINVAL for NULL or an unknown size
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_http_request_tls(const th_http_request *request, th_tls_info *info);

/**
 * Tells whether somebody else may have recorded the request and sent it again.
 *
 * So it is with early data of TLS 1.3, which is taken if the context allows it (early_data_max), or
 * when a proxy in front says that it was with the field Early-Data. The server lets only GET, HEAD
 * and OPTIONS happen then: other requests wait until the handshake is complete, and those of a
 * proxy are answered with 425 (RFC 8470).
 *
 * @param request  the request
 * @return 1: that may be; 0: no
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_http_request_early(const th_http_request *request);

/**
 * Gives a certificate that the client has shown, in DER.
 *
 * @param request  the request
 * @param at       which one, from 0, the client's own; the rest of its chain follows
 * @param buf      out: the bytes, if there is room for all of them; NULL when size is 0
 * @param size     room at buf, bytes
 * @return how many bytes it has, also when that is more than size; -ENOENT when there is none;
 *         -ENOMEM. Whether it was found good tells `verified` of th_http_request_tls()
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_http_request_cert(const th_http_request *request, size_t at, void *buf,
                                            size_t size);

/**
 * Tells how long the body is.
 *
 * @param request  the request
 * @return bytes; 0 without a body, -1 when only its end will tell
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int64_t th_http_request_length(const th_http_request *request);

/**
 * Reads from the body. A client that waits for "100 Continue" gets it with the first call.
 *
 * @param request  the request
 * @param buf      out: the bytes
 * @param size     room at buf, bytes; with 0 the call returns 0 at once
 * @return the number of bytes, 1 to size; TH_EOF at the end of the body, every time; TH_ELIMIT when
 *         it is larger than the server allows, TH_EPROTO when it is malformed, TH_ETRUNCATED when
 *         the client has gone in the middle of it, TH_ESLOW when it is too slow; -ECANCELED or
 *         -ETIMEDOUT when the scope says so. After a failure the server answers as it must
 *         if the reply has not begun.
 *
 * Suspends: yes, until there is something to read
 * Thread: fiber
 * On cancel: nothing read
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_http_request_read(th_http_request *request, void *buf, size_t size);

/**
 * Reads the whole body into the request's memory.
 *
 * @param request  the request
 * @param limit    the largest body wanted, bytes
 * @param body     out: the body; valid as long as the request
 * @return 0; TH_ELIMIT when it is larger; else as th_http_request_read()
 *
 * Suspends: yes, until the body is complete
 * Thread: fiber
 * On cancel: some of the body is read and lost
 * Since: 0.1
 */
TH_API TH_MUST int th_http_request_read_all(th_http_request *request, size_t limit, th_str *body);

/* ---- the reply ---- */

/**
 * Adds a header field to the reply.
 *
 * The server itself writes Date, Content-Length, Transfer-Encoding, Connection and Keep-Alive.
 *
 * @param reply  a reply that has not begun
 * @param name   a token; copied
 * @param value  the value; copied
 * @return 0; -EINVAL for a name that is no token or one of the server's own, a value with control
 *         characters, or a reply that has begun; -ENOMEM, TH_ELIMIT for too many fields
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_http_reply_header(th_http_reply *reply, const char *name, const char *value);

/**
 * Answers with a text.
 *
 * @param reply   a reply that has not begun
 * @param status  200 to 599
 * @param text    the body, text/plain in UTF-8 unless a Content-Type was added; borrowed
 * @return 0; as th_http_reply_bytes()
 *
 * Suspends: yes, while the client takes no more
 * Thread: fiber
 * On cancel: the connection will be cut
 * Since: 0.1
 */
TH_API TH_MUST int th_http_reply_text(th_http_reply *reply, int status, const char *text);

/**
 * Answers with bytes that are at hand.
 *
 * @param reply   a reply that has not begun
 * @param status  200 to 599
 * @param type    the Content-Type, up to 256 bytes, or NULL for none or one that was added; copied
 * @param data    the body; borrowed during the call
 * @param size    its length, bytes; left out, but told, in the answer to HEAD
 * @return 0; -EINVAL for a status out of range, a type with control characters or too long, or a
 *         reply that has begun; -errno when the client is gone; -ECANCELED or -ETIMEDOUT when the
 *         scope says so
 *
 * Suspends: yes, while the client takes no more
 * Thread: fiber
 * On cancel: the connection will be cut
 * Since: 0.1
 */
TH_API TH_MUST int th_http_reply_bytes(th_http_reply *reply, int status, const char *type,
                                       const void *data, size_t size);

/**
 * Answers with a stretch of a file, sent without copying where the kernel can.
 *
 * @param reply   a reply that has not begun
 * @param status  200 to 599
 * @param fd      a regular file open for reading; borrowed during the call
 * @param offset  where the stretch starts, bytes
 * @param size    how long it is; if the file is shorter the connection is cut
 * @return as th_http_reply_bytes(); TH_ETRUNCATED when the file was too short
 *
 * Suspends: yes, while the client takes no more
 * Thread: fiber
 * On cancel: the connection will be cut
 * Since: 0.1
 */
TH_API TH_MUST int th_http_reply_file(th_http_reply *reply, int status, int fd, int64_t offset,
                                      int64_t size);

/**
 * Begins a reply whose body is written piece by piece.
 *
 * @param reply   a reply that has not begun
 * @param status  200 to 599
 * @param length  bytes of the body if known, else -1: it is then sent in chunks, or up to the end
 * of the connection to an HTTP/1.0 client
 * @return as th_http_reply_bytes()
 *
 * Suspends: yes, while the client takes no more of the answers before it
 * Thread: fiber
 * On cancel: the connection will be cut
 * Since: 0.1
 */
TH_API TH_MUST int th_http_reply_begin(th_http_reply *reply, int status, int64_t length);

/**
 * Writes a piece of the body. Small pieces are gathered; th_http_reply_flush() sends them.
 *
 * @param reply  a reply that has begun
 * @param data   the bytes; borrowed during the call
 * @param size   how many; 0 does nothing
 * @return 0; TH_ELIMIT for more bytes than were announced, and none is written; -EINVAL for a reply
 *         that has not begun; else as th_http_reply_bytes()
 *
 * Suspends: yes, while the client takes no more
 * Thread: fiber
 * On cancel: the connection will be cut
 * Since: 0.1
 */
TH_API TH_MUST int th_http_reply_write(th_http_reply *reply, const void *data, size_t size);

/**
 * Sends what was gathered.
 *
 * @param reply  a reply that has begun
 * @return as th_http_reply_write()
 *
 * Suspends: yes, while the client takes no more
 * Thread: fiber
 * On cancel: the connection will be cut
 * Since: 0.1
 */
TH_API TH_MUST int th_http_reply_flush(th_http_reply *reply);

/**
 * Tells whether a reply has begun: its status is then fixed.
 *
 * @param reply  the reply
 * @return the status, 0 as long as it has not begun
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_http_reply_status(const th_http_reply *reply);

/* ---- the router ---- */

/**
 * Makes a router without routes.
 *
 * @param router  out: the router, to be given back with th_http_router_free()
 * @return 0; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_http_router_new(th_http_router **router);

/**
 * Adds a route.
 *
 * A pattern is a path whose segments are literal texts, `:name` for any one segment, or, as the
 * last one, `*name` for all the rest (which may be empty). Of several that match, literal texts go
 * before `:name` and that before `*name`, from left to right. GET also answers HEAD. A path that
 * has routes, but none for the method, is answered with 405 and an Allow field, or 501 if neither
 * HTTP nor another route knows the method; OPTIONS with 204 and that field.
 *
 * @param router   a router that no server uses yet
 * @param method   a method such as "GET", or "*" for any
 * @param pattern  the pattern; copied
 * @param handler  what answers
 * @param arg      handed to it
 * @return 0; -EINVAL with a detail for a malformed pattern or method; -EEXIST when the router has
 *         the same route; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_http_router_add(th_http_router *router, const char *method,
                                      const char *pattern, th_http_handler handler, void *arg);

/**
 * Answers a request by the routes of a router: a handler whose argument is the router.
 *
 * @param request  the request
 * @param reply    its reply
 * @param router   a th_http_router
 * @return what the chosen handler returned
 *
 * Suspends: yes, as the handlers do
 * Thread: fiber
 * On cancel: as the handlers do
 * Since: 0.1
 */
TH_API int th_http_router_handle(th_http_request *request, th_http_reply *reply, void *router);

/**
 * Frees a router that no server uses any more.
 *
 * @param router  the router; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_http_router_free(th_http_router *router);

/* ---- the server ---- */

/* What is known of a request once it is answered, for logs. All texts end with the call. */
typedef struct th_http_record {
    th_str method; /* empty when the head could not be read */
    th_str target;
    int version; /* 10, 11 */
    th_str host;
    th_str referer;
    th_str user_agent;
    int status;                     /* 0: the connection was cut before an answer began */
    uint64_t body_bytes;            /* of the reply's body that were sent */
    int64_t wall;                   /* when its first byte arrived, th_wall() */
    int64_t duration;               /* from then to the last byte of the reply, ns */
    const th_http_request *request; /* for the peer; NULL when the head could not be read */
    const th_addr *peer;
    th_str tls_version; /* "TLSv1.3"; empty when it came over plain HTTP, like the next */
    th_str tls_cipher;
} th_http_record;

/* How to serve; all zero is the default, and sizes and times of zero mean what is said here. */
typedef struct th_http_opts {
    size_t size;              /* sizeof(th_http_opts), or 0 for the present one */
    uint32_t max_connections; /* at the same time; further clients wait in the kernel's queue; 0: no
                                 limit */
    uint32_t head_size;       /* of a request's head, bytes; 16 KiB; more is answered with 431 */
    uint32_t head_count;      /* header fields; 100; more is answered with 431 */
    uint32_t target_size;     /* of the request target, bytes; 8 KiB; more is answered with 414 */
    int64_t body_size; /* of a body, bytes; 16 MiB; more is answered with 413; -1: no limit */
    int64_t head_time; /* from the first byte to the end of the head; 10 s; then 408. So long may
                          also the handshake of TLS take, if its context allows no less */
    int64_t idle_time; /* between two requests; 60 s; then the connection is closed */
    uint32_t min_rate; /* bytes a second that a peer must send of a body or take of a reply
                          while it is waited for, after 5 s; 240 */
    size_t stack_size; /* of a request's fiber; 0: the runtime's default */
    void (*listening)(const th_addr *addr, void *arg); /* called once for each address when clients
                                                          can connect; may be NULL */
    void *listening_arg;
    void (*log)(const th_http_record *record, void *arg); /* called after each reply, on the worker,
                                                             must not suspend; may be NULL */
    void *log_arg;
    const th_listen_opts *listen; /* th_http_serve(): how to listen; NULL: the defaults */
    uint32_t max_per_peer;        /* connections of one peer; as in th_serve_opts, like the next */
    uint8_t peer_bits4;
    uint8_t peer_bits6;
    struct th_tls *tls; /* how TLS is spoken on listeners that are for it, `https://` and `tls://`;
                           th_tls_replace() changes it meanwhile. NULL: as their addresses say */
    uint32_t hsts;      /* s for which browsers shall come with HTTPS only (RFC 6797): replies over
                           TLS say so; 0: nothing is said */
} th_http_opts;

/**
 * Serves HTTP at an address, on all workers, until an orderly stop.
 *
 * After a stop, idle connections are closed at once, requests in progress are answered with
 * `Connection: close`; what is left after the time of grace is cut.
 *
 * @param address  where: `http://HOST:PORT`; `https://HOST:PORT`, with opts->tls or, as th_serve()
 *                 takes it, `?cert=FILE&key=FILE` behind it; or as th_listen() takes it, and then
 *                 TLS is spoken if there is an opts->tls
 * @param handler  what answers, such as th_http_router_handle
 * @param arg      handed to it, such as the router
 * @param opts     options, or NULL for the defaults
 * @return as th_serve()
 *
 * Suspends: yes, until it is stopped
 * Thread: fiber
 * On cancel: cuts all connections, waits for their fibers, returns
 * Since: 0.1
 */
TH_API TH_MUST int th_http_serve(const char *address, th_http_handler handler, void *arg,
                                 const th_http_opts *opts);

/**
 * Serves HTTP on listeners that are open already, as th_http_serve() does.
 *
 * @param listeners  the listeners; they stay the caller's
 * @param count      how many, 1 to 64
 * @param handler    what answers
 * @param arg        handed to it
 * @param opts       options, or NULL for the defaults
 * @return as th_serve()
 *
 * Suspends: yes, until it is stopped
 * Thread: fiber
 * On cancel: cuts all connections, waits for their fibers, returns
 * Since: 0.1
 */
TH_API TH_MUST int th_http_serve_on(th_listener *const *listeners, size_t count,
                                    th_http_handler handler, void *arg, const th_http_opts *opts);

/* ---- files ---- */

typedef struct th_http_site th_http_site;

/* How to serve files; all zero is the default. */
typedef struct th_http_site_opts {
    size_t size;         /* sizeof(th_http_site_opts), or 0 for the present one */
    const char *index;   /* names of index files, separated by blanks; NULL: "index.html" */
    int listing;         /* 1: directories without an index file are listed */
    int follow_symlinks; /* 1: symbolic links are followed, but never out of the root */
    int dot_files;       /* 1: names that start with a dot are served */
} th_http_site_opts;

/**
 * Opens a folder whose files shall be served.
 *
 * @param root  path of the folder
 * @param opts  options, or NULL for the defaults; copied
 * @param site  out: the site, to be given back with th_http_site_free()
 * @return 0; -ENOENT, -ENOTDIR, -EACCES and other -errno with the path as detail; -EINVAL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_http_site_new(const char *root, const th_http_site_opts *opts,
                                    th_http_site **site);

/**
 * Answers a request from a site: a handler whose argument is the site.
 *
 * The file is named by the route's `*path` parameter where there is one, else by the whole path.
 * GET and HEAD are answered, with content type, ETag, Last-Modified, conditional requests (RFC
 * 9110, 13) and ranges (RFC 9110, 14); other methods get 405, unknown ones 501.
 *
 * @param request  the request
 * @param reply    its reply
 * @param site     a th_http_site
 * @return 0 or a failure, as handlers do
 *
 * Suspends: yes, while the client takes no more
 * Thread: fiber
 * On cancel: the connection will be cut
 * Since: 0.1
 */
TH_API int th_http_site_handle(th_http_request *request, th_http_reply *reply, void *site);

/**
 * Frees a site that no server uses any more.
 *
 * @param site  the site; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_http_site_free(th_http_site *site);

TH_END_DECLS

#endif
