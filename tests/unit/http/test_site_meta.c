/* SPDX-License-Identifier: MIT */

/* Tests of what is said about a file. */
#include "http/site_meta.h"

#include "check_main.h"

#include "http/site_type.h"

#include <thrum/time.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define WALL (INT64_C(1700000000) * TH_SECOND)

static const struct stat example = {
    .st_dev = 1, .st_ino = 2, .st_size = 3, .st_mtim = { 784111777, 5 }, .st_ctim = { 784111778, 6 }
};

static thi_site_meta make(const struct stat *st)
{
    thi_site_meta meta;
    thi_site_meta_make(st, TH_STR("text/plain"), WALL, &meta);
    return meta;
}

static th_str fields_of(const thi_site_meta *meta)
{
    return th_str_make(meta->fields, meta->fields_len);
}

static bool has(const thi_site_meta *meta, const char *text)
{
    return memmem(meta->fields, meta->fields_len, text, strlen(text)) != NULL;
}

START_TEST(fields_are_lines_in_the_order_of_their_use)
{
    thi_site_meta meta = make(&example);
    thi_http_version version = thi_site_version(&meta);
    char want[256];
    int len = snprintf(want, sizeof want,
                       "ETag: %.*s\r\n"
                       "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                       "Accept-Ranges: bytes\r\n"
                       "X-Content-Type-Options: nosniff\r\n"
                       "Content-Type: text/plain\r\n",
                       TH_STR_ARG(version.etag));
    ck_assert(th_str_eq(fields_of(&meta), th_str_make(want, (size_t)len)));
    ck_assert_uint_eq(meta.etag_len, strcspn(want, "\n") + 1);
    ck_assert_str_eq(want + meta.common_len, "Content-Type: text/plain\r\n");
}
END_TEST

START_TEST(the_version_has_a_strong_tag_and_the_date)
{
    thi_site_meta meta = make(&example);
    thi_http_version version = thi_site_version(&meta);
    ck_assert_uint_eq(version.etag.len, 18);
    ck_assert_int_eq(version.etag.ptr[0], '"');
    ck_assert_int_eq(version.etag.ptr[17], '"');
    uint64_t digits;
    ck_assert_int_eq(th_str_hex_to_u64(th_str_make(version.etag.ptr + 1, 16), &digits), 0);
    ck_assert_int_eq(version.modified, 784111777);
    ck_assert(version.exists);
}
END_TEST

static bool same_tag(const struct stat *a, const struct stat *b)
{
    thi_site_meta x = make(a), y = make(b);
    return th_str_eq(thi_site_version(&x).etag, thi_site_version(&y).etag);
}

START_TEST(the_tag_changes_with_inode_size_and_time_to_the_nanosecond)
{
    struct stat other = example;
    ck_assert(same_tag(&example, &other));
    other.st_ino++;
    ck_assert(!same_tag(&example, &other));
    other = example;
    other.st_size++;
    ck_assert(!same_tag(&example, &other));
    other = example;
    other.st_mtim.tv_nsec++;
    ck_assert(!same_tag(&example, &other));
    other = example;
    other.st_mtim.tv_sec++;
    ck_assert(!same_tag(&example, &other));
}
END_TEST

/* A copy of a backup, a changed mode: the bytes are what they were. */
START_TEST(the_tag_stays_with_metadata_that_says_nothing_of_the_bytes)
{
    struct stat other = example;
    other.st_ctim.tv_sec++;
    other.st_mode = 0644;
    other.st_uid = 1;
    other.st_nlink = 2;
    other.st_dev = 7;
    ck_assert(same_tag(&example, &other));
}
END_TEST

/* Its key may not change between versions: clients keep their tags. */
START_TEST(the_tag_is_always_the_same)
{
    thi_site_meta meta = make(&example);
    ck_assert(th_str_eq(thi_site_version(&meta).etag, TH_STR("\"587b0d3081afd8ad\"")));
}
END_TEST

static void check_date(struct timespec time, const char *want)
{
    struct stat st = example;
    st.st_mtim = time;
    thi_site_meta meta = make(&st);
    thi_http_version version = thi_site_version(&meta);
    if (want) {
        ck_assert(has(&meta, want));
        ck_assert_int_eq(version.modified, time.tv_sec);
    } else {
        ck_assert(!has(&meta, "Last-Modified"));
        ck_assert_int_lt(version.modified, 0);
    }
}

START_TEST(dates_before_1970_and_still_to_come_are_not_told)
{
    check_date((struct timespec){ 0, 0 }, "Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
    check_date((struct timespec){ -1, 999999999 }, NULL);
    check_date((struct timespec){ WALL / TH_SECOND, 0 },
               "Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT\r\n");
    check_date((struct timespec){ WALL / TH_SECOND, 1 }, NULL);
    check_date((struct timespec){ WALL / TH_SECOND + 1, 0 }, NULL);
    check_date((struct timespec){ INT64_MAX, 999999999 }, NULL);
    check_date((struct timespec){ INT64_MIN, 0 }, NULL);
}
END_TEST

START_TEST(stamps_differ_in_every_part)
{
    thi_site_stamp a = thi_site_stamp_of(&example);
    for (int i = 0; i < 6; i++) {
        struct stat st = example;
        st.st_dev += i == 0;
        st.st_ino += i == 1;
        st.st_size += i == 2;
        st.st_mtim.tv_nsec += i == 3;
        st.st_ctim.tv_nsec += i == 4;
        thi_site_stamp b = thi_site_stamp_of(&st);
        ck_assert_int_eq(thi_site_stamp_same(&a, &b), i == 5);
    }
}
END_TEST

START_TEST(the_longest_type_fits)
{
    char type[THI_SITE_TYPE_MAX];
    thi_site_meta meta;
    memset(type, 'x', sizeof type);
    thi_site_meta_make(&example, th_str_make(type, sizeof type), WALL, &meta);
    ck_assert_uint_le(meta.fields_len, sizeof meta.fields);
    ck_assert(has(&meta, "xx\r\n"));
}
END_TEST

static void fill(Suite *suite)
{
    TCase *meta = thi_check_case(suite, "meta");
    tcase_add_test(meta, fields_are_lines_in_the_order_of_their_use);
    tcase_add_test(meta, the_version_has_a_strong_tag_and_the_date);
    tcase_add_test(meta, the_tag_changes_with_inode_size_and_time_to_the_nanosecond);
    tcase_add_test(meta, the_tag_stays_with_metadata_that_says_nothing_of_the_bytes);
    tcase_add_test(meta, the_tag_is_always_the_same);
    tcase_add_test(meta, dates_before_1970_and_still_to_come_are_not_told);
    tcase_add_test(meta, stamps_differ_in_every_part);
    tcase_add_test(meta, the_longest_type_fits);
}

int main(void)
{
    return thi_check_run("http/site_meta", fill);
}
