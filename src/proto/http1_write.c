/* SPDX-License-Identifier: MIT */

/*
 * Small writers.
 *
 * The status line of an answer is copied whole from a literal. Decimal numbers, which stand in
 * every Content-Length, are written two digits at a time: half as many divisions, and they are by a
 * constant.
 */
#include "proto/http1_write.h"

/* RFC 9110, 15; 103 RFC 8297; 425 RFC 8470; 428, 429, 431, 511 RFC 6585; 451 RFC 7725; 507 RFC
 * 4918. */
#define STATUS_LIST(X)                                                                             \
    X(100, "Continue")                                                                             \
    X(101, "Switching Protocols")                                                                  \
    X(103, "Early Hints")                                                                          \
    X(200, "OK")                                                                                   \
    X(201, "Created")                                                                              \
    X(202, "Accepted")                                                                             \
    X(203, "Non-Authoritative Information")                                                        \
    X(204, "No Content")                                                                           \
    X(205, "Reset Content")                                                                        \
    X(206, "Partial Content")                                                                      \
    X(300, "Multiple Choices")                                                                     \
    X(301, "Moved Permanently")                                                                    \
    X(302, "Found")                                                                                \
    X(303, "See Other")                                                                            \
    X(304, "Not Modified")                                                                         \
    X(307, "Temporary Redirect")                                                                   \
    X(308, "Permanent Redirect")                                                                   \
    X(400, "Bad Request")                                                                          \
    X(401, "Unauthorized")                                                                         \
    X(402, "Payment Required")                                                                     \
    X(403, "Forbidden")                                                                            \
    X(404, "Not Found")                                                                            \
    X(405, "Method Not Allowed")                                                                   \
    X(406, "Not Acceptable")                                                                       \
    X(407, "Proxy Authentication Required")                                                        \
    X(408, "Request Timeout")                                                                      \
    X(409, "Conflict")                                                                             \
    X(410, "Gone")                                                                                 \
    X(411, "Length Required")                                                                      \
    X(412, "Precondition Failed")                                                                  \
    X(413, "Content Too Large")                                                                    \
    X(414, "URI Too Long")                                                                         \
    X(415, "Unsupported Media Type")                                                               \
    X(416, "Range Not Satisfiable")                                                                \
    X(417, "Expectation Failed")                                                                   \
    X(421, "Misdirected Request")                                                                  \
    X(422, "Unprocessable Content")                                                                \
    X(425, "Too Early")                                                                            \
    X(426, "Upgrade Required")                                                                     \
    X(428, "Precondition Required")                                                                \
    X(429, "Too Many Requests")                                                                    \
    X(431, "Request Header Fields Too Large")                                                      \
    X(451, "Unavailable For Legal Reasons")                                                        \
    X(500, "Internal Server Error")                                                                \
    X(501, "Not Implemented")                                                                      \
    X(502, "Bad Gateway")                                                                          \
    X(503, "Service Unavailable")                                                                  \
    X(504, "Gateway Timeout")                                                                      \
    X(505, "HTTP Version Not Supported")                                                           \
    X(507, "Insufficient Storage")                                                                 \
    X(511, "Network Authentication Required")

th_str thi_http_reason(int status)
{
    switch (status) {
#define REASON(code, text)                                                                         \
    case code:                                                                                     \
        return TH_STR(text);
        STATUS_LIST(REASON)
#undef REASON
    default:
        return TH_STR("");
    }
}

th_str thi_http1_status_line(int status)
{
    switch (status) {
#define STATUS_LINE(code, text)                                                                    \
    case code:                                                                                     \
        return TH_STR("HTTP/1.1 " #code " " text "\r\n");
        STATUS_LIST(STATUS_LINE)
#undef STATUS_LINE
    default:
        return TH_STR("");
    }
}

size_t thi_write_decimal(char *out, uint64_t n)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    size_t len = 1;
    for (uint64_t bound = 10; n >= bound && len < THI_DECIMAL_MAX; bound *= 10)
        len++;
    size_t at = len;
    for (; at >= 2; n /= 100) {
        at -= 2;
        memcpy(out + at, pairs + n % 100 * 2, 2);
    }
    if (at == 1)
        out[0] = (char)('0' + n);
    return len;
}

size_t thi_http1_write_chunk_header(char *out, uint64_t n)
{
    size_t digits = 1;
    while (digits < 16 && n >> (4 * digits))
        digits++;
    for (size_t i = digits; i-- > 0; n >>= 4)
        out[i] = "0123456789abcdef"[n & 15];
    memcpy(out + digits, "\r\n", 2);
    return digits + 2;
}
