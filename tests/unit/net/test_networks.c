/* SPDX-License-Identifier: MIT */

/* Lists of networks, and the count of connections by network. */
#include "check_main.h"

#include "base/alloc.h"
#include "base/util.h"
#include "net/networks.h"
#include "net/peers.h"

#include <thrum/error.h>

#include <errno.h>
#include <pthread.h>

static th_addr at(const char *text)
{
    th_addr addr;
    ck_assert_int_eq(th_addr_parse(text, &addr), 0);
    return addr;
}

static bool is_in(const char *list, const char *address)
{
    thi_networks n;
    th_addr addr = at(address);
    int err = thi_networks_parse(list, &n);
    ck_assert_msg(err == 0, "%s: %s", list, th_err_detail());
    bool in = thi_networks_have(&n, &addr);
    thi_networks_deinit(&n);
    return in;
}

START_TEST(an_address_is_in_its_network_and_in_no_other)
{
    ck_assert(is_in("10.0.0.0/8", "10.255.1.2:1"));
    ck_assert(!is_in("10.0.0.0/8", "11.0.0.0:1"));
    ck_assert(is_in("192.0.2.128/25", "192.0.2.128:1"));
    ck_assert(!is_in("192.0.2.128/25", "192.0.2.127:1"));
    ck_assert(is_in("192.0.2.1", "192.0.2.1:9"));
    ck_assert(!is_in("192.0.2.1", "192.0.2.2:9"));
    ck_assert(is_in("0.0.0.0/0", "1.2.3.4:1"));
    ck_assert(!is_in("0.0.0.0/0", "[::1]:1"));
    ck_assert(!is_in("::/0", "1.2.3.4:1"));
    ck_assert(is_in("2001:db8::/33", "[2001:db8:7fff::1]:1"));
    ck_assert(!is_in("2001:db8::/33", "[2001:db8:8000::1]:1"));
    ck_assert(is_in("unix", "unix:/x"));
    ck_assert(!is_in("::/0,0.0.0.0/0", "unix:/x"));
    ck_assert(is_in("::1, 10.0.0.0/8 ,unix", "10.1.1.1:1"));
}
END_TEST

START_TEST(ip4_within_ip6_is_ip4)
{
    ck_assert(is_in("10.0.0.0/8", "[::ffff:10.1.2.3]:1"));
    ck_assert(!is_in("::/0", "[::ffff:10.1.2.3]:1"));
    ck_assert(is_in("::ffff:10.0.0.0/104", "10.1.2.3:1"));
    ck_assert(is_in("::ffff:10.0.0.1", "[::ffff:10.0.0.1]:1"));
}
END_TEST

START_TEST(what_is_no_network_is_named)
{
    static const char *const lists[] = {
        "",
        ",",
        "10.0.0.0/8,",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/",
        "10.0.0/8",
        "::1/64",
        "::/129",
        "10.0.0.0/8 10.0.0.0/8",
        "example.org",
        "unix/8",
        "[::1]",
        "10.0.0.1:80",
    };
    thi_networks n = { .count = 77 };
    for (size_t i = 0; i < thi_array_len(lists); i++) {
        ck_assert_msg(thi_networks_parse(lists[i], &n) == TH_EADDRESS, "'%s'", lists[i]);
        ck_assert_str_ne(th_err_detail(), "");
        ck_assert_uint_eq(n.count, 77);
    }
}
END_TEST

START_TEST(no_memory_is_told)
{
    thi_networks n;
    thi_alloc_fail_at(1);
    ck_assert_int_eq(thi_networks_parse("10.0.0.0/8", &n), -ENOMEM);
}
END_TEST

/* ---- peers ----------------------------------------------------------------------------------- */

static int enter(thi_peers *peers, const char *address, thi_peer **peer)
{
    th_addr addr = at(address);
    return thi_peers_enter(peers, &addr, peer);
}

START_TEST(each_peer_has_its_limit)
{
    thi_peers *peers;
    thi_peer *a[3], *b, *none;
    ck_assert_int_eq(thi_peers_new(2, 0, 0, &peers), 0);
    ck_assert_int_eq(enter(peers, "10.0.0.1:1", &a[0]), 0);
    ck_assert_int_eq(enter(peers, "[::ffff:10.0.0.1]:2", &a[1]), 0);
    none = (thi_peer *)1;
    ck_assert_int_eq(enter(peers, "10.0.0.1:3", &none), TH_ELIMIT);
    ck_assert_ptr_eq(none, (thi_peer *)1);
    ck_assert_int_eq(enter(peers, "10.0.0.2:1", &b), 0);
    thi_peer_leave(a[0]);
    ck_assert_int_eq(enter(peers, "10.0.0.1:3", &a[2]), 0);
    thi_peer_leave(a[1]);
    thi_peer_leave(a[2]);
    thi_peer_leave(b);
    ck_assert_int_eq(enter(peers, "unix:/x", &none), 0);
    ck_assert_ptr_null(none);
    thi_peer_leave(none);
    thi_peers_free(peers);
    ck_assert_int_eq(thi_alloc_live(), 0);
}
END_TEST

START_TEST(one_peer_is_a_network)
{
    thi_peers *peers;
    thi_peer *a, *b, *c;
    ck_assert_int_eq(thi_peers_new(1, 24, 0, &peers), 0);
    ck_assert_int_eq(enter(peers, "[2001:db8::1]:1", &a), 0);
    ck_assert_int_eq(enter(peers, "[2001:db8::ffff:0:0:2]:1", &b), TH_ELIMIT);
    ck_assert_int_eq(enter(peers, "[2001:db8:0:1::1]:1", &b), 0);
    ck_assert_int_eq(enter(peers, "192.0.2.1:1", &c), 0);
    ck_assert_int_eq(enter(peers, "192.0.2.200:1", &c), TH_ELIMIT);
    thi_peer_leave(a);
    thi_peer_leave(b);
    thi_peer_leave(c);
    thi_peers_free(peers);
    ck_assert_int_eq(thi_peers_new(0, 0, 0, &peers), 0); /* no limit needs no table */
    ck_assert_ptr_null(peers);
}
END_TEST

START_TEST(each_allocation_may_fail)
{
    thi_peers *peers;
    thi_peer *peer = NULL;
    int64_t n = 1;
    for (;; n++) {
        thi_alloc_fail_at(n);
        int err = thi_peers_new(1, 0, 0, &peers);
        if (err == 0 && (err = enter(peers, "10.0.0.1:1", &peer)) == 0)
            thi_peer_leave(peer);
        bool untouched = thi_alloc_fail_at(0) > 0;
        thi_peers_free(peers);
        ck_assert_int_eq(thi_alloc_live(), 0);
        ck_assert_int_eq(err, untouched ? 0 : -ENOMEM);
        if (untouched)
            break;
    }
    ck_assert_int_ge(n, 4);
}
END_TEST

/* Threads come and go; of one peer there are never more than the limit. */
static thi_peers *shared;
static atomic_int inside;
static atomic_int refused;

static void *come_and_go(void *arg)
{
    th_addr addr = at("10.0.0.1:1");
    thi_peer *peer;
    (void)arg;
    for (int i = 0; i < 20000; i++) {
        if (thi_peers_enter(shared, &addr, &peer) < 0) {
            atomic_fetch_add(&refused, 1);
            continue;
        }
        if (atomic_fetch_add(&inside, 1) >= 2)
            abort();
        atomic_fetch_sub(&inside, 1);
        thi_peer_leave(peer);
    }
    return NULL;
}

START_TEST(threads_never_exceed_the_limit)
{
    pthread_t threads[4];
    ck_assert_int_eq(thi_peers_new(2, 0, 0, &shared), 0);
    for (size_t i = 0; i < thi_array_len(threads); i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
    for (size_t i = 0; i < thi_array_len(threads); i++)
        pthread_join(threads[i], NULL);
    thi_peers_free(shared);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "networks");
    tcase_add_test(tcase, an_address_is_in_its_network_and_in_no_other);
    tcase_add_test(tcase, ip4_within_ip6_is_ip4);
    tcase_add_test(tcase, what_is_no_network_is_named);
    tcase_add_test(tcase, no_memory_is_told);
    tcase = thi_check_case(suite, "peers");
    tcase_add_test(tcase, each_peer_has_its_limit);
    tcase_add_test(tcase, one_peer_is_a_network);
    tcase_add_test(tcase, each_allocation_may_fail);
    tcase_add_test(tcase, threads_never_exceed_the_limit);
}

int main(void)
{
    return thi_check_run("net/networks", fill);
}
