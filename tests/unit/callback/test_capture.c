/* SPDX-License-Identifier: MIT */

/* The bytes of dispatchers are captured as those of streams are. */
#include "callback/channels.h"

#include "net/capture.h"

typedef struct seen {
    size_t kinds[TH_CAPTURE_CLOSED + 1];
    uint64_t bytes[TH_CAPTURE_CLOSED + 1];
} seen;

static int note_record(void *arg, const void *bytes, size_t size)
{
    seen *s = arg;
    th_capture_record r;
    memcpy(&r, bytes, sizeof r);
    ck_assert_uint_eq(size, sizeof r + r.size);
    ck_assert_uint_le(r.kind, TH_CAPTURE_CLOSED);
    s->kinds[r.kind]++;
    s->bytes[r.kind] += r.size;
    return 0;
}

FIBER_TEST(what_a_dispatcher_receives_and_sends_and_its_close)
{
    seen s = { .kinds = { 0 } };
    char buf[8];
    channel c = { .result = 0 };
    ck_assert_int_eq(thi_capture_begin("*", false), 0);
    int peer = open_channel(&c, &reading, NULL, AF_INET);
    peer_sends(peer, "warp");
    turn_until(NULL, c.got_len == 4);
    ck_assert_int_eq(th_dispatcher_send(c.d, "web", 3), 3);
    ck_assert_int_eq(read(peer, buf, sizeof buf), 3);
    close(peer);
    turn_until(NULL, strchr(c.told, 'z') != NULL);
    end_channels(NULL);
    ck_assert_int_gt(thi_capture_drain(note_record, &s), 0);
    thi_capture_finish();
    ck_assert_uint_eq(s.kinds[TH_CAPTURE_OPEN], 1);
    ck_assert_uint_eq(s.bytes[TH_CAPTURE_RECEIVED], 4);
    ck_assert_uint_eq(s.bytes[TH_CAPTURE_SENT], 3);
    ck_assert_uint_eq(s.kinds[TH_CAPTURE_ENDED], 1);
    ck_assert_uint_eq(s.kinds[TH_CAPTURE_CLOSED], 1);
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "dispatchers");
    add_on_engines(tcase, what_a_dispatcher_receives_and_sends_and_its_close);
}

int main(void)
{
    return thi_check_run("callback/capture", fill_suite);
}
