/* SPDX-License-Identifier: MIT */

/* Classes of bytes in HTTP and URL grammar: one table, one bit per class. */
#ifndef THI_PROTO_CHARS_H
#define THI_PROTO_CHARS_H

#include <stdbool.h>
#include <stdint.h>

#define THI_CHAR_TOKEN   0x01u /* tchar (RFC 9110, 5.6.2) */
#define THI_CHAR_VALUE   0x02u /* of a field value: HTAB, SP, VCHAR, obs-text (RFC 9110, 5.5) */
#define THI_CHAR_TARGET  0x04u /* pchar and "/", but neither "%" nor "?" (RFC 3986, 3.3) */
#define THI_CHAR_REGNAME 0x08u /* unreserved and sub-delims: a host name without "%" (3.2.2) */
#define THI_CHAR_HEX     0x10u /* hexadecimal digit of either case */
#define THI_CHAR_DIGIT   0x20u /* decimal digit */
#define THI_CHAR_RELAXED 0x40u /* what browsers leave raw in a query: [ \ ] ^ ` { | } */
#define THI_CHAR_QUOTED  0x80u /* qdtext of a quoted string (RFC 9110, 5.6.4) */

extern const uint8_t thi_char_class[256];

static inline bool thi_char_is(char c, unsigned classes)
{
    return (thi_char_class[(uint8_t)c] & classes) != 0;
}

/* Space or tab: OWS and BWS consist of these (RFC 9110, 5.6.3). */
static inline bool thi_char_is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* The byte in lower case, if it is an ASCII letter. */
static inline char thi_char_lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

/* The value of a byte of the class THI_CHAR_HEX. */
static inline unsigned thi_char_hex(char c)
{
    return ((unsigned)c & 15u) + (c > '9' ? 9u : 0u);
}

#endif
