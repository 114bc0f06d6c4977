/* SPDX-License-Identifier: MIT */

/*
 * What an idle connection costs, and that none costs anything for ever.
 *
 * All of OpenSSL's memory and all of Thrum's is counted, in usable bytes of the allocator.
 */
#include "streams.h"

#include <thrum/mem.h>

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

static size_t in_use, high;

static void count(void *ptr)
{
    in_use += ptr ? malloc_usable_size(ptr) : 0;
    high = in_use > high ? in_use : high;
}

static void *counting_malloc(size_t size, const char *file, int line)
{
    void *ptr = malloc(size);
    (void)file;
    (void)line;
    count(ptr);
    return ptr;
}

static void *counting_realloc(void *old, size_t size, const char *file, int line)
{
    size_t before = old ? malloc_usable_size(old) : 0;
    void *ptr = realloc(old, size);
    (void)file;
    (void)line;
    if (ptr) {
        in_use -= before;
        count(ptr);
    }
    return ptr;
}

static void counting_free(void *ptr, const char *file, int line)
{
    (void)file;
    (void)line;
    in_use -= ptr ? malloc_usable_size(ptr) : 0;
    free(ptr);
}

static void *thrum_malloc(void *ctx, size_t size)
{
    (void)ctx;
    return counting_malloc(size, NULL, 0);
}

static void *thrum_realloc(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    return counting_realloc(ptr, size, NULL, 0);
}

static void thrum_free(void *ctx, void *ptr)
{
    (void)ctx;
    counting_free(ptr, NULL, 0);
}

#define MANY 40

/* OpenSSL keeps the certificates that a client was shown, and those it has verified, as long as the
 * connection; here that is one of the smallest. */
#define OF_CHAIN 4096

static th_stream *sides[MANY][2];

static void open_one(int i)
{
    static char data[40000], got[sizeof data];
    th_scope scope;
    open_sockets();
    shake_well();
    /* Whole records have gone both ways, and the tickets have been read. */
    write_text(client_side, "hello");
    read_text(server_side, "hello");
    open_scope(&scope);
    spawn(&scope, do_nothing, NULL);
    ck_assert_int_eq(th_stream_write(server_side, data, sizeof data), (ssize_t)sizeof data);
    ck_assert_int_eq(th_stream_read_all(client_side, got, sizeof got), (ssize_t)sizeof got);
    close_scope(&scope);
    sides[i][0] = server_side;
    sides[i][1] = client_side;
}

static void measure(int max_version, const char *what)
{
    /* Resumed connections have no chain, and would cost less. */
    make_contexts((th_tls_opts){ .max_version = max_version }, (th_tls_opts){ .no_sessions = 1 });
    for (int i = 0; i < MANY; i++) /* what is made once, and kept */
        open_one(i);
    for (int i = 0; i < MANY; i++) {
        th_stream_free(sides[i][1]);
        th_stream_free(sides[i][0]);
    }
    let_others_run();
    size_t before = in_use;
    for (int i = 0; i < MANY; i++)
        open_one(i);
    let_others_run();
    size_t both = in_use - before;
    for (int i = 0; i < MANY; i++)
        th_stream_free(sides[i][1]);
    let_others_run();
    size_t servers = in_use - before;
    for (int i = 0; i < MANY; i++)
        th_stream_free(sides[i][0]);
    let_others_run();
    fprintf(stderr, "%s: idle server %zu bytes, client %zu bytes\n", what, servers / MANY,
            (both - servers) / MANY);
    ck_assert_uint_le(servers / MANY, 16 * 1024);
    ck_assert_uint_le((both - servers) / MANY, 16 * 1024 + OF_CHAIN);
    ck_assert_msg(in_use <= before + 4096, "%zu bytes are left", in_use - before);
    free_contexts();
}

FIBER_TEST(an_idle_connection_stays_small)
{
    measure(TH_TLS_1_2, "TLS 1.2");
    measure(TH_TLS_1_3, "TLS 1.3");
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "idle");
    tcase_add_test(tcase, an_idle_connection_stays_small);
}

int main(void)
{
    static const th_allocator allocator = { .size = sizeof allocator,
                                            .malloc = thrum_malloc,
                                            .realloc = thrum_realloc,
                                            .free = thrum_free };
    if (CRYPTO_set_mem_functions(counting_malloc, counting_realloc, counting_free) != 1 ||
        th_allocator_set(&allocator) != 0)
        return 1;
    return thi_check_run("tls/idle", fill);
}
