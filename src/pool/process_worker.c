/* SPDX-License-Identifier: MIT */

/*
 * The worker's side of a process pool: one job after the other, until the pool hangs up.
 *
 * What it sends must be what the pool expects, for it is killed otherwise; what it gets comes from
 * who started it, and is trusted no less than its own memory.
 */
#include <thrum/process_pool.h>

#include "base/alloc.h"
#include "pool/process_wire.h"
#include "sys/sys.h"

#include <thrum/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct th_worker_reply {
    thi_wire_packet packet;
    void *copy; /* of small output */
    size_t shared_min;
};

/* The variable says from which size on data is shared. */
int th_worker_is_one(void)
{
    return getenv(THI_WIRE_VARIABLE) != NULL;
}

static void drop_output(th_worker_reply *reply)
{
    thi_free(reply->copy);
    reply->copy = NULL;
    if (reply->packet.fd >= 0)
        (void)thi_sys_close(reply->packet.fd);
    reply->packet.fd = -1;
    reply->packet.head.shared = 0;
    reply->packet.head.size = 0;
    reply->packet.data = NULL;
}

static int set_shared(th_worker_reply *reply, const void *out, size_t size)
{
    int fd = thi_wire_share(out, size);
    if (fd < 0)
        return fd;
    drop_output(reply);
    reply->packet.fd = fd;
    reply->packet.head.shared = 1;
    reply->packet.head.size = size;
    return 0;
}

int th_worker_reply_set(th_worker_reply *reply, const void *out, size_t size)
{
    if (!reply || (!out && size > 0))
        return -EINVAL;
    if (size >= reply->shared_min)
        return set_shared(reply, out, size);
    void *copy = thi_alloc(size + 1);
    if (!copy)
        return -ENOMEM;
    if (size > 0)
        memcpy(copy, out, size);
    drop_output(reply);
    reply->copy = copy;
    reply->packet.data = copy;
    reply->packet.head.size = size;
    return 0;
}

int th_worker_fail(th_worker_reply *reply, int result, const char *format, ...)
{
    char text[201];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (reply)
        thi_wire_set_text(&reply->packet, text);
    return result;
}

static th_worker_fn find(const th_worker_entry *table, const char *name)
{
    for (; table->name; table++)
        if (strcmp(table->name, name) == 0)
            return table->fn;
    return NULL;
}

static int do_job(const th_worker_entry *table, const thi_wire_packet *job, size_t shared_min)
{
    th_worker_reply reply = { .shared_min = shared_min };
    thi_wire_init(&reply.packet, THI_WIRE_RESULT, job->head.id);
    th_worker_fn fn = find(table, job->text);
    reply.packet.head.result =
        fn ? fn(job->data, job->head.size, &reply)
           : th_worker_fail(&reply, -ENOENT, "the worker has no function '%s'", job->text);
    if (reply.packet.head.result < 0 && reply.packet.head.text_len == 0)
        thi_wire_set_text(&reply.packet, th_err_detail());
    int err = thi_wire_send(THI_WIRE_FD, &reply.packet);
    drop_output(&reply);
    return err;
}

int th_worker_main(const th_worker_entry *table)
{
    const char *setting = getenv(THI_WIRE_VARIABLE);
    if (!setting || !table)
        return 1;
    size_t shared_min = strtoul(setting, NULL, 10);
    (void)unsetenv(THI_WIRE_VARIABLE); /* what this process starts is no worker */
    (void)thi_sys_fcntl(THI_WIRE_FD, F_SETFD, FD_CLOEXEC);
    for (;;) {
        thi_wire_packet job;
        int got = thi_wire_receive(THI_WIRE_FD, THI_WIRE_JOB, SIZE_MAX, &job);
        if (got <= 0)
            return got < 0;
        int err = do_job(table, &job, shared_min);
        thi_wire_free(&job);
        if (err < 0)
            return err != -EPIPE && err != -ECONNRESET;
    }
}
