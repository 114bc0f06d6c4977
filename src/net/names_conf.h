/* SPDX-License-Identifier: MIT */

/*
 * What a machine says about names: its hosts file, and resolv.conf. Text in, tables out.
 *
 * A configuration is built once and then only read, by any thread; each holder has a reference.
 */
#ifndef THI_NET_NAMES_CONF_H
#define THI_NET_NAMES_CONF_H

#include "base/map.h"

#include <thrum/addr.h>
#include <thrum/mem.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define THI_NAMES_SERVERS_MAX 8
#define THI_NAMES_SEARCH_MAX  16
#define THI_NAMES_PORT        53

/* One address of a name in the hosts file. */
typedef struct thi_host {
    th_addr addr;          /* of port 0 */
    const char *name;      /* the first one of its line */
    struct thi_host *next; /* of the same name */
} thi_host;

typedef struct thi_names_conf {
    atomic_uint refs;
    uint64_t serial; /* of those of a resolver, each its own */
    th_arena arena;
    thi_map hosts;   /* by name in lower case: the first thi_host */
    thi_map reverse; /* by the bytes of an address: a name */
    th_addr servers[THI_NAMES_SERVERS_MAX];
    unsigned server_count;
    const char *search[THI_NAMES_SEARCH_MAX];
    unsigned search_count;
    unsigned ndots;   /* a name with so many dots is tried as it is before it is searched for */
    unsigned seconds; /* for an answer to the first question to a server */
    unsigned tries;   /* of each server */
    bool rotate;
    bool use_tcp;
    bool edns;
} thi_names_conf;

/* An empty one, with the defaults of resolv.conf(5) and one reference; NULL without memory. */
thi_names_conf *thi_names_conf_new(void);

static inline thi_names_conf *thi_names_conf_ref(thi_names_conf *conf)
{
    atomic_fetch_add_explicit(&conf->refs, 1, memory_order_relaxed);
    return conf;
}

/* NULL is a no-op. */
void thi_names_conf_unref(thi_names_conf *conf);

/*
 * Reads the text of a hosts file or of resolv.conf into one that nobody else has yet; the text is
 * changed and stays in use. What makes no sense is passed over, as libc does. The hosts may fail
 * with -ENOMEM.
 */
TH_MUST int thi_names_conf_hosts(thi_names_conf *conf, char *text);
void thi_names_conf_resolv(thi_names_conf *conf, char *text);

/* The same for single settings: domains or options with blanks between them, as in resolv.conf. */
void thi_names_conf_search(thi_names_conf *conf, char *domains);
void thi_names_conf_options(thi_names_conf *conf, char *options);

/* Servers with commas or blanks between them, an address each, with or without a port, to replace
 * those that there are. TH_EADDRESS with a detail, with the servers as they were. */
TH_MUST int thi_names_conf_servers(thi_names_conf *conf, const char *text);

/* The addresses of a name in lower case, NULL for none. */
const thi_host *thi_names_conf_host(const thi_names_conf *conf, const char *name);

/* The name of an address, NULL for none. */
const char *thi_names_conf_name(const thi_names_conf *conf, const th_addr *addr);

/* Reads an address without a port and without brackets; false when the text is none. Zones are
 * numbers or names of interfaces. */
TH_MUST bool thi_names_literal(const char *text, th_addr *addr);

/* Takes the next word out of a text and ends it with a NUL; NULL when there is none. */
char *thi_names_word(char **text);

/* Takes the next line, without what is behind one of the marks; NULL after the last. */
char *thi_names_line(char **text, const char *marks);

#endif
