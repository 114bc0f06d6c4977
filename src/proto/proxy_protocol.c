/* SPDX-License-Identifier: MIT */

/*
 * The PROXY protocol.
 *
 * Written after its specification of 2020 (haproxy.org, proxy-protocol.txt); sections in comments
 * are of that. A receiver must not guess whether there is a header, so whatever does not begin one
 * is refused with the first byte that shows it. Version 2 is checked to its end: lengths, TLVs and
 * the checksum. Values that the specification does not assign are refused, as it demands.
 */
#include "proto/proxy_protocol.h"

#include <thrum/error.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define V2_FIXED 16 /* bytes before the addresses */

static const char signature[12] = { '\r', '\n', '\r', '\n', '\0', '\r',
                                    '\n', 'Q',  'U',  'I',  'T',  '\n' };

static ssize_t refuse(const char **reason, const char *why)
{
    *reason = why;
    return TH_EPROTO;
}

/* ---- version 1, section 2.1 ---- */

/* Takes a word and the one blank behind it, which only the last word does without. */
static bool take_word(th_str *line, th_str *word, bool last)
{
    const char *blank = line->len ? memchr(line->ptr, ' ', line->len) : NULL;
    size_t len = blank ? (size_t)(blank - line->ptr) : line->len;
    if (!blank != last || len == 0)
        return false;
    *word = th_str_make(line->ptr, len);
    *line = th_str_make(line->ptr + len + !last, line->len - len - !last);
    return true;
}

/* Leading zeros are forbidden; inet_pton(3) takes none either. */
static bool read_ip(th_str word, int kind, uint8_t ip[16])
{
    char text[INET6_ADDRSTRLEN];
    if (word.len >= sizeof text)
        return false;
    memcpy(text, word.ptr, word.len);
    text[word.len] = '\0';
    return strlen(text) == word.len &&
           inet_pton(kind == THI_PROXY_IP4 ? AF_INET : AF_INET6, text, ip) == 1;
}

static bool read_port(th_str word, uint16_t *port)
{
    unsigned n = 0;
    if (word.len > 5 || (word.len > 1 && word.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < word.len; i++) {
        if (word.ptr[i] < '0' || word.ptr[i] > '9')
            return false;
        n = n * 10 + (unsigned)(word.ptr[i] - '0');
    }
    *port = (uint16_t)n;
    return n <= 65535;
}

static bool read_v1_line(th_str line, thi_proxy_header *h)
{
    th_str word;
    if (th_str_eq(line, TH_STR("UNKNOWN")) || th_str_has_prefix(line, TH_STR("UNKNOWN ")))
        return true; /* whatever follows is to be ignored */
    if (!take_word(&line, &word, false))
        return false;
    if (th_str_eq(word, TH_STR("TCP4")))
        h->kind = THI_PROXY_IP4;
    else if (th_str_eq(word, TH_STR("TCP6")))
        h->kind = THI_PROXY_IP6;
    else
        return false;
    return take_word(&line, &word, false) && read_ip(word, h->kind, h->source.ip) &&
           take_word(&line, &word, false) && read_ip(word, h->kind, h->destination.ip) &&
           take_word(&line, &word, false) && read_port(word, &h->source.port) &&
           take_word(&line, &word, true) && read_port(word, &h->destination.port);
}

static ssize_t parse_v1(const char *buf, size_t len, thi_proxy_header *h, const char **reason)
{
    static const char start[] = "PROXY ";
    size_t shown = len < sizeof start - 1 ? len : sizeof start - 1;
    if (memcmp(buf, start, shown) != 0)
        return refuse(reason, "there is no PROXY header");
    size_t span = len < THI_PROXY_V1_MAX ? len : THI_PROXY_V1_MAX;
    const char *end = memchr(buf, '\n', span);
    const char *cr = memchr(buf, '\r', span);
    if (end ? cr != end - 1 : cr && cr != buf + span - 1)
        return refuse(reason, "the PROXY line does not end with CR LF");
    if (!end && len >= THI_PROXY_V1_MAX)
        return refuse(reason, "the PROXY line is too long");
    if (!end)
        return 0;
    *h = (thi_proxy_header){ .version = 1 };
    if (!read_v1_line(th_str_make(buf + shown, (size_t)(cr - buf) - shown), h))
        return refuse(reason, "the PROXY line is malformed");
    return end + 1 - buf;
}

/* ---- version 2, section 2.2 ---- */

/* CRC-32C, bit by bit: it is computed once for a connection, of some hundred bytes. */
static uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
    const uint8_t *at = data;
    for (; len > 0; len--) {
        crc ^= *at++;
        for (int i = 0; i < 8; i++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
    }
    return crc;
}

/* Of a header whose checksum's own four bytes count as zeros. */
static uint32_t checksum_of(const char *buf, size_t len, const char *own)
{
    static const char zeros[4];
    uint32_t crc = crc32c(UINT32_MAX, buf, (size_t)(own - buf));
    crc = crc32c(crc, zeros, sizeof zeros);
    return ~crc32c(crc, own + 4, len - (size_t)(own + 4 - buf));
}

static uint32_t get_u32(const char *at)
{
    const uint8_t *b = (const uint8_t *)at;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static size_t get_u16(const char *at)
{
    const uint8_t *b = (const uint8_t *)at;
    return (size_t)b[0] << 8 | b[1];
}

static void put_u16(char *at, size_t n)
{
    at[0] = (char)(n >> 8);
    at[1] = (char)n;
}

bool thi_proxy_tlv_next(th_str *rest, uint8_t *type, th_str *value)
{
    if (rest->len < 3)
        return false;
    size_t len = get_u16(rest->ptr + 1);
    if (len > rest->len - 3)
        return false;
    *type = (uint8_t)rest->ptr[0];
    *value = th_str_make(rest->ptr + 3, len);
    *rest = th_str_make(rest->ptr + 3 + len, rest->len - 3 - len);
    return true;
}

static ssize_t check_tlvs(const char *buf, size_t len, thi_proxy_header *h, const char **reason)
{
    th_str rest = h->tlvs;
    th_str value;
    uint8_t type;
    while (thi_proxy_tlv_next(&rest, &type, &value)) {
        if (type != THI_PROXY_TLV_CRC32C)
            continue;
        if (h->checksum || value.len != 4)
            return refuse(reason, "the PROXY header's checksum is malformed");
        if (get_u32(value.ptr) != checksum_of(buf, len, value.ptr))
            return refuse(reason, "the PROXY header's checksum is wrong");
        h->checksum = true;
    }
    return rest.len > 0 ? refuse(reason, "the PROXY header ends within a TLV") : (ssize_t)len;
}

static th_str path_of(const char *at)
{
    size_t len = THI_PROXY_UNIX_SIZE;
    while (len > 0 && at[len - 1] == '\0')
        len--;
    return th_str_make(at, len);
}

static size_t addresses_size(int kind)
{
    static const uint8_t sizes[] = { 0, 12, 36, 2 * THI_PROXY_UNIX_SIZE };
    return sizes[kind];
}

static void read_addresses(const char *at, thi_proxy_header *h)
{
    size_t size = h->kind == THI_PROXY_IP4 ? 4 : 16;
    if (h->kind == THI_PROXY_NONE)
        return;
    if (h->kind == THI_PROXY_UNIX) {
        h->source.path = path_of(at);
        h->destination.path = path_of(at + THI_PROXY_UNIX_SIZE);
        return;
    }
    memcpy(h->source.ip, at, size);
    memcpy(h->destination.ip, at + size, size);
    h->source.port = (uint16_t)get_u16(at + 2 * size);
    h->destination.port = (uint16_t)get_u16(at + 2 * size + 2);
}

static ssize_t parse_v2(const char *buf, size_t len, thi_proxy_header *h, const char **reason)
{
    size_t shown = len < sizeof signature ? len : sizeof signature;
    if (memcmp(buf, signature, shown) != 0)
        return refuse(reason, "there is no PROXY header");
    if (len > 12 && buf[12] != 0x20 && buf[12] != 0x21)
        return refuse(reason, "the PROXY header has an unknown version or command");
    unsigned family = len > 13 ? (unsigned char)buf[13] : 0;
    if (family != 0 &&
        (family >> 4 < 1 || family >> 4 > 3 || (family & 15) < 1 || (family & 15) > 2))
        return refuse(reason, "the PROXY header has an unknown family");
    if (len < V2_FIXED)
        return 0;
    size_t size = V2_FIXED + get_u16(buf + 14);
    if (size > THI_PROXY_V2_MAX) {
        *reason = "the PROXY header is too long";
        return TH_ELIMIT;
    }
    bool local = buf[12] == 0x20;
    size_t addresses = addresses_size((int)(family >> 4));
    if (size < V2_FIXED + addresses && !local)
        return refuse(reason, "the PROXY header is too short for its addresses");
    if (len < size)
        return 0;
    *h = (thi_proxy_header){ .version = 2, .local = local };
    if (local) /* whatever it holds is to be ignored */
        return (ssize_t)size;
    h->kind = (uint8_t)(family >> 4);
    h->datagrams = (family & 15) == 2;
    read_addresses(buf + V2_FIXED, h);
    h->tlvs = th_str_make(buf + V2_FIXED + addresses, size - V2_FIXED - addresses);
    return check_tlvs(buf, size, h, reason);
}

ssize_t thi_proxy_parse(const char *buf, size_t len, thi_proxy_header *header, const char **reason)
{
    thi_proxy_header parsed;
    if (len == 0)
        return 0;
    ssize_t n = buf[0] == signature[0] ? parse_v2(buf, len, &parsed, reason)
                                       : parse_v1(buf, len, &parsed, reason);
    if (n > 0)
        *header = parsed;
    return n;
}

/* ---- writing ---- */

static size_t write_v1(const thi_proxy_header *h, char *buf, size_t size)
{
    char from[INET6_ADDRSTRLEN];
    char to[INET6_ADDRSTRLEN];
    char line[THI_PROXY_V1_MAX + 1];
    int family = h->kind == THI_PROXY_IP4 ? AF_INET : AF_INET6;
    int len;
    if (h->local || (h->kind != THI_PROXY_IP4 && h->kind != THI_PROXY_IP6)) {
        len = snprintf(line, sizeof line, "PROXY UNKNOWN\r\n");
    } else {
        (void)inet_ntop(family, h->source.ip, from, sizeof from);
        (void)inet_ntop(family, h->destination.ip, to, sizeof to);
        len = snprintf(line, sizeof line, "PROXY TCP%d %s %s %u %u\r\n",
                       h->kind == THI_PROXY_IP4 ? 4 : 6, from, to, h->source.port,
                       h->destination.port);
    }
    if ((size_t)len > size)
        return 0;
    memcpy(buf, line, (size_t)len);
    return (size_t)len;
}

static void write_end(const thi_proxy_header *h, const thi_proxy_end *end, bool second, char *at)
{
    size_t size = h->kind == THI_PROXY_IP4 ? 4 : 16;
    if (h->kind == THI_PROXY_UNIX) {
        char *own = at + (second ? THI_PROXY_UNIX_SIZE : 0);
        size_t len = end->path.len < THI_PROXY_UNIX_SIZE ? end->path.len : THI_PROXY_UNIX_SIZE;
        memset(own, 0, THI_PROXY_UNIX_SIZE);
        if (len > 0)
            memcpy(own, end->path.ptr, len);
    } else if (h->kind != THI_PROXY_NONE) {
        memcpy(at + (second ? size : 0), end->ip, size);
        put_u16(at + 2 * size + (second ? 2 : 0), end->port);
    }
}

static size_t write_v2(const thi_proxy_header *h, char *buf, size_t size)
{
    size_t addresses = h->local ? 0 : addresses_size(h->kind);
    size_t crc = h->checksum && !h->local ? 7 : 0;
    size_t tlvs = h->local ? 0 : h->tlvs.len;
    size_t total = V2_FIXED + addresses + tlvs + crc;
    if (total > size || total > THI_PROXY_V2_MAX)
        return 0;
    memcpy(buf, signature, sizeof signature);
    buf[12] = h->local ? 0x20 : 0x21;
    buf[13] =
        (char)(h->local || h->kind == THI_PROXY_NONE ? 0 : h->kind << 4 | (h->datagrams ? 2 : 1));
    put_u16(buf + 14, total - V2_FIXED);
    if (addresses) {
        write_end(h, &h->source, false, buf + V2_FIXED);
        write_end(h, &h->destination, true, buf + V2_FIXED);
    }
    if (tlvs)
        memcpy(buf + V2_FIXED + addresses, h->tlvs.ptr, tlvs);
    if (crc) {
        char *own = buf + total - 4;
        own[-3] = THI_PROXY_TLV_CRC32C;
        put_u16(own - 2, 4);
        uint32_t sum = checksum_of(buf, total, own);
        put_u16(own, sum >> 16);
        put_u16(own + 2, sum & 0xffff);
    }
    return total;
}

size_t thi_proxy_write(const thi_proxy_header *header, char *buf, size_t size)
{
    return header->version == 1 ? write_v1(header, buf, size) : write_v2(header, buf, size);
}
