/* SPDX-License-Identifier: MIT */

/*
 * Thrum and libuv in one thread, either way round.
 *
 *     foreign_libuv hosted     libuv's loop has the thread, and Thrum's fibers run in it
 *     foreign_libuv hosting    Thrum's loop has the thread, and a fiber runs libuv's
 */
#include "foreign.h"

#include <uv.h>

static void on_tick(uv_timer_t *timer)
{
    if (tick())
        uv_close((uv_handle_t *)timer, NULL);
}

static void start_ticking(uv_loop_t *loop, uv_timer_t *timer)
{
    uv_loop_init(loop);
    uv_timer_init(loop, timer);
    uv_timer_start(timer, on_tick, TICK_MS, TICK_MS);
}

/* ---- libuv's loop has the thread ------------------------------------------------------------- */

static void on_due(uv_poll_t *due, int status, int events)
{
    (void)events;
    if (status < 0 || th_host_turn(due->data) == 0)
        uv_close((uv_handle_t *)due, NULL);
}

static int hosted(void)
{
    uv_loop_t loop;
    uv_timer_t timer;
    uv_poll_t due;
    th_host *host;
    int err = th_host_open(talk, NULL, NULL, &host);
    if (err < 0)
        return err;
    start_ticking(&loop, &timer);
    uv_poll_init(&loop, &due, th_host_fd(host));
    due.data = host;
    uv_poll_start(&due, UV_READABLE, on_due);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return th_host_close(host);
}

/* ---- Thrum's loop has the thread ------------------------------------------------------------- */

/* Until libuv has something to do: its descriptor is readable, or its next timer is due. */
static int wait_for_work(const uv_loop_t *loop)
{
    int ms = uv_backend_timeout(loop);
    int64_t until = ms < 0 ? TH_NEVER : th_after(ms * TH_MILLISECOND);
    th_case cases[] = { TH_CASE_READABLE(uv_backend_fd(loop)), TH_CASE_TIME(until) };
    int which = th_select(cases, 2, 0);
    return which < 0 ? which : 0;
}

static int run_loop(void *loop)
{
    int err = 0;
    while (err == 0 && uv_run(loop, UV_RUN_NOWAIT) != 0)
        err = wait_for_work(loop);
    return err;
}

static int hosting(void *arg)
{
    uv_loop_t loop;
    uv_timer_t timer;
    (void)arg;
    start_ticking(&loop, &timer);
    int err = talk_beside(run_loop, &loop);
    uv_loop_close(&loop);
    return err;
}

int main(int argc, char **argv)
{
    return foreign_main(argc, argv, "libuv", hosted, hosting);
}
