/* SPDX-License-Identifier: MIT */

/*
 * Children by pidfd, and by threads where there is none.
 *
 * A pidfd is readable when its process has ended. Without one a thread of the child's own waits for
 * the end without reaping it, and then closes a pipe whose other end stands in for the pidfd. So
 * everybody waits for a descriptor, and nobody needs SIGCHLD, which is the program's.
 *
 * Orphans, children whose last reference is gone, are in a list that one thread looks after; it is
 * there as long as there are any.
 */
#include "sys/child.h"

#include "base/alloc.h"
#include "base/list.h"
#include "sys/sys.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

struct thi_child {
    pid_t pid;
    int fd;
    bool leads; /* a process group */
    atomic_int refs;
    pthread_mutex_t lock; /* of what follows */
    bool ended;
    thi_child_end end;
    thi_list orphan; /* in the list of orphans */
};

/* ---- the end ---- */

static void note_end(thi_child *child, int err, const siginfo_t *info)
{
    child->ended = true;
    if (err < 0) {
        child->end.how = THI_CHILD_UNKNOWN;
        return;
    }
    child->end.how = info->si_code == CLD_EXITED ? THI_CHILD_EXITED : THI_CHILD_KILLED;
    child->end.code = info->si_status;
    child->end.core = info->si_code == CLD_DUMPED;
}

static void look(thi_child *child)
{
    siginfo_t info = { 0 };
    int err = thi_sys_waitid(child->pid, &info, WEXITED | WNOHANG, &child->end.usage);
    if (err == -ECHILD || (err == 0 && info.si_pid == child->pid))
        note_end(child, err, &info);
}

bool thi_child_ended(thi_child *child, thi_child_end *end)
{
    pthread_mutex_lock(&child->lock);
    if (!child->ended)
        look(child);
    bool ended = child->ended;
    if (ended && end)
        *end = child->end;
    pthread_mutex_unlock(&child->lock);
    return ended;
}

/* A stop is told once to each who asks with WNOWAIT or without; and a continuation takes it back.
 */
bool thi_child_stopped(const thi_child *child)
{
    siginfo_t info = { 0 };
    struct rusage unused;
    int err = thi_sys_waitid(child->pid, &info, WSTOPPED | WNOHANG | WNOWAIT, &unused);
    return err == 0 && info.si_pid == child->pid && info.si_code == CLD_STOPPED;
}

int thi_child_signal(thi_child *child, int signo, bool group)
{
    pthread_mutex_lock(&child->lock);
    if (!child->ended)
        look(child);
    int err = child->ended ? -ESRCH
                           : thi_sys_kill(group && child->leads ? -child->pid : child->pid, signo);
    pthread_mutex_unlock(&child->lock);
    return err;
}

pid_t thi_child_pid(const thi_child *child)
{
    return child->pid;
}

int thi_child_fd(const thi_child *child)
{
    return child->fd;
}

/* ---- without a pidfd ---- */

typedef struct watcher {
    pid_t pid;
    int fd; /* to be closed */
} watcher;

static void *watch(void *arg)
{
    watcher w = *(watcher *)arg;
    siginfo_t info;
    struct rusage unused;
    thi_free(arg);
    while (thi_sys_waitid(w.pid, &info, WEXITED | WNOWAIT, &unused) == -EINTR)
        ;
    (void)thi_sys_close(w.fd);
    return NULL;
}

static int start_watcher(pid_t pid, int fd)
{
    pthread_t thread;
    watcher *w = thi_alloc(sizeof *w);
    if (!w)
        return -ENOMEM;
    *w = (watcher){ .pid = pid, .fd = fd };
    int err = thi_sys_thread(&thread, 0, watch, w);
    if (err < 0)
        thi_free(w);
    else
        (void)pthread_detach(thread);
    return err;
}

static int stand_in(pid_t pid)
{
    int fds[2];
    int err = thi_sys_pipe(fds);
    if (err < 0)
        return err;
    err = start_watcher(pid, fds[1]);
    if (err == 0)
        return fds[0];
    (void)thi_sys_close(fds[0]);
    (void)thi_sys_close(fds[1]);
    return err;
}

/* ---- orphans ---- */

#define AT_ONCE   63                       /* that are waited for at the same time */
#define ROUND_MAX (100 * INT64_C(1000000)) /* until the others have their turn, ns */

static pthread_mutex_t orphans_lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows */
static thi_list orphans = { &orphans, &orphans };
static bool has_thread;
static int alarm_fd; /* an eventfd, readable when there is a new one */

static void free_child(thi_child *child)
{
    (void)thi_sys_close(child->fd);
    (void)pthread_mutex_destroy(&child->lock);
    thi_free(child);
}

/* Moves what is left to the end, so that each has its turn; gives how many are in *fds. */
static size_t look_at_orphans(struct pollfd *fds)
{
    size_t count = 0;
    size_t seen = 0;
    thi_list *last = thi_list_last(&orphans);
    thi_list *node;
    while ((node = thi_list_pop_front(&orphans))) {
        thi_child *child = thi_list_item(node, thi_child, orphan);
        bool is_last = node == last;
        if (thi_child_ended(child, NULL)) {
            free_child(child);
        } else {
            thi_list_push_back(&orphans, node);
            if (seen++ < AT_ONCE)
                fds[count++] = (struct pollfd){ .fd = child->fd, .events = POLLIN };
        }
        if (is_last)
            break;
    }
    return count;
}

static void *look_after_orphans(void *arg)
{
    struct pollfd fds[AT_ONCE + 1];
    uint64_t unused;
    (void)arg;
    for (;;) {
        pthread_mutex_lock(&orphans_lock);
        size_t count = look_at_orphans(fds);
        if (count == 0) {
            has_thread = false;
            (void)thi_sys_close(alarm_fd);
            pthread_mutex_unlock(&orphans_lock);
            return NULL;
        }
        fds[count] = (struct pollfd){ .fd = alarm_fd, .events = POLLIN };
        pthread_mutex_unlock(&orphans_lock);
        (void)thi_sys_poll(fds, count + 1, count == AT_ONCE ? ROUND_MAX : -1);
        (void)thi_sys_read(fds[count].fd, &unused, sizeof unused);
    }
}

/* With the lock. */
static int start_thread(void)
{
    pthread_t thread;
    alarm_fd = thi_sys_eventfd();
    if (alarm_fd < 0)
        return alarm_fd;
    int err = thi_sys_thread(&thread, 0, look_after_orphans, NULL);
    if (err < 0) {
        (void)thi_sys_close(alarm_fd);
        return err;
    }
    (void)pthread_detach(thread);
    has_thread = true;
    return 0;
}

/* Where there can be no thread, the child ends here and now: better dead than undead. */
static void orphan(thi_child *child)
{
    uint64_t one = 1;
    pthread_mutex_lock(&orphans_lock);
    int err = has_thread ? 0 : start_thread();
    if (err == 0) {
        thi_list_push_back(&orphans, &child->orphan);
        (void)thi_sys_write(alarm_fd, &one, sizeof one);
    }
    pthread_mutex_unlock(&orphans_lock);
    if (err == 0)
        return;
    siginfo_t info;
    (void)thi_child_signal(child, SIGKILL, true);
    if (!child->ended)
        (void)thi_sys_waitid(child->pid, &info, WEXITED, &child->end.usage);
    free_child(child);
}

/* ---- making one ---- */

int thi_child_start(const thi_spawn_plan *plan, thi_child **out, thi_spawn_step *step)
{
    thi_spawned spawned = { .fd = -1 };
    thi_child *child = thi_calloc(1, sizeof *child);
    *step = THI_SPAWN_BEGIN;
    if (!child)
        return -ENOMEM;
    int err = thi_sys_spawn(plan, &spawned);
    if (err < 0) {
        *step = spawned.step;
        thi_free(child);
        return err;
    }
    child->pid = spawned.pid;
    child->fd = spawned.fd >= 0 ? spawned.fd : stand_in(spawned.pid);
    child->leads = plan->new_session || plan->new_group;
    atomic_init(&child->refs, 1);
    if (child->fd < 0) {
        err = child->fd;
        siginfo_t info;
        (void)thi_sys_kill(child->pid, SIGKILL);
        (void)thi_sys_waitid(child->pid, &info, WEXITED, &child->end.usage);
        thi_free(child);
        return err;
    }
    (void)pthread_mutex_init(&child->lock, NULL);
    *out = child;
    return 0;
}

thi_child *thi_child_ref(thi_child *child)
{
    atomic_fetch_add(&child->refs, 1);
    return child;
}

void thi_child_unref(thi_child *child)
{
    if (!child || atomic_fetch_sub(&child->refs, 1) != 1)
        return;
    if (thi_child_ended(child, NULL))
        free_child(child);
    else
        orphan(child);
}
