/* SPDX-License-Identifier: MIT */

/* Application protocols: lists on the wire, good and broken, and the choice. */
#include "check_main.h"

#include "tls/alpn.h"

#include <thrum/error.h>

#include <errno.h>

static const unsigned char *bytes(const char *text)
{
    return (const unsigned char *)text;
}

START_TEST(names_become_bytes_with_lengths)
{
    const char *const names[] = { "h2", "http/1.1", NULL };
    thi_tls_alpn alpn;
    ck_assert_int_eq(thi_tls_alpn_read(names, &alpn), 0);
    ck_assert_uint_eq(alpn.len, 12);
    ck_assert_mem_eq(alpn.wire, "\2h2\10http/1.1", 12);
    thi_tls_alpn_deinit(&alpn);
    ck_assert_int_eq(thi_tls_alpn_read(NULL, &alpn), 0);
    ck_assert_ptr_null(alpn.wire);
}
END_TEST

START_TEST(a_list_has_no_more_than_the_extension_holds)
{
    static char name[256];
    static const char *names[258];
    thi_tls_alpn alpn;
    memset(name, 'x', 255);
    for (int i = 0; i < 255; i++)
        names[i] = name;
    ck_assert_int_eq(thi_tls_alpn_read(names, &alpn), 0);
    ck_assert_uint_eq(alpn.len, 255 * 256);
    thi_tls_alpn_deinit(&alpn);
    names[255] = name; /* 65,536 */
    ck_assert_int_eq(thi_tls_alpn_read(names, &alpn), -EINVAL);
}
END_TEST

START_TEST(our_order_decides_and_the_offer_is_what_is_told)
{
    const char *const names[] = { "a", "bb", NULL };
    const unsigned char *offer = bytes("\3ccc\2bb\1a");
    thi_tls_alpn ours;
    ck_assert_int_eq(thi_tls_alpn_read(names, &ours), 0);
    th_str best = thi_tls_alpn_best(&ours, offer, 9);
    ck_assert_uint_eq(best.len, 1);
    ck_assert_ptr_eq(best.ptr, offer + 8);
    ck_assert_uint_eq(thi_tls_alpn_best(&ours, bytes("\3ccc"), 4).len, 0);
    ck_assert_uint_eq(thi_tls_alpn_best(&ours, bytes(""), 0).len, 0);
    thi_tls_alpn_deinit(&ours);
}
END_TEST

/* OpenSSL looks at the list before; here nothing is read that is not there, whatever comes. */
START_TEST(a_broken_offer_ends_where_it_breaks)
{
    th_str views[THI_TLS_ALPN_SEEN];
    ck_assert_uint_eq(thi_tls_alpn_views(bytes("\1a\5bb"), 5, views), 1);
    ck_assert_uint_eq(thi_tls_alpn_views(bytes("\377"), 1, views), 0);
    unsigned char many[2 * THI_TLS_ALPN_SEEN + 2];
    for (size_t i = 0; i < sizeof many; i += 2) {
        many[i] = 1;
        many[i + 1] = 'x';
    }
    ck_assert_uint_eq(thi_tls_alpn_views(many, sizeof many, views), THI_TLS_ALPN_SEEN);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "alpn");
    tcase_add_test(tcase, names_become_bytes_with_lengths);
    tcase_add_test(tcase, a_list_has_no_more_than_the_extension_holds);
    tcase_add_test(tcase, our_order_decides_and_the_offer_is_what_is_told);
    tcase_add_test(tcase, a_broken_offer_ends_where_it_breaks);
}

int main(void)
{
    return thi_check_run("tls/alpn", fill);
}
