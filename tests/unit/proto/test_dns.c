/* SPDX-License-Identifier: MIT */

/* Answers of name servers: what they say, and what must not be believed. */
#include "check_main.h"

#include "base/util.h"
#include "proto/dns.h"

#include <thrum/error.h>

#include <stdint.h>

/* A message that is put together piece by piece. */
typedef struct message {
    uint8_t bytes[2048];
    size_t len;
} message;

static void put16(message *m, unsigned value)
{
    m->bytes[m->len++] = (uint8_t)(value >> 8);
    m->bytes[m->len++] = (uint8_t)value;
}

static void put_name(message *m, const char *name)
{
    while (*name) {
        size_t n = strcspn(name, ".");
        m->bytes[m->len++] = (uint8_t)n;
        memcpy(m->bytes + m->len, name, n);
        m->len += n;
        name += n + (name[n] == '.');
    }
    m->bytes[m->len++] = 0;
}

static message begin(const char *name, unsigned type)
{
    message m = { .bytes = { [2] = 0x81, [3] = 0x80, [5] = 1 }, .len = 12 };
    put_name(&m, name);
    put16(&m, type);
    put16(&m, 1);
    return m;
}

/* The head of a record; section 7: an answer, 9: an authority. Returns where its length stands. */
static size_t put_head(message *m, int section, const char *owner, unsigned type, unsigned ttl)
{
    m->bytes[section]++;
    put_name(m, owner);
    put16(m, type);
    put16(m, 1);
    put16(m, ttl >> 16);
    put16(m, ttl & 0xffff);
    put16(m, 0);
    return m->len - 2;
}

static void end_record(message *m, size_t len_at)
{
    size_t len = m->len - len_at - 2;
    m->bytes[len_at] = (uint8_t)(len >> 8);
    m->bytes[len_at + 1] = (uint8_t)len;
}

static void put_a(message *m, const char *owner, unsigned ttl, uint8_t last)
{
    size_t at = put_head(m, 7, owner, THI_DNS_A, ttl);
    memcpy(m->bytes + m->len, (uint8_t[]){ 192, 0, 2, last }, 4);
    m->len += 4;
    end_record(m, at);
}

static void put_alias(message *m, const char *owner, unsigned ttl, const char *target)
{
    size_t at = put_head(m, 7, owner, THI_DNS_CNAME, ttl);
    put_name(m, target);
    end_record(m, at);
}

static thi_dns_reply read_it(const message *m, const char *name, uint16_t type)
{
    thi_dns_reply reply;
    ck_assert_int_eq(thi_dns_read(&reply, m->bytes, m->len, name, type), 0);
    return reply;
}

static int result_of(const message *m, const char *name, uint16_t type)
{
    thi_dns_reply reply;
    return thi_dns_read(&reply, m->bytes, m->len, name, type);
}

/* ---- what is said ------------------------------------------------------------------------------
 */

START_TEST(the_records_asked_for_are_found_and_no_others)
{
    message m = begin("a.test", THI_DNS_A);
    thi_dns_record record;
    put_a(&m, "A.Test", 60, 1);
    put_a(&m, "b.test", 10, 66); /* nobody has asked for that */
    put_a(&m, "a.test", 30, 2);
    thi_dns_reply reply = read_it(&m, "a.TEST", THI_DNS_A);
    ck_assert_uint_eq(reply.count, 2);
    ck_assert_uint_eq(reply.ttl, 30);
    ck_assert_str_eq(reply.canonical, "a.test");
    ck_assert(thi_dns_next(&reply, &record));
    ck_assert_uint_eq(record.ip[3], 1);
    ck_assert(thi_dns_next(&reply, &record));
    ck_assert_uint_eq(record.ip[3], 2);
    ck_assert(!thi_dns_next(&reply, &record));
    ck_assert(!thi_dns_next(&reply, &record));
}
END_TEST

START_TEST(aliases_are_followed_in_any_order)
{
    message m = begin("a", THI_DNS_A);
    put_a(&m, "c", 60, 3);
    put_alias(&m, "b", 20, "C");
    put_alias(&m, "a", 40, "b");
    thi_dns_reply reply = read_it(&m, "a", THI_DNS_A);
    ck_assert_str_eq(reply.canonical, "c");
    ck_assert_uint_eq(reply.count, 1);
    ck_assert_uint_eq(reply.ttl, 20);
}
END_TEST

START_TEST(a_chain_without_an_end_is_broken)
{
    message m = begin("a", THI_DNS_A);
    put_alias(&m, "a", 60, "b");
    put_alias(&m, "b", 60, "a");
    put_a(&m, "c", 60, 3);
    ck_assert_int_eq(result_of(&m, "a", THI_DNS_A), TH_EPROTO);
}
END_TEST

/* A chain of so many links: a0 is a1 is a2 ... */
static message chain_of(int links)
{
    message m = begin("a0", THI_DNS_A);
    char from[16], to[16];
    for (int i = 0; i < links; i++) {
        snprintf(from, sizeof from, "a%d", i);
        snprintf(to, sizeof to, "a%d", i + 1);
        put_alias(&m, from, 60, to);
    }
    return m;
}

START_TEST(a_chain_has_16_links_at_most)
{
    message m = chain_of(16);
    thi_dns_reply reply = read_it(&m, "a0", THI_DNS_A);
    ck_assert_str_eq(reply.canonical, "a16");
    m = chain_of(17);
    ck_assert_int_eq(result_of(&m, "a0", THI_DNS_A), TH_EPROTO);
}
END_TEST

static void put_soa(message *m, unsigned ttl, unsigned minimum)
{
    size_t at = put_head(m, 9, "test", THI_DNS_SOA, ttl);
    put_name(m, "ns.test");
    put_name(m, "root.test");
    for (int i = 0; i < 8; i++)
        put16(m, 1);
    put16(m, minimum >> 16);
    put16(m, minimum & 0xffff);
    end_record(m, at);
}

START_TEST(how_long_there_is_nothing_is_told_by_who_is_responsible)
{
    message m = begin("a.test", THI_DNS_A);
    m.bytes[3] |= THI_DNS_NO_SUCH_NAME;
    thi_dns_reply reply = read_it(&m, "a.test", THI_DNS_A);
    ck_assert_uint_eq(reply.ttl, 0);
    ck_assert_int_eq(reply.rcode, THI_DNS_NO_SUCH_NAME);
    put_soa(&m, 600, 300);
    reply = read_it(&m, "a.test", THI_DNS_A);
    ck_assert_uint_eq(reply.count, 0);
    ck_assert_uint_eq(reply.ttl, 300);
    m = begin("a.test", THI_DNS_A);
    put_soa(&m, 60, 300);
    ck_assert_uint_eq(read_it(&m, "a.test", THI_DNS_A).ttl, 60);
    m.len -= 3; /* the end of the record is missing */
    ck_assert_uint_eq(read_it(&m, "a.test", THI_DNS_A).ttl, 0);
}
END_TEST

START_TEST(a_time_with_its_highest_bit_set_is_none)
{
    message m = begin("a", THI_DNS_A);
    put_a(&m, "a", 0x80000001, 1);
    ck_assert_uint_eq(read_it(&m, "a", THI_DNS_A).ttl, 0);
}
END_TEST

START_TEST(services_and_names_are_read)
{
    thi_dns_record record;
    message m = begin("_x._tcp.test", THI_DNS_SRV);
    size_t at = put_head(&m, 7, "_x._tcp.test", THI_DNS_SRV, 60);
    put16(&m, 10);
    put16(&m, 65535);
    put16(&m, 443);
    put_name(&m, "Host.Test");
    end_record(&m, at);
    thi_dns_reply reply = read_it(&m, "_x._tcp.test", THI_DNS_SRV);
    ck_assert(thi_dns_next(&reply, &record));
    ck_assert_uint_eq(record.priority, 10);
    ck_assert_uint_eq(record.weight, 65535);
    ck_assert_uint_eq(record.port, 443);
    ck_assert_str_eq(record.name, "host.test");
}
END_TEST

/* ---- what makes no sense
 * ------------------------------------------------------------------------- */

START_TEST(records_of_a_wrong_size_are_left_out)
{
    message m = begin("a", THI_DNS_A);
    thi_dns_record record;
    size_t at = put_head(&m, 7, "a", THI_DNS_A, 60);
    m.len += 5;
    end_record(&m, at);
    put_a(&m, "a", 60, 7);
    thi_dns_reply reply = read_it(&m, "a", THI_DNS_A);
    ck_assert(thi_dns_next(&reply, &record));
    ck_assert_uint_eq(record.ip[3], 7);
    ck_assert(!thi_dns_next(&reply, &record));
}
END_TEST

START_TEST(names_of_odd_bytes_are_never_given_out)
{
    static const char *const odd[] = { "a\nb", "a b", "a\\b", "a\"b", "\x1b[31m", "\xff" };
    for (size_t i = 0; i < thi_array_len(odd); i++) {
        message m = begin("a", THI_DNS_PTR);
        thi_dns_record record;
        size_t at = put_head(&m, 7, "a", THI_DNS_PTR, 60);
        put_name(&m, odd[i]);
        end_record(&m, at);
        thi_dns_reply reply = read_it(&m, "a", THI_DNS_PTR);
        ck_assert(!thi_dns_next(&reply, &record));
    }
}
END_TEST

/* A pointer where the name of the only record should be. */
static int with_pointer(size_t to)
{
    message m = begin("a", THI_DNS_A);
    size_t here = m.len;
    m.bytes[7] = 1;
    put16(&m, 0xc000u | (unsigned)(to == SIZE_MAX ? here : to));
    put16(&m, THI_DNS_A);
    put16(&m, 1);
    put16(&m, 0);
    put16(&m, 60);
    put16(&m, 4);
    m.len += 4;
    return result_of(&m, "a", THI_DNS_A);
}

START_TEST(pointers_lead_backwards_only)
{
    ck_assert_int_eq(with_pointer(12), 0);
    ck_assert_int_eq(with_pointer(SIZE_MAX), TH_EPROTO); /* to itself */
    ck_assert_int_eq(with_pointer(40), TH_EPROTO);
    ck_assert_int_eq(with_pointer(0x3fff), TH_EPROTO);
    message m = begin("a", THI_DNS_A);
    m.bytes[12] = 0x40; /* a kind of label that nobody uses */
    ck_assert_int_eq(result_of(&m, "a", THI_DNS_A), TH_EPROTO);
}
END_TEST

START_TEST(names_are_as_long_as_they_may_be_and_no_longer)
{
    char name[300];
    memset(name, 'a', sizeof name);
    for (size_t i = 63; i < 253; i += 64)
        name[i] = '.';
    name[253] = '\0';
    ck_assert(thi_dns_name_ok(name, 253));
    message m = begin(name, THI_DNS_A);
    put_a(&m, name, 60, 1);
    ck_assert_uint_eq(read_it(&m, name, THI_DNS_A).count, 1);
    name[253] = 'a';
    name[254] = '\0';
    ck_assert(!thi_dns_name_ok(name, 254));
    m = begin(name, THI_DNS_A);
    ck_assert_int_eq(result_of(&m, name, THI_DNS_A), TH_EPROTO);
}
END_TEST

START_TEST(a_message_cut_anywhere_is_broken_or_says_less)
{
    message m = begin("a", THI_DNS_A);
    put_alias(&m, "a", 60, "b");
    put_a(&m, "b", 60, 1);
    put_a(&m, "b", 60, 2);
    for (size_t len = 0; len < m.len; len++) {
        thi_dns_reply reply;
        uint8_t *exact = malloc(len + 1);
        memcpy(exact, m.bytes, len);
        ck_assert_int_eq(thi_dns_read(&reply, exact, len, "a", THI_DNS_A), TH_EPROTO);
        free(exact);
    }
}
END_TEST

/* ---- names -------------------------------------------------------------------------------------
 */

START_TEST(names_that_may_be_asked_for)
{
    static const char *const good[] = { "a", "a.b", "_x._tcp.test", "xn--bcher-kva.test", "1a.2" };
    static const char *const bad[] = {
        "", ".", ".a", "a.", "a..b", "a b", "a/b", "a*", "\xc3\xa9"
    };
    for (size_t i = 0; i < thi_array_len(good); i++)
        ck_assert_msg(thi_dns_name_ok(good[i], strlen(good[i])), "%s", good[i]);
    for (size_t i = 0; i < thi_array_len(bad); i++)
        ck_assert_msg(!thi_dns_name_ok(bad[i], strlen(bad[i])), "%s", bad[i]);
}
END_TEST

START_TEST(addresses_are_turned_round)
{
    char name[THI_DNS_NAME];
    uint8_t six[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 0x1f };
    thi_dns_reverse((uint8_t[]){ 192, 0, 2, 255 }, 4, name);
    ck_assert_str_eq(name, "255.2.0.192.in-addr.arpa");
    thi_dns_reverse(six, 16, name);
    ck_assert_str_eq(name,
                     "f.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "answers");
    tcase_add_test(tcase, the_records_asked_for_are_found_and_no_others);
    tcase_add_test(tcase, aliases_are_followed_in_any_order);
    tcase_add_test(tcase, a_chain_without_an_end_is_broken);
    tcase_add_test(tcase, a_chain_has_16_links_at_most);
    tcase_add_test(tcase, how_long_there_is_nothing_is_told_by_who_is_responsible);
    tcase_add_test(tcase, a_time_with_its_highest_bit_set_is_none);
    tcase_add_test(tcase, services_and_names_are_read);
    tcase = thi_check_case(suite, "nonsense");
    tcase_add_test(tcase, records_of_a_wrong_size_are_left_out);
    tcase_add_test(tcase, names_of_odd_bytes_are_never_given_out);
    tcase_add_test(tcase, pointers_lead_backwards_only);
    tcase_add_test(tcase, names_are_as_long_as_they_may_be_and_no_longer);
    tcase_add_test(tcase, a_message_cut_anywhere_is_broken_or_says_less);
    tcase = thi_check_case(suite, "names");
    tcase_add_test(tcase, names_that_may_be_asked_for);
    tcase_add_test(tcase, addresses_are_turned_round);
}

int main(void)
{
    return thi_check_run("proto/dns", fill_suite);
}
