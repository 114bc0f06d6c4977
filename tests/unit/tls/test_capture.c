/* SPDX-License-Identifier: MIT */

/* What is inside of TLS is captured when that is asked for, in place of the bytes of the wire. */
#include "streams.h"

#include "base/alloc.h"
#include "net/capture.h"

/* What has been drained: of the connection that was opened first, and how many there were. */
typedef struct bag {
    size_t opened;
    size_t inside; /* of these, such as TLS says the bytes of */
    size_t kinds[TH_CAPTURE_CLOSED + 1];
    size_t len;
    char bytes[32 * 1024]; /* of both directions, as they came */
} bag;

static bag got;

static int collect(void *arg, const void *bytes, size_t size)
{
    bag *b = arg;
    th_capture_record r;
    memcpy(&r, bytes, sizeof r);
    const char *payload = (const char *)bytes + sizeof r;
    ck_assert_uint_eq(size, sizeof r + r.size);
    ck_assert(r.kind >= TH_CAPTURE_OPEN && r.kind <= TH_CAPTURE_CLOSED);
    if (r.kind == TH_CAPTURE_OPEN) {
        b->opened++;
        b->inside += r.size >= 4 && memcmp(payload + r.size - 4, TH_CAPTURE_INSIDE_TLS, 4) == 0;
    }
    if (r.connection != 1)
        return 0;
    b->kinds[r.kind]++;
    if (r.kind == TH_CAPTURE_RECEIVED || r.kind == TH_CAPTURE_SENT) {
        ck_assert_uint_le(b->len + r.size, sizeof b->bytes);
        memcpy(b->bytes + b->len, payload, r.size);
        b->len += r.size;
    }
    return 0;
}

static void drain(void)
{
    got = (bag){ .opened = 0 };
    ck_assert_int_ge(thi_capture_drain(collect, &got), 0);
}

static bool has(const char *text)
{
    return memmem(got.bytes, got.len, text, strlen(text)) != NULL;
}

static void is(const char *text)
{
    ck_assert_uint_eq(got.len, strlen(text));
    ck_assert_mem_eq(got.bytes, text, got.len);
}

static void talk(void)
{
    write_text(client_side, "warp and weft");
    read_text(server_side, "warp and weft");
    write_text(server_side, "a web");
    read_text(client_side, "a web");
}

/* ---------------------------------------------------------------------------------------------- */

FIBER_TEST(who_asks_sees_what_is_inside_and_nothing_of_the_wire)
{
    char byte;
    ck_assert_int_eq(thi_capture_begin("*", true), 0);
    make_contexts((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    open_sockets();
    shake_well();
    talk();
    ck_assert_int_eq(th_stream_shutdown(client_side), 0);
    ck_assert_int_eq(th_stream_read(server_side, &byte, 1), TH_EOF);
    free_sides();
    drain();
    thi_capture_finish();
    ck_assert_uint_eq(got.opened, 2);
    ck_assert_uint_eq(got.inside, 2);
    is("warp and wefta web");
    ck_assert_uint_eq(got.kinds[TH_CAPTURE_SHUT], 1); /* it is the client's: it spoke first */
    ck_assert_uint_eq(got.kinds[TH_CAPTURE_CLOSED], 1);
}

FIBER_TEST(who_does_not_ask_sees_the_wire_alone)
{
    ck_assert_int_eq(thi_capture_begin("*", false), 0);
    make_contexts((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    open_sockets();
    shake_well();
    talk();
    free_sides();
    drain();
    thi_capture_finish();
    ck_assert_uint_eq(got.opened, 2);
    ck_assert_uint_eq(got.inside, 0);
    ck_assert_uint_gt(got.len, 500); /* a handshake */
    ck_assert(!has("warp"));
    ck_assert(!has("a web"));
}

FIBER_TEST(a_capture_may_begin_and_end_and_begin_otherwise_in_the_middle)
{
    make_contexts((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    open_sockets();
    shake_well();
    talk();
    for (int i = 0; i < 4; i++) {
        bool inside = i % 2;
        ck_assert_int_eq(thi_capture_begin("*", inside), 0);
        talk();
        drain();
        thi_capture_finish();
        ck_assert_uint_eq(got.inside, inside ? 2 : 0);
        ck_assert_int_eq(has("warp and weft"), inside);
        if (inside)
            is("warp and wefta web");
    }
    free_sides();
}

static th_stream *unwrapped;

static int unwrap_server(void *arg)
{
    (void)arg;
    return th_tls_unwrap(server_side, &unwrapped);
}

FIBER_TEST(plain_then_tls_then_plain_is_one_connection)
{
    th_scope scope;
    ck_assert_int_eq(thi_capture_begin("*", true), 0);
    make_contexts((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    open_sockets();
    write_text(client_plain, "STARTTLS;");
    read_text(server_plain, "STARTTLS;");
    shake_well();
    write_text(client_side, "inside;");
    read_text(server_side, "inside;");
    open_scope(&scope);
    spawn(&scope, unwrap_server, NULL);
    ck_assert_int_eq(th_tls_unwrap(client_side, &client_side), 0);
    ck_assert_int_eq(th_scope_close(&scope), 0);
    server_side = unwrapped;
    write_text(client_side, "outside");
    read_text(server_side, "outside");
    free_sides();
    drain();
    thi_capture_finish();
    ck_assert_uint_eq(got.opened, 2);
    ck_assert_uint_eq(got.inside, 0); /* it was told of before it spoke TLS */
    is("STARTTLS;inside;outside");
}

FIBER_TEST(tls_may_outlive_what_carries_it)
{
    static const th_tls_stream_opts kept = { .keep_below = 1 };
    static const th_tls_stream_opts client = { .name = "server.test" };
    int result;
    char byte;
    make_contexts((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    open_sockets();
    ck_assert_int_eq(shake_as(&kept, &client, &result), 0);
    ck_assert_int_eq(result, 0);
    write_text(client_side, "warp and weft");
    read_text(server_side, "warp"); /* the rest is decrypted as well */
    ck_assert_int_eq(thi_capture_begin("*", true), 0);
    ck_assert_int_eq(th_stream_close(server_plain), 0);
    read_text(server_side, " and weft");
    ck_assert_int_lt(th_stream_read(server_side, &byte, 1), 0);
    drain();
    thi_capture_finish();
    ck_assert_uint_eq(got.opened, 0); /* there is no connection any more */
    free_sides();
    th_stream_free(server_plain);
}

FIBER_TEST(without_memory_nothing_is_covered_and_nothing_is_wrong)
{
    struct thi_tap *tap = NULL;
    thi_alloc_fail_at(1);
    struct thi_tap *covering = thi_capture_cover(&tap, -1);
    ck_assert_int_eq(thi_alloc_fail_at(0), 0);
    ck_assert_ptr_null(covering);
    ck_assert_ptr_null(tap);
    ck_assert_int_eq(thi_capture_begin("*", true), 0);
    thi_capture_inside_end(covering, TH_CAPTURE_SHUT);
    thi_capture_uncover(&covering);
    drain();
    thi_capture_finish();
    ck_assert_uint_eq(got.opened, 0);
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "inside");
    add_on_engines(tcase, who_asks_sees_what_is_inside_and_nothing_of_the_wire);
    add_on_engines(tcase, who_does_not_ask_sees_the_wire_alone);
    tcase_add_test(tcase, a_capture_may_begin_and_end_and_begin_otherwise_in_the_middle);
    tcase_add_test(tcase, plain_then_tls_then_plain_is_one_connection);
    tcase_add_test(tcase, tls_may_outlive_what_carries_it);
    tcase_add_test(tcase, without_memory_nothing_is_covered_and_nothing_is_wrong);
}

int main(void)
{
    return thi_check_run("tls/capture", fill_suite);
}
