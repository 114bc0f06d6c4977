/* SPDX-License-Identifier: MIT */

/*
 * Look-ups and dialling by name, when system calls fail and memory is lacking at any point: of the
 * library and of c-ares.
 */
#include "name_server.h"
#include "torture.h"

#include <thrum/addr.h>
#include <thrum/dial.h>
#include <thrum/names.h>
#include <thrum/serve.h>
#include <thrum/stream.h>

#include <ares.h>

static const ns_record records[] = {
    { .name = "both.test", .type = NS_A, .data = "127.0.0.1", .ttl = 60 },
    { .name = "both.test", .type = NS_AAAA, .data = "::1", .ttl = 60 },
    { .name = "long.test", .type = NS_A, .data = "127.0.0.1", .ttl = 60, .how = NS_TRUNCATED },
    { .name = "_x._tcp.test", .type = NS_SRV, .data = "1 2 3 both.test", .ttl = 60 },
    { .name = "1.2.0.192.in-addr.arpa", .type = NS_PTR, .data = "both.test", .ttl = 60 },
};

static name_server server;
static int listener; /* on 127.0.0.1 alone, in nobody's care */
static uint16_t port;
static char hosts_path[] = "/tmp/thrum-hosts-XXXXXX";

static void begin(void)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof in;
    server = (name_server){ .records = records, .count = thi_array_len(records) };
    start_name_server(&server);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&in, sizeof in), 0);
    ck_assert_int_eq(listen(listener, 64), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&in, &len), 0);
    port = ntohs(in.sin_port);
    int fd = mkstemp(hosts_path);
    ck_assert_int_eq(write(fd, "10.0.0.1 here\n", 14), 14);
    close(fd);
}

static void end(void)
{
    stop_name_server(&server);
    close(listener);
    unlink(hosts_path);
}

/* Takes what has arrived, so that the queue does not fill up. */
static void drain_listener(void)
{
    struct pollfd p = { .fd = listener, .events = POLLIN };
    while (poll(&p, 1, 0) > 0)
        close(accept(listener, NULL, NULL));
}

/* The first failure. */
static void note_failure(int *first, int result)
{
    if (result < 0 && *first == 0)
        *first = result;
}

static int look_up(const char *host, const th_resolve_opts *opts)
{
    th_answer *answer = NULL;
    int err = th_resolve(host, "80", opts, &answer);
    ck_assert((err == 0) == (answer != NULL));
    th_answer_free(answer);
    return err;
}

static int dial(const char *host, th_resolver *resolver)
{
    char address[80];
    th_stream *stream = NULL;
    snprintf(address, sizeof address, "%s:%u", host, port);
    int err = th_dial(address, &(th_dial_opts){ .resolver = resolver }, &stream);
    ck_assert((err == 0) == (stream != NULL));
    th_stream_free(stream);
    drain_listener();
    return err;
}

/* All kinds of look-ups; the first failure. */
static int look_up_all(void *arg)
{
    th_resolver *resolver = NULL;
    th_services *services = NULL;
    th_addr addr = { .kind = TH_ADDR_IP4, .ip = { 192, 0, 2, 1 } };
    char name[TH_NAME_TEXT];
    int first = 0;
    (void)arg;
    int err = th_resolver_new(&(th_resolver_opts){ .servers = server.address,
                                                   .hosts = hosts_path,
                                                   .resolv_conf = "",
                                                   .timeout = TH_SECOND,
                                                   .tries = 1 },
                              &resolver);
    if (err < 0)
        return err;
    th_resolve_opts opts = { .resolver = resolver };
    note_failure(&first, look_up("here", &opts));
    note_failure(&first, dial("both.test", resolver));
    opts.family = TH_ADDR_IP4;
    note_failure(&first, look_up("long.test", &opts));
    note_failure(&first, th_resolve_srv("_x._tcp.test", &opts, &services));
    th_services_free(services);
    note_failure(&first, th_resolve_name(&addr, &opts, name, sizeof name));
    th_resolver_free(resolver);
    return first;
}

/* ---- system calls ------------------------------------------------------------------------------
 */

static int looking_up(void *arg)
{
    run *r = arg;
    int result = torment_body(r, look_up_all, NULL);
    ck_assert_msg(result == 0 || r->hit, "%s%s: %s", torture_now, hit_of(r), th_errname(result));
    return 0;
}

START_TEST(look_ups_live_through_what_system_calls_do)
{
    begin();
    torture(1, _i, looking_up);
    end();
}
END_TEST

/* ---- memory ------------------------------------------------------------------------------------
 */

static int result_of_run;

static int looking_up_once(void *arg)
{
    int64_t n = *(const int64_t *)arg;
    (void)thi_alloc_fail_at(n);
    result_of_run = look_up_all(NULL);
    return 0;
}

/* How many allocations were left to see; 0: one failed. */
static int64_t run_once(int engine, int64_t n)
{
    run_in_fiber(1, engine, looking_up_once, &n);
    return thi_alloc_fail_at(0);
}

START_TEST(look_ups_live_through_lack_of_memory)
{
    begin();
    /* From here on c-ares' memory is counted, and fails, with the library's. */
    ck_assert_int_eq(ares_library_init_mem(ARES_LIB_INIT_ALL, thi_alloc, thi_free, thi_realloc), 0);
    (void)run_once(_i, 0);
    ck_assert_int_eq(result_of_run, 0);
    int64_t live = thi_alloc_live(), n = 0;
    int open = count_open();
    bool failed = true;
    while (failed) {
        failed = run_once(_i, ++n) == 0;
        ck_assert_msg(thi_alloc_live() == live, "allocation %lld leaves memory", (long long)n);
        ck_assert_msg(count_open() == open, "allocation %lld leaves a descriptor", (long long)n);
        ck_assert_msg(result_of_run == 0 || failed, "allocation %lld: %s", (long long)n,
                      th_errname(result_of_run));
    }
    ck_assert_int_gt(n, 60);
    ck_assert_int_eq(result_of_run, 0);
    end();
}
END_TEST

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "system calls");
    tcase_set_timeout(tcase, 120);
    add_on_engines(tcase, look_ups_live_through_what_system_calls_do);
    tcase = thi_check_case(suite, "memory");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, look_ups_live_through_lack_of_memory);
}

int main(void)
{
    return thi_check_run("net/names_torture", fill_suite);
}
