/* SPDX-License-Identifier: MIT */

/* Looking up names: from text, from the hosts file, from a name server that means well or not. */
#include "name_server.h"
#include "runtime/in_fiber.h"

#include "base/metrics.h"

#include <thrum/file.h>
#include <thrum/names.h>

#include <fcntl.h>
#include <stdlib.h>

#define SOON (50 * TH_MILLISECOND)

static th_answer *answered(const char *host, const char *service, const th_resolve_opts *opts)
{
    th_answer *answer = NULL;
    int err = th_resolve(host, service, opts, &answer);
    ck_assert_msg(err == 0, "%s: %s: %s", host ? host : "none", th_errname(err), th_err_detail());
    return answer;
}

/* All addresses with blanks between them, whatever ways there are from the machine of the test. */
static void has_addresses(const char *host, const char *service, const th_resolve_opts *opts,
                          const char *expected)
{
    char all[512] = "", text[TH_ADDR_TEXT];
    th_resolve_opts as_told = opts ? *opts : (th_resolve_opts){ 0 };
    as_told.as_told = 1;
    th_answer *answer = answered(host, service, &as_told);
    size_t len = 0;
    for (size_t i = 0; i < answer->count && len < sizeof all; i++)
        len += (size_t)snprintf(all + len, sizeof all - len, "%s%s", i > 0 ? " " : "",
                                th_addr_format(&answer->addrs[i], text, sizeof text));
    ck_assert_str_eq(all, expected);
    th_answer_free(answer);
}

static void fails(const char *host, const char *service, const th_resolve_opts *opts, int error)
{
    th_answer *answer = NULL;
    int err = th_resolve(host, service, opts, &answer);
    ck_assert_msg(err == error, "%s %s: %s, not %s", host ? host : "none",
                  service ? service : "none", th_errname(err), th_errname(error));
    ck_assert_ptr_null(answer);
}

/* ---- text ------------------------------------------------------------------------------------ */

START_TEST(literals_are_read_anywhere_and_nobody_is_asked)
{
    has_addresses("127.0.0.1", "80", NULL, "127.0.0.1:80");
    has_addresses("::", NULL, NULL, "[::]:0");
    has_addresses("2001:DB8:0:0:0:0:0:1", "443", NULL, "[2001:db8::1]:443");
    has_addresses("::ffff:10.0.0.1", "1", NULL, "[::ffff:10.0.0.1]:1");
    has_addresses("fe80::1%7", "1", NULL, "[fe80::1%7]:1");
    has_addresses("fe80::1%lo", "1", NULL, "[fe80::1%1]:1");
    has_addresses("10.1.2.3", "65535", &(th_resolve_opts){ .numeric = 1 }, "10.1.2.3:65535");
}
END_TEST

FIBER_TEST(what_looks_like_an_address_and_is_none_is_no_name_either)
{
    static const char *const hosts[] = { "300.0.0.0",    "0.0.0.",
                                         "1.2.3.4.5",    "::1q",
                                         "::1::2",       "1:2:3:4:5:6:7:8:9",
                                         "127.1",        "0177.0.0.1",
                                         "0x7f.0.0.1",   "0x7f",
                                         "127",          "[::1]",
                                         "a..b",         ".a",
                                         "a b",          "a\\b",
                                         "a/b",          "\xc3\xa9.test",
                                         "fe80::1%",     "fe80::1%no-such-interface-here",
                                         "example.com\n" };
    for (size_t i = 0; i < thi_array_len(hosts); i++) {
        fails(hosts[i], "80", NULL, TH_EADDRESS);
        ck_assert_msg(*th_err_detail() != '\0', "%s", hosts[i]);
    }
    char longest[300];
    memset(longest, 'a', sizeof longest);
    for (size_t i = 63; i < 254; i += 64)
        longest[i] = '.';
    longest[254] = '\0';
    fails(longest, "80", NULL, TH_EADDRESS);
    memset(longest, 'a', 64);
    longest[64] = '\0';
    fails(longest, "80", NULL, TH_EADDRESS);
}

FIBER_TEST(without_a_host_it_is_this_machine)
{
    th_resolve_opts passive = { .passive = 1 };
    has_addresses(NULL, "80", NULL, "[::1]:80 127.0.0.1:80");
    has_addresses("", "80", &passive, "[::]:80 0.0.0.0:80");
    passive.family = TH_ADDR_IP4;
    has_addresses(NULL, NULL, &passive, "0.0.0.0:0");
    has_addresses(NULL, "7", &(th_resolve_opts){ .family = TH_ADDR_IP6 }, "[::1]:7");
}

FIBER_TEST(numbers_alone_refuse_names_at_once)
{
    th_resolve_opts numeric = { .numeric = 1 };
    fails("example.com", "80", &numeric, TH_EADDRESS);
    fails("127.0.0.1", "http", &numeric, TH_EADDRESS);
    fails("127.0.0.1", "65536", NULL, TH_EADDRESS);
    fails("127.0.0.1", "80x", NULL, TH_EADDRESS);
    fails("127.0.0.1", "no-such-service-here", NULL, TH_ENAME);
}

FIBER_TEST(services_have_names)
{
    SKIP_UNLESS(access("/etc/services", R_OK) == 0, "there is no /etc/services");
    has_addresses("127.0.0.1", "http", NULL, "127.0.0.1:80");
    has_addresses("::1", "https", NULL, "[::1]:443");
}

FIBER_TEST(misuse_is_refused)
{
    th_answer *answer = NULL;
    th_services *services = NULL;
    th_resolver *resolver = NULL;
    char name[TH_NAME_TEXT];
    th_addr unix_addr = { .kind = TH_ADDR_UNIX };
    ck_assert_int_eq(th_resolve("127.0.0.1", "1", NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_resolve("a.test", "1", &(th_resolve_opts){ .family = 9 }, &answer),
                     -EINVAL);
    ck_assert_int_eq(th_resolve("a.test", "1", &(th_resolve_opts){ .size = 9999 }, &answer),
                     -EINVAL);
    ck_assert_int_eq(th_resolve_srv(NULL, NULL, &services), -EINVAL);
    ck_assert_int_eq(th_resolve_srv("_x._tcp.test", NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_resolve_srv("no name", NULL, &services), TH_EADDRESS);
    ck_assert_int_eq(th_resolve_name(NULL, NULL, name, sizeof name), -EINVAL);
    ck_assert_int_eq(th_resolve_name(&unix_addr, NULL, name, sizeof name), -EINVAL);
    ck_assert_int_eq(th_resolver_new(NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_resolver_new(&(th_resolver_opts){ .servers = "x" }, &resolver),
                     TH_EADDRESS);
    ck_assert_int_eq(th_resolver_new(&(th_resolver_opts){ .servers = "" }, &resolver), TH_EADDRESS);
    ck_assert_int_eq(th_resolver_new(&(th_resolver_opts){ .servers = "1.2.3.4:0" }, &resolver),
                     TH_EADDRESS);
    ck_assert_int_eq(th_resolver_new(&(th_resolver_opts){ .timeout = -1 }, &resolver), -EINVAL);
    ck_assert_ptr_null(resolver);
    th_resolver_free(NULL);
    th_answer_free(NULL);
    th_services_free(NULL);
}

START_TEST(names_are_for_fibers)
{
    th_addr addr = { .kind = TH_ADDR_IP4 };
    th_services *services = NULL;
    char name[TH_NAME_TEXT];
    fails("a.test", "1", NULL, -EPERM);
    fails("127.0.0.1", "http", NULL, -EPERM);
    ck_assert_int_eq(th_resolve_srv("_x._tcp.test", NULL, &services), -EPERM);
    ck_assert_int_eq(th_resolve_name(&addr, NULL, name, sizeof name), -EPERM);
}
END_TEST

/* ---- a resolver with files of its own ---------------------------------------------------------
 */

static char folder[] = "/tmp/thrum-names-XXXXXX";
static char hosts_path[64], resolv_path[64];

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void make_folder(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(hosts_path, sizeof hosts_path, "%s/hosts", folder);
    snprintf(resolv_path, sizeof resolv_path, "%s/resolv.conf", folder);
}

static void remove_folder(void)
{
    unlink(hosts_path);
    unlink(resolv_path);
    rmdir(folder);
    memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
}

/* A server of names, and a resolver that asks it. */
typedef struct world {
    name_server server;
    th_resolver *resolver;
    th_resolve_opts opts;
} world;

static void begin_with(world *w, const ns_record *records, size_t count, th_resolver_opts opts)
{
    w->server.records = records;
    w->server.count = count;
    start_name_server(&w->server);
    if (!opts.servers)
        opts.servers = w->server.address;
    opts.hosts = opts.hosts ? opts.hosts : "";
    opts.resolv_conf = opts.resolv_conf ? opts.resolv_conf : "";
    ck_assert_int_eq(th_resolver_new(&opts, &w->resolver), 0);
    w->opts.resolver = w->resolver;
}

#define BEGIN(w, records, ...)                                                                     \
    begin_with(w, records, thi_array_len(records), (th_resolver_opts){ __VA_ARGS__ })

static void end_world(world *w)
{
    th_resolver_free(w->resolver);
    stop_name_server(&w->server);
}

static const ns_record plain[] = {
    { .name = "a.test", .type = NS_A, .data = "192.0.2.1", .ttl = 60 },
    { .name = "a.test", .type = NS_A, .data = "192.0.2.2", .ttl = 30 },
    { .name = "a.test", .type = NS_AAAA, .data = "2001:db8::1", .ttl = 90 },
    { .name = "four.test", .type = NS_A, .data = "192.0.2.4", .ttl = 60 },
    { .name = "six.test", .type = NS_AAAA, .data = "2001:db8::6", .ttl = 60 },
    { .name = "alias.test", .type = NS_CNAME, .data = "Middle.test", .ttl = 20 },
    { .name = "middle.test", .type = NS_CNAME, .data = "A.test", .ttl = 60 },
    { .name = "empty.test", .type = NS_PTR, .data = "x.test", .ttl = 60 },
    { .name = "round.test", .type = NS_CNAME, .data = "about.test", .ttl = 60 },
    { .name = "about.test", .type = 0, .data = NULL },
    { .name = "b.domain.test", .type = NS_A, .data = "192.0.2.11", .ttl = 60 },
    { .name = "b.c.other.test", .type = NS_A, .data = "192.0.2.12", .ttl = 60 },
    { .name = "b.c", .type = NS_A, .data = "192.0.2.13", .ttl = 60 },
};

/* ---- hosts file -------------------------------------------------------------------------------
 */

FIBER_TEST(the_hosts_file_beats_the_name_server)
{
    world w = { 0 };
    make_folder();
    write_file(hosts_path, "# a comment\n"
                           "10.0.0.1\tA.Test alias-of-a # and another\n"
                           "::5 a.test\n"
                           "10.0.0.2 a.test a.test\n"
                           "fe80::1%lo linked.test\n"
                           "no-address name.test\n"
                           "10.0.0.9\n"
                           "10.0.0.3 last.test");
    BEGIN(&w, plain, .hosts = hosts_path);
    has_addresses("a.TEST", "1", &w.opts, "[::5]:1 10.0.0.1:1 10.0.0.2:1");
    has_addresses("alias-OF-a", "1", &w.opts, "10.0.0.1:1");
    has_addresses("last.test.", "1", &w.opts, "10.0.0.3:1");
    th_answer *answer = answered("alias-of-a", NULL, &w.opts);
    ck_assert_str_eq(answer->canonical, "a.test");
    ck_assert(answer->ttl == TH_NEVER);
    th_answer_free(answer);
    ck_assert_uint_eq(atomic_load(&w.server.asked), 0);
    fails("linked.test", "1", &w.opts, TH_ENAME);
    fails("name.test", "1", &w.opts, TH_ENAME);
    w.opts.family = TH_ADDR_IP6;
    fails("last.test", "1", &w.opts, TH_ENAME); /* its other family is not asked for elsewhere */
    end_world(&w);
    remove_folder();
}

/* A link-local address without a zone leads nowhere. */
FIBER_TEST(addresses_to_which_there_is_a_way_come_first)
{
    char text[TH_ADDR_TEXT];
    world w = { 0 };
    make_folder();
    write_file(hosts_path, "fe80::1 a.test\n127.0.0.1 a.test\n127.0.0.2 a.test\n");
    BEGIN(&w, plain, .hosts = hosts_path);
    has_addresses("a.test", "1", &w.opts, "[fe80::1]:1 127.0.0.1:1 127.0.0.2:1");
    th_answer *answer = answered("a.test", "1", &w.opts);
    ck_assert_uint_eq(answer->count, 3);
    ck_assert_str_eq(th_addr_format(&answer->addrs[0], text, sizeof text), "127.0.0.1:1");
    ck_assert_str_eq(th_addr_format(&answer->addrs[1], text, sizeof text), "127.0.0.2:1");
    ck_assert_str_eq(th_addr_format(&answer->addrs[2], text, sizeof text), "[fe80::1]:1");
    th_answer_free(answer);
    end_world(&w);
    remove_folder();
}

FIBER_TEST(a_missing_hosts_file_is_empty)
{
    world w = { 0 };
    BEGIN(&w, plain, .hosts = "/nowhere/at/all", .resolv_conf = "/nowhere/either");
    has_addresses("four.test", "1", &w.opts, "192.0.2.4:1");
    end_world(&w);
}

FIBER_TEST(a_file_that_is_none_is_an_error_that_names_it)
{
    world w = { 0 };
    BEGIN(&w, plain, .hosts = "/tmp");
    fails("four.test", "1", &w.opts, -EINVAL);
    ck_assert_msg(strstr(th_err_detail(), "/tmp") != NULL, "%s", th_err_detail());
    end_world(&w);
}

FIBER_TEST(localhost_is_this_machine_without_asking)
{
    world w = { 0 };
    BEGIN(&w, plain, .servers = NULL);
    has_addresses("localhost", "1", &w.opts, "[::1]:1 127.0.0.1:1");
    has_addresses("www.LocalHost.", "1", &w.opts, "[::1]:1 127.0.0.1:1");
    ck_assert_uint_eq(atomic_load(&w.server.asked), 0);
    fails("notlocalhost", "1", &w.opts, TH_ENAME);
    end_world(&w);
}

/* The files are looked at once a second. */
FIBER_TEST(a_change_of_the_files_is_noticed)
{
    world w = { 0 };
    char conf[80];
    int err = 0;
    make_folder();
    write_file(hosts_path, "10.0.0.1 host\n");
    BEGIN(&w, plain, .servers = NULL, .hosts = hosts_path);
    has_addresses("host", "1", &w.opts, "10.0.0.1:1");
    th_resolver *other = NULL;
    write_file(resolv_path, "nameserver 192.0.2.99\n");
    ck_assert_int_eq(th_resolver_new(&(th_resolver_opts){ .servers = w.server.address,
                                                          .hosts = "",
                                                          .resolv_conf = resolv_path },
                                     &other),
                     0);
    th_resolve_opts by_other = { .resolver = other };
    fails("b", "1", &by_other, TH_ENAME);
    write_file(hosts_path, "10.0.0.2 host and-another\n");
    snprintf(conf, sizeof conf, "search domain.test\noptions ndots:2\n");
    write_file(resolv_path, conf);
    th_answer *answer = NULL;
    while ((err = th_resolve("and-another", "1", &w.opts, &answer)) == TH_ENAME)
        th_sleep(SOON);
    ck_assert_int_eq(err, 0);
    th_answer_free(answer);
    has_addresses("host", "1", &w.opts, "10.0.0.2:1");
    while ((err = th_resolve("b", "1", &by_other, &answer)) == TH_ENAME)
        th_sleep(SOON);
    ck_assert_int_eq(err, 0);
    th_answer_free(answer);
    th_resolver_free(other);
    end_world(&w);
    remove_folder();
}

/* ---- answers ----------------------------------------------------------------------------------
 */

FIBER_TEST(addresses_of_both_families_are_found)
{
    world w = { 0 };
    BEGIN(&w, plain, .servers = NULL);
    has_addresses("a.test", "80", &w.opts, "[2001:db8::1]:80 192.0.2.1:80 192.0.2.2:80");
    w.opts.family = TH_ADDR_IP4;
    has_addresses("a.test", "80", &w.opts, "192.0.2.1:80 192.0.2.2:80");
    w.opts.family = TH_ADDR_IP6;
    has_addresses("A.TEST.", "80", &w.opts, "[2001:db8::1]:80");
    fails("four.test", "80", &w.opts, TH_ENAME);
    ck_assert_uint_eq(atomic_load(&w.server.asked), 3);
    end_world(&w);
}

FIBER_TEST(aliases_are_followed_and_the_name_at_their_end_is_told)
{
    world w = { 0 };
    BEGIN(&w, plain, .servers = NULL);
    th_answer *answer = answered("Alias.test", "1", &w.opts);
    ck_assert_uint_eq(answer->count, 3);
    ck_assert_str_eq(answer->canonical, "a.test");
    ck_assert(answer->ttl <= 20 * TH_SECOND); /* the least of the whole chain */
    ck_assert(answer->ttl > 15 * TH_SECOND);
    th_answer_free(answer);
    fails("round.test", "1", &w.opts, TH_ENAME);
    end_world(&w);
}

FIBER_TEST(no_result_is_an_error_and_never_an_empty_success)
{
    world w = { .server.negative_ttl = 300 };
    BEGIN(&w, plain, .servers = NULL);
    fails("nobody.test", "1", &w.opts, TH_ENAME);
    ck_assert_msg(strstr(th_err_detail(), "nobody.test") != NULL, "%s", th_err_detail());
    fails("empty.test", "1", &w.opts, TH_ENAME);
    unsigned asked = atomic_load(&w.server.asked);
    fails("nobody.test", "1", &w.opts, TH_ENAME); /* that there is none is remembered */
    fails("empty.test", "1", &w.opts, TH_ENAME);
    ck_assert_uint_eq(atomic_load(&w.server.asked), asked);
    end_world(&w);
}

FIBER_TEST(that_there_is_nothing_is_not_remembered_unless_it_may_be)
{
    world w = { 0 };
    BEGIN(&w, plain, .servers = NULL);
    fails("nobody.test", "1", &w.opts, TH_ENAME);
    unsigned asked = atomic_load(&w.server.asked);
    fails("nobody.test", "1", &w.opts, TH_ENAME);
    ck_assert_uint_eq(atomic_load(&w.server.asked), 2 * asked);
    end_world(&w);
}

static const ns_record families[] = {
    { .name = "four.test", .type = NS_A, .data = "192.0.2.4", .ttl = 60 },
    { .name = "four.test", .type = NS_AAAA, .how = NS_SILENT },
    { .name = "six.test", .type = NS_AAAA, .data = "2001:db8::6", .ttl = 60 },
    { .name = "six.test", .type = NS_A, .how = NS_SERVFAIL },
    { .name = "half.test", .type = NS_A, .how = NS_SERVFAIL },
    { .name = "half.test", .type = NS_PTR, .data = "x.test", .ttl = 60 },
    { .name = "refused.test", .type = NS_ANY, .how = NS_REFUSED },
    { .name = "broken.test", .type = NS_ANY, .data = NULL, .how = NS_BROKEN },
    { .name = "silent.test", .type = NS_ANY, .how = NS_SILENT },
    { .name = "slow.test", .type = NS_A, .data = "192.0.2.5", .ttl = 60, .delay = 100 },
};

FIBER_TEST(one_family_is_enough_when_the_other_fails_or_is_silent)
{
    world w = { 0 };
    BEGIN(&w, families, .timeout = TH_SECOND, .tries = 1);
    has_addresses("four.test", "1", &w.opts, "192.0.2.4:1");
    has_addresses("six.test", "1", &w.opts, "[2001:db8::6]:1");
    end_world(&w);
}

FIBER_TEST(that_nobody_could_tell_beats_that_there_is_nothing)
{
    world w = { 0 };
    BEGIN(&w, families, .timeout = TH_SECOND, .tries = 1);
    fails("half.test", "1", &w.opts, TH_ENAMESERVER);
    fails("refused.test", "1", &w.opts, TH_ENAMESERVER);
    fails("broken.test", "1", &w.opts, TH_ENAMESERVER);
    fails("silent.test", "1", &w.opts, TH_ENAMESERVER);
    ck_assert_msg(strstr(th_err_detail(), "in time") != NULL, "%s", th_err_detail());
    end_world(&w);
}

FIBER_TEST(a_failure_is_remembered_for_a_moment_only)
{
    world w = { 0 };
    th_answer *answer = NULL;
    BEGIN(&w, families, .timeout = TH_SECOND, .tries = 1);
    w.opts.family = TH_ADDR_IP4;
    fails("half.test", "1", &w.opts, TH_ENAMESERVER);
    unsigned asked = atomic_load(&w.server.asked);
    fails("half.test", "1", &w.opts, TH_ENAMESERVER);
    ck_assert_uint_eq(atomic_load(&w.server.asked), asked);
    while (atomic_load(&w.server.asked) == asked) {
        ck_assert_int_eq(th_resolve("half.test", "1", &w.opts, &answer), TH_ENAMESERVER);
        th_sleep(SOON);
    }
    end_world(&w);
}

FIBER_TEST(a_server_that_is_not_there_is_passed_over)
{
    world w = { 0 };
    char servers[100];
    name_server gone = { .count = 0 };
    start_name_server(&gone);
    stop_name_server(&gone);
    w.server.records = plain;
    w.server.count = thi_array_len(plain);
    start_name_server(&w.server);
    snprintf(servers, sizeof servers, "%s, %s", gone.address, w.server.address);
    th_resolver *resolver = NULL;
    ck_assert_int_eq(
        th_resolver_new(&(th_resolver_opts){ .servers = servers, .hosts = "", .resolv_conf = "" },
                        &resolver),
        0);
    w.opts.resolver = resolver;
    has_addresses("four.test", "1", &w.opts, "192.0.2.4:1");
    th_resolver_free(resolver);
    stop_name_server(&w.server);
}

FIBER_TEST(when_no_server_is_there_that_is_told)
{
    world w = { 0 };
    BEGIN(&w, plain, .timeout = TH_SECOND, .tries = 1);
    stop_name_server(&w.server);
    fails("four.test", "1", &w.opts, TH_ENAMESERVER);
    th_resolver_free(w.resolver);
}

/* ---- hostile and strange answers ---------------------------------------------------------------
 */

static const ns_record hostile[] = {
    { .name = "id.test", .type = NS_A, .data = "192.0.2.1", .ttl = 60, .how = NS_WRONG_ID },
    { .name = "address.test",
      .type = NS_A,
      .data = "192.0.2.2",
      .ttl = 60,
      .how = NS_WRONG_ADDRESS },
    { .name = "question.test",
      .type = NS_A,
      .data = "192.0.2.3",
      .ttl = 60,
      .how = NS_WRONG_QUESTION },
    { .name = "long.test", .type = NS_A, .data = "192.0.2.4", .ttl = 60, .how = NS_TRUNCATED },
};

FIBER_TEST(an_answer_with_a_wrong_id_or_from_somebody_else_is_ignored)
{
    world w = { .opts.family = TH_ADDR_IP4 };
    BEGIN(&w, hostile, .servers = NULL);
    has_addresses("id.test", "1", &w.opts, "192.0.2.1:1");
    has_addresses("address.test", "1", &w.opts, "192.0.2.2:1");
    has_addresses("question.test", "1", &w.opts, "192.0.2.3:1");
    ck_assert_uint_eq(atomic_load(&w.server.asked), 3); /* nobody had to be asked again */
    end_world(&w);
}

FIBER_TEST(a_truncated_answer_is_asked_for_again_by_tcp)
{
    world w = { .opts.family = TH_ADDR_IP4 };
    BEGIN(&w, hostile, .servers = NULL);
    has_addresses("long.test", "1", &w.opts, "192.0.2.4:1");
    ck_assert_uint_eq(atomic_load(&w.server.asked), 1);
    ck_assert_uint_eq(atomic_load(&w.server.asked_tcp), 1);
    end_world(&w);
}

FIBER_TEST(resolv_conf_may_ask_for_tcp_alone)
{
    world w = { .opts.family = TH_ADDR_IP4 };
    make_folder();
    write_file(resolv_path, "; a comment\noptions use-vc\n");
    BEGIN(&w, plain, .resolv_conf = resolv_path);
    has_addresses("four.test", "1", &w.opts, "192.0.2.4:1");
    ck_assert_uint_eq(atomic_load(&w.server.asked), 0);
    ck_assert_uint_eq(atomic_load(&w.server.asked_tcp), 1);
    end_world(&w);
    remove_folder();
}

/* ---- the search --------------------------------------------------------------------------------
 */

FIBER_TEST(domains_are_searched_as_resolv_conf_has_it)
{
    world w = { .opts.family = TH_ADDR_IP4 };
    make_folder();
    write_file(resolv_path, "search nowhere.test domain.test other.test\noptions ndots:1\n");
    BEGIN(&w, plain, .resolv_conf = resolv_path);
    th_answer *answer = answered("b", "1", &w.opts);
    ck_assert_str_eq(answer->canonical, "b.domain.test");
    th_answer_free(answer);
    has_addresses("b.c", "1", &w.opts, "192.0.2.13:1"); /* enough dots: first as it is */
    fails("b.c.", "1", &(th_resolve_opts){ .resolver = w.resolver, .family = TH_ADDR_IP6 },
          TH_ENAME);
    fails("b.", "1", &w.opts, TH_ENAME); /* nothing is searched */
    end_world(&w);
    write_file(resolv_path, "domain ignored.test\nsearch other.test\noptions ndots:2 timeout:1\n");
    world v = { .opts.family = TH_ADDR_IP4 };
    BEGIN(&v, plain, .resolv_conf = resolv_path);
    has_addresses("b.c", "1", &v.opts, "192.0.2.12:1"); /* too few: first in the domains */
    end_world(&v);
    remove_folder();
}

/* ---- remembering and sharing --------------------------------------------------------------------
 */

typedef struct seeker {
    const th_resolve_opts *opts;
    int result;
} seeker;

static int seek_slow(void *arg)
{
    seeker *s = arg;
    th_answer *answer = NULL;
    s->result = th_resolve("slow.test", "1", s->opts, &answer);
    th_answer_free(answer);
    return 0;
}

FIBER_TEST(many_who_ask_for_the_same_wait_for_one_question)
{
    enum { SEEKERS = 20 };
    world w = { .opts.family = TH_ADDR_IP4, .server.counted = "slow.test" };
    seeker seekers[SEEKERS];
    th_scope scope;
    BEGIN(&w, families, .servers = NULL);
    open_scope(&scope);
    for (int i = 0; i < SEEKERS; i++) {
        seekers[i] = (seeker){ &w.opts, 1 };
        spawn(&scope, seek_slow, &seekers[i]);
    }
    close_scope(&scope);
    for (int i = 0; i < SEEKERS; i++)
        ck_assert_int_eq(seekers[i].result, 0);
    has_addresses("slow.test", "1", &w.opts, "192.0.2.5:1");
    ck_assert_uint_eq(atomic_load(&w.server.asked_most), 1);
    end_world(&w);
}

static void counted(const thi_metrics *before, const int64_t expected[static 6])
{
    static const thi_metric ids[] = {
        THI_M_NAMES_KNOWN,   THI_M_NAMES_SHARED, THI_M_NAMES_FOUND,
        THI_M_NAMES_NOTHING, THI_M_NAMES_FAILED, THI_M_NAMES_WAITING
    };
    thi_metrics now;
    thi_metrics_read(&now);
    for (size_t i = 0; i < 6; i++)
        ck_assert_msg(now.values[ids[i]] - before->values[ids[i]] == expected[i], "%s %s: %lld",
                      thi_metric_infos[ids[i]].name, thi_metric_infos[ids[i]].label,
                      (long long)(now.values[ids[i]] - before->values[ids[i]]));
    int64_t timed = 0;
    for (int i = 0; i < THI_HISTOGRAM_BUCKETS; i++)
        timed += now.histograms[THI_H_NAME_QUESTION].buckets[i] -
                 before->histograms[THI_H_NAME_QUESTION].buckets[i];
    ck_assert_int_eq(timed, expected[2] + expected[3] + expected[4]);
}

FIBER_TEST(what_becomes_of_questions_is_counted)
{
    world w = { .opts.family = TH_ADDR_IP4 };
    thi_metrics before;
    seeker seekers[3];
    th_scope scope;
    BEGIN(&w, families, .timeout = TH_SECOND, .tries = 1);
    thi_metrics_read(&before);
    open_scope(&scope);
    for (int i = 0; i < 3; i++) {
        seekers[i] = (seeker){ &w.opts, 1 };
        spawn(&scope, seek_slow, &seekers[i]);
    }
    while (thi_metric_read(THI_M_NAMES_SHARED) < before.values[THI_M_NAMES_SHARED] + 2)
        ck_assert_int_eq(th_yield(), 0);
    counted(&before, (const int64_t[]){ 0, 2, 0, 0, 0, 1 });
    close_scope(&scope);
    counted(&before, (const int64_t[]){ 0, 2, 1, 0, 0, 0 });
    has_addresses("slow.test", "1", &w.opts, "192.0.2.5:1");
    counted(&before, (const int64_t[]){ 1, 2, 1, 0, 0, 0 });
    fails("nobody.test", "1", &w.opts, TH_ENAME);
    fails("refused.test", "1", &w.opts, TH_ENAMESERVER);
    counted(&before, (const int64_t[]){ 1, 2, 1, 1, 1, 0 });
    end_world(&w);
}

/* Each worker asks for itself, once. */
FIBER_TEST_ON(2, every_worker_has_answers_of_its_own)
{
    world w = { .opts.family = TH_ADDR_IP4, .server.counted = "slow.test" };
    seeker seekers[8];
    th_scope scope;
    BEGIN(&w, families, .servers = NULL);
    open_scope(&scope);
    for (unsigned i = 0; i < 8; i++) {
        seekers[i] = (seeker){ &w.opts, 1 };
        spawn_on(&scope, i % 2, seek_slow, &seekers[i]);
    }
    close_scope(&scope);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(seekers[i].result, 0);
    ck_assert_uint_eq(atomic_load(&w.server.asked_most), 2);
    end_world(&w);
}

FIBER_TEST(what_is_remembered_is_bounded)
{
    world w = { .opts.family = TH_ADDR_IP4 };
    BEGIN(&w, plain, .names_max = 2);
    has_addresses("four.test", "1", &w.opts, "192.0.2.4:1");
    has_addresses("b.c", "1", &w.opts, "192.0.2.13:1");
    has_addresses("four.test", "1", &w.opts, "192.0.2.4:1"); /* used again */
    has_addresses("b.domain.test", "1", &w.opts, "192.0.2.11:1");
    ck_assert_uint_eq(atomic_load(&w.server.asked), 3);
    has_addresses("four.test", "1", &w.opts, "192.0.2.4:1"); /* the other one had to go */
    ck_assert_uint_eq(atomic_load(&w.server.asked), 3);
    has_addresses("b.c", "1", &w.opts, "192.0.2.13:1");
    ck_assert_uint_eq(atomic_load(&w.server.asked), 4);
    end_world(&w);
}

static int seek_silent(void *arg)
{
    th_answer *answer = NULL;
    int err = th_resolve("silent.test", "1", arg, &answer);
    th_answer_free(answer);
    return err;
}

FIBER_TEST(too_many_questions_on_their_way_are_refused)
{
    world w = { .opts.family = TH_ADDR_IP4 };
    th_scope scope;
    BEGIN(&w, families, .names_max = 1);
    open_scope(&scope);
    spawn(&scope, wait_for_cancel, NULL);
    th_fiber *fiber = spawn_handle(&scope, seek_silent, &w.opts);
    int result = 0;
    while (atomic_load(&w.server.asked) == 0)
        th_sleep(TH_MILLISECOND);
    fails("four.test", "1", &w.opts, TH_ELIMIT);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    th_scope_close(&scope);
    ck_assert_int_eq(th_join(fiber, &result), 0);
    ck_assert_int_eq(result, -ECANCELED);
    th_fiber_unref(fiber);
    end_world(&w);
}

/* ---- scopes ------------------------------------------------------------------------------------
 */

FIBER_TEST(a_look_up_ends_with_its_scope)
{
    world w = { .opts.family = TH_ADDR_IP4 };
    th_scope scope;
    BEGIN(&w, families, .servers = NULL);
    open_scope_for(&scope, SOON);
    fails("silent.test", "1", &w.opts, -ETIMEDOUT);
    th_scope_close(&scope);
    open_cancelled_scope(&scope);
    fails("slow.test", "1", &w.opts, -ECANCELED);
    has_addresses("127.0.0.1", "1", &w.opts, "127.0.0.1:1"); /* literals need no wait */
    th_scope_close(&scope);
    end_world(&w);
}

FIBER_TEST(the_answer_to_who_has_given_up_is_there_for_the_next)
{
    world w = { .opts.family = TH_ADDR_IP4, .server.counted = "slow.test" };
    th_scope scope;
    th_answer *answer = NULL;
    BEGIN(&w, families, .servers = NULL);
    open_scope_for(&scope, 10 * TH_MILLISECOND);
    int err = th_resolve("slow.test", "1", &w.opts, &answer);
    ck_assert(err == -ETIMEDOUT || err == 0); /* a machine may stall for longer than that */
    th_answer_free(answer);
    th_scope_close(&scope);
    has_addresses("slow.test", "1", &w.opts, "192.0.2.5:1");
    ck_assert_uint_eq(atomic_load(&w.server.asked_most), 1);
    end_world(&w);
}

FIBER_TEST(a_resolver_may_go_while_its_questions_are_on_their_way)
{
    world w = { .opts.family = TH_ADDR_IP4 };
    th_scope scope;
    BEGIN(&w, families, .servers = NULL);
    open_scope_for(&scope, SOON);
    fails("silent.test", "1", &w.opts, -ETIMEDOUT);
    th_scope_close(&scope);
    end_world(&w);
    world v = { .opts.family = TH_ADDR_IP4 };
    BEGIN(&v, plain, .servers = NULL);
    has_addresses("four.test", "1", &v.opts, "192.0.2.4:1");
    end_world(&v);
}

/* Reads a file again and again while a name server does not answer. */
FIBER_TEST(a_name_server_that_does_not_answer_delays_no_file)
{
    world w = { .opts.family = TH_ADDR_IP4 };
    th_scope scope, reading;
    th_arena arena;
    th_str content;
    BEGIN(&w, families, .servers = NULL);
    open_scope(&scope);
    for (int i = 0; i < 16; i++)
        spawn(&scope, seek_silent, &w.opts);
    while (atomic_load(&w.server.asked) == 0)
        th_sleep(TH_MILLISECOND);
    open_scope_for(&reading, 4 * TH_SECOND); /* the first try of the look-ups takes 5 */
    for (int i = 0; i < 100; i++) {
        th_arena_init(&arena, NULL, 0, SIZE_MAX);
        ck_assert_int_eq(th_file_load("/etc/passwd", 1 << 20, &arena, &content), 0);
        th_arena_deinit(&arena);
    }
    close_scope(&reading);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    th_scope_close(&scope);
    end_world(&w);
}

/* ---- services and reverse names
 * ------------------------------------------------------------------ */

static const ns_record others[] = {
    { .name = "_ldap._tcp.test", .type = NS_SRV, .data = "20 0 389 Late.test", .ttl = 60 },
    { .name = "_ldap._tcp.test", .type = NS_SRV, .data = "10 60 3891 big.test", .ttl = 60 },
    { .name = "_ldap._tcp.test", .type = NS_SRV, .data = "10 20 3892 small.test", .ttl = 60 },
    { .name = "_ldap._tcp.test", .type = NS_SRV, .data = "10 0 3893 zero.test", .ttl = 60 },
    { .name = "_none._tcp.test", .type = NS_SRV, .data = "0 0 0 .", .ttl = 60 },
    { .name = "1.2.0.192.in-addr.arpa", .type = NS_PTR, .data = "host.test", .ttl = 60 },
    { .name = "2.2.0.192.in-addr.arpa", .type = NS_PTR, .data = "bad\nname.test", .ttl = 60 },
    { .name = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
      .type = NS_PTR,
      .data = "six.test",
      .ttl = 60 },
};

FIBER_TEST(services_come_by_priority_and_then_by_a_draw_of_their_weights)
{
    world w = { 0 };
    unsigned first[4] = { 0 };
    BEGIN(&w, others, .servers = NULL);
    for (int i = 0; i < 4000; i++) {
        th_services *s = NULL;
        ck_assert_int_eq(th_resolve_srv("_LDAP._tcp.test.", &w.opts, &s), 0);
        ck_assert_uint_eq(s->count, 4);
        ck_assert_str_eq(s->at[3].host, "late.test");
        ck_assert_uint_eq(s->at[3].port, 389);
        first[s->at[0].port - 3891]++;
        th_services_free(s);
    }
    /* 60, 20 and 0 of 80, the last with one chance in 81: six standard deviations of room */
    ck_assert_msg(first[0] > 2750 && first[0] < 3200, "%u", first[0]);
    ck_assert_msg(first[1] > 800 && first[1] < 1200, "%u", first[1]);
    ck_assert_msg(first[2] > 0 && first[2] < 120, "%u", first[2]);
    ck_assert_uint_eq(atomic_load(&w.server.asked), 1);
    end_world(&w);
}

FIBER_TEST(a_service_that_is_not_offered_is_an_error)
{
    world w = { 0 };
    th_services *s = NULL;
    BEGIN(&w, others, .servers = NULL);
    ck_assert_int_eq(th_resolve_srv("_none._tcp.test", &w.opts, &s), TH_ENAME);
    ck_assert_int_eq(th_resolve_srv("_unknown._tcp.test", &w.opts, &s), TH_ENAME);
    ck_assert_ptr_null(s);
    end_world(&w);
}

static int name_of(const char *addr, const th_resolve_opts *opts, char *name, size_t size)
{
    th_answer *answer = answered(addr, "9", NULL);
    int result = th_resolve_name(&answer->addrs[0], opts, name, size);
    th_answer_free(answer);
    return result;
}

FIBER_TEST(addresses_have_names)
{
    world w = { 0 };
    char name[TH_NAME_TEXT];
    make_folder();
    write_file(hosts_path, "10.0.0.1 Ten alias\n10.0.0.1 again\n::7 seven\n");
    BEGIN(&w, others, .hosts = hosts_path);
    ck_assert_int_eq(name_of("10.0.0.1", &w.opts, name, sizeof name), 3);
    ck_assert_str_eq(name, "ten");
    ck_assert_int_eq(name_of("::7", &w.opts, name, sizeof name), 5);
    ck_assert_int_eq(name_of("192.0.2.1", &w.opts, name, sizeof name), 9);
    ck_assert_str_eq(name, "host.test");
    ck_assert_int_eq(name_of("2001:db8::1", &w.opts, name, sizeof name), 8);
    ck_assert_str_eq(name, "six.test");
    ck_assert_int_eq(name_of("192.0.2.1", &w.opts, name, 10), 9);
    ck_assert_int_eq(name_of("192.0.2.1", &w.opts, name, 9), TH_ELIMIT);
    ck_assert_int_eq(name_of("192.0.2.9", &w.opts, name, sizeof name), TH_ENAME);
    ck_assert_int_lt(name_of("192.0.2.2", &w.opts, name, sizeof name), 0);
    ck_assert_ptr_null(strchr(name, '\n'));
    end_world(&w);
    remove_folder();
}

static void add_texts(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "text");
    tcase_add_test(tcase, literals_are_read_anywhere_and_nobody_is_asked);
    tcase_add_test(tcase, what_looks_like_an_address_and_is_none_is_no_name_either);
    tcase_add_test(tcase, without_a_host_it_is_this_machine);
    tcase_add_test(tcase, numbers_alone_refuse_names_at_once);
    tcase_add_test(tcase, services_have_names);
    tcase_add_test(tcase, misuse_is_refused);
    tcase_add_test(tcase, names_are_for_fibers);
    tcase = thi_check_case(suite, "files");
    tcase_add_test(tcase, the_hosts_file_beats_the_name_server);
    tcase_add_test(tcase, addresses_to_which_there_is_a_way_come_first);
    tcase_add_test(tcase, a_missing_hosts_file_is_empty);
    tcase_add_test(tcase, a_file_that_is_none_is_an_error_that_names_it);
    tcase_add_test(tcase, localhost_is_this_machine_without_asking);
    tcase_add_test(tcase, a_change_of_the_files_is_noticed);
    tcase_add_test(tcase, domains_are_searched_as_resolv_conf_has_it);
}

static void add_answers(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "answers");
    add_on_engines(tcase, addresses_of_both_families_are_found);
    tcase_add_test(tcase, aliases_are_followed_and_the_name_at_their_end_is_told);
    tcase_add_test(tcase, no_result_is_an_error_and_never_an_empty_success);
    tcase_add_test(tcase, that_there_is_nothing_is_not_remembered_unless_it_may_be);
    tcase_add_test(tcase, one_family_is_enough_when_the_other_fails_or_is_silent);
    tcase_add_test(tcase, that_nobody_could_tell_beats_that_there_is_nothing);
    tcase_add_test(tcase, a_failure_is_remembered_for_a_moment_only);
    add_on_engines(tcase, a_server_that_is_not_there_is_passed_over);
    add_on_engines(tcase, when_no_server_is_there_that_is_told);
    add_on_engines(tcase, an_answer_with_a_wrong_id_or_from_somebody_else_is_ignored);
    add_on_engines(tcase, a_truncated_answer_is_asked_for_again_by_tcp);
    add_on_engines(tcase, resolv_conf_may_ask_for_tcp_alone);
    tcase_add_test(tcase, services_come_by_priority_and_then_by_a_draw_of_their_weights);
    tcase_add_test(tcase, a_service_that_is_not_offered_is_an_error);
    tcase_add_test(tcase, addresses_have_names);
}

static void fill_suite(Suite *suite)
{
    add_texts(suite);
    add_answers(suite);
    TCase *tcase = thi_check_case(suite, "sharing");
    tcase_add_test(tcase, many_who_ask_for_the_same_wait_for_one_question);
    tcase_add_test(tcase, every_worker_has_answers_of_its_own);
    tcase_add_test(tcase, what_becomes_of_questions_is_counted);
    tcase_add_test(tcase, what_is_remembered_is_bounded);
    tcase_add_test(tcase, too_many_questions_on_their_way_are_refused);
    tcase = thi_check_case(suite, "scopes");
    add_on_engines(tcase, a_look_up_ends_with_its_scope);
    tcase_add_test(tcase, the_answer_to_who_has_given_up_is_there_for_the_next);
    tcase_add_test(tcase, a_resolver_may_go_while_its_questions_are_on_their_way);
    tcase_add_test(tcase, a_name_server_that_does_not_answer_delays_no_file);
}

int main(void)
{
    return thi_check_run("net/names", fill_suite);
}
