/* SPDX-License-Identifier: MIT */

/* Frames of every kind, whatever their handler does in the middle of a chunk. */
#include "callback/probe.h"

#include "base/alloc.h"

#include <thrum/framing.h>

typedef struct sink sink;

struct sink {
    probe p; /* for its other end */
    th_framing *f;
    th_framing_opts opts;
    const th_frames *frames;
    char out[512]; /* frames, each with a bar behind it; other things in brackets */
    size_t len;
    int count;
    bool lost;
    int (*act)(sink *s, th_str frame);
    int (*too_long)(sink *s, size_t length, th_str rest);
};

static void put(sink *s, const char *format, th_str bytes)
{
    if (s->len < sizeof s->out)
        s->len +=
            (size_t)snprintf(s->out + s->len, sizeof s->out - s->len, format, TH_STR_ARG(bytes));
    ck_assert(!inside);
    th_event_set(&news);
}

static int on_made(th_framing *f, void *self)
{
    sink *s = self;
    ck_assert_ptr_eq(s->f, f);
    return 0;
}

static int on_frame(th_framing *f, void *self, th_str frame)
{
    sink *s = self;
    ck_assert_ptr_eq(s->f, f);
    s->count++;
    put(s, "%.*s|", frame);
    return s->act ? s->act(s, frame) : 0;
}

static int on_raw(th_framing *f, void *self, th_str bytes)
{
    sink *s = self;
    ck_assert_ptr_eq(s->f, f);
    put(s, "(%.*s)", bytes);
    return s->act ? s->act(s, bytes) : 0;
}

static int on_exceeded(th_framing *f, void *self, size_t length, th_str rest)
{
    sink *s = self;
    ck_assert_ptr_eq(s->f, f);
    put(s, "<%.*s>", rest);
    return s->too_long ? s->too_long(s, length, rest) : 0;
}

static int on_end(th_framing *f, void *self, th_str partial)
{
    sink *s = self;
    (void)f;
    put(s, "[%.*s]", partial);
    return 0;
}

static void on_lost(th_framing *f, void *self, int reason)
{
    sink *s = self;
    ck_assert_ptr_eq(s->f, f);
    s->lost = true;
    s->p.reason = reason;
    th_event_set(&news);
}

static const th_frames all_frames = {
    .made = on_made,
    .frame = on_frame,
    .raw = on_raw,
    .exceeded = on_exceeded,
    .eof = on_end,
    .lost = on_lost,
};
static const th_frames no_hook = { .frame = on_frame, .lost = on_lost };

static int use_sink(th_transport *t, void *arg)
{
    sink *s = arg;
    return th_framing_start(t, &s->opts, s->frames ? s->frames : &all_frames, s, &s->f);
}

static void open_sink(sink *s)
{
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    set_nonblocking(fds[1]);
    s->p.peer = fds[1];
    ck_assert_int_eq(CALL(th_protocol_open(fds[0], use_sink, s, NULL)), 0);
}

static void end_sink(sink *s)
{
    if (!s->lost)
        (void)th_transport_abort(th_framing_transport(s->f), 0);
    await(s->lost);
    close(s->p.peer);
}

static void sends(sink *s, th_str bytes)
{
    ck_assert_int_eq(write(s->p.peer, bytes.ptr, bytes.len), (ssize_t)bytes.len);
}

/* Sends text in two pieces, cut at each place, and wants it to become that; then the end. */
static void cut_everywhere(th_framing_opts opts, th_str text, const char *wanted)
{
    for (size_t at = 0; at <= text.len; at++) {
        sink s = { .opts = opts };
        open_sink(&s);
        let_loop_run();
        sends(&s, th_str_make(text.ptr, at));
        let_loop_run();
        sends(&s, th_str_make(text.ptr + at, text.len - at));
        ck_assert_int_eq(shutdown(s.p.peer, SHUT_WR), 0);
        await(s.lost);
        ck_assert_str_eq(s.out, wanted);
        ck_assert_int_eq(s.p.reason, 0);
        end_sink(&s);
    }
}

/* ---- kinds ----------------------------------------------------------------------------------- */

FIBER_TEST(each_kind_is_cut_at_every_byte)
{
    th_framing_opts opts = { .kind = TH_FRAMING_LINES };
    cut_everywhere(opts, TH_STR("warp\r\n\r\nweft\r\nxy"), "warp||weft|[xy]");
    opts.delimiter = TH_STR("--");
    cut_everywhere(opts, TH_STR("warp--a-b--"), "warp|a-b|[]");
    opts = (th_framing_opts){ .kind = TH_FRAMING_NETSTRINGS };
    cut_everywhere(opts, TH_STR("4:warp,0:,4:w,ft,3:"), "warp||w,ft|[3:]");
    opts.kind = TH_FRAMING_PREFIX8;
    cut_everywhere(opts, TH_STR("\4warp\0\2ab"), "warp||ab|[]");
    opts.kind = TH_FRAMING_PREFIX16;
    cut_everywhere(opts, TH_STR("\0\4warp\0\0\0\2ab"), "warp||ab|[]");
    opts.kind = TH_FRAMING_PREFIX32;
    cut_everywhere(opts, TH_STR("\0\0\0\4warp\0\0\0\0\0\0\0\2ab"), "warp||ab|[]");
    opts = (th_framing_opts){ .kind = TH_FRAMING_FIXED, .length = 3 };
    cut_everywhere(opts, TH_STR("warpweftx"), "war|pwe|ftx|[]");
}

/* What is sent is what is received. */
FIBER_TEST(each_kind_sends_what_it_receives)
{
    static const th_framing_opts kinds[] = {
        { .kind = TH_FRAMING_LINES },    { .kind = TH_FRAMING_NETSTRINGS },
        { .kind = TH_FRAMING_PREFIX8 },  { .kind = TH_FRAMING_PREFIX16 },
        { .kind = TH_FRAMING_PREFIX32 }, { .kind = TH_FRAMING_FIXED, .length = 4 },
    };
    for (size_t i = 0; i < thi_array_len(kinds); i++) {
        char wire[256];
        sink s = { .opts = kinds[i] };
        open_sink(&s);
        ck_assert_int_eq(CALL(th_framing_send(s.f, TH_STR("warp"))), 0);
        ck_assert_int_eq(CALL(th_framing_send(s.f, TH_STR("weft"))), 0);
        let_loop_run();
        ssize_t n = peer_reads(&s.p, wire, sizeof wire);
        ck_assert_int_gt(n, 0);
        sends(&s, th_str_make(wire, (size_t)n));
        await(s.count == 2);
        ck_assert_str_eq(s.out, "warp|weft|");
        end_sink(&s);
    }
}

FIBER_TEST(what_does_not_fit_is_not_sent)
{
    static char big[70000];
    char byte;
    sink s = { .opts = { .kind = TH_FRAMING_PREFIX8 } };
    open_sink(&s);
    ck_assert_int_eq(th_framing_send(s.f, th_str_make(big, 256)), -EMSGSIZE);
    ck_assert_int_eq(th_framing_set(s.f, &(th_framing_opts){ .kind = TH_FRAMING_PREFIX16 }), 0);
    ck_assert_int_eq(th_framing_send(s.f, th_str_make(big, 65536)), -EMSGSIZE);
    th_framing_opts fixed = { .kind = TH_FRAMING_FIXED, .length = 3 };
    ck_assert_int_eq(th_framing_set(s.f, &fixed), 0);
    ck_assert_int_eq(th_framing_send(s.f, TH_STR("four")), -EMSGSIZE);
    ck_assert_int_eq(th_framing_send(NULL, TH_STR("four")), -EINVAL);
    let_loop_run();
    ck_assert_int_eq(peer_reads(&s.p, &byte, 1), -EAGAIN);
    end_sink(&s);
}

FIBER_TEST(misuse_is_refused)
{
    probe p = { .peer = -1 };
    static const th_frames none = { .lost = on_lost };
    static const th_framing_opts bad[] = {
        { .kind = 0 },
        { .kind = TH_FRAMING_RAW + 1 },
        { .kind = TH_FRAMING_PREFIX8, .limit = 256 },
        { .kind = TH_FRAMING_PREFIX16, .limit = 65536 },
        { .kind = TH_FRAMING_FIXED },
        { .kind = TH_FRAMING_LINES, .delimiter = { "12345678901234567", 17 } },
        { .kind = TH_FRAMING_LINES, .size = sizeof bad[0] + 1 },
    };
    th_framing_opts lines = { .kind = TH_FRAMING_LINES };
    th_framing_opts raw = { .kind = TH_FRAMING_RAW };
    open_probe(&p);
    for (size_t i = 0; i < thi_array_len(bad); i++)
        ck_assert_int_eq(th_framing_start(p.t, &bad[i], &all_frames, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_framing_start(p.t, &lines, &none, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_framing_start(p.t, &raw, &no_hook, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_framing_start(p.t, NULL, &all_frames, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_framing_start(p.t, &lines, NULL, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_framing_start(NULL, &lines, &all_frames, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_framing_set(NULL, &lines), -EINVAL);
    ck_assert_ptr_null(th_framing_transport(NULL));
    await(was_told(&p, "m"));
    close_probe(&p);
}

/* ---- limits ---------------------------------------------------------------------------------- */

FIBER_TEST(a_frame_that_is_too_long_ends_the_connection)
{
    sink s = { .opts = { .kind = TH_FRAMING_PREFIX16, .limit = 4 }, .frames = &no_hook };
    open_sink(&s);
    sends(&s, TH_STR("\0\4warp\0\5weft!\0\1x"));
    await(s.lost);
    ck_assert_str_eq(s.out, "warp|");
    ck_assert_int_eq(s.p.reason, TH_ELIMIT);
    end_sink(&s);
}

FIBER_TEST(what_is_no_frame_ends_the_connection)
{
    sink s = { .opts = { .kind = TH_FRAMING_NETSTRINGS } };
    open_sink(&s);
    sends(&s, TH_STR("4:warp,4:weft;4:weft,"));
    await(s.lost);
    ck_assert_str_eq(s.out, "warp|");
    ck_assert_int_eq(s.p.reason, TH_EPROTO);
    end_sink(&s);
}

static size_t told_length;

static int note_length(sink *s, size_t length, th_str rest)
{
    (void)rest;
    told_length = length;
    ck_assert_int_eq(CALL(th_framing_send(s->f, TH_STR("no"))), 0);
    return 0;
}

FIBER_TEST(the_hook_hears_the_length_and_may_answer_before_the_close)
{
    sink s = { .opts = { .kind = TH_FRAMING_PREFIX16, .limit = 4 }, .too_long = note_length };
    open_sink(&s);
    sends(&s, TH_STR("\0\4warp\4\5weft!"));
    await(s.lost);
    ck_assert_uint_eq(told_length, 0x405);
    ck_assert_int_eq(s.p.reason, 0);
    char wire[8];
    ck_assert_uint_eq(peer_takes(&s.p, wire, sizeof wire), 4);
    ck_assert_mem_eq(wire, "\0\2no", 4);
    end_sink(&s);
}

static int go_on(sink *s, size_t length, th_str rest)
{
    (void)s;
    ck_assert_uint_eq(length, rest.len);
    return 1;
}

FIBER_TEST(a_long_line_is_told_with_all_that_is_left_and_may_be_passed_over)
{
    sink s = { .opts = { .kind = TH_FRAMING_LINES, .limit = 4 }, .too_long = go_on };
    open_sink(&s);
    sends(&s, TH_STR("warp\r\nmuch too long\r\nlost\r\n"));
    await(s.len == 28);
    sends(&s, TH_STR("weft\r\n"));
    await(s.count == 2);
    ck_assert_str_eq(s.out, "warp|<much too long\r\nlost\r\n>weft|");
    end_sink(&s);
}

/* ---- in the middle of a chunk ---------------------------------------------------------------- */

static int pause_now(sink *s, th_str frame)
{
    (void)frame;
    return CALL(th_transport_pause_reading(th_framing_transport(s->f)));
}

FIBER_TEST(pausing_holds_back_the_rest_of_the_chunk_and_what_comes_meanwhile)
{
    sink s = { .opts = { .kind = TH_FRAMING_LINES }, .act = pause_now };
    open_sink(&s);
    sends(&s, TH_STR("one\r\ntwo\r\nthr"));
    for (int i = 1; i <= 3; i++) {
        await(s.count == i);
        let_loop_run();
        ck_assert_int_eq(s.count, i);
        if (i == 1)
            sends(&s, TH_STR("ee\r\n"));
        ck_assert_int_eq(CALL(th_transport_resume_reading(th_framing_transport(s.f))), 0);
    }
    ck_assert_str_eq(s.out, "one|two|three|");
    end_sink(&s);
}

static int close_now(sink *s, th_str frame)
{
    (void)frame;
    return CALL(th_transport_close(th_framing_transport(s->f)));
}

FIBER_TEST(closing_drops_the_rest_of_the_chunk)
{
    sink s = { .opts = { .kind = TH_FRAMING_LINES }, .act = close_now };
    open_sink(&s);
    sends(&s, TH_STR("one\r\ntwo\r\n"));
    await(s.lost);
    ck_assert_str_eq(s.out, "one|");
    ck_assert_int_eq(s.p.reason, 0);
    end_sink(&s);
}

static int fail_now(sink *s, th_str frame)
{
    (void)s;
    (void)frame;
    return -EBADMSG;
}

FIBER_TEST(a_handler_that_fails_ends_the_connection_with_that)
{
    sink s = { .opts = { .kind = TH_FRAMING_LINES }, .act = fail_now };
    open_sink(&s);
    sends(&s, TH_STR("one\r\ntwo\r\n"));
    await(s.lost);
    ck_assert_str_eq(s.out, "one|");
    ck_assert_int_eq(s.p.reason, -EBADMSG);
    end_sink(&s);
}

/* "raw N" is followed by N raw bytes, then by lines again. */
static size_t raw_left;

static int switch_kinds(sink *s, th_str frame)
{
    th_framing_opts lines = { .kind = TH_FRAMING_LINES };
    th_framing_opts fixed = { .kind = TH_FRAMING_FIXED };
    if (raw_left > 0) {
        raw_left = 0;
        return th_framing_set(s->f, &lines);
    }
    if (frame.len > 4 && memcmp(frame.ptr, "raw ", 4) == 0) {
        fixed.length = raw_left = (size_t)strtoul(frame.ptr + 4, NULL, 10);
        return th_framing_set(s->f, &fixed);
    }
    return 0;
}

FIBER_TEST(the_kind_may_change_in_the_middle_of_a_chunk)
{
    sink s = { .opts = { .kind = TH_FRAMING_LINES }, .act = switch_kinds };
    open_sink(&s);
    sends(&s, TH_STR("one\r\nraw 5\r\n\r\nxyztwo\r\nraw 1\r\n!three\r\n"));
    await(s.count == 7);
    ck_assert_str_eq(s.out, "one|raw 5|\r\nxyz|two|raw 1|!|three|");
    end_sink(&s);
}

static void *lowest; /* of the stack, seen by the handler */

static int flip(sink *s, th_str frame)
{
    char here;
    th_framing_opts lines = { .kind = TH_FRAMING_LINES, .delimiter = TH_STR("\n") };
    th_framing_opts fixed = { .kind = TH_FRAMING_FIXED, .length = 1 };
    (void)frame;
    if (!lowest)
        lowest = &here;
    ck_assert(labs((char *)lowest - &here) < 4096);
    return th_framing_set(s->f, s->count % 2 ? &fixed : &lines);
}

FIBER_TEST(ten_thousand_changes_in_a_chunk_do_not_deepen_the_stack)
{
    static char text[30000];
    sink s = { .opts = { .kind = TH_FRAMING_LINES, .delimiter = TH_STR("\n") }, .act = flip };
    for (size_t i = 0; i < sizeof text; i += 3)
        memcpy(text + i, "a\nb", 3);
    open_sink(&s);
    lowest = NULL;
    sends(&s, th_str_make(text, sizeof text));
    await(s.count == 20000);
    end_sink(&s);
}

static int to_raw(sink *s, th_str frame)
{
    (void)frame;
    s->act = NULL;
    return th_framing_set(s->f, &(th_framing_opts){ .kind = TH_FRAMING_RAW });
}

FIBER_TEST(raw_bytes_are_handed_over_as_they_come)
{
    sink s = { .opts = { .kind = TH_FRAMING_LINES }, .act = to_raw };
    open_sink(&s);
    sends(&s, TH_STR("go\r\nwarp\r\nwe"));
    await(strcmp(s.out, "go|(warp\r\nwe)") == 0);
    sends(&s, TH_STR("ft"));
    await(strcmp(s.out, "go|(warp\r\nwe)(ft)") == 0);
    ck_assert_int_eq(CALL(th_framing_send(s.f, TH_STR("as it is"))), 0);
    peer_gets(&s.p, "as it is");
    end_sink(&s);
}

static int to_probe(sink *s, th_str frame)
{
    (void)frame;
    s->p.t = th_framing_transport(s->f);
    return CALL(th_transport_set_protocol(s->p.t, &probe_protocol, &s->p));
}

FIBER_TEST(another_protocol_gets_the_rest_of_the_chunk)
{
    sink s = { .opts = { .kind = TH_FRAMING_LINES }, .act = to_probe };
    open_sink(&s);
    sends(&s, TH_STR("upgrade\r\nfirst\r\nse"));
    await(s.p.len == 9);
    sends(&s, TH_STR("cond"));
    await(s.p.len == 13);
    got_is(&s.p, "first\r\nsecond");
    ck_assert_str_eq(s.out, "upgrade|");
    close(s.p.peer);
    await(is_lost(&s.p));
    ck_assert(!s.lost);
    free(s.p.got);
}

FIBER_TEST(another_protocol_gets_what_was_kept_of_a_frame)
{
    sink s = { .opts = { .kind = TH_FRAMING_LINES } };
    open_sink(&s);
    sends(&s, TH_STR("one\r\npart"));
    await(s.count == 1);
    ck_assert_int_eq(to_probe(&s, TH_STR("")), 0);
    await(s.p.len == 4);
    got_is(&s.p, "part");
    close(s.p.peer);
    await(is_lost(&s.p));
    free(s.p.got);
}

FIBER_TEST(the_kind_may_change_between_chunks_and_what_was_kept_is_looked_at_anew)
{
    sink s = { .opts = { .kind = TH_FRAMING_LINES } };
    open_sink(&s);
    sends(&s, TH_STR("one\r\n4:warp,4:we"));
    await(s.count == 1);
    let_loop_run();
    th_framing_opts netstrings = { .kind = TH_FRAMING_NETSTRINGS };
    ck_assert_int_eq(CALL(th_framing_set(s.f, &netstrings)), 0);
    await(s.count == 2);
    sends(&s, TH_STR("ft,"));
    await(s.count == 3);
    ck_assert_str_eq(s.out, "one|warp|weft|");
    end_sink(&s);
}

FIBER_TEST(each_allocation_may_fail)
{
    for (int64_t n = 1;; n++) {
        sink s = { .opts = { .kind = TH_FRAMING_LINES } };
        int fds[2];
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        set_nonblocking(fds[1]);
        s.p.peer = fds[1];
        sends(&s, TH_STR("one\r\ntw"));
        thi_alloc_fail_at(n);
        int err = th_protocol_open(fds[0], use_sink, &s, NULL);
        if (err == 0) {
            while (s.count == 0 && !s.lost)
                ck_assert_int_eq(th_yield(), 0);
            (void)!write(fds[1], "o\r\n", 3);
            shutdown(fds[1], SHUT_WR);
            while (!s.lost)
                ck_assert_int_eq(th_yield(), 0);
            ck_assert(s.p.reason == 0 ? s.count == 2 : s.p.reason == -ENOMEM);
        } else {
            ck_assert_int_eq(err, -ENOMEM);
            close(fds[0]);
        }
        bool struck = thi_alloc_fail_at(0) == 0;
        close(fds[1]);
        if (!struck)
            break;
    }
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "kinds");
    add_on_engines(tcase, each_kind_is_cut_at_every_byte);
    tcase_add_test(tcase, each_kind_sends_what_it_receives);
    tcase_add_test(tcase, what_does_not_fit_is_not_sent);
    tcase_add_test(tcase, misuse_is_refused);
    tcase = thi_check_case(suite, "limits");
    tcase_add_test(tcase, a_frame_that_is_too_long_ends_the_connection);
    tcase_add_test(tcase, what_is_no_frame_ends_the_connection);
    tcase_add_test(tcase, the_hook_hears_the_length_and_may_answer_before_the_close);
    tcase_add_test(tcase, a_long_line_is_told_with_all_that_is_left_and_may_be_passed_over);
    tcase = thi_check_case(suite, "in a chunk");
    add_on_engines(tcase, pausing_holds_back_the_rest_of_the_chunk_and_what_comes_meanwhile);
    tcase_add_test(tcase, closing_drops_the_rest_of_the_chunk);
    tcase_add_test(tcase, a_handler_that_fails_ends_the_connection_with_that);
    add_on_engines(tcase, the_kind_may_change_in_the_middle_of_a_chunk);
    tcase_add_test(tcase, ten_thousand_changes_in_a_chunk_do_not_deepen_the_stack);
    tcase_add_test(tcase, raw_bytes_are_handed_over_as_they_come);
    tcase_add_test(tcase, another_protocol_gets_the_rest_of_the_chunk);
    tcase_add_test(tcase, another_protocol_gets_what_was_kept_of_a_frame);
    tcase_add_test(tcase, the_kind_may_change_between_chunks_and_what_was_kept_is_looked_at_anew);
    tcase_add_test(tcase, each_allocation_may_fail);
}

int main(void)
{
    return thi_check_run("callback/framing", fill_suite);
}
