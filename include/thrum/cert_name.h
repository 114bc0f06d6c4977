/* SPDX-License-Identifier: MIT */

/*
 * What certificates, requests and revocation lists are made of, as plain data: names, alternative
 * names, extensions, times.
 *
 * As output all of it lives in the arena that was given; as input it is borrowed for the call.
 */
#ifndef THRUM_CERT_NAME_H
#define THRUM_CERT_NAME_H

#include <stddef.h>
#include <stdint.h>

#include <thrum/defs.h>
#include <thrum/mem.h>
#include <thrum/str.h>

TH_BEGIN_DECLS

/* One part of a name, such as CN=example.org. */
typedef struct th_cert_name_part {
    const char *type; /* short or long name or dotted number of the part: "CN", "commonName",
                         "2.5.4.3"; as output the short name, the number where there is none */
    th_str value;     /* UTF-8; any bytes, NUL too */
    int joined;       /* 1: in one set with the part before ("CN=a+UID=b"); hardly ever used */
} th_cert_name_part;

/* A name: its parts in the order of the certificate, repeats kept. */
typedef struct th_cert_name {
    const th_cert_name_part *parts; /* NULL when there are none */
    size_t count;                   /* how many */
} th_cert_name;

/* What an alternative name is. */
enum {
    TH_ALT_OTHER, /* value is OpenSSL's text for it; only as output */
    TH_ALT_DNS,   /* a host's name, perhaps with a wildcard: "*.example.org" */
    TH_ALT_IP,    /* an address in text: "192.0.2.1", "2001:db8::1" */
    TH_ALT_EMAIL, /* "user@example.org" */
    TH_ALT_URI    /* "https://example.org/" */
};

/* An alternative name. */
typedef struct th_cert_alt {
    int kind;     /* TH_ALT_... */
    th_str value; /* its text; as output with any NUL bytes that are in it */
} th_cert_alt;

/* An extension. */
typedef struct th_cert_ext {
    const char *name; /* short or long name or dotted number: "keyUsage", "1.2.3.4"; as output the
                         short name, the number where there is none */
    th_str value;     /* OpenSSL's text for it, as in its configuration file: "CA:TRUE,pathlen:0",
                         "DNS:example.org", or "DER:" and hexadecimal digits, which any extension
                         may be; as output as OpenSSL prints it, in longer words, perhaps in several
                         lines, or "DER:" */
    int critical;     /* 1: who does not know the extension must refuse */
} th_cert_ext;

/* Room for th_cert_time_text(), with the NUL. */
#define TH_CERT_TIME_TEXT 16

/**
 * Reads a name that is written as "CN=example.org, O=Example".
 *
 * Parts stand in the order of the certificate, with commas between them; a plus joins a part to the
 * one before. A backslash takes the meaning from the byte behind it, or stands with two hexadecimal
 * digits for any byte. White space around parts does not count. Also read is "/CN=example.org
 * /O=Example", OpenSSL's older form: it begins with a slash, and slashes are between the parts.
 *
 * @param text   in, borrowed for the call: the name; an empty one has no parts
 * @param arena  in: where the parts are put
 * @param name   out: the name, in the arena
 * @return 0; -EINVAL for a part that is unknown or has no `=`, which the detail says, and for NULL;
 *         -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_name_parse(th_str text, th_arena *arena, th_cert_name *name);

/**
 * Writes a name as th_cert_name_parse() reads it.
 *
 * Control characters and what is not UTF-8 become a backslash and two digits.
 *
 * @param name   in: a name
 * @param arena  in: where the text is put, with a NUL behind it
 * @param text   out: a view of it in the arena
 * @return 0; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_name_text(const th_cert_name *name, th_arena *arena, th_str *text);

/**
 * Finds a part of a name.
 *
 * @param name   in: a name
 * @param type   in: as in th_cert_name_part; all spellings of a part mean the same
 * @param index  in: which of several, from 0 on
 * @param value  out: its value, as long-lived as the name
 * @return 1 when it is there, 0 when not; -EINVAL for NULL and for an unknown part
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_cert_name_find(const th_cert_name *name, const char *type, size_t index,
                             th_str *value);

/**
 * Tells what kind of alternative name a text is.
 *
 * It is an address, something with `://`, something with `@`, else the name of a host; "DNS:",
 * "IP:", "email:" and "URI:" in front say so themselves.
 *
 * @param text  in: the name, borrowed by alt
 * @param alt   out: the alternative name
 * @return 0; -EINVAL for NULL, an empty one, or one that does not fit the kind it says
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_alt_of(const char *text, th_cert_alt *alt);

/**
 * Reads a time as certificates write it.
 *
 * Understood are "YYYYMMDDhhmmssZ" and "YYMMDDhhmmssZ" (50 to 99 are 19xx), with an offset such as
 * "+0530" instead of the Z, and "YYYY-MM-DDThh:mm:ssZ". Neither the time zone nor the locale of the
 * process matters.
 *
 * @param text     in, borrowed for the call
 * @param seconds  out: seconds since 1970 in UTC, negative before
 * @return 0; -EINVAL for another form, a time that does not exist, or NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_time_parse(th_str text, int64_t *seconds);

/**
 * Writes a time as certificates do, always with four digits for the year: "20260102030405Z".
 *
 * @param seconds  in: seconds since 1970 in UTC, of the years 0000 to 9999
 * @param text     out: TH_CERT_TIME_TEXT bytes
 * @return 0; -ERANGE for another year; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_cert_time_text(int64_t seconds, char text[TH_CERT_TIME_TEXT]);

TH_END_DECLS

#endif
