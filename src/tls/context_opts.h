/* SPDX-License-Identifier: MIT */

/* The options of contexts: what is wrong with them, and what stands where they say nothing. */
#ifndef THI_TLS_CONTEXT_OPTS_H
#define THI_TLS_CONTEXT_OPTS_H

#include "tls/policy.h"

#include <thrum/tls.h>

#include <openssl/ssl.h>

/*
 * Reads options and fills in the defaults of facts and policy, without files. 0; -EINVAL and
 * TH_ECONFIG with a detail.
 */
TH_MUST int thi_tls_opts_read(const th_tls_opts *opts, th_tls_facts *facts, thi_tls_policy *policy);

#endif
