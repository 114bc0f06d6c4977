/* SPDX-License-Identifier: MIT */

/*
 * Reading and writing addresses.
 *
 * The text is taken apart by hand, strictly: what a person may have meant otherwise is refused with
 * a detail that says why, rather than guessed. inet_pton(3) judges the numbers, because it knows no
 * octal and no short forms.
 */
#include "net/addr.h"

#include "base/error.h"
#include "base/util.h"
#include "net/tls_address.h"

#include <thrum/str.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <errno.h>

#define UNIX_PATH_MAX sizeof(((struct sockaddr_un *)0)->sun_path)

static int parse_unix(const char *text, const char *path, th_addr *addr)
{
    size_t len = strlen(path);
    if (len == 0)
        return thi_err_set(TH_EADDRESS, "'%.100s' names no path", text);
    if (len > UNIX_PATH_MAX)
        return thi_err_set(TH_EADDRESS, "'%.100s': the path has %zu bytes, %zu are possible", text,
                           len, UNIX_PATH_MAX);
    *addr = (th_addr){ .kind = TH_ADDR_UNIX, .path_len = (uint16_t)len };
    memcpy(addr->path, path, len);
    if (addr->path[0] == '@')
        addr->path[0] = '\0';
    return 0;
}

static int parse_port(const char *text, const char *port, uint16_t *out)
{
    uint64_t n;
    if (th_str_to_u64((th_str){ port, strlen(port) }, &n) < 0 || n > 65535)
        return thi_err_set(TH_EADDRESS, "'%.100s': the port must be a number from 0 to 65535",
                           text);
    *out = (uint16_t)n;
    return 0;
}

/* The zone behind % is a number or the name of an interface. */
static int parse_zone(const char *text, const char *zone, uint32_t *out)
{
    uint64_t n;
    if (th_str_to_u64((th_str){ zone, strlen(zone) }, &n) < 0)
        n = if_nametoindex(zone);
    if (n == 0 || n > UINT32_MAX)
        return thi_err_set(TH_EADDRESS, "'%.100s': there is no interface '%.40s'", text, zone);
    *out = (uint32_t)n;
    return 0;
}

static int parse_ip6(const char *text, char *host, th_addr *addr)
{
    int err = 0;
    char *zone = strchr(host, '%');
    if (zone) {
        *zone++ = '\0';
        err = parse_zone(text, zone, &addr->scope);
        if (err < 0)
            return err;
    }
    if (inet_pton(AF_INET6, host, addr->ip) != 1)
        return thi_err_set(TH_EADDRESS, "'%.100s': '%.60s' is no IPv6 address", text, host);
    addr->kind = TH_ADDR_IP6;
    return 0;
}

static int parse_ip4(const char *text, const char *host, th_addr *addr)
{
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    else if (*host == '\0' || strcmp(host, "*") == 0)
        host = "0.0.0.0";
    if (inet_pton(AF_INET, host, addr->ip) != 1)
        return thi_err_set(TH_EADDRESS,
                           "'%.100s': '%.60s' is neither an IPv4 address nor 'localhost'; IPv6 "
                           "addresses stand in brackets",
                           text, host);
    addr->kind = TH_ADDR_IP4;
    return 0;
}

/* A URL was meant to say more than a place: what is spoken there. */
static int refuse_url(const char *text, const char *mark)
{
    return thi_err_set(TH_EADDRESS,
                       "'%.100s': no address begins with %.*s://; write HOST:PORT, tls://HOST:PORT "
                       "or unix:/path",
                       text, (int)thi_min(mark - text, 20), text);
}

int th_addr_parse(const char *text, th_addr *addr)
{
    if (!text || !addr)
        return thi_err_clear(-EINVAL);
    if (thi_tls_address_means(text))
        return thi_err_set(TH_EADDRESS, "'%.100s' asks for TLS, which is not spoken here", text);
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text, text + (strncmp(text, "unix://", 7) == 0 ? 7 : 5), addr);
    const char *rest = strncmp(text, "tcp://", 6) == 0 ? text + 6 : text;
    const char *url = strstr(rest, "://");
    const char *colon = strrchr(rest, ':');
    char host[80];
    if (url)
        return refuse_url(text, url);
    if (!colon)
        return thi_err_set(TH_EADDRESS, "'%.100s' lacks a port; write HOST:PORT or unix:/path",
                           text);
    size_t len = (size_t)(colon - rest);
    if (len >= sizeof host)
        return thi_err_set(TH_EADDRESS, "'%.100s': the host is too long", text);
    memcpy(host, rest, len);
    host[len] = '\0';
    th_addr parsed = { .kind = TH_ADDR_NONE };
    int err = parse_port(text, colon + 1, &parsed.port);
    if (err < 0)
        return err;
    if (host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        err = parse_ip6(text, host + 1, &parsed);
    } else {
        err = parse_ip4(text, host, &parsed);
    }
    if (err == 0)
        *addr = parsed;
    return err;
}

static bool has_two_slashes(const th_addr *addr)
{
    return addr->path_len >= 2 && addr->path[0] == '/' && addr->path[1] == '/';
}

char *th_addr_format(const th_addr *addr, char *text, size_t size)
{
    char ip[INET6_ADDRSTRLEN] = "";
    switch (addr->kind) {
    case TH_ADDR_IP4:
        (void)inet_ntop(AF_INET, addr->ip, ip, sizeof ip);
        (void)snprintf(text, size, "%s:%u", ip, addr->port);
        break;
    case TH_ADDR_IP6:
        (void)inet_ntop(AF_INET6, addr->ip, ip, sizeof ip);
        if (addr->scope)
            (void)snprintf(text, size, "[%s%%%u]:%u", ip, addr->scope, addr->port);
        else
            (void)snprintf(text, size, "[%s]:%u", ip, addr->port);
        break;
    case TH_ADDR_UNIX:
        if (addr->path_len > 0 && addr->path[0] == '\0')
            (void)snprintf(text, size, "unix:@%.*s", addr->path_len - 1, addr->path + 1);
        else /* two slashes in front of the path keep its own two from being taken for them */
            (void)snprintf(text, size, "unix:%s%.*s", has_two_slashes(addr) ? "//" : "",
                           addr->path_len, addr->path);
        break;
    default:
        (void)snprintf(text, size, "-");
    }
    return text;
}

int th_addr_equal(const th_addr *a, const th_addr *b)
{
    if (a->kind != b->kind)
        return 0;
    switch (a->kind) {
    case TH_ADDR_IP4:
        return a->port == b->port && memcmp(a->ip, b->ip, 4) == 0;
    case TH_ADDR_IP6:
        return a->port == b->port && a->scope == b->scope && memcmp(a->ip, b->ip, 16) == 0;
    case TH_ADDR_UNIX:
        return a->path_len == b->path_len && memcmp(a->path, b->path, a->path_len) == 0;
    default:
        return 1;
    }
}

int thi_addr_family(const th_addr *addr)
{
    static const int families[] = { AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX };
    return families[addr->kind];
}

socklen_t thi_addr_to_sockaddr(const th_addr *addr, thi_sockaddr *sa)
{
    memset(sa, 0, sizeof *sa);
    sa->sa.sa_family = (sa_family_t)thi_addr_family(addr);
    switch (addr->kind) {
    case TH_ADDR_IP4: {
        struct sockaddr_in *in = (struct sockaddr_in *)(void *)sa;
        in->sin_port = htons(addr->port);
        memcpy(&in->sin_addr, addr->ip, 4);
        return sizeof *in;
    }
    case TH_ADDR_IP6: {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)sa;
        in6->sin6_port = htons(addr->port);
        in6->sin6_scope_id = addr->scope;
        memcpy(&in6->sin6_addr, addr->ip, 16);
        return sizeof *in6;
    }
    case TH_ADDR_UNIX:
        memcpy(sa->un.sun_path, addr->path, addr->path_len);
        /* A path is ended by its NUL where there is room for one; an abstract name by its length.
         */
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + addr->path_len +
                           (addr->path[0] != '\0' && addr->path_len < UNIX_PATH_MAX));
    default:
        return 0;
    }
}

void thi_addr_from_sockaddr(const thi_sockaddr *sa, socklen_t len, th_addr *addr)
{
    *addr = (th_addr){ .kind = TH_ADDR_NONE };
    if (len < sizeof(sa_family_t))
        return;
    if (sa->sa.sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
        addr->kind = TH_ADDR_IP4;
        addr->port = ntohs(in->sin_port);
        memcpy(addr->ip, &in->sin_addr, 4);
    } else if (sa->sa.sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
        addr->kind = TH_ADDR_IP6;
        addr->port = ntohs(in6->sin6_port);
        addr->scope = in6->sin6_scope_id;
        memcpy(addr->ip, &in6->sin6_addr, 16);
    } else if (sa->sa.sa_family == AF_UNIX) {
        size_t n = len - offsetof(struct sockaddr_un, sun_path);
        addr->kind = TH_ADDR_UNIX;
        if (n > UNIX_PATH_MAX)
            n = UNIX_PATH_MAX;
        if (n > 0 && sa->un.sun_path[0] != '\0')
            n = strnlen(sa->un.sun_path, n);
        addr->path_len = (uint16_t)n;
        memcpy(addr->path, sa->un.sun_path, n);
    }
}
