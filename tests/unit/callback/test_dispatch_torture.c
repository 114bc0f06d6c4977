/* SPDX-License-Identifier: MIT */

/* Dispatchers and chats while each system call, and each allocation, of theirs fails in turn. */
#include "torture.h"

#include "callback/conversation.h"

/* ---- system calls ---- */

static const char *const addresses[] = { "127.0.0.1:0", "[::1]:0", "unix:@thrum-torture" };
static const char *address;

static int converse(void *arg)
{
    conversation *c = arg;
    int err = start_server(c, address);
    if (err == 0)
        err = ask_once(c);
    end_conversation(c);
    return err;
}

/* A failure on the server's side is the client's in one way or another; or it waits for ever. */
static bool is_explained(const run *r, const conversation *c, int result)
{
    if (is_as_peer_ordered(r, result) || (r->hit && result == -ENOMEM))
        return true;
    return result == -ETIMEDOUT && (c->server < 0 || c->chats < 0);
}

static int talking_under_torment(void *arg)
{
    run *r = arg;
    conversation c = { .client = 1 };
    th_scope patience;
    /* Unix sockets know no way of being looked at anew after an EAGAIN that is none. */
    if (strncmp(address, "unix:", 5) == 0 && r->torment->error == EAGAIN)
        return 0;
    ck_assert_int_eq(th_dispatch_map_new(NULL, &c.map), 0);
    open_scope_for(&patience, 5 * TH_SECOND);
    int result = torment_body(r, converse, &c);
    close_scope(&patience);
    ck_assert_int_eq(th_dispatch_map_free(c.map), 0);
    ck_assert_msg(is_explained(r, &c, result), "%s%s: %s (server %d, chat %d)", torture_now,
                  hit_of(r), th_errname(result), c.server, c.chats);
    ck_assert_int_eq(c.alive, 0);
    return 0;
}

START_TEST(a_conversation_fails_as_its_system_calls_do)
{
    for (size_t i = 0; i < thi_array_len(addresses); i++) {
        address = addresses[i];
        torture(1, _i, talking_under_torment);
    }
}
END_TEST

/* ---- memory ---- */

static int talking_without_memory(void *arg)
{
    (void)arg;
    for (int64_t n = 1;; n++) {
        conversation c = { .client = 1 };
        int64_t live = thi_alloc_live();
        (void)thi_alloc_fail_at(n);
        int result = th_dispatch_map_new(NULL, &c.map);
        if (result == 0)
            result = converse(&c);
        bool untouched = thi_alloc_fail_at(0) > 0;
        ck_assert_int_eq(th_dispatch_map_free(c.map), 0);
        ck_assert_int_eq(c.alive, 0);
        /* What the loop keeps for itself grows once. */
        ck_assert_int_le(thi_alloc_live(), live + 2);
        ck_assert_msg(result == 0 || (!untouched && (result == -ENOMEM || result == TH_ETRUNCATED)),
                      "allocation %ld: %s (server %d, chat %d)", (long)n, th_errname(result),
                      c.server, c.chats);
        if (untouched)
            return 0;
        ck_assert_int_lt(n, 200);
    }
}

START_TEST(a_conversation_fails_as_its_allocations_do)
{
    address = addresses[0];
    run_in_fiber(1, _i, talking_without_memory, NULL);
}
END_TEST

/* ---- several workers ---- */

static int talk_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++) {
        conversation c = { .client = 1, .map = th_dispatch_map_default() };
        ck_assert_ptr_nonnull(c.map);
        ck_assert_int_eq(start_server(&c, "127.0.0.1:0"), 0);
        ck_assert_int_eq(ask_once(&c), 0);
        end_conversation(&c);
        ck_assert_int_eq(c.alive, 0);
    }
    return 0;
}

FIBER_TEST_ON(3, each_worker_has_its_own_conversations)
{
    th_scope scope;
    open_scope(&scope);
    for (unsigned i = 0; i < 3; i++)
        spawn_on(&scope, i, talk_often, NULL);
    close_scope(&scope);
}

/* ---- want of descriptors ---- */

/* The listener rests, and takes the client when there is room again. */
static int accepting_without_descriptors(void *arg)
{
    conversation c = { .client = 1 };
    (void)arg;
    ck_assert_int_eq(th_dispatch_map_new(NULL, &c.map), 0);
    ck_assert_int_eq(start_server(&c, "127.0.0.1:0"), 0);
    int64_t began = th_now();
    thi_fault_order("accept", 1, EMFILE);
    ck_assert_int_eq(ask_once(&c), 0);
    ck_assert_ptr_nonnull(thi_fault_hit());
    thi_fault_order(NULL, 0, 0);
    ck_assert_int_eq(c.server, 0);
    ck_assert_int_ge(th_now() - began, 90 * TH_MILLISECOND);
    ck_assert_int_eq(ask_once(&c), 0);
    ck_assert_int_eq(th_dispatch_map_free(c.map), 0);
    return 0;
}

START_TEST(a_listener_that_lacks_descriptors_rests_and_goes_on)
{
    thi_fault_begin(0, 0);
    run_in_fiber(1, _i, accepting_without_descriptors, NULL);
    (void)thi_fault_end();
}
END_TEST

/* ---- single failures ---- */

static int attaching_what_is_broken(void *arg)
{
    conversation c = { .client = 1 };
    th_dispatcher *d = NULL;
    int fds[2];
    (void)arg;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    ck_assert_int_eq(th_dispatch_map_new(NULL, &c.map), 0);
    ck_assert_int_eq(th_dispatcher_new(&listening, &c, c.map, &d), 0);
    c.alive = 1;
    thi_fault_order("getpeername", 1, ENOBUFS);
    ck_assert_int_eq(th_dispatcher_attach(d, fds[0], 0), -ENOBUFS);
    thi_fault_order(NULL, 0, 0);
    ck_assert_uint_eq(th_dispatch_map_count(c.map), 0);
    ck_assert_int_ge(fcntl(fds[0], F_GETFD), 0); /* it is the caller's still */
    ck_assert_int_eq(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
    close(fds[0]);
    close(fds[1]);
    ck_assert_int_eq(th_dispatch_map_free(c.map), 0);
    ck_assert_int_eq(c.alive, 0);
    return 0;
}

START_TEST(a_broken_socket_is_not_attached)
{
    thi_fault_begin(0, 0);
    run_in_fiber(1, _i, attaching_what_is_broken, NULL);
    (void)thi_fault_end();
}
END_TEST

static int failing_closes;

/* Linux frees the descriptor even then. */
static int fail_to_close(int fd)
{
    int err = thi_sys_real.close(fd);
    return failing_closes++ == 1 ? -EIO : err;
}

static int closing_with_a_failure(void *arg)
{
    const thi_sys *before = thi_sys_table;
    thi_sys table = *before;
    conversation c = { .client = 1 };
    (void)arg;
    ck_assert_int_eq(th_dispatch_map_new(NULL, &c.map), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(start_server(&c, "127.0.0.1:0"), 0);
    failing_closes = 0;
    table.close = fail_to_close;
    thi_sys_table = &table;
    ck_assert_int_eq(th_dispatch_map_close_all(c.map), -EIO);
    thi_sys_table = before;
    ck_assert_uint_eq(th_dispatch_map_count(c.map), 0);
    ck_assert_int_eq(th_dispatch_map_free(c.map), 0);
    ck_assert_int_eq(c.alive, 0);
    return 0;
}

START_TEST(all_are_closed_and_the_first_failure_returned)
{
    run_in_fiber(1, _i, closing_with_a_failure, NULL);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tc = thi_check_case(suite, "torture");
    tcase_set_timeout(tc, 120);
    add_on_engines(tc, a_conversation_fails_as_its_system_calls_do);
    add_on_engines(tc, a_conversation_fails_as_its_allocations_do);
    add_on_engines(tc, each_worker_has_its_own_conversations);
    add_on_engines(tc, a_broken_socket_is_not_attached);
    add_on_engines(tc, all_are_closed_and_the_first_failure_returned);
    add_on_engines(tc, a_listener_that_lacks_descriptors_rests_and_goes_on);
}

int main(void)
{
    return thi_check_run("callback/dispatch_torture", fill_suite);
}
