/* SPDX-License-Identifier: MIT */

/* Methods and field names that Thrum knows, as small integers: shared by HTTP/1.1 and HTTP/2. */
#ifndef THI_PROTO_HTTP_NAMES_H
#define THI_PROTO_HTTP_NAMES_H

#include <thrum/str.h>

#include <stdbool.h>
#include <stdint.h>

/* Methods are case-sensitive (RFC 9110, 9.1). */
#define THI_HTTP_METHOD_LIST(X)                                                                    \
    X(GET)                                                                                         \
    X(HEAD)                                                                                        \
    X(POST)                                                                                        \
    X(PUT)                                                                                         \
    X(DELETE)                                                                                      \
    X(CONNECT)                                                                                     \
    X(OPTIONS)                                                                                     \
    X(TRACE)                                                                                       \
    X(PATCH)                                                                                       \
    X(QUERY)

typedef enum thi_http_method {
    THI_HTTP_OTHER, /* a valid token that is not in the list */
#define THI_HTTP_METHOD_ENUM(name) THI_HTTP_##name,
    THI_HTTP_METHOD_LIST(THI_HTTP_METHOD_ENUM)
#undef THI_HTTP_METHOD_ENUM
        THI_HTTP_METHOD_COUNT
} thi_http_method;

/*
 * Field names in lower case with their first and last letter, which together with the length make
 * the key of the perfect hash in http_names.c. At most 63, so that a set of them fits 64 bits.
 */
#define THI_HTTP_FIELD_LIST(X)                                                                     \
    X(ACCEPT, "accept", 'a', 't')                                                                  \
    X(ACCEPT_ENCODING, "accept-encoding", 'a', 'g')                                                \
    X(ACCEPT_LANGUAGE, "accept-language", 'a', 'e')                                                \
    X(ACCEPT_RANGES, "accept-ranges", 'a', 's')                                                    \
    X(AGE, "age", 'a', 'e')                                                                        \
    X(ALLOW, "allow", 'a', 'w')                                                                    \
    X(AUTHORIZATION, "authorization", 'a', 'n')                                                    \
    X(CACHE_CONTROL, "cache-control", 'c', 'l')                                                    \
    X(CONNECTION, "connection", 'c', 'n')                                                          \
    X(CONTENT_DISPOSITION, "content-disposition", 'c', 'n')                                        \
    X(CONTENT_ENCODING, "content-encoding", 'c', 'g')                                              \
    X(CONTENT_LENGTH, "content-length", 'c', 'h')                                                  \
    X(CONTENT_LOCATION, "content-location", 'c', 'n')                                              \
    X(CONTENT_RANGE, "content-range", 'c', 'e')                                                    \
    X(CONTENT_TYPE, "content-type", 'c', 'e')                                                      \
    X(COOKIE, "cookie", 'c', 'e')                                                                  \
    X(DATE, "date", 'd', 'e')                                                                      \
    X(EARLY_DATA, "early-data", 'e', 'a')                                                          \
    X(ETAG, "etag", 'e', 'g')                                                                      \
    X(EXPECT, "expect", 'e', 't')                                                                  \
    X(EXPIRES, "expires", 'e', 's')                                                                \
    X(FORWARDED, "forwarded", 'f', 'd')                                                            \
    X(HOST, "host", 'h', 't')                                                                      \
    X(IF_MATCH, "if-match", 'i', 'h')                                                              \
    X(IF_MODIFIED_SINCE, "if-modified-since", 'i', 'e')                                            \
    X(IF_NONE_MATCH, "if-none-match", 'i', 'h')                                                    \
    X(IF_RANGE, "if-range", 'i', 'e')                                                              \
    X(IF_UNMODIFIED_SINCE, "if-unmodified-since", 'i', 'e')                                        \
    X(KEEP_ALIVE, "keep-alive", 'k', 'e')                                                          \
    X(LAST_MODIFIED, "last-modified", 'l', 'd')                                                    \
    X(LOCATION, "location", 'l', 'n')                                                              \
    X(MAX_FORWARDS, "max-forwards", 'm', 's')                                                      \
    X(ORIGIN, "origin", 'o', 'n')                                                                  \
    X(PRAGMA, "pragma", 'p', 'a')                                                                  \
    X(PROXY_AUTHORIZATION, "proxy-authorization", 'p', 'n')                                        \
    X(PROXY_CONNECTION, "proxy-connection", 'p', 'n')                                              \
    X(RANGE, "range", 'r', 'e')                                                                    \
    X(REFERER, "referer", 'r', 'r')                                                                \
    X(RETRY_AFTER, "retry-after", 'r', 'r')                                                        \
    X(SEC_WEBSOCKET_ACCEPT, "sec-websocket-accept", 's', 't')                                      \
    X(SEC_WEBSOCKET_EXTENSIONS, "sec-websocket-extensions", 's', 's')                              \
    X(SEC_WEBSOCKET_KEY, "sec-websocket-key", 's', 'y')                                            \
    X(SEC_WEBSOCKET_PROTOCOL, "sec-websocket-protocol", 's', 'l')                                  \
    X(SEC_WEBSOCKET_VERSION, "sec-websocket-version", 's', 'n')                                    \
    X(SERVER, "server", 's', 'r')                                                                  \
    X(SET_COOKIE, "set-cookie", 's', 'e')                                                          \
    X(STRICT_TRANSPORT_SECURITY, "strict-transport-security", 's', 'y')                            \
    X(TE, "te", 't', 'e')                                                                          \
    X(TRAILER, "trailer", 't', 'r')                                                                \
    X(TRANSFER_ENCODING, "transfer-encoding", 't', 'g')                                            \
    X(UPGRADE, "upgrade", 'u', 'e')                                                                \
    X(USER_AGENT, "user-agent", 'u', 't')                                                          \
    X(VARY, "vary", 'v', 'y')                                                                      \
    X(VIA, "via", 'v', 'a')                                                                        \
    X(WWW_AUTHENTICATE, "www-authenticate", 'w', 'e')                                              \
    X(X_FORWARDED_FOR, "x-forwarded-for", 'x', 'r')                                                \
    X(X_FORWARDED_HOST, "x-forwarded-host", 'x', 't')                                              \
    X(X_FORWARDED_PROTO, "x-forwarded-proto", 'x', 'o')                                            \
    X(X_REQUEST_ID, "x-request-id", 'x', 'd')

typedef enum thi_http_field {
    THI_FIELD_OTHER, /* a valid name that is not in the list */
#define THI_HTTP_FIELD_ENUM(id, name, first, last) THI_FIELD_##id,
    THI_HTTP_FIELD_LIST(THI_HTTP_FIELD_ENUM)
#undef THI_HTTP_FIELD_ENUM
        THI_FIELD_COUNT
} thi_http_field;

/* The method that these bytes name; THI_HTTP_OTHER for every other text. */
thi_http_method thi_http_method_of(th_str token);

/* The method's name; "" for THI_HTTP_OTHER. Static. */
th_str thi_http_method_name(thi_http_method method);

/*
 * The field that these bytes name, whatever their case; THI_FIELD_OTHER for every other token.
 * The bytes must be a token (RFC 9110, 5.6.2): the comparison relies on it.
 */
thi_http_field thi_http_field_of(const char *name, size_t len);

/* The field's name in lower case, as HTTP/2 writes it; "" for THI_FIELD_OTHER. Static. */
th_str thi_http_field_name(thi_http_field id);

#endif
