/* SPDX-License-Identifier: MIT */

/*
 * No secret stays in memory that was given back: an allocator looks at each block that is freed.
 * What OpenSSL frees is not looked at: it makes copies of its own when it reads a key.
 */
#include "texts.h"

#include "tls/whole.h"

#include <thrum/file.h>
#include <thrum/mem.h>
#include <thrum/tls.h>
#include <thrum/tls_session.h>

#include <malloc.h>
#include <stdatomic.h>
#include <sys/stat.h>

/* ---- the allocator ---- */

#define NEEDLE 24

static char needles[4][NEEDLE]; /* parts of secrets */
static size_t needles_count;
static atomic_int found;

static void look_at(const void *ptr, size_t size)
{
    for (size_t i = 0; i < needles_count; i++)
        if (size >= NEEDLE && memmem(ptr, size, needles[i], NEEDLE))
            atomic_fetch_add(&found, 1);
}

static void *look_and_move(void *old, size_t size)
{
    size_t had = malloc_usable_size(old);
    void *more = malloc(size);
    if (!more)
        return NULL;
    memcpy(more, old, had < size ? had : size);
    look_at(old, had);
    free(old);
    return more;
}

static void *our_malloc(void *ctx, size_t size)
{
    (void)ctx;
    return calloc(1, size); /* nothing of before, which was looked at then */
}

static void *our_realloc(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    return look_and_move(ptr, size);
}

static void our_free(void *ctx, void *ptr)
{
    (void)ctx;
    look_at(ptr, malloc_usable_size(ptr));
    free(ptr);
}

/* ---- what is secret ---- */

static th_key *key;
static th_str key_text;
static const char *key_file;

/* From now on parts of these bytes are looked for. */
static void hide(const char *bytes)
{
    ck_assert_uint_lt(needles_count, sizeof needles / sizeof *needles);
    memcpy(needles[needles_count++], bytes, NEEDLE);
}

/* The text of the key and its number, which is in the middle of its DER. */
static void prepare(void)
{
    th_str der = { 0 };
    setup();
    key = new_key("ec:P-256");
    ck_ok(th_key_pem(key, NULL, &arena, &key_text));
    ck_ok(th_key_der(key, NULL, &arena, &der));
    key_file = write_file("key.pem", key_text);
    hide(key_text.ptr + strlen("-----BEGIN PRIVATE KEY-----\n") + 64);
    hide(der.ptr + 38); /* behind version, method and the heads of two structures */
    atomic_store(&found, 0);
}

static void finish(void)
{
    needles_count = 0;
    th_key_unref(key);
    teardown();
}

static void expect_nothing(const char *what)
{
    ck_assert_msg(atomic_load(&found) == 0, "%s: %d blocks", what, atomic_load(&found));
}

START_TEST(what_is_looked_for_is_found)
{
    void *block = our_malloc(NULL, key_text.len);
    memcpy(block, key_text.ptr, key_text.len);
    our_free(NULL, block);
    ck_assert_int_eq(atomic_load(&found), 1);
}
END_TEST

START_TEST(a_key_that_was_read)
{
    th_key *read = NULL;
    ck_ok(th_key_load(key_file, NULL, &read));
    expect_nothing("th_key_load");
    th_key_unref(read);
    expect_nothing("th_key_unref");
}
END_TEST

START_TEST(a_file_that_is_too_long)
{
    th_arena own;
    th_str text;
    th_arena_init(&own, NULL, 0, 0);
    ck_assert_int_eq(th_file_load(key_file, key_text.len - 1, &own, &text), TH_ELIMIT);
    th_arena_deinit(&own);
    expect_nothing("th_file_load");
}
END_TEST

static const char *write_both(void)
{
    th_str pem = { 0 };
    th_cert *cert = NULL;
    th_cert_opts opts = { .alts = &(th_cert_alt){ TH_ALT_DNS, TH_STR("a.test") }, .alts_count = 1 };
    ck_ok(th_cert_self_sign(key, &opts, &cert));
    ck_ok(th_cert_pem(cert, &arena, &pem));
    th_cert_unref(cert);
    return write_file("both.pem", joined(key_text, pem));
}

START_TEST(a_key_in_front_of_a_certificate)
{
    th_cert *cert = NULL;
    ck_ok(th_cert_load(write_both(), &cert));
    th_cert_unref(cert);
    expect_nothing("th_cert_load");
}
END_TEST

START_TEST(a_key_of_a_context)
{
    th_tls *tls = NULL;
    const char *both = write_both();
    ck_ok(th_tls_new(&(th_tls_opts){ .cert = both }, &tls));
    th_tls_unref(tls);
    expect_nothing("th_tls_new");
}
END_TEST

START_TEST(a_key_in_the_clear_that_was_written)
{
    th_arena own;
    th_str text;
    th_arena_init(&own, NULL, 0, 0);
    ck_ok(th_key_pem(key,
                     &(th_key_write_opts){ .phrase = &(th_passphrase){ .text = TH_STR("x") },
                                           .iterations = 1000 },
                     &own, &text));
    th_arena_deinit(&own);
    expect_nothing("th_key_pem");
}
END_TEST

START_TEST(a_pass_phrase)
{
    static const char secret[] = "correct horse battery staple of some length";
    const th_passphrase phrase = { .text = th_str_of(secret) };
    const th_key_write_opts opts = { .phrase = &phrase, .iterations = 1000 };
    th_str sealed = { 0 };
    th_key *read = NULL;
    ck_ok(th_key_pem(key, &opts, &arena, &sealed));
    hide(secret);
    ck_ok(th_key_parse(sealed, &phrase, &read));
    th_key_unref(read);
    expect_nothing("th_key_parse");
    ck_ok(th_key_pem(key, &opts, &arena, &sealed));
    expect_nothing("th_key_pem");
}
END_TEST

START_TEST(the_keys_of_tickets)
{
    th_tls_ticket_keys *keys = NULL;
    th_tls_ticket_set set;
    const char *file = path_of("tickets");
    ck_ok(th_tls_ticket_file_rotate(file));
    ck_ok(th_tls_ticket_keys_new(&(th_tls_ticket_opts){ .file = file }, &keys));
    ck_ok(th_tls_ticket_keys_get(keys, &set));
    hide((const char *)set.current.bytes + 20);
    char digits[NEEDLE];
    th_str_hex_encode(th_str_make((const char *)set.current.bytes + 20, NEEDLE / 2), digits);
    hide(digits);
    ck_ok(th_tls_ticket_file_rotate(file));
    ck_ok(th_tls_ticket_keys_rotate(keys));
    th_tls_ticket_keys_unref(keys);
    expect_nothing("ticket keys");
}
END_TEST

/* A file that has grown since it was looked at is read in pieces, which are moved. */
START_TEST(a_file_as_a_whole)
{
    thi_whole whole = { 0 };
    ck_ok(thi_whole_read(key_file, 4096, 077, &whole));
    ck_assert_uint_eq(whole.size, key_text.len);
    thi_whole_free(&whole);
    ck_assert_int_eq(thi_whole_read(key_file, key_text.len - 1, 077, &whole), TH_ELIMIT);
    const char *pipe = path_of("pipe");
    char *long_text = th_arena_printf(&arena, "%s%*s\n", key_text.ptr, 40000, "-");
    write_file("long", th_str_of(long_text));
    ck_assert_int_eq(mkfifo(pipe, 0600), 0);
    ck_assert_int_eq(system(th_arena_printf(&arena, "cat '%s' > '%s' &", path_of("long"), pipe)),
                     0);
    ck_ok(thi_whole_read_any(pipe, 65536, &whole));
    ck_assert_uint_eq(whole.size, strlen(long_text));
    thi_whole_free(&whole);
    ck_assert_int_eq(thi_whole_read(pipe, 65536, 0, &whole), -EINVAL);
    ck_detail("not a regular file");
    ck_assert_int_eq(thi_whole_read_any(folder, 65536, &whole), -EISDIR);
    ck_assert_int_eq(thi_whole_read(path_of("missing"), 65536, 0, &whole), -ENOENT);
    ck_detail("missing: No such file");
    expect_nothing("thi_whole_read");
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "wiped");
    tcase_add_checked_fixture(tcase, prepare, finish);
    tcase_add_test(tcase, what_is_looked_for_is_found);
    tcase_add_test(tcase, a_key_that_was_read);
    tcase_add_test(tcase, a_file_that_is_too_long);
    tcase_add_test(tcase, a_key_in_front_of_a_certificate);
    tcase_add_test(tcase, a_key_of_a_context);
    tcase_add_test(tcase, a_key_in_the_clear_that_was_written);
    tcase_add_test(tcase, a_pass_phrase);
    tcase_add_test(tcase, the_keys_of_tickets);
    tcase_add_test(tcase, a_file_as_a_whole);
}

int main(void)
{
    const th_allocator ours = {
        .size = sizeof ours, .malloc = our_malloc, .realloc = our_realloc, .free = our_free
    };
    return th_allocator_set(&ours) < 0 ? 1 : thi_check_run("tls/wiped", fill);
}
