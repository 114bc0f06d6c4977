/* SPDX-License-Identifier: MIT */

/*
 * The hosts file and resolv.conf, as their manual pages have them: hosts(5), resolv.conf(5).
 *
 * The texts are taken apart in place: names point into them, in lower case. A hosts file may have a
 * hundred thousand lines, so that both directions have a table.
 */
#include "net/names_conf.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "proto/chars.h"
#include "proto/dns.h"
#include "sys/sys.h"

#include <thrum/str.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#define NDOTS_MAX   15 /* as libc has these */
#define SECONDS_MAX 30
#define TRIES_MAX   5
#define HOST_TEXT   80 /* an IPv6 address with a zone */

thi_names_conf *thi_names_conf_new(void)
{
    uint64_t seed = 0;
    thi_names_conf *conf = thi_calloc(1, sizeof *conf);
    if (!conf)
        return NULL;
    (void)thi_sys_random(&seed, sizeof seed);
    atomic_init(&conf->refs, 1);
    th_arena_init(&conf->arena, NULL, 0, SIZE_MAX);
    thi_map_init(&conf->hosts, seed);
    thi_map_init(&conf->reverse, ~seed);
    conf->ndots = 1;
    conf->seconds = 5;
    conf->tries = 2;
    return conf;
}

void thi_names_conf_unref(thi_names_conf *conf)
{
    if (!conf || atomic_fetch_sub_explicit(&conf->refs, 1, memory_order_acq_rel) > 1)
        return;
    thi_map_deinit(&conf->hosts);
    thi_map_deinit(&conf->reverse);
    th_arena_deinit(&conf->arena);
    thi_free(conf);
}

/* ---- words and lines ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

char *thi_names_word(char **text)
{
    char *at = *text;
    while (is_blank(*at))
        at++;
    if (*at == '\0') {
        *text = at;
        return NULL;
    }
    char *word = at;
    while (*at != '\0' && !is_blank(*at))
        at++;
    if (*at != '\0')
        *at++ = '\0';
    *text = at;
    return word;
}

char *thi_names_line(char **text, const char *marks)
{
    char *line = *text;
    if (*line == '\0')
        return NULL;
    char *end = strchr(line, '\n');
    *text = end ? end + 1 : line + strlen(line);
    if (end)
        *end = '\0';
    line[strcspn(line, marks)] = '\0';
    return line;
}

static void lower(char *text)
{
    for (; *text; text++)
        *text = thi_char_lower(*text);
}

static th_str str_of(const char *text)
{
    return (th_str){ text, strlen(text) };
}

/* ---- addresses ---- */

/* Whether a zone is one, as a number or as the name of an interface. */
static bool read_zone(const char *zone, uint32_t *scope)
{
    uint64_t n;
    if (th_str_to_u64(str_of(zone), &n) < 0)
        n = if_nametoindex(zone);
    *scope = (uint32_t)n;
    return n > 0 && n <= UINT32_MAX;
}

bool thi_names_literal(const char *text, th_addr *addr)
{
    char host[HOST_TEXT];
    th_addr read = { .kind = TH_ADDR_IP4 };
    if (inet_pton(AF_INET, text, read.ip) == 1) {
        *addr = read;
        return true;
    }
    const char *zone = strchr(text, '%');
    size_t len = zone ? (size_t)(zone - text) : strlen(text);
    if (len >= sizeof host)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    read = (th_addr){ .kind = TH_ADDR_IP6 };
    if (inet_pton(AF_INET6, host, read.ip) != 1 || (zone && !read_zone(zone + 1, &read.scope)))
        return false;
    *addr = read;
    return true;
}

/* A server is an address, or one with a port in the way of th_addr_parse(). */
static int read_server(char *word, th_addr *addr)
{
    if (thi_names_literal(word, addr)) {
        addr->port = THI_NAMES_PORT;
        return 0;
    }
    size_t len = strlen(word);
    if (word[0] == '[' && word[len - 1] == ']') {
        word[len - 1] = '\0';
        if (!thi_names_literal(word + 1, addr) || addr->kind != TH_ADDR_IP6)
            return thi_err_set(TH_EADDRESS, "the name server '%.80s' is no address", word + 1);
        addr->port = THI_NAMES_PORT;
        return 0;
    }
    th_addr read;
    int err = th_addr_parse(word, &read);
    if (err == 0 && (read.kind == TH_ADDR_UNIX || read.port == 0))
        err = thi_err_set(TH_EADDRESS, "'%.80s' is no address of a name server", word);
    if (err == 0)
        *addr = read;
    return err;
}

int thi_names_conf_servers(thi_names_conf *conf, const char *text)
{
    th_addr servers[THI_NAMES_SERVERS_MAX];
    unsigned count = 0;
    for (;;) {
        char word[HOST_TEXT + 8];
        text += strspn(text, ", \t\n");
        size_t len = strcspn(text, ", \t\n");
        if (len == 0)
            break;
        if (len >= sizeof word)
            return thi_err_set(TH_EADDRESS, "'%.80s' is no address of a name server", text);
        if (count == thi_array_len(servers))
            return thi_err_set(TH_EADDRESS, "%zu name servers are possible, no more",
                               thi_array_len(servers));
        memcpy(word, text, len);
        word[len] = '\0';
        int err = read_server(word, &servers[count]);
        if (err < 0)
            return err;
        count++;
        text += len;
    }
    if (count == 0)
        return thi_err_set(TH_EADDRESS, "no name server is named");
    memcpy(conf->servers, servers, sizeof servers);
    conf->server_count = count;
    return 0;
}

/* ---- hosts ---- */

static size_t ip_size(const th_addr *addr)
{
    return addr->kind == TH_ADDR_IP4 ? 4 : 16;
}

static int add_host(thi_names_conf *conf, const th_addr *addr, const char *first, const char *name)
{
    thi_host *made = th_arena_alloc(&conf->arena, sizeof *made);
    if (!made)
        return -ENOMEM;
    *made = (thi_host){ .addr = *addr, .name = first };
    thi_host *before = thi_map_get(&conf->hosts, str_of(name));
    if (!before)
        return thi_map_put(&conf->hosts, str_of(name), made);
    for (;; before = before->next) {
        if (th_addr_equal(&before->addr, addr))
            return 0;
        if (!before->next)
            break;
    }
    before->next = made;
    return 0;
}

static int add_reverse(thi_names_conf *conf, const th_addr *addr, char *name)
{
    th_addr *key = th_arena_alloc(&conf->arena, sizeof *key);
    if (!key)
        return -ENOMEM;
    *key = *addr;
    th_str bytes = { (const char *)key->ip, ip_size(key) };
    return thi_map_get(&conf->reverse, bytes) ? 0 : thi_map_put(&conf->reverse, bytes, name);
}

/* Link-local addresses with a zone are of this link only, and no names for others. */
static int read_host_line(thi_names_conf *conf, char *line)
{
    th_addr addr;
    char *word = thi_names_word(&line);
    if (!word || strchr(word, '%') || !thi_names_literal(word, &addr))
        return 0;
    char *first = NULL;
    int err = 0;
    while (err == 0 && (word = thi_names_word(&line))) {
        size_t len = strlen(word);
        if (len > 1 && word[len - 1] == '.')
            word[--len] = '\0';
        if (!thi_dns_name_ok(word, len))
            continue;
        lower(word);
        if (!first)
            err = add_reverse(conf, &addr, word);
        first = first ? first : word;
        if (err == 0)
            err = add_host(conf, &addr, first, word);
    }
    return err;
}

int thi_names_conf_hosts(thi_names_conf *conf, char *text)
{
    char *line;
    int err = 0;
    while (err == 0 && (line = thi_names_line(&text, "#")))
        err = read_host_line(conf, line);
    return err;
}

const thi_host *thi_names_conf_host(const thi_names_conf *conf, const char *name)
{
    return thi_map_get(&conf->hosts, str_of(name));
}

const char *thi_names_conf_name(const thi_names_conf *conf, const th_addr *addr)
{
    return thi_map_get(&conf->reverse, (th_str){ (const char *)addr->ip, ip_size(addr) });
}

/* ---- resolv.conf ---- */

void thi_names_conf_search(thi_names_conf *conf, char *domains)
{
    char *word;
    conf->search_count = 0;
    while ((word = thi_names_word(&domains))) {
        size_t len = strlen(word);
        if (len > 1 && word[len - 1] == '.')
            word[--len] = '\0';
        if (!thi_dns_name_ok(word, len) || conf->search_count == THI_NAMES_SEARCH_MAX)
            continue;
        lower(word);
        conf->search[conf->search_count++] = word;
    }
}

/* The number behind a prefix, at most `most`; false when the word begins otherwise. */
static bool read_option(const char *word, const char *prefix, unsigned most, unsigned *value)
{
    uint64_t n;
    size_t len = strlen(prefix);
    if (strncmp(word, prefix, len) != 0)
        return false;
    if (th_str_to_u64(str_of(word + len), &n) == 0)
        *value = (unsigned)thi_min(n, (uint64_t)most);
    return true;
}

void thi_names_conf_options(thi_names_conf *conf, char *options)
{
    char *word;
    while ((word = thi_names_word(&options))) {
        if (read_option(word, "ndots:", NDOTS_MAX, &conf->ndots) ||
            read_option(word, "timeout:", SECONDS_MAX, &conf->seconds) ||
            read_option(word, "attempts:", TRIES_MAX, &conf->tries))
            continue;
        conf->rotate |= strcmp(word, "rotate") == 0;
        conf->use_tcp |= strcmp(word, "use-vc") == 0;
        conf->edns |= strcmp(word, "edns0") == 0;
    }
    conf->seconds = thi_max(conf->seconds, 1u);
    conf->tries = thi_max(conf->tries, 1u);
}

static void read_nameserver(thi_names_conf *conf, char *rest)
{
    th_addr addr;
    char *word = thi_names_word(&rest);
    if (!word || conf->server_count == THI_NAMES_SERVERS_MAX || !thi_names_literal(word, &addr))
        return;
    addr.port = THI_NAMES_PORT;
    conf->servers[conf->server_count++] = addr;
}

void thi_names_conf_resolv(thi_names_conf *conf, char *text)
{
    char *line;
    while ((line = thi_names_line(&text, "#;"))) {
        char *word = thi_names_word(&line);
        if (!word)
            continue;
        if (strcmp(word, "nameserver") == 0)
            read_nameserver(conf, line);
        else if (strcmp(word, "search") == 0 || strcmp(word, "domain") == 0)
            thi_names_conf_search(conf, line);
        else if (strcmp(word, "options") == 0)
            thi_names_conf_options(conf, line);
    }
}
