/* SPDX-License-Identifier: MIT */

/* Names between plain data and OpenSSL. */
#ifndef THI_TLS_CERT_NAME_H
#define THI_TLS_CERT_NAME_H

#include <thrum/cert_name.h>

#include <openssl/x509.h>
#include <stdbool.h>

/* The name as plain data, in the arena. */
TH_MUST int thi_name_read(const X509_NAME *from, th_arena *arena, th_cert_name *name);

/* Adds all parts to an empty name. -EINVAL, with the part as detail, for an unknown or bad one. */
TH_MUST int thi_name_make(const th_cert_name *from, X509_NAME *name);

/* The short name of an object, static, or its number, in the arena; NULL without memory. */
const char *thi_object_name(const ASN1_OBJECT *object, th_arena *arena);

/*
 * Escapes what a terminal or a reader of lines should not get as it is: control characters, what is
 * not UTF-8, and the bytes in `also`. NULL without memory.
 */
char *thi_text_escape(th_str text, const char *also, th_arena *arena);

#endif
