/* SPDX-License-Identifier: MIT */

/* Pins: how they are written, and that only what is one is read. */
#include "check_main.h"

#include "tls/pins.h"

#include <thrum/error.h>

#define HEX    "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
#define BASE64 "ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8="

START_TEST(base64_and_hex_are_the_same_pin)
{
    const char *const texts[] = { "sha256/" HEX, "sha256/" BASE64, "sha256//" BASE64, NULL };
    thi_tls_pins pins;
    ck_assert_int_eq(thi_tls_pins_parse(texts, &pins), 0);
    ck_assert_uint_eq(pins.count, 3);
    for (size_t i = 1; i < pins.count; i++)
        ck_assert_mem_eq(pins.list[0], pins.list[i], THI_TLS_PIN_SIZE);
    ck_assert_int_eq(pins.list[0][31], 0xff);
    thi_tls_pins_deinit(&pins);
}
END_TEST

/* Base64 may begin with a slash of its own. */
START_TEST(a_slash_may_be_part_of_a_pin)
{
    const char *const texts[] = { "sha256//wARIjNEVWZ3iJmqu8zd7v8AESIzRFVmd4iZqrvM3e4=", NULL };
    thi_tls_pins pins;
    ck_assert_int_eq(thi_tls_pins_parse(texts, &pins), 0);
    ck_assert_int_eq(pins.list[0][0], 0xff);
    thi_tls_pins_deinit(&pins);
}
END_TEST

static const char *const bad[] = {
    "",
    "sha256",
    "sha256/",
    "sha1/" HEX,
    HEX,
    BASE64,
    "sha256/" HEX "0",
    "sha256/0" HEX,
    "sha256/" BASE64 "=",
    "sha256/ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v==",
    "sha256/ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8 ",
    "sha256/ABEi!0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=",
    "sha256/g0112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF",
};

START_TEST(what_is_no_pin_is_refused_with_all_others)
{
    const char *const texts[] = { "sha256/" HEX, bad[_i], NULL };
    thi_tls_pins pins;
    ck_assert_int_eq(thi_tls_pins_parse(texts, &pins), TH_ECONFIG);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "pin '"));
    ck_assert_uint_eq(pins.count, 0);
    ck_assert_ptr_null(pins.list);
}
END_TEST

START_TEST(no_pins_are_no_demand)
{
    const char *const texts[] = { NULL };
    thi_tls_pins pins;
    ck_assert_int_eq(thi_tls_pins_parse(NULL, &pins), 0);
    ck_assert_uint_eq(pins.count, 0);
    ck_assert_int_eq(thi_tls_pins_parse(texts, &pins), 0);
    ck_assert_uint_eq(pins.count, 0);
    thi_tls_pins_deinit(&pins);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "pins");
    tcase_add_test(tcase, base64_and_hex_are_the_same_pin);
    tcase_add_test(tcase, a_slash_may_be_part_of_a_pin);
    tcase_add_loop_test(tcase, what_is_no_pin_is_refused_with_all_others, 0,
                        (int)(sizeof bad / sizeof bad[0]));
    tcase_add_test(tcase, no_pins_are_no_demand);
}

int main(void)
{
    return thi_check_run("tls/pins", fill);
}
