/* SPDX-License-Identifier: MIT */

/* Taps on sockets, and the control socket: what is kept, what is lost, what is refused. */
#include "pair.h"

#include "base/alloc.h"
#include "net/capture.h"
#include "sys/fault.h"

#include <thrum/control.h>

#include <sys/un.h>

/* What has been drained. */
typedef struct bag {
    size_t kinds[8];
    uint64_t bytes[8];
    uint64_t connections; /* the highest number */
    char first[64];       /* bytes of the first record with any from the peer */
    char names[2 * TH_ADDR_TEXT];
    int fail; /* what hand_on() is to return */
} bag;

static int collect(void *arg, const void *bytes, size_t size)
{
    bag *b = arg;
    th_capture_record r;
    memcpy(&r, bytes, sizeof r);
    ck_assert_uint_eq(size, sizeof r + r.size);
    ck_assert(r.kind >= TH_CAPTURE_OPEN && r.kind <= TH_CAPTURE_CLOSED);
    const char *payload = (const char *)bytes + sizeof r;
    if (r.kind == TH_CAPTURE_RECEIVED && b->kinds[r.kind] == 0)
        memcpy(b->first, payload, r.size < sizeof b->first ? r.size : sizeof b->first - 1);
    if (r.kind == TH_CAPTURE_OPEN)
        memcpy(b->names, payload, r.size);
    b->kinds[r.kind]++;
    b->bytes[r.kind] += r.size;
    if (r.connection > b->connections)
        b->connections = r.connection;
    return b->fail;
}

static ptrdiff_t drain(bag *b)
{
    memset(b->kinds, 0, sizeof b->kinds);
    memset(b->bytes, 0, sizeof b->bytes);
    memset(b->first, 0, sizeof b->first);
    b->connections = 0;
    return thi_capture_drain(collect, b);
}

/* The peer says it, and the stream reads it. */
static void hear(pair *p, const char *text)
{
    char buf[64];
    size_t len = strlen(text);
    ck_assert_int_eq(write(p->peer, text, len), (ssize_t)len);
    ck_assert_int_eq(th_stream_read_all(p->stream, buf, len), (ssize_t)len);
}

static void say(pair *p, const char *text)
{
    char buf[64];
    size_t len = strlen(text);
    ck_assert_int_eq(th_stream_write(p->stream, text, len), (ssize_t)len);
    ck_assert_int_eq(read(p->peer, buf, sizeof buf), (ssize_t)len);
}

/* ---- taps ------------------------------------------------------------------------------------ */

FIBER_TEST(what_passes_is_kept_in_order_from_the_opening_to_the_close)
{
    bag b = { .fail = 0 };
    pair p = open_tcp_pair();
    hear(&p, "before");
    ck_assert_int_eq(thi_capture_begin("*", false), 0);
    hear(&p, "warp");
    say(&p, "weft");
    say(&p, "web");
    ck_assert_int_eq(th_stream_shutdown(p.stream), 0);
    close_pair(&p);
    ck_assert_int_gt(drain(&b), 0);
    thi_capture_finish();
    ck_assert_uint_eq(b.kinds[TH_CAPTURE_OPEN], 1);
    ck_assert_uint_eq(b.bytes[TH_CAPTURE_RECEIVED], 4);
    ck_assert_str_eq(b.first, "warp");
    ck_assert_uint_eq(b.kinds[TH_CAPTURE_SENT], 2);
    ck_assert_uint_eq(b.bytes[TH_CAPTURE_SENT], 7);
    ck_assert_uint_eq(b.kinds[TH_CAPTURE_SHUT], 1);
    ck_assert_uint_eq(b.kinds[TH_CAPTURE_CLOSED], 1);
    ck_assert_uint_eq(b.connections, 1);
    ck_assert(strncmp(b.names, "127.0.0.1:", 10) == 0);
    ck_assert(strncmp(b.names + strlen(b.names) + 1, "127.0.0.1:", 10) == 0);
    ck_assert_uint_eq(thi_capture_lost(), 0);
}

FIBER_TEST(the_end_of_the_peer_is_kept)
{
    bag b = { .fail = 0 };
    char byte;
    pair p = open_pair();
    ck_assert_int_eq(thi_capture_begin("*", false), 0);
    ck_assert_int_eq(shutdown(p.peer, SHUT_WR), 0);
    ck_assert_int_eq(th_stream_read(p.stream, &byte, 1), TH_EOF);
    ck_assert_int_gt(drain(&b), 0);
    ck_assert_uint_eq(b.kinds[TH_CAPTURE_ENDED], 1);
    thi_capture_finish();
    close_pair(&p);
}

FIBER_TEST(only_what_is_named_is_kept)
{
    bag b = { .fail = 0 };
    char what[16];
    pair p = open_pair();
    pair q = open_pair();
    snprintf(what, sizeof what, "%d", q.socket->watch.fd);
    ck_assert_int_eq(thi_capture_begin(what, false), 0);
    hear(&p, "warp");
    hear(&q, "weft");
    ck_assert_int_gt(drain(&b), 0);
    ck_assert_uint_eq(b.kinds[TH_CAPTURE_RECEIVED], 1);
    ck_assert_str_eq(b.first, "weft");
    thi_capture_finish();
    close_pair(&p);
    close_pair(&q);
    ck_assert_int_eq(thi_capture_begin("", false), -EINVAL);
    char much[2 * THI_CAPTURE_WHAT] = { 0 };
    memset(much, 'x', sizeof much - 1);
    ck_assert_int_eq(thi_capture_begin(much, false), -EINVAL);
    ck_assert(!thi_capture_is_on());
}

FIBER_TEST(a_capture_gets_nothing_of_the_one_before)
{
    bag b = { .fail = 0 };
    pair p = open_pair();
    ck_assert_int_eq(thi_capture_begin("*", false), 0);
    hear(&p, "warp");
    thi_capture_finish();
    hear(&p, "between");
    ck_assert_int_eq(thi_capture_begin("*", false), 0);
    hear(&p, "weft");
    ck_assert_int_gt(drain(&b), 0);
    ck_assert_uint_eq(b.kinds[TH_CAPTURE_OPEN], 1);
    ck_assert_uint_eq(b.bytes[TH_CAPTURE_RECEIVED], 4);
    ck_assert_str_eq(b.first, "weft");
    ck_assert_int_eq(drain(&b), 0);
    thi_capture_finish();
    close_pair(&p);
}

FIBER_TEST(what_does_not_fit_is_lost_and_counted_and_nobody_waits)
{
    enum { TIMES = 200, SIZE = 16 * 1024 };
    static char text[SIZE];
    bag b = { .fail = 0 };
    pair p = open_pair();
    ck_assert_int_eq(thi_capture_begin("*", false), 0);
    for (int i = 0; i < TIMES; i++) {
        ck_assert_int_eq(th_stream_write(p.stream, text, sizeof text), (ssize_t)sizeof text);
        for (size_t got = 0; got < sizeof text;) {
            ssize_t n = read(p.peer, text, sizeof text);
            ck_assert_int_gt(n, 0);
            got += (size_t)n;
        }
    }
    uint64_t lost = thi_capture_lost();
    ck_assert_uint_gt(lost, 0);
    ck_assert_int_gt(drain(&b), 0);
    ck_assert_uint_eq(b.bytes[TH_CAPTURE_SENT] + lost, (uint64_t)TIMES * SIZE);
    say(&p, "there is room again");
    ck_assert_int_gt(drain(&b), 0);
    ck_assert_uint_eq(b.bytes[TH_CAPTURE_SENT], 19);
    thi_capture_finish();
    close_pair(&p);
}

FIBER_TEST(a_large_write_is_several_records)
{
    static char text[100 * 1024];
    bag b = { .fail = 0 };
    pair p = open_pair();
    struct iovec iov[] = { { text, 1 }, { text, 70 * 1024 }, { text, 0 }, { text, 29 * 1024 } };
    ck_assert_int_eq(thi_capture_begin("*", false), 0);
    ssize_t n = p.stream->ops->writev(p.stream, iov, 4);
    ck_assert_int_gt(n, 64 * 1024);
    ck_assert_int_gt(drain(&b), 0);
    ck_assert_uint_eq(b.bytes[TH_CAPTURE_SENT], (uint64_t)n);
    ck_assert_uint_gt(b.kinds[TH_CAPTURE_SENT], 1);
    thi_capture_finish();
    close_pair(&p);
}

FIBER_TEST(who_cannot_hand_on_hears_of_it)
{
    bag b = { .fail = -EPIPE };
    pair p = open_pair();
    ck_assert_int_eq(thi_capture_begin("*", false), 0);
    hear(&p, "warp");
    ck_assert_int_eq(drain(&b), -EPIPE);
    thi_capture_finish();
    close_pair(&p);
}

FIBER_TEST(without_memory_bytes_pass_and_are_counted_as_lost)
{
    pair p = open_pair();
    hear(&p, "first");
    for (int64_t n = 1;; n++) {
        int64_t live = thi_alloc_live();
        ck_assert_int_eq(thi_capture_begin("*", false), 0);
        thi_alloc_fail_at(n);
        hear(&p, "warp");
        bool untouched = thi_alloc_fail_at(0) > 0;
        ck_assert_uint_eq(thi_capture_lost(), untouched ? 0 : 4);
        thi_capture_finish();
        if (untouched)
            break;
        ck_assert_int_ge(thi_alloc_live(), live);
        ck_assert_int_lt(n, 10);
    }
    close_pair(&p);
}

/* ---- the control socket ---------------------------------------------------------------------- */

static int count_fds(void)
{
    int count = 0;
    for (int fd = 0; fd < 128; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

START_TEST(it_opens_and_closes_again_and_again)
{
    int before = count_fds();
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(th_control_start(), 0);
        ck_assert_int_eq(th_control_start(), -EALREADY);
        ck_assert_int_eq(th_control_stop(), 0);
        ck_assert_int_eq(th_control_stop(), -EALREADY);
    }
    ck_assert_int_eq(count_fds(), before);
}
END_TEST

static struct sockaddr_un name_of_control(socklen_t *len)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    int n = snprintf(sa.sun_path + 1, sizeof sa.sun_path - 1, TH_CONTROL_NAME, (int)getpid());
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    return sa;
}

START_TEST(a_name_that_is_taken_is_told)
{
    socklen_t len;
    struct sockaddr_un sa = name_of_control(&len);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, len), 0);
    ck_assert_int_eq(th_control_start(), -EADDRINUSE);
    close(fd);
    ck_assert_int_eq(th_control_start(), 0);
    ck_assert_int_eq(th_control_stop(), 0);
}
END_TEST

START_TEST(each_call_of_the_opening_may_fail)
{
    int before = count_fds();
    unsigned long n = 0;
    const char *hit;
    do {
        thi_fault_begin(0, 0);
        thi_fault_order("socket bind listen eventfd thread", ++n, ENOMEM);
        int err = th_control_start();
        hit = thi_fault_hit();
        (void)thi_fault_end();
        ck_assert_int_eq(err, hit ? -ENOMEM : 0);
        if (err == 0)
            ck_assert_int_eq(th_control_stop(), 0);
        ck_assert_int_eq(count_fds(), before);
    } while (hit);
    ck_assert_uint_eq(n, 6);
}
END_TEST

/* Connects, and asks for everything. */
static int ask(void)
{
    char answer[3];
    socklen_t len;
    struct sockaddr_un sa = name_of_control(&len);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, len), 0);
    ck_assert_int_eq(write(fd, "capture *\n", 10), 10);
    ck_assert_int_eq(recv(fd, answer, 3, MSG_WAITALL), 3);
    ck_assert(memcmp(answer, "ok\n", 3) == 0);
    return fd;
}

FIBER_TEST(it_hands_out_what_passes_and_ends_in_the_middle_of_it)
{
    th_capture_record r;
    char payload[2 * TH_ADDR_TEXT];
    int before = count_fds();
    ck_assert_int_eq(th_control_start(), 0);
    int client = ask();
    pair p = open_pair();
    hear(&p, "warp");
    for (unsigned kind = TH_CAPTURE_OPEN; kind <= TH_CAPTURE_RECEIVED; kind++) {
        ck_assert_int_eq(recv(client, &r, sizeof r, MSG_WAITALL), (ssize_t)sizeof r);
        ck_assert_uint_eq(r.kind, kind);
        ck_assert_uint_lt(r.size, sizeof payload);
        ck_assert_int_eq(recv(client, payload, r.size, MSG_WAITALL), (ssize_t)r.size);
    }
    ck_assert(memcmp(payload, "warp", 4) == 0);
    ck_assert_int_eq(th_control_stop(), 0);
    ck_assert(!thi_capture_is_on());
    ck_assert_int_eq(recv(client, &r, sizeof r, MSG_WAITALL), 0);
    close(client);
    close_pair(&p);
    ck_assert_int_eq(count_fds(), before);
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "taps");
    add_on_engines(tcase, what_passes_is_kept_in_order_from_the_opening_to_the_close);
    add_on_engines(tcase, the_end_of_the_peer_is_kept);
    tcase_add_test(tcase, only_what_is_named_is_kept);
    tcase_add_test(tcase, a_capture_gets_nothing_of_the_one_before);
    tcase_add_test(tcase, what_does_not_fit_is_lost_and_counted_and_nobody_waits);
    tcase_add_test(tcase, a_large_write_is_several_records);
    tcase_add_test(tcase, who_cannot_hand_on_hears_of_it);
    tcase_add_test(tcase, without_memory_bytes_pass_and_are_counted_as_lost);

    tcase = thi_check_case(suite, "control");
    tcase_add_test(tcase, it_opens_and_closes_again_and_again);
    tcase_add_test(tcase, a_name_that_is_taken_is_told);
    tcase_add_test(tcase, each_call_of_the_opening_may_fail);
    tcase_add_test(tcase, it_hands_out_what_passes_and_ends_in_the_middle_of_it);
}

int main(void)
{
    return thi_check_run("net/capture", fill_suite);
}
