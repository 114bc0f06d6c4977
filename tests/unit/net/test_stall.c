/* SPDX-License-Identifier: MIT */

/*
 * A server of two workers, one of which is held up: new connections are served by the other. It
 * stays held up for a second, or for THRUM_STALL_SECONDS.
 */
#include "runtime/in_fiber.h"

#include <thrum/dial.h>
#include <thrum/serve.h>

#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST   200000
#define TARGET (20 * TH_MILLISECOND)

static int64_t span; /* of one measurement */
static th_listener *listener;
static atomic_bool let_go;
static atomic_bool done;
static atomic_int told;
static char stack[2048];

static void on_stall(const th_stall *stall, void *arg)
{
    (void)arg;
    if (strcmp(stall->name, "connection") != 0 || atomic_load(&told) > 0)
        return;
    snprintf(stack, sizeof stack, "%s", stall->stack);
    atomic_fetch_add(&told, 1);
}

static __attribute__((noinline)) int hold_the_worker(void)
{
    while (!atomic_load(&let_go))
        (void)th_now(); /* where a sanitizer lets signals through */
    return 0;
}

/* 'h' holds the worker up; everything else is answered. */
static int answer(th_stream *stream, void *arg)
{
    char byte;
    (void)arg;
    ssize_t n = th_stream_read(stream, &byte, 1);
    if (n == 1 && byte == 'h')
        (void)hold_the_worker();
    if (n == 1)
        n = th_stream_write(stream, &byte, 1);
    return n < 0 ? (int)n : 0;
}

static int connect_and_send(char byte)
{
    th_addr addr;
    th_listener_addr(listener, &addr);
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons(addr.port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    ck_assert_int_eq(send(fd, &byte, 1, MSG_NOSIGNAL), 1);
    return fd;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* One new connection after the other for that time; the time that 99 of 100 stay below. */
static int64_t measure(void)
{
    static int64_t took[MOST];
    size_t count = 0;
    int64_t end = th_now() + span;
    for (int64_t start; count < MOST && (start = th_now()) < end; count++) {
        char byte = 0;
        int fd = connect_and_send('a');
        ck_assert_int_eq(recv(fd, &byte, 1, 0), 1);
        took[count] = th_now() - start;
        close(fd);
    }
    ck_assert_uint_gt(count, 20);
    qsort(took, count, sizeof took[0], by_size);
    return took[count * 99 / 100];
}

static int64_t well;
static int64_t held_up;

static void *be_clients(void *arg)
{
    (void)arg;
    char byte = 0;
    well = measure();
    int fd = connect_and_send('h');
    while (atomic_load(&told) ==
           0) /* those that came until then may be with the one that is held up */
        (void)sched_yield();
    /* With io_uring the kernel may still wake the worker that does not listen, once: that
     * connection waits in the queue until another comes, and is then served with it. */
    int first = connect_and_send('a');
    held_up = measure();
    atomic_store(&let_go, true);
    ck_assert_int_eq(recv(first, &byte, 1, 0), 1);
    close(first);
    ck_assert_int_eq(recv(fd, &byte, 1, 0), 1);
    close(fd);
    atomic_store(&done, true);
    return NULL;
}

static int serve(void *arg)
{
    (void)arg;
    return th_serve_on(&listener, 1, answer, NULL, NULL);
}

static int app(void *arg)
{
    th_scope scope;
    pthread_t thread;
    (void)arg;
    ck_assert_int_eq(th_listen("127.0.0.1:0", NULL, &listener), 0);
    open_scope(&scope);
    spawn(&scope, serve, NULL);
    ck_assert_int_eq(pthread_create(&thread, NULL, be_clients, NULL), 0);
    while (!atomic_load(&done))
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    ck_assert_int_eq(th_scope_close(&scope), -ECANCELED);
    th_listener_close(listener);
    return 0;
}

/* The target is 20 ms. On a machine that is busy with other things even a server that is well is
 * slow at times, so the bound is wider; a connection that is stuck would have no bound at all. */
START_TEST(the_other_worker_serves_who_comes)
{
    th_run_opts opts = {
        .workers = 2, .backend = engine_names[_i], .no_signals = 1, .on_stall = on_stall
    };
    ck_assert_int_eq(th_run(app, NULL, &opts), 0);
    printf("%s: 99 of 100 within %.2f ms, with one worker held up within %.2f ms\n",
           engine_names[_i], (double)well / 1e6, (double)held_up / 1e6);
    ck_assert_int_lt(held_up, 5 * (well > TARGET ? well : TARGET));
    ck_assert_int_eq(atomic_load(&told), 1);
#ifndef __SANITIZE_THREAD__ /* it calls handlers later, when the stack is another */
    ck_assert_ptr_nonnull(strstr(stack, "hold_the_worker"));
#endif
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "stall");
    const char *seconds = getenv("THRUM_STALL_SECONDS");
    span = (seconds ? atoi(seconds) : 1) * TH_SECOND;
    tcase_set_timeout(tcase, 30 + 4 * (double)(span / TH_SECOND));
    add_on_engines(tcase, the_other_worker_serves_who_comes);
}

int main(void)
{
    return thi_check_run("net/stall", fill);
}
