/* SPDX-License-Identifier: MIT */

/* Options of datagram sockets, and multicast groups, over IPv4 and IPv6. */
#include "net/udp_sockets.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>

static const struct {
    enum th_udp_option option;
    int least;
    int some;
    int most;
} ranges[] = {
    { TH_UDP_TTL, 1, 7, 255 },          { TH_UDP_TOS, 0, 0x2c, 255 },
    { TH_UDP_BROADCAST, 0, 1, 1 },      { TH_UDP_MULTICAST_TTL, 0, 5, 255 },
    { TH_UDP_MULTICAST_LOOP, 0, 0, 1 }, { TH_UDP_DONT_FRAGMENT, 0, 1, 1 },
};

static void options_are_kept(const char *address)
{
    int value;
    th_udp *u = NULL;
    ck_assert_int_eq(th_udp_open(address, NULL, &u), 0);
    for (size_t i = 0; i < thi_array_len(ranges); i++) {
        enum th_udp_option o = ranges[i].option;
        ck_assert_int_eq(th_udp_set(u, o, ranges[i].least - 1), -EINVAL);
        ck_assert_int_eq(th_udp_set(u, o, ranges[i].most + 1), -EINVAL);
        const int values[] = { ranges[i].most, ranges[i].least, ranges[i].some };
        for (size_t k = 0; k < thi_array_len(values); k++) {
            value = -1;
            ck_assert_int_eq(th_udp_set(u, o, values[k]), 0);
            ck_assert_int_eq(th_udp_get(u, o, &value), 0);
            ck_assert_int_eq(value, values[k]);
        }
    }
    ck_assert_int_eq(th_udp_set(u, TH_UDP_RECV_BUFFER, 20000), 0);
    ck_assert_int_eq(th_udp_get(u, TH_UDP_RECV_BUFFER, &value), 0);
    ck_assert_int_ge(value, 20000);
    ck_assert_int_eq(th_udp_set(u, TH_UDP_SEND_BUFFER, 30000), 0);
    ck_assert_int_eq(th_udp_get(u, TH_UDP_SEND_BUFFER, &value), 0);
    ck_assert_int_ge(value, 30000);
    ck_assert_int_eq(th_udp_set(u, (enum th_udp_option)99, 1), -EINVAL);
    ck_assert_int_eq(th_udp_get(u, TH_UDP_TTL, NULL), -EINVAL);
    th_udp_free(u);
}

FIBER_TEST(options_are_kept_within_their_ranges)
{
    options_are_kept("127.0.0.1:0");
    options_are_kept("[::1]:0");
}

FIBER_TEST(a_unix_socket_has_buffers_only)
{
    int value;
    th_udp *u = NULL;
    ck_assert_int_eq(th_udp_open("unix:", NULL, &u), 0);
    ck_assert_int_eq(th_udp_set(u, TH_UDP_TTL, 9), -EOPNOTSUPP);
    ck_assert_int_eq(th_udp_set(u, TH_UDP_BROADCAST, 1), -EOPNOTSUPP);
    ck_assert_int_eq(th_udp_get(u, TH_UDP_TOS, &value), -EOPNOTSUPP);
    ck_assert_int_eq(th_udp_set(u, TH_UDP_SEND_BUFFER, 30000), 0);
    ck_assert_int_eq(th_udp_join(u, "239.1.2.3", NULL, NULL), -EOPNOTSUPP);
    th_udp_free(u);
}

FIBER_TEST(the_interface_for_groups_must_exist)
{
    int value = 0;
    th_udp *u = NULL;
    int lo = (int)if_nametoindex("lo");
    ck_assert_int_gt(lo, 0);
    ck_assert_int_eq(th_udp_open("[::1]:0", NULL, &u), 0);
    ck_assert_int_eq(th_udp_set(u, TH_UDP_MULTICAST_INTERFACE, lo), 0);
    ck_assert_int_eq(th_udp_get(u, TH_UDP_MULTICAST_INTERFACE, &value), 0);
    ck_assert_int_eq(value, lo);
    ck_assert_int_eq(th_udp_set(u, TH_UDP_MULTICAST_INTERFACE, 123456), -ENODEV);
    th_udp_free(u);
    u = open_udp();
    ck_assert_int_eq(th_udp_set(u, TH_UDP_MULTICAST_INTERFACE, lo), 0);
    ck_assert_int_eq(th_udp_get(u, TH_UDP_MULTICAST_INTERFACE, &value), -EOPNOTSUPP);
    ck_assert_int_eq(th_udp_set(u, TH_UDP_MULTICAST_INTERFACE, 123456), -ENODEV);
    ck_assert_int_eq(th_udp_set(u, TH_UDP_MULTICAST_INTERFACE, -1), -EINVAL);
    th_udp_free(u);
}

/* ---- groups ---------------------------------------------------------------------------------- */

/* A group of one family, and an interface through which it can be spoken to. */
typedef struct group {
    int family;
    const char *any;    /* where the receiver is bound */
    const char *text;   /* the group */
    const char *target; /* with a port */
    const char *other;  /* an address that sends nothing */
    char interface[IF_NAMESIZE];
    char self[64]; /* the machine's own address there, as text */
} group;

static const group ip4_group = { AF_INET, "0.0.0.0:0", "239.77.7.7", "239.77.7.7:%u", "192.0.2.77",
                                 "",      "" };
static const group ip6_group = {
    AF_INET6, "[::]:0", "ff15::7707", "[ff15::7707]:%u", "2001:db8::77", "", ""
};

/* Not link-local addresses, which would need a zone. */
static bool is_useful(const struct ifaddrs *ifa, int family)
{
    unsigned wanted = IFF_UP | IFF_MULTICAST;
    if (!ifa->ifa_addr || ifa->ifa_addr->sa_family != family || (ifa->ifa_flags & wanted) != wanted)
        return false;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)ifa->ifa_addr;
    return family == AF_INET || !IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr);
}

/* Finds an interface for the group; false when there is none. */
static bool find_interface(group *g)
{
    struct ifaddrs *all;
    bool found = false;
    ck_assert_int_eq(getifaddrs(&all), 0);
    for (struct ifaddrs *ifa = all; ifa && !found; ifa = ifa->ifa_next) {
        if (!is_useful(ifa, g->family))
            continue;
        size_t at = g->family == AF_INET ? offsetof(struct sockaddr_in, sin_addr)
                                         : offsetof(struct sockaddr_in6, sin6_addr);
        (void)inet_ntop(g->family, (const char *)ifa->ifa_addr + at, g->self, sizeof g->self);
        snprintf(g->interface, sizeof g->interface, "%s", ifa->ifa_name);
        found = true;
    }
    freeifaddrs(all);
    return found;
}

typedef struct stage {
    const group *g;
    th_udp *receiver;
    th_udp *sender;
    th_addr target;
    th_addr direct;
} stage;

static stage open_stage(const group *g, const th_udp_opts *opts)
{
    char text[TH_ADDR_TEXT];
    stage s = { .g = g };
    snprintf(text, sizeof text, g->family == AF_INET ? "%s:0" : "[%s]:0", g->self);
    ck_assert_int_eq(th_udp_open(g->any, opts, &s.receiver), 0);
    ck_assert_int_eq(th_udp_open(text, NULL, &s.sender), 0);
    ck_assert_int_eq(
        th_udp_set(s.sender, TH_UDP_MULTICAST_INTERFACE, (int)if_nametoindex(g->interface)), 0);
    uint16_t port = local_of(s.receiver).port;
    snprintf(text, sizeof text, g->target, port);
    ck_assert_int_eq(th_addr_parse(text, &s.target), 0);
    s.direct = local_of(s.sender);
    s.direct.port = port;
    return s;
}

static void close_stage(stage *s)
{
    th_udp_free(s->receiver);
    th_udp_free(s->sender);
}

static int join(const stage *s, const char *source)
{
    return th_udp_join(s->receiver, s->g->text, source, s->g->interface);
}

static int leave(const stage *s, const char *source)
{
    return th_udp_leave(s->receiver, s->g->text, source, s->g->interface);
}

/* What is sent to the group is heard, or not: then something sent directly comes first. */
static void is_heard(stage *s, bool heard)
{
    send_text(s->sender, "to the group", &s->target);
    send_text(s->sender, "direct", &s->direct);
    if (heard)
        receive_text(s->receiver, "to the group");
    receive_text(s->receiver, "direct");
}

static void is_joined_and_left(const group *g)
{
    stage s = open_stage(g, NULL);
    char number[16];
    snprintf(number, sizeof number, "%u", if_nametoindex(g->interface));
    ck_assert_int_eq(leave(&s, NULL), -EADDRNOTAVAIL);
    is_heard(&s, false);
    ck_assert_int_eq(join(&s, NULL), 0);
    ck_assert_int_eq(th_udp_join(s.receiver, g->text, NULL, number), -EADDRINUSE);
    is_heard(&s, true);
    ck_assert_int_eq(th_udp_set(s.sender, TH_UDP_MULTICAST_LOOP, 0), 0);
    is_heard(&s, false);
    ck_assert_int_eq(th_udp_set(s.sender, TH_UDP_MULTICAST_LOOP, 1), 0);
    ck_assert_int_eq(th_udp_set(s.sender, TH_UDP_MULTICAST_TTL, 0), 0); /* on this machine */
    is_heard(&s, true);
    ck_assert_int_eq(leave(&s, NULL), 0);
    is_heard(&s, false);
    close_stage(&s);
}

static void source_is_joined_and_left(const group *g)
{
    stage s = open_stage(g, NULL);
    ck_assert_int_eq(join(&s, g->other), 0);
    is_heard(&s, false);
    ck_assert_int_eq(join(&s, g->self), 0);
    is_heard(&s, true);
    ck_assert_int_eq(leave(&s, g->self), 0);
    is_heard(&s, false);
    ck_assert_int_eq(leave(&s, g->self), -EADDRNOTAVAIL);
    close_stage(&s);
}

/* Linux would let a socket hear of what others on the machine have joined. */
static void others_are_not_heard(const group *g)
{
    stage s = open_stage(g, NULL);
    stage other = open_stage(g, NULL);
    ck_assert_int_eq(join(&other, NULL), 0);
    is_heard(&s, false);
    close_stage(&other);
    close_stage(&s);
}

/* What was sent to a group is answered from an address of this machine. */
static void is_answered(const group *g)
{
    th_dgram *got;
    th_udp_batch *batch;
    stage s = open_stage(g, &(th_udp_opts){ .tell = TH_UDP_TELL_LOCAL });
    ck_assert_int_eq(join(&s, NULL), 0);
    ck_assert_int_eq(th_udp_batch_new(4, 100, &batch), 0);
    send_text(s.sender, "anybody?", &s.target);
    ck_assert_int_eq(th_udp_recv_batch(s.receiver, batch, &got), 1);
    ck_assert_int_eq(th_addr_equal(got->local, &s.target), 1);
    ck_assert_uint_eq(got->interface, if_nametoindex(g->interface));
    ck_assert_int_eq(th_udp_send_batch(s.receiver, got, 1), 1);
    receive_text(s.sender, "anybody?");
    th_udp_batch_free(batch);
    close_stage(&s);
}

static void play(group g)
{
    is_joined_and_left(&g);
    source_is_joined_and_left(&g);
    others_are_not_heard(&g);
    is_answered(&g);
}

FIBER_TEST(an_ip4_group_is_heard_from_joining_to_leaving)
{
    group g = ip4_group;
    SKIP_UNLESS(find_interface(&g), "no interface has groups and an address of IPv4");
    play(g);
}

FIBER_TEST(an_ip6_group_is_heard_from_joining_to_leaving)
{
    group g = ip6_group;
    SKIP_UNLESS(find_interface(&g), "no interface has groups and an address of IPv6");
    play(g);
}

FIBER_TEST(what_is_no_group_is_refused_by_name)
{
    th_udp *u = open_udp();
    ck_assert_int_eq(th_udp_join(u, "127.0.0.1", NULL, NULL), TH_EADDRESS);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "127.0.0.1"));
    ck_assert_int_eq(th_udp_join(u, "ff02::1", NULL, NULL), TH_EADDRESS);
    ck_assert_int_eq(th_udp_join(u, "239.1.2.3", "elsewhere", NULL), TH_EADDRESS);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "elsewhere"));
    ck_assert_int_eq(th_udp_join(u, "239.1.2.3", NULL, "no-such-if"), -ENODEV);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "no-such-if"));
    ck_assert_int_eq(th_udp_join(u, "239.1.2.3", NULL, "123456"), -ENODEV);
    ck_assert_int_eq(th_udp_join(u, NULL, NULL, NULL), -EINVAL);
    th_udp_free(u);
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "options");
    tcase_add_test(tcase, options_are_kept_within_their_ranges);
    tcase_add_test(tcase, a_unix_socket_has_buffers_only);
    tcase_add_test(tcase, the_interface_for_groups_must_exist);
    tcase = thi_check_case(suite, "groups");
    add_on_engines(tcase, an_ip4_group_is_heard_from_joining_to_leaving);
    add_on_engines(tcase, an_ip6_group_is_heard_from_joining_to_leaving);
    tcase_add_test(tcase, what_is_no_group_is_refused_by_name);
}

int main(void)
{
    return thi_check_run("net/udp_option", fill_suite);
}
