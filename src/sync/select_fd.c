/* SPDX-License-Identifier: MIT */

/*
 * Descriptors in a select.
 *
 * A look by poll(2) tells whether the case completes at once; only then is the descriptor watched
 * by the loop, for the time of the call. A loop has one watch for a descriptor, so two cases about
 * the same one share it: it lives in the case that was entered first.
 */
#include "sync/select.h"

#include "sys/sys.h"

static bool is_reader(const th_case *c)
{
    return c->kind == TH_CASE_KIND_READABLE;
}

/* Whatever keeps the kernel from telling keeps it only from telling at once. */
static int attempt(th_case *c)
{
    struct pollfd p = { .fd = c->fd, .events = is_reader(c) ? POLLIN : POLLOUT };
    if (thi_sys_poll(&p, 1, 0) <= 0)
        return -EAGAIN;
    c->result = 0;
    return p.revents & POLLNVAL ? -EBADF : 0;
}

static void on_event(thi_watch *watch, unsigned events)
{
    thi_case_state *state = thi_container_of(watch, thi_case_state, fd.watch);
    if ((events & THI_READ) && state->fd.reader)
        thi_select_complete(state->fd.party, state->fd.reader);
    if ((events & THI_WRITE) && state->fd.writer)
        thi_select_complete(state->fd.party, state->fd.writer);
}

/* The case whose watch is on the descriptor of this one; NULL when there is none yet. */
static th_case *find_watching(const thi_select *s, const th_case *c)
{
    for (size_t i = 0; i < s->entered; i++) {
        th_case *other = thi_select_at(s, i);
        bool is_fd = is_reader(other) || other->kind == TH_CASE_KIND_WRITABLE;
        if (is_fd && other->fd == c->fd && thi_case_state_of(other)->fd.watch.fd == c->fd)
            return other;
    }
    return NULL;
}

static int enter(thi_select *s, th_case *c)
{
    thi_loop *loop = &s->party.fiber->worker->loop;
    thi_case_state *state = thi_case_state_of(c);
    th_case *watching = find_watching(s, c);
    if (watching) {
        state->fd.watch.fd = -1;
        state = thi_case_state_of(watching);
    } else {
        *state = (thi_case_state){ .fd.party = &s->party };
        int err = thi_loop_watch(loop, &state->fd.watch, c->fd, 0, on_event);
        if (err < 0)
            return err;
    }
    th_case **waits = is_reader(c) ? &state->fd.reader : &state->fd.writer;
    if (!*waits)
        *waits = c;
    int err = thi_loop_want(loop, &state->fd.watch, is_reader(c) ? THI_READ : THI_WRITE);
    if (err < 0 && !watching)
        thi_loop_unwatch(loop, &state->fd.watch);
    return err < 0 ? err : THI_QUEUED;
}

static void leave(thi_select *s, th_case *c)
{
    thi_watch *watch = &thi_case_state_of(c)->fd.watch;
    if (watch->fd >= 0)
        thi_loop_unwatch(&s->party.fiber->worker->loop, watch);
}

static void finish(thi_select *s, th_case *c, int result)
{
    c->result = result;
    leave(s, c);
}

const thi_case_kind thi_case_fd = {
    .attempt = attempt,
    .enter = enter,
    .leave = leave,
    .finish = finish,
};
