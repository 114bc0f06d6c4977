/* SPDX-License-Identifier: MIT */

/* Processes that fork: what the child may do, whoever forked and whenever. */
#include "pools.h"

#include "pool/anew.h"

#include <thrum/mutex.h>

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

/* The thread sanitizer takes threads that a child does not have for threads that it left behind,
 * and cannot stand it when the child starts any: there it does the work itself. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "report_thread_leaks=0:die_after_fork=0";
}

/* The address sanitizer's allocator does not mind forks: where another thread is inside of it just
 * then, the child has its lock held by nobody. */
#ifdef __SANITIZE_ADDRESS__
#define ALLOCATOR_MINDS_FORKS 0
#else
#define ALLOCATOR_MINDS_FORKS 1
#endif

static int return_seven(void *arg)
{
    (void)arg;
    return 7;
}

#ifdef __SANITIZE_THREAD__
#define CHILDREN_START_THREADS false
#else
#define CHILDREN_START_THREADS true
#endif

static int sleep_and_off_load(void *arg)
{
    (void)arg;
    int err = th_sleep(TH_MICROSECOND);
    if (err < 0)
        return err;
    return CHILDREN_START_THREADS ? th_offload(NULL, return_seven, NULL) : return_seven(NULL);
}

static int run_here(void)
{
    th_run_opts opts = { .workers = 1, .no_signals = 1 };
    if (!CHILDREN_START_THREADS)
        opts.watchdog = TH_NEVER; /* a thread as well */
    return th_run(sleep_and_off_load, NULL, &opts);
}

/* Runs a function in a child process; its exit status. */
static int in_child(int (*fn)(void))
{
    int status = -1;
    pid_t child = fork();
    if (child == 0)
        _exit(fn());
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void *fork_and_run(void *arg)
{
    *(int *)arg = in_child(run_here);
    return NULL;
}

/* The thread that forks is the only one that the child has: it runs a runtime like any other. */
START_TEST(a_child_of_any_thread_runs_a_runtime_of_its_own)
{
    int status = -1;
    pthread_t thread;
    ck_assert_int_eq(run_here(), 7);
    ck_assert_int_eq(pthread_create(&thread, NULL, fork_and_run, &status), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(status, 7);
    ck_assert_int_eq(run_here(), 7);
}
END_TEST

START_TEST(sixteen_threads_fork_at_once_and_no_child_hangs)
{
    SKIP_UNLESS(ALLOCATOR_MINDS_FORKS, "the sanitizer's allocator may be locked in the child");
    SKIP_UNLESS(!CHILDREN_START_THREADS || may_begin_anew(), NO_THREADS_ANEW);
    int status[16];
    pthread_t threads[16];
    for (int i = 0; i < 16; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, fork_and_run, &status[i]), 0);
    for (int i = 0; i < 16; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_int_eq(status[i], 7);
    }
}
END_TEST

static th_mutex mutex = TH_MUTEX_INIT;

static int use_anew(void)
{
    if (th_mutex_trylock(&mutex) != -EBUSY) /* as the parent has it */
        return 1;
    mutex = (th_mutex)TH_MUTEX_INIT;
    return th_mutex_trylock(&mutex) == 0 && th_mutex_unlock(&mutex) == 0 ? 0 : 2;
}

static void *hold_and_fork(void *arg)
{
    if (th_mutex_lock(&mutex) == 0) {
        *(int *)arg = in_child(use_anew);
        (void)th_mutex_unlock(&mutex);
    }
    return NULL;
}

START_TEST(a_lock_that_was_held_is_made_new_in_the_child)
{
    int status = -1;
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, hold_and_fork, &status), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(th_mutex_trylock(&mutex), 0);
    ck_assert_int_eq(th_mutex_unlock(&mutex), 0);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "fork");
    tcase_add_test(tcase, a_child_of_any_thread_runs_a_runtime_of_its_own);
    tcase_add_test(tcase, sixteen_threads_fork_at_once_and_no_child_hangs);
    tcase_add_test(tcase, a_lock_that_was_held_is_made_new_in_the_child);
}

int main(void)
{
    return thi_check_run("pool/fork", fill);
}
