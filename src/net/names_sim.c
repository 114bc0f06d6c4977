/* SPDX-License-Identifier: MIT */

/*
 * Names in a simulation: a table that the scenario gives, behind a network.
 *
 * An answer takes the entry's delay, or as long as chance has a question and its answer travel. No
 * entry means that there is no such name. The server fails where the seed says so.
 */
#include "net/names_wire.h"

#include "base/alloc.h"
#include "base/util.h"
#include "loop/sim_fault.h"
#include "loop/sim_trace.h"

#include <thrum/error.h>
#include <thrum/str.h>
#include <thrum/time.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TTL      (60 * TH_SECOND)
#define WORD_MAX THI_DNS_NAME

#define SERVICES_MAX 16 /* of one name */

typedef struct sim_wire {
    thi_wire base;
    thi_loop *loop;
    thi_list questions;
} sim_wire;

typedef struct question {
    thi_list link;
    thi_timer timer;
    sim_wire *wire;
    thi_wire_query *query;
    bool fails;
} question;

static sim_wire *of(thi_wire *wire)
{
    return thi_container_of(wire, sim_wire, base);
}

static bool same(const char *a, const char *b)
{
    return th_str_eq_nocase((th_str){ a, strlen(a) }, (th_str){ b, strlen(b) });
}

/* ---- answers ---- */

/* A piece of the text up to one of the marks; false when none is left. */
static bool next_piece(const char **text, const char *marks, char piece[WORD_MAX])
{
    *text += strspn(*text, marks);
    size_t len = strcspn(*text, marks);
    if (len == 0 || len >= WORD_MAX)
        return false;
    memcpy(piece, *text, len);
    piece[len] = '\0';
    *text += len;
    return true;
}

static bool has_family(const th_sim_host *entry, uint16_t type)
{
    char word[WORD_MAX];
    const char *text = entry->answer ? entry->answer : "";
    th_addr addr;
    while (next_piece(&text, " ,", word)) {
        if (thi_names_literal(word, &addr) &&
            addr.kind == (type == THI_DNS_A ? TH_ADDR_IP4 : TH_ADDR_IP6))
            return true;
    }
    return false;
}

/* The first entry of the name that has addresses of the family; else the first. */
static const th_sim_host *entry_of(const char *name, uint16_t type)
{
    const th_sim_opts *opts = &thi_sim_self->opts;
    const th_sim_host *first = NULL;
    for (size_t i = 0; i < opts->host_count; i++) {
        if (!same(opts->hosts[i].name, name))
            continue;
        if (type == THI_DNS_SRV || has_family(&opts->hosts[i], type))
            return &opts->hosts[i];
        first = first ? first : &opts->hosts[i];
    }
    return first;
}

/* The addresses of an entry, on the stack of who answers; nothing that is no address. */
static thi_names_set *addresses(const th_sim_host *entry, uint16_t type)
{
    thi_host hosts[THI_NAMES_SERVERS_MAX];
    char word[WORD_MAX];
    const char *text = entry->answer ? entry->answer : "";
    size_t count = 0;
    while (count < thi_array_len(hosts) && next_piece(&text, " ,", word)) {
        if (!thi_names_literal(word, &hosts[count].addr))
            continue;
        hosts[count].name = entry->name;
        hosts[count].next = NULL;
        if (count > 0)
            hosts[count - 1].next = &hosts[count];
        count++;
    }
    return count > 0 ? thi_names_set_hosts(type, hosts)
                     : thi_names_set_fail(type, TH_ENAME, "the name has no addresses");
}

/* ---- answers that are put together as a message ---- */

/* A message about one name, as a name server would send it. */
typedef struct message {
    uint8_t *bytes;
    size_t room;
    size_t len;
    const char *name;
    uint16_t type;
    unsigned count; /* records */
} message;

static void put16(message *m, unsigned value)
{
    m->bytes[m->len++] = (uint8_t)(value >> 8);
    m->bytes[m->len++] = (uint8_t)value;
}

static void put_name(message *m, const char *name)
{
    char label[WORD_MAX];
    while (next_piece(&name, ".", label)) {
        size_t n = strlen(label);
        m->bytes[m->len++] = (uint8_t)n;
        memcpy(m->bytes + m->len, label, n);
        m->len += n;
    }
    m->bytes[m->len++] = 0;
}

#define RECORD_MOST (THI_DNS_NAME + 32)

static bool begin_message(message *m, const char *name, uint16_t type, size_t room)
{
    *m = (message){ .bytes = thi_calloc(1, room), .room = room, .name = name, .type = type };
    if (!m->bytes)
        return false;
    m->bytes[5] = 1; /* question */
    m->len = 12;
    put_name(m, name);
    put16(m, type);
    put16(m, 1);
    return true;
}

/* Puts a record's data down to its host; numbers come before that in a service. */
static void put_record(message *m, const unsigned *numbers, const char *host)
{
    if (!thi_dns_name_ok(host, strlen(host)))
        return;
    put16(m, 0xc00c); /* the name in the question */
    put16(m, m->type);
    put16(m, 1);
    put16(m, 0);
    put16(m, (unsigned)(TTL / TH_SECOND));
    size_t len_at = m->len;
    m->len += 2;
    for (int i = 0; numbers && i < 3; i++)
        put16(m, numbers[i]);
    put_name(m, host);
    size_t end = m->len;
    m->len = len_at;
    put16(m, (unsigned)(end - len_at - 2));
    m->len = end;
    m->bytes[7] = (uint8_t)++m->count;
}

static thi_names_set *end_message(message *m)
{
    thi_names_set *set = thi_names_set_read(m->bytes, m->len, m->name, m->type);
    thi_free(m->bytes);
    return set;
}

/* "priority weight port host" */
static void put_service(message *m, const char *text)
{
    char word[WORD_MAX];
    unsigned numbers[3];
    for (int i = 0; i < 3; i++) {
        if (!next_piece(&text, " ", word))
            return;
        numbers[i] = (unsigned)strtoul(word, NULL, 10);
    }
    if (next_piece(&text, " ", word))
        put_record(m, numbers, word);
}

static thi_names_set *services(const th_sim_host *entry, const char *name)
{
    message m;
    char piece[WORD_MAX];
    const char *text = entry->answer;
    if (!begin_message(&m, name, THI_DNS_SRV, (SERVICES_MAX + 1) * RECORD_MOST))
        return NULL;
    while (m.count < SERVICES_MAX && next_piece(&text, ",", piece))
        put_service(&m, piece);
    return end_message(&m);
}

/* Whether the reverse name is that of an address of the entry. */
static bool has_reverse(const th_sim_host *entry, const char *reverse)
{
    char word[WORD_MAX], name[THI_DNS_NAME];
    const char *text = entry->answer ? entry->answer : "";
    th_addr addr;
    while (next_piece(&text, " ,", word)) {
        if (!thi_names_literal(word, &addr))
            continue;
        thi_dns_reverse(addr.ip, addr.kind == TH_ADDR_IP4 ? 4 : 16, name);
        if (same(name, reverse))
            return true;
    }
    return false;
}

static const th_sim_host *entry_of_reverse(const char *reverse)
{
    const th_sim_opts *opts = &thi_sim_self->opts;
    for (size_t i = 0; i < opts->host_count; i++)
        if (has_reverse(&opts->hosts[i], reverse))
            return &opts->hosts[i];
    return NULL;
}

static thi_names_set *name_of(const th_sim_host *entry, const char *reverse)
{
    message m;
    if (!begin_message(&m, reverse, THI_DNS_PTR, 2 * RECORD_MOST))
        return NULL;
    put_record(&m, NULL, entry->name);
    return end_message(&m);
}

static const th_sim_host *find_entry(const thi_wire_query *query)
{
    return query->type == THI_DNS_PTR ? entry_of_reverse(query->name)
                                      : entry_of(query->name, query->type);
}

static thi_names_set *records(const th_sim_host *entry, const thi_wire_query *query)
{
    thi_names_set *set;
    if (query->type == THI_DNS_PTR)
        set = name_of(entry, query->name);
    else if (query->type == THI_DNS_SRV && entry->answer)
        set = services(entry, query->name);
    else
        set = addresses(entry, query->type);
    if (set && set->status == 0)
        set->ttl = entry->ttl > 0 ? entry->ttl : TTL;
    return set;
}

static thi_names_set *answer(const question *q)
{
    static const char failed[] = "the name servers failed";
    static const char no_such_name[] = "there is no such name";
    const thi_wire_query *query = q->query;
    const th_sim_host *entry = find_entry(query);
    if (q->fails)
        return thi_names_set_fail(query->type, TH_ENAMESERVER, failed);
    if (entry && entry->error)
        return thi_names_set_fail(query->type, entry->error,
                                  entry->error == TH_ENAME ? no_such_name : failed);
    if (entry)
        return records(entry, query);
    thi_names_set *set = thi_names_set_fail(query->type, TH_ENAME, no_such_name);
    if (set)
        set->no_name = true;
    return set;
}

static void finish(question *q, thi_names_set *set)
{
    thi_wire_query *query = q->query;
    thi_list_remove(&q->link);
    thi_free(q);
    thi_wire_done(query, set);
}

static void on_timer(thi_timer *timer)
{
    question *q = thi_container_of(timer, question, timer);
    thi_sim_trace(thi_sim_self, "name", q->query->type, q->fails);
    finish(q, answer(q));
}

static void ask(thi_wire *wire, thi_wire_query *query)
{
    sim_wire *w = of(wire);
    thi_sim *world = thi_sim_self;
    question *q = thi_calloc(1, sizeof *q);
    if (!q) {
        thi_wire_done(query, NULL);
        return;
    }
    const th_sim_host *entry = find_entry(query);
    q->wire = w;
    q->query = query;
    thi_timer_init(&q->timer, on_timer);
    thi_list_push_back(&w->questions, &q->link);
    q->fails = thi_sim_fault(world, TH_SIM_NAME_FAILS);
    int64_t span = thi_sim_latency(world) + thi_sim_latency(world);
    if (entry && entry->delay > 0)
        span = entry->delay;
    if (span < TH_NEVER)
        thi_loop_timer(w->loop, &q->timer, world->now + span);
}

static void close_wire(thi_wire *wire)
{
    sim_wire *w = of(wire);
    while (!thi_list_empty(&w->questions)) {
        question *q = thi_list_item(thi_list_first(&w->questions), question, link);
        thi_timer_cancel(&w->loop->timers, &q->timer);
        finish(q, NULL);
    }
    thi_free(w);
}

static const thi_wire_ops ops = { .ask = ask, .close = close_wire };

int thi_wire_open_sim(thi_loop *loop, thi_wire **wire)
{
    sim_wire *w = thi_calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->base.ops = &ops;
    w->loop = loop;
    thi_list_init(&w->questions);
    *wire = &w->base;
    return 0;
}

int thi_wire_open(thi_loop *loop, const thi_names_conf *conf, thi_wire **wire)
{
    return thi_sim_self ? thi_wire_open_sim(loop, wire) : thi_wire_open_ares(loop, conf, wire);
}
