/* SPDX-License-Identifier: MIT */

/* Options of sockets: as text, in force, inherited or not, refused, and what TCP knows. */
#include "pair.h"

#include "net/addr.h"
#include "net/listener.h"
#include "net/tune.h"
#include "net/tune_table.h"
#include "socket_option.h"
#include "sys/fault.h"

#include <thrum/addr.h>
#include <thrum/dial.h>
#include <thrum/serve.h>
#include <thrum/sim.h>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

/* ---- text ------------------------------------------------------------------------------------ */

static th_tune tune_of(const char *text)
{
    th_tune tune = { .size = sizeof tune };
    int err = th_tune_parse(text, &tune);
    ck_assert_msg(err == 0, "%s: %s: %s", text, th_errname(err), th_err_detail());
    return tune;
}

/* The text is refused, with a detail that has the word, and changes nothing. */
static void is_refused(const char *text, int code, const char *word)
{
    th_tune tune = tune_of("nodelay,rcvbuf=1M");
    th_tune before = tune;
    int err = th_tune_parse(text, &tune);
    ck_assert_msg(err == code, "%s: %s", text, th_errname(err));
    ck_assert_msg(strstr(th_err_detail(), word) != NULL, "%s: %s", text, th_err_detail());
    ck_assert_mem_eq(&before, &tune, sizeof tune);
}

START_TEST(a_list_of_options_is_read)
{
    th_tune t = tune_of("nodelay=1, rcvbuf=1M,fastopen=256,defer_accept=5,user_timeout=30s,"
                        "keepalive=60/10/5,congestion=bbr,quickack,mark=7,priority=3,linger=2s,"
                        "notsent_lowat=16K,maxseg=1400,busy_poll=50us,incoming_cpu=0");
    ck_assert_int_eq(t.nodelay, 1);
    ck_assert_int_eq(t.rcvbuf, 1 << 20);
    ck_assert_int_eq(t.fastopen, 256);
    ck_assert_int_eq(t.defer_accept, 5 * TH_SECOND);
    ck_assert_int_eq(t.user_timeout, 30 * TH_SECOND);
    ck_assert_int_eq(t.keepalive, 1);
    ck_assert_int_eq(t.keepalive_idle, 60 * TH_SECOND);
    ck_assert_int_eq(t.keepalive_interval, 10 * TH_SECOND);
    ck_assert_int_eq(t.keepalive_count, 5);
    ck_assert_str_eq(t.congestion, "bbr");
    ck_assert_int_eq(t.quickack, 1);
    ck_assert_int_eq(t.mark, 7);
    ck_assert_int_eq(t.priority, 3);
    ck_assert_int_eq(t.linger, 2 * TH_SECOND);
    ck_assert_int_eq(t.notsent_lowat, 16384);
    ck_assert_int_eq(t.maxseg, 1400);
    ck_assert_int_eq(t.busy_poll, 50 * TH_MICROSECOND);
    ck_assert(t.given & TH_TUNE_BIT(TH_TUNE_INCOMING_CPU));
    ck_assert(!(t.given & TH_TUNE_BIT(TH_TUNE_SNDBUF)));
}
END_TEST

START_TEST(values_take_units_and_words)
{
    ck_assert_int_eq(tune_of("nodelay=off").nodelay, 0);
    ck_assert(tune_of("nodelay=off").given & TH_TUNE_BIT(TH_TUNE_NODELAY));
    ck_assert_int_eq(tune_of("nodelay=on").nodelay, 1);
    ck_assert_int_eq(tune_of("linger=off").linger, -1);
    ck_assert_int_eq(tune_of("linger=0").linger, 0);
    ck_assert_int_eq(tune_of("user_timeout=1500ms").user_timeout, 1500 * TH_MILLISECOND);
    ck_assert_int_eq(tune_of("user_timeout=2m").user_timeout, 120 * TH_SECOND);
    ck_assert_int_eq(tune_of("fin_timeout=1h").fin_timeout, 3600 * TH_SECOND);
    ck_assert_int_eq(tune_of("pacing=3G").pacing, INT64_C(3) << 30);
    ck_assert_int_eq(tune_of("keepalive").keepalive, 1);
    ck_assert_int_eq(tune_of("keepalive=60").keepalive_idle, 60 * TH_SECOND);
    ck_assert_int_eq(tune_of("keepalive=off").keepalive, 0);
    ck_assert_int_eq(tune_of("dscp=ef").tos, 0xb8);
    ck_assert_int_eq(tune_of("dscp=af41").tos, 0x88);
    ck_assert_int_eq(tune_of("dscp=cs1").tos, 0x20);
    ck_assert_int_eq(tune_of("dscp=63").tos, 0xfc);
    ck_assert_int_eq(tune_of("tos=255").tos, 255);
    ck_assert_int_eq(tune_of("mark=4294967295").mark, UINT32_MAX);
    ck_assert_int_eq(tune_of("fastopen").fastopen, 256);
    ck_assert_int_eq(tune_of("fastopen=off").fastopen, 0);
    ck_assert(tune_of("fastopen=off").given & TH_TUNE_BIT(TH_TUNE_FASTOPEN));
    ck_assert_uint_eq(tune_of(" ").given, 0);
    ck_assert_int_eq(tune_of("rcvbuf=1K,rcvbuf=2K").rcvbuf, 2048);
}
END_TEST

START_TEST(what_is_unknown_is_named)
{
    is_refused("nodelay,no_such_thing=1", -ENOPROTOOPT, "no_such_thing=1");
    is_refused("latencyy", -ENOPROTOOPT, "latencyy");
    is_refused("profile=nothing", -ENOPROTOOPT, "nothing");
    is_refused("Nodelay", -ENOPROTOOPT, "Nodelay");
    is_refused("=1", -ENOPROTOOPT, "=1");
}
END_TEST

START_TEST(a_value_that_cannot_be_is_named)
{
    static const char *const texts[] = {
        "nodelay=2",
        "nodelay=",
        "nodelay=yes",
        "rcvbuf=1X",
        "rcvbuf=",
        "rcvbuf=-1",
        "rcvbuf",
        "rcvbuf=2G",
        "rcvbuf=9999999999999999999",
        "pacing=9223372036854775808",
        "user_timeout=5d",
        "user_timeout=1.5s",
        "user_timeout=25d",
        "user_timeout=600h",
        "tos=256",
        "ttl=300",
        "mark=4294967296",
        "congestion=",
        "congestion=a name",
        "congestion=abcdefghijklmnop",
        "keepalive=1/2/3/4",
        "keepalive=/1",
        "keepalive=60/",
        "dscp=64",
        "dscp=af44",
        "dscp=af51",
        "dscp=cs8",
        "linger=-1",
        "maxseg=1K",
        "fastopen=yes",
    };
    for (size_t i = 0; i < thi_array_len(texts); i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(texts[i], "="), texts[i]);
        is_refused(texts[i], TH_ECONFIG, name);
    }
    is_refused("tos=0x10", TH_ECONFIG, "0 to 255");
    is_refused("fastopen=x", TH_ECONFIG, "length of the queue");
    is_refused("nodelay,,quickack", TH_ECONFIG, "empty entry");
    is_refused("nodelay,", TH_ECONFIG, "empty entry");
}
END_TEST

START_TEST(misuse_is_refused)
{
    th_tune tune = { .size = sizeof tune + 1 };
    ck_assert_int_eq(th_tune_parse("nodelay", &tune), -EINVAL);
    ck_assert_int_eq(th_tune_parse(NULL, &tune), -EINVAL);
    ck_assert_int_eq(th_tune_parse("nodelay", NULL), -EINVAL);
    ck_assert_int_eq(th_stream_tune(NULL, &tune), -EINVAL);
    ck_assert_int_eq(th_stream_tuning(NULL, &tune), -EINVAL);
    ck_assert_int_eq(th_listener_tune(NULL, &tune), -EINVAL);
    ck_assert_int_eq(th_listener_tuning(NULL, &tune), -EINVAL);
    ck_assert_int_eq(th_stream_tcp_info(NULL, NULL), -EINVAL);
}
END_TEST

/* Any value of any option survives the way into text and back. */
START_TEST(what_is_written_is_read_as_the_same)
{
    char text[TH_TUNE_TEXT];
    th_tune all = { .size = sizeof all };
    for (int i = 0; i < TH_TUNE_OPTIONS; i++) {
        const thi_tune_entry *e = &thi_tune_entries[i];
        int64_t most = e->max ? e->max : INT32_MAX;
        if (e->kind == THI_TUNE_FLAG)
            most = 1;
        else if (e->unit)
            most = INT32_MAX * e->unit / 1000 * 1000 - 999; /* no round number */
        if (e->kind == THI_TUNE_TEXT)
            thi_tune_put_text(&all, (enum th_tune_option)i, "a-name_of.15:@x", 15);
        else
            thi_tune_put(&all, (enum th_tune_option)i, most);
    }
    (void)th_tune_format(&all, text, sizeof text);
    ck_assert_uint_lt(strlen(text), sizeof text - 1);
    th_tune again = tune_of(text);
    ck_assert_mem_eq(&all, &again, sizeof all);
    th_tune zeros = { .size = sizeof zeros, .given = (UINT64_C(1) << TH_TUNE_OPTIONS) - 1 };
    zeros.given &= ~(TH_TUNE_BIT(TH_TUNE_CONGESTION) | TH_TUNE_BIT(TH_TUNE_DEVICE));
    (void)th_tune_format(&zeros, text, sizeof text);
    again = tune_of(text);
    ck_assert_mem_eq(&zeros, &again, sizeof zeros);
    ck_assert_str_eq(
        th_tune_format(
            &(th_tune){ .linger = -1, .rcvbuf = 3 << 20, .user_timeout = 1500 * TH_MILLISECOND },
            text, sizeof text),
        "rcvbuf=3M,user_timeout=1500ms,linger=off");
    ck_assert_str_eq(th_tune_format(&(th_tune){ .nodelay = 1 }, text, 4), "nod");
    text[0] = 'x';
    (void)th_tune_format(&all, text, 0);
    ck_assert_int_eq(text[0], 'x');
}
END_TEST

START_TEST(a_profile_is_advice_until_an_option_is_named)
{
    th_tune t = tune_of("latency");
    ck_assert_int_eq(t.nodelay, 1);
    ck_assert_int_eq(t.notsent_lowat, 16384);
    ck_assert(t.optional & TH_TUNE_BIT(TH_TUNE_NODELAY));
    t = tune_of("latency,nodelay=0");
    ck_assert_int_eq(t.nodelay, 0);
    ck_assert(!(t.optional & TH_TUNE_BIT(TH_TUNE_NODELAY)));
    ck_assert(t.optional & TH_TUNE_BIT(TH_TUNE_QUICKACK));
    ck_assert_int_eq(tune_of("nodelay=0,profile=latency").nodelay, 1);
    t = tune_of("throughput");
    ck_assert(t.zerocopy && !t.nodelay && t.notsent_lowat == 1 << 20);
    t = tune_of("many-idle");
    ck_assert(t.keepalive && t.keepalive_count == 4 && t.rcvbuf == 65536);
}
END_TEST

/* Whether the kernel has the option. */
static bool knows(enum th_tune_option option)
{
    const thi_tune_entry *e = &thi_tune_entries[option];
    return kernel_has_option(SOCK_STREAM, e->level, e->option);
}

/* ---- in force -------------------------------------------------------------------------------- */

/* Sets it on an open connection, and reads back what the kernel has. */
static th_tune in_force(pair *p, const char *text)
{
    th_tune tune = tune_of(text);
    th_tune read = { .size = 0 };
    int err = th_stream_tune(p->stream, &tune);
    ck_assert_msg(err == 0, "%s: %s: %s", text, th_errname(err), th_err_detail());
    ck_assert_int_eq(th_stream_tuning(p->stream, &read), 0);
    return read;
}

FIBER_TEST(what_is_set_is_read_back)
{
    pair p = open_tcp_pair();
    ck_assert_int_eq(in_force(&p, "nodelay=0").nodelay, 0);
    ck_assert_int_eq(in_force(&p, "nodelay").nodelay, 1);
    ck_assert_int_eq(in_force(&p, "rcvbuf=64K").rcvbuf, 2 * 65536); /* Linux counts double */
    ck_assert_int_eq(in_force(&p, "sndbuf=32K").sndbuf, 2 * 32768);
    th_tune t = in_force(&p, "keepalive=61/11/7");
    ck_assert_int_eq(t.keepalive, 1);
    ck_assert_int_eq(t.keepalive_idle, 61 * TH_SECOND);
    ck_assert_int_eq(t.keepalive_interval, 11 * TH_SECOND);
    ck_assert_int_eq(t.keepalive_count, 7);
    ck_assert_int_eq(in_force(&p, "keepalive=off").keepalive, 0);
    ck_assert_int_eq(in_force(&p, "user_timeout=1234567us").user_timeout, 1235 * TH_MILLISECOND);
    ck_assert_int_eq(in_force(&p, "linger=3").linger, 3 * TH_SECOND);
    ck_assert_int_eq(in_force(&p, "linger=0").linger, 0);
    ck_assert_int_eq(in_force(&p, "linger=off").linger, -1);
    ck_assert_int_eq(in_force(&p, "quickack=0").quickack, 0);
    ck_assert_int_eq(in_force(&p, "notsent_lowat=8K").notsent_lowat, 8192);
    ck_assert_str_eq(in_force(&p, "congestion=reno").congestion, "reno");
    ck_assert_int_eq(in_force(&p, "priority=5").priority, 5);
    ck_assert_int_eq(in_force(&p, "dscp=af21").tos, 0x48);
    ck_assert_int_eq(in_force(&p, "ttl=33").ttl, 33);
    ck_assert_int_eq(in_force(&p, "thin").thin, 1);
    ck_assert_int_eq(in_force(&p, "oobinline").oobinline, 1);
    ck_assert_int_eq(in_force(&p, "rcvlowat=99").rcvlowat, 99);
    ck_assert_int_eq(in_force(&p, "fin_timeout=9").fin_timeout, 9 * TH_SECOND);
    ck_assert_int_eq(in_force(&p, "window_clamp=60000").window_clamp, 60000);
    close_pair(&p);
}

FIBER_TEST(zerocopy_is_read_back)
{
    SKIP_UNLESS(knows(TH_TUNE_ZEROCOPY), "the kernel has no SO_ZEROCOPY");
    pair p = open_tcp_pair();
    ck_assert_int_eq(in_force(&p, "zerocopy").zerocopy, 1);
    close_pair(&p);
}

FIBER_TEST(pacing_is_read_back)
{
    SKIP_UNLESS(knows(TH_TUNE_PACING), "the kernel has no SO_MAX_PACING_RATE");
    pair p = open_tcp_pair();
    ck_assert_int_eq(in_force(&p, "pacing=1M").pacing, 1 << 20);
    close_pair(&p);
}

FIBER_TEST(a_structure_sets_only_what_is_in_it)
{
    pair p = open_tcp_pair();
    th_tune before, after;
    ck_assert_int_eq(th_stream_tuning(p.stream, &before), 0);
    ck_assert_int_eq(th_stream_tune(p.stream, &(th_tune){ .size = 0 }), 0);
    ck_assert_int_eq(th_stream_tuning(p.stream, &after), 0);
    ck_assert_mem_eq(&before, &after, sizeof before);
    ck_assert_int_eq(th_stream_tune(p.stream, &(th_tune){ .keepalive = 1, .tos = 0x10 }), 0);
    ck_assert_int_eq(th_stream_tuning(p.stream, &after), 0);
    before.keepalive = 1;
    before.tos = 0x10;
    before.priority = after.priority; /* Linux derives it from the TOS */
    ck_assert_mem_eq(&before, &after, sizeof before);
    close_pair(&p);
}

/* An option comes to nothing with an error that names it. */
static void fails(th_stream *stream, const char *text, int code, const char *word)
{
    th_tune tune = tune_of(text);
    int err = th_stream_tune(stream, &tune);
    ck_assert_msg(err == code, "%s: %s: %s", text, th_errname(err), th_err_detail());
    ck_assert_msg(strstr(th_err_detail(), word) != NULL, "%s: %s", text, th_err_detail());
}

FIBER_TEST(what_comes_too_late_or_is_not_there_is_named)
{
    pair p = open_tcp_pair();
    fails(p.stream, "reuseport", -EINVAL, "reuseport=1: must be set before");
    fails(p.stream, "fastopen=5", -EINVAL, "fastopen=5");
    fails(p.stream, "defer_accept=5", -EINVAL, "defer_accept=5s: is for listeners");
    fails(p.stream, "syncnt=5", -EINVAL, "is for dialling");
    fails(p.stream, "v6only", -EOPNOTSUPP, "v6only=1");
    fails(p.stream, "congestion=none-such", -ENOENT,
          "congestion=none-such: the kernel has no such");
    ck_assert_int_eq(th_stream_tune(p.stream, &(th_tune){ .keepalive_idle = INT64_MAX }), -EINVAL);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "keepalive_idle"));
    ck_assert_int_eq(th_stream_tune(p.stream, &(th_tune){ .nodelay = 2 }), -EINVAL);
    ck_assert_int_eq(th_stream_tune(p.stream, &(th_tune){ .rcvbuf = -5 }), -EINVAL);
    ck_assert_int_eq(th_stream_tune(p.stream, &(th_tune){ .size = sizeof(th_tune) + 1 }), -EINVAL);
    close_pair(&p);
    p = open_pair();
    fails(p.stream, "nodelay", -EOPNOTSUPP, "nodelay=1");
    ck_assert_int_eq(in_force(&p, "sndbuf=64K").sndbuf, 2 * 65536);
    ck_assert_int_eq(in_force(&p, "latency").nodelay, 0); /* advice is left out */
    close_pair(&p);
}

FIBER_TEST(after_closing_it_is_a_bad_descriptor)
{
    pair p = open_tcp_pair();
    th_tune tune = tune_of("nodelay");
    th_tcp_info info;
    ck_assert_int_eq(th_stream_close(p.stream), 0);
    ck_assert_int_eq(th_stream_tune(p.stream, &tune), -EBADF);
    ck_assert_int_eq(th_stream_tuning(p.stream, &tune), -EBADF);
    ck_assert_int_eq(th_stream_tcp_info(p.stream, &info), -EBADF);
    close_pair(&p);
}

/* Gives up the rights of root, where there are any, until they are taken back. */
static bool drop_rights(void)
{
    return geteuid() != 0 || seteuid(65534) == 0;
}

static void take_rights_back(void)
{
    if (getuid() == 0)
        ck_assert_int_eq(seteuid(0), 0);
}

FIBER_TEST(without_the_right_to_it_an_option_is_refused_and_named)
{
    SKIP_UNLESS(drop_rights(), "rights cannot be given up");
    pair p = open_tcp_pair();
    fails(p.stream, "priority=7", -EPERM, "priority=7");
    fails(p.stream, "rcvbuf=1G", -EPERM, "rmem_max");
    fails(p.stream, "sndbuf=1G", -EPERM, "wmem_max");
    th_tune tune = tune_of("priority=7");
    tune.optional = TH_TUNE_BIT(TH_TUNE_PRIORITY);
    ck_assert_int_eq(th_stream_tune(p.stream, &tune), 0);
    take_rights_back();
    close_pair(&p);
}

FIBER_TEST(without_the_right_to_it_a_mark_is_refused)
{
    SKIP_UNLESS(knows(TH_TUNE_MARK), "the kernel has no SO_MARK");
    SKIP_UNLESS(drop_rights(), "rights cannot be given up");
    pair p = open_tcp_pair();
    fails(p.stream, "mark=7", -EPERM, "mark=7");
    take_rights_back();
    close_pair(&p);
}

FIBER_TEST(with_the_right_a_buffer_may_be_larger_than_the_system_says)
{
    SKIP_UNLESS(geteuid() == 0, "this user is not root");
    pair p = open_tcp_pair();
    ck_assert_int_eq(in_force(&p, "rcvbuf=64M").rcvbuf, INT64_C(128) << 20);
    ck_assert_int_eq(in_force(&p, "sndbuf=64M").sndbuf, INT64_C(128) << 20);
    close_pair(&p);
}

FIBER_TEST(with_the_right_a_mark_is_set)
{
    SKIP_UNLESS(knows(TH_TUNE_MARK), "the kernel has no SO_MARK");
    SKIP_UNLESS(geteuid() == 0, "this user is not root");
    pair p = open_tcp_pair();
    ck_assert_int_eq(in_force(&p, "mark=7").mark, 7);
    close_pair(&p);
}

/* ---- listeners ------------------------------------------------------------------------------- */

/* Connects to a listener and accepts, bare. */
static int accept_from(const th_listener *l, int *client)
{
    thi_sockaddr sa;
    socklen_t len = thi_addr_to_sockaddr(&l->addr, &sa);
    *client = socket(sa.sa.sa_family, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(*client, &sa.sa, len), 0);
    int fd = -1;
    while ((fd = thi_sys_accept(l->fd, NULL, NULL)) == -EAGAIN)
        continue;
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* Listens with the options, and tells what is in force on what it accepts. */
static th_tune accepted_with(const char *address, const char *text)
{
    th_listener *l = NULL;
    th_tune read;
    int client;
    int err = th_listen(address, &(th_listen_opts){ .tune = text }, &l);
    ck_assert_msg(err == 0, "%s: %s: %s", text, th_errname(err), th_err_detail());
    int fd = accept_from(l, &client);
    if (l->has_own)
        ck_assert_int_eq(thi_tune_set(fd, &l->tune, THI_TUNE_ACCEPTED), 0);
    ck_assert_int_eq(thi_tune_read(fd, &read), 0);
    close(fd);
    close(client);
    th_listener_close(l);
    return read;
}

/* The rule of the header, option by option: what a listener has, its connections have. */
static const struct {
    const char *text;
    enum th_tune_option option;
} handed_down[] = {
    { "nodelay=0", TH_TUNE_NODELAY },
    { "thin", TH_TUNE_THIN },
    { "oobinline", TH_TUNE_OOBINLINE },
    { "zerocopy", TH_TUNE_ZEROCOPY },
    { "rcvbuf=64K", TH_TUNE_RCVBUF },
    { "sndbuf=64K", TH_TUNE_SNDBUF },
    { "rcvlowat=9", TH_TUNE_RCVLOWAT },
    { "notsent_lowat=9K", TH_TUNE_NOTSENT_LOWAT },
    { "window_clamp=20000", TH_TUNE_WINDOW_CLAMP },
    { "pacing=1M", TH_TUNE_PACING },
    { "user_timeout=9s", TH_TUNE_USER_TIMEOUT },
    { "keepalive", TH_TUNE_KEEPALIVE },
    { "keepalive_idle=9s", TH_TUNE_KEEPALIVE_IDLE },
    { "keepalive_interval=9s", TH_TUNE_KEEPALIVE_INTERVAL },
    { "keepalive_count=9", TH_TUNE_KEEPALIVE_COUNT },
    { "linger=9s", TH_TUNE_LINGER },
    { "fin_timeout=9s", TH_TUNE_FIN_TIMEOUT },
    { "congestion=reno", TH_TUNE_CONGESTION },
    { "quickack=0", TH_TUNE_QUICKACK },
    { "priority=4", TH_TUNE_PRIORITY },
    { "tos=16", TH_TUNE_TOS },
    { "ttl=9", TH_TUNE_TTL },
};

/* For SKIP_UNLESS. */
static const char *none_such(int i)
{
    static char reason[64];
    (void)snprintf(reason, sizeof reason, "the kernel has no option for %s", handed_down[i].text);
    return reason;
}

static void inherit(const char *address, const char *text, enum th_tune_option option)
{
    const thi_tune_entry *e = &thi_tune_entries[option];
    th_tune want = tune_of(text);
    th_tune got = accepted_with(address, text);
    ck_assert(thi_tune_is_set(&want, option));
    if (e->kind == THI_TUNE_TEXT)
        ck_assert_str_eq(thi_tune_text(&got, e), thi_tune_text(&want, e));
    else /* Linux counts buffers double */
        ck_assert_int_eq(thi_tune_get(&got, e),
                         (e->kind == THI_TUNE_BUFFER ? 2 : 1) * thi_tune_get(&want, e));
}

START_TEST(connections_have_what_their_listener_has)
{
    SKIP_UNLESS(knows(handed_down[_i].option), none_such(_i));
    inherit("127.0.0.1:0", handed_down[_i].text, handed_down[_i].option);
}
END_TEST

START_TEST(connections_of_ip6_have_it_too)
{
    th_listener *six = NULL;
    SKIP_UNLESS(th_listen("[::1]:0", NULL, &six) == 0, "there is no IPv6");
    th_listener_close(six);
    SKIP_UNLESS(knows(handed_down[_i].option), none_such(_i));
    inherit("[::1]:0", handed_down[_i].text, handed_down[_i].option);
}
END_TEST

START_TEST(on_a_unix_listener_it_is_set_on_each_connection)
{
    char address[80];
    (void)snprintf(address, sizeof address, "unix:@thrum-tune-%ld", (long)getpid());
    ck_assert_int_eq(accepted_with(address, "sndbuf=64K").sndbuf, 2 * 65536);
    ck_assert_int_eq(accepted_with(address, "many-idle").rcvbuf, 2 * 65536);
}
END_TEST

START_TEST(a_listener_is_tuned_before_and_after_it_listens)
{
    th_listener *l = NULL;
    th_tune t;
    ck_assert_int_eq(th_listen("127.0.0.1:0",
                               &(th_listen_opts){ .tune = "fastopen=9,defer_accept=5,maxseg=1000,"
                                                          "reuseport,freebind,reuseaddr=0" },
                               &l),
                     0);
    ck_assert_int_eq(th_listener_tuning(l, &t), 0);
    ck_assert_int_eq(t.fastopen, 9);
    ck_assert_int_ge(t.defer_accept, 5 * TH_SECOND); /* rounded to what retransmissions allow */
    ck_assert_int_eq(t.maxseg, 1000);
    ck_assert(t.reuseport && t.freebind && !t.reuseaddr);
    ck_assert_int_eq(t.nodelay, 1); /* as ever */
    t = tune_of("user_timeout=7s,quickack=0");
    ck_assert_int_eq(th_listener_tune(l, &t), 0);
    ck_assert(l->has_own);
    ck_assert_int_eq(th_listener_tuning(l, &t), 0);
    ck_assert_int_eq(t.user_timeout, 7 * TH_SECOND);
    t = tune_of("reuseport");
    ck_assert_int_eq(th_listener_tune(l, &t), -EINVAL);
    t = tune_of("syncnt=3");
    ck_assert_int_eq(th_listener_tune(l, &t), -EINVAL);
    thi_listener_retire(l);
    ck_assert_int_eq(th_listener_tune(l, &t), -EBADF);
    ck_assert_int_eq(th_listener_tuning(l, &t), -EBADF);
    th_listener_close(l);
}
END_TEST

START_TEST(a_listener_with_wrong_options_does_not_open)
{
    static const struct {
        const char *text;
        int code;
        const char *word;
    } cases[] = {
        { "none_such", -ENOPROTOOPT, "none_such" },
        { "rcvbuf=many", TH_ECONFIG, "rcvbuf=many" },
        { "congestion=none-such", -ENOENT, "congestion=none-such" },
        { "syncnt=3", -EINVAL, "dialling" },
        { "v6only", -EOPNOTSUPP, "v6only" },
        { "device=none-such0", -ENODEV, "device=none-such0" },
    };
    for (size_t i = 0; i < thi_array_len(cases); i++) {
        th_listener *l = NULL;
        int err = th_listen("127.0.0.1:0", &(th_listen_opts){ .tune = cases[i].text }, &l);
        ck_assert_msg(err == cases[i].code, "%s: %s", cases[i].text, th_errname(err));
        ck_assert_msg(strstr(th_err_detail(), cases[i].word), "%s", th_err_detail());
        ck_assert_ptr_null(l);
    }
}
END_TEST

/* ---- on the way to connect ------------------------------------------------------------------- */

START_TEST(a_socket_is_tuned_before_it_connects)
{
    th_tune t;
    int fd = thi_sys_socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(thi_tune_apply(fd, "syncnt=2,fastopen=1,latency,ttl=9"), 0);
    ck_assert_int_eq(thi_tune_read(fd, &t), 0);
    ck_assert_int_eq(t.syncnt, 2);
    ck_assert_int_eq(t.ttl, 9);
    ck_assert_int_eq(t.nodelay, 1);
    int connects_fast = 0;
    socklen_t len = sizeof connects_fast;
    ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, 30, &connects_fast, &len), 0);
    ck_assert_int_eq(connects_fast, 1);
    ck_assert_int_eq(thi_tune_apply(fd, "defer_accept=5"), -EINVAL);
    ck_assert_int_eq(thi_tune_apply(fd, "none_such"), -ENOPROTOOPT);
    close(fd);
    fd = thi_sys_socket(AF_INET, SOCK_DGRAM, 0);
    ck_assert_int_eq(thi_tune_apply(fd, "rcvbuf=64K,dscp=ef,ttl=9,throughput"), 0);
    ck_assert_int_eq(thi_tune_read(fd, &t), 0);
    ck_assert_int_eq(t.tos, 0xb8);
    ck_assert_int_eq(thi_tune_apply(fd, "nodelay"), -EOPNOTSUPP);
    close(fd);
    fd = open("/dev/null", O_RDONLY);
    ck_assert_int_eq(thi_tune_apply(fd, "nodelay"), -ENOTSOCK);
    close(fd);
}
END_TEST

START_TEST(a_port_is_chosen_late)
{
    SKIP_UNLESS(knows(TH_TUNE_BIND_LATE), "the kernel has no IP_BIND_ADDRESS_NO_PORT");
    th_tune t;
    int fd = thi_sys_socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(thi_tune_apply(fd, "bind_late"), 0);
    ck_assert_int_eq(thi_tune_read(fd, &t), 0);
    ck_assert_int_eq(t.bind_late, 1);
    close(fd);
}
END_TEST

FIBER_TEST(who_dials_names_options_too)
{
    char text[TH_ADDR_TEXT];
    th_listener *l = NULL;
    th_stream *stream = NULL;
    th_tune t;
    ck_assert_int_eq(th_listen("127.0.0.1:0", NULL, &l), 0);
    (void)th_addr_format(&l->addr, text, sizeof text);
    ck_assert_int_eq(th_dial(text, &(th_dial_opts){ .tune = "nodelay=0,user_timeout=9s" }, &stream),
                     0);
    ck_assert_int_eq(th_stream_tuning(stream, &t), 0);
    ck_assert_int_eq(t.nodelay, 0);
    ck_assert_int_eq(t.user_timeout, 9 * TH_SECOND);
    th_stream_free(stream);
    stream = NULL;
    ck_assert_int_eq(th_dial(text, &(th_dial_opts){ .tune = "none_such" }, &stream), -ENOPROTOOPT);
    ck_assert_int_eq(th_dial(text, &(th_dial_opts){ .tune = "congestion=none-such" }, &stream),
                     -ENOENT);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "congestion=none-such"));
    ck_assert_int_eq(th_dial(text, &(th_dial_opts){ .tune = "defer_accept=5" }, &stream), -EINVAL);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "is for listeners"));
    ck_assert_ptr_null(stream);
    th_listener_close(l);
}

/* Each call that sets or asks may fail, and then that is what is told. */
START_TEST(each_system_call_may_fail)
{
    SKIP_UNLESS(knows(TH_TUNE_PACING), "the kernel has no SO_MAX_PACING_RATE");
    const char *hit;
    unsigned long n = 1;
    int fd = thi_sys_socket(AF_INET6, SOCK_STREAM, 0);
    do {
        thi_fault_begin(n++, ENOBUFS);
        int err = thi_tune_apply(fd, "nodelay,rcvbuf=64K,linger=1,pacing=1M,congestion=reno");
        hit = thi_fault_hit();
        thi_fault_end();
        ck_assert_msg(err == (hit ? -ENOBUFS : 0), "%s: %s", hit ? hit : "none", th_errname(err));
        if (hit && strcmp(hit, "setsockopt") == 0)
            ck_assert_str_ne(th_err_detail(), "");
    } while (hit);
    ck_assert_uint_ge(n, 9);
    close(fd);
}
END_TEST

/* ---- what TCP knows -------------------------------------------------------------------------- */

/* Linux tells more than glibc's structure holds; an emulator may tell no more than a number. */
static bool kernel_tells_of_tcp(void)
{
    char room[1024];
    socklen_t len = sizeof room;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool tells =
        getsockopt(fd, IPPROTO_TCP, TCP_INFO, room, &len) == 0 && len > sizeof(struct tcp_info);
    close(fd);
    return tells;
}

FIBER_TEST(tcp_tells_of_a_connection)
{
    SKIP_UNLESS(kernel_tells_of_tcp(), "the kernel has no TCP_INFO");
    char buf[3000] = "";
    th_tcp_info info;
    pair p = open_tcp_pair();
    ck_assert_int_eq(th_stream_write(p.stream, buf, sizeof buf), (ssize_t)sizeof buf);
    ck_assert_int_eq(recv(p.peer, buf, sizeof buf, MSG_WAITALL), (ssize_t)sizeof buf);
    peer_sends(&p, "hello");
    ck_assert_int_eq(th_stream_read_all(p.stream, buf, 5), 5);
    do /* the acknowledgement is on its way */
        ck_assert_int_eq(th_stream_tcp_info(p.stream, &info), 0);
    while (info.bytes_acked < sizeof buf);
    ck_assert_int_eq(info.state, 1);
    ck_assert_int_gt(info.rtt, 0);
    ck_assert_int_lt(info.rtt, TH_SECOND);
    ck_assert_int_ge(info.rto, info.rtt);
    ck_assert_uint_gt(info.cwnd, 0);
    ck_assert_uint_gt(info.mss, 500);
    ck_assert_uint_ge(info.bytes_sent, sizeof buf);
    ck_assert_uint_eq(info.bytes_received, 5);
    ck_assert_uint_gt(info.delivery_rate, 0);
    ck_assert_uint_eq(info.unacked, 0);
    ck_assert_uint_eq(info.lost, 0);
    close_pair(&p);
    p = open_pair();
    ck_assert_int_eq(th_stream_tcp_info(p.stream, &info), -EOPNOTSUPP);
    close_pair(&p);
}

/* ---- in a simulation ------------------------------------------------------------------------- */

static int tuned_in_sim(void *arg)
{
    th_listener *l = NULL;
    th_tune t = tune_of("user_timeout=9s,nodelay=0,quickack");
    char text[TH_ADDR_TEXT];
    th_stream *stream = NULL;
    (void)arg;
    ck_assert_int_eq(th_listen("127.0.0.1:0", &(th_listen_opts){ .tune = "many-idle" }, &l), 0);
    ck_assert_int_eq(th_dial(th_addr_format(&l->addr, text, sizeof text), NULL, &stream), 0);
    ck_assert_int_eq(th_stream_tune(stream, &t), 0);
    ck_assert_int_eq(th_stream_tuning(stream, &t), 0);
    ck_assert_int_eq(t.user_timeout, 9 * TH_SECOND);
    ck_assert_int_eq(t.nodelay, 0);
    th_stream_free(stream);
    th_listener_close(l);
    return 0;
}

START_TEST(a_simulation_takes_the_same_options)
{
    ck_assert_int_eq(th_sim_run(tuned_in_sim, NULL, NULL, NULL), 0);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "text");
    tcase_add_test(tcase, a_list_of_options_is_read);
    tcase_add_test(tcase, values_take_units_and_words);
    tcase_add_test(tcase, what_is_unknown_is_named);
    tcase_add_test(tcase, a_value_that_cannot_be_is_named);
    tcase_add_test(tcase, misuse_is_refused);
    tcase_add_test(tcase, what_is_written_is_read_as_the_same);
    tcase_add_test(tcase, a_profile_is_advice_until_an_option_is_named);
    tcase = thi_check_case(suite, "in force");
    tcase_add_test(tcase, what_is_set_is_read_back);
    tcase_add_test(tcase, zerocopy_is_read_back);
    tcase_add_test(tcase, pacing_is_read_back);
    tcase_add_test(tcase, a_structure_sets_only_what_is_in_it);
    tcase_add_test(tcase, what_comes_too_late_or_is_not_there_is_named);
    tcase_add_test(tcase, after_closing_it_is_a_bad_descriptor);
    tcase_add_test(tcase, without_the_right_to_it_an_option_is_refused_and_named);
    tcase_add_test(tcase, without_the_right_to_it_a_mark_is_refused);
    tcase_add_test(tcase, with_the_right_a_buffer_may_be_larger_than_the_system_says);
    tcase_add_test(tcase, with_the_right_a_mark_is_set);
    tcase = thi_check_case(suite, "listeners");
    tcase_add_loop_test(tcase, connections_have_what_their_listener_has, 0,
                        (int)thi_array_len(handed_down));
    tcase_add_loop_test(tcase, connections_of_ip6_have_it_too, 0, (int)thi_array_len(handed_down));
    tcase_add_test(tcase, on_a_unix_listener_it_is_set_on_each_connection);
    tcase_add_test(tcase, a_listener_is_tuned_before_and_after_it_listens);
    tcase_add_test(tcase, a_listener_with_wrong_options_does_not_open);
    tcase = thi_check_case(suite, "before connecting");
    tcase_add_test(tcase, a_socket_is_tuned_before_it_connects);
    tcase_add_test(tcase, a_port_is_chosen_late);
    tcase_add_test(tcase, who_dials_names_options_too);
    tcase_add_test(tcase, each_system_call_may_fail);
    tcase = thi_check_case(suite, "what TCP knows");
    tcase_add_test(tcase, tcp_tells_of_a_connection);
    tcase_add_test(tcase, a_simulation_takes_the_same_options);
}

int main(void)
{
    return thi_check_run("net/tune", fill);
}
