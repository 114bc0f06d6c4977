/* SPDX-License-Identifier: MIT */

/* From options to a snapshot: everything that a context is made of, made and put together. */
#ifndef THI_TLS_CONTEXT_BUILD_H
#define THI_TLS_CONTEXT_BUILD_H

#include "tls/context.h"

/*
 * Builds a snapshot; as th_tls_new() says. opts is complete (of the present size), and lives during
 * the call only.
 */
TH_MUST int thi_tls_config_build(const th_tls_opts *opts, thi_tls_config **config);

#endif
