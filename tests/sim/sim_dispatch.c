/* SPDX-License-Identifier: MIT */

/*
 * Dispatchers and chats, in worlds from friendly to hostile.
 *
 * While there are faults a conversation is tried again until it succeeds; one that begins after the
 * faults have ended must succeed at once.
 */
#include "sim_seeds.h"

#include "callback/conversation.h"

#define FAULTS_END (20 * TH_SECOND)
#define PATIENCE   (5 * TH_SECOND)
#define TALKS      8

typedef struct stage {
    const char *address;
    bool faulty;
    int64_t calm; /* when the faults are over */
} stage;

static bool faults_are_on(const stage *st)
{
    return st->faulty && th_now() < st->calm;
}

static int talk_once(conversation *c, const char *address)
{
    th_scope patient;
    int err = th_scope_open(&patient, &(th_scope_opts){ .deadline = th_after(PATIENCE) });
    if (err < 0)
        return err;
    err = c->listener ? 0 : start_server(c, address);
    if (err == 0)
        err = ask_once(c);
    th_scope_close(&patient);
    return err;
}

/* A listener may have failed because of a fault that is over by now. */
static bool is_excused(const conversation *c, bool faults)
{
    return faults || !c->listener;
}

static int play(void *arg)
{
    stage *st = arg;
    conversation c = { .client = 1 };
    int done = 0;
    st->calm = th_now() + FAULTS_END;
    while (th_dispatch_map_new(NULL, &c.map) < 0) {
        expect(faults_are_on(st));
        th_sleep(100 * TH_MILLISECOND);
    }
    while (done < TALKS || faults_are_on(st)) {
        bool faults = faults_are_on(st);
        int result = talk_once(&c, st->address);
        if (result == 0) {
            done++;
            th_sleep((int64_t)th_sim_random(2 * TH_SECOND));
            continue;
        }
        expect_value(is_excused(&c, faults), result);
        if (!is_excused(&c, faults))
            break;
        th_sleep((int64_t)th_sim_random(TH_SECOND));
    }
    end_conversation(&c);
    expect(th_dispatch_map_free(c.map) == 0);
    expect_value(c.alive == 0, c.alive);
    return 0;
}

static void friendly(th_sim_opts *opts)
{
    opts->workers = 1;
}

static void hostile(th_sim_opts *opts)
{
    friendly(opts);
    th_sim_set_faults(opts, 1 << (opts->seed % 15));
    opts->fault_until = FAULTS_END;
}

/* What may slow things down, but must never make anything fail. */
static void slow(th_sim_opts *opts)
{
    friendly(opts);
    opts->faults[TH_SIM_SHORT_READ].per_million = 100000;
    opts->faults[TH_SIM_SHORT_WRITE].per_million = 100000;
    opts->faults[TH_SIM_AGAIN].per_million = 100000;
}

START_TEST(a_conversation_goes_well)
{
    stage st = { .address = "127.0.0.1:0" };
    sim_seeds(play, &st, friendly);
}
END_TEST

START_TEST(a_conversation_over_a_unix_socket_goes_well_if_slowly)
{
    stage st = { .address = "unix:@thrum-sim-dispatch" };
    sim_seeds(play, &st, slow);
}
END_TEST

START_TEST(a_conversation_over_ipv6_goes_well_if_slowly)
{
    stage st = { .address = "[::1]:0" };
    sim_seeds(play, &st, slow);
}
END_TEST

START_TEST(a_conversation_that_fails_goes_well_when_the_faults_are_over)
{
    stage st = { .address = "127.0.0.1:0", .faulty = true };
    sim_seeds(play, &st, hostile);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tc = thi_check_case(suite, "dispatch");
    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, a_conversation_goes_well);
    tcase_add_test(tc, a_conversation_over_a_unix_socket_goes_well_if_slowly);
    tcase_add_test(tc, a_conversation_over_ipv6_goes_well_if_slowly);
    tcase_add_test(tc, a_conversation_that_fails_goes_well_when_the_faults_are_over);
}

int main(void)
{
    return thi_check_run("sim/dispatch", fill_suite);
}
