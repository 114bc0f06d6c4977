/* SPDX-License-Identifier: MIT */

/* What a dispatcher is told, in which order, and what its handlers' results do. */
#include "callback/channels.h"

#include "base/alloc.h"
#include "base/trace.h"
#include "runtime/worker.h"

#include <thrum/trace.h>
#include <thrum/wait_fd.h>

/* ---- what handlers return ---- */

FIBER_TEST(a_positive_result_leaves_the_loop)
{
    channel c = { .fails_in = 'r', .result = 7 };
    int peer = open_channel(&c, &reading, NULL, AF_UNIX);
    peer_sends(peer, "x");
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_NEVER, -1), 7);
    ck_assert_str_eq(c.told, "r");
    ck_assert_uint_eq(th_dispatch_map_count(NULL), 1);
    c.fails_in = 0;
    peer_sends(peer, "y");
    turn_until(NULL, strcmp(c.told, "rr") == 0);
    close(peer);
    end_channels(NULL);
}

FIBER_TEST(those_whose_turn_had_not_come_when_a_handler_left_are_called_the_next_time)
{
    channel c[3] = { { .fails_in = 'r', .result = TH_DISPATCH_LEAVE },
                     { .fails_in = 'r', .result = TH_DISPATCH_LEAVE },
                     { .fails_in = 'r', .result = TH_DISPATCH_LEAVE } };
    int peer[3];
    for (int i = 0; i < 3; i++) {
        peer[i] = open_channel(&c[i], &reading, NULL, AF_UNIX);
        peer_sends(peer[i], "x");
    }
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_SECOND, -1), TH_DISPATCH_LEAVE);
    for (int i = 0; i < 3; i++) {
        ck_assert_str_eq(c[i].told, "r");
        close(peer[i]);
    }
    end_channels(NULL);
}

FIBER_TEST(a_failure_is_told_to_its_own_dispatcher_and_the_loop_goes_on)
{
    channel bad = { .fails_in = 'r', .result = -EIO };
    channel good = { 0 };
    int bad_peer = open_channel(&bad, &reading, NULL, AF_UNIX);
    int good_peer = open_channel(&good, &reading, NULL, AF_UNIX);
    peer_sends(bad_peer, "x");
    turn_until(NULL, bad.err);
    ck_assert_str_eq(bad.told, "re");
    ck_assert_int_eq(bad.err, -EIO);
    ck_assert_int_ge(th_dispatcher_fd(bad.d), 0); /* the program's own handler has let it be */
    peer_sends(good_peer, "x");
    turn_until(NULL, good.told[0]);
    ck_assert_str_eq(good.told, "r");
    close(bad_peer);
    close(good_peer);
    end_channels(NULL);
}

static int fail_to_read(th_dispatcher *d, void *arg)
{
    (void)d;
    tell(arg, 'r');
    return TH_EPROTO;
}

FIBER_TEST(without_a_handler_a_failure_is_logged_and_closes)
{
    static const th_dispatcher_ops ops = {
        .name = "unlucky", .read = fail_to_read, .log = on_log, .release = on_release
    };
    channel c = { 0 };
    int peer = open_channel(&c, &ops, NULL, AF_INET);
    char text[TH_DISPATCHER_TEXT];
    char expected[256 + TH_DISPATCHER_TEXT];
    th_dispatcher_format(c.d, text, sizeof text);
    snprintf(expected, sizeof expected, "closing %s: %s", text, th_strerror(TH_EPROTO));
    peer_sends(peer, "x");
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_SECOND, -1), 0);
    ck_assert_str_eq(c.told, "rR");
    ck_assert_str_eq(c.log, expected);
    ck_assert_int_eq(c.level, TH_LOG_ERROR);
    ck_assert_uint_eq(th_dispatch_map_count(NULL), 0);
    char byte;
    ck_assert_int_le(recv(peer, &byte, 1, 0), 0);
    close(peer);
}

/* What counts as a broken connection, and what does not. */
static const struct {
    int result;
    const char *told;
} verdicts[] = {
    { -EBADF, "rz" },    { -ECONNRESET, "rz" },   { -ENOTCONN, "rz" },     { -ESHUTDOWN, "rz" },
    { -EPIPE, "rz" },    { -ECONNABORTED, "rz" }, { -ECONNREFUSED, "re" }, { -EIO, "re" },
    { TH_ELIMIT, "re" }, { -ECANCELED, "re" },    { -ETIMEDOUT, "re" },    { -EAGAIN, "r" },
};

FIBER_TEST(a_broken_connection_is_the_end_and_any_other_failure_an_error)
{
    for (size_t i = 0; i < thi_array_len(verdicts); i++) {
        channel c = { .fails_in = 'r', .result = verdicts[i].result, .keeps_open = true };
        int peer = open_channel(&c, &reading, NULL, AF_UNIX);
        peer_sends(peer, "x");
        turn_until(NULL, strlen(c.told) >= strlen(verdicts[i].told));
        turn_a_few(NULL);
        ck_assert_str_eq(c.told, verdicts[i].told);
        close(peer);
        end_channels(NULL);
    }
}

FIBER_TEST(a_handler_that_fails_in_error_or_close_loses_its_descriptor)
{
    channel c = { .fails_in = 'r', .result = -EIO };
    int peer = open_channel(&c, &reading, NULL, AF_UNIX);
    peer_sends(peer, "x");
    turn_until(NULL, c.err);
    c.fails_in = 'z';
    c.keeps_open = true;
    close(peer);
    turn_until(NULL, strchr(c.told, 'z'));
    ck_assert_uint_eq(th_dispatch_map_count(NULL), 0);
    end_channels(NULL);
    ck_assert_str_eq(c.told, "rezrR");
}

/* ---- events ---- */

FIBER_TEST(what_arrives_is_read_and_told_again_while_something_is_left)
{
    each_family(family)
    {
        channel c = { .step = 3 };
        int peer = open_channel(&c, &reading, NULL, family);
        turn_a_few(NULL);
        ck_assert_str_eq(c.told, "");
        peer_sends(peer, "seven b");
        turn_until(NULL, c.got_len == 7);
        turn_a_few(NULL);
        ck_assert_str_eq(c.told, "rrr");
        ck_assert_str_eq(c.got, "seven b");
        close(peer);
        end_channels(NULL);
    }
}

FIBER_TEST(what_a_handler_leaves_is_told_again_and_again)
{
    channel c = { .reads_not = true };
    int peer = open_channel(&c, &reading, NULL, AF_INET);
    peer_sends(peer, "x");
    turn_until(NULL, strlen(c.told) == 5);
    ck_assert_str_eq(c.told, "rrrrr");
    /* Read by somebody else, there is nothing to tell any more. */
    char byte;
    ck_assert_int_eq(recv(th_dispatcher_fd(c.d), &byte, 1, 0), 1);
    turn_a_few(NULL);
    ck_assert_str_eq(c.told, "rrrrr");
    peer_sends(peer, "y");
    turn_until(NULL, strlen(c.told) == 6);
    close(peer);
    end_channels(NULL);
}

FIBER_TEST(room_to_write_is_told_while_the_gate_is_open)
{
    channel c = { 0 };
    int peer = open_channel(&c, &gated, NULL, AF_INET);
    turn_a_few(NULL);
    ck_assert_str_eq(c.told, "");
    c.writable = true;
    turn_until(NULL, strlen(c.told) == 3);
    ck_assert_str_eq(c.told, "www");
    c.writable = false;
    turn_a_few(NULL);
    ck_assert_str_eq(c.told, "www");
    close(peer);
    end_channels(NULL);
}

static char buffer[256 * 1024];

/* Until the kernel takes no more, and can say so. */
static size_t fill(th_dispatcher *d)
{
    size_t total = 0;
    ssize_t n;
    while ((n = th_dispatcher_send(d, buffer, sizeof buffer)) > 0)
        total += (size_t)n;
    ck_assert_int_eq(n, 0);
    return total;
}

static void drain(int fd, size_t total)
{
    while (total > 0) {
        ssize_t n = recv(fd, buffer, thi_min(total, sizeof buffer), 0);
        ck_assert_int_gt(n, 0);
        total -= (size_t)n;
    }
}

FIBER_TEST(without_room_nothing_is_told_and_sending_sends_nothing)
{
    each_family(family)
    {
        channel c = { .writable = true };
        int peer = open_channel(&c, &gated, NULL, family);
        size_t total = fill(c.d);
        turn_a_few(NULL);
        ck_assert_str_eq(c.told, "");
        drain(peer, total);
        turn_until(NULL, c.told[0]);
        ck_assert_int_eq(c.told[0], 'w');
        close(peer);
        end_channels(NULL);
    }
}

FIBER_TEST(the_end_is_told_by_the_read_that_finds_it)
{
    each_family(family)
    {
        channel c = { 0 };
        int peer = open_channel(&c, &reading, NULL, family);
        peer_sends(peer, "last");
        close(peer);
        ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_SECOND, -1), 0);
        ck_assert_str_eq(c.got, "last");
        ck_assert_int_eq(c.last, 0);
        ck_assert_ptr_nonnull(strstr(c.told, "zr")); /* within the handler that reads */
        ck_assert_int_eq(c.told[strlen(c.told) - 1], 'R');
    }
}

FIBER_TEST(a_half_closed_connection_is_told_and_can_still_be_written_to)
{
    channel c = { .keeps_open = true };
    int peer = open_channel(&c, &reading, NULL, AF_INET);
    ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
    turn_until(NULL, strchr(c.told, 'z'));
    turn_a_few(NULL);
    ck_assert_str_eq(c.told, "zr"); /* once, and no turn is spent on it any more */
    ck_assert_int_eq(th_dispatcher_push(c.d, "still here", 10), 0);
    peer_receives(peer, "still here");
    close(peer);
    end_channels(NULL);
}

FIBER_TEST(a_reset_is_told_as_the_end)
{
    each_family(family)
    {
        if (family == AF_UNIX)
            continue;
        channel c = { 0 };
        int peer = open_channel(&c, &reading, NULL, family);
        peer_resets(peer);
        ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_SECOND, -1), 0);
        ck_assert_str_eq(c.told, "zrR");
        ck_assert_int_eq(c.last, 0);
    }
}

/* With both gates closed nothing is asked of the kernel; with one open the end is told. */
FIBER_TEST(a_hang_up_is_told_once_even_to_who_does_not_read)
{
    channel c = { .keeps_open = true };
    int peer = open_channel(&c, &gated, NULL, AF_INET);
    peer_resets(peer);
    turn_a_few(NULL);
    ck_assert_str_eq(c.told, "");
    c.writable = true;
    turn_until(NULL, strchr(c.told, 'z'));
    char first[sizeof c.told];
    snprintf(first, sizeof first, "%s", c.told);
    ck_assert_str_eq(first + strspn(first, "w"), "z");
    ck_assert_int_eq(first[0], 'w');
    c.writable = false;
    turn_a_few(NULL);
    ck_assert_str_eq(c.told, first);
    end_channels(NULL);
}

FIBER_TEST(an_urgent_byte_is_told)
{
    for (int i = 0; i < 2; i++) {
        channel c = { 0 };
        int peer = open_channel(&c, &reading, NULL, families[i]);
        ck_assert_int_eq(send(peer, "!", 1, MSG_OOB), 1);
        turn_until(NULL, strchr(c.told, 'x'));
        char byte;
        ck_assert_int_eq(recv(th_dispatcher_fd(c.d), &byte, 1, MSG_OOB), 1);
        ck_assert_int_eq(byte, '!');
        size_t len = strlen(c.told);
        turn_a_few(NULL);
        ck_assert_uint_le(strlen(c.told), len + 1);
        ck_assert_ptr_null(strchr(c.told, 'z'));
        close(peer);
        end_channels(NULL);
    }
}

FIBER_TEST(read_write_urgent_come_in_this_order_and_the_end_when_all_is_read)
{
    channel c = { .reads_not = true, .readable = true, .writable = true };
    int peer = open_channel(&c, &gated, NULL, AF_INET);
    ck_assert_int_eq(send(peer, "x", 1, 0), 1);
    ck_assert_int_eq(send(peer, "!", 1, MSG_OOB), 1);
    turn_until(NULL, strstr(c.told, "rwx"));
    ck_assert_int_eq(shutdown(th_dispatcher_fd(c.d), SHUT_WR), 0);
    close(peer);
    memset(c.told, 0, sizeof c.told);
    turn_a_few(NULL);
    ck_assert_ptr_null(strchr(c.told, 'z'));
    c.reads_not = false;
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_SECOND, -1), 0);
    ck_assert_str_eq(c.got, "x");
    ck_assert_ptr_nonnull(strchr(c.told, 'z'));
}

/* Longer than one receive takes, and the end right behind it. */
FIBER_TEST(nothing_that_arrived_before_the_end_is_lost)
{
    each_family(family)
    {
        channel c = { .step = 100 };
        int peer = open_channel(&c, &reading, NULL, family);
        char much[250];
        memset(much, 'm', sizeof much);
        ck_assert_int_eq(send(peer, much, sizeof much, 0), sizeof much);
        close(peer);
        ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_SECOND, -1), 0);
        ck_assert_uint_eq(c.got_len, sizeof much);
        ck_assert_str_eq(c.told, "rrrzrR");
    }
}

FIBER_TEST(urgent_data_of_a_broken_connection_is_its_end)
{
    channel c = { .reads_not = true };
    int peer = open_channel(&c, &reading, NULL, AF_INET);
    ck_assert_int_eq(send(peer, "!", 1, MSG_OOB), 1);
    peer_resets(peer);
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_SECOND, -1), 0);
    ck_assert_str_eq(c.told + strspn(c.told, "r"), "zR");
}

/* Whether the trace has a callback of that function on that descriptor. */
static bool is_traced(int fd, uintptr_t function)
{
    bool found = false;
    thi_trace_copy *copy = NULL;
    ck_assert_int_eq(thi_trace_take(&copy), 0);
    while (copy) {
        thi_trace_copy *next = copy->next;
        for (uint64_t i = 0; i < copy->ring.count; i++) {
            const th_trace_record *r = &copy->records[i];
            if (r->kind == TH_TRACE_CALLBACK && r->channel == (uint64_t)fd)
                found |= r->function == function && r->extra == TH_FD_READ;
        }
        thi_free(copy);
        copy = next;
    }
    return found;
}

FIBER_TEST(the_trace_has_each_callback)
{
    channel c = { 0 };
    int peer = open_channel(&c, &reading, NULL, AF_UNIX);
    ck_assert_int_eq(th_trace_start(NULL), 0);
    peer_sends(peer, "x");
    turn_until(NULL, c.got_len);
    ck_assert(is_traced(th_dispatcher_fd(c.d), (uintptr_t)on_read));
    ck_assert(!is_traced(th_dispatcher_fd(c.d), (uintptr_t)on_close));
    ck_assert_int_eq(th_trace_stop(), 0);
    close(peer);
    end_channels(NULL);
}

/* ---- nobody handles it ---- */

FIBER_TEST(what_nobody_handles_is_told_once)
{
    channel c = { 0 };
    int peer = open_channel(&c, &deaf, NULL, AF_INET);
    turn_until(NULL, c.logged == 1);
    ck_assert_str_eq(c.log, "unhandled write event");
    ck_assert_int_eq(c.level, TH_LOG_DEBUG);
    peer_sends(peer, "x");
    turn_until(NULL, c.logged == 2);
    ck_assert_str_eq(c.log, "unhandled read event");
    peer_sends(peer, "y");
    turn_a_few(NULL);
    ck_assert_uint_eq(c.logged, 2);
    peer_resets(peer);
    /* select(2) does not tell of a hang-up who does not read. */
    if (strcmp(thi_worker_self->loop.engine->name, "select") == 0)
        ck_assert_int_eq(th_dispatcher_close(c.d), 0);
    else
        turn_until(NULL, strcmp(c.log, "unhandled close event") == 0);
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_SECOND, -1), 0);
    ck_assert_str_eq(c.told, "R");
}

FIBER_TEST(urgent_data_nobody_handles_is_told_once)
{
    channel c = { 0 };
    int peer = open_channel(&c, &deaf, NULL, AF_INET);
    ck_assert_int_eq(send(peer, "!", 1, MSG_OOB), 1);
    turn_until(NULL, strcmp(c.log, "unhandled exceptional event") == 0);
    unsigned logged = c.logged;
    turn_a_few(NULL);
    ck_assert_uint_le(c.logged, logged + 1);
    ck_assert_uint_le(c.logged, 3);
    close(peer);
    end_channels(NULL);
}

static unsigned sunk;

static void sink(void *ctx, th_log_level level, th_str text)
{
    (void)ctx;
    if (level <= TH_LOG_WARNING || strstr(text.ptr, "unhandled"))
        sunk++;
}

/* The level that is wanted says which kinds of messages are dropped. */
FIBER_TEST(messages_go_where_the_librarys_go_and_warnings_are_left_out_by_default)
{
    static const th_dispatcher_ops nothing = { .name = "nothing" };
    for (int wanted = 0; wanted < 2; wanted++) {
        channel c = { 0 };
        ck_assert_int_eq(th_log_set_sink(sink, NULL, wanted ? TH_LOG_DEBUG : TH_LOG_INFO), 0);
        sunk = 0;
        int peer = open_channel(&c, &nothing, NULL, AF_UNIX);
        peer_sends(peer, "x");
        turn_a_few(NULL);
        ck_assert_uint_eq(sunk, wanted ? 2 : 0);
        close(peer);
        end_channels(NULL);
    }
    ck_assert_int_eq(th_log_set_sink(NULL, NULL, TH_LOG_OFF), 0);
}

/* ---- accepting ---- */

static void open_listener(channel *c, const th_dispatcher_ops *ops, int family)
{
    make(c, ops, NULL);
    ck_assert_int_eq(th_dispatcher_create(c->d, family, SOCK_STREAM), 0);
    ck_assert_int_eq(th_dispatcher_set_reuse_addr(c->d), 0);
    ck_assert_int_eq(th_dispatcher_bind(c->d, address_of(family)), 0);
    ck_assert_int_eq(th_dispatcher_listen(c->d, 5), 0);
    ck_assert_uint_eq(th_dispatcher_state(c->d), TH_DISPATCHER_OPEN | TH_DISPATCHER_ACCEPTING);
}

static int client_of(const channel *c)
{
    th_addr addr;
    th_dispatcher_addr(c->d, &addr);
    return connect_bare(&addr);
}

FIBER_TEST(a_client_is_accepted_and_handed_over)
{
    each_family(family)
    {
        channel c = { 0 };
        open_listener(&c, &reading, family);
        turn_a_few(NULL);
        ck_assert_str_eq(c.told, "");
        int client = client_of(&c);
        turn_until(NULL, c.told[0]);
        ck_assert_str_eq(c.told, "a");
        ck_assert_int_ne(flags_of(c.accepted) & O_NONBLOCK, 0);
        ck_assert_int_ne(fcntl(c.accepted, F_GETFD) & FD_CLOEXEC, 0);
        th_addr here;
        thi_sockaddr sa;
        socklen_t len = sizeof sa;
        ck_assert_int_eq(getsockname(client, &sa.sa, &len), 0);
        thi_addr_from_sockaddr(&sa, len, &here);
        ck_assert(th_addr_equal(&here, &c.peer));
        /* It listens on, never connected, and nothing is read from it. */
        ck_assert_uint_eq(th_dispatcher_state(c.d), TH_DISPATCHER_OPEN | TH_DISPATCHER_ACCEPTING);
        close(c.accepted);
        close(client);
        end_channels(NULL);
    }
}

FIBER_TEST(many_clients_are_accepted_in_a_turn)
{
    channel c = { 0 };
    int client[20];
    make(&c, &reading, NULL);
    ck_assert_int_eq(th_dispatcher_bind(c.d, "127.0.0.1:0"), 0);
    ck_assert_int_eq(th_dispatcher_listen(c.d, 0), 0);
    for (size_t i = 0; i < thi_array_len(client); i++)
        client[i] = client_of(&c);
    c.fails_in = 'a'; /* so that they are closed */
    c.result = -EAGAIN;
    turn_until(NULL, strlen(c.told) == thi_array_len(client));
    for (size_t i = 0; i < thi_array_len(client); i++)
        close(client[i]);
    end_channels(NULL);
}

static struct {
    int result;
    int calls;
} own_accept;

static int accept_myself(th_dispatcher *d, void *arg)
{
    int fd = -1;
    th_addr peer;
    (void)arg;
    own_accept.calls++;
    while ((own_accept.result = th_dispatcher_accept(d, &fd, &peer)) == 1)
        close(fd);
    return own_accept.result;
}

FIBER_TEST(a_handler_of_its_own_accepts_until_there_is_nobody)
{
    static const th_dispatcher_ops ops = { .accept = accept_myself };
    channel c = { 0 };
    own_accept.calls = 0;
    open_listener(&c, &ops, AF_INET);
    ck_assert_int_eq(th_dispatcher_accept(c.d, &c.accepted, NULL), 0);
    int one = client_of(&c);
    int two = client_of(&c);
    turn_until(NULL, own_accept.calls > 0);
    turn_a_few(NULL);
    ck_assert_int_eq(own_accept.calls, 1);
    ck_assert_int_eq(own_accept.result, 0);
    close(one);
    close(two);
    end_channels(NULL);
}

static int lack_descriptors(th_dispatcher *d, void *arg)
{
    channel *c = arg;
    (void)d;
    tell(c, 'A');
    return c->told[1] ? TH_DISPATCH_LEAVE : -EMFILE;
}

/* It neither spins nor is it lost. */
FIBER_TEST(a_handler_of_its_own_that_lacks_descriptors_rests_as_well)
{
    static const th_dispatcher_ops ops = { .accept = lack_descriptors, .log = on_log };
    channel c = { 0 };
    open_listener(&c, &ops, AF_INET);
    int client = client_of(&c);
    int64_t began = th_now();
    ck_assert_int_eq(th_dispatch_map_loop(NULL, TH_NEVER, -1), TH_DISPATCH_LEAVE);
    ck_assert_int_ge(th_now() - began, 90 * TH_MILLISECOND);
    ck_assert_str_eq(c.told, "AA");
    ck_assert_int_eq(c.level, TH_LOG_ERROR);
    ck_assert_ptr_nonnull(strstr(c.log, th_strerror(EMFILE)));
    close(client);
    end_channels(NULL);
}

FIBER_TEST(a_client_nobody_wants_is_closed)
{
    channel c = { 0 };
    open_listener(&c, &deaf, AF_INET);
    int client = client_of(&c);
    turn_until(NULL, c.logged);
    ck_assert_str_eq(c.log, "unhandled accepted event");
    char byte;
    ck_assert_int_eq(recv(client, &byte, 1, 0), 0);
    close(client);
    end_channels(NULL);
}

FIBER_TEST(a_client_whose_handler_fails_is_closed_unless_it_was_attached)
{
    channel c = { .fails_in = 'a', .result = -EIO };
    open_listener(&c, &reading, AF_UNIX);
    int client = client_of(&c);
    turn_until(NULL, c.err);
    ck_assert_str_eq(c.told, "ae");
    char byte;
    ck_assert_int_eq(recv(client, &byte, 1, 0), 0);
    close(client);
    end_channels(NULL);
}

/* The kernel gives an aborted connection to whoever accepts, or hides it: both are survived. */
FIBER_TEST(a_client_that_resets_at_once_does_no_harm)
{
    channel c = { 0 };
    open_listener(&c, &reading, AF_INET);
    for (int i = 0; i < 4; i++)
        peer_resets(client_of(&c));
    int client = client_of(&c);
    thi_sockaddr sa;
    th_addr here;
    socklen_t len = sizeof sa;
    ck_assert_int_eq(getsockname(client, &sa.sa, &len), 0);
    thi_addr_from_sockaddr(&sa, len, &here);
    c.fails_in = 'a';
    c.result = -EAGAIN;
    turn_until(NULL, th_addr_equal(&here, &c.peer));
    ck_assert_int_eq(c.err, 0);
    close(client);
    end_channels(NULL);
}

/* ---- connecting ---- */

FIBER_TEST(a_connection_is_told_once_before_anything_else)
{
    each_family(family)
    {
        char text[TH_ADDR_TEXT];
        channel c = { .writable = true, .readable = true };
        int listener = listen_bare(family, text);
        make(&c, &gated, NULL);
        ck_assert_int_eq(th_dispatcher_connect(c.d, text), 0);
        turn_until(NULL, strlen(c.told) >= 2);
        ck_assert_int_eq(strncmp(c.told, "cw", 2), 0);
        ck_assert_ptr_null(strchr(c.told + 1, 'c'));
        ck_assert_uint_eq(th_dispatcher_state(c.d), TH_DISPATCHER_OPEN | TH_DISPATCHER_CONNECTED);
        close(listener);
        end_channels(NULL);
    }
}

/* The event that brings the connection also brings what it is about. */
FIBER_TEST(the_first_event_of_a_connection_may_be_one_to_read)
{
    char text[TH_ADDR_TEXT];
    channel c = { .readable = true };
    int listener = listen_bare(AF_INET, text);
    make(&c, &gated, NULL);
    ck_assert_int_eq(th_dispatcher_connect(c.d, text), 0);
    int peer = accept(listener, NULL, NULL);
    peer_sends(peer, "hello");
    turn_until(NULL, c.got_len);
    ck_assert_str_eq(c.told, "cr");
    ck_assert_str_eq(c.got, "hello");
    close(peer);
    close(listener);
    end_channels(NULL);
}

/* An address where nobody listens. */
static void address_of_nobody(char text[TH_ADDR_TEXT])
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, len), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    snprintf(text, TH_ADDR_TEXT, "127.0.0.1:%u", ntohs(in.sin_port));
    close(fd);
}

static char error_detail[256];

static void keep_detail(channel *c, char event)
{
    (void)c;
    if (event == 'e')
        snprintf(error_detail, sizeof error_detail, "%s", th_err_detail());
}

FIBER_TEST(a_refused_connection_is_an_error)
{
    char text[TH_ADDR_TEXT];
    address_of_nobody(text);
    channel c = { .act = keep_detail };
    make(&c, &reading, NULL);
    int err = th_dispatcher_connect(c.d, text);
    if (err == 0) {
        turn_until(NULL, c.err);
        ck_assert_str_eq(c.told, "e");
        err = c.err;
        ck_assert_ptr_nonnull(strstr(error_detail, text));
    }
    ck_assert_int_eq(err, -ECONNREFUSED);
    ck_assert_uint_eq(th_dispatcher_state(c.d) & TH_DISPATCHER_CONNECTED, 0);
    end_channels(NULL);
}

static char second_try[TH_ADDR_TEXT];

static void try_again(channel *c, char event)
{
    if (event != 'e')
        return;
    ck_assert_int_eq(th_dispatcher_close(c->d), 0);
    ck_assert_int_eq(th_dispatcher_connect(c->d, second_try), 0);
}

FIBER_TEST(whoever_was_refused_can_try_again_with_the_same_dispatcher)
{
    char text[TH_ADDR_TEXT];
    int listener = listen_bare(AF_INET, second_try);
    address_of_nobody(text);
    channel c = { .act = try_again };
    make(&c, &reading, NULL);
    ck_assert_int_eq(th_dispatcher_connect(c.d, text), 0);
    turn_until(NULL, c.told[1]);
    ck_assert_str_eq(c.told, "ec");
    ck_assert_uint_eq(th_dispatcher_state(c.d), TH_DISPATCHER_OPEN | TH_DISPATCHER_CONNECTED);
    int peer = accept(listener, NULL, NULL);
    peer_sends(peer, "at last");
    turn_until(NULL, c.got_len);
    ck_assert_str_eq(c.got, "at last");
    close(peer);
    close(listener);
    end_channels(NULL);
}

FIBER_TEST(what_connect_says_at_once_goes_to_the_caller)
{
    channel c = { 0 };
    make(&c, &reading, NULL);
    ck_assert_int_eq(th_dispatcher_connect(c.d, "unix:/nowhere/at/all"), -ENOENT);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "/nowhere/at/all"));
    ck_assert_int_eq(th_dispatcher_connect(c.d, "no address"), TH_EADDRESS);
    ck_assert_int_eq(th_dispatcher_connect(c.d, NULL), -EINVAL);
    ck_assert_str_eq(c.told, "");
    end_channels(NULL);
    ck_assert_str_eq(c.told, "R");
}

/* Nothing would ever come of it, unlike what is under way over TCP. */
FIBER_TEST(a_unix_socket_whose_queue_is_full_refuses_at_once)
{
    char text[TH_ADDR_TEXT];
    channel c[8] = { 0 };
    int err = 0;
    int tried = 0;
    int listener = listen_bare(AF_UNIX, text);
    ck_assert_int_eq(listen(listener, 0), 0);
    for (; tried < 8 && err == 0; tried++) {
        make(&c[tried], &reading, NULL);
        err = th_dispatcher_connect(c[tried].d, text);
    }
    ck_assert_int_eq(err, -EAGAIN);
    ck_assert_uint_eq(th_dispatcher_state(c[tried - 1].d), TH_DISPATCHER_OPEN);
    turn_a_few(NULL);
    ck_assert_str_eq(c[tried - 1].told, "");
    close(listener);
    end_channels(NULL);
}

FIBER_TEST(a_connection_that_is_there_at_once_is_told_before_connect_returns)
{
    char text[TH_ADDR_TEXT];
    channel c = { 0 };
    int listener = listen_bare(AF_UNIX, text);
    make(&c, &reading, NULL);
    ck_assert_int_eq(th_dispatcher_connect(c.d, text), 0);
    ck_assert_str_eq(c.told, "c");
    close(listener);
    end_channels(NULL);
    channel failing = { .fails_in = 'c', .result = -EIO };
    listener = listen_bare(AF_UNIX, text);
    make(&failing, &reading, NULL);
    ck_assert_int_eq(th_dispatcher_connect(failing.d, text), -EIO);
    close(listener);
    end_channels(NULL);
}

/* ---- sockets ---- */

FIBER_TEST(a_new_socket_is_of_the_kind_that_was_asked_for)
{
    static const int types[] = { SOCK_STREAM, SOCK_DGRAM };
    each_family(family)
    {
        for (size_t i = 0; i < thi_array_len(types); i++) {
            int domain = 0;
            int type = 0;
            socklen_t len = sizeof type;
            channel c = { 0 };
            make(&c, &reading, NULL);
            ck_assert_int_eq(th_dispatcher_create(c.d, family, types[i]), 0);
            int fd = th_dispatcher_fd(c.d);
            ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len), 0);
            ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len), 0);
            ck_assert_int_eq(type, types[i]);
            ck_assert_int_eq(domain, family);
            ck_assert_int_ne(flags_of(fd) & O_NONBLOCK, 0);
            ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
            ck_assert_int_eq(th_dispatcher_create(c.d, family, types[i]), -EBUSY);
            end_channels(NULL);
        }
    }
}

FIBER_TEST(an_address_in_use_is_reported)
{
    each_family(family)
    {
        char text[TH_ADDR_TEXT];
        th_addr addr;
        channel one = { 0 };
        channel two = { 0 };
        make(&one, &reading, NULL);
        make(&two, &reading, NULL);
        ck_assert_int_eq(th_dispatcher_bind(one.d, address_of(family)), 0);
        ck_assert_int_eq(th_dispatcher_listen(one.d, 0), 0);
        th_dispatcher_addr(one.d, &addr);
        th_addr_format(&addr, text, sizeof text);
        ck_assert_int_eq(th_dispatcher_bind(two.d, text), -EADDRINUSE);
        ck_assert_ptr_nonnull(strstr(th_err_detail(), text));
        end_channels(NULL);
    }
}

FIBER_TEST(an_address_may_be_reused)
{
    int on = 0;
    socklen_t len = sizeof on;
    channel c = { 0 };
    make(&c, &reading, NULL);
    ck_assert_int_eq(th_dispatcher_set_reuse_addr(c.d), -EBADF);
    ck_assert_int_eq(th_dispatcher_create(c.d, AF_INET, SOCK_STREAM), 0);
    ck_assert_int_eq(th_dispatcher_set_reuse_addr(c.d), 0);
    ck_assert_int_eq(getsockopt(th_dispatcher_fd(c.d), SOL_SOCKET, SO_REUSEADDR, &on, &len), 0);
    ck_assert_int_ne(on, 0);
    end_channels(NULL);
    /* What does not know the option does not mind. */
    int fds[2];
    channel p = { 0 };
    ck_assert_int_eq(pipe(fds), 0);
    make(&p, &reading, NULL);
    ck_assert_int_eq(th_dispatcher_attach(p.d, fds[0], 0), 0);
    ck_assert_int_eq(th_dispatcher_set_reuse_addr(p.d), 0);
    close(fds[1]);
    end_channels(NULL);
}

FIBER_TEST(sending_to_a_broken_connection_is_its_end)
{
    channel c = { .reads_not = true };
    int peer = open_channel(&c, &reading, NULL, AF_UNIX);
    close(peer);
    ck_assert_int_eq(th_dispatcher_send(c.d, "x", 1), 0);
    ck_assert_str_eq(c.told, "z");
    ck_assert_int_eq(th_dispatcher_send(c.d, "x", 1), -EBADF);
    end_channels(NULL);
}

FIBER_TEST(receiving_from_what_is_not_connected_is_its_end_and_nothing_there_is_told)
{
    char buf[8];
    channel c = { 0 };
    make(&c, &reading, NULL);
    ck_assert_int_eq(th_dispatcher_create(c.d, AF_INET, SOCK_STREAM), 0);
    ck_assert_int_eq(th_dispatcher_recv(c.d, buf, sizeof buf), 0);
    ck_assert_str_eq(c.told, "z");
    end_channels(NULL);
    channel p = { 0 };
    int peer = open_channel(&p, &reading, NULL, AF_INET);
    ck_assert_int_eq(th_dispatcher_recv(p.d, buf, sizeof buf), -EAGAIN);
    ck_assert_int_eq(th_dispatcher_recv(p.d, buf, 0), -EINVAL);
    ck_assert_str_eq(p.told, "");
    close(peer);
    end_channels(NULL);
}

FIBER_TEST(datagrams_come_with_their_sender)
{
    for (int i = 0; i < 2; i++) {
        char text[TH_ADDR_TEXT];
        char buf[16] = "";
        th_addr server;
        th_addr from;
        channel c = { .reads_not = true };
        channel peer = { .reads_not = true };
        make(&c, &reading, NULL);
        ck_assert_int_eq(th_dispatcher_create(c.d, families[i], SOCK_DGRAM), 0);
        ck_assert_int_eq(th_dispatcher_bind(c.d, address_of(families[i])), 0);
        th_dispatcher_addr(c.d, &server);
        make(&peer, &reading, NULL);
        ck_assert_int_eq(th_dispatcher_create(peer.d, families[i], SOCK_DGRAM), 0);
        ck_assert_int_eq(th_dispatcher_connect(peer.d, th_addr_format(&server, text, sizeof text)),
                         0);
        ck_assert_str_eq(peer.told, "c");
        ck_assert_int_eq(th_dispatcher_send_to(peer.d, "", 0, NULL), 0);
        ck_assert_int_eq(th_dispatcher_send_to(peer.d, "ping", 4, NULL), 4);
        turn_until(NULL, c.told[0]);
        ck_assert_int_eq(th_dispatcher_recv(c.d, buf, sizeof buf), 0); /* no end */
        ck_assert_ptr_null(strchr(c.told, 'z'));
        ck_assert_int_eq(th_dispatcher_recv_from(c.d, buf, sizeof buf, &from), 4);
        ck_assert_str_eq(buf, "ping");
        ck_assert_int_eq(th_dispatcher_recv_from(c.d, buf, sizeof buf, &from), -EAGAIN);
        ck_assert_int_eq(th_dispatcher_send_to(c.d, "pong", 4, &from), 4);
        turn_until(NULL, peer.told[1]);
        ck_assert_int_eq(th_dispatcher_recv_from(peer.d, buf, sizeof buf, &from), 4);
        ck_assert_str_eq(buf, "pong");
        ck_assert(th_addr_equal(&from, &server));
        ck_assert_int_eq(th_dispatcher_push(c.d, "x", 1), -EINVAL);
        end_channels(NULL);
    }
}

static void fill_suite(Suite *suite)
{
    TCase *tc = thi_check_case(suite, "results");
    add_on_engines(tc, a_positive_result_leaves_the_loop);
    add_on_engines(tc, those_whose_turn_had_not_come_when_a_handler_left_are_called_the_next_time);
    add_on_engines(tc, a_failure_is_told_to_its_own_dispatcher_and_the_loop_goes_on);
    add_on_engines(tc, without_a_handler_a_failure_is_logged_and_closes);
    add_on_engines(tc, a_broken_connection_is_the_end_and_any_other_failure_an_error);
    add_on_engines(tc, a_handler_that_fails_in_error_or_close_loses_its_descriptor);
    tc = thi_check_case(suite, "events");
    add_on_engines(tc, what_arrives_is_read_and_told_again_while_something_is_left);
    add_on_engines(tc, what_a_handler_leaves_is_told_again_and_again);
    add_on_engines(tc, room_to_write_is_told_while_the_gate_is_open);
    add_on_engines(tc, without_room_nothing_is_told_and_sending_sends_nothing);
    add_on_engines(tc, the_end_is_told_by_the_read_that_finds_it);
    add_on_engines(tc, a_half_closed_connection_is_told_and_can_still_be_written_to);
    add_on_engines(tc, a_reset_is_told_as_the_end);
    add_on_engines(tc, a_hang_up_is_told_once_even_to_who_does_not_read);
    add_on_engines(tc, an_urgent_byte_is_told);
    add_on_engines(tc, read_write_urgent_come_in_this_order_and_the_end_when_all_is_read);
    add_on_engines(tc, nothing_that_arrived_before_the_end_is_lost);
    add_on_engines(tc, urgent_data_of_a_broken_connection_is_its_end);
    add_on_engines(tc, the_trace_has_each_callback);
    add_on_engines(tc, what_nobody_handles_is_told_once);
    add_on_engines(tc, urgent_data_nobody_handles_is_told_once);
    add_on_engines(tc, messages_go_where_the_librarys_go_and_warnings_are_left_out_by_default);
    tc = thi_check_case(suite, "accepting");
    add_on_engines(tc, a_client_is_accepted_and_handed_over);
    add_on_engines(tc, many_clients_are_accepted_in_a_turn);
    add_on_engines(tc, a_handler_of_its_own_accepts_until_there_is_nobody);
    add_on_engines(tc, a_handler_of_its_own_that_lacks_descriptors_rests_as_well);
    add_on_engines(tc, a_client_nobody_wants_is_closed);
    add_on_engines(tc, a_client_whose_handler_fails_is_closed_unless_it_was_attached);
    add_on_engines(tc, a_client_that_resets_at_once_does_no_harm);
    tc = thi_check_case(suite, "connecting");
    add_on_engines(tc, a_connection_is_told_once_before_anything_else);
    add_on_engines(tc, the_first_event_of_a_connection_may_be_one_to_read);
    add_on_engines(tc, a_refused_connection_is_an_error);
    add_on_engines(tc, whoever_was_refused_can_try_again_with_the_same_dispatcher);
    add_on_engines(tc, what_connect_says_at_once_goes_to_the_caller);
    add_on_engines(tc, a_unix_socket_whose_queue_is_full_refuses_at_once);
    add_on_engines(tc, a_connection_that_is_there_at_once_is_told_before_connect_returns);
    tc = thi_check_case(suite, "sockets");
    add_on_engines(tc, a_new_socket_is_of_the_kind_that_was_asked_for);
    add_on_engines(tc, an_address_in_use_is_reported);
    add_on_engines(tc, an_address_may_be_reused);
    add_on_engines(tc, sending_to_a_broken_connection_is_its_end);
    add_on_engines(tc, receiving_from_what_is_not_connected_is_its_end_and_nothing_there_is_told);
    add_on_engines(tc, datagrams_come_with_their_sender);
}

int main(void)
{
    return thi_check_run("callback/dispatcher", fill_suite);
}
