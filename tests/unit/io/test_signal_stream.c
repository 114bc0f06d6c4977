/* SPDX-License-Identifier: MIT */

/* Signals as something to read: who gets them, with what, and what is there afterwards. */
#include "sync/parties.h"

#include "base/alloc.h"
#include "sys/fault.h"

#include <thrum/select.h>
#include <thrum/signals.h>
#include <thrum/sim.h>

#include <signal.h>
#include <unistd.h>

static const int usr1[] = { SIGUSR1, 0 };
static const int both[] = { SIGUSR1, SIGUSR2, 0 };
static const int term[] = { SIGTERM, 0 };

static th_signals *watch(const int *signals, unsigned flags)
{
    th_signals *w = NULL;
    ck_assert_int_eq(th_signals_open(signals, flags, &w), 0);
    return w;
}

static int raise_it(void *arg)
{
    return kill(getpid(), *(const int *)arg);
}

static int read_signo(void *arg)
{
    return th_signals_read(arg, NULL);
}

static bool is_default(int signo)
{
    struct sigaction present;
    ck_assert_int_eq(sigaction(signo, NULL, &present), 0);
    return present.sa_handler == SIG_DFL;
}

/* ---- reading ---- */

FIBER_TEST(a_signal_is_read_with_who_sent_it)
{
    th_scope scope;
    th_signal_info info = { 0 };
    th_signals *w = watch(usr1, 0);
    open_scope(&scope);
    spawn(&scope, raise_it, (void *)(uintptr_t)usr1);
    ck_assert_int_eq(th_signals_read(w, &info), SIGUSR1);
    ck_assert_int_eq(info.signo, SIGUSR1);
    ck_assert_int_eq(info.known, 1);
    ck_assert_int_eq(info.code, SI_USER);
    ck_assert_int_eq(info.pid, getpid());
    ck_assert_int_eq((int)info.uid, (int)getuid());
    close_scope(&scope);
    th_signals_close(w);
    ck_assert(is_default(SIGUSR1));
}

FIBER_TEST(a_real_time_signal_brings_its_payloads_in_order)
{
    const int queued[] = { SIGRTMIN + 3, 0 };
    th_signals *w = watch(queued, 0);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(sigqueue(getpid(), queued[0], (union sigval){ .sival_int = i }), 0);
    for (int i = 0; i < 20; i++) {
        th_signal_info info;
        ck_assert_int_eq(th_signals_read(w, &info), queued[0]);
        ck_assert_int_eq(info.code, SI_QUEUE);
        ck_assert_int_eq((int)info.value, i);
    }
    ck_assert_int_eq(th_signals_tryread(w, NULL), -EAGAIN);
    th_signals_close(w);
}

FIBER_TEST(more_than_there_is_room_for_merge_and_none_is_lost_altogether)
{
    const int queued[] = { SIGRTMIN, SIGRTMIN + 1, 0 };
    th_signal_info info;
    th_signals *w = watch(queued, 0);
    for (int i = 0; i < 70; i++)
        ck_assert_int_eq(sigqueue(getpid(), queued[0], (union sigval){ .sival_int = i }), 0);
    ck_assert_int_eq(sigqueue(getpid(), queued[1], (union sigval){ .sival_int = 99 }), 0);
    for (int i = 0; i < 64; i++) {
        ck_assert_int_eq(th_signals_read(w, &info), queued[0]);
        ck_assert_int_eq((int)info.value, i);
    }
    ck_assert_int_eq(th_signals_read(w, &info), queued[0]);
    ck_assert_int_eq(info.known, 0);
    ck_assert_int_eq(th_signals_read(w, &info), queued[1]);
    ck_assert_int_eq(info.known, 0);
    ck_assert_int_eq(th_signals_tryread(w, &info), -EAGAIN);
    ck_assert_int_eq(sigqueue(getpid(), queued[1], (union sigval){ .sival_int = 5 }), 0);
    ck_assert_int_eq(th_signals_read(w, &info), queued[1]);
    ck_assert_int_eq((int)info.value, 5);
    th_signals_close(w);
}

FIBER_TEST(every_watcher_gets_every_signal_that_it_wants)
{
    th_signals *one = watch(usr1, 0);
    th_signals *other = watch(both, 0);
    ck_assert_int_eq(raise(SIGUSR2) | raise(SIGUSR1), 0);
    ck_assert_int_eq(th_signals_read(one, NULL), SIGUSR1);
    ck_assert_int_eq(th_signals_tryread(one, NULL), -EAGAIN);
    ck_assert_int_eq(th_signals_read(other, NULL), SIGUSR2);
    ck_assert_int_eq(th_signals_read(other, NULL), SIGUSR1);
    th_signals_close(one);
    ck_assert_int_eq(raise(SIGUSR1), 0);
    ck_assert_int_eq(th_signals_read(other, NULL), SIGUSR1);
    ck_assert(!is_default(SIGUSR1));
    th_signals_close(other);
    ck_assert(is_default(SIGUSR1) && is_default(SIGUSR2));
}

enum { READERS = 12 };

FIBER_TEST_ON(3, each_signal_goes_to_one_of_several_readers)
{
    const int queued[] = { SIGRTMIN, 0 };
    th_scope scope;
    th_signals *w = watch(queued, 0);
    open_scope(&scope);
    for (unsigned i = 0; i < READERS; i++)
        spawn_on(&scope, i % 3, read_signo, w);
    for (int i = 0; i < READERS; i++)
        ck_assert_int_eq(sigqueue(getpid(), queued[0], (union sigval){ 0 }), 0);
    ck_assert_int_ge(th_scope_close(&scope), 0);
    ck_assert_int_eq(th_signals_tryread(w, NULL), -EAGAIN);
    th_signals_close(w);
}

FIBER_TEST(a_read_obeys_its_scope_and_takes_nothing)
{
    th_scope scope;
    th_signals *w = watch(usr1, 0);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_signals_read(w, NULL), -ETIMEDOUT);
    close_scope(&scope);
    ck_assert_int_eq(raise(SIGUSR1), 0);
    open_cancelled_scope(&scope);
    ck_assert_int_eq(th_signals_read(w, NULL), -ECANCELED);
    close_scope(&scope);
    ck_assert_int_eq(th_signals_read(w, NULL), SIGUSR1);
    th_signals_close(w);
}

FIBER_TEST(a_watcher_can_be_selected)
{
    th_scope scope;
    th_signals *w = watch(usr1, 0);
    th_case cases[] = { TH_CASE_TIME(TH_NEVER), TH_CASE_READABLE(th_signals_fd(w)) };
    open_scope(&scope);
    spawn(&scope, raise_it, (void *)(uintptr_t)usr1);
    ck_assert_int_eq(th_select(cases, 2, 0), 1);
    ck_assert_int_eq(th_signals_tryread(w, NULL), SIGUSR1);
    close_scope(&scope);
    th_signals_close(w);
}

START_TEST(a_plain_thread_reads_signals_too)
{
    th_signals *w = watch(usr1, 0);
    ck_assert_int_eq(raise(SIGUSR1), 0);
    ck_assert_int_eq(th_signals_read(w, NULL), SIGUSR1);
    th_signals_close(w);
    ck_assert(is_default(SIGUSR1));
}
END_TEST

/* ---- closing ---- */

static atomic_int begun;

static int read_until_closed(void *arg)
{
    atomic_fetch_add(&begun, 1);
    return th_signals_read(arg, NULL) == -ECANCELED ? 0 : -EPROTO;
}

static void visit_all_workers(void)
{
    th_scope scope;
    open_scope(&scope);
    for (unsigned i = 0; i < 3; i++)
        spawn_on(&scope, i, do_nothing, NULL);
    close_scope(&scope);
}

FIBER_TEST_ON(3, closing_wakes_all_who_wait)
{
    for (int round = 0; round < 20; round++) {
        th_scope scope;
        th_signals *w = watch(usr1, 0);
        open_scope(&scope);
        for (unsigned i = 0; i < READERS; i++)
            spawn_on(&scope, i % 3, read_until_closed, w);
        while (atomic_load(&begun) < (round + 1) * READERS)
            ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
        for (int i = 0; i < 2; i++) /* their workers have come by: no read begins any more */
            visit_all_workers();
        th_signals_close(w);
        close_scope(&scope);
    }
    th_signals_close(NULL);
}

FIBER_TEST(a_signal_that_was_caught_and_not_read_is_dropped)
{
    th_signals *w = watch(usr1, 0);
    ck_assert_int_eq(raise(SIGUSR1), 0);
    th_signals_close(w);
    w = watch(usr1, 0);
    ck_assert_int_eq(th_signals_tryread(w, NULL), -EAGAIN);
    th_signals_close(w);
}

FIBER_TEST(the_former_action_comes_back)
{
    struct sigaction ignoring = { .sa_handler = SIG_IGN };
    struct sigaction present;
    ck_assert_int_eq(sigaction(SIGUSR1, &ignoring, NULL), 0);
    th_signals *w = watch(usr1, 0);
    th_signals_close(w);
    ck_assert_int_eq(sigaction(SIGUSR1, NULL, &present), 0);
    ck_assert(present.sa_handler == SIG_IGN);
}

FIBER_TEST(what_cannot_be_watched_is_refused)
{
    static const int bad[] = { -1, 65, 4096, SIGKILL, SIGSTOP, SIGSEGV };
    th_signals *w = NULL;
    for (size_t i = 0; i < thi_array_len(bad); i++) {
        const int list[] = { SIGUSR1, bad[i], 0 };
        ck_assert_int_eq(th_signals_open(list, 0, &w), -EINVAL);
        ck_assert(is_default(SIGUSR1));
    }
    ck_assert_int_eq(th_signals_open((const int[]){ 0 }, 0, &w), -EINVAL);
    ck_assert_int_eq(th_signals_open(NULL, 0, &w), -EINVAL);
    ck_assert_int_eq(th_signals_open(usr1, 2, &w), -EINVAL);
    ck_assert_int_eq(th_signals_open(usr1, 0, NULL), -EINVAL);
    ck_assert_int_eq(th_signals_read(NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_signals_tryread(NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_signals_fd(NULL), -EINVAL);
    ck_assert_ptr_null(w);
}

FIBER_TEST(without_memory_or_descriptors_no_action_is_changed)
{
    th_signals *w;
    for (int64_t n = 1; n <= 2; n++) {
        int64_t live = thi_alloc_live();
        (void)thi_alloc_fail_at(n);
        ck_assert_int_eq(th_signals_open(usr1, 0, &w), -ENOMEM);
        (void)thi_alloc_fail_at(0);
        ck_assert_int_eq(thi_alloc_live(), live);
        ck_assert(is_default(SIGUSR1));
    }
    thi_fault_begin(0, 0);
    thi_fault_order("eventfd", 1, EMFILE);
    ck_assert_int_eq(th_signals_open(usr1, 0, &w), -EMFILE);
    (void)thi_fault_end();
    ck_assert(is_default(SIGUSR1));
}

/* ---- beside the orderly stop ---- */

static int wait_to_be_stopped(void *arg)
{
    th_signals *w = watch(term, *(unsigned *)arg);
    ck_assert_int_eq(raise(SIGTERM), 0);
    ck_assert_int_eq(th_signals_read(w, NULL), SIGTERM);
    int err = th_sleep(5 * TH_MILLISECOND); /* whether a stop was asked for as well */
    th_signals_close(w);
    return err;
}

static int stop_after_all(void *arg)
{
    (void)arg;
    th_signals *w = watch(term, TH_SIGNALS_NO_STOP);
    th_signals_close(w);
    ck_assert_int_eq(raise(SIGTERM), 0);
    return th_sleep(TH_NEVER);
}

START_TEST(who_watches_sigterm_sees_it_and_the_program_stops_all_the_same)
{
    unsigned flags = 0;
    ck_assert_int_eq(th_run(wait_to_be_stopped, &flags, NULL), -ECANCELED);
}
END_TEST

START_TEST(who_says_so_takes_sigterm_over_from_the_stop)
{
    unsigned flags = TH_SIGNALS_NO_STOP;
    ck_assert(signal(SIGTERM, SIG_DFL) != SIG_ERR); /* the test's runner has one of its own */
    ck_assert_int_eq(th_run(wait_to_be_stopped, &flags, NULL), 0);
    ck_assert_int_eq(th_run(stop_after_all, NULL, NULL), -ECANCELED);
    ck_assert(is_default(SIGTERM));
}
END_TEST

/* ---- simulated ---- */

static int send_simulated(void *arg)
{
    (void)arg;
    (void)th_sleep(TH_SECOND);
    return th_sim_signal(SIGUSR1);
}

static int watch_in_simulation(void *arg)
{
    th_scope scope;
    (void)arg;
    ck_assert_int_eq(th_sim_signal(SIGUSR1), -EINVAL); /* nobody watches it */
    th_signals *w = watch(both, 0);
    th_signals *t = watch(term, TH_SIGNALS_NO_STOP);
    ck_assert(is_default(SIGUSR1));
    open_scope(&scope);
    spawn(&scope, send_simulated, NULL);
    ck_assert_int_eq(th_signals_read(w, NULL), SIGUSR1);
    ck_assert_int_eq(th_sim_signal(SIGTERM), 0);
    ck_assert_int_eq(th_signals_read(t, NULL), SIGTERM);
    close_scope(&scope);
    th_signals_close(w);
    th_signals_close(t);
    int err = th_sleep(TH_SECOND);
    ck_assert_int_eq(th_sim_signal(SIGTERM), 0);
    return err < 0 ? err : th_sleep(TH_NEVER) == -ECANCELED ? 0 : -EPROTO;
}

START_TEST(a_simulation_has_signals_of_its_own)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        th_sim_result result;
        th_sim_opts opts = { .seed = seed, .workers = 2 };
        ck_assert_int_eq(th_sim_run(watch_in_simulation, NULL, &opts, &result), 0);
        ck_assert_int_eq(result.live_allocations, 0);
        ck_assert_uint_eq(result.open_descriptors, 0);
    }
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "reading");
    add_on_engines(tcase, a_signal_is_read_with_who_sent_it);
    tcase_add_test(tcase, a_real_time_signal_brings_its_payloads_in_order);
    tcase_add_test(tcase, more_than_there_is_room_for_merge_and_none_is_lost_altogether);
    tcase_add_test(tcase, every_watcher_gets_every_signal_that_it_wants);
    add_on_engines(tcase, each_signal_goes_to_one_of_several_readers);
    tcase_add_test(tcase, a_read_obeys_its_scope_and_takes_nothing);
    add_on_engines(tcase, a_watcher_can_be_selected);
    tcase_add_test(tcase, a_plain_thread_reads_signals_too);
    tcase = thi_check_case(suite, "closing");
    add_on_engines(tcase, closing_wakes_all_who_wait);
    tcase_add_test(tcase, a_signal_that_was_caught_and_not_read_is_dropped);
    tcase_add_test(tcase, the_former_action_comes_back);
    tcase_add_test(tcase, what_cannot_be_watched_is_refused);
    tcase_add_test(tcase, without_memory_or_descriptors_no_action_is_changed);
    tcase = thi_check_case(suite, "stop");
    tcase_add_test(tcase, who_watches_sigterm_sees_it_and_the_program_stops_all_the_same);
    tcase_add_test(tcase, who_says_so_takes_sigterm_over_from_the_stop);
    tcase = thi_check_case(suite, "simulated");
    tcase_add_test(tcase, a_simulation_has_signals_of_its_own);
}

int main(void)
{
    return thi_check_run("io/signal_stream", fill);
}
