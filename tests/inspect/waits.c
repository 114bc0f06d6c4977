/* SPDX-License-Identifier: MIT */

/*
 * Parks fibers in every kind of wait, says "ready THREAD" on standard output, and stays so.
 *
 * usage: waits COUNT [abort | deadlock]
 *
 * COUNT fibers are spread over KINDS kinds of wait; each waits in a function of the name
 * wait_KIND(), called by middle(), called by its body. They run on two workers. One more,
 * "patient", waits for a mutex that a plain thread holds, of the number THREAD. `abort` leaves a
 * core once all wait; `deadlock` has three fibers lock three mutexes in a circle besides.
 */
#include <thrum.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__clang__)
#define KEPT __attribute__((noinline, optnone))
#else
#define KEPT __attribute__((noipa, optimize("no-optimize-sibling-calls")))
#endif

#define CHECK(call)                                                                                \
    do {                                                                                           \
        if ((call) < 0) {                                                                          \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #call);                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* What the fibers wait for. */
static th_mutex held;
static th_event never_set;
static th_queue *empty;
static th_listener *listener;
static th_listener *local; /* where the system keeps little of what is written */
static atomic_int arrived;
static int on_pipe[2];

static void arrive(void)
{
    atomic_fetch_add(&arrived, 1);
}

/* ---- the kinds of wait ----------------------------------------------------------------------- */

KEPT static void wait_sleep(void)
{
    arrive();
    (void)!th_sleep(TH_HOUR);
}

KEPT static void wait_mutex(void)
{
    arrive();
    (void)!th_mutex_lock(&held);
}

KEPT static void wait_event(void)
{
    arrive();
    (void)!th_event_wait(&never_set);
}

KEPT static void wait_get(void)
{
    void *item;
    arrive();
    (void)!th_queue_get(empty, &item);
}

KEPT static int sleep_body(void *arg)
{
    (void)arg;
    return th_sleep(TH_HOUR);
}

KEPT static void wait_join(void)
{
    th_scope scope;
    th_fiber *child;
    CHECK(th_scope_open(&scope, NULL));
    CHECK(th_spawn_with(&scope, sleep_body, NULL, &(th_spawn_opts){ .name = "joined" }, &child));
    arrive();
    (void)!th_join(child, NULL);
    th_fiber_unref(child);
    (void)th_scope_close(&scope);
}

KEPT static void wait_scope(void)
{
    th_scope scope;
    CHECK(th_scope_open(&scope, &(th_scope_opts){ .deadline = th_after(TH_HOUR) }));
    CHECK(th_spawn_with(&scope, sleep_body, NULL, &(th_spawn_opts){ .name = "child" }, NULL));
    arrive();
    (void)th_scope_close(&scope);
}

KEPT static void wait_spawn(void)
{
    th_scope scope;
    CHECK(th_scope_open(&scope, &(th_scope_opts){ .limit = 1 }));
    CHECK(th_spawn_with(&scope, sleep_body, NULL, &(th_spawn_opts){ .name = "child" }, NULL));
    arrive();
    (void)!th_spawn(&scope, sleep_body, NULL);
    (void)th_scope_close(&scope);
}

/* Connects to a listener at which nobody accepts: nothing will ever come from there. */
static th_stream *connect_to(const th_listener *where)
{
    char text[TH_ADDR_TEXT];
    th_addr addr;
    th_stream *s;
    th_listener_addr(where, &addr);
    th_addr_format(&addr, text, sizeof text);
    CHECK(th_dial(text, NULL, &s));
    return s;
}

KEPT static void wait_read(void)
{
    char byte;
    th_stream *s = connect_to(listener);
    arrive();
    (void)!th_stream_read(s, &byte, 1);
    th_stream_close(s);
}

KEPT static void wait_write(void)
{
    static char much[1 << 20];
    th_stream *s = connect_to(local);
    arrive();
    while (th_stream_write(s, much, sizeof much) >= 0)
        ;
    th_stream_close(s);
}

/* Blocks its thread until the process ends. */
KEPT static int blocking_work(void *arg)
{
    char byte;
    (void)arg;
    return (int)read(on_pipe[0], &byte, 1);
}

KEPT static void wait_offload(void)
{
    arrive();
    (void)th_offload(NULL, blocking_work, NULL);
}

KEPT static void wait_select(void)
{
    th_case cases[] = { TH_CASE_GET(empty), TH_CASE_EVENT(&never_set) };
    arrive();
    (void)!th_select(cases, 2, 0);
}

/* ---- the fibers ------------------------------------------------------------------------------ */

typedef struct kind {
    const char *name;
    void (*wait)(void);
} kind;

static const kind kinds[] = {
    { "sleep", wait_sleep },     { "mutex", wait_mutex },   { "event", wait_event },
    { "get", wait_get },         { "join", wait_join },     { "scope", wait_scope },
    { "spawn", wait_spawn },     { "read", wait_read },     { "write", wait_write },
    { "offload", wait_offload }, { "select", wait_select },
};

#define KINDS (sizeof kinds / sizeof kinds[0])

KEPT static void middle(const kind *k)
{
    k->wait();
    __asm__ volatile("");
}

KEPT static int body(void *arg)
{
    middle(arg);
    return 0;
}

static int hold(void *arg)
{
    (void)arg;
    CHECK(th_mutex_lock(&held));
    arrive();
    return th_sleep(TH_HOUR);
}

/* ---- a thread that holds a mutex ------------------------------------------------------------- */

static th_mutex held_by_thread;
static _Atomic(pid_t) holding_thread;

static void *hold_in_thread(void *arg)
{
    (void)arg;
    CHECK(th_mutex_lock(&held_by_thread));
    atomic_store(&holding_thread, gettid());
    for (;;)
        (void)pause();
}

static int wait_for_thread(void *arg)
{
    (void)arg;
    arrive();
    return th_mutex_lock(&held_by_thread);
}

static int nameless(void *arg)
{
    arrive();
    return sleep_body(arg);
}

static int start_patient(th_scope *scope)
{
    pthread_t thread;
    CHECK(-pthread_create(&thread, NULL, hold_in_thread, NULL));
    while (atomic_load(&holding_thread) == 0)
        CHECK(th_sleep(TH_MILLISECOND));
    CHECK(th_spawn_with(scope, wait_for_thread, NULL, &(th_spawn_opts){ .name = "patient" }, NULL));
    /* Without names: what they are called follows from the function. */
    CHECK(th_spawn(scope, sleep_body, NULL));
    CHECK(th_spawn(scope, thread ? nameless : NULL, NULL));
    return 2;
}

/* ---- a circle -------------------------------------------------------------------------------- */

static th_mutex circle[3];
static atomic_int first_taken;

KEPT static int take_two(void *arg)
{
    size_t i = (size_t)(uintptr_t)arg;
    CHECK(th_mutex_lock(&circle[i]));
    atomic_fetch_add(&first_taken, 1);
    while (atomic_load(&first_taken) < 3)
        CHECK(th_yield());
    arrive();
    return th_mutex_lock(&circle[(i + 1) % 3]);
}

static th_mutex spawners;

static int want_spawners(void *arg)
{
    (void)arg;
    return th_mutex_lock(&spawners);
}

/* Waits for any of its children while it holds what one of them wants: the other ends that. */
KEPT static int spawn_while_holding(void *arg)
{
    th_scope scope;
    (void)arg;
    CHECK(th_mutex_lock(&spawners));
    CHECK(th_scope_open(&scope, &(th_scope_opts){ .limit = 2 }));
    CHECK(th_spawn(&scope, want_spawners, NULL));
    CHECK(th_spawn(&scope, sleep_body, NULL));
    arrive();
    (void)!th_spawn(&scope, sleep_body, NULL);
    return th_scope_close(&scope);
}

static int start_circle(th_scope *scope)
{
    th_spawn_opts opts = { .name = "no circle" };
    CHECK(th_spawn_with(scope, spawn_while_holding, NULL, &opts, NULL));
    for (size_t i = 0; i < 3; i++) {
        CHECK(th_spawn_with(scope, take_two, (void *)(uintptr_t)i,
                            &(th_spawn_opts){ .name = "philosopher" }, NULL));
    }
    return 4;
}

/* ---- the program ----------------------------------------------------------------------------- */

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/*
 * All have said that they are about to wait. Whoever has said so waits before anybody else runs on
 * its worker, so they do wait once another fiber has run on each.
 */
static void settle(int expected)
{
    while (atomic_load(&arrived) < expected)
        CHECK(th_sleep(TH_MILLISECOND));
    for (int worker = 0; worker < 2; worker++) {
        th_scope scope;
        CHECK(th_scope_open(&scope, NULL));
        CHECK(th_spawn_with(&scope, nothing, NULL, &(th_spawn_opts){ .place = 1 + worker }, NULL));
        CHECK(th_scope_close(&scope));
    }
}

/* The last to run: the main fiber waits by now. */
KEPT static int tell(void *aborts)
{
    printf("ready %d\n", (int)atomic_load(&holding_thread));
    fflush(stdout);
    if (aborts)
        abort();
    return 0;
}

static int app(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : (int)KINDS;
    const char *how = argc > 2 ? argv[2] : "";
    char address[64];
    th_scope scope;
    CHECK(pipe(on_pipe));
    CHECK(th_queue_new(NULL, &empty));
    CHECK(th_listen("127.0.0.1:0", NULL, &listener));
    snprintf(address, sizeof address, "unix:@thrum-waits-%d", (int)getpid());
    CHECK(th_listen(address, NULL, &local));
    CHECK(th_scope_open(&scope, NULL));
    int expected = 1 + count;
    CHECK(th_spawn_with(&scope, hold, NULL, &(th_spawn_opts){ .name = "holder" }, NULL));
    settle(1);
    for (int i = 0; i < count; i++) {
        const kind *k = &kinds[(size_t)i % KINDS];
        CHECK(th_spawn_with(&scope, body, (void *)(uintptr_t)k,
                            &(th_spawn_opts){ .name = k->name, .place = TH_PLACE_ROUND }, NULL));
    }
    expected += start_patient(&scope);
    if (strcmp(how, "deadlock") == 0)
        expected += start_circle(&scope);
    settle(expected);
    th_spawn_opts opts = { .name = "teller" };
    CHECK(th_spawn_with(&scope, tell, strcmp(how, "abort") == 0 ? &scope : NULL, &opts, NULL));
    return th_scope_close(&scope);
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, &(th_run_opts){ .workers = 2 });
}
