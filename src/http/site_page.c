/* SPDX-License-Identifier: MIT */

/*
 * The page that shows a folder.
 *
 * Names are bytes to a file system and text to a browser: what is not UTF-8 is shown as U+FFFD, and
 * the link keeps the bytes. The page has no script and loads nothing.
 */
#include "http/site_page.h"

#include "base/assert.h"
#include "proto/url.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define BUFFER_SIZE (8 * 1024)

/* Writes gather here, so that a page goes out in few and large chunks. */
typedef struct writer {
    th_http_reply *reply;
    int err; /* the first failure; nothing is written after it */
    size_t len;
    char text[BUFFER_SIZE];
} writer;

static void flush(writer *w)
{
    if (w->err == 0)
        w->err = th_http_reply_write(w->reply, w->text, w->len);
    w->len = 0;
}

static void put(writer *w, th_str s)
{
    while (s.len > 0) {
        if (w->len == sizeof w->text)
            flush(w);
        size_t n = sizeof w->text - w->len;
        n = n < s.len ? n : s.len;
        memcpy(w->text + w->len, s.ptr, n);
        w->len += n;
        s = th_str_make(s.ptr + n, s.len - n);
    }
}

#define PUT(w, literal) put(w, TH_STR(literal))

/* ---- text ---- */

/* Length of the UTF-8 sequence at the beginning of s, 0 if there is none (RFC 3629, 4). */
static size_t utf8_length(th_str s)
{
    unsigned char first = (unsigned char)s.ptr[0];
    unsigned char second = s.len > 1 ? (unsigned char)s.ptr[1] : 0;
    unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    size_t len = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (len < 2)
        return len;
    if (first > 0xf4 || len > s.len || second < low || second > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if (((unsigned char)s.ptr[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

/* What stands for a byte that HTML gives a meaning to; empty for the others. */
static th_str entity_of(char c)
{
    switch (c) {
    case '&':
        return TH_STR("&amp;");
    case '<':
        return TH_STR("&lt;");
    case '>':
        return TH_STR("&gt;");
    case '"':
        return TH_STR("&quot;");
    case '\'':
        return TH_STR("&#39;");
    default:
        return TH_STR("");
    }
}

static void put_text(writer *w, th_str s)
{
    while (s.len > 0) {
        size_t len = utf8_length(s);
        th_str entity = entity_of(*s.ptr);
        if (entity.len > 0)
            put(w, entity);
        else
            put(w, len > 0 ? th_str_make(s.ptr, len) : TH_STR("\xef\xbf\xbd"));
        len = len > 0 ? len : 1;
        s = th_str_make(s.ptr + len, s.len - len);
    }
}

/* ---- columns ---- */

/* Tenths are cut, not rounded: 1023.99 KiB must not become 1024.0 KiB. */
size_t thi_site_page_size(int64_t bytes, char *out)
{
    static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    uint64_t size = bytes > 0 ? (uint64_t)bytes : 0;
    uint64_t tenths = size % 1024 * 10 / 1024;
    size_t unit = 0;
    if (size < 1024)
        return (size_t)snprintf(out, THI_SITE_SIZE_MAX, "%d B", (int)size);
    for (size /= 1024; size >= 1024; size /= 1024, unit++)
        tenths = size % 1024 * 10 / 1024;
    return (size_t)snprintf(out, THI_SITE_SIZE_MAX, "%d.%d %s", (int)size, (int)tenths,
                            units[unit]);
}

static void put_size(writer *w, int64_t bytes)
{
    char text[THI_SITE_SIZE_MAX];
    put(w, th_str_make(text, thi_site_page_size(bytes, text)));
}

static void put_date(writer *w, int64_t seconds)
{
    char text[64];
    struct tm tm;
    time_t time = (time_t)seconds;
    if (!gmtime_r(&time, &tm))
        return;
    put(w, th_str_make(text, strftime(text, sizeof text, "%Y-%m-%d %H:%M", &tm)));
}

/* "./" keeps a colon in the name from making a scheme of what stands before it. */
static void put_link(writer *w, const thi_site_item *item)
{
    char href[3 * THI_SITE_NAME_MAX];
    th_str name = item->name;
    TH_ASSERT(name.len <= THI_SITE_NAME_MAX);
    th_str slash = item->folder ? TH_STR("/") : TH_STR("");
    PUT(w, "<a href=\"./");
    put_text(w, th_str_make(href, thi_url_encode_path(name, href)));
    put(w, slash);
    PUT(w, "\">");
    put_text(w, name);
    put(w, slash);
    PUT(w, "</a>");
}

static void put_row(writer *w, const thi_site_item *item)
{
    PUT(w, "<tr><td>");
    put_link(w, item);
    PUT(w, "</td><td>");
    if (!item->folder)
        put_size(w, item->size);
    PUT(w, "</td><td>");
    put_date(w, item->modified);
    PUT(w, "</td></tr>\n");
}

/* ---- the page ---- */

static const char before_title[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>";

static const char style[] =
    "</title>\n"
    "<style>\n"
    ":root { color-scheme: light dark; }\n"
    "body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; "
    "padding: 0 1rem; }\n"
    "h1 { font-size: 1.25rem; overflow-wrap: anywhere; }\n"
    "table { border-collapse: collapse; width: 100%; }\n"
    "th, td { padding: .3rem .5rem; border-bottom: 1px solid #8884; text-align: left; }\n"
    "td:first-child { overflow-wrap: anywhere; }\n"
    "th + th, td + td { text-align: right; white-space: nowrap; "
    "font-variant-numeric: tabular-nums; }\n"
    "a { text-decoration: none; }\n"
    "a:hover { text-decoration: underline; }\n"
    "</style>\n"
    "</head>\n"
    "<body>\n"
    "<h1>";

static const char head_of_table[] =
    "</h1>\n"
    "<table>\n"
    "<thead><tr><th>Name</th><th>Size</th><th>Modified (UTC)</th></tr></thead>\n"
    "<tbody>\n";

int thi_site_page_write(th_http_reply *r, const thi_site_page *page, th_arena *arena)
{
    writer *w = th_arena_alloc(arena, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->reply = r;
    w->err = 0;
    w->len = 0;
    put(w, th_str_of(before_title));
    put_text(w, page->path);
    put(w, th_str_of(style));
    put_text(w, page->path);
    put(w, th_str_of(head_of_table));
    if (!page->is_root)
        PUT(w, "<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
    for (size_t i = 0; w->err == 0 && i < page->count; i++)
        put_row(w, &page->items[i]);
    PUT(w, "</tbody>\n</table>\n");
    if (page->cut)
        PUT(w, "<p>This folder has more entries than are shown here.</p>\n");
    PUT(w, "</body>\n</html>\n");
    flush(w);
    return w->err;
}
