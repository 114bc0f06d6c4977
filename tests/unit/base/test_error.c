/* SPDX-License-Identifier: MIT */

/* Tests of result texts, names and details. */
#include "base/error.h"

#include "check_main.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <wchar.h>

START_TEST(errno_has_text_and_name_with_either_sign)
{
    ck_assert_str_eq(th_strerror(-ECONNRESET), "Connection reset by peer");
    ck_assert_str_eq(th_strerror(ECONNRESET), "Connection reset by peer");
    ck_assert_str_eq(th_errname(-ECONNRESET), "ECONNRESET");
    ck_assert_str_eq(th_errname(-EAGAIN), "EAGAIN");
}
END_TEST

START_TEST(success_is_named)
{
    ck_assert_str_eq(th_strerror(0), "success");
    ck_assert_str_eq(th_errname(0), "0");
}
END_TEST

START_TEST(own_codes_have_text_and_name)
{
    ck_assert_str_eq(th_strerror(TH_EOF), "end of stream");
    ck_assert_str_eq(th_errname(TH_EOF), "TH_EOF");
    ck_assert_str_eq(th_errname(TH_ESLOW), "TH_ESLOW");
    ck_assert_str_eq(th_strerror(TH_ESLOW), "the peer is slower than the minimum rate");
}
END_TEST

START_TEST(unknown_codes_are_said_to_be_unknown)
{
    static const int unknown[] = { -4999, -100000, 100000, INT_MIN, INT_MAX, -TH_EOF };
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        ck_assert_str_eq(th_strerror(unknown[i]), "unknown error");
        ck_assert_str_eq(th_errname(unknown[i]), "?");
    }
}
END_TEST

START_TEST(detail_is_empty_at_first)
{
    ck_assert_str_eq(th_err_detail(), "");
}
END_TEST

START_TEST(set_formats_returns_the_code_and_keeps_errno)
{
    errno = EDOM;
    ck_assert_int_eq(thi_err_set(-EINVAL, "port %d of %s", 70000, "host"), -EINVAL);
    ck_assert_int_eq(errno, EDOM);
    ck_assert_str_eq(th_err_detail(), "port 70000 of host");
}
END_TEST

START_TEST(set_may_refer_to_the_present_detail)
{
    thi_err_set(-EINVAL, "inner");
    thi_err_set(-EINVAL, "outer: %s", th_err_detail());
    ck_assert_str_eq(th_err_detail(), "outer: inner");
}
END_TEST

START_TEST(detail_is_cut_at_its_limit)
{
    char text[THI_ERR_DETAIL_SIZE + 1];
    memset(text, 'a', sizeof text);
    text[THI_ERR_DETAIL_SIZE - 1] = '\0';
    thi_err_set(-EINVAL, "%s", text);
    ck_assert_str_eq(th_err_detail(), text);

    text[THI_ERR_DETAIL_SIZE - 1] = 'b';
    text[THI_ERR_DETAIL_SIZE] = '\0';
    thi_err_set(-EINVAL, "%s", text);
    ck_assert_uint_eq(strlen(th_err_detail()), THI_ERR_DETAIL_SIZE - 1);
    ck_assert_ptr_null(strchr(th_err_detail(), 'b'));
}
END_TEST

START_TEST(detail_that_cannot_be_formatted_is_empty)
{
    static const wchar_t not_in_the_locale[] = { 0x100, 0 };
    thi_err_set(-EINVAL, "before");
    ck_assert_int_eq(thi_err_set(-EINVAL, "x%ls", not_in_the_locale), -EINVAL);
    ck_assert_str_eq(th_err_detail(), "");
}
END_TEST

static void *set_in_thread(void *arg)
{
    thi_err_set(-EINVAL, "theirs");
    return arg;
}

START_TEST(each_thread_has_its_own_detail)
{
    thi_err_set(-EINVAL, "ours");
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, set_in_thread, NULL), 0);
    pthread_join(thread, NULL);
    ck_assert_str_eq(th_err_detail(), "ours");
}
END_TEST

START_TEST(a_failure_may_have_nothing_to_add)
{
    ck_assert_int_eq(thi_err_clear(-EIO), -EIO);
    ck_assert_str_eq(th_err_detail(), "");
    thi_err_set(-EINVAL, "before");
    ck_assert_int_eq(thi_err_clear(-EIO), -EIO);
    ck_assert_str_eq(th_err_detail(), "");
}
END_TEST

START_TEST(a_plain_result_takes_the_detail_away_only_if_it_is_a_failure)
{
    thi_err_set(-EINVAL, "before");
    ck_assert_int_eq(thi_err_plain(0), 0);
    ck_assert_int_eq(thi_err_plain(SSIZE_MAX), SSIZE_MAX);
    ck_assert_str_eq(th_err_detail(), "before");
    ck_assert_int_eq(thi_err_plain(TH_EOF), TH_EOF);
    ck_assert_str_eq(th_err_detail(), "");
}
END_TEST

static thi_err_slot *fiber_slot;
static thi_err_slot *made;

static thi_err_slot *find_slot(bool make)
{
    if (make)
        fiber_slot = made;
    return fiber_slot;
}

START_TEST(hook_chooses_the_slot_and_may_decline)
{
    thi_err_slot slot = { .text = "" };
    thi_err_set(-EINVAL, "of the thread");
    thi_err_slot_hook = find_slot;

    made = &slot;
    fiber_slot = &thi_err_empty;
    ck_assert_str_eq(th_err_detail(), "");
    ck_assert_int_eq(thi_err_clear(-EIO), -EIO);
    ck_assert_ptr_eq(fiber_slot, &thi_err_empty); /* nothing is made for no text */
    thi_err_set(-EINVAL, "of the fiber");
    ck_assert_str_eq(slot.text, "of the fiber");
    ck_assert_str_eq(th_err_detail(), "of the fiber");
    ck_assert_str_eq(thi_err_empty.text, "");

    fiber_slot = NULL;
    ck_assert_str_eq(th_err_detail(), "of the thread");
}
END_TEST

static void fill(Suite *suite)
{
    TCase *words = thi_check_case(suite, "words");
    tcase_add_test(words, errno_has_text_and_name_with_either_sign);
    tcase_add_test(words, success_is_named);
    tcase_add_test(words, own_codes_have_text_and_name);
    tcase_add_test(words, unknown_codes_are_said_to_be_unknown);
    TCase *detail = thi_check_case(suite, "detail");
    tcase_add_test(detail, detail_is_empty_at_first);
    tcase_add_test(detail, set_formats_returns_the_code_and_keeps_errno);
    tcase_add_test(detail, set_may_refer_to_the_present_detail);
    tcase_add_test(detail, detail_is_cut_at_its_limit);
    tcase_add_test(detail, detail_that_cannot_be_formatted_is_empty);
    tcase_add_test(detail, each_thread_has_its_own_detail);
    tcase_add_test(detail, a_failure_may_have_nothing_to_add);
    tcase_add_test(detail, a_plain_result_takes_the_detail_away_only_if_it_is_a_failure);
    tcase_add_test(detail, hook_chooses_the_slot_and_may_decline);
}

int main(void)
{
    return thi_check_run("base/error", fill);
}
