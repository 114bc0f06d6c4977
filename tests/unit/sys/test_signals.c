/* SPDX-License-Identifier: MIT */

/* Noting of signals: which are accepted, what becomes of the former action, sinks that come and go.
 */
#include "check_main.h"

#include "sys/signals.h"
#include "sys/sys.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#define BIT(signo) (UINT64_C(1) << ((signo)-1))

static const int usr1[] = { SIGUSR1, 0 };
static const int several[] = { SIGUSR1, SIGUSR2, SIGUSR1, SIGHUP, 0 };

static bool is_readable(const thi_sigsink *sink)
{
    struct pollfd entry = { .fd = sink->fd, .events = POLLIN };
    return poll(&entry, 1, 0) == 1;
}

static int refused(int signo)
{
    const int list[] = { SIGUSR2, signo, 0 };
    thi_sigsink sink;
    int err = thi_sigsink_open(&sink, list);
    if (err == 0)
        thi_sigsink_close(&sink);
    return err;
}

START_TEST(numbers_that_are_no_signals_are_refused)
{
    static const int none[] = { 0 };
    thi_sigsink sink;
    ck_assert_int_eq(thi_sigsink_open(&sink, none), -EINVAL);
    ck_assert_int_eq(refused(-1), -EINVAL);
    ck_assert_int_eq(refused(65), -EINVAL);
    ck_assert_int_eq(refused(4096), -EINVAL);
}
END_TEST

START_TEST(signals_that_cannot_be_noted_are_refused)
{
    ck_assert_int_eq(refused(SIGKILL), -EINVAL);
    ck_assert_int_eq(refused(SIGSTOP), -EINVAL);
    ck_assert_int_eq(refused(SIGSEGV), -EINVAL);
    ck_assert_int_eq(refused(SIGBUS), -EINVAL);
    ck_assert_int_eq(refused(SIGFPE), -EINVAL);
    ck_assert_int_eq(refused(SIGILL), -EINVAL);
    ck_assert_int_eq(refused(32), -EINVAL); /* libc's own */
}
END_TEST

static bool has_default_action(int signo)
{
    struct sigaction present;
    ck_assert_int_eq(sigaction(signo, NULL, &present), 0);
    return present.sa_handler == SIG_DFL;
}

START_TEST(refusal_leaves_every_action_as_it_was)
{
    ck_assert_int_eq(refused(32), -EINVAL);
    ck_assert(has_default_action(SIGUSR2));
}
END_TEST

static volatile sig_atomic_t former_calls;

static void former(int signo)
{
    (void)signo;
    former_calls++;
}

START_TEST(signals_are_noted_until_they_are_taken)
{
    thi_sigsink sink;
    ck_assert_int_eq(thi_sigsink_open(&sink, several), 0);
    ck_assert(!is_readable(&sink));
    ck_assert_uint_eq(thi_sigsink_take(&sink), 0);
    raise(SIGUSR2);
    raise(SIGUSR1);
    raise(SIGUSR1);
    ck_assert(is_readable(&sink));
    ck_assert_uint_eq(thi_sigsink_take(&sink), BIT(SIGUSR2) | BIT(SIGUSR1));
    ck_assert(!is_readable(&sink));
    ck_assert_uint_eq(thi_sigsink_take(&sink), 0);
    thi_sigsink_close(&sink);
}
END_TEST

START_TEST(highest_signal_is_noted)
{
    static const int last[] = { 64, 0 };
    if (signal(64, former) == SIG_ERR || raise(64) != 0 || former_calls == 0)
        return; /* valgrind and emulators keep it to themselves */
    thi_sigsink sink;
    ck_assert_int_eq(thi_sigsink_open(&sink, last), 0);
    raise(64);
    ck_assert_uint_eq(thi_sigsink_take(&sink), BIT(64));
    thi_sigsink_close(&sink);
}
END_TEST

START_TEST(sinks_note_only_what_they_want)
{
    thi_sigsink a, b;
    ck_assert_int_eq(thi_sigsink_open(&a, usr1), 0);
    ck_assert_int_eq(thi_sigsink_open(&b, several), 0);
    raise(SIGHUP);
    ck_assert_uint_eq(thi_sigsink_take(&a), 0);
    ck_assert(!is_readable(&a));
    ck_assert_uint_eq(thi_sigsink_take(&b), BIT(SIGHUP));
    raise(SIGUSR1);
    ck_assert_uint_eq(thi_sigsink_take(&a), BIT(SIGUSR1));
    ck_assert_uint_eq(thi_sigsink_take(&b), BIT(SIGUSR1));
    thi_sigsink_close(&a);
    thi_sigsink_close(&b);
}
END_TEST

START_TEST(former_action_is_put_back_after_the_last_sink)
{
    signal(SIGUSR1, former);
    thi_sigsink a, b;
    ck_assert_int_eq(thi_sigsink_open(&a, usr1), 0);
    ck_assert_int_eq(thi_sigsink_open(&b, several), 0);
    raise(SIGUSR1);
    thi_sigsink_close(&a);
    raise(SIGUSR1);
    ck_assert_int_eq(former_calls, 0);
    thi_sigsink_close(&b);
    raise(SIGUSR1);
    ck_assert_int_eq(former_calls, 1);
    ck_assert(has_default_action(SIGUSR2));
    ck_assert(has_default_action(SIGHUP));
}
END_TEST

START_TEST(action_that_somebody_set_meanwhile_stays)
{
    thi_sigsink sink;
    ck_assert_int_eq(thi_sigsink_open(&sink, usr1), 0);
    signal(SIGUSR1, former);
    thi_sigsink_close(&sink);
    raise(SIGUSR1);
    ck_assert_int_eq(former_calls, 1);
}
END_TEST

START_TEST(errno_survives_a_signal)
{
    thi_sigsink sink;
    ck_assert_int_eq(thi_sigsink_open(&sink, usr1), 0);
    for (int i = 0; i < 3; i++) {
        errno = ENOTTY;
        raise(SIGUSR1);
        ck_assert_int_eq(errno, ENOTTY);
    }
    thi_sigsink_close(&sink);
}
END_TEST

static atomic_bool done;
static atomic_int sent;

static void *storm(void *arg)
{
    (void)arg;
    while (!atomic_load(&done)) {
        kill(getpid(), SIGUSR1);
        atomic_fetch_add(&sent, 1);
        sched_yield();
    }
    return NULL;
}

START_TEST(sinks_come_and_go_in_a_storm_of_signals)
{
    thi_sigsink keep;
    ck_assert_int_eq(thi_sigsink_open(&keep, usr1), 0);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, storm, NULL), 0);
    while (atomic_load(&sent) < 200) {
        thi_sigsink *sinks = calloc(3, sizeof *sinks);
        ck_assert_ptr_nonnull(sinks);
        for (int k = 0; k < 3; k++)
            ck_assert_int_eq(thi_sigsink_open(&sinks[k], several), 0);
        thi_sigsink_close(&sinks[1]);
        thi_sigsink_close(&sinks[0]);
        thi_sigsink_close(&sinks[2]);
        free(sinks);
    }
    atomic_store(&done, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(thi_sigsink_take(&keep), BIT(SIGUSR1));
    thi_sigsink_close(&keep);
}
END_TEST

/* ---- SIGPIPE ------------------------------------------------------------------------------------
 */

START_TEST(sending_to_a_closed_peer_raises_no_signal)
{
    signal(SIGPIPE, former);
    int fds[2];
    ck_assert_int_eq(thi_sys_socketpair(AF_UNIX, SOCK_STREAM, fds), 0);
    close(fds[1]);
    ck_assert_int_eq(thi_sys_send(fds[0], "x", 1, 0), -EPIPE);
    struct iovec piece = { (void *)(uintptr_t) "x", 1 };
    struct msghdr msg = { .msg_iov = &piece, .msg_iovlen = 1 };
    ck_assert_int_eq(thi_sys_sendmsg(fds[0], &msg, 0), -EPIPE);
    ck_assert_int_eq(former_calls, 0);
}
END_TEST

START_TEST(sigpipe_is_held_back_between_hold_and_release)
{
    signal(SIGPIPE, former);
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    close(fds[0]);
    bool held = thi_sigpipe_hold();
    ck_assert(held && thi_sigpipe_held);
    ck_assert_int_eq(write(fds[1], "x", 1), -1);
    thi_sigpipe_release(held); /* drops the one that came */
    ck_assert(!thi_sigpipe_held);
    ck_assert_int_eq(former_calls, 0);
    ck_assert_int_eq(write(fds[1], "x", 1), -1);
    ck_assert_int_eq(former_calls, 1);
    close(fds[1]);
}
END_TEST

START_TEST(sendfile_to_a_closed_peer_raises_no_signal)
{
    signal(SIGPIPE, former);
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(ftruncate(fileno(file), 100), 0);
    for (int round = 0; round < 2; round++) { /* on a thread that holds it back, and on another */
        int fds[2];
        bool held = round == 0 && thi_sigpipe_hold();
        off_t at = 0;
        ck_assert_int_eq(thi_sys_socketpair(AF_UNIX, SOCK_STREAM, fds), 0);
        close(fds[1]);
        ck_assert_int_eq(thi_sys_sendfile(fds[0], fileno(file), &at, 100), -EPIPE);
        close(fds[0]);
        if (round == 0)
            thi_sigpipe_release(held);
    }
    ck_assert_int_eq(former_calls, 0);
    (void)fclose(file);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "refused");
    tcase_add_test(tcase, numbers_that_are_no_signals_are_refused);
    tcase_add_test(tcase, signals_that_cannot_be_noted_are_refused);
    tcase_add_test(tcase, refusal_leaves_every_action_as_it_was);

    tcase = thi_check_case(suite, "noted");
    tcase_add_test(tcase, signals_are_noted_until_they_are_taken);
    tcase_add_test(tcase, highest_signal_is_noted);
    tcase_add_test(tcase, sinks_note_only_what_they_want);
    tcase_add_test(tcase, errno_survives_a_signal);

    tcase = thi_check_case(suite, "end");
    tcase_add_test(tcase, former_action_is_put_back_after_the_last_sink);
    tcase_add_test(tcase, action_that_somebody_set_meanwhile_stays);
    tcase_add_test(tcase, sinks_come_and_go_in_a_storm_of_signals);

    tcase = thi_check_case(suite, "pipe");
    tcase_add_test(tcase, sending_to_a_closed_peer_raises_no_signal);
    tcase_add_test(tcase, sendfile_to_a_closed_peer_raises_no_signal);
    tcase_add_test(tcase, sigpipe_is_held_back_between_hold_and_release);
}

int main(void)
{
    return thi_check_run("sys/signals", fill_suite);
}
