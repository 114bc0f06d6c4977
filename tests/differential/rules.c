/* SPDX-License-Identifier: MIT */

/*
 * libhttp-parser 2.9 is what node.js spoke before it had a stricter parser: it takes much that RFC
 * 9112 forbids, leaves Host, expectations and the forms of a target to others, and knows a fixed
 * list of methods. Almost every difference is therefore a refusal of ours, and each of our reasons
 * has a rule with a look at the bytes that bears it out. Where they refuse and we do not, the rule
 * says why we are right.
 */
#include "rules.h"

#include "look.h"

#include <arpa/inet.h>
#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct rule {
    const char *text;
    const char *reason; /* of our refusal; NULL for rules about theirs, or about contents */
    bool (*holds)(th_str in, const verdict *ours, const verdict *theirs);
} rule;

#define TCHAR  "[!#$%&'*+.^_`|~0-9A-Za-z-]"
#define QUOTED "\"([^\"\\\x01-\x08\x0a-\x1f\x7f]|\\\\[^\x01-\x08\x0a-\x1f\x7f])*\""

static unsigned char at(th_str in, size_t i)
{
    return i < in.len ? (unsigned char)in.ptr[i] : 0;
}

static bool is_tchar(unsigned char c)
{
    return c && strchr("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                       "abcdefghijklmnopqrstuvwxyz",
                       c);
}

static bool is_control(unsigned char c)
{
    return (c < 0x20 && c != '\t') || c == 0x7f;
}

/* ---- bytes ------------------------------------------------------------------------------------
 */

static bool bare_lf(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)theirs;
    return at(in, ours->offset) == '\n' && (ours->offset == 0 || at(in, ours->offset - 1) != '\r');
}

/* We stop at the CR or at the byte after it. */
static bool bare_cr(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)theirs;
    size_t i = at(in, ours->offset) == '\r' ? ours->offset : ours->offset - 1;
    return (at(in, i) == '\r' && at(in, i + 1) != '\n') ||
           (at(in, i) == '\r' && at(in, ours->offset) == '\r');
}

static bool control(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)theirs;
    return ours->offset < in.len && is_control(at(in, ours->offset));
}

static bool folded(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)theirs;
    return strchr(" \t", at(in, ours->offset)) && at(in, ours->offset - 1) == '\n';
}

static bool no_tchar(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)theirs;
    return ours->offset < in.len && !is_tchar(at(in, ours->offset));
}

static bool second_empty_line(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)ours;
    (void)theirs;
    return th_str_has_prefix(in, TH_STR("\r\n\r"));
}

/* ---- request line -----------------------------------------------------------------------------
 */

static bool malformed_line(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)ours;
    (void)theirs;
    return !look_matches(look_line(in), TCHAR "+ [!-~]+ HTTP/[0-9]\\.[0-9]", false);
}

static bool other_version(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)ours;
    (void)theirs;
    return look_matches(look_word(in, 2), "HTTP/[02-9]\\.[0-9]", false);
}

static bool raw_byte_in_target(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)theirs;
    unsigned char c = at(in, ours->offset);
    return ours->offset < in.len && (c <= ' ' || c >= 0x7f || strchr("\"<>[\\]^`{|}", c));
}

static bool fragment(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)theirs;
    return at(in, ours->offset) == '#';
}

static bool bad_percent(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)theirs;
    th_str three = th_str_make(in.ptr + ours->offset, 3);
    return at(in, ours->offset) == '%' &&
           (ours->offset + 3 > in.len || !look_matches(three, "%[0-9A-Fa-f]{2}", false));
}

static bool long_target(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)ours;
    (void)theirs;
    return look_word(in, 1).len > 8192;
}

static bool asterisk(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)ours;
    (void)theirs;
    return th_str_eq(look_word(in, 1), TH_STR("*")) &&
           !th_str_eq(look_word(in, 0), TH_STR("OPTIONS"));
}

static bool no_path_and_no_url(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)ours;
    (void)theirs;
    return !look_matches(look_word(in, 1), "/.*|https?://.*", true);
}

/* What no regular expression decides, which is IPv6, inet_pton() does. */
static bool valid_authority(th_str s)
{
    char address[64], binary[16];
    const char *close = s.len ? memchr(s.ptr, ']', s.len) : NULL;
    const char *colon = s.len ? memrchr(s.ptr, ':', s.len) : NULL;
    th_str port = colon && (!close || colon > close)
                      ? th_str_make(colon + 1, (size_t)(s.ptr + s.len - colon) - 1)
                      : TH_STR("0");
    if (!look_matches(s,
                      "(\\[[0-9A-Fa-f:.]+\\]|\\[[vV][0-9A-Fa-f]+\\.[A-Za-z0-9._~!$&'()*+,;=:-]+\\]|"
                      "([A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)(:[0-9]*)?",
                      false))
        return false;
    if (port.len > 0 && strtoull(port.ptr, NULL, 10) > 65535)
        return false;
    if (*s.ptr != '[' || strchr("vV", s.ptr[1]))
        return true;
    snprintf(address, sizeof address, "%.*s", (int)(close - s.ptr) - 1, s.ptr + 1);
    return inet_pton(AF_INET6, address, binary) == 1;
}

static bool bad_connect(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)ours;
    (void)theirs;
    th_str target = look_word(in, 1);
    return th_str_eq(look_word(in, 0), TH_STR("CONNECT")) &&
           (!valid_authority(target) || !look_matches(target, ".*:0*[1-9][0-9]*", false));
}

static bool bad_authority(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)ours;
    (void)theirs;
    th_str target = look_word(in, 1);
    const char *from = memmem(target.ptr, target.len, "://", 3);
    if (!from)
        return false;
    from += 3;
    size_t len = 0;
    while (from + len < target.ptr + target.len && from[len] != '/' && from[len] != '?')
        len++;
    return !valid_authority(th_str_make(from, len));
}

static bool bracket_in_path(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)ours;
    (void)theirs;
    return look_matches(look_word(in, 1), "https?://[^/]+/[^?]*[][].*", true);
}

/* ---- fields -----------------------------------------------------------------------------------
 */

static bool no_host(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)ours;
    (void)theirs;
    th_str value;
    return look_fields(in, "host", &value) == 0;
}

static bool many_hosts(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)ours;
    (void)theirs;
    th_str value;
    return look_fields(in, "host", &value) > 1;
}

static bool empty_host(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)ours;
    (void)theirs;
    th_str value;
    return look_fields(in, "host", &value) == 1 && (value.len == 0 || *value.ptr == ':');
}

static bool bad_host(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)ours;
    (void)theirs;
    th_str value;
    return look_fields(in, "host", &value) == 1 &&
           (!valid_authority(value) || memchr(value.ptr, ',', value.len));
}

static bool bad_length(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)ours;
    (void)theirs;
    th_str value;
    return look_fields(in, "content-length", &value) == 1 &&
           (!look_matches(value, "0*[0-9]{1,19}", false) ||
            strtoull(value.ptr, NULL, 10) > INT64_MAX);
}

static bool many_lengths(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)ours;
    (void)theirs;
    th_str value;
    return look_fields(in, "content-length", &value) > 1;
}

static bool two_framings(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)ours;
    (void)theirs;
    th_str value;
    return look_fields(in, "content-length", &value) > 0 &&
           look_fields(in, "transfer-encoding", &value) > 0;
}

static bool coding_in_1_0(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)ours;
    (void)theirs;
    th_str value;
    return look_fields(in, "transfer-encoding", &value) > 0 &&
           th_str_eq(look_word(in, 2), TH_STR("HTTP/1.0"));
}

static bool other_coding(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)ours;
    (void)theirs;
    th_str value;
    int count = look_fields(in, "transfer-encoding", &value);
    return count > 1 || (count == 1 && !look_matches(value, "chunked", true));
}

static bool other_expectation(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)ours;
    (void)theirs;
    th_str value;
    int count = look_fields(in, "expect", &value);
    return count > 1 || (count == 1 && !look_matches(value, "[, \t]*100-continue[, \t]*", true));
}

/* ---- chunks -----------------------------------------------------------------------------------
 */

static bool bad_size(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)theirs;
    return ours->offset < in.len && !memchr("0123456789abcdefABCDEF", at(in, ours->offset), 22);
}

static bool large_size(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)theirs;
    return look_matches(look_line_at(in, ours->offset), "0*[1-9A-Fa-f][0-9A-Fa-f]{15,}.*", false);
}

static bool bad_extension(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)theirs;
    return !look_matches(
        look_line_at(in, ours->offset),
        "[0-9A-Fa-f]+([ \t]*;[ \t]*" TCHAR "+([ \t]*=[ \t]*(" TCHAR "+|" QUOTED "))?)*", false);
}

/* Walks from chunk to chunk until one does not end with CRLF. */
static bool data_too_long(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)ours;
    (void)theirs;
    const char *end = in.ptr + in.len;
    const char *p = memmem(in.ptr, in.len, "\r\n\r\n", 4);
    p = p ? p + 4 : end;
    while (p < end) {
        size_t size = strtoull(p, NULL, 16);
        p = memmem(p, (size_t)(end - p), "\r\n", 2);
        if (!p || size == 0 || size + 2 >= (size_t)(end - p))
            return false;
        p += 2 + size;
        if (*p != '\r' || (p + 1 < end && p[1] != '\n'))
            return true;
        p += 2;
    }
    return false;
}

static bool much_framing(th_str in, const verdict *ours, const verdict *theirs)
{
    (void)theirs;
    return ours->offset > 16384 && in.len > 16384;
}

/* ---- they refuse, or read something else --------------------------------------------------------
 */

/* Whether the method, or its beginning if there is no more, is one that they know. */
static bool known_method(th_str word, bool complete)
{
    for (int i = 0; i < 64; i++) {
        const char *name = http_method_str((enum http_method)i);
        if (complete ? th_str_eq(word, th_str_of(name)) : th_str_has_prefix(th_str_of(name), word))
            return true;
    }
    return false;
}

static bool unknown_method(th_str in, const verdict *ours, const verdict *theirs)
{
    th_str word = look_word(in, 0);
    bool complete = word.len < look_line(in).len;
    return ours->kind != VERDICT_REFUSED && theirs->code == HPE_INVALID_METHOD &&
           look_matches(word, TCHAR "+", false) && !known_method(word, complete);
}

/* Whether some field's name only begins like one of framing. */
static bool longer_name(th_str in, const verdict *ours, const verdict *theirs)
{
    th_str rest = in, line;
    bool framing = theirs->code == HPE_INVALID_TRANSFER_ENCODING ||
                   theirs->code == HPE_UNEXPECTED_CONTENT_LENGTH ||
                   theirs->code == HPE_INVALID_CONTENT_LENGTH;
    while (framing && ours->kind != VERDICT_REFUSED && rest.len > 0) {
        line = rest;
        if (!th_str_split_once(rest, '\n', &line, &rest))
            rest = th_str_make("", 0);
        if (look_matches(line, "(transfer-encoding|content-length)" TCHAR "+:.*", true))
            return true;
    }
    return false;
}

static bool tab_after_value(th_str in, const verdict *ours, const verdict *theirs)
{
    th_str rest = in, line;
    bool framing =
        theirs->code == HPE_INVALID_TRANSFER_ENCODING || theirs->code == HPE_INVALID_CONTENT_LENGTH;
    while (framing && ours->kind != VERDICT_REFUSED && rest.len > 0) {
        line = rest;
        if (!th_str_split_once(rest, '\n', &line, &rest))
            rest = th_str_make("", 0);
        if (look_matches(line, "(transfer-encoding|content-length):.*\t[ \t]*\r?", true))
            return true;
    }
    return false;
}

static bool framing_in_trailer(th_str in, const verdict *ours, const verdict *theirs)
{
    th_str value;
    return (theirs->code == HPE_INVALID_CONTENT_LENGTH ||
            theirs->code == HPE_UNEXPECTED_CONTENT_LENGTH) &&
           ours->kind != VERDICT_REFUSED && look_head_complete(in) &&
           look_fields(in, "transfer-encoding", &value) == 1 &&
           look_fields(in, "content-length", &value) == 0;
}

static bool judged_later(th_str in, const verdict *ours, const verdict *theirs)
{
    bool at_end_of_head = theirs->code == HPE_INVALID_CONTENT_LENGTH ||
                          theirs->code == HPE_UNEXPECTED_CONTENT_LENGTH ||
                          theirs->code == HPE_INVALID_TRANSFER_ENCODING;
    bool at_end_of_line = theirs->code == HPE_INVALID_URL || theirs->code == HPE_INVALID_CONSTANT;
    return ours->kind == VERDICT_INCOMPLETE && theirs->kind == VERDICT_REFUSED &&
           ((at_end_of_head && !look_head_complete(in)) ||
            (at_end_of_line && look_line(in).ptr + look_line(in).len == in.ptr + in.len));
}

static bool tab_in_extension(th_str in, const verdict *ours, const verdict *theirs)
{
    return theirs->code == HPE_INVALID_CHUNK_SIZE && ours->kind != VERDICT_REFUSED &&
           look_matches(look_line_at(in, theirs->offset), "[0-9A-Fa-f]+\t[ \t]*;?.*", false);
}

/* Both have read the same, but for what the first line says of the connection. */
static bool same_but_connection(const verdict *ours, const verdict *theirs)
{
    if (ours->kind != VERDICT_COMPLETE || theirs->kind != VERDICT_COMPLETE)
        return false;
    th_str a = th_str_make(ours->text, ours->text_len), line;
    th_str b = th_str_make(theirs->text, theirs->text_len);
    return th_str_split_once(a, '\n', &line, &a) && th_str_split_once(b, '\n', &line, &b) &&
           th_str_eq(a, b) && ours->switched == theirs->switched;
}

static bool option_overlooked(th_str in, const verdict *ours, const verdict *theirs)
{
    bool persistent =
        !look_option(in, "close") &&
        (!th_str_eq(look_word(in, 2), TH_STR("HTTP/1.0")) || look_option(in, "keep-alive"));
    return same_but_connection(ours, theirs) && ours->keep_alive == persistent;
}

static bool upgrade_differs(th_str in, const verdict *ours, const verdict *theirs)
{
    th_str value;
    bool offered = look_option(in, "upgrade") && look_fields(in, "upgrade", &value) > 0 &&
                   !th_str_eq(look_word(in, 2), TH_STR("HTTP/1.0"));
    return theirs->switched != ours->switched && theirs->kind == VERDICT_COMPLETE &&
           ours->kind != VERDICT_REFUSED &&
           (ours->kind == VERDICT_INCOMPLETE ? !offered : ours->switched == offered);
}

static const rule rules[] = {
    { "9112 2.2: a bare LF ends no line", "line feed without carriage return", bare_lf },
    { "9112 2.2: a bare CR is part of nothing", "carriage return without line feed", bare_cr },
    { "9112 2.2: one empty line may come first", "empty line before the request",
      second_empty_line },
    { "9110 5.5: NUL in a value", "NUL byte", control },
    { "9110 5.5: control character in a value", "control character", control },
    { "9112 5.2: obs-fold", "line folding", folded },
    { "9112 5.1: a name is a token, next to its colon", "white space in or after a field name",
      no_tchar },
    { "9112 5: a field has a colon", "field line without a colon", no_tchar },
    { "9110 5.6.2: a name is a token", "invalid byte", no_tchar },
    { "9110 5.1: a name is not empty", "empty field name", no_tchar },
    { "9110 9.1: a method is a token", "invalid byte in the method", no_tchar },
    { "9112 3: the line begins with a method", "empty method", no_tchar },
    { "9112 3: single spaces, HTTP/D.D", "malformed request line after the target",
      malformed_line },
    { "9112 3: there is a version", "request line without a version", malformed_line },
    { "9112 3: there is a target", "empty target", malformed_line },
    { "9110 15.6.6: version 1 is spoken", "HTTP version not supported", other_version },
    { "3986 2: raw byte in the target", "byte in the target that must be percent-encoded",
      raw_byte_in_target },
    { "9112 3.2: no fragment in a target", "fragment in the target", fragment },
    { "3986 2.1: percent and two digits", "invalid percent-encoding in the target", bad_percent },
    { "9110 15.5.15: the target's limit", "target too long", long_target },
    { "9112 3.2.4: * is for OPTIONS", "target * is for OPTIONS only", asterisk },
    { "9112 3.2.3: CONNECT host:port", "CONNECT needs a target of the form host:port",
      bad_connect },
    { "9112 3.2: path or http URL", "target is neither a path nor a URL that is served here",
      no_path_and_no_url },
    { "3986 3.2: authority of the target", "invalid authority in the target", bad_authority },
    { "3986 3.3: bracket in a path", "bracket in the path of the target", bracket_in_path },
    { "9112 3.2: Host is required", "no Host", no_host },
    { "9112 3.2: one Host", "more than one Host", many_hosts },
    { "9110 4.2.1: a host is not empty", "empty Host", empty_host },
    { "9110 7.2: Host is host and port", "invalid Host", bad_host },
    { "9110 8.6: a length is digits", "invalid Content-Length", bad_length },
    { "9110 8.6: one length", "more than one Content-Length", many_lengths },
    { "9112 6.1: length and coding", "both Transfer-Encoding and Content-Length", two_framings },
    { "9112 6.1: no coding in 1.0", "Transfer-Encoding in HTTP/1.0", coding_in_1_0 },
    { "9112 6.1: chunked alone", "transfer coding other than chunked", other_coding },
    { "9110 10.1.1: 100-continue alone", "unknown expectation", other_expectation },
    { "9112 7.1: a size is hexadecimal", "invalid chunk size", bad_size },
    { "9112 7.1: sizes are limited to 2^60", "chunk too large", large_size },
    { "9112 7.1.1: extensions have a grammar", "invalid chunk extension", bad_extension },
    { "9112 7.1: CRLF after the data", "chunk data longer than its size", data_too_long },
    { "9112 7.1.1: framing has a limit", "too much chunk framing for the data", much_framing },
    { "9112 7.1.2: trailer fields are fields", "invalid trailer field", no_tchar },
    { "9110 9.1: any token is a method; they have a list", NULL, unknown_method },
    { "9110 5.1: a longer name is another; they see a prefix", NULL, longer_name },
    { "9110 6.5.1: framing means nothing in a trailer", NULL, framing_in_trailer },
    { "unfinished: we judge at the end of the line or head", NULL, judged_later },
    { "9112 7.1.1: BWS may be a tab", NULL, tab_in_extension },
    { "9112 5: OWS may be a tab", NULL, tab_after_value },
    { "9112 9.3: every member of Connection counts", NULL, option_overlooked },
    { "9110 7.8: Upgrade needs its option and HTTP/1.1", NULL, upgrade_differs },
};

#define RULES ((int)(sizeof rules / sizeof *rules))

bool rules_same(const verdict *ours, const verdict *theirs)
{
    if (ours->kind != theirs->kind || ours->kind != VERDICT_COMPLETE)
        return ours->kind == theirs->kind;
    return ours->consumed == theirs->consumed && ours->switched == theirs->switched &&
           th_str_eq(th_str_make(ours->text, ours->text_len),
                     th_str_make(theirs->text, theirs->text_len));
}

int rules_explain(th_str in, const verdict *ours, const verdict *theirs)
{
    for (int i = 0; i < RULES; i++) {
        bool about_us = rules[i].reason != NULL;
        if (about_us &&
            (ours->kind != VERDICT_REFUSED || strcmp(ours->reason, rules[i].reason) != 0))
            continue;
        if (rules[i].holds(in, ours, theirs))
            return i;
    }
    return -1;
}

const char *rules_text(int i)
{
    return i < RULES ? rules[i].text : NULL;
}
