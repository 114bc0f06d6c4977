/* SPDX-License-Identifier: MIT */

/* Many datagrams with one call, both ways: order, cuts, verdicts, what the kernel refuses. */
#include "net/udp_sockets.h"

#include <netinet/udp.h>
#include <stdio.h>

#define MANY 100

/* The kernel as it is, with calls counted and some refused. */
static thi_sys sys;
static unsigned calls_sent;
static unsigned calls_received;
static unsigned packed;   /* messages with a wish to be split */
static int refuse_packed; /* 0, or what such a message is refused with */
static bool knows_segments = true;

static bool is_packed(struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_SEGMENT)
            return true;
    return false;
}

static int count_sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    calls_sent++;
    for (unsigned i = 0; i < count; i++) {
        if (!is_packed(&msgs[i].msg_hdr))
            continue;
        packed++;
        if (refuse_packed)
            return i > 0 ? thi_sys_real.sendmmsg(fd, msgs, i, flags) : refuse_packed;
    }
    return thi_sys_real.sendmmsg(fd, msgs, count, flags);
}

static int count_recvmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    calls_received++;
    return thi_sys_real.recvmmsg(fd, msgs, count, flags);
}

static int old_getsockopt(int fd, int level, int name, void *val, socklen_t *n)
{
    if (level == IPPROTO_UDP && !knows_segments)
        return -ENOPROTOOPT;
    return thi_sys_real.getsockopt(fd, level, name, val, n);
}

static void count_calls(void)
{
    sys = thi_sys_real;
    sys.sendmmsg = count_sendmmsg;
    sys.recvmmsg = count_recvmmsg;
    sys.getsockopt = old_getsockopt;
    thi_sys_table = &sys;
}

/* Whether this kernel splits and joins datagrams. */
static bool kernel_can(int option)
{
    int value = 0;
    socklen_t len = sizeof value;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    bool can = getsockopt(fd, IPPROTO_UDP, option, &value, &len) == 0;
    close(fd);
    return can;
}

/* ---- datagrams to send ---- */

static char bytes[MANY][1400];

/* Fills so many datagrams of the sizes, which are used in turn. */
static void fill(th_dgram *d, size_t count, const size_t *sizes, size_t kinds, const th_addr *to)
{
    for (size_t i = 0; i < count; i++) {
        memset(bytes[i], (int)('!' + i % 90), sizeof bytes[i]);
        d[i] = (th_dgram){ .data = bytes[i], .size = sizes[i % kinds], .peer = to, .error = 99 };
    }
}

/* Receives so many with the batch and compares. */
static void expect_all(th_udp *udp, th_udp_batch *batch, const th_dgram *sent, size_t count)
{
    size_t seen = 0;
    while (seen < count) {
        th_dgram *got = NULL;
        int n = th_udp_recv_batch(udp, batch, &got);
        ck_assert_int_gt(n, 0);
        for (int i = 0; i < n; i++, seen++) {
            ck_assert_uint_lt(seen, count);
            ck_assert_uint_eq(got[i].size, sent[seen].size);
            if (sent[seen].size > 0)
                ck_assert_mem_eq(got[i].data, sent[seen].data, sent[seen].size);
            ck_assert_uint_eq(got[i].flags & TH_DGRAM_CUT, 0);
        }
    }
}

/* ---- both ways ------------------------------------------------------------------------------- */

static const size_t equal[] = { 200 };
static const size_t mixed[] = { 200, 200, 200, 50, 1400, 0, 7, 1400, 1400 };

static void send_and_receive(const th_udp_opts *opts, const size_t *sizes, size_t kinds)
{
    th_dgram d[MANY];
    th_udp_batch *batch;
    th_udp *a = open_with(opts);
    th_udp *b = open_udp();
    th_addr at_a = local_of(a);
    ck_assert_int_eq(th_udp_batch_new(32, 2000, &batch), 0);
    fill(d, MANY, sizes, kinds, &at_a);
    ck_assert_int_eq(th_udp_send_batch(b, d, MANY), MANY);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(d[i].error, 0);
    expect_all(a, batch, d, MANY);
    th_udp_batch_free(batch);
    th_udp_free(a);
    th_udp_free(b);
}

FIBER_TEST(a_batch_arrives_in_order_whatever_the_sizes)
{
    send_and_receive(NULL, equal, thi_array_len(equal));
    send_and_receive(NULL, mixed, thi_array_len(mixed));
}

FIBER_TEST(a_socket_that_coalesces_gives_the_same_datagrams)
{
    th_udp_opts opts = { .coalesce = 1 };
    send_and_receive(&opts, equal, thi_array_len(equal));
    send_and_receive(&opts, mixed, thi_array_len(mixed));
}

FIBER_TEST(a_batch_costs_few_calls)
{
    count_calls();
    send_and_receive(NULL, equal, thi_array_len(equal));
    if (kernel_can(UDP_SEGMENT)) {
        ck_assert_uint_eq(calls_sent, 1);
        ck_assert_uint_eq(packed, 2); /* 64 and 36 */
    }
    ck_assert_uint_le(calls_received, 8); /* 32 at once, and it may have to wait */
}

FIBER_TEST(a_batch_of_none_is_nothing)
{
    th_udp *a = open_udp();
    ck_assert_int_eq(th_udp_send_batch(a, NULL, 0), 0);
    th_udp_free(a);
}

/* ---- receiving ------------------------------------------------------------------------------- */

FIBER_TEST(each_datagram_of_a_batch_names_its_own_sender)
{
    enum { SENDERS = 5 };
    th_udp *senders[SENDERS];
    th_addr at[SENDERS];
    th_dgram *got;
    th_udp_batch *batch;
    th_udp *a = open_udp();
    th_addr at_a = local_of(a);
    ck_assert_int_eq(th_udp_batch_new(SENDERS, 100, &batch), 0);
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = open_udp();
        at[i] = local_of(senders[i]);
        send_text(senders[i], "hello", &at_a);
    }
    ck_assert_int_eq(th_udp_recv_batch(a, batch, &got), SENDERS);
    for (int i = 0; i < SENDERS; i++) {
        ck_assert_int_eq(th_addr_equal(got[i].peer, &at[i]), 1);
        ck_assert_ptr_null(got[i].local);
        ((char *)got[i].data)[0] = 'j';
    }
    ck_assert_int_eq(th_udp_send_batch(a, got, SENDERS), SENDERS); /* each to who sent it */
    for (int i = 0; i < SENDERS; i++) {
        receive_text(senders[i], "jello");
        th_udp_free(senders[i]);
    }
    th_udp_batch_free(batch);
    th_udp_free(a);
}

FIBER_TEST(a_batch_with_room_for_one_receives_one_by_one)
{
    th_dgram *got;
    th_udp_batch *batch;
    th_udp *a;
    th_udp *b;
    open_couple(&a, &b);
    ck_assert_int_eq(th_udp_batch_new(1, 4, &batch), 0);
    send_text(b, "abc", NULL);
    send_text(b, "abcde", NULL);
    send_text(b, "", NULL);
    ck_assert_int_eq(th_udp_recv_batch(a, batch, &got), 1);
    ck_assert_uint_eq(got->size, 3);
    ck_assert_uint_eq(got->flags, 0);
    ck_assert_int_eq(th_udp_recv_batch(a, batch, &got), 1);
    ck_assert_uint_eq(got->size, 4);
    ck_assert_uint_eq(got->flags, TH_DGRAM_CUT);
    ck_assert_int_eq(th_udp_recv_batch(a, batch, &got), 1);
    ck_assert_uint_eq(got->size, 0);
    th_udp_batch_free(batch);
    th_udp_free(a);
    th_udp_free(b);
}

/* More datagrams than a batch has views: the rest is not lost, and is nobody else's. */
FIBER_TEST(what_a_batch_has_no_views_for_comes_with_the_next_call)
{
    enum { ROUNDS = 10, PIECES = 64, ALL = ROUNDS * PIECES, VIEWS = 256 };
    th_dgram d[PIECES];
    th_dgram *got;
    th_udp_batch *batch;
    SKIP_UNLESS(kernel_can(UDP_SEGMENT) && kernel_can(UDP_GRO), "this kernel joins no datagrams");
    th_udp *a = open_with(&(th_udp_opts){ .coalesce = 1 });
    th_udp *b = open_udp();
    th_addr at_a = local_of(a);
    count_calls();
    ck_assert_int_eq(th_udp_batch_new(16, 100, &batch), 0);
    for (int i = 0; i < PIECES; i++)
        d[i] = (th_dgram){ .data = &bytes[0][i], .size = 1, .peer = &at_a };
    for (int i = 0; i < PIECES; i++)
        bytes[0][i] = (char)i;
    for (int i = 0; i < ROUNDS; i++)
        ck_assert_int_eq(th_udp_send_batch(b, d, PIECES), PIECES);
    for (int seen = 0; seen < ALL;) {
        int n = th_udp_recv_batch(a, batch, &got);
        ck_assert_int_eq(n, thi_min(ALL - seen, (int)VIEWS));
        for (int i = 0; i < n; i++, seen++) {
            ck_assert_uint_eq(got[i].size, 1);
            ck_assert_int_eq(*(char *)got[i].data, seen % PIECES);
        }
        if (seen < ALL) /* the rest is this socket's */
            ck_assert_int_eq(th_udp_recv_batch(b, batch, &got), -EBUSY);
    }
    ck_assert_uint_eq(calls_received, 1);
    th_udp_batch_free(batch);
    th_udp_free(a);
    th_udp_free(b);
}

FIBER_TEST(with_errors_on_a_batch_tells_what_came_back)
{
    th_dgram *got;
    th_udp_returned_info info;
    th_udp_batch *batch;
    th_addr dead = dead_address();
    th_udp *a = open_with(&(th_udp_opts){ .errors = 1 });
    ck_assert_int_eq(th_udp_batch_new(8, 100, &batch), 0);
    send_text(a, "lost", &dead);
    ck_assert_int_eq(th_udp_recv_batch(a, batch, &got), -ECONNREFUSED);
    ck_assert_int_eq(th_udp_returned(a, &info), 0);
    ck_assert_int_eq(th_addr_equal(&info.to, &dead), 1);
    th_udp_batch_free(batch);
    th_udp_free(a);
}

/* ---- what comes with them -------------------------------------------------------------------- */

static void expect_told(const char *address, const char *there)
{
    char text[TH_ADDR_TEXT];
    th_dgram *got;
    th_addr to;
    th_udp *a = NULL;
    th_udp_batch *batch;
    th_udp_opts opts = { .tell = TH_UDP_TELL_LOCAL | TH_UDP_TELL_TOS | TH_UDP_TELL_TTL,
                         .dual_stack = 1 };
    ck_assert_int_eq(th_udp_open(address, &opts, &a), 0);
    snprintf(text, sizeof text, there, local_of(a).port);
    ck_assert_int_eq(th_addr_parse(text, &to), 0);
    th_udp *b = dial_to(&to, NULL);
    th_addr at_b = local_of(b);
    ck_assert_int_eq(th_udp_set(b, TH_UDP_TOS, 0x2d), 0); /* the congestion mark is its own */
    ck_assert_int_eq(th_udp_set(b, TH_UDP_TTL, 17), 0);
    ck_assert_int_eq(th_udp_batch_new(8, 100, &batch), 0);
    send_text(b, "well?", NULL);
    ck_assert_int_eq(th_udp_recv_batch(a, batch, &got), 1);
    ck_assert_int_eq(th_addr_equal(got->peer, &at_b), 1);
    ck_assert_ptr_nonnull(got->local);
    ck_assert_int_eq(th_addr_equal(got->local, &to), 1);
    ck_assert_uint_gt(got->interface, 0);
    ck_assert_uint_eq(got->flags, TH_DGRAM_TOS | TH_DGRAM_TTL);
    ck_assert_uint_eq(got->tos, 0x2d);
    ck_assert_uint_eq(got->ttl, 17);
    ck_assert_int_eq(th_udp_send_batch(a, got, 1), 1); /* from the address it was sent to */
    receive_text(b, "well?");
    th_udp_batch_free(batch);
    th_udp_free(a);
    th_udp_free(b);
}

FIBER_TEST(target_service_class_and_hops_are_told)
{
    expect_told("0.0.0.0:0", "127.0.0.1:%u");
    expect_told("[::1]:0", "[::1]:%u");
}

/* This machine answers for all of 127/8: who is asked at one address answers from that one. */
FIBER_TEST(an_answer_leaves_from_the_address_that_was_asked)
{
    expect_told("0.0.0.0:0", "127.0.0.99:%u");
}

/* ---- verdicts -------------------------------------------------------------------------------- */

FIBER_TEST(a_bad_one_between_good_ones_fails_alone)
{
    th_addr all;
    th_dgram d[5];
    char big[1] = "";
    th_udp *a = open_udp();
    th_udp *b = NULL;
    th_addr at_a = local_of(a);
    ck_assert_int_eq(th_udp_open("0.0.0.0:0", NULL, &b), 0);
    ck_assert_int_eq(th_addr_parse("127.255.255.255:9", &all), 0);
    fill(d, 5, equal, 1, &at_a);
    d[1].peer = &all; /* broadcast, and it was not asked for */
    d[2].peer = NULL;
    d[3] = (th_dgram){ .data = big, .size = 70000, .peer = &at_a }; /* not even looked at */
    ck_assert_int_eq(th_udp_send_batch(b, d, 5), 2);
    ck_assert_int_eq(d[0].error, 0);
    ck_assert_int_eq(d[1].error, -EACCES);
    ck_assert_int_eq(d[2].error, -EDESTADDRREQ);
    ck_assert_int_eq(d[3].error, -EMSGSIZE);
    ck_assert_int_eq(d[4].error, 0);
    ck_assert_int_eq(th_udp_send_batch(b, d + 1, 3), -EACCES); /* none: that of the first */
    th_udp_free(a);
    th_udp_free(b);
}

FIBER_TEST(a_batch_on_a_connected_socket_names_no_targets)
{
    th_dgram d[3];
    th_udp *a;
    th_udp *b;
    open_couple(&a, &b);
    th_addr at_a = local_of(a);
    fill(d, 3, equal, 1, NULL);
    d[1].peer = &at_a;
    ck_assert_int_eq(th_udp_send_batch(b, d, 3), 2);
    ck_assert_int_eq(d[1].error, -EISCONN);
    th_udp_free(a);
    th_udp_free(b);
}

FIBER_TEST(a_batch_that_begins_too_late_is_not_sent)
{
    th_dgram d[3];
    char buf[8];
    th_scope scope;
    th_udp *a = open_udp();
    th_addr here = local_of(a);
    fill(d, 3, equal, 1, &here);
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_udp_send_batch(a, d, 3), -ECANCELED);
    (void)th_scope_close(&scope);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(d[i].error, -ECANCELED);
    ck_assert_int_eq(recv(th_udp_fd(a), buf, sizeof buf, MSG_DONTWAIT), -1);
    th_udp_free(a);
}

/* ---- what the kernel refuses ----------------------------------------------------------------- */

FIBER_TEST(what_the_device_cannot_split_is_sent_one_by_one)
{
    static const int refusals[] = { -EINVAL, -EMSGSIZE, -EIO, -EOPNOTSUPP };
    SKIP_UNLESS(kernel_can(UDP_SEGMENT), "this kernel does not split datagrams");
    count_calls();
    for (size_t i = 0; i < thi_array_len(refusals); i++) {
        refuse_packed = refusals[i];
        packed = 0;
        send_and_receive(NULL, equal, thi_array_len(equal));
        ck_assert_uint_eq(packed, 1); /* it was not tried again */
    }
}

FIBER_TEST(an_old_kernel_is_not_asked_to_split)
{
    count_calls();
    knows_segments = false;
    send_and_receive(NULL, equal, thi_array_len(equal));
    send_and_receive(&(th_udp_opts){ .coalesce = 1 }, mixed, thi_array_len(mixed));
    ck_assert_uint_eq(packed, 0);
}

/* ---- several fibers, and misuse -------------------------------------------------------------- */

typedef struct reader {
    th_udp *udp;
    int seen;
} reader;

static int receive_batches(void *arg)
{
    reader *r = arg;
    th_dgram *got;
    th_udp_batch *batch;
    int n;
    ck_assert_int_eq(th_udp_batch_new(4, 100, &batch), 0);
    while ((n = th_udp_recv_batch(r->udp, batch, &got)) > 0)
        r->seen += n;
    ck_assert_int_eq(n, -ECANCELED);
    th_udp_batch_free(batch);
    return 0;
}

/* A batch that came short says that there is no more; whoever else waits must still be told. */
FIBER_TEST(fibers_with_batches_of_their_own_share_a_socket)
{
    th_scope scope;
    th_udp *a = open_udp();
    th_udp *b = open_udp();
    th_addr at_a = local_of(a);
    reader readers[3];
    open_scope(&scope);
    for (int i = 0; i < 3; i++) {
        readers[i] = (reader){ .udp = a };
        spawn(&scope, receive_batches, &readers[i]);
    }
    let_others_run();
    for (int i = 0; i < 50; i++) {
        send_text(b, "x", &at_a);
        if (i % 7 == 0)
            let_others_run();
    }
    while (readers[0].seen + readers[1].seen + readers[2].seen < 50)
        ck_assert_int_eq(th_yield(), 0);
    ck_assert_int_eq(th_udp_close(a), 0);
    close_scope(&scope);
    ck_assert_int_eq(readers[0].seen + readers[1].seen + readers[2].seen, 50);
    th_udp_free(a);
    th_udp_free(b);
}

FIBER_TEST(misuse_of_batches_is_refused)
{
    th_dgram *got;
    th_udp_batch *batch = NULL;
    th_udp *a = open_udp();
    ck_assert_int_eq(th_udp_batch_new(0, 1, &batch), -EINVAL);
    ck_assert_int_eq(th_udp_batch_new(1025, 1, &batch), -EINVAL);
    ck_assert_int_eq(th_udp_batch_new(1, 0, &batch), -EINVAL);
    ck_assert_int_eq(th_udp_batch_new(1, 65537, &batch), -EINVAL);
    ck_assert_int_eq(th_udp_batch_new(1, 1, NULL), -EINVAL);
    ck_assert_ptr_null(batch);
    ck_assert_int_eq(th_udp_batch_new(1024, 65536, &batch), 0);
    ck_assert_int_eq(th_udp_recv_batch(a, NULL, &got), -EINVAL);
    ck_assert_int_eq(th_udp_recv_batch(a, batch, NULL), -EINVAL);
    ck_assert_int_eq(th_udp_send_batch(a, NULL, 1), -EINVAL);
    th_udp_batch_free(batch);
    th_udp_free(a);
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "both ways");
    add_on_engines(tcase, a_batch_arrives_in_order_whatever_the_sizes);
    add_on_engines(tcase, a_socket_that_coalesces_gives_the_same_datagrams);
    tcase_add_test(tcase, a_batch_costs_few_calls);
    tcase_add_test(tcase, a_batch_of_none_is_nothing);
    tcase = thi_check_case(suite, "receiving");
    add_on_engines(tcase, each_datagram_of_a_batch_names_its_own_sender);
    tcase_add_test(tcase, a_batch_with_room_for_one_receives_one_by_one);
    tcase_add_test(tcase, what_a_batch_has_no_views_for_comes_with_the_next_call);
    add_on_engines(tcase, with_errors_on_a_batch_tells_what_came_back);
    tcase_add_test(tcase, target_service_class_and_hops_are_told);
    tcase_add_test(tcase, an_answer_leaves_from_the_address_that_was_asked);
    tcase = thi_check_case(suite, "verdicts");
    tcase_add_test(tcase, a_bad_one_between_good_ones_fails_alone);
    tcase_add_test(tcase, a_batch_on_a_connected_socket_names_no_targets);
    tcase_add_test(tcase, a_batch_that_begins_too_late_is_not_sent);
    tcase = thi_check_case(suite, "what the kernel refuses");
    tcase_add_test(tcase, what_the_device_cannot_split_is_sent_one_by_one);
    tcase_add_test(tcase, an_old_kernel_is_not_asked_to_split);
    tcase = thi_check_case(suite, "users");
    add_on_engines(tcase, fibers_with_batches_of_their_own_share_a_socket);
    tcase_add_test(tcase, misuse_of_batches_is_refused);
}

int main(void)
{
    return thi_check_run("net/udp_batch", fill_suite);
}
