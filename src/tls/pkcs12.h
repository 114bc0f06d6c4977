/* SPDX-License-Identifier: MIT */

/* PKCS#12: what one file may cost. */
#ifndef THI_TLS_PKCS12_H
#define THI_TLS_PKCS12_H

#include <stdint.h>

/*
 * Hashes of the phrase for all that is in one file. Enough for one that th_pkcs12_write() has
 * written with the most iterations: the MAC, the key and the certificates. To be changed by tests,
 * before there is any work in the pool.
 */
extern uint64_t thi_pkcs12_hashes;

#endif
