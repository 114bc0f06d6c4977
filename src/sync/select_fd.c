/* SPDX-License-Identifier: MIT */

/*
 * Descriptors in a select.
 *
 * A look tells whether the case completes at once; only then is the descriptor watched by the loop,
 * for the time of the call, together with all others who wait for it.
 */
#include "sync/select.h"

static unsigned direction(const th_case *c)
{
    return c->kind == TH_CASE_KIND_READABLE ? TH_FD_READ : TH_FD_WRITE;
}

static int attempt(th_case *c)
{
    int ready = thi_fd_look(c->fd, direction(c));
    if (ready == 0)
        return -EAGAIN;
    c->result = 0;
    return ready < 0 ? ready : 0;
}

/* A descriptor that ends completes the case as well as one that is ready. */
static void on_end(thi_fd_wait *wait, int result)
{
    thi_case_state *state = thi_container_of(wait, thi_case_state, fd.wait);
    th_case *c = state->fd.of;
    if (!thi_waiter_decide(state->fd.party, thi_case_waiter(c)))
        return;
    c->result = result < 0 ? result : 0;
    thi_waiter_wake(state->fd.party, 0);
}

static int enter(thi_select *s, th_case *c)
{
    thi_case_state *state = thi_case_state_of(c);
    *state = (thi_case_state){ .fd.party = &s->party, .fd.of = c };
    state->fd.wait.dirs = direction(c);
    state->fd.wait.fn = on_end;
    int err = thi_fd_enter(&state->fd.wait, c->fd);
    return err < 0 ? err : THI_QUEUED;
}

static void leave(thi_select *s, th_case *c)
{
    (void)s;
    thi_fd_leave(&thi_case_state_of(c)->fd.wait);
}

/* The hub has let go of the wait before it told. */
static void finish(thi_select *s, th_case *c, int result)
{
    (void)s;
    (void)c;
    (void)result;
}

const thi_case_kind thi_case_fd = {
    .attempt = attempt,
    .enter = enter,
    .leave = leave,
    .finish = finish,
};
