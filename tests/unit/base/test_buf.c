/* SPDX-License-Identifier: MIT */

/* Tests of byte buffers, against a flat array as the model. */
#include "base/buf.h"

#include "base/alloc.h"
#include "base/random.h"
#include "base/util.h"

#include "check_main.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static thi_bufpool pool;
static char pattern[200000]; /* bytes that differ from their neighbours, near and far */

static void setup(void)
{
    thi_bufpool_init(&pool);
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (char)(i * 31 + i / 251 * 7);
}

/* Everything went back to the pool. */
static void teardown(void)
{
    ck_assert_uint_eq(pool.used_bytes, 0);
    thi_bufpool_deinit(&pool);
}

/* Whether the pieces are these bytes, none of them empty. */
static bool pieces_are(const struct iovec *pieces, int count, const char *bytes, size_t n)
{
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        size_t len = pieces[i].iov_len;
        if (len == 0 || len > n - at || memcmp(pieces[i].iov_base, bytes + at, len) != 0)
            return false;
        at += len;
    }
    return at == n;
}

/* Asserts that the buffer holds exactly these bytes; little, as each assertion is a system call. */
static void expect(const thi_buf *buf, const char *bytes, size_t n)
{
    struct iovec pieces[1000];
    int count = thi_buf_iov(buf, pieces, (int)thi_array_len(pieces));
    ck_assert_uint_eq(thi_buf_len(buf), n);
    ck_assert(pieces_are(pieces, count, bytes, n));
}

START_TEST(empty_buffer_holds_no_segment)
{
    thi_buf buf;
    thi_buf_init(&buf, &pool);
    expect(&buf, "", 0);
    ck_assert_uint_eq(thi_buf_front(&buf).len, 0);
    ck_assert_int_eq(thi_buf_append(&buf, "abc", 3), 0);
    ck_assert_uint_gt(pool.used_bytes, 0);
    thi_buf_consume(&buf, 3);
    ck_assert_uint_eq(pool.used_bytes, 0);
    thi_buf_clear(&buf);
    expect(&buf, "", 0);
}
END_TEST

START_TEST(appending_nothing_changes_nothing)
{
    thi_buf buf;
    thi_buf_init(&buf, &pool);
    ck_assert_int_eq(thi_buf_append(&buf, NULL, 0), 0);
    ck_assert_int_eq(thi_buf_prepend(&buf, NULL, 0), 0);
    thi_buf_consume(&buf, 0);
    ck_assert_uint_eq(thi_buf_peek(&buf, NULL, 0), 0);
    ck_assert_str_eq(thi_buf_pullup(&buf, 0), "");
    ck_assert_uint_eq(pool.used_bytes, 0);
}
END_TEST

START_TEST(bytes_come_out_as_they_went_in)
{
    static const size_t sizes[] = { 1, 4031, 4032, 4033, 16319, 16320, 16321, 100000 };
    static char out[sizeof pattern];
    for (size_t i = 0; i < thi_array_len(sizes); i++) {
        thi_buf buf;
        thi_buf_init(&buf, &pool);
        ck_assert_int_eq(thi_buf_append(&buf, pattern, sizes[i]), 0);
        expect(&buf, pattern, sizes[i]);
        ck_assert_uint_eq(thi_buf_peek(&buf, out, sizeof out), sizes[i]);
        ck_assert_mem_eq(out, pattern, sizes[i]);
        memset(out, 0, sizes[i]);
        ck_assert_uint_eq(thi_buf_read(&buf, out, sizeof out), sizes[i]);
        ck_assert_mem_eq(out, pattern, sizes[i]);
        expect(&buf, "", 0);
    }
}
END_TEST

START_TEST(small_appends_share_a_segment)
{
    thi_buf buf;
    thi_buf_init(&buf, &pool);
    for (size_t i = 0; i < 4000; i++)
        ck_assert_int_eq(thi_buf_append(&buf, pattern + i, 1), 0);
    struct iovec pieces[2];
    ck_assert_int_eq(thi_buf_iov(&buf, pieces, 2), 1);
    expect(&buf, pattern, 4000);
    thi_buf_clear(&buf);
}
END_TEST

START_TEST(prepending_uses_room_before_and_makes_it)
{
    thi_buf buf;
    thi_buf_init(&buf, &pool);
    ck_assert_int_eq(thi_buf_append(&buf, pattern + 500, 100), 0);
    thi_buf_consume(&buf, 50);
    ck_assert_int_eq(thi_buf_prepend(&buf, pattern + 500, 50), 0);
    size_t one_segment = pool.used_bytes;
    expect(&buf, pattern + 500, 100);
    for (size_t i = 500; i-- > 0;)
        ck_assert_int_eq(thi_buf_prepend(&buf, pattern + i, 1), 0);
    ck_assert_uint_eq(pool.used_bytes, 2 * one_segment);
    expect(&buf, pattern, 600);
    thi_buf_clear(&buf);
    ck_assert_int_eq(thi_buf_prepend(&buf, pattern, 20000), 0);
    ck_assert_int_eq(thi_buf_append(&buf, pattern + 20000, 10), 0);
    expect(&buf, pattern, 20010);
    thi_buf_clear(&buf);
}
END_TEST

START_TEST(iov_gives_no_more_than_asked_for)
{
    thi_buf buf;
    thi_buf_init(&buf, &pool);
    ck_assert_int_eq(thi_buf_append(&buf, pattern, 100000), 0);
    struct iovec pieces[3];
    ck_assert_int_eq(thi_buf_iov(&buf, pieces, 0), 0);
    ck_assert_int_eq(thi_buf_iov(&buf, pieces, 3), 3);
    th_str front = thi_buf_front(&buf);
    ck_assert_ptr_eq(front.ptr, pieces[0].iov_base);
    ck_assert_uint_eq(front.len, pieces[0].iov_len);
    thi_buf_clear(&buf);
}
END_TEST

START_TEST(reserve_gives_room_and_commit_publishes_it)
{
    thi_buf buf;
    thi_buf_init(&buf, &pool);
    size_t room = 0;
    char *at = thi_buf_reserve(&buf, 100, &room);
    ck_assert_uint_ge(room, 100);
    memcpy(at, pattern, 10);
    ck_assert_uint_eq(thi_buf_len(&buf), 0);
    thi_buf_commit(&buf, 10);
    expect(&buf, pattern, 10);

    char *next = thi_buf_reserve(&buf, 1, &room);
    ck_assert_ptr_eq(next, at + 10);
    memcpy(next, pattern + 10, room);
    thi_buf_commit(&buf, room);
    expect(&buf, pattern, 10 + room);

    size_t more = 0;
    char *third = thi_buf_reserve(&buf, 50000, &more);
    ck_assert_uint_ge(more, 50000);
    memcpy(third, pattern + 10 + room, 50000);
    thi_buf_commit(&buf, 50000);
    expect(&buf, pattern, 10 + room + 50000);
    thi_buf_clear(&buf);
}
END_TEST

START_TEST(commit_of_nothing_gives_the_room_back)
{
    thi_buf buf;
    thi_buf_init(&buf, &pool);
    size_t room;
    ck_assert_ptr_nonnull(thi_buf_reserve(&buf, 100, &room));
    thi_buf_commit(&buf, 0);
    ck_assert_uint_eq(pool.used_bytes, 0);

    ck_assert_int_eq(thi_buf_append(&buf, pattern, 20000), 0);
    size_t before = pool.used_bytes;
    ck_assert_ptr_nonnull(thi_buf_reserve(&buf, 15000, &room));
    thi_buf_commit(&buf, 0);
    ck_assert_uint_eq(pool.used_bytes, before);
    ck_assert_ptr_nonnull(thi_buf_reserve(&buf, 1, &room));
    thi_buf_commit(&buf, 0);
    ck_assert_int_eq(thi_buf_append(&buf, pattern + 20000, 1), 0);
    expect(&buf, pattern, 20001);
    thi_buf_clear(&buf);
}
END_TEST

START_TEST(pullup_makes_bytes_contiguous)
{
    static const size_t sizes[] = { 1, 16320, 16321, 20000, 60000 };
    for (size_t i = 0; i < thi_array_len(sizes); i++) {
        thi_buf buf;
        thi_buf_init(&buf, &pool);
        ck_assert_int_eq(thi_buf_append(&buf, pattern, 60000), 0);
        const char *bytes = thi_buf_pullup(&buf, sizes[i]);
        ck_assert_mem_eq(bytes, pattern, sizes[i]);
        ck_assert_uint_ge(thi_buf_front(&buf).len, sizes[i]);
        expect(&buf, pattern, 60000);
        ck_assert_int_eq(thi_buf_append(&buf, pattern + 60000, 10), 0);
        expect(&buf, pattern, 60010);
        thi_buf_clear(&buf);
    }
}
END_TEST

START_TEST(pullup_reuses_the_first_segment_when_all_fits)
{
    thi_buf buf;
    thi_buf_init(&buf, &pool);
    ck_assert_int_eq(thi_buf_append(&buf, pattern, 4032 + 100), 0);
    thi_buf_consume(&buf, 4000);
    thi_alloc_fail_at(1);
    ck_assert_mem_eq(thi_buf_pullup(&buf, 132), pattern + 4000, 132);
    expect(&buf, pattern + 4000, 132);
    thi_buf_clear(&buf);
}
END_TEST

static void count(void *ctx)
{
    ++*(int *)ctx;
}

START_TEST(borrowed_bytes_are_shown_in_place_and_released_once)
{
    int released = 0;
    thi_buf buf;
    thi_buf_init(&buf, &pool);
    ck_assert_int_eq(thi_buf_append(&buf, "abc", 3), 0);
    ck_assert_int_eq(thi_buf_append_borrowed(&buf, TH_STR("defgh"), count, &released), 0);
    ck_assert_int_eq(thi_buf_append_borrowed(&buf, TH_STR("i"), NULL, NULL), 0);
    ck_assert_int_eq(thi_buf_append(&buf, "jk", 2), 0);
    expect(&buf, "abcdefghijk", 11);
    thi_buf_consume(&buf, 7);
    ck_assert_int_eq(released, 0);
    ck_assert_int_eq(thi_buf_prepend(&buf, "G", 1), 0);
    expect(&buf, "Ghijk", 5);
    thi_buf_consume(&buf, 2);
    ck_assert_int_eq(released, 1);
    expect(&buf, "ijk", 3);
    thi_buf_clear(&buf);
    ck_assert_int_eq(released, 1);
}
END_TEST

START_TEST(borrowed_bytes_are_released_by_clear_and_pullup)
{
    int released = 0;
    thi_buf buf;
    thi_buf_init(&buf, &pool);
    ck_assert_int_eq(thi_buf_append_borrowed(&buf, TH_STR("abc"), count, &released), 0);
    thi_buf_clear(&buf);
    ck_assert_int_eq(released, 1);
    ck_assert_int_eq(thi_buf_append_borrowed(&buf, TH_STR("abc"), count, &released), 0);
    ck_assert_int_eq(thi_buf_append_borrowed(&buf, TH_STR("def"), count, &released), 0);
    ck_assert_mem_eq(thi_buf_pullup(&buf, 5), "abcde", 5);
    ck_assert_int_eq(released, 2);
    expect(&buf, "abcdef", 6);
    thi_buf_clear(&buf);
    ck_assert_int_eq(released, 3);
    ck_assert_int_eq(thi_buf_append_borrowed(&buf, TH_STR(""), count, &released), 0);
    ck_assert_int_eq(thi_buf_append_borrowed(&buf, TH_STR(""), NULL, NULL), 0);
    ck_assert_int_eq(released, 4);
    expect(&buf, "", 0);
}
END_TEST

START_TEST(move_takes_all_without_copying)
{
    thi_buf buf, from;
    thi_buf_init(&buf, &pool);
    thi_buf_init(&from, &pool);
    thi_buf_move(&buf, &from);
    ck_assert_int_eq(thi_buf_append(&from, pattern, 20000), 0);
    const char *first = thi_buf_front(&from).ptr;
    thi_buf_move(&buf, &from);
    ck_assert_ptr_eq(thi_buf_front(&buf).ptr, first);
    expect(&from, "", 0);
    ck_assert_int_eq(thi_buf_append(&from, pattern + 20000, 7), 0);
    thi_buf_move(&buf, &from);
    ck_assert_int_eq(thi_buf_append(&buf, pattern + 20007, 3), 0);
    expect(&buf, pattern, 20010);
    thi_buf_clear(&buf);
}
END_TEST

START_TEST(lack_of_memory_leaves_the_buffer_as_it_was)
{
    int released = 0;
    size_t room = 42;
    thi_buf buf;
    thi_buf_init(&buf, &pool);
    ck_assert_int_eq(thi_buf_append(&buf, pattern, 4000), 0);
    ck_assert_int_eq(thi_buf_append_borrowed(&buf, TH_STR("xy"), NULL, NULL), 0);
    thi_buf_consume(&buf, 0);
    thi_bufpool_trim(&pool, 0);
    thi_alloc_fail_at(1);
    ck_assert_int_eq(thi_buf_append(&buf, pattern, 50), -ENOMEM);
    thi_alloc_fail_at(3);
    ck_assert_int_eq(thi_buf_append(&buf, pattern, 50000), -ENOMEM);
    thi_bufpool_trim(&pool, 0);
    thi_alloc_fail_at(1);
    ck_assert_int_eq(thi_buf_prepend(&buf, pattern, 50), -ENOMEM);
    thi_alloc_fail_at(1);
    ck_assert_int_eq(thi_buf_append_borrowed(&buf, TH_STR("z"), count, &released), -ENOMEM);
    thi_alloc_fail_at(1);
    ck_assert_ptr_null(thi_buf_reserve(&buf, 50, &room));
    ck_assert_uint_eq(room, 42);
    thi_buf_consume(&buf, 3999);
    ck_assert_int_eq(thi_buf_append(&buf, pattern, 20000), 0);
    thi_bufpool_trim(&pool, 0);
    thi_alloc_fail_at(1);
    ck_assert_ptr_null(thi_buf_pullup(&buf, 20003));
    ck_assert_int_eq(released, 0);
    ck_assert_uint_eq(thi_buf_len(&buf), 20003);
    ck_assert_int_eq(*thi_buf_front(&buf).ptr, pattern[3999]);
    thi_buf_clear(&buf);
}
END_TEST

START_TEST(consuming_more_than_there_is_is_found_out)
{
    close(STDERR_FILENO);
    thi_buf buf;
    thi_buf_init(&buf, &pool);
    thi_buf_consume(&buf, 1);
}
END_TEST

START_TEST(use_of_a_reserved_buffer_is_found_out)
{
    close(STDERR_FILENO);
    thi_buf buf;
    size_t room;
    thi_buf_init(&buf, &pool);
    if (thi_buf_reserve(&buf, 1, &room))
        ck_assert_int_eq(thi_buf_append(&buf, "x", 1), 0);
}
END_TEST

/* The model: the bytes, in one piece; and how many borrowed segments were made and released. */
struct model {
    char bytes[sizeof pattern];
    size_t len;
    size_t next; /* place in the pattern of what comes next */
    int borrowed, released;
};

static void model_insert(struct model *model, size_t at, size_t n)
{
    memmove(model->bytes + at + n, model->bytes + at, model->len - at);
    memcpy(model->bytes + at, pattern + model->next, n);
    model->len += n;
    model->next = (model->next + n) % (sizeof pattern / 2);
}

static void step_in(thi_random *random, thi_buf *buf, struct model *model, size_t n)
{
    const char *data = pattern + model->next;
    size_t room;
    switch (thi_random_below(random, 4)) {
    case 0:
        ck_assert_int_eq(thi_buf_append(buf, data, n), 0);
        model_insert(model, model->len, n);
        break;
    case 1:
        ck_assert_int_eq(thi_buf_prepend(buf, data, n), 0);
        model_insert(model, 0, n);
        break;
    case 2:
        ck_assert_int_eq(
            thi_buf_append_borrowed(buf, th_str_make(data, n), count, &model->released), 0);
        model->borrowed++;
        model_insert(model, model->len, n);
        break;
    default:
        memcpy(thi_buf_reserve(buf, n + 1, &room), data, n);
        ck_assert_uint_gt(room, n);
        thi_buf_commit(buf, n);
        model_insert(model, model->len, n);
    }
}

static void step_out(thi_random *random, thi_buf *buf, struct model *model, size_t n)
{
    static char out[sizeof pattern];
    n = thi_min(n, model->len);
    switch (thi_random_below(random, 3)) {
    case 0:
        thi_buf_consume(buf, n);
        break;
    case 1:
        ck_assert_uint_eq(thi_buf_read(buf, out, n), n);
        ck_assert_int_eq(memcmp(out, model->bytes, n), 0);
        break;
    default:
        ck_assert_int_eq(memcmp(thi_buf_pullup(buf, n), model->bytes, n), 0);
        return;
    }
    model->len -= n;
    memmove(model->bytes, model->bytes + n, model->len);
}

START_TEST(random_operations_agree_with_a_flat_array)
{
    static const uint64_t scales[] = { 3, 200, 5000, 20000 };
    static struct model model;
    thi_random random;
    thi_random_seed(&random, (uint64_t)_i);
    thi_buf buf;
    thi_buf_init(&buf, &pool);
    for (int step = 0; step < 3000; step++) {
        size_t n = thi_random_below(&random, scales[thi_random_below(&random, 4)]);
        if (model.len + n < 100000 && thi_random_below(&random, 2) == 0)
            step_in(&random, &buf, &model, n);
        else
            step_out(&random, &buf, &model, n);
        expect(&buf, model.bytes, model.len);
        if (model.len == 0)
            ck_assert_uint_eq(pool.used_bytes, 0);
    }
    thi_buf_clear(&buf);
    ck_assert_int_eq(model.released, model.borrowed);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *buf = thi_check_case(suite, "buf");
    tcase_add_checked_fixture(buf, setup, teardown);
    tcase_add_test(buf, empty_buffer_holds_no_segment);
    tcase_add_test(buf, appending_nothing_changes_nothing);
    tcase_add_test(buf, bytes_come_out_as_they_went_in);
    tcase_add_test(buf, small_appends_share_a_segment);
    tcase_add_test(buf, prepending_uses_room_before_and_makes_it);
    tcase_add_test(buf, iov_gives_no_more_than_asked_for);
    tcase_add_test(buf, reserve_gives_room_and_commit_publishes_it);
    tcase_add_test(buf, commit_of_nothing_gives_the_room_back);
    tcase_add_test(buf, pullup_makes_bytes_contiguous);
    tcase_add_test(buf, pullup_reuses_the_first_segment_when_all_fits);
    tcase_add_test(buf, borrowed_bytes_are_shown_in_place_and_released_once);
    tcase_add_test(buf, borrowed_bytes_are_released_by_clear_and_pullup);
    tcase_add_test(buf, move_takes_all_without_copying);
    tcase_add_test(buf, lack_of_memory_leaves_the_buffer_as_it_was);
    tcase_add_loop_test(buf, random_operations_agree_with_a_flat_array, 0, 5);
    TCase *misuse = thi_check_case(suite, "misuse");
    tcase_add_checked_fixture(misuse, setup, NULL);
    tcase_add_test_raise_signal(misuse, consuming_more_than_there_is_is_found_out, SIGABRT);
    tcase_add_test_raise_signal(misuse, use_of_a_reserved_buffer_is_found_out, SIGABRT);
}

int main(void)
{
    return thi_check_run("base/buf", fill);
}
