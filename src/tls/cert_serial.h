/* SPDX-License-Identifier: MIT */

/* Serial numbers, of any size, between hexadecimal text and OpenSSL. */
#ifndef THI_TLS_CERT_SERIAL_H
#define THI_TLS_CERT_SERIAL_H

#include <thrum/mem.h>
#include <thrum/str.h>

#include <openssl/asn1.h>

/* Upper-case digits, an even number of them, behind a "-" when it is negative; in the arena. */
TH_MUST int thi_serial_read(const ASN1_INTEGER *from, th_arena *arena, th_str *text);

/* From digits, with colons or not; NULL: 159 bits by chance. -EINVAL; to be freed. */
TH_MUST int thi_serial_make(const char *text, ASN1_INTEGER **serial);

#endif
