/* SPDX-License-Identifier: MIT */

/* A crowd at events: a token is had by one at a time, and no setting is missed. */
#include "crowd.h"

#include <thrum/event.h>

#define ROUNDS 1000

/* ---- an automatic event as a token ---- */

static th_event token;
static int shared; /* guarded by the token */
static int got[CROWD];

static void begin_token(void)
{
    token = (th_event)TH_EVENT_AUTO_INIT;
    shared = 0;
    memset(got, 0, sizeof got);
    surely(th_event_set(&token));
}

static void use_token(int me)
{
    for (int i = 0; i < ROUNDS; i++) {
        int result = i % 3 ? th_event_wait(&token) : briefly(20, th_event_wait(&token));
        ck_assert(result == 0 || (i % 3 == 0 && result == -ETIMEDOUT));
        if (result != 0)
            continue;
        int before = shared;
        if (i % 16 < 4)
            crowd_yield(); /* while it has the token */
        shared = before + 1;
        got[me]++;
        surely(th_event_set(&token));
    }
}

static void check_token(void)
{
    int sum = 0;
    for (int i = 0; i < CROWD; i++)
        sum += got[i];
    ck_assert_int_ge(sum, CROWD * ROUNDS / 2);
    ck_assert_int_eq(shared, sum);
    ck_assert_int_eq(th_event_is_set(&token), 1);
    surely(th_event_wait(&token));
    ck_assert_int_eq(th_event_is_set(&token), 0);
}

CROWD_TEST(a_token_is_never_lost_or_doubled, .begin = begin_token, .act = use_token,
           .check = check_token)

/* ---- manual events that stay set ---- */

static th_event stage[ROUNDS]; /* each is set once, by whoever finds that all have come there */
static atomic_int come[ROUNDS];
static int built[ROUNDS]; /* before the event is set; read after it */

static void begin_stages(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        stage[i] = (th_event)TH_EVENT_INIT;
        atomic_store(&come[i], 0);
        built[i] = 0;
    }
}

static void wait_at(int i, int how)
{
    int result = -ETIMEDOUT;
    while (result == -ETIMEDOUT)
        result = how % 3 ? th_event_wait(&stage[i]) : briefly(10, th_event_wait(&stage[i]));
    surely(result);
}

static void pass_stages(int me)
{
    for (int i = 0; i < ROUNDS; i++) {
        if (atomic_fetch_add(&come[i], 1) == CROWD - 1) {
            built[i] = i + 1;
            surely(th_event_set(&stage[i]));
        } else if (i % 64 == 3) { /* seldom: who polls keeps the last one from coming */
            while (th_event_is_set(&stage[i]) == 0)
                crowd_yield();
        } else {
            wait_at(i, me + i);
        }
        ck_assert_int_eq(built[i], i + 1);
    }
}

static void check_stages(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        ck_assert_int_eq(th_event_is_set(&stage[i]), 1);
        surely(th_event_wait(&stage[i]));
    }
}

CROWD_TEST(a_setting_is_seen_by_all_with_what_was_done_before, .begin = begin_stages,
           .act = pass_stages, .check = check_stages)

/* ---- one who asks, and all others who answer ---- */

static th_event requests[CROWD];
static th_event answers;
static atomic_int answered;

static void begin_requests(void)
{
    for (int i = 0; i < CROWD; i++)
        requests[i] = (th_event)TH_EVENT_INIT;
    answers = (th_event)TH_EVENT_AUTO_INIT;
    atomic_store(&answered, 0);
}

/* Settings of `answers` may fall together, but the last one of a round is never missed. */
static void ask(void)
{
    for (int round = 1; round <= ROUNDS; round++) {
        for (int i = 1; i < CROWD; i++)
            surely(th_event_set(&requests[i]));
        while (atomic_load(&answered) < round * (CROWD - 1))
            surely(th_event_wait(&answers));
    }
}

static void answer(int me)
{
    for (int i = 0; i < ROUNDS; i++) {
        surely(th_event_wait(&requests[me]));
        surely(th_event_clear(&requests[me]));
        atomic_fetch_add(&answered, 1);
        surely(th_event_set(&answers));
    }
}

static void ask_or_answer(int me)
{
    if (me == 0)
        ask();
    else
        answer(me);
}

static void check_requests(void)
{
    ck_assert_int_eq(atomic_load(&answered), ROUNDS * (CROWD - 1));
    for (int i = 1; i < CROWD; i++)
        ck_assert_int_eq(th_event_is_set(&requests[i]), 0);
}

CROWD_TEST(no_setting_is_missed, .begin = begin_requests, .act = ask_or_answer,
           .check = check_requests)

static void fill(Suite *suite)
{
    TCase *tcase = crowd_case(suite, "event");
    tcase_add_test(tcase, a_token_is_never_lost_or_doubled);
    tcase_add_test(tcase, a_setting_is_seen_by_all_with_what_was_done_before);
    tcase_add_test(tcase, no_setting_is_missed);
}

int main(void)
{
    return thi_check_run("stress/event", fill);
}
