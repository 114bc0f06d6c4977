/* SPDX-License-Identifier: MIT */

/*
 * Formatting the lines of an access log.
 *
 * Everything that a stranger sent is escaped: control characters and bytes that are no UTF-8 could
 * forge lines or upset whoever reads the log. Each text has a bound of its own, so that a long one
 * cannot push the others out of the line.
 */
#include "observe/access_line.h"

#include "proto/http1_write.h"

#include <thrum/time.h>

#include <stdbool.h>
#include <string.h>
#include <time.h>

/* Bytes of a target, and of any other text, before escaping makes up to six of each. */
#define TARGET_MAX 300
#define TEXT_MAX   80

/* A line in the making. The bounds of the texts leave room for all of it. */
typedef struct line {
    char *at;
    size_t len;
    bool json;
} line;

static void add(line *l, const char *text, size_t len)
{
    if (len > THI_ACCESS_LINE_MAX - 1 - l->len)
        len = THI_ACCESS_LINE_MAX - 1 - l->len;
    memcpy(l->at + l->len, text, len);
    l->len += len;
}

static void add_text(line *l, const char *text)
{
    add(l, text, strlen(text));
}

static void add_number(line *l, uint64_t n)
{
    char digits[THI_DECIMAL_MAX];
    add(l, digits, thi_write_decimal(digits, n));
}

static void add_digits(line *l, unsigned n, unsigned width)
{
    char digits[8];
    for (unsigned i = width; i-- > 0; n /= 10)
        digits[i] = (char)('0' + n % 10);
    add(l, digits, width);
}

static void add_escaped_byte(line *l, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char text[6] = { '\\', 'x', hex[c >> 4], hex[c & 15] };
    if (l->json) {
        memcpy(text, "\\u00", 4);
        text[4] = hex[c >> 4];
        text[5] = hex[c & 15];
        add(l, text, 6);
    } else {
        add(l, text, 4);
    }
}

/* The length of a well-formed UTF-8 sequence of two bytes or more at s, 0 if there is none. */
static size_t utf8_len(const unsigned char *s, size_t left)
{
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool odd = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
               (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f);
    return odd ? 0 : n;
}

/* A stranger's text, at most `max` bytes of it; three dots stand for what is cut off. */
static void add_foreign(line *l, th_str text, size_t max)
{
    bool cut = text.len > max;
    size_t len = cut ? max : text.len;
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text.ptr[i];
        size_t n = c >= 0x80 ? utf8_len((const unsigned char *)text.ptr + i, len - i) : 1;
        if (n == 0 || c < 0x20 || c == 0x7f || c == '"' || c == '\\') {
            add_escaped_byte(l, c);
            n = 1;
        } else {
            add(l, text.ptr + i, n);
        }
        i += n;
    }
    if (cut)
        add_text(l, "...");
}

/* An empty text is a dash in the common format. */
static void add_field(line *l, th_str text, size_t max)
{
    if (text.len > 0 || l->json)
        add_foreign(l, text, max);
    else
        add_text(l, "-");
}

/* The host alone, as the common format has it; with its port for JSON. */
static void add_peer(line *l, const th_addr *peer)
{
    char text[TH_ADDR_TEXT];
    th_addr_format(peer, text, sizeof text);
    if (!l->json && peer->kind == TH_ADDR_UNIX)
        memcpy(text, "unix", 5);
    char *colon = strrchr(text, ':');
    if (!l->json && colon && peer->kind != TH_ADDR_UNIX)
        *colon = '\0';
    char *host = text;
    if (!l->json && *host == '[') {
        host++;
        host[strlen(host) - 1] = '\0';
    }
    add_foreign(l, (th_str){ host, strlen(host) }, sizeof text);
}

static void add_common_time(line *l, const struct tm *tm)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    add_text(l, "[");
    add_digits(l, (unsigned)tm->tm_mday, 2);
    add_text(l, "/");
    add(l, months + (size_t)tm->tm_mon * 3, 3);
    add_text(l, "/");
    add_digits(l, (unsigned)tm->tm_year + 1900, 4);
    add_text(l, ":");
    add_digits(l, (unsigned)tm->tm_hour, 2);
    add_text(l, ":");
    add_digits(l, (unsigned)tm->tm_min, 2);
    add_text(l, ":");
    add_digits(l, (unsigned)tm->tm_sec, 2);
    add_text(l, " +0000]");
}

static void add_json_time(line *l, const struct tm *tm, unsigned milliseconds)
{
    add_digits(l, (unsigned)tm->tm_year + 1900, 4);
    add_text(l, "-");
    add_digits(l, (unsigned)tm->tm_mon + 1, 2);
    add_text(l, "-");
    add_digits(l, (unsigned)tm->tm_mday, 2);
    add_text(l, "T");
    add_digits(l, (unsigned)tm->tm_hour, 2);
    add_text(l, ":");
    add_digits(l, (unsigned)tm->tm_min, 2);
    add_text(l, ":");
    add_digits(l, (unsigned)tm->tm_sec, 2);
    add_text(l, ".");
    add_digits(l, milliseconds, 3);
    add_text(l, "Z");
}

static void add_common(line *l, const th_http_record *r, const struct tm *tm)
{
    add_peer(l, r->peer);
    add_text(l, " - - ");
    add_common_time(l, tm);
    add_text(l, " \"");
    if (r->method.len > 0) {
        add_foreign(l, r->method, TEXT_MAX);
        add_text(l, " ");
        add_foreign(l, r->target, TARGET_MAX);
        add_text(l, " ");
        add_text(l, r->version == 10 ? "HTTP/1.0" : "HTTP/1.1");
    } else {
        add_text(l, "-");
    }
    add_text(l, "\" ");
    if (r->status)
        add_number(l, (uint64_t)r->status);
    else
        add_text(l, "-");
    add_text(l, " ");
    if (r->body_bytes)
        add_number(l, r->body_bytes);
    else
        add_text(l, "-");
}

static void add_json_text(line *l, const char *name, th_str text, size_t max)
{
    add_text(l, ",\"");
    add_text(l, name);
    add_text(l, "\":\"");
    add_field(l, text, max);
    add_text(l, "\"");
}

static void add_json_number(line *l, const char *name, uint64_t n)
{
    add_text(l, ",\"");
    add_text(l, name);
    add_text(l, "\":");
    add_number(l, n);
}

static void add_json(line *l, const th_http_record *r, const struct tm *tm)
{
    add_text(l, "{\"time\":\"");
    add_json_time(l, tm, (unsigned)(r->wall % TH_SECOND / TH_MILLISECOND));
    add_text(l, "\",\"peer\":\"");
    add_peer(l, r->peer);
    add_text(l, "\"");
    add_json_text(l, "method", r->method, TEXT_MAX);
    add_json_text(l, "target", r->target, TARGET_MAX);
    add_text(l, r->version == 10 ? ",\"version\":\"1.0\"" : ",\"version\":\"1.1\"");
    add_json_text(l, "host", r->host, TEXT_MAX);
    add_json_number(l, "status", (uint64_t)r->status);
    add_json_number(l, "bytes", r->body_bytes);
    add_json_number(l, "duration_us", (uint64_t)r->duration / 1000);
    add_json_text(l, "referer", r->referer, TEXT_MAX);
    add_json_text(l, "user_agent", r->user_agent, TEXT_MAX);
    if (r->tls_version.len > 0) {
        add_json_text(l, "tls", r->tls_version, TEXT_MAX);
        add_json_text(l, "cipher", r->tls_cipher, TEXT_MAX);
    }
    add_text(l, "}");
}

size_t thi_access_line(const th_http_record *r, th_access_log_format format,
                       char out[THI_ACCESS_LINE_MAX])
{
    line l = { .at = out, .json = format == TH_ACCESS_LOG_JSON };
    time_t seconds = (time_t)(r->wall / TH_SECOND);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    if (l.json)
        add_json(&l, r, &tm);
    else
        add_common(&l, r, &tm);
    l.at[l.len++] = '\n';
    return l.len;
}
