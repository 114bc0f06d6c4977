/* SPDX-License-Identifier: MIT */

/*
 * A foreign library that has many descriptors: several transfers at once by libcurl's "multi
 * socket" interface. libcurl says which sockets it wants to be watched, in which directions, and
 * when it wants to be called for lack of time; a fiber for each socket and one for the clock do
 * that. Everything that belongs to one multi handle lives on one worker.
 */
#include <thrum.h>

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* A socket that libcurl has told us about, and the fiber that watches it: whoever of the two is
 * done last frees it. */
typedef struct watch {
    curl_socket_t fd;
    unsigned dirs;   /* 0: libcurl is done with it */
    unsigned change; /* how often that has changed */
    int watched;     /* the fiber is not done with it */
} watch;

static CURLM *multi;
static th_scope transfers;
static th_event alarm_changed = TH_EVENT_AUTO_INIT;
static int64_t alarm_time = TH_NEVER;
static th_event all_done = TH_EVENT_INIT;
static int running;

static int check(CURLMcode code)
{
    if (code == CURLM_OK)
        return 0;
    fprintf(stderr, "curl_multi: %s\n", curl_multi_strerror(code));
    return TH_EPROTO;
}

static int act(curl_socket_t fd, int what)
{
    int err = check(curl_multi_socket_action(multi, fd, what, &running));
    if (running == 0 || err < 0)
        th_event_set(&all_done);
    return err;
}

static int flags_of(unsigned ready)
{
    return (ready & TH_FD_READ ? CURL_CSELECT_IN : 0) |
           (ready & TH_FD_WRITE ? CURL_CSELECT_OUT : 0) |
           (ready & TH_FD_HANGUP ? CURL_CSELECT_ERR : 0);
}

/* When libcurl changes its mind the wait is ended by th_fd_closing(), and begins anew. */
static int watch_socket(void *arg)
{
    watch *w = arg;
    int err = 0;
    while (err == 0 && w->dirs) {
        unsigned ready = 0;
        unsigned change = w->change;
        err = th_wait_fd(w->fd, w->dirs, &ready);
        if (err == 0 && change == w->change)
            err = act(w->fd, flags_of(ready));
        else if (err == -ECANCELED && change != w->change)
            err = th_check();
    }
    w->watched = 0;
    if (!w->dirs)
        free(w);
    return err;
}

static unsigned dirs_of(int what)
{
    switch (what) {
    case CURL_POLL_IN:
        return TH_FD_READ;
    case CURL_POLL_OUT:
        return TH_FD_WRITE;
    case CURL_POLL_INOUT:
        return TH_FD_READ | TH_FD_WRITE;
    default:
        return 0;
    }
}

/* libcurl's call: from now on this is to be watched for. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
    watch *w = of_socket;
    (void)easy;
    (void)arg;
    if (!w) {
        w = calloc(1, sizeof *w);
        if (!w)
            return -1;
        *w = (watch){ .fd = fd, .dirs = dirs_of(what), .watched = 1 };
        if (th_spawn(&transfers, watch_socket, w) == 0)
            return curl_multi_assign(multi, fd, w) == CURLM_OK ? 0 : -1;
        free(w);
        return -1;
    }
    w->dirs = dirs_of(what);
    w->change++;
    if (w->watched)
        th_fd_closing(fd);
    else if (!w->dirs) /* its fiber was cancelled before */
        free(w);
    return 0;
}

/* libcurl's call: it wants to be called at this time, whatever happens. */
static int on_timer(CURLM *of, long ms, void *arg)
{
    (void)of;
    (void)arg;
    alarm_time = ms < 0 ? TH_NEVER : th_after(ms * TH_MILLISECOND);
    th_event_set(&alarm_changed);
    return 0;
}

static int watch_clock(void *arg)
{
    enum { CHANGED, DUE, DONE };
    (void)arg;
    for (;;) {
        th_case cases[] = { TH_CASE_EVENT(&alarm_changed), TH_CASE_TIME(alarm_time),
                            TH_CASE_EVENT(&all_done) };
        int happened = th_select(cases, 3, 0);
        if (happened == DONE || happened < 0)
            return happened < 0 ? happened : 0;
        if (happened == DUE) {
            alarm_time = TH_NEVER;
            int err = act(CURL_SOCKET_TIMEOUT, 0);
            if (err < 0)
                return err;
        }
    }
}

static size_t count(char *bytes, size_t size, size_t n, void *arg)
{
    (void)bytes;
    *(size_t *)arg += size * n;
    return size * n;
}

/* One line for each transfer, in the order of the command line. */
static int report(CURL *easy, size_t bytes)
{
    char *url = NULL;
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    printf("%ld %zu %s\n", status, bytes, url ? url : "?");
    return status == 200 ? 0 : 1;
}

static int transfer(int count_of, char **urls)
{
    CURL *easies[64];
    size_t bytes[64] = { 0 };
    int worst = 0;
    int n = count_of < 64 ? count_of : 64;
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
    int err = th_scope_open(
        &transfers, &(th_scope_opts){ .deadline = th_after(30 * TH_SECOND), .cancel_rest = 1 });
    if (err < 0)
        return err;
    for (int i = 0; i < n; i++) {
        easies[i] = curl_easy_init();
        curl_easy_setopt(easies[i], CURLOPT_URL, urls[i]);
        curl_easy_setopt(easies[i], CURLOPT_WRITEFUNCTION, count);
        curl_easy_setopt(easies[i], CURLOPT_WRITEDATA, &bytes[i]);
        curl_multi_add_handle(multi, easies[i]);
    }
    err = th_spawn(&transfers, watch_clock, NULL);
    if (err == 0)
        err = th_event_wait(&all_done);
    for (int i = 0; i < n; i++) {
        int bad = report(easies[i], bytes[i]);
        worst = bad > worst ? bad : worst;
        curl_multi_remove_handle(multi, easies[i]);
        curl_easy_cleanup(easies[i]);
    }
    curl_multi_cleanup(multi); /* and tells of each socket that it is done with it */
    int closed = th_scope_close(&transfers);
    return err < 0 ? err : closed < 0 ? closed : worst;
}

static int app(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: curl_multi URL...\n");
        return 2;
    }
    multi = curl_multi_init();
    return multi ? transfer(argc - 1, argv + 1) : -ENOMEM;
}

int main(int argc, char **argv)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return 1;
    int status = th_main(app, argc, argv, &(th_run_opts){ .workers = 1 });
    curl_global_cleanup();
    return status;
}
