/* SPDX-License-Identifier: MIT */

/* What shall be in a certificate or a request: checked, and made into extensions. */
#ifndef THI_TLS_CERT_OPTS_H
#define THI_TLS_CERT_OPTS_H

#include "tls/cert_ext.h"

#include <thrum/cert_issue.h>

/* -EINVAL with the reason for what cannot be; NULL is not allowed. */
TH_MUST int thi_cert_opts_check(const th_cert_opts *o);

/*
 * Adds what the options say, but for exts. With `defaults` (a certificate) what they do not say is
 * added as their docstring says; without (a request) it is not asked for.
 */
TH_MUST int thi_cert_opts_exts(const th_cert_opts *o, bool defaults, int key_kind, thi_exts *exts);

/* Adds o->exts, which have the last word. */
TH_MUST int thi_cert_opts_more(const th_cert_opts *o, thi_exts *exts);

#endif
