/* SPDX-License-Identifier: MIT */

/*
 * Thrum and GLib in one thread, either way round.
 *
 *     foreign_glib hosted     GLib's main loop has the thread, and Thrum's fibers run in it
 *     foreign_glib hosting    Thrum's loop has the thread, and a fiber runs GLib's main context
 */
#include "foreign.h"

#include <glib-unix.h>
#include <glib.h>

static gboolean on_tick(gpointer over)
{
    if (!tick())
        return G_SOURCE_CONTINUE;
    *(int *)over = 1;
    return G_SOURCE_REMOVE;
}

/* ---- GLib's loop has the thread -------------------------------------------------------------- */

typedef struct hosting_loop {
    GMainLoop *loop;
    th_host *host;
} hosting_loop;

static gboolean on_due(gint fd, GIOCondition condition, gpointer arg)
{
    hosting_loop *h = arg;
    (void)fd;
    (void)condition;
    if (th_host_turn(h->host) != 0)
        return G_SOURCE_CONTINUE;
    g_main_loop_quit(h->loop);
    return G_SOURCE_REMOVE;
}

static int hosted(void)
{
    hosting_loop h;
    int over = 0;
    int err = th_host_open(talk, NULL, NULL, &h.host);
    if (err < 0)
        return err;
    h.loop = g_main_loop_new(NULL, FALSE);
    g_timeout_add(TICK_MS, on_tick, &over);
    g_unix_fd_add(th_host_fd(h.host), G_IO_IN, on_due, &h);
    g_main_loop_run(h.loop);
    g_main_loop_unref(h.loop);
    return th_host_close(h.host);
}

/* ---- Thrum's loop has the thread ------------------------------------------------------------- */

#define FDS_MAX 32

/* GLib asks for poll(2), and gets what a fiber can see: waits with others, then looks. */
static int wait_for_work(GPollFD *fds, gint count, gint ms)
{
    th_case cases[2 * FDS_MAX + 1];
    size_t n = 0;
    for (gint i = 0; i < count; i++) {
        if (fds[i].events & (G_IO_IN | G_IO_PRI))
            cases[n++] = (th_case)TH_CASE_READABLE(fds[i].fd);
        if (fds[i].events & G_IO_OUT)
            cases[n++] = (th_case)TH_CASE_WRITABLE(fds[i].fd);
    }
    cases[n++] = (th_case)TH_CASE_TIME(ms < 0 ? TH_NEVER : th_after(ms * TH_MILLISECOND));
    int which = th_select(cases, n, 0);
    g_poll(fds, (guint)count, 0);
    return which < 0 ? which : 0;
}

/* One iteration, as g_main_context_iteration() does it, but that a fiber waits. */
static int iterate(GMainContext *context)
{
    GPollFD fds[FDS_MAX];
    gint priority = 0;
    gint ms = 0;
    g_main_context_prepare(context, &priority);
    gint count = g_main_context_query(context, priority, &ms, fds, FDS_MAX);
    if (count > FDS_MAX)
        return TH_ELIMIT;
    int err = wait_for_work(fds, count, ms);
    if (err == 0 && g_main_context_check(context, priority, fds, count))
        g_main_context_dispatch(context);
    return err;
}

static int run_loop(void *over)
{
    GMainContext *context = g_main_context_default();
    int err = 0;
    if (!g_main_context_acquire(context))
        return -EBUSY;
    while (err == 0 && !*(int *)over)
        err = iterate(context);
    g_main_context_release(context);
    return err;
}

static int hosting(void *arg)
{
    int over = 0;
    (void)arg;
    g_timeout_add(TICK_MS, on_tick, &over);
    return talk_beside(run_loop, &over);
}

int main(int argc, char **argv)
{
    return foreign_main(argc, argv, "GLib", hosted, hosting);
}
