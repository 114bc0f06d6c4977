/* SPDX-License-Identifier: MIT */

/*
 * Nanoseconds per request head: Thrum's parser beside libhttp-parser, in one run and in turns.
 *
 * Both fill an array of names and values, as a server needs them. "parse" is the syntax alone;
 * "parse+meaning" adds what libhttp-parser does on the way as well (framing, persistence) and what
 * it does not do (Host, expectations). Each row is the best of many short rounds: the machine's
 * noise only ever adds.
 */
#include "proto/http1.h"

#include <http_parser.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FIELDS 64
#define ROUNDS 200
#define LAPS   2000

static const char small[] = "GET /index.html HTTP/1.1\r\nHost: www.example.com:80\r\n\r\n";

static const char large[] =
    "GET /wp-content/uploads/2010/03/hello-kitty-darth-vader-pink.jpg HTTP/1.1\r\n"
    "Host: www.kittyhell.com\r\n"
    "User-Agent: Mozilla/5.0 (Macintosh; U; Intel Mac OS X 10.6; ja-JP-mac; rv:1.9.2.3) "
    "Gecko/20100401 Firefox/3.6.3 Pathtraq/0.9\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: ja,en-us;q=0.7,en;q=0.3\r\n"
    "Accept-Encoding: gzip,deflate\r\n"
    "Accept-Charset: Shift_JIS,utf-8;q=0.7,*;q=0.7\r\n"
    "Keep-Alive: 115\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: wp_ozh_wsa_visits=2; wp_ozh_wsa_visit_lasttime=xxxxxxxxxx; "
    "__utma=xxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.x; "
    "__utmz=xxxxxxxxx.xxxxxxxxxx.x.x.utmccn=(referral)|utmcsr=reader.livedoor.com|"
    "utmcct=/reader/|utmcmd=referral\r\n\r\n";

static size_t thrum_parse(const char *text, size_t len)
{
    thi_http1_request req;
    thi_http1_field fields[FIELDS];
    thi_http1_error err;
    thi_http1_request_init(&req, fields, FIELDS, NULL);
    if (thi_http1_request_parse(&req, text, len, &err) != (ssize_t)len)
        abort();
    return req.head.count;
}

static size_t thrum_both(const char *text, size_t len)
{
    thi_http1_request req;
    thi_http1_field fields[FIELDS];
    thi_http1_meaning meaning;
    thi_http1_error err;
    thi_http1_request_init(&req, fields, FIELDS, NULL);
    if (thi_http1_request_parse(&req, text, len, &err) != (ssize_t)len ||
        thi_http1_request_meaning(&req, &meaning, &err) < 0 || !meaning.keep_alive)
        abort();
    return req.head.count;
}

/* What the other parser's callbacks collect. */
typedef struct collected {
    th_str url;
    th_str name[FIELDS];
    th_str value[FIELDS];
    size_t count;
} collected;

static int on_url(http_parser *p, const char *at, size_t len)
{
    ((collected *)p->data)->url = th_str_make(at, len);
    return 0;
}

static int on_name(http_parser *p, const char *at, size_t len)
{
    collected *c = p->data;
    c->name[c->count] = th_str_make(at, len);
    return 0;
}

static int on_value(http_parser *p, const char *at, size_t len)
{
    collected *c = p->data;
    c->value[c->count++] = th_str_make(at, len);
    return 0;
}

static size_t other_parse(const char *text, size_t len)
{
    static const http_parser_settings settings = { .on_url = on_url,
                                                   .on_header_field = on_name,
                                                   .on_header_value = on_value };
    collected found;
    http_parser parser;
    found.count = 0;
    http_parser_init(&parser, HTTP_REQUEST);
    parser.data = &found;
    if (http_parser_execute(&parser, &settings, text, len) != len ||
        !http_should_keep_alive(&parser))
        abort();
    return found.count;
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

typedef size_t parse_fn(const char *text, size_t len);

static double lap(parse_fn *parse, const char *text, size_t len)
{
    int64_t begin = now();
    for (int i = 0; i < LAPS; i++) {
        /* The compiler must take the text for new each time. */
        __asm__ volatile("" : "+r"(text) : : "memory");
        if (parse(text, len) == 0)
            abort();
    }
    return (double)(now() - begin) / LAPS;
}

static void measure(const char *text, size_t len)
{
    static const struct {
        const char *name;
        parse_fn *parse;
    } rows[] = { { "thrum parse", thrum_parse },
                 { "thrum parse+meaning", thrum_both },
                 { "libhttp-parser", other_parse } };
    double best[3] = { 1e9, 1e9, 1e9 };
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < 3; i++) {
            double ns = lap(rows[i].parse, text, len);
            best[i] = ns < best[i] ? ns : best[i];
        }
    }
    for (size_t i = 0; i < 3; i++)
        printf("%4zu bytes  %-20s %7.1f ns  %5.2f of libhttp-parser\n", len, rows[i].name, best[i],
               best[i] / best[2]);
}

int main(void)
{
    measure(small, sizeof small - 1);
    measure(large, sizeof large - 1);
    return 0;
}
