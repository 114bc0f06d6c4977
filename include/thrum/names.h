/* SPDX-License-Identifier: MIT */

/*
 * Names: addresses of hosts, hosts and ports of services, names of addresses.
 *
 * What is asked is the machine's hosts file, then its name servers as /etc/resolv.conf has them,
 * with search, ndots and the other options; changes of both files are noticed within a second. Only
 * the calling fiber waits: no thread is involved, and no other fiber is held up by a name server
 * that does not answer. Each worker remembers answers for as long as the name servers allow, also
 * that there are none, and asks once for all who want to know the same. In a simulation the names
 * are those of th_sim_opts.
 */
#ifndef THRUM_NAMES_H
#define THRUM_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/addr.h>
#include <thrum/defs.h>

TH_BEGIN_DECLS

/* Whom to ask, and how. */
typedef struct th_resolver th_resolver;

/* All zero is what the machine is configured for. */
typedef struct th_resolver_opts {
    size_t size;         /* sizeof(th_resolver_opts), or 0 for the present one */
    const char *servers; /* name servers with commas or blanks between them, "192.0.2.1" or
                            "[2001:db8::1]:5353"; NULL: those of resolv_conf */
    const char *search;  /* domains to search, with blanks between them, "": none; NULL: those of
                            resolv_conf */
    const char *hosts;   /* path of the hosts file, "": none; NULL: /etc/hosts */
    const char *resolv_conf; /* path, "": none; NULL: /etc/resolv.conf, and the environment's
                                LOCALDOMAIN and RES_OPTIONS */
    int64_t timeout;         /* for the answer to the first question to a server, ns, in whole
                                seconds; it grows with each try; 0: that of resolv_conf */
    unsigned tries;          /* of each server; 0: those of resolv_conf */
    unsigned names_max;      /* answers and questions that a worker keeps; 0: 1024 */
} th_resolver_opts;

/**
 * Makes a resolver that asks others than those that the machine is configured for.
 *
 * It may be used by all workers. The files are read when it is first used.
 *
 * @param opts      options, or NULL for the defaults; copied
 * @param resolver  out: the resolver, to be given back with th_resolver_free()
 * @return 0; TH_EADDRESS for a server that is no address, with a detail; -EINVAL for NULL or wrong
 *         options; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_resolver_new(const th_resolver_opts *opts, th_resolver **resolver);

/**
 * Gives a resolver back.
 *
 * What workers know by it is forgotten when they next look up a name, at the latest when they end.
 *
 * @param resolver  the resolver, which nobody uses any more; NULL is a no-op
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_resolver_free(th_resolver *resolver);

/* How to look up; all zero: both families, by the machine's configuration. */
typedef struct th_resolve_opts {
    size_t size;           /* sizeof(th_resolve_opts), or 0 for the present one */
    th_resolver *resolver; /* NULL: the machine's configuration */
    int family;            /* TH_ADDR_IP4 or TH_ADDR_IP6 alone; 0: both */
    unsigned char numeric; /* 1: host and service are numbers; a name is refused */
    unsigned char passive; /* 1: without a host, all addresses of this machine, to listen on */
    unsigned char as_told; /* 1: those of IPv6 first, each family in the order of the answer,
                              whatever can be reached from here */
} th_resolve_opts;

/* The addresses of a name. */
typedef struct th_answer {
    size_t count;          /* at least 1 */
    const th_addr *addrs;  /* in the order in which they are worth trying (RFC 6724), unless
                              th_resolve_opts.as_told */
    const char *canonical; /* the name at the end of all aliases */
    int64_t ttl;           /* ns for which this may be remembered; TH_NEVER for what no name server
                              has said */
} th_answer;

/**
 * Finds the addresses of a host.
 *
 * An address as text is taken as it is: such a call never suspends, and works in a scope that has
 * ended and on any thread. Old forms of IPv4 addresses (octal, hexadecimal, short) are refused, and
 * names whose last part is a number with them. `localhost` and what ends in it is this machine (RFC
 * 6761). A name with a dot at its end is not searched for.
 *
 * With both families, the names of both are asked for at once, and one answer is enough: when the
 * other family fails, its failure is passed over.
 *
 * Several addresses are put in the order of RFC 6724: those to which there is no way from this
 * machine come last, then those that its own addresses do not suit, such as global ones of IPv6
 * where it has only unique local ones; ::1 comes before 127.0.0.1. For that the kernel is asked
 * which way it would take; nothing is sent. What is equally good stays in the order of the answer.
 *
 * @param host     an address without brackets, or a name; NULL or "": this machine, by its loopback
 *                 addresses, or all of its addresses if opts->passive
 * @param service  a port as a decimal number, or a name of /etc/services; NULL or "": port 0
 * @param opts     options, or NULL for the defaults; read during the call only
 * @param answer   out: the addresses, to be given back with th_answer_free()
 * @return 0; TH_ENAME when there is no such name, or no such address of it, or no such service;
 *         TH_ENAMESERVER when no name server could tell, which may be different soon; TH_EADDRESS
 *         for what can be neither name nor address; all of these with a detail; TH_ELIMIT when
 *         names_max questions are on their way; -ECANCELED or -ETIMEDOUT when the caller's scope
 *         says so; -EPERM for a name, outside a fiber; -EINVAL for NULL and wrong options; -errno
 *         of a file that cannot be read; -ENOMEM
 *
 * Suspends: yes, unless host and service are numbers
 * Thread: fiber
 * On cancel: stops waiting; the answer will be remembered when it comes
 * Since: 0.1
 */
TH_API TH_MUST int th_resolve(const char *host, const char *service, const th_resolve_opts *opts,
                              th_answer **answer);

/**
 * Frees an answer.
 *
 * @param answer  the answer; NULL is a no-op
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_answer_free(th_answer *answer);

/* One place where a service is offered. */
typedef struct th_srv {
    const char *host; /* a name, to be looked up */
    uint16_t port;
    uint16_t priority; /* lower ones are to be tried first */
    uint16_t weight;   /* among those of one priority */
} th_srv;

/* Where a service is offered. */
typedef struct th_services {
    size_t count; /* at least 1 */
    const th_srv *at;
    int64_t ttl; /* as in th_answer */
} th_services;

/**
 * Finds where a service is offered: its SRV records.
 *
 * They come in the order in which they are to be tried (RFC 2782): by priority, and among equal
 * ones by a draw in which each has the chance that its weight says, made anew in each call.
 *
 * @param name      such as "_ldap._tcp.example.com"; it is not searched for
 * @param opts      options, or NULL for the defaults; read during the call only
 * @param services  out: the places, to be given back with th_services_free()
 * @return 0; TH_ENAME when there is no such name, or the service is not offered there; the rest as
 *         th_resolve()
 *
 * Suspends: yes
 * Thread: fiber
 * On cancel: stops waiting; the answer will be remembered when it comes
 * Since: 0.1
 */
TH_API TH_MUST int th_resolve_srv(const char *name, const th_resolve_opts *opts,
                                  th_services **services);

/**
 * Frees what th_resolve_srv() has found.
 *
 * @param services  the places; NULL is a no-op
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_services_free(th_services *services);

/* Room for any name, with its NUL. */
#define TH_NAME_TEXT 256

/**
 * Finds the name of an address: that of the hosts file, else its PTR record.
 *
 * Whoever owns the address decides what that says: look its addresses up before you believe it.
 *
 * @param addr  an address of IPv4 or IPv6; its port does not matter
 * @param opts  options, or NULL for the defaults; family and passive do not matter; read during the
 *              call only
 * @param name  out: the name
 * @param size  bytes at name; TH_NAME_TEXT is always enough
 * @return the length of the name; TH_ENAME when it has none; TH_ELIMIT when there is no room for
 *         it; the rest as th_resolve()
 *
 * Suspends: yes
 * Thread: fiber
 * On cancel: stops waiting; the answer will be remembered when it comes
 * Since: 0.1
 */
TH_API TH_MUST int th_resolve_name(const th_addr *addr, const th_resolve_opts *opts, char *name,
                                   size_t size);

TH_END_DECLS

#endif
