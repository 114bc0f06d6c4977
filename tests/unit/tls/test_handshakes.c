/* SPDX-License-Identifier: MIT */

/* Turns of handshakes: bounded, fair among peers, one in a turn of the loop, behind those who are
 * in. */
#include "runtime/in_fiber.h"

#include "base/alloc.h"
#include "base/metrics.h"
#include "runtime/worker.h"
#include "tls/handshakes.h"

/* One who makes steps, and notes its letter when it is inside. */
typedef struct newcomer {
    char letter;
    unsigned max;
    int steps;
    const char *peer;
    bool *stays; /* inside until that is false; may be NULL */
    int result;
    uint64_t turn; /* of the loop, in which its last step began */
} newcomer;

static int come_in(void *arg)
{
    newcomer *n = arg;
    thi_handshake h;
    th_addr peer = { 0 };
    if (n->peer)
        ck_assert_int_eq(th_addr_parse(n->peer, &peer), 0);
    thi_handshake_begin(&h, n->max, n->peer ? &peer : NULL);
    for (int i = 0; i < n->steps; i++) {
        n->result = thi_handshake_enter(&h);
        if (n->result < 0)
            break;
        n->turn = thi_worker_self->loop.turns;
        note(n->letter);
        while (n->stays && *n->stays)
            th_yield();
        thi_handshake_leave(&h);
    }
    thi_handshake_end(&h);
    return 0;
}

static int64_t how_many_wait(void)
{
    return thi_metric_read(THI_M_TLS_HANDSHAKES_WAITING);
}

static void wait_until_so_many_wait(int64_t count)
{
    while (how_many_wait() != count)
        th_yield();
}

FIBER_TEST(one_alone_does_not_wait)
{
    uint64_t turn = thi_worker_self->loop.turns;
    newcomer n = { .letter = 'a', .steps = 1, .peer = "192.0.2.1:1" };
    come_in(&n);
    ck_assert_int_eq(n.result, 0);
    ck_assert_str_eq(trace, "a");
    ck_assert_uint_eq(thi_worker_self->loop.turns, turn); /* not even for the loop */
    ck_assert_int_eq(how_many_wait(), 0);
}

FIBER_TEST(one_more_than_the_bound_waits)
{
    bool stays = true;
    newcomer n[3];
    th_scope scope;
    open_scope(&scope);
    for (int i = 0; i < 3; i++) {
        n[i] = (newcomer){ .letter = (char)('a' + i), .max = 2, .steps = 1, .stays = &stays };
        spawn(&scope, come_in, &n[i]);
    }
    while (strlen(trace) < 2)
        th_yield();
    for (int i = 0; i < 20; i++)
        th_yield();
    ck_assert_str_eq(trace, "ab");
    ck_assert_int_eq(how_many_wait(), 1);
    stays = false;
    close_scope(&scope);
    ck_assert_str_eq(trace, "abc");
    ck_assert_int_eq(how_many_wait(), 0);
}

FIBER_TEST(without_a_word_the_default_bounds)
{
    bool stays = true;
    newcomer n[THI_HANDSHAKES_MAX + 1];
    th_scope scope;
    open_scope(&scope);
    for (int i = 0; i <= THI_HANDSHAKES_MAX; i++) {
        n[i] = (newcomer){ .letter = 'x', .steps = 1, .stays = &stays };
        spawn(&scope, come_in, &n[i]);
    }
    while (strlen(trace) < THI_HANDSHAKES_MAX)
        th_yield();
    for (int i = 0; i < 20; i++)
        th_yield();
    ck_assert_uint_eq(strlen(trace), THI_HANDSHAKES_MAX);
    stays = false;
    close_scope(&scope);
    ck_assert_uint_eq(strlen(trace), THI_HANDSHAKES_MAX + 1);
}

FIBER_TEST(each_step_begins_in_a_turn_of_its_own)
{
    newcomer n[10];
    th_scope scope;
    open_scope(&scope);
    for (int i = 0; i < 10; i++) {
        n[i] = (newcomer){ .letter = 'x', .steps = 1 };
        spawn(&scope, come_in, &n[i]);
    }
    close_scope(&scope);
    for (int i = 1; i < 10; i++)
        ck_assert_uint_gt(n[i].turn, n[i - 1].turn);
}

FIBER_TEST(peers_take_turns)
{
    bool stays = true;
    newcomer first = { .letter = '.', .max = 1, .steps = 1, .stays = &stays };
    newcomer many[5];
    newcomer one = { .letter = 'b', .max = 1, .steps = 1, .peer = "192.0.2.2:1" };
    newcomer two[2];
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, come_in, &first);
    for (int i = 0; i < 5; i++) {
        many[i] = (newcomer){ .letter = 'a', .max = 1, .steps = 1, .peer = "192.0.2.1:1" };
        spawn(&scope, come_in, &many[i]);
    }
    spawn(&scope, come_in, &one);
    for (int i = 0; i < 2; i++) { /* one customer */
        two[i] = (newcomer){ .letter = 'c', .max = 1, .steps = 1 };
        two[i].peer = i == 0 ? "[2001:db8::1]:1" : "[2001:db8::2:3:4:5]:1";
        spawn(&scope, come_in, &two[i]);
    }
    wait_until_so_many_wait(8);
    stays = false;
    close_scope(&scope);
    ck_assert_str_eq(trace, ".abcacaaa");
}

FIBER_TEST(who_has_begun_goes_before_newcomers)
{
    bool stays = true;
    newcomer first = { .letter = '.', .max = 1, .steps = 2, .stays = &stays };
    newcomer many[4];
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, come_in, &first);
    for (int i = 0; i < 4; i++) {
        many[i] = (newcomer){ .letter = (char)('a' + i), .max = 1, .steps = 2 };
        spawn(&scope, come_in, &many[i]);
    }
    wait_until_so_many_wait(4);
    stays = false;
    close_scope(&scope);
    ck_assert_str_eq(trace, "..aabbccdd"); /* and not .abcd.abcd */
}

FIBER_TEST(of_many_steps_every_fourth_turn_is_a_newcomers)
{
    newcomer a = { .letter = 'a', .max = 1, .steps = 6, .peer = "192.0.2.1:1" };
    newcomer b = { .letter = 'b', .max = 1, .steps = 2, .peer = "192.0.2.2:1" };
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, come_in, &a);
    spawn(&scope, come_in, &b);
    close_scope(&scope);
    /* The first step of a made nobody wait, and three more came before b began. */
    ck_assert_str_eq(trace, "aaaa"
                            "baba");
}

/* ---- who is in ------------------------------------------------------------------------------- */

/* Yields some times, as one who serves and is ready again and again. */
static int serve_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        note('s');
        th_yield();
    }
    return 0;
}

FIBER_TEST(a_newcomer_has_the_lowest_rank_and_its_own_afterwards)
{
    thi_handshake h;
    th_fiber *self = th_fiber_self();
    thi_handshake_begin(&h, 0, NULL);
    ck_assert_uint_eq(self->rank, THI_RANK_LOW);
    thi_handshake_end(&h);
    ck_assert_uint_eq(self->rank, THI_RANK_NORMAL);
}

FIBER_TEST(who_serves_goes_first)
{
    newcomer n[3];
    th_scope scope;
    open_scope(&scope);
    for (int i = 0; i < 3; i++) {
        n[i] = (newcomer){ .letter = 'h', .steps = 1 };
        spawn(&scope, come_in, &n[i]);
    }
    spawn(&scope, serve_often, NULL);
    close_scope(&scope);
    ck_assert_str_eq(trace, "hsss"
                            "hh");
}

/* ---- the end of a wait ----------------------------------------------------------------------- */

FIBER_TEST(who_waits_can_be_cancelled_and_the_next_one_moves_up)
{
    bool stays = true;
    newcomer in = { .letter = 'a', .max = 1, .steps = 1, .stays = &stays };
    newcomer gone = { .letter = 'b', .max = 1, .steps = 1, .peer = "192.0.2.1:1" };
    newcomer next = { .letter = 'c', .max = 1, .steps = 1, .peer = "192.0.2.1:1" };
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, come_in, &in);
    th_fiber *fiber = spawn_handle(&scope, come_in, &gone);
    spawn(&scope, come_in, &next);
    wait_until_so_many_wait(2);
    ck_assert_int_eq(th_fiber_cancel(fiber, 0), 0);
    ck_assert_int_eq(th_join(fiber, NULL), 0);
    ck_assert_int_eq(how_many_wait(), 1);
    ck_assert_int_eq(gone.result, -ECANCELED);
    stays = false;
    close_scope(&scope);
    th_fiber_unref(fiber);
    ck_assert_str_eq(trace, "ac");
}

FIBER_TEST(a_deadline_ends_the_wait_for_a_turn)
{
    bool stays = true;
    newcomer in = { .letter = 'a', .max = 1, .steps = 1, .stays = &stays };
    newcomer late = { .letter = 'b', .max = 1, .steps = 1 };
    th_scope scope;
    th_scope inner;
    open_scope(&scope);
    spawn(&scope, come_in, &in);
    th_yield();
    open_scope_for(&inner, 20 * TH_MILLISECOND);
    come_in(&late);
    close_scope(&inner);
    ck_assert_int_eq(late.result, -ETIMEDOUT);
    ck_assert_int_eq(how_many_wait(), 0);
    stays = false;
    close_scope(&scope);
}

FIBER_TEST(who_is_cancelled_before_does_not_wait)
{
    bool stays = true;
    newcomer in = { .letter = 'a', .max = 1, .steps = 1, .stays = &stays };
    newcomer late = { .letter = 'b', .max = 1, .steps = 1 };
    th_scope scope;
    th_scope inner;
    open_scope(&scope);
    spawn(&scope, come_in, &in);
    th_yield();
    open_cancelled_scope(&inner);
    come_in(&late);
    (void)th_scope_close(&inner);
    ck_assert_int_eq(late.result, -ECANCELED);
    stays = false;
    close_scope(&scope);
}

/* ---- lack of memory -------------------------------------------------------------------------- */

static void queue_without_memory(int64_t n)
{
    bool stays = true;
    newcomer in = { .letter = 'a', .max = 1, .steps = 1, .stays = &stays };
    newcomer more[3];
    th_scope scope;
    open_scope(&scope);
    spawn(&scope, come_in, &in);
    th_yield();
    for (int i = 0; i < 3; i++) {
        more[i] = (newcomer){ .letter = 'b', .max = 1, .steps = 1, .peer = "192.0.2.1:1" };
        spawn(&scope, come_in, &more[i]);
    }
    thi_alloc_fail_at(n);
    for (int i = 0; i < 5; i++)
        th_yield();
    thi_alloc_fail_at(0);
    stays = false;
    close_scope(&scope);
    ck_assert_str_eq(trace, "abbb");
    memset(trace, 0, sizeof trace);
}

FIBER_TEST(without_memory_for_a_peer_it_waits_among_strangers)
{
    for (int64_t n = 1; n < 5; n++)
        queue_without_memory(n);
    ck_assert_int_eq(how_many_wait(), 0);
}

FIBER_TEST(without_memory_for_turns_there_are_none)
{
    thi_handshake h;
    thi_alloc_fail_at(1);
    thi_handshake_begin(&h, 1, NULL);
    ck_assert_int_eq(thi_alloc_fail_at(0), 0);
    ck_assert_ptr_null(h.all);
    ck_assert_int_eq(thi_handshake_enter(&h), 0);
    thi_handshake_leave(&h);
    thi_handshake_end(&h);
}

START_TEST(outside_of_a_fiber_there_are_no_turns)
{
    thi_handshake h;
    thi_handshake_begin(&h, 1, NULL);
    ck_assert_int_eq(thi_handshake_enter(&h), 0);
    ck_assert_int_eq(thi_handshake_enter(&h), 0);
    thi_handshake_leave(&h);
    thi_handshake_end(&h);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "turns");
    tcase_add_test(tcase, one_alone_does_not_wait);
    tcase_add_test(tcase, one_more_than_the_bound_waits);
    tcase_add_test(tcase, without_a_word_the_default_bounds);
    tcase_add_test(tcase, each_step_begins_in_a_turn_of_its_own);
    tcase_add_test(tcase, peers_take_turns);
    tcase_add_test(tcase, who_has_begun_goes_before_newcomers);
    tcase_add_test(tcase, of_many_steps_every_fourth_turn_is_a_newcomers);
    tcase = thi_check_case(suite, "who is in");
    tcase_add_test(tcase, a_newcomer_has_the_lowest_rank_and_its_own_afterwards);
    tcase_add_test(tcase, who_serves_goes_first);
    tcase = thi_check_case(suite, "the end of a wait");
    tcase_add_test(tcase, who_waits_can_be_cancelled_and_the_next_one_moves_up);
    tcase_add_test(tcase, a_deadline_ends_the_wait_for_a_turn);
    tcase_add_test(tcase, who_is_cancelled_before_does_not_wait);
    tcase = thi_check_case(suite, "lack of memory");
    tcase_add_test(tcase, without_memory_for_a_peer_it_waits_among_strangers);
    tcase_add_test(tcase, without_memory_for_turns_there_are_none);
    tcase_add_test(tcase, outside_of_a_fiber_there_are_no_turns);
}

int main(void)
{
    return thi_check_run("tls/handshakes", fill);
}
