/* SPDX-License-Identifier: MIT */

/* Engines: the handshake, bytes and ends by hand, and every "not yet". */
#include "engines.h"

#include "base/util.h"

#include <sys/mman.h>

static const int versions[] = { TH_TLS_1_2, TH_TLS_1_3 };

/* ---- handshake ---- */

START_TEST(two_engines_shake_hands_and_nothing_is_left)
{
    open_shaken(versions[_i]);
    ck_assert_uint_eq(th_tls_engine_to_take(client_end), 0);
    ck_assert_uint_eq(th_tls_engine_to_take(server_end), 0);
    ck_assert_int_eq(th_tls_engine_handshake(server_end), 0); /* again is no harm */
    say(client_end, server_end, "hello");
    hear(server_end, "hello");
    say(server_end, client_end, "welcome");
    hear(client_end, "welcome");
    close_engines();
}
END_TEST

START_TEST(handshake_works_byte_by_byte)
{
    int client = -EAGAIN, server = -EAGAIN;
    open_engines((th_tls_opts){ .max_version = versions[_i] }, (th_tls_opts){ 0 });
    while (client == -EAGAIN || server == -EAGAIN) {
        char byte;
        client = th_tls_engine_handshake(client_end);
        ck_assert(client == 0 || client == -EAGAIN);
        while (th_tls_engine_take(client_end, &byte, 1) == 1) {
            ck_assert_int_eq(th_tls_engine_feed(server_end, &byte, 1), 1);
            server = th_tls_engine_handshake(server_end);
            ck_assert(server == 0 || server == -EAGAIN);
        }
        while (th_tls_engine_take(server_end, &byte, 1) == 1) {
            ck_assert_int_eq(th_tls_engine_feed(client_end, &byte, 1), 1);
            client = th_tls_engine_handshake(client_end);
            ck_assert(client == 0 || client == -EAGAIN);
        }
    }
    say(client_end, server_end, "hello");
    hear(server_end, "hello");
    close_engines();
}
END_TEST

START_TEST(reading_and_writing_make_the_handshake)
{
    char buf[8];
    open_engines((th_tls_opts){ .max_version = versions[_i] }, (th_tls_opts){ 0 });
    ssize_t sent = -EAGAIN;
    while (sent == -EAGAIN) {
        sent = th_tls_engine_write(client_end, "hello", 5);
        carry(client_end, server_end);
        ssize_t n = th_tls_engine_read(server_end, buf, sizeof buf);
        ck_assert(n == -EAGAIN || n == 5);
        carry(server_end, client_end);
    }
    ck_assert_int_eq(sent, 5);
    close_engines();
}
END_TEST

/* In 1.2 each flight of messages is one piece, and one piece always fits. */
START_TEST(full_output_stops_the_handshake_until_it_is_taken)
{
    th_tls_engine_opts narrow = { .out_limit = 1 };
    int client, server = -EAGAIN, full = 0;
    open_engines((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    th_tls_engine_free(server_end);
    new_engine(server_tls, TH_TLS_SERVER, &narrow, &server_end);
    do {
        client = th_tls_engine_handshake(client_end);
        carry(client_end, server_end);
        server = th_tls_engine_handshake(server_end);
        full += server == -ENOBUFS;
        carry(server_end, client_end);
    } while (server == -ENOBUFS || server == -EAGAIN || client == -EAGAIN);
    ck_assert_int_eq(server, 0);
    ck_assert_int_eq(client, 0);
    ck_assert_int_gt(full, 0);
    close_engines();
}
END_TEST

START_TEST(without_a_role_there_is_no_engine)
{
    th_tls_engine *engine = NULL;
    make_certs();
    th_tls *tls = test_tls(&test_server, (th_tls_opts){ 0 });
    ck_assert_int_eq(th_tls_engine_new(tls, 0, NULL, &engine), -EINVAL);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "role"));
    ck_assert_int_eq(th_tls_engine_new(tls, 3, NULL, &engine), -EINVAL);
    ck_assert_int_eq(th_tls_engine_new(NULL, TH_TLS_SERVER, NULL, &engine), -EINVAL);
    ck_assert_int_eq(th_tls_engine_new(tls, TH_TLS_SERVER, NULL, NULL), -EINVAL);
    ck_assert_int_eq(
        th_tls_engine_new(tls, TH_TLS_SERVER,
                          &(th_tls_engine_opts){ .size = sizeof(th_tls_engine_opts) + 1 }, &engine),
        -EINVAL);
    th_tls_engine_opts opts = { .connection.record = 511 };
    ck_assert_int_eq(th_tls_engine_new(tls, TH_TLS_SERVER, &opts, &engine), -EINVAL);
    opts.connection.record = 16385;
    ck_assert_int_eq(th_tls_engine_new(tls, TH_TLS_SERVER, &opts, &engine), -EINVAL);
    ck_assert_ptr_null(engine);
    th_tls_unref(tls);
    free_certs();
}
END_TEST

START_TEST(a_client_without_a_name_is_refused)
{
    th_tls_engine *engine = NULL;
    make_certs();
    th_tls *tls = test_tls(NULL, (th_tls_opts){ 0 });
    ck_assert_int_eq(th_tls_engine_new(tls, TH_TLS_CLIENT, NULL, &engine), -EINVAL);
    ck_assert_str_ne(th_err_detail(), "");
    th_tls_unref(tls);
    free_certs();
}
END_TEST

START_TEST(a_null_engine_is_misuse)
{
    char buf[1];
    th_tls_info info = { 0 };
    ck_assert_int_eq(th_tls_engine_handshake(NULL), -EINVAL);
    ck_assert_int_eq(th_tls_engine_read(NULL, buf, 1), -EINVAL);
    ck_assert_int_eq(th_tls_engine_peek(NULL, buf, 1), -EINVAL);
    ck_assert_int_eq(th_tls_engine_write(NULL, buf, 1), -EINVAL);
    ck_assert_int_eq(th_tls_engine_feed(NULL, buf, 1), -EINVAL);
    ck_assert_int_eq(th_tls_engine_take(NULL, buf, 1), -EINVAL);
    ck_assert_int_eq(th_tls_engine_feed_end(NULL), -EINVAL);
    ck_assert_int_eq(th_tls_engine_shutdown(NULL), -EINVAL);
    ck_assert_int_eq(th_tls_engine_set_closed(NULL, 1, 1), -EINVAL);
    ck_assert_int_eq(th_tls_engine_info(NULL, &info), -EINVAL);
    ck_assert_int_eq(th_tls_engine_cert(NULL, TH_TLS_CERTS_SENT, 0, NULL, 0), -EINVAL);
    ck_assert_uint_eq(th_tls_engine_pending(NULL), 0);
    ck_assert_uint_eq(th_tls_engine_to_take(NULL), 0);
    th_tls_engine_free(NULL);
}
END_TEST

/* ---- bytes ---- */

START_TEST(what_does_not_fit_is_left_to_the_caller)
{
    static char all[300 * 1024];
    static char got[sizeof all];
    th_tls_engine_opts narrow = { .out_limit = 32 * 1024, .connection.name = "server.test" };
    size_t sent = 0, read = 0, full = 0;
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char)(i * 7 + i / 251);
    open_engines((th_tls_opts){ .max_version = versions[_i] }, (th_tls_opts){ 0 });
    th_tls_engine_free(client_end);
    new_engine(client_tls, TH_TLS_CLIENT, &narrow, &client_end);
    shake_well();
    while (read < sizeof all) {
        ssize_t n = th_tls_engine_write(client_end, all + sent, sizeof all - sent);
        ck_assert(sent == sizeof all ? n == 0 : n > 0);
        sent += (size_t)n;
        if (sent < sizeof all) {
            ck_assert_int_eq(th_tls_engine_write(client_end, all + sent, 1), -ENOBUFS);
            full++;
        }
        carry(client_end, server_end);
        while ((n = th_tls_engine_read(server_end, got + read, sizeof got - read)) > 0)
            read += (size_t)n;
        ck_assert(n == -EAGAIN || n == 0);
        ck_assert_uint_eq(read, sent);
    }
    ck_assert_uint_gt(full, 5);
    ck_assert_mem_eq(all, got, sizeof all);
    close_engines();
}
END_TEST

START_TEST(a_short_write_goes_on_from_another_address)
{
    static char first[100 * 1024], second[200 * 1024], got[sizeof first];
    th_tls_engine_opts narrow = { .out_limit = 1, .connection.name = "server.test" };
    for (size_t i = 0; i < sizeof first; i++)
        first[i] = (char)(i % 253);
    open_engines((th_tls_opts){ .max_version = versions[_i] }, (th_tls_opts){ 0 });
    th_tls_engine_free(client_end);
    new_engine(client_tls, TH_TLS_CLIENT, &narrow, &client_end);
    shake_well();
    ssize_t n = th_tls_engine_write(client_end, first, sizeof first);
    ck_assert_int_gt(n, 0);
    ck_assert_int_lt(n, (ssize_t)sizeof first);
    size_t done = (size_t)n;
    memcpy(second, first, sizeof first);
    memset(first, 0, sizeof first);
    for (size_t read = 0; read < sizeof got;) {
        carry(client_end, server_end);
        while ((n = th_tls_engine_read(server_end, got + read, sizeof got - read)) > 0)
            read += (size_t)n;
        if (done < sizeof first) {
            n = th_tls_engine_write(client_end, second + done, sizeof first - done);
            ck_assert_int_gt(n, 0);
            done += (size_t)n;
        }
    }
    ck_assert_mem_eq(second, got, sizeof got);
    close_engines();
}
END_TEST

START_TEST(nothing_wanted_is_nothing_done)
{
    char buf[4] = "abc";
    open_engines((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    ck_assert_int_eq(th_tls_engine_read(client_end, buf, 0), 0);
    ck_assert_int_eq(th_tls_engine_write(client_end, buf, 0), 0);
    ck_assert_int_eq(th_tls_engine_feed(client_end, buf, 0), 0);
    ck_assert_uint_eq(th_tls_engine_to_take(client_end), 0); /* not even a handshake was begun */
    shake_well();
    ck_assert_int_eq(th_tls_engine_write(client_end, buf, 0), 0);
    ck_assert_uint_eq(th_tls_engine_to_take(client_end), 0);
    say(server_end, client_end, "left");
    ck_assert_int_eq(th_tls_engine_read(client_end, buf, 0), 0);
    hear(client_end, "left");
    close_engines();
}
END_TEST

START_TEST(a_read_writes_no_more_than_it_may)
{
    char buf[8] = "-------";
    open_shaken(versions[_i]);
    say(server_end, client_end, "abcdef");
    ck_assert_int_eq(th_tls_engine_read(client_end, buf, 4), 4);
    ck_assert_str_eq(buf, "abcd---");
    ck_assert_uint_eq(th_tls_engine_pending(client_end), 2);
    hear(client_end, "ef");
    ck_assert_uint_eq(th_tls_engine_pending(client_end), 0);
    ck_assert_int_eq(th_tls_engine_read(client_end, buf, 4), -EAGAIN);
    close_engines();
}
END_TEST

START_TEST(peeked_bytes_are_read_again)
{
    char buf[8] = "";
    open_shaken(versions[_i]);
    ck_assert_int_eq(th_tls_engine_peek(client_end, buf, 3), -EAGAIN);
    say(server_end, client_end, "abcdef");
    ck_assert_int_eq(th_tls_engine_peek(client_end, buf, 3), 3);
    ck_assert_str_eq(buf, "abc");
    ck_assert_int_eq(th_tls_engine_peek(client_end, buf, 7), 6);
    ck_assert_uint_eq(th_tls_engine_pending(client_end), 6);
    hear(client_end, "abcdef");
    close_engines();
}
END_TEST

START_TEST(one_read_takes_several_records)
{
    char buf[16] = "";
    open_shaken(versions[_i]);
    say(server_end, client_end, "abc");
    say(server_end, client_end, "def");
    ck_assert_int_eq(th_tls_engine_read(client_end, buf, sizeof buf), 6);
    ck_assert_str_eq(buf, "abcdef");
    close_engines();
}
END_TEST

/* Nobody writes to it, so that it has no memory. */
START_TEST(a_buffer_of_gigabytes_is_taken_in_parts)
{
    size_t size = (size_t)3 << 30;
    char *much = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ck_assert_ptr_ne(much, MAP_FAILED);
    open_engines((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    th_tls_engine_free(server_end);
    new_engine(server_tls, TH_TLS_SERVER, &(th_tls_engine_opts){ .in_limit = 100 * 1024 },
               &server_end);
    shake_well();
    ssize_t n = th_tls_engine_write(client_end, much, size);
    ck_assert_int_ge(n, 64 * 1024);
    ck_assert_int_le(n, 80 * 1024);
    carry(client_end, server_end);
    static char got[100 * 1024];
    ck_assert_int_eq(th_tls_engine_read(server_end, got, sizeof got), n);
    munmap(much, size);
    close_engines();
}
END_TEST

START_TEST(input_has_a_limit)
{
    static char rubbish[3000];
    th_tls_engine_opts narrow = { .in_limit = 1000 };
    open_engines((th_tls_opts){ 0 }, (th_tls_opts){ 0 });
    th_tls_engine_free(server_end);
    new_engine(server_tls, TH_TLS_SERVER, &narrow, &server_end);
    ck_assert_int_eq(th_tls_engine_feed(server_end, rubbish, 999), 999);
    ck_assert_int_eq(th_tls_engine_feed(server_end, rubbish, sizeof rubbish), 1);
    ck_assert_int_eq(th_tls_engine_feed(server_end, rubbish, 1), -ENOBUFS);
    ck_assert_int_eq(th_tls_engine_feed_end(server_end), 0);
    ck_assert_int_eq(th_tls_engine_feed(server_end, rubbish, 1), -EPIPE);
    close_engines();
}
END_TEST

/* Writes so many bytes: in how many records they go out. */
static int records_of(th_tls_engine *from, size_t size)
{
    static char data[4096], body[20000];
    unsigned char head[5];
    int records = 0;
    ck_assert_uint_le(size, sizeof data);
    ck_assert_int_eq(th_tls_engine_write(from, data, size), (ssize_t)size);
    for (; th_tls_engine_take(from, head, sizeof head) == sizeof head; records++) {
        size_t len = (size_t)head[3] << 8 | head[4];
        ck_assert_int_eq(th_tls_engine_take(from, body, len), (ssize_t)len);
    }
    return records;
}

START_TEST(records_are_as_large_as_was_asked)
{
    th_tls_engine_opts small = { .connection = { .name = "server.test", .record = 512 } };
    open_engines((th_tls_opts){ .max_version = versions[_i] }, (th_tls_opts){ 0 });
    th_tls_engine_free(client_end);
    new_engine(client_tls, TH_TLS_CLIENT, &small, &client_end);
    shake_well();
    ck_assert_int_eq(records_of(client_end, 4096), 8);
    close_engines();
}
END_TEST

static int choose(const char *name, th_tls **other, void *user, void *arg)
{
    (void)name, (void)user;
    *other = arg;
    return 0;
}

/* What a connection has asked for itself holds in any context. */
START_TEST(records_have_the_size_of_the_context_that_was_chosen)
{
    static const struct {
        size_t own;
        int records;
    } cases[] = { { 0, 8 }, { 1024, 4 } };
    make_certs();
    th_tls *other = test_tls(&test_server, (th_tls_opts){ .record_max = 512 });
    free_certs();
    for (size_t i = 0; i < thi_array_len(cases); i++) {
        th_tls_engine_opts own = { .connection.record = cases[i].own };
        open_engines((th_tls_opts){ .choose = choose, .arg = other },
                     (th_tls_opts){ .insecure_no_verification = 1 });
        th_tls_engine_free(server_end);
        new_engine(server_tls, TH_TLS_SERVER, &own, &server_end);
        shake_well();
        ck_assert_int_eq(records_of(server_end, 4096), cases[i].records);
        close_engines();
    }
    th_tls_unref(other);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "handshake");
    tcase_add_loop_test(tcase, two_engines_shake_hands_and_nothing_is_left, 0, 2);
    tcase_add_loop_test(tcase, handshake_works_byte_by_byte, 0, 2);
    tcase_add_loop_test(tcase, reading_and_writing_make_the_handshake, 0, 2);
    tcase_add_test(tcase, full_output_stops_the_handshake_until_it_is_taken);
    tcase_add_test(tcase, without_a_role_there_is_no_engine);
    tcase_add_test(tcase, a_client_without_a_name_is_refused);
    tcase_add_test(tcase, a_null_engine_is_misuse);
    tcase = thi_check_case(suite, "bytes");
    tcase_add_test(tcase, records_have_the_size_of_the_context_that_was_chosen);
    tcase_add_loop_test(tcase, what_does_not_fit_is_left_to_the_caller, 0, 2);
    tcase_add_loop_test(tcase, a_short_write_goes_on_from_another_address, 0, 2);
    tcase_add_test(tcase, nothing_wanted_is_nothing_done);
    tcase_add_loop_test(tcase, a_read_writes_no_more_than_it_may, 0, 2);
    tcase_add_loop_test(tcase, peeked_bytes_are_read_again, 0, 2);
    tcase_add_loop_test(tcase, one_read_takes_several_records, 0, 2);
    tcase_add_test(tcase, input_has_a_limit);
    tcase_add_test(tcase, a_buffer_of_gigabytes_is_taken_in_parts);
    tcase_add_loop_test(tcase, records_are_as_large_as_was_asked, 0, 2);
}

int main(void)
{
    return thi_check_run("tls/engine", fill);
}
