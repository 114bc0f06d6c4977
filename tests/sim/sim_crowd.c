/* SPDX-License-Identifier: MIT */

/*
 * As many connections at once as one asks for: established, counted, one in a thousand spoken to,
 * all closed.
 *
 * THRUM_CROWD says how many; 20,000 without it, and a million where there are some 10 GB for it. It
 * prints what a connection costs: both ends of it, the simulated network between them included.
 */
#include "sim_seeds.h"

#include <thrum/dial.h>
#include <thrum/mem.h>
#include <thrum/protocol.h>
#include <thrum/runtime.h>
#include <thrum/serve.h>
#include <thrum/transport.h>

#include <errno.h>
#include <unistd.h>

#define LISTENERS   40    /* of an address each, because each has no more ports than TCP has */
#define PER_ADDRESS 26000 /* connections to one of them */
#define DIALLERS    64

static th_listener *listeners[LISTENERS];
static char addresses[LISTENERS][TH_ADDR_TEXT];
static th_stream **crowd;
static size_t size;  /* how many are to come */
static size_t next;  /* who dials next */
static size_t here;  /* the server has seen made, and not lost */
static size_t most;  /* at once */
static size_t heard; /* bytes that were spoken */
static double each;  /* resident bytes of a connection */

static int made(th_transport *transport, void *self)
{
    (void)transport;
    (void)self;
    most = ++here > most ? here : most;
    return 0;
}

static int received(th_transport *transport, void *self, th_str data)
{
    (void)self;
    heard += data.len;
    int held = th_transport_write(transport, data.ptr, data.len);
    return held < 0 ? held : 0;
}

static void lost(th_transport *transport, void *self, int reason)
{
    (void)transport;
    (void)self;
    expect_value(reason == 0, reason);
    here--;
}

static int make_echo(th_transport *transport, void *arg)
{
    static const th_protocol protocol = { .connection_made = made,
                                          .data_received = received,
                                          .connection_lost = lost };
    return th_transport_set_protocol(transport, &protocol, arg);
}

static int run_server(void *arg)
{
    (void)arg;
    int result = th_protocol_serve_on(listeners, LISTENERS, make_echo, NULL, NULL);
    expect_value(result == 0 || result == -ECANCELED, result);
    return 0;
}

static int be_dialler(void *arg)
{
    (void)arg;
    while (next < size) {
        size_t i = next++;
        int err = th_dial(addresses[i / PER_ADDRESS % LISTENERS], NULL, &crowd[i]);
        expect_value(err == 0, err);
    }
    return 0;
}

static void speak_to_some(void)
{
    size_t spoken = 0;
    for (size_t i = 0; i < size; i += 1000, spoken++) {
        char answer[4];
        expect(th_stream_write(crowd[i], "warp", 4) == 4);
        expect(th_stream_read_all(crowd[i], answer, 4) == 4);
        expect(memcmp(answer, "warp", 4) == 0);
    }
    expect_value(heard == 4 * spoken, heard);
}

static size_t resident(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && fscanf(file, "%*s %ld", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void gather(void)
{
    th_scope dialling;
    size_t before = resident();
    expect(th_scope_open(&dialling, NULL) == 0);
    for (int i = 0; i < DIALLERS; i++)
        expect(th_spawn(&dialling, be_dialler, NULL) == 0);
    expect(th_scope_close(&dialling) == 0);
    while (here < size) /* connected, and not all accepted yet */
        if (th_sleep(TH_MILLISECOND) < 0)
            break;
    each = (double)(resident() - before) / (double)size;
}

static int play(void *arg)
{
    th_scope serving;
    (void)arg;
    for (int i = 0; i < LISTENERS; i++) {
        th_addr addr;
        char text[40];
        snprintf(text, sizeof text, "127.0.0.%d:0", i + 1);
        expect(th_listen(text, NULL, &listeners[i]) == 0);
        th_listener_addr(listeners[i], &addr);
        th_addr_format(&addr, addresses[i], sizeof addresses[i]);
    }
    expect(th_scope_open(&serving, NULL) == 0);
    expect(th_spawn(&serving, run_server, NULL) == 0);
    gather();
    expect_value(here == size && most == size, here);
    speak_to_some();
    for (size_t i = 0; i < size; i++) {
        th_stream_free(crowd[i]);
        if (i % 500 == 0) /* they leave one after the other */
            expect(th_sleep(TH_MILLISECOND) == 0);
    }
    while (here > 0)
        if (th_sleep(TH_MILLISECOND) < 0)
            break;
    expect_value(here == 0, here);
    expect(th_stop() == 0);
    th_scope_close(&serving);
    for (int i = 0; i < LISTENERS; i++)
        th_listener_close(listeners[i]);
    return 0;
}

START_TEST(a_crowd_comes_and_goes)
{
    size = sim_env("THRUM_CROWD", 20000);
    th_sim_opts opts = { .seed = 1,
                         .workers = 2,
                         .buffer_max = 256,
                         .step_limit = UINT64_C(1) << 40,
                         .descriptors = (unsigned)(2 * size + 1000) };
    ck_assert_uint_le(size, (size_t)LISTENERS * PER_ADDRESS);
    crowd = calloc(size, sizeof(th_stream *));
    ck_assert_ptr_nonnull(crowd);
    th_sim_result result = sim_once(play, NULL, &opts);
    free(crowd);
    ck_assert_int_eq(result.verdict, 0);
    printf("%zu connections at once, %.0f bytes each, in %.1f virtual seconds\n", most, each,
           (double)result.time / 1e9);
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = sim_case(suite, "crowd");
    tcase_set_timeout(tcase, 600);
    tcase_add_test(tcase, a_crowd_comes_and_goes);
}

int main(void)
{
    return thi_check_run("sim/crowd", fill_suite);
}
