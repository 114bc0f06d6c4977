/* SPDX-License-Identifier: MIT */

/* The search for terminators, against the obvious one. */
#include "callback/chat_find.h"

#include "check_main.h"

#include <stdlib.h>

static size_t find_slowly(th_str text, th_str terminator)
{
    for (size_t i = 0; i + terminator.len <= text.len; i++)
        if (memcmp(text.ptr + i, terminator.ptr, terminator.len) == 0)
            return i;
    return THI_CHAT_NOT_FOUND;
}

static size_t prefix_slowly(th_str text, th_str terminator)
{
    size_t best = 0;
    for (size_t n = 1; n < terminator.len && n <= text.len; n++)
        if (memcmp(text.ptr + text.len - n, terminator.ptr, n) == 0)
            best = n;
    return best;
}

START_TEST(it_finds_what_the_obvious_search_finds)
{
    char text[64];
    char terminator[9];
    srand(7);
    for (int i = 0; i < 200000; i++) {
        size_t len = (size_t)rand() % sizeof text;
        size_t size = 1 + (size_t)rand() % sizeof terminator;
        int letters = 1 + rand() % 3; /* few, so that it nearly occurs often */
        for (size_t k = 0; k < len; k++)
            text[k] = (char)('a' + rand() % letters);
        for (size_t k = 0; k < size; k++)
            terminator[k] = (char)('a' + rand() % letters);
        th_str in = th_str_make(text, len);
        th_str wanted = th_str_make(terminator, size);
        ck_assert_uint_eq(thi_chat_find(in, wanted), find_slowly(in, wanted));
        ck_assert_uint_eq(thi_chat_prefix_at_end(in, wanted), prefix_slowly(in, wanted));
    }
}
END_TEST

START_TEST(a_beginning_at_the_end_is_seen)
{
    ck_assert_uint_eq(thi_chat_prefix_at_end(TH_STR("qwerty\r"), TH_STR("\r\n")), 1);
    ck_assert_uint_eq(thi_chat_prefix_at_end(TH_STR("qwertydkjf"), TH_STR("\r\n")), 0);
    ck_assert_uint_eq(thi_chat_prefix_at_end(TH_STR(""), TH_STR("\r\n")), 0);
    ck_assert_uint_eq(thi_chat_prefix_at_end(TH_STR("\n\n"), TH_STR("\n\n\n")), 2);
    ck_assert_uint_eq(thi_chat_prefix_at_end(TH_STR("x"), TH_STR("x")), 0);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tc = thi_check_case(suite, "find");
    tcase_add_test(tc, it_finds_what_the_obvious_search_finds);
    tcase_add_test(tc, a_beginning_at_the_end_is_seen);
}

int main(void)
{
    return thi_check_run("callback/chat_find", fill_suite);
}
