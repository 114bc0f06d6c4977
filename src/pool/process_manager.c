/* SPDX-License-Identifier: MIT */

/*
 * The manager of a process pool: one thread that starts workers, hands them jobs, and buries them.
 *
 * All that is known of workers is the manager's own and needs no lock. Per turn it gives waiting
 * jobs to idle workers, starts workers that are missing, sleeps until a socket or a child has
 * something to say or a time is up, and deals with that. It never waits for a worker: its ends of
 * the sockets do not block, a job is sent to an idle worker only, whose socket has room for it, and
 * a packet comes whole or not at all.
 *
 * A worker is dead when its process has ended, and only then its job is decided. Whatever looks
 * like death before that makes it one: an answer that makes no sense, a socket that is closed, a
 * time that is up, a process that has been stopped too long, all end in SIGKILL. An answer that the
 * worker has sent before it died counts.
 *
 * A worker that is no longer needed is told by the end of its socket. If it has not ended a second
 * later it is killed.
 */
#include "pool/process_pool.h"

#include "base/alloc.h"
#include "base/util.h"
#include "sys/child.h"
#include "sys/sys.h"

#include <thrum/error.h>
#include <thrum/time.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEAVING_TIME (TH_SECOND)            /* that a worker has to end by itself */
#define LOOK_TIME    (100 * TH_MILLISECOND) /* between looks at workers that may be stopped */
#define START_AGAIN  (200 * TH_MILLISECOND) /* after one that could not be started */

typedef enum phase { IDLE, BUSY, LEAVING } phase;

/* Why a worker was killed by us. */
typedef enum reason { NONE, LATE, STOPPED, NONSENSE, TOO_MUCH, ABORTED } reason;

typedef struct worker {
    thi_child *child;
    int socket; /* -1 once it is leaving */
    phase phase;
    reason verdict;
    th_procs_job *job;
    unsigned jobs;   /* done */
    int64_t born;    /* times of the clock, as are those that follow */
    int64_t since;   /* it is in this phase */
    int64_t stopped; /* it has been seen stopped; 0: it is not */
    bool killed;
} worker;

typedef struct manager {
    th_procs *pool;
    worker *workers;
    unsigned count;
    struct pollfd *polled; /* the pool's eventfd, then socket and child of each worker */
    int64_t now;
    int64_t start_after; /* no worker is started before */
    int state;           /* of the pool, as last seen */
    uint64_t last_id;
} manager;

/* ---- what the pool counts ---- */

static void count(manager *m, uint64_t *what, int by)
{
    pthread_mutex_lock(&m->pool->lock);
    *what += (uint64_t)(int64_t)by;
    pthread_mutex_unlock(&m->pool->lock);
}

static void tell_counts(manager *m)
{
    uint64_t idle = 0;
    uint64_t running = 0;
    for (unsigned i = 0; i < m->count; i++) {
        idle += m->workers[i].phase == IDLE;
        running += m->workers[i].job != NULL;
    }
    pthread_mutex_lock(&m->pool->lock);
    m->pool->stats.workers = m->count;
    m->pool->stats.idle = idle;
    m->pool->stats.running = running;
    m->state = m->pool->state;
    pthread_mutex_unlock(&m->pool->lock);
}

/* ---- jobs ---- */

static th_procs_job *take_job(manager *m)
{
    th_procs *pool = m->pool;
    pthread_mutex_lock(&pool->lock);
    thi_list *node = thi_list_pop_front(&pool->queue);
    th_procs_job *job = node ? thi_list_item(node, th_procs_job, link) : NULL;
    bool had_place = job && job->has_place;
    if (job) {
        job->queued = job->has_place = false;
        pool->stats.queued--;
        thi_future_begin(&job->future);
    }
    pthread_mutex_unlock(&pool->lock);
    if (had_place)
        (void)th_sem_release(&pool->room, 1);
    return job;
}

/* First of all, because it has waited already; without a place, which it has given back. */
static void put_back(manager *m, th_procs_job *job)
{
    pthread_mutex_lock(&m->pool->lock);
    job->queued = true;
    thi_list_push_front(&m->pool->queue, &job->link);
    m->pool->stats.queued++;
    m->pool->stats.retried++;
    pthread_mutex_unlock(&m->pool->lock);
}

static void fail_job(manager *m, th_procs_job *job, int result, uint64_t *counter)
{
    count(m, counter, 1);
    thi_procs_complete(job, result);
}

static void describe_end(th_procs_job *job, const worker *w, const thi_child_end *end)
{
    static const char *const why[] = {
        [LATE] = ": it took too long",         [STOPPED] = ": it had been stopped",
        [NONSENSE] = ": it answered nonsense", [TOO_MUCH] = ": it gave more than it may",
        [ABORTED] = ": the pool was stopped",
    };
    int pid = thi_child_pid(w->child);
    const char *because = w->verdict != NONE ? why[w->verdict] : "";
    if (end->how == THI_CHILD_EXITED)
        snprintf(job->detail, sizeof job->detail, "worker %d ended with exit code %d%s", pid,
                 end->code, because);
    else if (end->how == THI_CHILD_KILLED)
        snprintf(job->detail, sizeof job->detail, "worker %d was killed by signal %d (%s)%s", pid,
                 end->code, sigabbrev_np(end->code) ? sigabbrev_np(end->code) : "?", because);
    else
        snprintf(job->detail, sizeof job->detail, "worker %d is gone%s", pid, because);
}

/* The worker of a job has died. */
static void decide(manager *m, worker *w, const thi_child_end *end)
{
    th_procs_stats *stats = &m->pool->stats;
    th_procs_job *job = w->job;
    w->job = NULL;
    describe_end(job, w, end);
    if (m->state == THI_PROCS_ABORTS || w->verdict == ABORTED)
        fail_job(m, job, -ECANCELED, &stats->cancelled);
    else if (w->verdict == LATE)
        fail_job(m, job, -ETIMEDOUT, &stats->timed_out);
    else if (w->verdict == TOO_MUCH)
        fail_job(m, job, TH_ELIMIT, &stats->failed);
    else if (job->tries_left == 0)
        fail_job(m, job, TH_EWORKER, &stats->failed);
    else {
        job->tries_left--;
        put_back(m, job);
    }
}

/* ---- workers ---- */

static void kill_worker(worker *w, reason verdict)
{
    if (w->killed)
        return;
    w->killed = true;
    w->verdict = verdict;
    (void)thi_child_signal(w->child, SIGKILL, true);
}

static void let_leave(manager *m, worker *w)
{
    if (w->socket >= 0)
        (void)thi_sys_close(w->socket);
    w->socket = -1;
    w->phase = LEAVING;
    w->since = m->now;
}

/* This process's environment with one variable more, in one block. */
static char **make_env(const th_procs *pool, char *variable, size_t size)
{
    size_t n = 0;
    size_t kept = 0;
    size_t len = strlen(THI_WIRE_VARIABLE);
    snprintf(variable, size, "%s=%zu", THI_WIRE_VARIABLE, pool->opts.shared_min);
    while (environ && environ[n])
        n++;
    char **env = thi_alloc((n + 2) * sizeof *env);
    for (size_t i = 0; env && i < n; i++)
        if (strncmp(environ[i], THI_WIRE_VARIABLE, len) != 0 || environ[i][len] != '=')
            env[kept++] = environ[i];
    if (env) {
        env[kept] = variable;
        env[kept + 1] = NULL;
    }
    return env;
}

/* Where this process has no such descriptor, the worker's leads nowhere. */
static int inherited(int fd, int null)
{
    return thi_sys_fcntl(fd, F_GETFD, 0) < 0 ? null : fd;
}

static int start_child(th_procs *pool, int socket, int null, thi_child **child)
{
    char variable[64];
    int moved[4];
    thi_spawn_step step;
    const thi_spawn_fd fds[] = {
        { null, 0 }, { inherited(1, null), 1 }, { inherited(2, null), 2 }, { socket, THI_WIRE_FD }
    };
    char **paths = thi_spawn_find(pool->argv[0]);
    char **env = make_env(pool, variable, sizeof variable);
    int err = -ENOMEM;
    if (env && paths) {
        thi_spawn_plan plan = { .paths = paths, .argv = pool->argv, .env = env, .fds = fds };
        plan.moved = moved;
        plan.fd_count = thi_array_len(fds);
        plan.terminal = -1;
        plan.new_group = true; /* a Ctrl-C is for the program, which stops its workers itself */
        err = thi_child_start(&plan, child, &step);
    }
    thi_free(env);
    thi_free(paths);
    return err;
}

/* The worker's end of the socket blocks; the null device is its standard input. */
static int start_on_socket(th_procs *pool, int sockets[2], thi_child **child)
{
    int err = thi_sys_fcntl(sockets[1], F_SETFL, O_RDWR);
    int null = err < 0 ? err : thi_sys_openat(AT_FDCWD, "/dev/null", O_RDONLY, 0);
    if (null < 0)
        return null;
    err = start_child(pool, sockets[1], null, child);
    (void)thi_sys_close(null);
    return err;
}

static int start_worker(manager *m)
{
    int sockets[2];
    worker *w = &m->workers[m->count];
    *w = (worker){ .phase = IDLE, .born = m->now, .since = m->now };
    int err = thi_sys_socketpair(AF_UNIX, SOCK_SEQPACKET, sockets);
    if (err < 0)
        return err;
    err = start_on_socket(m->pool, sockets, &w->child);
    (void)thi_sys_close(sockets[1]);
    if (err < 0) {
        (void)thi_sys_close(sockets[0]);
        return err;
    }
    w->socket = sockets[0];
    m->count++;
    count(m, &m->pool->stats.started, 1);
    return 0;
}

/* What cannot be sent for a reason of the worker's is decided when that has died. */
static void send_job(manager *m, worker *w, th_procs_job *job)
{
    thi_wire_packet packet;
    thi_wire_init(&packet, THI_WIRE_JOB, ++m->last_id);
    thi_wire_set_text(&packet, job->name);
    packet.head.size = job->in_size;
    packet.head.shared = job->in_fd >= 0;
    packet.data = job->in;
    packet.fd = job->in_fd;
    job->output.head.id = m->last_id;
    w->job = job;
    w->phase = BUSY;
    w->since = m->now;
    w->stopped = 0;
    if (thi_wire_send(w->socket, &packet) < 0)
        kill_worker(w, NONE);
}

static worker *find_idle(manager *m)
{
    for (unsigned i = 0; i < m->count; i++)
        if (m->workers[i].phase == IDLE && !m->workers[i].killed)
            return &m->workers[i];
    return NULL;
}

static bool has_jobs(manager *m)
{
    pthread_mutex_lock(&m->pool->lock);
    bool has = !thi_list_empty(&m->pool->queue);
    pthread_mutex_unlock(&m->pool->lock);
    return has;
}

/* While none can be started, jobs wait for those that there are; without any, the first job is
 * told.
 */
static worker *find_or_start(manager *m)
{
    worker *w = find_idle(m);
    if (w || m->count == m->pool->opts.workers_max || (m->count > 0 && m->now < m->start_after))
        return w;
    int err = start_worker(m);
    if (err == 0)
        return &m->workers[m->count - 1];
    m->start_after = m->now + START_AGAIN;
    if (m->count > 0)
        return NULL;
    m->start_after = 0;
    th_procs_job *job = take_job(m);
    if (job) {
        snprintf(job->detail, sizeof job->detail, "cannot start '%s'", m->pool->argv[0]);
        fail_job(m, job, err, &m->pool->stats.failed);
    }
    return NULL;
}

static void hand_out_jobs(manager *m)
{
    while (has_jobs(m)) {
        worker *w = find_or_start(m);
        if (!w && m->count > 0)
            return;
        th_procs_job *job = w ? take_job(m) : NULL;
        if (job)
            send_job(m, w, job);
    }
}

/* ---- what workers say ---- */

static size_t memory_of(pid_t pid)
{
    char path[48];
    char text[128];
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    int fd = thi_sys_openat(AT_FDCWD, path, O_RDONLY, 0);
    if (fd < 0)
        return 0;
    ssize_t n = thi_sys_read(fd, text, sizeof text - 1);
    (void)thi_sys_close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *second = strchr(text, ' ');
    return second ? strtoul(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

static bool is_used_up(manager *m, const worker *w)
{
    const th_procs_opts *o = &m->pool->opts;
    return (o->jobs_max > 0 && w->jobs >= o->jobs_max) ||
           (o->age_max > 0 && m->now - w->born >= o->age_max) ||
           (o->memory_max > 0 && memory_of(thi_child_pid(w->child)) > o->memory_max);
}

static void recycle(manager *m, worker *w)
{
    count(m, &m->pool->stats.recycled, 1);
    let_leave(m, w);
}

static void take_result(manager *m, worker *w, const thi_wire_packet *packet)
{
    th_procs_job *job = w->job;
    w->job = NULL;
    w->jobs++;
    w->phase = IDLE;
    w->since = m->now;
    job->output = *packet;
    memcpy(job->detail, packet->text, sizeof job->detail);
    count(m, &m->pool->stats.done, 1);
    thi_procs_complete(job, packet->head.result);
}

/* A worker that says something without being asked, or something else, is not to be trusted. */
static void hear(manager *m, worker *w)
{
    thi_wire_packet packet;
    int got = thi_wire_receive(w->socket, THI_WIRE_RESULT, m->pool->opts.output_max, &packet);
    if (got == -EAGAIN || got == -ENOMEM)
        return;
    if (got > 0 && w->job && packet.head.id == w->job->output.head.id) {
        take_result(m, w, &packet);
        if (!w->killed && is_used_up(m, w))
            recycle(m, w);
        return;
    }
    if (got > 0)
        thi_wire_free(&packet);
    bool ended = got == 0 || got == -ECONNRESET;
    kill_worker(w, got == -EFBIG ? TOO_MUCH : ended ? NONE : NONSENSE);
    (void)thi_sys_close(w->socket);
    w->socket = -1;
}

/* True when it is gone; it has said before what it had to say. */
static bool bury(manager *m, worker *w)
{
    thi_child_end end;
    if (!thi_child_ended(w->child, &end))
        return false;
    if (w->socket >= 0 && w->job)
        hear(m, w);
    if (w->phase != LEAVING)
        count(m, &m->pool->stats.died, 1);
    if (w->job)
        decide(m, w, &end);
    if (w->socket >= 0)
        (void)thi_sys_close(w->socket);
    thi_child_unref(w->child);
    return true;
}

static void bury_all(manager *m)
{
    for (unsigned i = m->count; i-- > 0;)
        if (bury(m, &m->workers[i]))
            m->workers[i] = m->workers[--m->count];
}

/* ---- time ---- */

/* Until then; or for ever. */
static void note_time(int64_t *next, int64_t time)
{
    *next = thi_min(*next, time);
}

static void look_whether_stopped(manager *m, worker *w, int64_t *next)
{
    if (!thi_child_stopped(w->child)) {
        w->stopped = 0;
    } else if (w->stopped == 0) {
        w->stopped = m->now;
    } else if (m->now - w->stopped >= m->pool->opts.stopped_time) {
        kill_worker(w, STOPPED);
        return;
    }
    note_time(next, m->now + thi_min((int64_t)LOOK_TIME, m->pool->opts.stopped_time));
}

static void look_at_busy(manager *m, worker *w, int64_t *next)
{
    if (w->job->time > 0 && m->now - w->since >= w->job->time) {
        kill_worker(w, LATE);
        return;
    }
    if (w->job->time > 0)
        note_time(next, w->since + w->job->time);
    look_whether_stopped(m, w, next);
}

static void look_at_idle(manager *m, worker *w, unsigned others, int64_t *next)
{
    const th_procs_opts *o = &m->pool->opts;
    bool spare = m->state != THI_PROCS_RUNS || others >= o->workers_min;
    int64_t idle_time = m->state == THI_PROCS_RUNS ? o->idle_time : 0;
    if (o->age_max > 0 && m->now - w->born >= o->age_max)
        recycle(m, w);
    else if (spare && m->now - w->since >= idle_time)
        let_leave(m, w);
    if (w->phase != IDLE)
        return;
    if (spare)
        note_time(next, w->since + idle_time);
    if (o->age_max > 0)
        note_time(next, w->born + o->age_max);
}

static unsigned count_staying(const manager *m)
{
    unsigned staying = 0;
    for (unsigned i = 0; i < m->count; i++)
        staying += m->workers[i].phase != LEAVING;
    return staying;
}

/* What time has come for; when the next will. */
static int64_t look_at_times(manager *m)
{
    int64_t next = TH_NEVER;
    for (unsigned i = 0; i < m->count; i++) {
        worker *w = &m->workers[i];
        if (w->killed)
            continue;
        if (w->phase == BUSY && m->state == THI_PROCS_ABORTS)
            kill_worker(w, ABORTED);
        else if (w->phase == BUSY)
            look_at_busy(m, w, &next);
        else if (w->phase == IDLE)
            look_at_idle(m, w, count_staying(m) - 1, &next);
        if (w->phase != LEAVING || w->killed)
            continue;
        if (m->now - w->since >= LEAVING_TIME)
            kill_worker(w, NONE);
        else
            note_time(&next, w->since + LEAVING_TIME);
    }
    return has_jobs(m) && m->start_after > m->now ? thi_min(next, m->start_after) : next;
}

/* ---- the turn ---- */

static void drop_queue(manager *m)
{
    th_procs_job *job;
    while ((job = take_job(m)))
        fail_job(m, job, -ECANCELED, &m->pool->stats.cancelled);
}

/* As many as are to stay, once there was work. */
static void keep_minimum(manager *m)
{
    if (m->pool->stats.started == 0 || m->state != THI_PROCS_RUNS || m->now < m->start_after)
        return;
    while (count_staying(m) < m->pool->opts.workers_min && m->count < m->pool->opts.workers_max)
        if (start_worker(m) < 0) {
            m->start_after = m->now + START_AGAIN;
            return;
        }
}

static void sleep_until(manager *m, int64_t next)
{
    uint64_t unused;
    m->polled[0] = (struct pollfd){ .fd = m->pool->wake, .events = POLLIN };
    for (unsigned i = 0; i < m->count; i++) {
        m->polled[1 + 2 * i] = (struct pollfd){ .fd = m->workers[i].socket, .events = POLLIN };
        m->polled[2 + 2 * i] =
            (struct pollfd){ .fd = thi_child_fd(m->workers[i].child), .events = POLLIN };
    }
    int64_t timeout = next == TH_NEVER ? -1 : thi_max(next - thi_sys_clock(), (int64_t)0);
    if (thi_sys_poll(m->polled, 1 + 2 * (size_t)m->count, timeout) <= 0)
        return;
    (void)thi_sys_read(m->pool->wake, &unused, sizeof unused);
    m->now = thi_sys_clock();
    for (unsigned i = 0; i < m->count; i++)
        if (m->polled[1 + 2 * i].revents && m->workers[i].socket >= 0)
            hear(m, &m->workers[i]);
}

static void run(manager *m)
{
    for (;;) {
        m->now = thi_sys_clock();
        tell_counts(m);
        bury_all(m);
        if (m->state == THI_PROCS_ABORTS)
            drop_queue(m);
        hand_out_jobs(m);
        keep_minimum(m);
        int64_t next = look_at_times(m);
        tell_counts(m);
        if (m->state != THI_PROCS_RUNS && m->count == 0 && !has_jobs(m))
            return;
        sleep_until(m, next);
    }
}

/* Without memory for workers there are none, and each job is told so. */
static void refuse_all(manager *m)
{
    while (m->state == THI_PROCS_RUNS) {
        th_procs_job *job;
        while ((job = take_job(m)))
            fail_job(m, job, -ENOMEM, &m->pool->stats.failed);
        sleep_until(m, TH_NEVER);
        tell_counts(m);
    }
    drop_queue(m);
}

void *thi_procs_manage(void *arg)
{
    manager m = { .pool = arg };
    struct pollfd spare;
    unsigned max = m.pool->opts.workers_max;
    (void)pthread_setname_np(pthread_self(), "processes");
    m.workers = thi_calloc(max, sizeof *m.workers);
    m.polled = thi_calloc(1 + 2 * (size_t)max, sizeof *m.polled);
    if (m.workers && m.polled) {
        run(&m);
    } else {
        thi_free(m.polled);
        m.polled = &spare;
        refuse_all(&m);
        m.polled = NULL;
    }
    thi_free(m.workers);
    thi_free(m.polled);
    (void)th_event_set(&m.pool->end);
    return NULL;
}
