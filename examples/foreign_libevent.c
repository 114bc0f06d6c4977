/* SPDX-License-Identifier: MIT */

/*
 * Thrum and libevent in one thread, either way round.
 *
 *     foreign_libevent hosted     libevent's loop has the thread, and Thrum's fibers run in it
 *     foreign_libevent hosting    Thrum's loop has the thread, and a fiber runs libevent's
 *
 * libevent does not say what its own descriptor is, but it tells what its events wait for, so the
 * fiber waits for the same.
 */
#include "foreign.h"

#include <event2/event.h>
#include <event2/util.h>

static void on_tick(evutil_socket_t fd, short what, void *timer)
{
    (void)fd;
    (void)what;
    if (tick())
        event_del(*(struct event **)timer);
}

static struct event *start_ticking(struct event_base *base, struct event **timer)
{
    struct timeval span = { 0, TICK_MS * 1000 };
    *timer = event_new(base, -1, EV_PERSIST, on_tick, timer);
    event_add(*timer, &span);
    return *timer;
}

/* ---- libevent's loop has the thread ---------------------------------------------------------- */

typedef struct hosting_event {
    th_host *host;
    struct event *due;
} hosting_event;

static void on_due(evutil_socket_t fd, short what, void *arg)
{
    hosting_event *h = arg;
    (void)fd;
    (void)what;
    if (th_host_turn(h->host) == 0)
        event_del(h->due);
}

static int hosted(void)
{
    hosting_event h;
    struct event *timer;
    int err = th_host_open(talk, NULL, NULL, &h.host);
    if (err < 0)
        return err;
    struct event_base *base = event_base_new();
    start_ticking(base, &timer);
    h.due = event_new(base, th_host_fd(h.host), EV_READ | EV_PERSIST, on_due, &h);
    event_add(h.due, NULL);
    event_base_dispatch(base);
    event_free(h.due);
    event_free(timer);
    event_base_free(base);
    return th_host_close(h.host);
}

/* ---- Thrum's loop has the thread ------------------------------------------------------------- */

#define CASES 64

/* What libevent's events wait for. */
typedef struct wishes {
    th_case cases[CASES];
    size_t count;
    int64_t until;
} wishes;

static void wish(wishes *w, th_case what)
{
    if (w->count < CASES)
        w->cases[w->count++] = what;
}

static int collect(const struct event_base *base, const struct event *event, void *arg)
{
    wishes *w = arg;
    short what = event_get_events(event);
    struct timeval at;
    (void)base;
    if (what & EV_READ)
        wish(w, (th_case)TH_CASE_READABLE(event_get_fd(event)));
    if (what & EV_WRITE)
        wish(w, (th_case)TH_CASE_WRITABLE(event_get_fd(event)));
    if (event_pending(event, EV_TIMEOUT, &at)) {
        struct timeval now;
        evutil_gettimeofday(&now, NULL);
        int64_t span = (at.tv_sec - now.tv_sec) * TH_SECOND +
                       (at.tv_usec - now.tv_usec) * TH_MICROSECOND + TH_MILLISECOND;
        int64_t due = th_after(span > 0 ? span : 0);
        if (due < w->until)
            w->until = due;
    }
    return 0;
}

static int wait_for_work(struct event_base *base)
{
    wishes w = { .count = 0, .until = TH_NEVER };
    event_base_foreach_event(base, collect, &w);
    wish(&w, (th_case)TH_CASE_TIME(w.until));
    int which = th_select(w.cases, w.count, 0);
    return which < 0 ? which : 0;
}

static int run_loop(void *base)
{
    int err = 0;
    while (err == 0 && event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED) > 0) {
        err = wait_for_work(base);
        if (err == 0 && event_base_loop(base, EVLOOP_NONBLOCK) < 0)
            err = TH_EPROTO;
    }
    return err;
}

static int hosting(void *arg)
{
    struct event *timer;
    struct event_base *base = event_base_new();
    (void)arg;
    if (!base)
        return -ENOMEM;
    start_ticking(base, &timer);
    int err = talk_beside(run_loop, base);
    event_free(timer);
    event_base_free(base);
    return err;
}

int main(int argc, char **argv)
{
    return foreign_main(argc, argv, "libevent", hosted, hosting);
}
