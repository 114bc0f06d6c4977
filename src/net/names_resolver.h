/* SPDX-License-Identifier: MIT */

/*
 * Resolvers: whom to ask and how, for the whole process, and what each worker keeps for them.
 */
#ifndef THI_NET_NAMES_RESOLVER_H
#define THI_NET_NAMES_RESOLVER_H

#include "net/names_cache.h"

#include <thrum/names.h>

/*
 * The calling fiber's worker's cache for a resolver (NULL: the system's), with the configuration as
 * it is now; valid until the resolver is given back. May suspend, to read files. 0; what the scope
 * says; -EPERM outside a fiber; -errno of a file, with a detail; -ENOMEM.
 */
TH_MUST int thi_resolver_cache(th_resolver *resolver, thi_names_cache **cache);

/*
 * The port of a service name by /etc/services, for TCP before others. May suspend. 0; TH_ENAME;
 * what the scope says; -errno of the file; -ENOMEM.
 */
TH_MUST int thi_resolver_service(const char *name, uint16_t *port);

#endif
