/* SPDX-License-Identifier: MIT */

/* The life of a connection as its protocol sees it: what is told, in which order, and what ends it.
 */
#include "callback/probe.h"

#include "base/alloc.h"

#include <thrum/addr.h>

static int pause_it(probe *p, th_str data)
{
    (void)data;
    return CALL(th_transport_pause_reading(p->t));
}

static int close_it(probe *p, th_str data)
{
    take(p, data.ptr, data.len);
    return CALL(th_transport_close(p->t));
}

static int abort_it(probe *p, th_str data)
{
    take(p, data.ptr, data.len);
    return CALL(th_transport_abort(p->t, -EPROTO));
}

static int fail_it(probe *p, th_str data)
{
    (void)p;
    (void)data;
    return -EBADMSG;
}

static int keep_open(probe *p, th_str data)
{
    (void)p;
    (void)data;
    return 1;
}

static int echo(probe *p, th_str data)
{
    return CALL(th_transport_write(p->t, data.ptr, data.len));
}

/* ---- order ----------------------------------------------------------------------------------- */

FIBER_TEST(it_is_made_then_receives_then_ends_then_is_lost_once)
{
    probe p = { .peer = -1 };
    open_probe(&p);
    await(was_told(&p, "m"));
    peer_sends(&p, "warp");
    await(p.len == 4);
    close_peer(&p);
    await(is_lost(&p));
    let_loop_run();
    ck_assert_str_eq(p.told, "mdel");
    ck_assert_int_eq(p.reason, 0);
    got_is(&p, "warp");
    close_probe(&p);
}

FIBER_TEST(what_was_there_before_is_received_after_it_was_made)
{
    probe p = { .peer = -1 };
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    p.peer = fds[1];
    peer_sends(&p, "early");
    open_probe_on(&p, fds[0], fds[1]);
    await(p.len == 5);
    ck_assert_str_eq(p.told, "md");
    close_probe(&p);
}

FIBER_TEST(nothing_comes_to_one_that_pauses_when_it_is_made)
{
    probe p = { .on_made = pause_it };
    open_probe(&p);
    peer_sends(&p, "warp");
    await(was_told(&p, "m"));
    let_loop_run();
    ck_assert_str_eq(p.told, "m");
    ck_assert_int_eq(info_of(p.t).reading, 0);
    ck_assert_int_eq(CALL(th_transport_resume_reading(p.t)), 0);
    await(p.len == 4);
    close_probe(&p);
}

FIBER_TEST(pausing_and_resuming_twice_is_the_same_as_once)
{
    probe p = { .peer = -1 };
    open_probe(&p);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(CALL(th_transport_pause_reading(p.t)), 0);
    peer_sends(&p, "warp");
    let_loop_run();
    ck_assert_str_eq(p.told, "m");
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(CALL(th_transport_resume_reading(p.t)), 0);
    await(p.len == 4);
    ck_assert_int_eq(th_transport_close(p.t), 0);
    ck_assert_int_eq(CALL(th_transport_pause_reading(p.t)), 0);
    ck_assert_int_eq(CALL(th_transport_resume_reading(p.t)), 0);
    close_probe(&p);
}

FIBER_TEST(what_is_aborted_before_it_was_made_is_made_and_lost)
{
    probe p = { .peer = -1 };
    open_probe(&p);
    ck_assert_int_eq(CALL(th_transport_abort(p.t, 0)), 0);
    await(is_lost(&p));
    ck_assert_str_eq(p.told, "ml");
    ck_assert_int_eq(p.reason, -ECONNABORTED);
    close_probe(&p);
}

FIBER_TEST(a_factory_that_fails_leaves_the_descriptor_to_the_caller)
{
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    th_scope scope;
    open_scope(&scope);
    probe none = { .protocol = &(th_protocol){ .connection_made = probe_made } };
    ck_assert_int_eq(th_protocol_open(fds[0], use_probe, &none, NULL), -EINVAL);
    ck_assert_uint_eq(th_scope_children(&scope), 0);
    close_scope(&scope);
    ck_assert_int_eq(write(fds[0], "a", 1), 1);
    close(fds[0]);
    close(fds[1]);
}

/* ---- ends ------------------------------------------------------------------------------------ */

FIBER_TEST(one_that_keeps_open_at_the_end_may_still_send)
{
    probe p = { .on_end = keep_open };
    open_probe(&p);
    ck_assert_int_eq(shutdown(p.peer, SHUT_WR), 0);
    await(was_told(&p, "me"));
    let_loop_run();
    ck_assert_int_eq(info_of(p.t).reading, 0);
    ck_assert_int_eq(CALL(th_transport_write(p.t, "weft", 4)), 0);
    peer_gets(&p, "weft");
    ck_assert_int_eq(CALL(th_transport_write_eof(p.t)), 0);
    await(is_lost(&p)); /* both directions have ended */
    ck_assert_str_eq(p.told, "mesl");
    ck_assert_int_eq(p.reason, 0);
    peer_sees_the_end(&p);
    close_probe(&p);
}

FIBER_TEST(all_that_was_sent_comes_before_the_end)
{
    enum { SIZE = 300000 };
    probe p = { .peer = -1 };
    open_tcp_probe(&p);
    char *bytes = pattern(SIZE);
    for (size_t at = 0; at < SIZE;) {
        ssize_t n = write(p.peer, bytes + at, SIZE - at);
        at += n > 0 ? (size_t)n : 0;
        ck_assert_int_eq(th_yield(), 0);
    }
    close_peer(&p);
    await(is_lost(&p));
    ck_assert_str_eq(p.told, "mdel");
    ck_assert_uint_eq(p.len, SIZE);
    ck_assert_mem_eq(p.got, bytes, SIZE);
    free(bytes);
    close_probe(&p);
}

FIBER_TEST(a_reset_is_told_as_the_reason)
{
    struct linger now = { .l_onoff = 1 };
    probe p = { .peer = -1 };
    open_tcp_probe(&p);
    await(was_told(&p, "m"));
    ck_assert_int_eq(setsockopt(p.peer, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close_peer(&p);
    await(is_lost(&p));
    ck_assert_str_eq(p.told, "ml");
    ck_assert_int_eq(p.reason, -ECONNRESET);
    close_probe(&p);
}

/* Before it is made, open, paused, with bytes that wait, half closed in either way, closing. */
FIBER_TEST(a_reset_in_any_state_is_told_once)
{
    static char bytes[16 << 20];
    struct linger now = { .l_onoff = 1 };
    for (int state = 0; state < 7; state++) {
        probe p = { .on_end = keep_open };
        open_tcp_probe(&p);
        if (state > 0)
            await(p.told[0] == 'm');
        if (state == 2)
            ck_assert_int_eq(CALL(th_transport_pause_reading(p.t)), 0);
        if (state == 3 || state == 6)
            ck_assert_int_eq(CALL(th_transport_write(p.t, bytes, sizeof bytes)), 1);
        if (state == 4)
            ck_assert_int_eq(CALL(th_transport_write_eof(p.t)), 0);
        if (state == 5)
            ck_assert_int_eq(shutdown(p.peer, SHUT_WR), 0);
        if (state == 6)
            ck_assert_int_eq(CALL(th_transport_close(p.t)), 0);
        let_loop_run();
        ck_assert_int_eq(setsockopt(p.peer, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
        close_peer(&p);
        if (state == 2 || state == 5) { /* nobody reads or writes: it is found out by writing */
            let_loop_run();
            ck_assert(!is_lost(&p));
            while (CALL(th_transport_write(p.t, "?", 1)) == 0 && !is_lost(&p))
                let_loop_run();
        }
        await(is_lost(&p));
        ck_assert_msg(p.reason == -ECONNRESET || p.reason == -EPIPE, "state %d: %s", state,
                      th_errname(p.reason));
        close_probe(&p);
    }
}

FIBER_TEST(the_end_while_reading_is_paused_is_told_after_resuming)
{
    probe p = { .on_made = pause_it };
    open_probe(&p);
    peer_sends(&p, "warp");
    close_peer(&p);
    await(was_told(&p, "m"));
    let_loop_run();
    ck_assert_str_eq(p.told, "m");
    ck_assert_int_eq(CALL(th_transport_resume_reading(p.t)), 0);
    await(is_lost(&p));
    ck_assert_str_eq(p.told, "mdel");
    close_probe(&p);
}

/* ---- closing --------------------------------------------------------------------------------- */

FIBER_TEST(closing_sends_what_waits_and_reads_no_more)
{
    enum { SIZE = 1 << 20 };
    probe p = { .peer = -1 };
    open_probe(&p);
    await(was_told(&p, "m"));
    char *bytes = pattern(SIZE);
    char *got = malloc(SIZE);
    ck_assert_int_eq(CALL(th_transport_write(p.t, bytes, SIZE)), 1);
    ck_assert_int_eq(CALL(th_transport_close(p.t)), 0);
    ck_assert_int_eq(CALL(th_transport_close(p.t)), 0);
    ck_assert_int_eq(info_of(p.t).closing, 1);
    peer_sends(&p, "too late");
    let_loop_run();
    ck_assert(!is_lost(&p));
    ck_assert_uint_eq(peer_takes(&p, got, SIZE), SIZE);
    ck_assert_mem_eq(got, bytes, SIZE);
    await(is_lost(&p));
    ck_assert_int_eq(p.reason, 0);
    ck_assert_uint_eq(p.len, 0);
    free(bytes);
    free(got);
    close_probe(&p);
}

FIBER_TEST(closing_in_the_function_that_receives_ends_it)
{
    probe p = { .on_data = close_it };
    open_probe(&p);
    peer_sends(&p, "warp");
    await(is_lost(&p));
    ck_assert_str_eq(p.told, "mdl");
    ck_assert_int_eq(p.reason, 0);
    peer_sees_the_end(&p);
    close_probe(&p);
}

FIBER_TEST(aborting_drops_what_waits_and_resets)
{
    enum { SIZE = 4 << 20 };
    char byte;
    probe p = { .on_data = abort_it };
    open_tcp_probe(&p);
    await(was_told(&p, "m"));
    char *bytes = pattern(SIZE);
    ck_assert_int_eq(CALL(th_transport_write(p.t, bytes, SIZE)), 1);
    peer_sends(&p, "warp");
    await(is_lost(&p));
    ck_assert_int_eq(p.reason, -EPROTO);
    ssize_t n = 1;
    while (n > 0)
        n = peer_reads(&p, bytes, SIZE);
    ck_assert_int_eq(n, -ECONNRESET);
    ck_assert_int_ne(peer_reads(&p, &byte, 1), 1);
    free(bytes);
    close_probe(&p);
}

FIBER_TEST(after_the_end_calls_do_nothing)
{
    probe p = { .peer = -1 };
    th_addr addr;
    open_probe(&p);
    th_transport *t = th_transport_ref(p.t);
    ck_assert_int_eq(th_transport_abort(t, 0), 0);
    await(is_lost(&p));
    ck_assert_int_eq(CALL(th_transport_write(t, "warp", 4)), 0);
    ck_assert_int_eq(CALL(th_transport_write_eof(t)), 0);
    ck_assert_int_eq(CALL(th_transport_close(t)), 0);
    ck_assert_int_eq(CALL(th_transport_abort(t, -EIO)), 0);
    ck_assert_int_eq(CALL(th_transport_pause_reading(t)), 0);
    ck_assert_int_eq(CALL(th_transport_resume_reading(t)), 0);
    ck_assert_int_eq(CALL(th_transport_unread(t, "warp", 4)), 0);
    ck_assert_int_eq(th_transport_try_write(t, "warp", 4), -EBADF);
    ck_assert_int_eq(th_transport_sendfile(t, 0, 0, 1, NULL, NULL), -EBADF);
    ck_assert_int_eq(th_transport_set_protocol(t, &probe_protocol, &p), -EBADF);
    ck_assert_int_eq(th_transport_peer(t, &addr), -EBADF);
    ck_assert_int_eq(th_transport_local(t, &addr), -EBADF);
    ck_assert_ptr_null(th_transport_scope(t));
    ck_assert_uint_eq(info_of(t).dropped, 1);
    ck_assert_int_eq(info_of(t).fd, -1);
    let_loop_run();
    th_transport_unref(t);
    ck_assert_str_eq(p.told, "ml");
    close_probe(&p);
}

/* Those that are closed by the first of a batch of events hear nothing of theirs. */
enum { MANY = 200 };
static probe many[MANY];

static int close_all(probe *p, th_str data)
{
    (void)p;
    (void)data;
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(CALL(th_transport_close(many[i].t)), 0);
    return 0;
}

FIBER_TEST(who_is_closed_by_another_hears_of_no_event_after_that)
{
    int received = 0;
    for (int i = 0; i < MANY; i++) {
        many[i] = (probe){ .on_data = close_all };
        open_probe(&many[i]);
    }
    let_loop_run();
    for (int i = 0; i < MANY; i++)
        peer_sends(&many[i], "warp");
    for (int i = 0; i < MANY; i++) {
        await(is_lost(&many[i]));
        received += strchr(many[i].told, 'd') != NULL;
        close_probe(&many[i]);
    }
    ck_assert_int_eq(received, 1);
}

/* ---- functions that fail --------------------------------------------------------------------- */

FIBER_TEST(a_function_that_fails_ends_its_own_connection_with_that)
{
    probe good = { .on_data = echo };
    probe bad[3] = { { .on_made = fail_it }, { .on_data = fail_it }, { .on_end = fail_it } };
    static const char *const told[] = { "ml", "mdl", "mel" };
    open_probe(&good);
    for (int i = 0; i < 3; i++) {
        open_probe(&bad[i]);
        if (i == 1)
            peer_sends(&bad[i], "warp");
        else
            ck_assert_int_eq(shutdown(bad[i].peer, SHUT_WR), 0);
        await(is_lost(&bad[i]));
        ck_assert_str_eq(bad[i].told, told[i]);
        ck_assert_int_eq(bad[i].reason, -EBADMSG);
        close_probe(&bad[i]);
    }
    peer_sends(&good, "weft");
    peer_gets(&good, "weft");
    close_probe(&good);
}

/* ---- scopes ---------------------------------------------------------------------------------- */

FIBER_TEST(a_scope_waits_for_its_connections)
{
    probe p = { .peer = -1 };
    th_scope scope;
    open_scope(&scope);
    open_probe(&p);
    ck_assert_uint_eq(th_scope_children(&scope), 1);
    ck_assert_ptr_eq(th_transport_scope(p.t), &scope);
    ck_assert_int_eq(th_scope_set_deadline(&scope, th_after(TH_HOUR)), 0);
    close_peer(&p);
    close_scope(&scope);
    ck_assert_str_eq(p.told, "mel");
    close_probe(&p);
}

FIBER_TEST(a_cancelled_scope_aborts_its_connections_and_says_why)
{
    probe p = { .peer = -1 };
    probe q = { .peer = -1 };
    th_scope scope;
    open_scope(&scope);
    open_probe(&p);
    let_loop_run();
    open_probe(&q);
    ck_assert_int_eq(CALL(th_scope_cancel(&scope, -EPROTO)), 0);
    ck_assert_int_eq(th_protocol_open(q.peer, use_probe, &p, NULL), -ECANCELED);
    close_scope(&scope);
    ck_assert_str_eq(p.told, "ml");
    ck_assert_str_eq(q.told, "ml");
    ck_assert_int_eq(p.reason, -EPROTO);
    ck_assert_int_eq(q.reason, -EPROTO);
    close_probe(&p);
    close_probe(&q);
}

FIBER_TEST(a_deadline_ends_the_connections_of_a_scope)
{
    probe p = { .peer = -1 };
    th_scope scope;
    open_scope_for(&scope, 20 * TH_MILLISECOND);
    ck_assert_int_eq(th_scope_set_limit(&scope, 1), 0);
    open_probe(&p);
    ck_assert_int_eq(th_protocol_open(p.peer, use_probe, &p, NULL), -EAGAIN);
    close_scope(&scope);
    ck_assert_int_eq(p.reason, -ETIMEDOUT);
    close_probe(&p);
}

static int spawned(void *arg)
{
    probe *p = arg;
    ck_assert_ptr_nonnull(thi_worker_self->current);
    ck_assert_int_eq(th_yield(), 0);
    return th_transport_write(p->t, "from a fiber", 12);
}

static int spawn_one(probe *p, th_str data)
{
    (void)data;
    return th_spawn(th_transport_scope(p->t), spawned, p);
}

FIBER_TEST(a_function_spawns_a_fiber_that_answers)
{
    probe p = { .on_data = spawn_one };
    th_scope scope;
    open_scope(&scope);
    open_probe(&p);
    peer_sends(&p, "?");
    peer_gets(&p, "from a fiber");
    ck_assert_int_eq(th_transport_close(p.t), 0);
    close_scope(&scope);
    close_probe(&p);
}

/* A timer of a callback: no stack until it is due. */
static th_fiber *fibers[2];

static int spawn_with_handles(probe *p, th_str data)
{
    th_scope *scope = th_transport_scope(p->t);
    th_spawn_opts later = { .delay = 5 * TH_MILLISECOND };
    (void)data;
    int err = th_spawn_with(scope, spawned, p, NULL, &fibers[0]);
    ck_assert_uint_ne(th_fiber_id(fibers[0]), 0);
    return err < 0 ? err : th_spawn_with(scope, spawned, p, &later, &fibers[1]);
}

FIBER_TEST(fibers_that_a_function_spawns_can_be_joined_and_delayed)
{
    probe p = { .on_data = spawn_with_handles };
    int64_t before = th_now();
    open_probe(&p);
    peer_sends(&p, "?");
    peer_gets(&p, "from a fiberfrom a fiber");
    ck_assert_int_ge(th_now() - before, 5 * TH_MILLISECOND);
    for (int i = 0; i < 2; i++) {
        int result = 1;
        ck_assert_int_eq(th_join(fibers[i], &result), 0);
        ck_assert_int_eq(result, 0);
        th_fiber_unref(fibers[i]);
    }
    close_probe(&p);
}

/* What a spawn in a scope gives that is cancelled, and one that is full. */
static th_scope other;
static int spawn_results[2];

static int note_spawned(void *arg)
{
    (void)arg;
    note('s');
    return th_sleep(TH_NEVER);
}

static int spawn_elsewhere(probe *p, th_str data)
{
    int which = data.ptr[0] - '0';
    if (which == 1)
        ck_assert_int_eq(th_scope_cancel(&other, 0), 0);
    spawn_results[which] = th_spawn(&other, note_spawned, p);
    th_event_set(&news);
    return 0;
}

FIBER_TEST(a_spawn_from_a_function_waits_for_room_and_is_refused_by_a_scope_that_has_ended)
{
    probe p = { .on_data = spawn_elsewhere };
    open_probe(&p);
    ck_assert_int_eq(th_scope_open(&other, &(th_scope_opts){ .limit = 1 }), 0);
    th_fiber *first = spawn_handle(&other, note_spawned, NULL);
    spawn_results[0] = spawn_results[1] = 1;
    peer_sends(&p, "0");
    await(spawn_results[0] != 1);
    ck_assert_int_eq(spawn_results[0], 0);
    let_loop_run();
    ck_assert_str_eq(trace, "s");
    ck_assert_int_eq(th_fiber_cancel(first, 0), 0);
    ck_assert_int_eq(th_join(first, NULL), 0);
    th_fiber_unref(first);
    let_loop_run();
    ck_assert_str_eq(trace, "ss");
    peer_sends(&p, "1");
    ck_assert_int_eq(th_sleep(TH_NEVER), -ECANCELED); /* this fiber, too, is in that scope */
    ck_assert_int_eq(spawn_results[1], -ECANCELED);
    (void)th_scope_close(&other);
    close_probe(&p);
}

/* ---- misuse ---------------------------------------------------------------------------------- */

static int open_elsewhere(void *arg)
{
    probe *p = arg;
    th_protocol_opts opts = { .scope = th_scope_root() };
    th_transport_info info;
    ck_assert_int_eq(th_protocol_open(p->peer, use_probe, p, &opts), -EINVAL);
    ck_assert_int_eq(th_transport_write(p->t, "a", 1), -EPERM);
    ck_assert_int_eq(th_transport_close(p->t), -EPERM);
    ck_assert_int_eq(th_transport_abort(p->t, 0), -EPERM);
    ck_assert_int_eq(th_transport_get_info(p->t, &info), -EPERM);
    return 0;
}

FIBER_TEST_ON(2, misuse_is_refused_and_changes_nothing)
{
    probe p = { .peer = -1 };
    th_scope scope;
    th_addr addr;
    open_probe(&p);
    open_scope(&scope);
    spawn_on(&scope, 1, open_elsewhere, &p);
    close_scope(&scope);
    ck_assert_int_eq(th_protocol_open(-1, use_probe, &p, NULL), -EBADF);
    ck_assert_int_eq(th_protocol_open(p.peer, NULL, &p, NULL), -EINVAL);
    ck_assert_int_eq(th_protocol_open(info_of(p.t).fd, use_probe, &p, NULL), -EEXIST);
    th_protocol_opts newer = { .size = sizeof newer + 1 };
    ck_assert_int_eq(th_protocol_open(p.peer, use_probe, &p, &newer), -EINVAL);
    th_protocol_opts gone = { .scope = &scope };
    ck_assert_int_eq(th_protocol_open(p.peer, use_probe, &p, &gone), -EINVAL);
    ck_assert_int_eq(th_transport_write(NULL, "a", 1), -EINVAL);
    ck_assert_int_eq(th_transport_abort(p.t, 1), -EINVAL);
    ck_assert_int_eq(th_transport_set_protocol(p.t, NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_transport_peer(p.t, NULL), -EINVAL);
    ck_assert_int_eq(th_transport_peer(p.t, &addr), 0);
    ck_assert_int_eq(addr.kind, TH_ADDR_UNIX);
    ck_assert_ptr_null(th_transport_ref(NULL));
    th_transport_unref(NULL);
    await(was_told(&p, "m"));
    close_probe(&p);
}

START_TEST(outside_a_worker_nothing_is_opened)
{
    probe p = { .peer = -1 };
    void *both[2] = { &p, &p };
    ck_assert_int_eq(th_protocol_open(0, use_probe, &p, NULL), -EPERM);
    ck_assert_int_eq(th_protocol_connect("unix:/x", use_probe, &p, NULL), -EPERM);
    ck_assert_int_eq(th_protocol_pair(use_probe, both, NULL), -EPERM);
}
END_TEST

FIBER_TEST(a_file_is_no_connection)
{
    probe p = { .peer = -1 };
    char path[] = "/tmp/thrum-transport-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    unlink(path);
    ck_assert_int_eq(th_protocol_open(fd, use_probe, &p, NULL), -ENOTSUP);
    close(fd);
}

/* ---- memory ---------------------------------------------------------------------------------- */

FIBER_TEST(each_allocation_may_fail)
{
    static char bytes[100000];
    for (int64_t n = 1;; n++) {
        probe p = { .on_data = echo };
        int fds[2];
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        set_nonblocking(fds[1]);
        p.peer = fds[1];
        thi_alloc_fail_at(n);
        int err = th_protocol_open(fds[0], use_probe, &p, NULL);
        if (err == 0) {
            (void)!write(fds[1], bytes, sizeof bytes);
            (void)th_transport_write(p.t, bytes, sizeof bytes);
            (void)!th_transport_unread(p.t, bytes, 100);
            (void)th_transport_close(p.t);
            while (!is_lost(&p)) {
                (void)!read(fds[1], bytes, sizeof bytes);
                ck_assert_int_eq(th_yield(), 0);
            }
        } else {
            ck_assert_int_eq(err, -ENOMEM);
            close(fds[0]);
        }
        bool struck = thi_alloc_fail_at(0) == 0;
        close(fds[1]);
        free(p.got);
        if (!struck)
            break;
    }
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "order");
    add_on_engines(tcase, it_is_made_then_receives_then_ends_then_is_lost_once);
    add_on_engines(tcase, what_was_there_before_is_received_after_it_was_made);
    add_on_engines(tcase, nothing_comes_to_one_that_pauses_when_it_is_made);
    add_on_engines(tcase, pausing_and_resuming_twice_is_the_same_as_once);
    tcase_add_test(tcase, what_is_aborted_before_it_was_made_is_made_and_lost);
    tcase_add_test(tcase, a_factory_that_fails_leaves_the_descriptor_to_the_caller);
    tcase = thi_check_case(suite, "ends");
    add_on_engines(tcase, one_that_keeps_open_at_the_end_may_still_send);
    add_on_engines(tcase, all_that_was_sent_comes_before_the_end);
    add_on_engines(tcase, a_reset_is_told_as_the_reason);
    add_on_engines(tcase, a_reset_in_any_state_is_told_once);
    add_on_engines(tcase, the_end_while_reading_is_paused_is_told_after_resuming);
    tcase = thi_check_case(suite, "closing");
    add_on_engines(tcase, closing_sends_what_waits_and_reads_no_more);
    add_on_engines(tcase, closing_in_the_function_that_receives_ends_it);
    add_on_engines(tcase, aborting_drops_what_waits_and_resets);
    tcase_add_test(tcase, after_the_end_calls_do_nothing);
    add_on_engines(tcase, who_is_closed_by_another_hears_of_no_event_after_that);
    add_on_engines(tcase, a_function_that_fails_ends_its_own_connection_with_that);
    tcase = thi_check_case(suite, "scopes");
    add_on_engines(tcase, a_scope_waits_for_its_connections);
    add_on_engines(tcase, a_cancelled_scope_aborts_its_connections_and_says_why);
    tcase_add_test(tcase, a_deadline_ends_the_connections_of_a_scope);
    add_on_engines(tcase, a_function_spawns_a_fiber_that_answers);
    add_on_engines(tcase, fibers_that_a_function_spawns_can_be_joined_and_delayed);
    tcase_add_test(tcase,
                   a_spawn_from_a_function_waits_for_room_and_is_refused_by_a_scope_that_has_ended);
    tcase = thi_check_case(suite, "misuse");
    tcase_add_test(tcase, misuse_is_refused_and_changes_nothing);
    tcase_add_test(tcase, outside_a_worker_nothing_is_opened);
    tcase_add_test(tcase, a_file_is_no_connection);
    tcase_add_test(tcase, each_allocation_may_fail);
}

int main(void)
{
    return thi_check_run("callback/transport", fill_suite);
}
