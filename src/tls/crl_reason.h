/* SPDX-License-Identifier: MIT */

/* Reasons for a revocation, by name and by number (RFC 5280, 5.3.1). */
#ifndef THI_TLS_CRL_REASON_H
#define THI_TLS_CRL_REASON_H

/* NULL for a number without a name, such as -1. */
const char *thi_crl_reason_name(int number);

/* Without regard to case and blanks; -1 for an unknown one. */
int thi_crl_reason_number(const char *name);

#endif
