/* SPDX-License-Identifier: MIT */

/*
 * Dialling names whose addresses answer, refuse or are silent, each in its time: on virtual clocks,
 * so that delays are exact.
 */
#include "runtime/in_fiber.h"

#include "base/alloc.h"
#include "sys/sys.h"

#include <thrum/addr.h>
#include <thrum/dial.h>
#include <thrum/mem.h>
#include <thrum/names.h>
#include <thrum/serve.h>
#include <thrum/sim.h>
#include <thrum/stream.h>

#include <stdio.h>

#define MS TH_MILLISECOND

#define SIX   "2001:db8::1"
#define SIX2  "2001:db8::2"
#define FOUR  "192.0.2.1"
#define FOUR2 "192.0.2.2"

#define BOTH        SIX " " FOUR
#define ALL_BUT_ONE SIX " " SIX2 " " FOUR

static const th_sim_host hosts[] = {
    { .name = "both", .answer = SIX " " FOUR, .delay = 2 * MS },
    { .name = "late6", .answer = SIX, .delay = 30 * MS },
    { .name = "late6", .answer = FOUR, .delay = 5 * MS },
    { .name = "too-late6", .answer = SIX, .delay = 200 * MS },
    { .name = "too-late6", .answer = FOUR, .delay = 5 * MS },
    { .name = "late4", .answer = SIX, .delay = 5 * MS },
    { .name = "late4", .answer = FOUR, .delay = 300 * MS },
    { .name = "silent6", .answer = SIX, .delay = TH_NEVER },
    { .name = "silent6", .answer = FOUR, .delay = 5 * MS },
    { .name = "only4", .answer = FOUR, .delay = 5 * MS },
    { .name = "many", .answer = SIX " " SIX2 " " FOUR " " FOUR2, .delay = 2 * MS },
    { .name = "failing", .error = TH_ENAMESERVER },
    { .name = "nothing", .answer = NULL, .delay = 2 * MS },
    { .name = "short", .answer = FOUR, .ttl = TH_SECOND },
    { .name = "_x._tcp.test", .answer = "1 0 80 both, 0 0 81 only4,nonsense", .delay = 2 * MS },
    { .name = "zero", .answer = "0.0.0.0", .delay = 2 * MS },
};

static th_sim_result result;

static int run_with(int (*app)(void *arg), th_sim_opts opts)
{
    opts.hosts = hosts;
    opts.host_count = thi_array_len(hosts);
    if (!opts.latency_max)
        opts.latency_min = opts.latency_max = MS;
    return th_sim_run(app, NULL, &opts, &result);
}

/* Runs it in a calm world, in which nothing may be left behind. */
static void in_world(int (*app)(void *arg), const char *silent)
{
    int err = run_with(app, (th_sim_opts){ .silent = silent });
    ck_assert_msg(err == 0, "%s: %s", th_errname(err), th_err_detail());
    ck_assert_uint_eq(result.open_descriptors, 0);
    ck_assert_int_eq(result.live_allocations, 0);
}

/* A test whose body is the main fiber of a simulation, in which these addresses are silent. */
#define SIM_TEST(silent, name)                                                                     \
    static void name##_body(void);                                                                 \
    static int name##_main(void *arg)                                                              \
    {                                                                                              \
        (void)arg;                                                                                 \
        name##_body();                                                                             \
        return 0;                                                                                  \
    }                                                                                              \
    START_TEST(name)                                                                               \
    {                                                                                              \
        in_world(name##_main, silent);                                                             \
    }                                                                                              \
    END_TEST                                                                                       \
    static void name##_body(void)

static th_listener *listening(const char *address)
{
    th_listener *listener = NULL;
    ck_assert_int_eq(th_listen(address, NULL, &listener), 0);
    return listener;
}

/* Both addresses of "both" are served. */
typedef struct servers {
    th_listener *six, *four;
} servers;

static servers serve_both(void)
{
    return (servers){ listening("[" SIX "]:80"), listening(FOUR ":80") };
}

static void stop_both(servers s)
{
    th_listener_close(s.six);
    th_listener_close(s.four);
}

/* Dials; whom it has reached, and that it took from..to milliseconds. */
static void reaches(const char *address, const th_dial_opts *opts, const char *peer, int64_t from,
                    int64_t to)
{
    th_stream *stream = NULL;
    char text[TH_ADDR_TEXT];
    th_addr addr;
    int64_t began = th_now();
    int err = th_dial(address, opts, &stream);
    ck_assert_msg(err == 0, "%s: %s: %s", address, th_errname(err), th_err_detail());
    int64_t took = (th_now() - began) / MS;
    ck_assert_int_eq(th_stream_peer(stream, &addr), 0);
    ck_assert_str_eq(th_addr_format(&addr, text, sizeof text), peer);
    ck_assert_msg(took >= from && took <= to, "%s took %lld ms", address, (long long)took);
    th_stream_free(stream);
}

/* Dialling fails so, with these words in the detail. */
static void fails(const char *address, const th_dial_opts *opts, int error, const char *words)
{
    th_stream *stream = NULL;
    int err = th_dial(address, opts, &stream);
    ck_assert_msg(err == error, "%s: %s, not %s: %s", address, th_errname(err), th_errname(error),
                  th_err_detail());
    ck_assert_ptr_null(stream);
    ck_assert_msg(strstr(th_err_detail(), words) != NULL, "%s", th_err_detail());
    ck_assert_msg(strstr(th_err_detail(), address) != NULL, "%s", th_err_detail());
}

/* ---- who is first ------------------------------------------------------------------------------
 */

SIM_TEST(NULL, ip6_is_preferred)
{
    servers s = serve_both();
    reaches("both:80", NULL, "[" SIX "]:80", 2, 10);
    reaches("tcp://both:80", NULL, "[" SIX "]:80", 0, 10);
    reaches("BOTH.:80", NULL, "[" SIX "]:80", 0, 10);
    stop_both(s);
}

SIM_TEST(NULL, ip6_is_tried_first_though_its_answer_comes_second)
{
    servers s = serve_both();
    reaches("late6:80", NULL, "[" SIX "]:80", 30, 40);
    stop_both(s);
}

SIM_TEST(NULL, ip6_is_not_waited_for_longer_than_that)
{
    servers s = serve_both();
    reaches("too-late6:80", NULL, FOUR ":80", 55, 65);
    reaches("silent6:80", &(th_dial_opts){ .resolution_delay = 100 * MS }, FOUR ":80", 105, 115);
    stop_both(s);
}

SIM_TEST(NULL, an_answer_with_nothing_is_not_waited_for)
{
    servers s = serve_both();
    reaches("only4:80", NULL, FOUR ":80", 5, 10);
    stop_both(s);
}

SIM_TEST(NULL, the_first_answer_is_enough_to_begin)
{
    servers s = serve_both();
    reaches("late4:80", NULL, "[" SIX "]:80", 5, 15);
    stop_both(s);
}

/* ---- who does not answer ------------------------------------------------------------------------
 */

SIM_TEST(SIX, a_silent_address_is_passed_by_after_the_delay_and_closed)
{
    servers s = serve_both();
    reaches("both:80", NULL, FOUR ":80", 252, 260);
    reaches("both:80", &(th_dial_opts){ .attempt_delay = 1 }, FOUR ":80", 10, 16); /* the least */
    reaches("both:80", &(th_dial_opts){ .attempt_delay = TH_SECOND }, FOUR ":80", 1000, 1010);
    /* 127 seconds until the system gives it up */
    reaches("both:80", &(th_dial_opts){ .attempt_delay = TH_NEVER }, FOUR ":80", 127000, 127010);
    stop_both(s);
}

SIM_TEST(SIX, a_late_answer_joins_the_race)
{
    servers s = serve_both();
    reaches("late4:80", NULL, FOUR ":80", 300, 310);
    stop_both(s);
}

SIM_TEST(ALL_BUT_ONE, the_families_take_turns)
{
    th_listener *last = listening(FOUR2 ":80");
    reaches("many:80", NULL, FOUR2 ":80", 752, 760);
    th_listener_close(last);
}

SIM_TEST(ALL_BUT_ONE, no_more_addresses_are_tried_than_asked_for)
{
    th_scope scope;
    th_listener *last = listening(FOUR2 ":80");
    open_scope_for(&scope, 10 * TH_SECOND);
    fails("many:80", &(th_dial_opts){ .attempts_max = 3 }, -ETIMEDOUT, FOUR ":80: no answer");
    ck_assert_ptr_null(strstr(th_err_detail(), FOUR2));
    th_scope_close(&scope);
    th_listener_close(last);
}

SIM_TEST(NULL, a_refusal_lets_the_next_one_start_at_once)
{
    th_listener *four = listening(FOUR ":80");
    reaches("both:80", NULL, FOUR ":80", 2, 12);
    th_listener_close(four);
}

/* ---- failures ----------------------------------------------------------------------------------
 */

SIM_TEST(SIX, when_all_fail_each_address_is_named_with_its_error)
{
    fails("many:80", NULL, -ETIMEDOUT, "[" SIX "]:80: ETIMEDOUT");
    fails("many:80", NULL, -ETIMEDOUT, "[" SIX2 "]:80: ECONNREFUSED");
    fails("many:80", NULL, -ETIMEDOUT, FOUR ":80: ECONNREFUSED");
    fails("many:80", NULL, -ETIMEDOUT, FOUR2 ":80: ECONNREFUSED");
}

SIM_TEST(NULL, names_that_cannot_be_resolved_are_told_as_such)
{
    fails("nobody:80", NULL, TH_ENAME, "no such name");
    fails("nothing:80", NULL, TH_ENAME, "no addresses");
    fails("failing:80", NULL, TH_ENAMESERVER, "failed");
    fails("no name:80", NULL, TH_EADDRESS, "");
    fails("300.1.1.1:80", NULL, TH_EADDRESS, "");
    fails("both", NULL, TH_EADDRESS, "lacks a port");
    fails("both:http", NULL, TH_EADDRESS, "port");
    fails("both:65536", NULL, TH_EADDRESS, "port");
}

SIM_TEST(BOTH, a_deadline_ends_it_and_tells_what_was_tried)
{
    th_scope scope;
    int64_t began = th_now();
    open_scope_for(&scope, 100 * MS);
    fails("both:80", NULL, -ETIMEDOUT, "[" SIX "]:80: no answer");
    ck_assert_int_eq((th_now() - began) / MS, 100);
    fails("both:80", NULL, -ETIMEDOUT, "");
    th_scope_close(&scope);
}

SIM_TEST(NULL, misuse_is_refused)
{
    th_stream *stream = NULL;
    static const th_dial_opts wrong[] = { { .size = 9999 },
                                          { .family = TH_ADDR_UNIX },
                                          { .attempt_delay = -1 },
                                          { .resolution_delay = -1 },
                                          { .device = "" },
                                          { .device = "a-name-that-is-too-long" },
                                          { .family = TH_ADDR_IP4, .source = "::1" } };
    for (size_t i = 0; i < thi_array_len(wrong); i++)
        ck_assert_int_eq(th_dial("both:80", &wrong[i], &stream), -EINVAL);
    ck_assert_int_eq(th_dial("both:80", &(th_dial_opts){ .source = "x" }, &stream), TH_EADDRESS);
    ck_assert_int_eq(th_dial("both:80", &(th_dial_opts){ .source = "unix:/x" }, &stream),
                     TH_EADDRESS);
}

/* ---- where from --------------------------------------------------------------------------------
 */

SIM_TEST(NULL, the_source_is_bound_and_decides_on_the_family)
{
    servers s = serve_both();
    th_stream *stream = NULL;
    th_addr addr;
    char text[TH_ADDR_TEXT];
    th_dial_opts from = { .source = "192.0.2.99:4000" };
    ck_assert_int_eq(th_dial("both:80", &from, &stream), 0);
    ck_assert_int_eq(th_stream_local(stream, &addr), 0);
    ck_assert_str_eq(th_addr_format(&addr, text, sizeof text), from.source);
    th_stream_free(stream);
    reaches("both:80", &(th_dial_opts){ .source = "192.0.2.98" }, FOUR ":80", 0, 10);
    reaches("both:80", &(th_dial_opts){ .family = TH_ADDR_IP4 }, FOUR ":80", 0, 10);
    fails("only4:80", &(th_dial_opts){ .source = "2001:db8::99" }, TH_ENAME, "");
    fails(FOUR ":80", &(th_dial_opts){ .source = "2001:db8::99" }, -EADDRNOTAVAIL, "");
    stop_both(s);
}

SIM_TEST(NULL, a_name_of_the_unspecified_address_is_this_machine)
{
    th_listener *here = listening("127.0.0.1:80");
    reaches("zero:80", NULL, "127.0.0.1:80", 0, 10);
    th_listener_close(here);
}

/* ---- names in simulations
 * ------------------------------------------------------------------------ */

static int resolve(const char *name)
{
    th_answer *answer = NULL;
    int err = th_resolve(name, "80", NULL, &answer);
    th_answer_free(answer);
    return err;
}

/* How long a look-up takes, ms. */
static int64_t time_of(const char *name)
{
    int64_t began = th_now();
    ck_assert_int_eq(resolve(name), 0);
    return (th_now() - began) / MS;
}

SIM_TEST(NULL, what_is_remembered_is_forgotten_in_time)
{
    ck_assert_int_eq(time_of("short"), 2);
    ck_assert_int_eq(time_of("short"), 0);
    ck_assert_int_eq(th_sleep(990 * MS), 0);
    ck_assert_int_eq(time_of("short"), 0);
    ck_assert_int_eq(th_sleep(20 * MS), 0);
    ck_assert_int_eq(time_of("short"), 2);
}

SIM_TEST(NULL, services_and_reverse_names_are_found_in_simulations)
{
    th_services *services = NULL;
    th_addr addr = { .kind = TH_ADDR_IP4, .ip = { 192, 0, 2, 2 } };
    char name[TH_NAME_TEXT];
    ck_assert_int_eq(th_resolve_srv("_x._tcp.test", NULL, &services), 0);
    ck_assert_uint_eq(services->count, 2);
    ck_assert_str_eq(services->at[0].host, "only4");
    ck_assert_uint_eq(services->at[0].port, 81);
    ck_assert_str_eq(services->at[1].host, "both");
    th_services_free(services);
    ck_assert_int_eq(th_resolve_name(&addr, NULL, name, sizeof name), 4);
    ck_assert_str_eq(name, "many");
    addr.ip[3] = 77;
    ck_assert_int_eq(th_resolve_name(&addr, NULL, name, sizeof name), TH_ENAME);
}

static int resolve_both(void *arg)
{
    (void)arg;
    return resolve("both");
}

START_TEST(name_servers_fail_where_the_seed_says_so)
{
    th_sim_opts opts = { .faults = { [TH_SIM_NAME_FAILS] = { .per_million = 1000000 } } };
    ck_assert_int_eq(run_with(resolve_both, opts), TH_ENAMESERVER);
    ck_assert_uint_gt(result.faults[TH_SIM_NAME_FAILS], 0);
    opts.faults[TH_SIM_NAME_FAILS] = (th_sim_odds){ .at = 1 }; /* one family only */
    ck_assert_int_eq(run_with(resolve_both, opts), 0);
}
END_TEST

/* ---- everything at once
 * -------------------------------------------------------------------------- */

static int dial_all_kinds(void *arg)
{
    static const char *const names[] = { "both:80", "late6:80", "too-late6:80", "many:80" };
    th_scope scope;
    th_services *services = NULL;
    (void)arg;
    int err = th_scope_open(&scope, NULL);
    if (err < 0)
        return 0;
    for (size_t i = 0; i < thi_array_len(names); i++) {
        th_stream *stream = NULL;
        (void)!th_dial(names[i], NULL, &stream);
        th_stream_free(stream);
    }
    (void)!th_resolve_srv("_x._tcp.test", NULL, &services);
    th_services_free(services);
    th_scope_close(&scope);
    return 0;
}

/* A server of both families, and a client that dials it by all kinds of names. */
static int dial_served(void *arg)
{
    th_listener *six = NULL, *four = NULL;
    if (th_listen("[" SIX "]:80", NULL, &six) == 0 && th_listen(FOUR ":80", NULL, &four) == 0)
        (void)dial_all_kinds(arg);
    th_listener_close(six);
    th_listener_close(four);
    return 0;
}

static void leaves_nothing(const char *what, uint64_t n)
{
    ck_assert_msg(result.open_descriptors == 0, "%s %llu leaves a descriptor", what,
                  (unsigned long long)n);
    ck_assert_msg(result.live_allocations == 0, "%s %llu leaves memory", what,
                  (unsigned long long)n);
}

START_TEST(a_cancellation_at_any_wait_leaves_nothing)
{
    ck_assert_int_eq(run_with(dial_served, (th_sim_opts){ .silent = SIX2 }), 0);
    uint64_t waits = result.waits;
    ck_assert_uint_gt(waits, 10);
    for (uint64_t n = 1; n <= waits; n++) {
        th_sim_opts opts = { .cancel_at = n, .silent = SIX2 };
        (void)run_with(dial_served, opts);
        leaves_nothing("wait", n);
    }
}
END_TEST

START_TEST(lack_of_memory_anywhere_leaves_nothing)
{
    uint32_t n = 0;
    do {
        th_sim_opts opts = { .silent = SIX2, .faults[TH_SIM_NO_MEMORY].at = ++n };
        (void)run_with(dial_served, opts);
        leaves_nothing("allocation", n);
    } while (result.faults[TH_SIM_NO_MEMORY] > 0);
    ck_assert_uint_gt(n, 30);
}
END_TEST

START_TEST(a_hostile_network_leaves_nothing_and_repeats)
{
    for (uint64_t seed = 1; seed <= 500; seed++) {
        th_sim_opts opts = {
            .seed = seed, .workers = 2, .latency_min = 1, .latency_max = 400 * MS
        };
        th_sim_set_faults(&opts, 20000);
        (void)run_with(dial_served, opts);
        leaves_nothing("seed", seed);
        uint64_t hash = result.hash;
        (void)run_with(dial_served, opts);
        ck_assert_uint_eq(result.hash, hash);
    }
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "order");
    tcase_add_test(tcase, ip6_is_preferred);
    tcase_add_test(tcase, ip6_is_tried_first_though_its_answer_comes_second);
    tcase_add_test(tcase, ip6_is_not_waited_for_longer_than_that);
    tcase_add_test(tcase, an_answer_with_nothing_is_not_waited_for);
    tcase_add_test(tcase, the_first_answer_is_enough_to_begin);
    tcase_add_test(tcase, a_silent_address_is_passed_by_after_the_delay_and_closed);
    tcase_add_test(tcase, a_late_answer_joins_the_race);
    tcase_add_test(tcase, the_families_take_turns);
    tcase_add_test(tcase, no_more_addresses_are_tried_than_asked_for);
    tcase_add_test(tcase, a_refusal_lets_the_next_one_start_at_once);
    tcase = thi_check_case(suite, "failures");
    tcase_add_test(tcase, when_all_fail_each_address_is_named_with_its_error);
    tcase_add_test(tcase, names_that_cannot_be_resolved_are_told_as_such);
    tcase_add_test(tcase, a_deadline_ends_it_and_tells_what_was_tried);
    tcase_add_test(tcase, misuse_is_refused);
    tcase_add_test(tcase, the_source_is_bound_and_decides_on_the_family);
    tcase_add_test(tcase, a_name_of_the_unspecified_address_is_this_machine);
    tcase = thi_check_case(suite, "simulations");
    tcase_add_test(tcase, what_is_remembered_is_forgotten_in_time);
    tcase_add_test(tcase, services_and_reverse_names_are_found_in_simulations);
    tcase_add_test(tcase, name_servers_fail_where_the_seed_says_so);
    tcase = thi_check_case(suite, "torture");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_cancellation_at_any_wait_leaves_nothing);
    tcase_add_test(tcase, lack_of_memory_anywhere_leaves_nothing);
    tcase_add_test(tcase, a_hostile_network_leaves_nothing_and_repeats);
}

int main(void)
{
    return thi_check_run("net/happy", fill_suite);
}
