/* SPDX-License-Identifier: MIT */

/*
 * The access log: workers fill buffers, a thread writes them.
 *
 * Each worker has a buffer of its own behind a lock that only the writer ever contends for, and
 * only for as long as it takes to swap the buffer with an empty one. A descriptor that takes
 * nothing, a full disk or a stopped terminal, therefore blocks the writer alone; when a buffer is
 * full its lines are dropped and counted. The writer sleeps when there is nothing to do, and after
 * being woken waits a moment, so that a busy server wakes it a hundred times a second and not for
 * every line.
 *
 * Nor does such a descriptor keep the process from ending. Only poll(2) ever waits for it, and what
 * is written at a time is no more than a pipe takes that poll calls writable (PIPE_BUF, pipe(7)).
 * Making the descriptor non-blocking would be simpler, but whoever else has it open, a shell for
 * example, would find it so as well.
 */
#include <thrum/access_log.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/util.h"
#include "observe/access_line.h"
#include "runtime/worker.h"
#include "sys/sys.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define SHARDS      16
#define BUFFER_SIZE (256 * 1024)
#define GATHER_TIME (10 * TH_MILLISECOND)
#define PATIENCE    TH_SECOND /* with a descriptor that takes nothing when the log is to end */

/* What one worker (or several, where there are more workers than shards) has to say. */
typedef struct shard {
    pthread_mutex_t lock;
    char *filling; /* made with the first line */
    size_t len;
    char apart[THI_CACHE_LINE];
} shard;

struct th_access_log {
    int fd;
    th_access_log_format format;
    pthread_t writer;
    pthread_mutex_t lock; /* of the sleep of the writer */
    pthread_cond_t wanted;
    atomic_bool ends; /* set under the lock */
    atomic_bool asleep;
    atomic_uint_fast64_t dropped;
    uint64_t told; /* of the dropped ones, so far */
    bool given_up; /* the end is due, and nothing is taken */
    char *writing; /* the writer's own buffer, swapped with those of the shards */
    shard shards[SHARDS];
};

/* Waits until the descriptor takes something or has failed; at the end of the log not for long. */
static bool wait_for_room(th_access_log *log)
{
    struct pollfd p = { .fd = log->fd, .events = POLLOUT };
    while (!log->given_up && thi_sys_poll(&p, 1, PATIENCE) <= 0)
        log->given_up = atomic_load(&log->ends);
    return !log->given_up;
}

/* Returns how much was written. A failure is nobody's: the rest is lost and counted, the service
 * goes on. */
static size_t write_all(th_access_log *log, const char *at, size_t len)
{
    size_t done = 0;
    while (done < len && wait_for_room(log)) {
        ssize_t n = thi_sys_write(log->fd, at + done, thi_min(len - done, (size_t)PIPE_BUF));
        if (n < 0 && n != -EAGAIN)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
    return done;
}

static size_t count_lines(const char *at, size_t len)
{
    size_t lines = 0;
    for (const char *end = at + len; (at = memchr(at, '\n', (size_t)(end - at))); at++)
        lines++;
    return lines;
}

/* Takes the lines of a shard and writes them; whether there were any. */
static bool write_shard(th_access_log *log, shard *s)
{
    pthread_mutex_lock(&s->lock);
    char *lines = s->filling;
    size_t len = s->len;
    if (len > 0) {
        s->filling = log->writing;
        s->len = 0;
        log->writing = lines;
    }
    pthread_mutex_unlock(&s->lock);
    size_t done = len > 0 ? write_all(log, lines, len) : 0;
    if (done < len)
        atomic_fetch_add(&log->dropped, count_lines(lines + done, len - done));
    return len > 0;
}

static void tell_dropped(th_access_log *log)
{
    char text[80];
    uint64_t dropped = atomic_load(&log->dropped);
    if (dropped == log->told)
        return;
    uint64_t n = dropped - log->told;
    int len = log->format == TH_ACCESS_LOG_JSON
                  ? snprintf(text, sizeof text, "{\"dropped\":%llu}\n", (unsigned long long)n)
                  : snprintf(text, sizeof text, "# %llu lines dropped\n", (unsigned long long)n);
    if (write_all(log, text, (size_t)len) == (size_t)len)
        log->told = dropped;
}

static bool write_round(th_access_log *log)
{
    bool any = false;
    for (size_t i = 0; i < SHARDS; i++)
        any |= write_shard(log, &log->shards[i]);
    tell_dropped(log);
    return any;
}

/* Sleeps until somebody adds a line. Whoever does looks at `asleep` after adding, so one more look
 * at the shards is due after setting it. */
static bool wait_for_lines(th_access_log *log)
{
    pthread_mutex_lock(&log->lock);
    while (atomic_load(&log->asleep) && !atomic_load(&log->ends))
        pthread_cond_wait(&log->wanted, &log->lock);
    pthread_mutex_unlock(&log->lock);
    return !atomic_load(&log->ends);
}

static void *write_lines(void *arg)
{
    th_access_log *log = arg;
    sigset_t all; /* a reader that has gone must not end the process, nor other signals land here */
    sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
    do {
        (void)thi_sys_poll(NULL, 0, GATHER_TIME);
        while (write_round(log))
            (void)thi_sys_poll(NULL, 0, GATHER_TIME);
        thi_raise(&log->asleep);
        if (write_round(log))
            atomic_store(&log->asleep, false);
    } while (wait_for_lines(log));
    write_round(log);
    return NULL;
}

static void wake_writer(th_access_log *log)
{
    pthread_mutex_lock(&log->lock);
    pthread_cond_signal(&log->wanted);
    pthread_mutex_unlock(&log->lock);
}

void th_access_log_record(const th_http_record *record, void *arg)
{
    th_access_log *log = arg;
    shard *s = &log->shards[thi_worker_self ? thi_worker_self->index % SHARDS : 0];
    pthread_mutex_lock(&s->lock);
    if (!s->filling)
        s->filling = thi_alloc(BUFFER_SIZE);
    bool fits = s->filling && s->len + THI_ACCESS_LINE_MAX <= BUFFER_SIZE;
    if (fits)
        s->len += thi_access_line(record, log->format, s->filling + s->len);
    pthread_mutex_unlock(&s->lock);
    if (!fits)
        atomic_fetch_add(&log->dropped, 1);
    if (atomic_load(&log->asleep) && atomic_exchange(&log->asleep, false))
        wake_writer(log);
}

uint64_t th_access_log_dropped(const th_access_log *log)
{
    return atomic_load(&log->dropped);
}

static void free_log(th_access_log *log)
{
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_destroy(&log->shards[i].lock);
        thi_free(log->shards[i].filling);
    }
    pthread_mutex_destroy(&log->lock);
    pthread_cond_destroy(&log->wanted);
    thi_free(log->writing);
    thi_free(log);
}

int th_access_log_open(int fd, th_access_log_format format, th_access_log **out)
{
    if (fd < 0 || !out || (format != TH_ACCESS_LOG_COMMON && format != TH_ACCESS_LOG_JSON))
        return -EINVAL;
    th_access_log *log = thi_calloc(1, sizeof *log);
    if (!log)
        return -ENOMEM;
    log->fd = fd;
    log->format = format;
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->wanted, NULL);
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&log->shards[i].lock, NULL);
    log->writing = thi_alloc(BUFFER_SIZE);
    int err = log->writing ? pthread_create(&log->writer, NULL, write_lines, log) : ENOMEM;
    if (err != 0) {
        free_log(log);
        return -err;
    }
    *out = log;
    return 0;
}

void th_access_log_close(th_access_log *log)
{
    if (!log)
        return;
    pthread_mutex_lock(&log->lock);
    atomic_store(&log->ends, true);
    pthread_cond_signal(&log->wanted);
    pthread_mutex_unlock(&log->lock);
    (void)pthread_join(log->writer, NULL);
    uint64_t lost = atomic_load(&log->dropped) - log->told;
    if (lost > 0)
        thi_log(TH_LOG_WARNING, "the access log ends without %llu lines: nobody took them",
                (unsigned long long)lost);
    free_log(log);
}
