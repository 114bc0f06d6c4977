/* SPDX-License-Identifier: MIT */

/*
 * The process pool: what jobs give, and that nothing that a worker does, or fails to do, harms more
 * than its own job. The workers are this program, started again, with functions that misbehave.
 */
#include "runtime/in_fiber.h"

#include "this_program.h"

#include "base/alloc.h"
#include "pool/process_wire.h"
#include "sys/sys.h"

#include <thrum/process_pool.h>
#include <thrum/sim.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the workers' functions ---- */

static int echo(const void *in, size_t size, th_worker_reply *reply)
{
    return th_worker_reply_set(reply, in, size);
}

static int length(const void *in, size_t size, th_worker_reply *reply)
{
    (void)in;
    (void)reply;
    return (int)size;
}

static int pid(const void *in, size_t size, th_worker_reply *reply)
{
    (void)in;
    (void)size;
    (void)reply;
    return getpid();
}

static int fails(const void *in, size_t size, th_worker_reply *reply)
{
    (void)in;
    return th_worker_fail(reply, -EPROTO, "%zu bytes are odd", size);
}

static int crashes(const void *in, size_t size, th_worker_reply *reply)
{
    (void)in;
    (void)size;
    (void)reply;
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)signal(SIGSEGV, SIG_DFL); /* a sanitizer has its own idea */
    return raise(SIGSEGV);
}

static int exits(const void *in, size_t size, th_worker_reply *reply)
{
    (void)in;
    (void)size;
    (void)reply;
    _exit(3);
}

/* Part of an answer, and then the end. */
static int dies_half_way(const void *in, size_t size, th_worker_reply *reply)
{
    (void)in;
    (void)size;
    (void)reply;
    (void)!send(THI_WIRE_FD, "half", 4, MSG_NOSIGNAL);
    _exit(0);
}

/* More than a head of nonsense; and it lives on. */
static int talks_nonsense(const void *in, size_t size, th_worker_reply *reply)
{
    char nonsense[200];
    (void)in;
    (void)reply;
    memset(nonsense, 0x5a, sizeof nonsense);
    (void)!send(THI_WIRE_FD, nonsense, sizeof nonsense, MSG_NOSIGNAL);
    return (int)size;
}

/* The right form, and the wrong job. */
static int answers_another(const void *in, size_t size, th_worker_reply *reply)
{
    thi_wire_packet packet;
    (void)in;
    (void)reply;
    thi_wire_init(&packet, THI_WIRE_RESULT, 999999);
    (void)!thi_wire_send(THI_WIRE_FD, &packet);
    return (int)size;
}

static int answers_twice(const void *in, size_t size, th_worker_reply *reply)
{
    uint64_t id;
    (void)in;
    (void)size;
    memcpy(&id, (const char *)reply + offsetof(thi_wire_packet, head.id), sizeof id);
    thi_wire_packet packet;
    thi_wire_init(&packet, THI_WIRE_RESULT, id);
    (void)!thi_wire_send(THI_WIRE_FD, &packet);
    return 5;
}

/* Memory that could still be cut short, under the reader. */
static int shares_unsealed(const void *in, size_t size, th_worker_reply *reply)
{
    uint64_t id;
    thi_wire_packet packet;
    (void)in;
    (void)size;
    memcpy(&id, (const char *)reply + offsetof(thi_wire_packet, head.id), sizeof id);
    thi_wire_init(&packet, THI_WIRE_RESULT, id);
    packet.fd = memfd_create("unsealed", MFD_CLOEXEC);
    (void)!ftruncate(packet.fd, 100000);
    packet.head.shared = 1;
    packet.head.size = 100000;
    (void)!thi_wire_send(THI_WIRE_FD, &packet);
    (void)!ftruncate(packet.fd, 0);
    return 0;
}

static int hangs_up(const void *in, size_t size, th_worker_reply *reply)
{
    (void)in;
    (void)size;
    (void)reply;
    (void)close(THI_WIRE_FD);
    while (pause() < 0)
        ;
    return 0;
}

static int stops(const void *in, size_t size, th_worker_reply *reply)
{
    (void)in;
    (void)size;
    (void)reply;
    return raise(SIGSTOP);
}

static int hangs(const void *in, size_t size, th_worker_reply *reply)
{
    (void)in;
    (void)size;
    (void)reply;
    while (pause() < 0)
        ;
    return 0;
}

/* The first time that it is asked to make this file it dies. */
static int dies_once(const void *in, size_t size, th_worker_reply *reply)
{
    char path[128];
    (void)reply;
    snprintf(path, sizeof path, "%.*s", (int)size, (const char *)in);
    if (open(path, O_CREAT | O_EXCL | O_CLOEXEC, 0600) >= 0)
        _exit(9);
    return 11;
}

static int grows(const void *in, size_t size, th_worker_reply *reply)
{
    enum { BYTES = 32 * 1024 * 1024 };
    static char *volatile kept;
    (void)in;
    (void)size;
    (void)reply;
    if (!kept)
        kept = malloc(BYTES);
    for (size_t i = 0; i < BYTES; i += 4096)
        kept[i] = 1;
    return getpid();
}

/* Which descriptors it has. */
static int lists_fds(const void *in, size_t size, th_worker_reply *reply)
{
    char text[256] = "";
    (void)in;
    (void)size;
    for (int fd = 0; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%d ", fd);
    return th_worker_reply_set(reply, text, strlen(text));
}

static const th_worker_entry functions[] = {
    { "echo", echo },
    { "length", length },
    { "pid", pid },
    { "fails", fails },
    { "crashes", crashes },
    { "exits", exits },
    { "dies-half-way", dies_half_way },
    { "talks-nonsense", talks_nonsense },
    { "answers-another", answers_another },
    { "answers-twice", answers_twice },
    { "shares-unsealed", shares_unsealed },
    { "hangs-up", hangs_up },
    { "stops", stops },
    { "hangs", hangs },
    { "dies-once", dies_once },
    { "grows", grows },
    { "lists-fds", lists_fds },
    { NULL, NULL },
};

/* ---- the tests' own ---- */

/* Under valgrind /proc/self/exe is not this program, so workers are started by its path there. */
static const char *this_program[] = { NULL, NULL };
static const char *wrapped[] = { "/bin/sh", "-c", BY_WRAPPER, NULL, NULL };

static const char *const *worker_argv(void)
{
    if (needs_wrapper())
        return wrapped;
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded && strstr(preloaded, "valgrind") ? this_program : NULL;
}

static th_procs *make(th_procs_opts opts)
{
    th_procs *pool = NULL;
    if (!opts.argv)
        opts.argv = worker_argv();
    if (opts.workers_max == 0)
        opts.workers_max = 2;
    ck_assert_int_eq(th_procs_new(&opts, &pool), 0);
    return pool;
}

/* Some of the options; two workers unless they say otherwise. */
#define POOL(...) make((th_procs_opts){ .size = 0, __VA_ARGS__ })

static th_procs_job *submit(th_procs *pool, const char *name, const void *in, size_t size)
{
    th_procs_job *job = NULL;
    ck_assert_int_eq(th_procs_submit(pool, name, in, size, NULL, &job), 0);
    return job;
}

static int result_of(th_procs_job *job)
{
    int result = 0;
    ck_assert_int_eq(th_procs_wait(job, &result), 0);
    return result;
}

/* Does a job from beginning to end. */
static int do_job(th_procs *pool, const char *name, const void *in, size_t size)
{
    th_procs_job *job = submit(pool, name, in, size);
    int result = result_of(job);
    th_procs_job_free(job);
    return result;
}

/* A pool that still works. */
static void expect_sane(th_procs *pool)
{
    ck_assert_int_eq(do_job(pool, "length", "12345", 5), 5);
}

static th_procs_stats stats_of(th_procs *pool)
{
    th_procs_stats stats;
    ck_assert_int_eq(th_procs_get_stats(pool, &stats), 0);
    return stats;
}

static bool has_children(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static int count_fds(void)
{
    int count = 0;
    for (int fd = 0; fd < 128; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void end(th_procs *pool)
{
    th_procs_free(pool);
    ck_assert(!has_children());
}

/* ---- jobs ---- */

static void expect_echo(th_procs *pool, size_t size)
{
    size_t got = 99;
    char *bytes = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 7 >> 3);
    th_procs_job *job = submit(pool, "echo", bytes, size);
    ck_assert_int_eq(result_of(job), 0);
    const void *out = th_procs_output(job, &got);
    ck_assert_uint_eq(got, size);
    ck_assert_int_eq(memcmp(out, bytes, size), 0);
    th_procs_job_free(job);
    free(bytes);
}

FIBER_TEST(bytes_go_in_and_come_out)
{
    static const size_t sizes[] = { 0, 1, 1000, 65535, 65536, 65537, 10000000 };
    int fds = count_fds();
    th_procs *pool = POOL();
    for (size_t i = 0; i < thi_array_len(sizes); i++)
        expect_echo(pool, sizes[i]);
    end(pool);
    ck_assert_int_eq(count_fds(), fds);
    pool = POOL(.shared_min = 10);
    expect_echo(pool, 9);
    expect_echo(pool, 10);
    end(pool);
}

FIBER_TEST(failures_come_with_their_text_and_the_pool_goes_on)
{
    th_procs *pool = POOL();
    ck_assert_int_eq(do_job(pool, "fails", "123", 3), -EPROTO);
    ck_assert_str_eq(th_err_detail(), "3 bytes are odd");
    ck_assert_int_eq(do_job(pool, "no such", NULL, 0), -ENOENT);
    ck_assert_str_eq(th_err_detail(), "the worker has no function 'no such'");
    expect_sane(pool);
    ck_assert_uint_eq(stats_of(pool).died, 0);
    end(pool);
}

enum { MANY = 200 };

static int submit_many(void *arg)
{
    for (int i = 0; i < MANY / 4; i++)
        if (do_job(arg, "length", "1234", 4) != 4)
            return -EPROTO;
    return 0;
}

static void *submit_as_thread(void *arg)
{
    return (void *)(intptr_t)submit_many(arg);
}

FIBER_TEST_ON(2, fibers_of_all_workers_and_threads_submit)
{
    th_scope scope;
    pthread_t thread;
    void *result = NULL;
    th_procs *pool = POOL(.workers_max = 3);
    ck_assert_int_eq(pthread_create(&thread, NULL, submit_as_thread, pool), 0);
    open_scope(&scope);
    for (unsigned i = 0; i < 3; i++)
        spawn_on(&scope, i % 2, submit_many, pool);
    close_scope(&scope);
    (void)pthread_join(thread, &result);
    ck_assert_ptr_null(result);
    ck_assert_uint_eq(stats_of(pool).done, MANY);
    ck_assert_uint_le(stats_of(pool).started, 3);
    end(pool);
}

static void note_future(th_future *future, int result, void *arg)
{
    (void)future;
    *(int *)arg += result;
}

FIBER_TEST(a_job_is_a_future_among_others)
{
    int told = 0;
    th_procs *pool = POOL();
    th_procs_job *jobs[] = { submit(pool, "length", "12", 2), submit(pool, "length", "123", 3) };
    th_future *futures[] = { th_procs_future(jobs[0]), th_procs_future(jobs[1]) };
    ck_assert_int_eq(th_future_then(futures[0], note_future, &told), 0);
    ck_assert_int_eq(th_future_wait_all(futures, 2), 0);
    ck_assert_int_eq(told, 2);
    ck_assert_int_eq(th_future_state(futures[1]), TH_FUTURE_DONE);
    th_procs_job_free(jobs[0]);
    th_procs_job_free(jobs[1]);
    end(pool);
}

FIBER_TEST(a_wait_obeys_its_scope_and_the_job_goes_on)
{
    th_scope scope;
    th_procs *pool = POOL();
    th_procs_job *job = submit(pool, "hangs", NULL, 0);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_procs_wait(job, NULL), -ETIMEDOUT);
    close_scope(&scope);
    ck_assert_ptr_null(th_procs_output(job, NULL));
    expect_sane(pool);
    end(pool);
    ck_assert_int_eq(result_of(job), -ECANCELED);
    th_procs_job_free(job);
}

FIBER_TEST(what_has_not_begun_can_be_cancelled)
{
    th_procs *pool = POOL(.workers_max = 1);
    th_procs_job *first = submit(pool, "hangs", NULL, 0);
    while (stats_of(pool).running == 0)
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    th_procs_job *second = submit(pool, "length", NULL, 0);
    ck_assert_int_eq(th_future_cancel(th_procs_future(first)), -EBUSY);
    ck_assert_int_eq(th_future_cancel(th_procs_future(second)), 0);
    ck_assert_int_eq(result_of(second), -ECANCELED);
    ck_assert_uint_eq(stats_of(pool).queued, 0);
    th_procs_job_free(second);
    th_procs_job_free(first);
    end(pool);
}

FIBER_TEST(a_full_queue_refuses_or_lets_wait)
{
    th_scope scope;
    th_procs_job *jobs[3];
    th_procs_job *job = NULL;
    th_procs *pool = POOL(.workers_max = 1, .queue_max = 2, .when_full = TH_POOL_REFUSE);
    jobs[0] = submit(pool, "hangs", NULL, 0);
    while (stats_of(pool).running == 0)
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    jobs[1] = submit(pool, "length", NULL, 0);
    jobs[2] = submit(pool, "length", NULL, 0);
    ck_assert_int_eq(th_procs_submit(pool, "length", NULL, 0, NULL, &job), -EAGAIN);
    for (int i = 0; i < 3; i++)
        th_procs_job_free(jobs[i]);
    jobs[1] = submit(pool, "length", NULL, 0); /* there is room again */
    th_procs_job_free(jobs[1]);
    end(pool);
    pool = POOL(.workers_max = 1, .queue_max = 1);
    jobs[0] = submit(pool, "hangs", NULL, 0);
    while (stats_of(pool).running == 0)
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    jobs[1] = submit(pool, "length", NULL, 0);
    open_scope_for(&scope, TH_MILLISECOND);
    ck_assert_int_eq(th_procs_submit(pool, "length", NULL, 0, NULL, &job), -ETIMEDOUT);
    close_scope(&scope);
    end(pool);
    th_procs_job_free(jobs[0]);
    th_procs_job_free(jobs[1]);
}

FIBER_TEST(misuse_is_refused)
{
    th_procs *pool = NULL;
    th_procs_job *job = NULL;
    char long_name[65];
    memset(long_name, 'x', 64);
    long_name[64] = '\0';
    ck_assert_int_eq(th_procs_new(NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_procs_new(&(th_procs_opts){ .workers_max = 257 }, &pool), -EINVAL);
    ck_assert_int_eq(th_procs_new(&(th_procs_opts){ .workers_max = 1, .workers_min = 2 }, &pool),
                     -EINVAL);
    ck_assert_int_eq(th_procs_new(&(th_procs_opts){ .shared_min = 65537 }, &pool), -EINVAL);
    ck_assert_int_eq(th_procs_new(&(th_procs_opts){ .when_full = TH_POOL_RUN_HERE }, &pool),
                     -EINVAL);
    pool = POOL();
    ck_assert_int_eq(th_procs_submit(pool, NULL, NULL, 0, NULL, &job), -EINVAL);
    ck_assert_int_eq(th_procs_submit(pool, "", NULL, 0, NULL, &job), -EINVAL);
    ck_assert_int_eq(th_procs_submit(pool, long_name, NULL, 0, NULL, &job), -EINVAL);
    ck_assert_int_eq(th_procs_submit(pool, "echo", NULL, 1, NULL, &job), -EINVAL);
    ck_assert_int_eq(th_procs_submit(pool, "echo", NULL, 0, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_procs_stop(pool, 8), -EINVAL);
    ck_assert_int_eq(th_procs_wait(NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_worker_is_one(), 0);
    ck_assert_int_eq(th_worker_main(functions), 1);
    end(pool);
    th_procs_free(NULL);
    th_procs_job_free(NULL);
}

/* ---- workers that die ---- */

static void expect_death(const char *name, const char *how)
{
    int fds = count_fds();
    th_procs *pool = POOL();
    expect_sane(pool);
    ck_assert_int_eq(do_job(pool, name, NULL, 0), TH_EWORKER);
    const char *detail = th_err_detail();
    ck_assert_msg(strncmp(detail, "worker ", 7) == 0 && strstr(detail, how), "%s", detail);
    expect_sane(pool);
    ck_assert_uint_eq(stats_of(pool).died, 1);
    ck_assert_uint_eq(stats_of(pool).failed, 1);
    end(pool);
    ck_assert_int_eq(count_fds(), fds);
}

FIBER_TEST(a_worker_that_crashes_fails_its_job_only)
{
    expect_death("crashes", "was killed by signal 11 (SEGV)");
}

FIBER_TEST(a_worker_that_exits_fails_its_job_only)
{
    expect_death("exits", "ended with exit code 3");
}

FIBER_TEST(a_worker_that_dies_half_way_through_its_answer_fails_its_job_only)
{
    expect_death("dies-half-way", "worker");
}

FIBER_TEST(a_worker_that_talks_nonsense_is_killed)
{
    expect_death("talks-nonsense", "(KILL): it answered nonsense");
}

FIBER_TEST(a_worker_that_answers_another_job_is_killed)
{
    expect_death("answers-another", "(KILL): it answered nonsense");
}

FIBER_TEST(a_worker_that_shares_memory_which_is_not_sealed_is_killed)
{
    expect_death("shares-unsealed", "(KILL): it answered nonsense");
}

FIBER_TEST(a_worker_that_hangs_up_and_lives_on_is_killed)
{
    expect_death("hangs-up", "was killed by signal 9 (KILL)");
}

FIBER_TEST(a_worker_that_answers_twice_is_not_used_any_more)
{
    th_procs *pool = POOL(.workers_max = 1);
    ck_assert_int_eq(do_job(pool, "answers-twice", NULL, 0), 0);
    int died = 0;
    for (int i = 0; i < 3; i++) /* the one that it is given may fail with it */
        died += do_job(pool, "length", "123", 3) != 3;
    ck_assert_int_le(died, 1);
    ck_assert_uint_eq(stats_of(pool).died, 1);
    expect_sane(pool);
    end(pool);
}

FIBER_TEST(a_worker_that_is_killed_from_outside_fails_its_job_or_none)
{
    th_procs *pool = POOL(.workers_max = 1);
    pid_t idle = do_job(pool, "pid", NULL, 0);
    ck_assert_int_eq(kill(idle, SIGKILL), 0);
    while (stats_of(pool).died == 0)
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    ck_assert_int_ne(do_job(pool, "pid", NULL, 0), idle);
    ck_assert_uint_eq(stats_of(pool).failed, 0);
    end(pool);
}

FIBER_TEST(a_worker_that_is_stopped_is_taken_for_dead_after_a_while)
{
    th_procs *pool = POOL(.stopped_time = 20 * TH_MILLISECOND);
    ck_assert_int_eq(do_job(pool, "stops", NULL, 0), TH_EWORKER);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "(KILL): it had been stopped"));
    expect_sane(pool);
    end(pool);
    pool = POOL(.workers_max = 1, .stopped_time = 20 * TH_MILLISECOND, .retries = 1);
    pid_t idle = do_job(pool, "pid", NULL, 0);
    ck_assert_int_eq(kill(idle, SIGSTOP), 0); /* before it reads the job */
    expect_sane(pool);
    ck_assert_uint_eq(stats_of(pool).retried, 1);
    end(pool);
}

FIBER_TEST(a_worker_that_cannot_begin_fails_its_job)
{
    static const char *const wrong[] = { "false", NULL };
    static const char *const none[] = { "/no/such/program", NULL };
    th_procs *pool = POOL(.argv = wrong, .retries = 2);
    ck_assert_int_eq(do_job(pool, "length", NULL, 0), TH_EWORKER);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "ended with exit code 1"));
    ck_assert_uint_eq(stats_of(pool).started, 3);
    end(pool);
    pool = POOL(.argv = none);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(do_job(pool, "length", NULL, 0), -ENOENT);
        ck_assert_str_eq(th_err_detail(), "cannot start '/no/such/program'");
    }
    end(pool);
}

FIBER_TEST(a_job_whose_worker_died_is_tried_again)
{
    char path[] = "/tmp/thrum-test-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(path));
    char file[64];
    snprintf(file, sizeof file, "%s/once", path);
    th_procs *pool = POOL(.retries = 1);
    ck_assert_int_eq(do_job(pool, "dies-once", file, strlen(file)), 11);
    ck_assert_uint_eq(stats_of(pool).retried, 1);
    ck_assert_int_eq(do_job(pool, "exits", NULL, 0), TH_EWORKER); /* every time */
    ck_assert_uint_eq(stats_of(pool).retried, 2);
    ck_assert_int_eq(unlink(file), 0);
    th_procs_job *job;
    th_procs_job_opts never = { .retries = -1 };
    ck_assert_int_eq(th_procs_submit(pool, "dies-once", file, strlen(file), &never, &job), 0);
    ck_assert_int_eq(result_of(job), TH_EWORKER);
    th_procs_job_free(job);
    (void)unlink(file);
    (void)rmdir(path);
    end(pool);
}

FIBER_TEST(many_deaths_at_once_stall_nobody)
{
    static const char *const deaths[] = { "crashes", "exits",           "dies-half-way",
                                          "length",  "talks-nonsense",  "hangs-up",
                                          "length",  "shares-unsealed", "answers-another" };
    enum { JOBS = 45 };
    th_procs_job *jobs[JOBS];
    th_procs *pool = POOL(.workers_max = 4);
    for (size_t i = 0; i < JOBS; i++)
        jobs[i] = submit(pool, deaths[i % thi_array_len(deaths)], "123", 3);
    for (size_t i = 0; i < JOBS; i++) {
        bool good = strcmp(deaths[i % thi_array_len(deaths)], "length") == 0;
        ck_assert_int_eq(result_of(jobs[i]), good ? 3 : TH_EWORKER);
        th_procs_job_free(jobs[i]);
    }
    expect_sane(pool);
    end(pool);
}

/* ---- limits ---- */

FIBER_TEST(a_job_that_takes_too_long_is_ended_with_its_worker_only)
{
    th_procs *pool = POOL(.job_time = 50 * TH_MILLISECOND, .retries = 3);
    th_procs_job *late = submit(pool, "hangs", NULL, 0);
    ck_assert_int_eq(result_of(late), -ETIMEDOUT); /* and is not tried again */
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "(KILL): it took too long"));
    th_procs_job_free(late);
    ck_assert_uint_eq(stats_of(pool).timed_out, 1);
    ck_assert_uint_eq(stats_of(pool).retried, 0);
    end(pool);
    pool = POOL();
    th_procs_job_opts brief = { .job_time = 50 * TH_MILLISECOND };
    ck_assert_int_eq(th_procs_submit(pool, "hangs", NULL, 0, &brief, &late), 0);
    ck_assert_int_eq(result_of(late), -ETIMEDOUT);
    th_procs_job_free(late);
    expect_sane(pool);
    end(pool);
}

FIBER_TEST(output_is_limited)
{
    char bytes[1001] = "";
    th_procs *pool = POOL(.output_max = 1000);
    ck_assert_int_eq(do_job(pool, "echo", bytes, 1000), 0);
    ck_assert_int_eq(do_job(pool, "echo", bytes, 1001), TH_ELIMIT);
    expect_sane(pool);
    end(pool);
}

FIBER_TEST(a_worker_is_replaced_after_so_many_jobs)
{
    th_procs *pool = POOL(.workers_max = 1, .jobs_max = 3);
    pid_t pids[7];
    for (int i = 0; i < 7; i++)
        pids[i] = do_job(pool, "pid", NULL, 0);
    ck_assert(pids[0] == pids[1] && pids[1] == pids[2] && pids[2] != pids[3]);
    ck_assert(pids[3] == pids[5] && pids[5] != pids[6]);
    ck_assert_uint_eq(stats_of(pool).recycled, 2);
    ck_assert_uint_eq(stats_of(pool).died, 0);
    end(pool);
}

FIBER_TEST(a_worker_is_replaced_when_it_has_grown_or_is_old)
{
    th_procs *pool = POOL(.workers_max = 1, .memory_max = (size_t)1 << 40);
    pid_t first = do_job(pool, "grows", NULL, 0);
    ck_assert_int_eq(do_job(pool, "pid", NULL, 0), first);
    end(pool);
    pool = POOL(.workers_max = 1, .memory_max = 32 * 1024 * 1024);
    first = do_job(pool, "grows", NULL, 0);
    ck_assert_int_ne(do_job(pool, "pid", NULL, 0), first);
    ck_assert_uint_ge(stats_of(pool).recycled, 1);
    end(pool);
    pool = POOL(.workers_max = 1, .age_max = 20 * TH_MILLISECOND);
    first = do_job(pool, "pid", NULL, 0);
    while (stats_of(pool).recycled == 0)
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    ck_assert_int_ne(do_job(pool, "pid", NULL, 0), first);
    end(pool);
}

FIBER_TEST(idle_workers_end_but_for_the_least_number)
{
    th_procs *pool = POOL(.workers_max = 4, .workers_min = 1, .idle_time = 10 * TH_MILLISECOND);
    th_procs_job *jobs[8];
    for (int i = 0; i < 8; i++)
        jobs[i] = submit(pool, "length", NULL, 0);
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(result_of(jobs[i]), 0);
        th_procs_job_free(jobs[i]);
    }
    while (stats_of(pool).workers != 1)
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    pid_t one = do_job(pool, "pid", NULL, 0);
    ck_assert_int_eq(th_sleep(30 * TH_MILLISECOND), 0);
    ck_assert_int_eq(do_job(pool, "pid", NULL, 0), one);
    ck_assert_int_eq(kill(one, SIGKILL), 0);
    while (stats_of(pool).died == 0 || stats_of(pool).workers != 1) /* without any job */
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    end(pool);
}

FIBER_TEST(a_worker_inherits_nothing_but_its_socket)
{
    int leaky = open("/dev/null", O_RDONLY);
    th_procs *pool = POOL();
    th_procs_job *job = submit(pool, "lists-fds", NULL, 0);
    ck_assert_int_eq(result_of(job), 0);
    size_t size = 0;
    const void *fds = th_procs_output(job, &size);
    ck_assert_uint_eq(size, 8);
    ck_assert_mem_eq(fds, "0 1 2 3 ", 8);
    th_procs_job_free(job);
    (void)close(leaky);
    end(pool);
}

/* ---- the end ---- */

FIBER_TEST(an_orderly_stop_does_all_that_was_submitted)
{
    th_procs_job *jobs[20];
    th_procs_job *job = NULL;
    th_procs *pool = POOL(.workers_max = 1, .jobs_max = 2);
    for (int i = 0; i < 20; i++)
        jobs[i] = submit(pool, "length", "1234567", 7);
    ck_assert_int_eq(th_procs_stop(pool, TH_POOL_FINISH | TH_POOL_NO_WAIT), 0);
    ck_assert_int_eq(th_procs_submit(pool, "length", NULL, 0, NULL, &job), TH_ECLOSED);
    ck_assert_int_eq(th_procs_stop(pool, TH_POOL_FINISH), 0);
    ck_assert(!has_children());
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(result_of(jobs[i]), 7);
        th_procs_job_free(jobs[i]);
    }
    end(pool);
}

FIBER_TEST(an_immediate_stop_drops_ten_thousand_jobs)
{
    enum { JOBS = 10000 };
    th_procs_job **jobs = malloc(JOBS * sizeof(*jobs));
    th_procs *pool = POOL(.queue_max = JOBS);
    for (int i = 0; i < JOBS; i++)
        jobs[i] = submit(pool, "hangs", NULL, 0);
    ck_assert_int_eq(th_procs_stop(pool, TH_POOL_ABORT), 0);
    ck_assert(!has_children());
    for (int i = 0; i < JOBS; i++) {
        ck_assert_int_eq(result_of(jobs[i]), -ECANCELED);
        th_procs_job_free(jobs[i]);
    }
    free(jobs);
    end(pool);
}

static int submit_and_wait_for_room(void *arg)
{
    th_procs_job *job = NULL;
    int err = th_procs_submit(arg, "length", NULL, 0, NULL, &job);
    th_procs_job_free(job);
    return err == TH_ECLOSED ? 0 : -EPROTO;
}

FIBER_TEST(who_waits_for_room_is_told_of_the_stop)
{
    th_scope scope;
    th_procs *pool = POOL(.workers_max = 1, .queue_max = 1);
    th_procs_job *running = submit(pool, "hangs", NULL, 0);
    while (stats_of(pool).running == 0)
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    th_procs_job *queued = submit(pool, "hangs", NULL, 0);
    open_scope(&scope);
    for (int i = 0; i < 3; i++)
        spawn(&scope, submit_and_wait_for_room, pool);
    (void)th_yield();
    ck_assert_int_eq(th_procs_stop(pool, TH_POOL_ABORT), 0);
    close_scope(&scope);
    th_procs_job_free(running);
    th_procs_job_free(queued);
    end(pool);
}

START_TEST(plain_threads_need_no_runtime)
{
    int result = 0;
    th_procs_job *job;
    th_procs *pool = POOL();
    ck_assert_int_eq(th_procs_submit(pool, "length", "123", 3, NULL, &job), 0);
    ck_assert_int_eq(th_procs_wait(job, &result), 0);
    ck_assert_int_eq(result, 3);
    end(pool);
    th_procs_job_free(job); /* it outlives the pool */
}
END_TEST

static int make_in_simulation(void *arg)
{
    th_procs *pool;
    (void)arg;
    return th_procs_new(NULL, &pool);
}

START_TEST(a_simulation_has_no_processes)
{
    ck_assert_int_eq(th_sim_run(make_in_simulation, NULL, NULL, NULL), -ENOSYS);
}
END_TEST

/* The n-th allocation fails, of whichever thread: each job has a result all the same. */
FIBER_TEST(without_memory_jobs_fail_or_are_done_and_nothing_is_left)
{
    for (int64_t n = 1; n < 40; n++) {
        th_procs *pool = NULL;
        th_procs_job *job = NULL;
        int result = 0;
        int fds = count_fds();
        int64_t live = thi_alloc_live();
        (void)thi_alloc_fail_at(n);
        th_procs_opts opts = { .argv = worker_argv(), .workers_max = 1, .shared_min = 100 };
        int err = th_procs_new(&opts, &pool);
        if (err == 0)
            err = th_procs_submit(pool, "echo", "1234", 4, NULL, &job);
        if (err == 0)
            err = th_procs_wait(job, &result);
        (void)thi_alloc_fail_at(0);
        ck_assert(err == 0 || err == -ENOMEM);
        ck_assert(result == 0 || result == -ENOMEM);
        th_procs_job_free(job);
        end(pool);
        ck_assert_int_eq(count_fds(), fds);
        if (err == -ENOMEM)
            ck_assert_int_eq(thi_alloc_live(), live);
    }
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "jobs");
    tcase_add_test(tcase, bytes_go_in_and_come_out);
    tcase_add_test(tcase, failures_come_with_their_text_and_the_pool_goes_on);
    tcase_add_test(tcase, fibers_of_all_workers_and_threads_submit);
    tcase_add_test(tcase, a_job_is_a_future_among_others);
    tcase_add_test(tcase, a_wait_obeys_its_scope_and_the_job_goes_on);
    tcase_add_test(tcase, what_has_not_begun_can_be_cancelled);
    tcase_add_test(tcase, a_full_queue_refuses_or_lets_wait);
    tcase_add_test(tcase, misuse_is_refused);
    tcase = thi_check_case(suite, "deaths");
    tcase_add_test(tcase, a_worker_that_crashes_fails_its_job_only);
    tcase_add_test(tcase, a_worker_that_exits_fails_its_job_only);
    tcase_add_test(tcase, a_worker_that_dies_half_way_through_its_answer_fails_its_job_only);
    tcase_add_test(tcase, a_worker_that_talks_nonsense_is_killed);
    tcase_add_test(tcase, a_worker_that_answers_another_job_is_killed);
    tcase_add_test(tcase, a_worker_that_shares_memory_which_is_not_sealed_is_killed);
    tcase_add_test(tcase, a_worker_that_hangs_up_and_lives_on_is_killed);
    tcase_add_test(tcase, a_worker_that_answers_twice_is_not_used_any_more);
    tcase_add_test(tcase, a_worker_that_is_killed_from_outside_fails_its_job_or_none);
    tcase_add_test(tcase, a_worker_that_is_stopped_is_taken_for_dead_after_a_while);
    tcase_add_test(tcase, a_worker_that_cannot_begin_fails_its_job);
    tcase_add_test(tcase, a_job_whose_worker_died_is_tried_again);
    tcase_add_test(tcase, many_deaths_at_once_stall_nobody);
    tcase = thi_check_case(suite, "limits");
    tcase_add_test(tcase, a_job_that_takes_too_long_is_ended_with_its_worker_only);
    tcase_add_test(tcase, output_is_limited);
    tcase_add_test(tcase, a_worker_is_replaced_after_so_many_jobs);
    tcase_add_test(tcase, a_worker_is_replaced_when_it_has_grown_or_is_old);
    tcase_add_test(tcase, idle_workers_end_but_for_the_least_number);
    tcase_add_test(tcase, a_worker_inherits_nothing_but_its_socket);
    tcase = thi_check_case(suite, "end");
    tcase_add_test(tcase, an_orderly_stop_does_all_that_was_submitted);
    tcase_add_test(tcase, an_immediate_stop_drops_ten_thousand_jobs);
    tcase_add_test(tcase, who_waits_for_room_is_told_of_the_stop);
    tcase_add_test(tcase, plain_threads_need_no_runtime);
    tcase_add_test(tcase, a_simulation_has_no_processes);
    tcase_add_test(tcase, without_memory_jobs_fail_or_are_done_and_nothing_is_left);
}

int main(int argc, char **argv)
{
    (void)argc;
    if (th_worker_is_one())
        return th_worker_main(functions);
    this_program[0] = wrapped[3] = realpath(argv[0], NULL);
    return thi_check_run("pool/process_pool", fill);
}
