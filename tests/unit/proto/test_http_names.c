/* SPDX-License-Identifier: MIT */

/* Tests of the recognition of methods and field names. */
#include "proto/http_names.h"

#include "check_main.h"

#include <string.h>

static const char *const names[] = {
#define NAME(id, name, first, last) name,
    THI_HTTP_FIELD_LIST(NAME)
#undef NAME
};

START_TEST(every_field_finds_itself_in_any_case)
{
    for (int i = 0; i < THI_FIELD_COUNT - 1; i++) {
        char text[64];
        size_t len = strlen(names[i]);
        memcpy(text, names[i], len);
        ck_assert_int_eq(thi_http_field_of(text, len), i + 1);
        for (size_t k = 0; k < len; k++) {
            if (text[k] >= 'a')
                text[k] = (char)(text[k] - 32);
            ck_assert_int_eq(thi_http_field_of(text, len), i + 1);
        }
        ck_assert(th_str_eq(thi_http_field_name((thi_http_field)(i + 1)), th_str_of(names[i])));
    }
}
END_TEST

START_TEST(a_name_that_differs_in_one_byte_is_another)
{
    for (int i = 0; i < THI_FIELD_COUNT - 1; i++) {
        size_t len = strlen(names[i]);
        for (size_t k = 0; k < len; k++) {
            char text[64];
            memcpy(text, names[i], len);
            text[k] = text[k] == 'z' ? 'q' : 'z';
            ck_assert_int_ne(thi_http_field_of(text, len), i + 1);
            text[k] = '_';
            ck_assert_int_eq(thi_http_field_of(text, len), THI_FIELD_OTHER);
        }
    }
}
END_TEST

START_TEST(prefixes_and_extensions_of_names_are_others)
{
    for (int i = 0; i < THI_FIELD_COUNT - 1; i++) {
        char text[64];
        size_t len = strlen(names[i]);
        memcpy(text, names[i], len);
        text[len] = 's';
        ck_assert_int_ne(thi_http_field_of(text, len + 1), i + 1);
        ck_assert_int_ne(thi_http_field_of(text, len - 1), i + 1);
    }
    ck_assert_int_eq(thi_http_field_of("", 0), THI_FIELD_OTHER);
    ck_assert_uint_eq(thi_http_field_name(THI_FIELD_OTHER).len, 0);
}
END_TEST

/* RFC 9110, 9.1: the method is case-sensitive. */
START_TEST(methods_are_case_sensitive)
{
    ck_assert_int_eq(thi_http_method_of(TH_STR("GET")), THI_HTTP_GET);
    ck_assert_int_eq(thi_http_method_of(TH_STR("get")), THI_HTTP_OTHER);
    ck_assert_int_eq(thi_http_method_of(TH_STR("GETS")), THI_HTTP_OTHER);
    ck_assert_int_eq(thi_http_method_of(TH_STR("GE")), THI_HTTP_OTHER);
    ck_assert_int_eq(thi_http_method_of(TH_STR("")), THI_HTTP_OTHER);
}
END_TEST

START_TEST(every_method_finds_itself)
{
    for (int i = 1; i < THI_HTTP_METHOD_COUNT; i++) {
        th_str name = thi_http_method_name((thi_http_method)i);
        ck_assert_int_eq(thi_http_method_of(name), i);
    }
    ck_assert_uint_eq(thi_http_method_name(THI_HTTP_OTHER).len, 0);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *fields = thi_check_case(suite, "fields");
    tcase_add_test(fields, every_field_finds_itself_in_any_case);
    tcase_add_test(fields, a_name_that_differs_in_one_byte_is_another);
    tcase_add_test(fields, prefixes_and_extensions_of_names_are_others);
    TCase *methods = thi_check_case(suite, "methods");
    tcase_add_test(methods, methods_are_case_sensitive);
    tcase_add_test(methods, every_method_finds_itself);
}

int main(void)
{
    return thi_check_run("proto/http_names", fill);
}
