/* SPDX-License-Identifier: MIT */

/*
 * One look-up of a host: the hosts file, then both families side by side, one domain of the search
 * after the other.
 *
 * It does not wait: whoever owns it is rung for when there is something new, and then calls
 * thi_lookup_step(). So who dials can begin with the first address while others are on their way.
 */
#ifndef THI_NET_NAMES_LOOKUP_H
#define THI_NET_NAMES_LOOKUP_H

#include "net/bell.h"
#include "net/names_resolver.h"

/* The families, in the order in which they are preferred. */
enum { THI_LOOKUP_IP6, THI_LOOKUP_IP4, THI_LOOKUP_FAMILIES };

/* One family's question. */
typedef struct thi_lookup_half {
    thi_asker asker;
    thi_bell *bell;
} thi_lookup_half;

typedef struct thi_lookup {
    thi_names_cache *cache;
    thi_names_conf *conf; /* with a reference: it may change meanwhile */
    thi_lookup_half halves[THI_LOOKUP_FAMILIES];
    bool asked[THI_LOOKUP_FAMILIES]; /* the family is wanted */
    unsigned next;                   /* which of the names to try comes next */
    bool searches;                   /* more than the name itself is tried */
    bool settled;                    /* the present name has addresses */
    int error;                       /* the most telling failure so far; 0: none */
    const char *why;                 /* the text of it */
    char host[THI_DNS_NAME];         /* in lower case, without a dot at its end */
    char name[THI_DNS_NAME];         /* that is being tried */
} thi_lookup;

/*
 * Begins; family: 0, TH_ADDR_IP4, TH_ADDR_IP6. 0, and thi_lookup_step() may be called at once;
 * TH_EADDRESS for what is no name, with a detail; errors of thi_resolver_cache(). On failure there
 * is nothing to end.
 */
TH_MUST int thi_lookup_begin(thi_lookup *lookup, thi_bell *bell, th_resolver *resolver,
                             const char *host, int family);

/*
 * Goes on as far as is known. 1: done; 0: go on waiting; an error when nothing can be found out any
 * more, without a detail.
 */
TH_MUST int thi_lookup_step(thi_lookup *lookup);

/* The addresses of a family as far as they have come, NULL for none. */
static inline const thi_names_set *thi_lookup_set(const thi_lookup *lookup, int family)
{
    const thi_names_set *set = lookup->halves[family].asker.set;
    return set && set->status == 0 ? set : NULL;
}

/* Whether a family is still expected. */
static inline bool thi_lookup_expects(const thi_lookup *lookup, int family)
{
    return !thi_asker_done(&lookup->halves[family].asker);
}

/* Stops, and gives everything back. */
void thi_lookup_end(thi_lookup *lookup);

/* Whether the last part of a host is a number, by which it is no name: WHATWG URL, 3.5. */
bool thi_lookup_is_number(const char *host);

/* Says what has failed, with the host and why: returns the error. */
int thi_lookup_failed(const thi_lookup *lookup, int error);

#endif
