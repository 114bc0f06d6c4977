/* SPDX-License-Identifier: MIT */

/* Sending what the kernel does not take at once: order, limits, the end of it. */
#include "callback/channels.h"

#include "base/alloc.h"

#define MUCH (3 * 1024 * 1024)

static unsigned char byte_at(size_t i)
{
    return (unsigned char)(i * 31 + i / 4096);
}

static void fill_pattern(char *buf, size_t at, size_t size)
{
    for (size_t i = 0; i < size; i++)
        buf[i] = (char)byte_at(at + i);
}

/* Takes what comes and sees that it is the pattern. */
static void take_pattern(int fd, size_t *at, th_dispatch_map *map, size_t total)
{
    static char got[64 * 1024];
    while (*at < total) {
        ssize_t n = recv(fd, got, sizeof got, MSG_DONTWAIT);
        if (n < 0) {
            ck_assert_int_eq(th_dispatch_map_loop(map, TH_SECOND, 1), 0);
            continue;
        }
        ck_assert_int_gt(n, 0);
        for (ssize_t i = 0; i < n; i++)
            ck_assert_int_eq((unsigned char)got[i], byte_at(*at + (size_t)i));
        *at += (size_t)n;
    }
}

static th_dispatch_map *map_without_limit(void)
{
    th_dispatch_map *map = NULL;
    th_dispatch_map_opts opts = { .push_high = SIZE_MAX };
    ck_assert_int_eq(th_dispatch_map_new(&opts, &map), 0);
    return map;
}

FIBER_TEST(all_that_was_pushed_arrives_in_order)
{
    each_family(family)
    {
        th_dispatch_map *map = map_without_limit();
        channel c = { 0 };
        static char piece[7001];
        size_t pushed = 0;
        size_t taken = 0;
        int peer = open_channel(&c, &reading, map, family);
        int small = 16 * 1024;
        ck_assert_int_eq(
            setsockopt(th_dispatcher_fd(c.d), SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
        for (size_t size = 1; pushed < MUCH; size = size * 3 % sizeof piece + 1) {
            fill_pattern(piece, pushed, size);
            ck_assert_int_eq(th_dispatcher_push(c.d, piece, size), 0);
            pushed += size;
        }
        ck_assert_uint_gt(th_dispatcher_pending(c.d), 0);
        take_pattern(peer, &taken, map, pushed);
        ck_assert_uint_eq(th_dispatcher_pending(c.d), 0);
        turn_until(map, c.told[0]);
        ck_assert_str_eq(c.told, "d");
        close(peer);
        end_channels(map);
        ck_assert_int_eq(th_dispatch_map_free(map), 0);
    }
}

FIBER_TEST(two_lines_are_sent_at_once_and_nothing_is_kept)
{
    channel c = { 0 };
    int peer = open_channel(&c, &reading, NULL, AF_INET);
    ck_assert_int_eq(th_dispatcher_push(c.d, "Suppose there isn't a 16-ton weight?", 36), 0);
    ck_assert_int_eq(th_dispatcher_push(c.d, "\n", 1), 0);
    ck_assert_int_eq(th_dispatcher_push(c.d, "", 0), 0);
    ck_assert_uint_eq(th_dispatcher_pending(c.d), 0);
    peer_receives(peer, "Suppose there isn't a 16-ton weight?\n");
    turn_a_few(NULL);
    ck_assert_str_eq(c.told, ""); /* nothing was kept, so nothing drains */
    close(peer);
    end_channels(NULL);
}

FIBER_TEST(before_the_connection_is_there_everything_is_kept)
{
    char text[TH_ADDR_TEXT];
    channel c = { 0 };
    int listener = listen_bare(AF_INET, text);
    make(&c, &reading, NULL);
    ck_assert_int_eq(th_dispatcher_push(c.d, "x", 1), -EBADF);
    ck_assert_int_eq(th_dispatcher_connect(c.d, text), 0);
    ck_assert_int_eq(th_dispatcher_push(c.d, "first", 5), 0);
    turn_until(NULL, strchr(c.told, 'd'));
    ck_assert_str_eq(c.told, "cd");
    int peer = accept(listener, NULL, NULL);
    peer_receives(peer, "first");
    close(peer);
    close(listener);
    end_channels(NULL);
}

FIBER_TEST(who_does_not_read_makes_pushing_fail_at_the_limit)
{
    th_dispatch_map *map = NULL;
    th_dispatch_map_opts opts = { .push_high = 100000 };
    static char piece[50000];
    channel c = { 0 };
    ck_assert_int_eq(th_dispatch_map_new(&opts, &map), 0);
    int peer = open_channel(&c, &reading, map, AF_UNIX);
    while (th_dispatcher_pending(c.d) == 0)
        ck_assert_int_eq(th_dispatcher_push(c.d, piece, sizeof piece), 0);
    while (th_dispatcher_pending(c.d) < 99999)
        ck_assert_int_eq(th_dispatcher_push(
                             c.d, piece, thi_min(sizeof piece, 99999 - th_dispatcher_pending(c.d))),
                         0);
    ck_assert_int_eq(th_dispatcher_push(c.d, piece, 1), 0); /* it is below the limit still */
    ck_assert_uint_eq(th_dispatcher_pending(c.d), 100000);
    ck_assert_int_eq(th_dispatcher_push(c.d, piece, 1), TH_ELIMIT);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "100000"));
    ck_assert_uint_eq(th_dispatcher_pending(c.d), 100000);
    close(peer);
    end_channels(map);
    ck_assert_int_eq(th_dispatch_map_free(map), 0);
}

FIBER_TEST(closing_drops_what_was_not_sent)
{
    th_dispatch_map *map = map_without_limit();
    static char much[MUCH];
    channel c = { 0 };
    int peer = open_channel(&c, &reading, map, AF_UNIX);
    int64_t live = thi_alloc_live();
    ck_assert_int_eq(th_dispatcher_push(c.d, much, sizeof much), 0);
    ck_assert_int_gt(thi_alloc_live(), live);
    ck_assert_int_eq(th_dispatcher_close(c.d), 0);
    ck_assert_int_eq(thi_alloc_live(), live);
    ck_assert_uint_eq(th_dispatcher_pending(c.d), 0);
    close(peer);
    end_channels(map);
    ck_assert_int_eq(th_dispatch_map_free(map), 0);
}

FIBER_TEST(pushing_to_a_broken_connection_tells_and_fails)
{
    channel c = { .reads_not = true };
    int peer = open_channel(&c, &reading, NULL, AF_UNIX);
    close(peer);
    ck_assert_int_eq(th_dispatcher_push(c.d, "x", 1), -EPIPE);
    ck_assert_str_eq(c.told, "z");
    end_channels(NULL);
}

/* The end was told and let pass; what cannot be sent any more must not keep the loop busy. */
FIBER_TEST(what_waits_for_a_broken_connection_is_dropped)
{
    th_dispatch_map *map = map_without_limit();
    static char much[MUCH];
    channel c = { .keeps_open = true };
    int peer = open_channel(&c, &reading, map, AF_INET);
    ck_assert_int_eq(th_dispatcher_push(c.d, much, sizeof much), 0);
    peer_resets(peer);
    turn_until(map, strchr(c.told, 'z'));
    turn_until(map, th_dispatcher_pending(c.d) == 0);
    size_t len = strlen(c.told);
    turn_a_few(map);
    ck_assert_uint_eq(strlen(c.told), len);
    ck_assert_ptr_eq(strchr(c.told, 'z'), strrchr(c.told, 'z'));
    end_channels(map);
    ck_assert_int_eq(th_dispatch_map_free(map), 0);
}

static int close_when_done(th_dispatcher *d, void *arg)
{
    tell(arg, 'z');
    return th_dispatcher_close_when_done(d);
}

FIBER_TEST(what_was_pushed_is_sent_before_closing_when_done)
{
    static char much[MUCH];
    th_dispatcher_ops ops = reading;
    ops.close = close_when_done;
    fill_pattern(much, 0, sizeof much);
    for (int by_peer = 0; by_peer < 2; by_peer++) {
        th_dispatch_map *map = map_without_limit();
        channel c = { 0 };
        size_t taken = 0;
        int peer = open_channel(&c, by_peer ? &ops : &reading, map, AF_UNIX);
        ck_assert_int_eq(th_dispatcher_push(c.d, much, sizeof much), 0);
        if (by_peer)
            ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
        else
            ck_assert_int_eq(th_dispatcher_close_when_done(c.d), 0);
        take_pattern(peer, &taken, map, sizeof much);
        ck_assert_int_eq(th_dispatch_map_loop(map, TH_SECOND, -1), 0);
        ck_assert_str_eq(c.told, by_peer ? "zrR" : "zR");
        close(peer);
        ck_assert_int_eq(th_dispatch_map_free(map), 0);
    }
}

/* A handler that is called for room to write comes after what was pushed before. */
FIBER_TEST(what_was_pushed_is_sent_before_room_is_told)
{
    th_dispatch_map *map = map_without_limit();
    static char much[MUCH];
    channel c = { .writable = true };
    size_t taken = 0;
    fill_pattern(much, 0, sizeof much);
    int peer = open_channel(&c, &gated, map, AF_UNIX);
    ck_assert_int_eq(th_dispatcher_push(c.d, much, sizeof much), 0);
    turn_a_few(map);
    ck_assert_str_eq(c.told, "");
    take_pattern(peer, &taken, map, sizeof much);
    turn_until(map, strchr(c.told, 'w'));
    ck_assert_int_eq(c.told[0], 'd');
    close(peer);
    end_channels(map);
    ck_assert_int_eq(th_dispatch_map_free(map), 0);
}

static void fill_suite(Suite *suite)
{
    TCase *tc = thi_check_case(suite, "push");
    add_on_engines(tc, all_that_was_pushed_arrives_in_order);
    add_on_engines(tc, two_lines_are_sent_at_once_and_nothing_is_kept);
    add_on_engines(tc, before_the_connection_is_there_everything_is_kept);
    add_on_engines(tc, who_does_not_read_makes_pushing_fail_at_the_limit);
    add_on_engines(tc, closing_drops_what_was_not_sent);
    add_on_engines(tc, pushing_to_a_broken_connection_tells_and_fails);
    add_on_engines(tc, what_waits_for_a_broken_connection_is_dropped);
    add_on_engines(tc, what_was_pushed_is_sent_before_room_is_told);
    add_on_engines(tc, what_was_pushed_is_sent_before_closing_when_done);
}

int main(void)
{
    return thi_check_run("callback/dispatch_push", fill_suite);
}
