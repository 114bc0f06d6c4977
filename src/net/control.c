/* SPDX-License-Identifier: MIT */

/*
 * The control socket and its thread.
 *
 * The thread waits for a client, one at a time, for its line, and then for bytes that are captured,
 * which it looks for every few milliseconds: so those who tap them need not wake anybody. It is the
 * only one that ever waits for the client.
 *
 * Whoever may open a socket of this name is decided by nobody, so each side looks who the other is:
 * here, that the client is of our user or root's.
 */
#include "net/control.h"

#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "net/addr.h"
#include "net/capture.h"
#include "runtime/outside.h"
#include "runtime/run.h"
#include "sys/sys.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK      (5 * INT64_C(1000000))    /* between two looks at the rings, ns */
#define PATIENCE  (5 * INT64_C(1000000000)) /* that a client has for its line, ns */
#define LINE_SIZE 256

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool open_;   /* under the lock */
static int listener; /* while it is open */
static int stopper;  /* an eventfd, readable when the thread is to end */
static pthread_t thread;
static thi_helpers helpers;

static bool at_rest(thi_helpers *which, unsigned *threads)
{
    (void)which;
    *threads = 1;
    return true;
}

/* ---- a client -------------------------------------------------------------------------------- */

/* Waits for a descriptor, or the end. 1: it is ready; 0: the time is up; -ECANCELED, or an error.
 */
static int wait_for(int fd, short events, int64_t span)
{
    struct pollfd both[] = { { .fd = stopper, .events = POLLIN }, { .fd = fd, .events = events } };
    int n;
    do
        n = thi_sys_poll(both, 2, span);
    while (n == -EINTR);
    if (n < 0)
        return n;
    if (both[0].revents)
        return -ECANCELED;
    return both[1].revents != 0;
}

static int send_all(void *arg, const void *bytes, size_t size)
{
    int fd = *(int *)arg;
    const char *at = bytes;
    while (size > 0) {
        ssize_t n = thi_sys_send(fd, at, size, MSG_NOSIGNAL);
        if (n == -EAGAIN) {
            int ready = wait_for(fd, POLLOUT, -1);
            if (ready < 0)
                return ready;
            continue;
        }
        if (n < 0)
            return (int)n;
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

static int send_text(int fd, const char *text)
{
    return send_all(&fd, text, strlen(text));
}

enum { STRANGER, ROOT, OUR_USER };

/* To whom the other end belongs. */
static int who_is(int fd)
{
    struct ucred who;
    socklen_t len = sizeof who;
    if (thi_sys_getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
        return STRANGER;
    return who.uid == geteuid() ? OUR_USER : who.uid == 0 ? ROOT : STRANGER;
}

static int read_line(int fd, char line[LINE_SIZE])
{
    size_t len = 0;
    while (len < LINE_SIZE - 1) {
        ssize_t n = thi_sys_recv(fd, line + len, 1, 0);
        if (n == -EAGAIN) {
            int ready = wait_for(fd, POLLIN, PATIENCE);
            if (ready <= 0)
                return ready < 0 ? ready : -ETIMEDOUT;
            continue;
        }
        if (n <= 0)
            return n < 0 ? (int)n : TH_EOF;
        if (line[len] == '\n') {
            line[len] = '\0';
            return 0;
        }
        len++;
    }
    return -EMSGSIZE;
}

/* Tells how much was lost, when it has become more. */
static int tell_lost(int fd, uint64_t *told)
{
    uint64_t lost = thi_capture_lost();
    th_capture_record record = { .kind = TH_CAPTURE_LOST, .wall = thi_sys_wall(), .offset = lost };
    if (lost == *told)
        return 0;
    *told = lost;
    return send_all(&fd, &record, sizeof record);
}

/* Until the client has enough, which is seen by its end of the connection: it gets what is there,
 * and the process ends the other one. */
static void hand_on(int fd)
{
    uint64_t told = 0;
    bool enough = false;
    for (;;) {
        ptrdiff_t n = thi_capture_drain(send_all, &fd);
        if (n < 0 || tell_lost(fd, &told) < 0)
            return;
        if (enough)
            return;
        int ready = wait_for(fd, POLLIN, n > 0 ? 0 : LOOK);
        if (ready < 0)
            return;
        enough = ready > 0;
    }
}

/* Begins what a line asks for: NULL, or the answer that says why not. */
static const char *begin(const char *line, int who)
{
    static const char wire[] = "capture ";
    static const char inside[] = "plaintext ";
    bool is_inside = strncmp(line, inside, sizeof inside - 1) == 0;
    if (!is_inside && strncmp(line, wire, sizeof wire - 1) != 0)
        return "error: this process knows no such request\n";
    if (is_inside && who != OUR_USER)
        return "error: what is inside of TLS is shown to the process's own user alone\n";
    const char *what = line + (is_inside ? sizeof inside : sizeof wire) - 1;
    return thi_capture_begin(what, is_inside) < 0 ? "error: that names no connection\n" : NULL;
}

static void serve(int fd)
{
    char line[LINE_SIZE];
    int who = who_is(fd);
    if (who == STRANGER) { /* who does not get to hold up the thread either */
        (void)send_text(fd, "error: the process belongs to another user\n");
        return;
    }
    int err = read_line(fd, line);
    if (err < 0)
        return;
    const char *refusal = begin(line, who);
    if (refusal) {
        (void)send_text(fd, refusal);
        return;
    }
    if (send_text(fd, "ok\n") == 0)
        hand_on(fd);
    thi_capture_finish();
}

static void *serve_all(void *arg)
{
    (void)arg;
    (void)pthread_setname_np(pthread_self(), "thrum control");
    for (;;) {
        int ready = wait_for(listener, POLLIN, -1);
        if (ready < 0)
            return NULL;
        int fd = thi_sys_accept(listener, NULL, NULL);
        if (fd < 0) {
            if (fd != -EAGAIN && wait_for(-1, 0, 100 * LOOK) < 0) /* no descriptors, perhaps */
                return NULL;
            continue;
        }
        serve(fd);
        thi_sys_close(fd);
    }
}

/* ---- open and close -------------------------------------------------------------------------- */

static int make_listener(void)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    int len = snprintf(sa.sun_path + 1, sizeof sa.sun_path - 1, TH_CONTROL_NAME, (int)getpid());
    int fd = thi_sys_socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        return fd;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
    int err = thi_sys_bind(fd, (struct sockaddr *)&sa, size);
    if (err == 0)
        err = thi_sys_listen(fd, 4);
    if (err < 0) {
        thi_sys_close(fd);
        return err;
    }
    return fd;
}

/* Under the lock. */
static int open_control(void)
{
    if (open_)
        return -EALREADY;
    listener = make_listener();
    if (listener < 0)
        return listener;
    stopper = thi_sys_eventfd();
    int err = stopper < 0 ? stopper : thi_sys_thread(&thread, 0, serve_all, NULL);
    if (err < 0) {
        if (stopper >= 0)
            thi_sys_close(stopper);
        thi_sys_close(listener);
        return err;
    }
    helpers.at_rest = at_rest;
    thi_helpers_add(&helpers);
    open_ = true;
    return 0;
}

int th_control_start(void)
{
    pthread_mutex_lock(&lock);
    int err = open_control();
    pthread_mutex_unlock(&lock);
    return (int)thi_err_plain(err);
}

int th_control_stop(void)
{
    uint64_t one = 1;
    pthread_mutex_lock(&lock);
    bool was = open_;
    if (was) {
        (void)thi_sys_write(stopper, &one, sizeof one);
        (void)pthread_join(thread, NULL);
        thi_helpers_remove(&helpers);
        thi_sys_close(stopper);
        thi_sys_close(listener);
        open_ = false;
    }
    pthread_mutex_unlock(&lock);
    return (int)thi_err_plain(was ? 0 : -EALREADY);
}

/* ---- by the environment ---------------------------------------------------------------------- */

static void on_run_began(void)
{
    const char *wanted = getenv("THRUM_CONTROL");
    if (!wanted || strcmp(wanted, "1") != 0)
        return;
    int err = th_control_start();
    if (err < 0 && err != -EALREADY)
        thi_log(TH_LOG_WARNING, "there is no control socket: %s", th_strerror(err));
}

/* Before main(): a program that has this part of the library has it from its first run on. */
__attribute__((constructor)) static void listen_to_runs(void)
{
    atomic_store(&thi_run_began, on_run_began);
}

void thi_control_is_there(void) {}
