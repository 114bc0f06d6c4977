/* SPDX-License-Identifier: MIT */

/* Which address comes first: the rules of RFC 6724 and its own examples. */
#include "runtime/in_fiber.h"

#include "net/addr_rank.h"
#include "sys/fault.h"

#include <arpa/inet.h>
#include <errno.h>

static th_addr addr(const char *text)
{
    th_addr a = { .kind = TH_ADDR_NONE };
    if (text && inet_pton(AF_INET6, text, a.ip) == 1)
        a.kind = TH_ADDR_IP6;
    else if (text && inet_pton(AF_INET, text, a.ip) == 1)
        a.kind = TH_ADDR_IP4;
    ck_assert(!text || a.kind != TH_ADDR_NONE);
    return a;
}

static thi_addr_rank rank(const char *to, const char *from)
{
    th_addr source = addr(from);
    th_addr target = addr(to);
    return thi_addr_rank_of(&target, &source);
}

typedef struct example {
    const char *first, *first_from;
    const char *then, *then_from; /* from NULL: there is no way */
} example;

/* RFC 6724, 10.2, without those of mobile addresses and of tunnels. */
static const example examples[] = {
    { "2001:db8:1::1", "2001:db8:1::2", "198.51.100.121", "169.254.13.78" }, /* scope */
    { "198.51.100.121", "198.51.100.117", "2001:db8:1::1", "fe80::1" },      /* scope */
    { "2001:db8:1::1", "2001:db8:1::2", "10.1.2.3", "10.1.2.4" },            /* precedence */
    { "fe80::1", "fe80::2", "2001:db8:1::1", "2001:db8:1::2" },              /* smaller scope */
    { "2001:db8:1::1", "2001:db8:1::2", "2001:db8:3ffe::1", "2001:db8:3f44::2" },   /* prefix */
    { "2002:c633:6401::1", "2002:c633:6401::2", "2001:db8:1::1", "fe80::2" },       /* scope */
    { "2001:db8:1::1", "2001:db8:1::2", "2002:c633:6401::1", "2002:c633:6401::2" }, /* precedence */
    /* Others: no way, unique local sources, localhost, Teredo. */
    { "192.0.2.1", "192.0.2.2", "2001:db8::1", NULL },
    { "2001:db8::1", "2001:db8::2", "192.0.2.1", NULL },
    { "192.0.2.1", "192.0.2.2", "2001:db8::1", "fd00::2" },
    { "fd00::1", "fd00::2", "2001:db8::1", "fd00::2" },
    { "192.0.2.1", "192.0.2.2", "fd00::1", "fd00::2" },
    { "::1", "::1", "127.0.0.1", "127.0.0.1" },
    { "127.0.0.1", "127.0.0.1", "::1", NULL },
    { "192.0.2.1", "10.0.0.1", "2001:0:1::1", "2001:0:2::2" },
    { "2001:db8::1", "2001:db8::2", "3ffe::1", "2001:db8::2" },
};

START_TEST(each_rule_counts_before_those_after_it)
{
    const example *e = &examples[_i];
    ck_assert_msg(rank(e->first, e->first_from) > rank(e->then, e->then_from), "%s before %s",
                  e->first, e->then);
}
END_TEST

START_TEST(addresses_of_ip4_are_equal_however_near_they_look)
{
    ck_assert_uint_eq(rank("192.0.2.1", "192.0.2.2"), rank("198.51.100.1", "192.0.2.2"));
    ck_assert_uint_eq(rank("2001:db8::1", "2001:db8::2"), rank("2001:db8::ff:1", "2001:db8::2"));
}
END_TEST

START_TEST(what_nobody_knows_counts_as_good)
{
    th_addr six = addr("2001:db8::1");
    th_addr four = addr("192.0.2.1");
    ck_assert_uint_gt(thi_addr_rank_of(&six, NULL), rank("2001:db8::1", "fe80::1"));
    ck_assert_uint_gt(thi_addr_rank_of(&six, NULL), thi_addr_rank_of(&four, NULL));
}
END_TEST

START_TEST(equal_ones_stay_in_their_order)
{
    static const char *const before[] = { "2001:db8::1", "198.51.100.1", "192.0.2.1",
                                          "fd00::1",     "2001:db8::2",  "2002:c000:201::1" };
    static const char *const after[] = { "2001:db8::1", "2001:db8::2",      "198.51.100.1",
                                         "192.0.2.1",   "2002:c000:201::1", "fd00::1" };
    th_addr addrs[6];
    th_addr from = addr("::"); /* decided beforehand, as with th_dial_opts.source */
    for (size_t i = 0; i < 6; i++)
        addrs[i] = addr(before[i]);
    thi_addr_sort(addrs, 6, &from, NULL);
    for (size_t i = 0; i < 6; i++) {
        th_addr expected = addr(after[i]);
        ck_assert_msg(th_addr_equal(&addrs[i], &expected), "%zu is not %s", i, after[i]);
    }
}
END_TEST

/* ---- the kernel's word ----------------------------------------------------------------------- */

START_TEST(the_kernel_says_from_where_it_would_call)
{
    th_addr source;
    th_addr near = addr("127.0.0.9");
    th_addr loopback = addr("127.0.0.1");
    th_addr nowhere = addr("fe80::1");
    ck_assert(thi_addr_source(&near, NULL, &source));
    source.port = 0;
    ck_assert(th_addr_equal(&source, &loopback));
    ck_assert(thi_addr_source(&near, "lo", &source));
    source.port = 0;
    ck_assert(th_addr_equal(&source, &loopback));
    ck_assert(thi_addr_source(&nowhere, NULL, &source));
    ck_assert_int_eq(source.kind, TH_ADDR_NONE);
}
END_TEST

/* Each call of the asking fails once: for want of means, or because there is no way. */
START_TEST(who_cannot_ask_takes_the_address_for_good)
{
    static const char *const calls[] = { "socket", "connect", "getsockname" };
    th_addr source;
    th_addr near = addr("127.0.0.9");
    for (size_t i = 0; i < 3; i++) {
        thi_fault_begin(0, 0);
        thi_fault_order(calls[i], 1, ENOMEM);
        ck_assert(!thi_addr_source(&near, NULL, &source));
        (void)thi_fault_end();
        ck_assert_int_eq(source.kind, TH_ADDR_NONE);
        thi_fault_begin(0, 0);
        thi_fault_order(calls[i], 1, ENETUNREACH);
        ck_assert(thi_addr_source(&near, NULL, &source));
        (void)thi_fault_end();
        ck_assert_int_eq(source.kind, TH_ADDR_NONE);
    }
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "rules");
    tcase_add_loop_test(tcase, each_rule_counts_before_those_after_it, 0,
                        (int)thi_array_len(examples));
    tcase_add_test(tcase, addresses_of_ip4_are_equal_however_near_they_look);
    tcase_add_test(tcase, what_nobody_knows_counts_as_good);
    tcase_add_test(tcase, equal_ones_stay_in_their_order);

    tcase = thi_check_case(suite, "kernel");
    tcase_add_test(tcase, the_kernel_says_from_where_it_would_call);
    tcase_add_test(tcase, who_cannot_ask_takes_the_address_for_good);
}

int main(void)
{
    return thi_check_run("net/addr_rank", fill_suite);
}
