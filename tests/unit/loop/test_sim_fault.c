/* SPDX-License-Identifier: MIT */

/* Each injected fault: what it does, when it strikes, and that the world recovers from it. */
#include "check_main.h"

#include "base/alloc.h"
#include "loop/sim.h"
#include "loop/sim_choice.h"
#include "loop/sim_clock.h"
#include "loop/sim_engine.h"
#include "loop/sim_fault.h"
#include "sys/sys.h"

#include <thrum/time.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static thi_sim world;
static int fds[2];

/* A world in which one fault strikes at its n-th chance; 0: never. */
static void open_world(int fault, uint32_t at)
{
    th_sim_opts opts = { .seed = 7 };
    opts.faults[fault].at = at;
    thi_sim_open(&world, &opts);
}

static void close_world(void)
{
    thi_sim_close(&world);
}

/* Lets an hour pass, with all that is under way. */
static void pass(void)
{
    thi_sim_pass(&world, world.now + TH_HOUR);
}

static int listen_any(void)
{
    int fd = thi_sys_socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(thi_sys_listen(fd, 8), 0);
    return fd;
}

static int start_connect(int listener)
{
    struct sockaddr_in sa;
    socklen_t n = sizeof sa;
    ck_assert_int_eq(thi_sys_getsockname(listener, (struct sockaddr *)&sa, &n), 0);
    int fd = thi_sys_socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(thi_sys_connect(fd, (struct sockaddr *)&sa, n), -EINPROGRESS);
    return fd;
}

static int error_of(int fd)
{
    int error = -1;
    socklen_t n = sizeof error;
    ck_assert_int_eq(thi_sys_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n), 0);
    return error;
}

static void tcp_pair(void)
{
    int listener = listen_any();
    fds[0] = start_connect(listener);
    pass();
    ck_assert_int_eq(error_of(fds[0]), 0);
    fds[1] = thi_sys_accept(listener, NULL, NULL);
    ck_assert_int_ge(fds[1], 0);
    ck_assert_int_eq(thi_sys_close(listener), 0);
}

static ssize_t send_all(const char *text)
{
    ssize_t n = thi_sys_send(fds[0], text, strlen(text), 0);
    pass();
    return n;
}

static ssize_t receive(size_t n)
{
    char buf[64];
    return thi_sys_recv(fds[1], buf, n, 0);
}

/* ---- transfers ---- */

START_TEST(read_is_cut_short_and_the_rest_stays)
{
    open_world(TH_SIM_SHORT_READ, 1);
    tcp_pair();
    ck_assert_int_eq(send_all("0123456789"), 10);
    ssize_t n = receive(10);
    ck_assert(n >= 1 && n < 10);
    ck_assert_int_eq(receive(10), 10 - n);
    close_world();
}
END_TEST

START_TEST(write_is_cut_short)
{
    open_world(TH_SIM_SHORT_WRITE, 1);
    tcp_pair();
    ssize_t n = send_all("0123456789");
    ck_assert(n >= 1 && n < 10);
    ck_assert_int_eq(receive(10), n);
    close_world();
}
END_TEST

START_TEST(eagain_is_told_once_although_something_is_there)
{
    open_world(TH_SIM_AGAIN, 2); /* the first chance was that of accept */
    tcp_pair();
    ck_assert_int_eq(send_all("x"), -EAGAIN);
    ck_assert_int_eq(send_all("x"), 1);
    ck_assert_int_eq(receive(1), 1);
    close_world();
}
END_TEST

START_TEST(reset_strikes_both_ends)
{
    open_world(TH_SIM_RESET, 2);
    tcp_pair();
    ck_assert_int_eq(send_all("x"), 1);
    ck_assert_int_eq(send_all("x"), -ECONNRESET);
    ck_assert_int_eq(send_all("x"), -EPIPE);
    ck_assert_int_eq(receive(1), 1);
    ck_assert_int_eq(receive(1), -ECONNRESET);
    ck_assert_int_eq(receive(1), 0);
    close_world();
}
END_TEST

START_TEST(broken_pipe_is_told_to_the_writer)
{
    open_world(TH_SIM_BROKEN_PIPE, 1);
    tcp_pair();
    ck_assert_int_eq(send_all("x"), -EPIPE);
    ck_assert_int_eq(receive(1), -ECONNRESET);
    close_world();
}
END_TEST

START_TEST(kernel_without_buffers_refuses_a_write)
{
    open_world(TH_SIM_NO_BUFFERS, 1);
    tcp_pair();
    ssize_t n = send_all("x");
    ck_assert(n == -ENOBUFS || n == -ENOMEM);
    ck_assert_int_eq(send_all("x"), 1);
    close_world();
}
END_TEST

START_TEST(bytes_are_delayed_beyond_the_latency)
{
    open_world(TH_SIM_DELAY, 2); /* the first way was that of the connection */
    tcp_pair();
    ck_assert_int_eq(thi_sys_send(fds[0], "x", 1, 0), 1);
    thi_sim_pass(&world, world.now + 9 * TH_MILLISECOND);
    ck_assert_int_eq(receive(1), -EAGAIN);
    thi_sim_pass(&world, world.now + 3 * TH_SECOND);
    ck_assert_int_eq(receive(1), 1);
    close_world();
}
END_TEST

START_TEST(peer_that_never_reads_fills_the_buffer_until_the_faults_end)
{
    th_sim_opts opts = { .seed = 7, .fault_until = 10 * TH_HOUR };
    opts.faults[TH_SIM_NEVER_READS].at = 1;
    thi_sim_open(&world, &opts);
    tcp_pair();
    static const char block[4096];
    while (thi_sys_send(fds[0], block, sizeof block, 0) > 0)
        pass();
    ck_assert_int_lt(world.now - THI_SIM_EPOCH, 10 * TH_HOUR);
    ck_assert_int_eq(receive(1), -EAGAIN);
    thi_sim_pass(&world, THI_SIM_EPOCH + 10 * TH_HOUR);
    ck_assert_int_eq(receive(1), 1);
    close_world();
}
END_TEST

/* ---- connections ---- */

START_TEST(connection_is_refused_although_somebody_listens)
{
    open_world(TH_SIM_REFUSE, 1);
    int listener = listen_any();
    int fd = start_connect(listener);
    pass();
    ck_assert_int_eq(error_of(fd), ECONNREFUSED);
    fd = start_connect(listener);
    pass();
    ck_assert_int_eq(error_of(fd), 0);
    ck_assert_int_ge(thi_sys_accept(listener, NULL, NULL), 0);
    close_world();
}
END_TEST

START_TEST(silent_host_costs_two_minutes)
{
    open_world(TH_SIM_NO_ANSWER, 1);
    int fd = start_connect(listen_any());
    thi_sim_pass(&world, world.now + 126 * TH_SECOND);
    ck_assert_int_eq(error_of(fd), 0);
    thi_sim_pass(&world, world.now + 2 * TH_SECOND);
    ck_assert_int_eq(error_of(fd), ETIMEDOUT);
    close_world();
}
END_TEST

START_TEST(client_that_left_is_econnaborted_and_is_reset)
{
    open_world(TH_SIM_ABORTED, 1);
    int listener = listen_any();
    int fd = start_connect(listener);
    pass();
    ck_assert_int_eq(thi_sys_accept(listener, NULL, NULL), -ECONNABORTED);
    ck_assert_int_eq(thi_sys_accept(listener, NULL, NULL), -EAGAIN);
    pass();
    ck_assert_int_eq(error_of(fd), ECONNRESET);
    close_world();
}
END_TEST

START_TEST(full_table_leaves_the_connection_in_the_queue)
{
    open_world(TH_SIM_ACCEPT_FULL, 1);
    int listener = listen_any();
    start_connect(listener);
    pass();
    int err = thi_sys_accept(listener, NULL, NULL);
    ck_assert(err == -EMFILE || err == -ENFILE);
    ck_assert_int_ge(thi_sys_accept(listener, NULL, NULL), 0);
    close_world();
}
END_TEST

START_TEST(new_descriptors_are_refused)
{
    open_world(TH_SIM_NO_FILES, 2);
    ck_assert_int_ge(thi_sys_eventfd(), 0);
    ck_assert_int_eq(thi_sys_pipe(fds), -EMFILE);
    ck_assert_int_eq(thi_sys_pipe(fds), 0);
    close_world();
    for (uint32_t limit = 1; limit <= 2; limit++) {
        thi_sim_open(&world, &(th_sim_opts){ .descriptors = limit });
        ck_assert_int_eq(thi_sys_pipe(fds), limit < 2 ? -EMFILE : 0);
        ck_assert_uint_eq(world.desc_count, limit < 2 ? 0 : 2);
        close_world();
    }
}
END_TEST

START_TEST(queue_takes_its_backlog_and_one_more)
{
    open_world(TH_SIM_REFUSE, 0);
    int listener = thi_sys_socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(thi_sys_listen(listener, 1), 0);
    int clients[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = start_connect(listener);
        thi_sim_pass(&world, world.now + TH_SECOND / 2);
    }
    pass(); /* a client that was not refused at once gives up after its last try */
    ck_assert_int_eq(error_of(clients[0]), 0);
    ck_assert_int_eq(error_of(clients[1]), 0);
    int error = error_of(clients[2]);
    ck_assert(error == ECONNREFUSED || error == ETIMEDOUT);
    ck_assert_int_ge(thi_sys_accept(listener, NULL, NULL), 0);
    ck_assert_int_ge(thi_sys_accept(listener, NULL, NULL), 0);
    ck_assert_int_eq(thi_sys_accept(listener, NULL, NULL), -EAGAIN);
    close_world();
}
END_TEST

/* ---- clocks and memory ---- */

START_TEST(calendar_clock_jumps_and_the_other_does_not)
{
    open_world(TH_SIM_WALL_JUMP, 2);
    int64_t now = thi_sys_clock(), wall = thi_sys_wall();
    ck_assert_int_eq(wall - THI_SIM_WALL, now - THI_SIM_EPOCH);
    int64_t jumped = thi_sys_wall();
    ck_assert_int_ne(jumped, wall);
    ck_assert_int_le(jumped, wall + TH_HOUR);
    ck_assert_int_ge(jumped, wall - TH_HOUR);
    ck_assert_int_eq(thi_sys_wall(), jumped);
    ck_assert_int_eq(thi_sys_clock(), now);
    close_world();
}
END_TEST

START_TEST(ordered_allocation_fails)
{
    open_world(TH_SIM_NO_MEMORY, 2);
    thi_sim_memory_begin(&world);
    void *first = thi_alloc(1), *second = thi_alloc(1), *third = thi_alloc(1);
    thi_sim_memory_end(&world);
    ck_assert_ptr_nonnull(first);
    ck_assert_ptr_null(second);
    ck_assert_ptr_nonnull(third);
    ck_assert_uint_eq(world.result.faults[TH_SIM_NO_MEMORY], 1);
    thi_free(first);
    thi_free(third);
    close_world();
}
END_TEST

START_TEST(lack_of_memory_is_an_error_of_the_call_and_leaks_nothing)
{
    int64_t live = thi_alloc_live();
    for (int64_t n = 1;; n++) {
        open_world(TH_SIM_REFUSE, 0);
        int listener = listen_any();
        struct sockaddr_in sa;
        socklen_t len = sizeof sa;
        ck_assert_int_eq(thi_sys_getsockname(listener, (struct sockaddr *)&sa, &len), 0);
        thi_alloc_fail_at(n);
        int results[5] = { thi_sys_socket(AF_INET, SOCK_STREAM, 0), 0, 0, 0, 0 };
        if (results[0] >= 0)
            results[1] = thi_sys_connect(results[0], (struct sockaddr *)&sa, len);
        results[2] = thi_sys_pipe(fds);
        results[3] = thi_sys_socketpair(AF_UNIX, SOCK_STREAM, fds);
        results[4] = thi_sys_eventfd();
        bool struck = thi_alloc_fail_at(0) == 0;
        int failed = 0;
        for (int i = 0; i < 5; i++)
            failed += results[i] == -ENOMEM;
        ck_assert_int_eq(failed, struck ? 1 : 0);
        close_world();
        ck_assert_int_eq(thi_alloc_live(), live);
        if (!struck)
            break;
    }
}
END_TEST

/* ---- when faults strike ---- */

START_TEST(faults_strike_with_their_probability)
{
    th_sim_opts opts = { .seed = 3 };
    opts.faults[TH_SIM_DELAY].per_million = 250000;
    thi_sim_open(&world, &opts);
    int struck = 0;
    for (int i = 0; i < 10000; i++)
        struck += thi_sim_fault(&world, TH_SIM_DELAY);
    ck_assert_int_gt(struck, 2300);
    ck_assert_int_lt(struck, 2700);
    ck_assert_uint_eq(world.result.faults[TH_SIM_DELAY], (uint64_t)struck);
    ck_assert(!thi_sim_fault(&world, TH_SIM_RESET));
    close_world();
}
END_TEST

START_TEST(nothing_fails_after_the_end_of_faults)
{
    th_sim_opts opts = { .fault_until = TH_SECOND };
    th_sim_set_faults(&opts, 1000000);
    thi_sim_open(&world, &opts);
    thi_sim_pass(&world, world.now + TH_SECOND - 1);
    ck_assert(thi_sim_fault(&world, TH_SIM_RESET));
    thi_sim_pass(&world, world.now + 1);
    for (int kind = 0; kind < TH_SIM_FAULTS; kind++)
        ck_assert(!thi_sim_fault(&world, (enum th_sim_fault)kind));
    close_world();
}
END_TEST

START_TEST(every_fault_has_a_name)
{
    for (int kind = 0; kind < TH_SIM_FAULTS; kind++)
        ck_assert_str_ne(th_sim_fault_name(kind), "?");
    ck_assert_str_eq(th_sim_fault_name(TH_SIM_WALL_JUMP), "wall-jump");
    ck_assert_str_eq(th_sim_fault_name(TH_SIM_FAULTS), "?");
    ck_assert_str_eq(th_sim_fault_name(-1), "?");
}
END_TEST

START_TEST(schedule_decides_choices_and_calms_the_rest)
{
    open_world(TH_SIM_RESET, 0);
    thi_sim_schedule schedule = {
        .chosen = (uint16_t[4]){ 2, 9 }, .of = (uint16_t[4]){ 0 }, .room = 4, .given = 2
    };
    world.schedule = &schedule;
    ck_assert_uint_eq(thi_sim_choose(&world, "a", 3), 2);
    ck_assert_uint_eq(thi_sim_choose(&world, "none", 1), 0);
    ck_assert_uint_eq(thi_sim_choose(&world, "b", 2), 1); /* there is no ninth */
    ck_assert_uint_eq(thi_sim_choose(&world, "c", 5), 0);
    ck_assert_uint_eq(schedule.made, 3);
    ck_assert_uint_eq(schedule.of[0], 3);
    ck_assert_uint_eq(schedule.chosen[1], 1);
    ck_assert_uint_eq(schedule.of[2], 5);
    ck_assert_int_eq(thi_sim_draw(&world, 5, 500), 5);
    ck_assert(!thi_sim_happens(&world, 999999));
    close_world();
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "transfers");
    tcase_add_test(tcase, read_is_cut_short_and_the_rest_stays);
    tcase_add_test(tcase, write_is_cut_short);
    tcase_add_test(tcase, eagain_is_told_once_although_something_is_there);
    tcase_add_test(tcase, reset_strikes_both_ends);
    tcase_add_test(tcase, broken_pipe_is_told_to_the_writer);
    tcase_add_test(tcase, kernel_without_buffers_refuses_a_write);
    tcase_add_test(tcase, bytes_are_delayed_beyond_the_latency);
    tcase_add_test(tcase, peer_that_never_reads_fills_the_buffer_until_the_faults_end);

    tcase = thi_check_case(suite, "connections");
    tcase_add_test(tcase, connection_is_refused_although_somebody_listens);
    tcase_add_test(tcase, silent_host_costs_two_minutes);
    tcase_add_test(tcase, client_that_left_is_econnaborted_and_is_reset);
    tcase_add_test(tcase, full_table_leaves_the_connection_in_the_queue);
    tcase_add_test(tcase, new_descriptors_are_refused);
    tcase_add_test(tcase, queue_takes_its_backlog_and_one_more);

    tcase = thi_check_case(suite, "clocks and memory");
    tcase_add_test(tcase, calendar_clock_jumps_and_the_other_does_not);
    tcase_add_test(tcase, ordered_allocation_fails);
    tcase_add_test(tcase, lack_of_memory_is_an_error_of_the_call_and_leaks_nothing);

    tcase = thi_check_case(suite, "when");
    tcase_add_test(tcase, faults_strike_with_their_probability);
    tcase_add_test(tcase, nothing_fails_after_the_end_of_faults);
    tcase_add_test(tcase, every_fault_has_a_name);
    tcase_add_test(tcase, schedule_decides_choices_and_calms_the_rest);
}

int main(void)
{
    return thi_check_run("loop/sim_fault", fill_suite);
}
