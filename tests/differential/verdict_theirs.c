/* SPDX-License-Identifier: MIT */

/* The verdict of libhttp-parser, in the same form. */
#include "verdict.h"

#include <http_parser.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One element that callbacks deliver in pieces. */
typedef struct piece {
    char *text;
    size_t len, room;
} piece;

typedef struct reading {
    piece url, name, value, fields, body;
    bool in_value;
    bool head_done;
    bool done;
} reading;

static void add(piece *p, const char *at, size_t len)
{
    if (p->room - p->len <= len) {
        p->room = 2 * p->room + len + 64;
        p->text = realloc(p->text, p->room);
        if (!p->text)
            abort();
    }
    memcpy(p->text + p->len, at, len);
    p->len += len;
}

/* White space at the end of a value is no part of it (RFC 9112, 5.1), which they leave to do. */
static void end_field(reading *r)
{
    if (!r->in_value)
        return;
    while (r->value.len > 0 && strchr(" \t", r->value.text[r->value.len - 1]))
        r->value.len--;
    add(&r->fields, r->name.text, r->name.len);
    add(&r->fields, ": ", 2);
    add(&r->fields, r->value.text, r->value.len);
    add(&r->fields, "\n", 1);
    r->name.len = r->value.len = 0;
    r->in_value = false;
}

static int on_url(http_parser *p, const char *at, size_t len)
{
    add(&((reading *)p->data)->url, at, len);
    return 0;
}

static int on_name(http_parser *p, const char *at, size_t len)
{
    reading *r = p->data;
    if (r->head_done)
        return 0; /* a trailer field */
    end_field(r);
    add(&r->name, at, len);
    return 0;
}

static int on_value(http_parser *p, const char *at, size_t len)
{
    reading *r = p->data;
    if (r->head_done)
        return 0;
    r->in_value = true;
    add(&r->value, at, len);
    return 0;
}

static int on_head(http_parser *p)
{
    reading *r = p->data;
    end_field(r);
    r->head_done = true;
    return 0;
}

static int on_body(http_parser *p, const char *at, size_t len)
{
    add(&((reading *)p->data)->body, at, len);
    return 0;
}

static int on_done(http_parser *p)
{
    ((reading *)p->data)->done = true;
    http_parser_pause(p, 1);
    return 0;
}

static char *text_of(const http_parser *parser, const reading *r, size_t *len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, len);
    if (!out)
        abort();
    fprintf(out, "%s ", http_method_str((enum http_method)parser->method));
    fwrite(r->url.text, 1, r->url.len, out);
    fprintf(out, " %d.%d %s\n", parser->http_major, parser->http_minor ? 1 : 0,
            http_should_keep_alive(parser) ? "keep-alive" : "close");
    fwrite(r->fields.text, 1, r->fields.len, out);
    fwrite(r->body.text, 1, r->body.len, out);
    fclose(out);
    return text;
}

verdict verdict_theirs(const char *data, size_t len)
{
    static const http_parser_settings settings = { .on_url = on_url,
                                                   .on_header_field = on_name,
                                                   .on_header_value = on_value,
                                                   .on_headers_complete = on_head,
                                                   .on_body = on_body,
                                                   .on_message_complete = on_done };
    reading r = { .done = false };
    http_parser parser;
    verdict v = { .kind = VERDICT_INCOMPLETE };
    add(&r.url, "", 0);
    add(&r.fields, "", 0);
    add(&r.name, "", 0);
    add(&r.value, "", 0);
    add(&r.body, "", 0);
    http_parser_init(&parser, HTTP_REQUEST);
    parser.data = &r;
    size_t n = http_parser_execute(&parser, &settings, data, len);
    enum http_errno error = HTTP_PARSER_ERRNO(&parser);
    if (r.done) {
        v = (verdict){ .kind = VERDICT_COMPLETE,
                       .consumed = n,
                       .keep_alive = http_should_keep_alive(&parser) != 0,
                       .switched = parser.upgrade };
        v.text = text_of(&parser, &r, &v.text_len);
    } else if (error != HPE_OK) {
        v = (verdict){ .kind = VERDICT_REFUSED,
                       .code = (int)error,
                       .offset = n,
                       .reason = http_errno_name(error) };
    }
    free(r.url.text);
    free(r.fields.text);
    free(r.name.text);
    free(r.value.text);
    free(r.body.text);
    return v;
}
