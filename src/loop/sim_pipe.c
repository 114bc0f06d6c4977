/* SPDX-License-Identifier: MIT */

/*
 * A pipe is one local flow with two descriptors.
 *
 * It loses nothing, so that the only faults are short transfers and EAGAIN. Writes of up to
 * PIPE_BUF bytes are whole or not at all, and a pipe is writable when one of that size would
 * succeed: pipe(7).
 */
#include "loop/sim_pipe.h"

#include "base/alloc.h"
#include "base/util.h"
#include "loop/sim_choice.h"
#include "loop/sim_desc.h"
#include "loop/sim_fault.h"
#include "loop/sim_flow.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>

typedef struct pipe_object {
    thi_sim_flow flow;
    thi_sim_desc reader; /* fd is -1 once closed */
    thi_sim_desc writer;
} pipe_object;

static pipe_object *of_reader(thi_sim_desc *desc)
{
    return thi_container_of(desc, pipe_object, reader);
}

static pipe_object *of_writer(thi_sim_desc *desc)
{
    return thi_container_of(desc, pipe_object, writer);
}

static pipe_object *of_flow(thi_sim_flow *flow)
{
    return thi_container_of(flow, pipe_object, flow);
}

static void on_arrival(thi_sim *w, thi_sim_flow *flow)
{
    (void)w;
    thi_sim_announce(&of_flow(flow)->reader, THI_READ | (flow->end_arrived ? THI_HUP : 0));
}

static void on_room(thi_sim *w, thi_sim_flow *flow)
{
    (void)w;
    if (thi_sim_flow_room(flow) >= PIPE_BUF)
        thi_sim_announce(&of_flow(flow)->writer, THI_WRITE);
    else
        flow->turned_away = true;
}

/* ---- the reading end ---- */

static unsigned reader_level(thi_sim_desc *desc)
{
    const thi_sim_flow *flow = &of_reader(desc)->flow;
    unsigned level = thi_sim_flow_ready(flow) > 0 ? THI_READ : 0;
    return level | (flow->end_arrived ? THI_HUP : 0);
}

static ssize_t reader_read(thi_sim *w, thi_sim_desc *desc, const struct iovec *iov, int count,
                           int flags)
{
    (void)flags;
    thi_sim_flow *flow = &of_reader(desc)->flow;
    size_t n = thi_min(thi_sim_iov_size(iov, count), thi_sim_flow_ready(flow));
    if (n == 0)
        return flow->end_arrived ? 0 : -EAGAIN;
    if (thi_sim_fault(w, TH_SIM_AGAIN)) {
        thi_sim_nudge(w, desc);
        return -EAGAIN;
    }
    if (n > 1 && thi_sim_fault(w, TH_SIM_SHORT_READ)) {
        thi_sim_nudge(w, desc); /* the rest looks as if it came later */
        n = (size_t)thi_sim_draw(w, 1, (int64_t)n - 1);
    }
    thi_sim_flow_get(w, flow, iov, n, false);
    return (ssize_t)n;
}

static ssize_t reader_write(thi_sim *w, thi_sim_desc *desc, const struct iovec *iov, int count)
{
    (void)w;
    (void)desc;
    (void)iov;
    (void)count;
    return -EBADF;
}

static void free_if_closed(thi_sim *w, pipe_object *p)
{
    if (p->reader.fd >= 0 || p->writer.fd >= 0)
        return;
    thi_sim_flow_deinit(w, &p->flow);
    thi_free(p);
}

static void reader_close(thi_sim *w, thi_sim_desc *desc)
{
    pipe_object *p = of_reader(desc);
    thi_sim_announce(&p->writer, THI_WRITE | THI_HUP);
    free_if_closed(w, p);
}

static const thi_sim_kind reader_kind = {
    .name = "pipe",
    .mode = S_IFIFO,
    .level = reader_level,
    .read = reader_read,
    .write = reader_write,
    .close = reader_close,
};

/* ---- the writing end ---- */

static unsigned writer_level(thi_sim_desc *desc)
{
    pipe_object *p = of_writer(desc);
    unsigned level = thi_sim_flow_room(&p->flow) >= PIPE_BUF ? THI_WRITE : 0;
    if (level == 0)
        p->flow.turned_away = true; /* as with a socket: the look is an interest */
    return level | (p->reader.fd < 0 ? THI_HUP : 0);
}

static ssize_t writer_read(thi_sim *w, thi_sim_desc *desc, const struct iovec *iov, int count,
                           int flags)
{
    (void)flags;
    return reader_write(w, desc, iov, count);
}

static ssize_t writer_write(thi_sim *w, thi_sim_desc *desc, const struct iovec *iov, int count)
{
    pipe_object *p = of_writer(desc);
    size_t wanted = thi_sim_iov_size(iov, count);
    size_t n = thi_min(wanted, thi_sim_flow_room(&p->flow));
    if (p->reader.fd < 0)
        return -EPIPE;
    if (n > 0 && thi_sim_fault(w, TH_SIM_AGAIN)) {
        thi_sim_nudge(w, desc);
        return -EAGAIN;
    }
    if (n < wanted)
        p->flow.turned_away = true;
    if (n == 0 || (n < wanted && wanted <= PIPE_BUF))
        return -EAGAIN;
    if (n > PIPE_BUF && thi_sim_fault(w, TH_SIM_SHORT_WRITE)) {
        p->flow.turned_away = true; /* it looks full */
        n = (size_t)thi_sim_draw(w, PIPE_BUF, (int64_t)n - 1);
    }
    thi_sim_flow_put(w, &p->flow, iov, n);
    return (ssize_t)n;
}

static void writer_close(thi_sim *w, thi_sim_desc *desc)
{
    pipe_object *p = of_writer(desc);
    thi_sim_flow_end(w, &p->flow);
    free_if_closed(w, p);
}

static const thi_sim_kind writer_kind = {
    .name = "pipe",
    .mode = S_IFIFO,
    .level = writer_level,
    .read = writer_read,
    .write = writer_write,
    .close = writer_close,
};

int thi_sim_pipe(thi_sim *w, int fds[2])
{
    if (thi_sim_fault(w, TH_SIM_NO_FILES))
        return -EMFILE;
    pipe_object *p = thi_calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    thi_sim_desc_init(&p->reader, &reader_kind);
    thi_sim_desc_init(&p->writer, &writer_kind);
    int err = thi_sim_flow_init(w, &p->flow, false, PIPE_BUF);
    if (err < 0) {
        thi_free(p);
        return err;
    }
    p->flow.on_arrival = on_arrival;
    p->flow.on_room = on_room;
    err = thi_sim_desc_number(w, &p->reader);
    if (err >= 0)
        err = thi_sim_desc_number(w, &p->writer);
    if (err < 0) {
        thi_sim_desc_close(w, &p->reader); /* frees it: the writer has no number */
        return err;
    }
    fds[0] = p->reader.fd;
    fds[1] = p->writer.fd;
    return 0;
}
