/* SPDX-License-Identifier: MIT */

/* Tickets: which keys make and take them, when they rotate, and what a file of keys may be. */
#include "runtime/in_fiber.h"
#include "tls/ssl_pair.h"

#include "base/alloc.h"
#include "sys/fault.h"
#include "sys/sys.h"
#include "tls/ticket_file.h"
#include "tls/tickets.h"

#include <thrum/file.h>
#include <thrum/log.h>
#include <thrum/mem.h>
#include <thrum/time.h>
#include <thrum/tls_session.h>

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a clock that goes when it is told ---- */

static thi_sys stopped;
static int64_t now_is;

static int64_t told_clock(void)
{
    return now_is;
}

static void stop_clock(void)
{
    now_is = thi_sys_clock();
    stopped = *thi_sys_table;
    stopped.clock = told_clock;
    thi_sys_table = &stopped;
}

static void start_clock(void)
{
    thi_sys_table = &thi_sys_real;
}

/* ---- keys ---- */

static th_tls_ticket_keys *keys_with(th_tls_ticket_opts opts)
{
    th_tls_ticket_keys *keys = NULL;
    int err = th_tls_ticket_keys_new(&opts, &keys);
    ck_assert_msg(err == 0, "%s: %s", th_errname(err), th_err_detail());
    return keys;
}

static th_tls_ticket_set set_of(th_tls_ticket_keys *keys)
{
    th_tls_ticket_set set;
    ck_assert_int_eq(th_tls_ticket_keys_get(keys, &set), 0);
    return set;
}

static bool are_equal(const th_tls_ticket_key *a, const th_tls_ticket_key *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* Whether `after` is `before`, rotated once. */
static bool is_next(const th_tls_ticket_set *before, const th_tls_ticket_set *after)
{
    return are_equal(&before->current, &after->previous) &&
           are_equal(&before->next, &after->current) && !are_equal(&after->next, &before->next) &&
           !are_equal(&after->next, &before->previous);
}

START_TEST(keys_in_memory_differ_and_rotate_when_told)
{
    th_tls_ticket_keys *keys = keys_with((th_tls_ticket_opts){ .size = 0 });
    th_tls_ticket_set before = set_of(keys);
    ck_assert(thi_ticket_set_valid(&before));
    ck_assert_int_eq(th_tls_ticket_keys_rotate(keys), 0);
    th_tls_ticket_set after = set_of(keys);
    ck_assert(is_next(&before, &after));
    th_tls_ticket_keys_unref(keys);
}
END_TEST

START_TEST(they_rotate_by_time_at_the_period_and_not_before)
{
    stop_clock();
    th_tls_ticket_keys *keys = keys_with((th_tls_ticket_opts){ .period = TH_HOUR });
    th_tls_ticket_set before = set_of(keys);
    now_is += TH_HOUR - 1;
    th_tls_ticket_set still = set_of(keys);
    ck_assert_int_eq(memcmp(&before, &still, sizeof still), 0);
    now_is += 1;
    th_tls_ticket_set after = set_of(keys);
    ck_assert(is_next(&before, &after));
    now_is += 2 * TH_HOUR; /* two at once */
    th_tls_ticket_set later = set_of(keys);
    ck_assert(are_equal(&after.next, &later.previous));
    now_is += TH_HOUR - 1;
    still = set_of(keys);
    ck_assert_int_eq(memcmp(&later, &still, sizeof still), 0);
    now_is += 1000 * TH_HOUR; /* none is left */
    still = set_of(keys);
    ck_assert_int_eq(thi_ticket_keys_find(keys, later.next.bytes, &before.next),
                     THI_TICKET_UNKNOWN);
    ck_assert(thi_ticket_set_valid(&still));
    th_tls_ticket_keys_unref(keys);
    start_clock();
}
END_TEST

START_TEST(a_key_is_found_by_its_name_with_its_age)
{
    th_tls_ticket_keys *keys = keys_with((th_tls_ticket_opts){ .size = 0 });
    th_tls_ticket_set set = set_of(keys);
    th_tls_ticket_key key;
    unsigned char name[THI_TICKET_NAME] = "nobody has this";
    ck_assert_int_eq(thi_ticket_keys_find(keys, set.previous.bytes, &key), THI_TICKET_PREVIOUS);
    ck_assert(are_equal(&key, &set.previous));
    ck_assert_int_eq(thi_ticket_keys_find(keys, set.current.bytes, &key), THI_TICKET_CURRENT);
    ck_assert(are_equal(&key, &set.current));
    ck_assert_int_eq(thi_ticket_keys_find(keys, set.next.bytes, &key), THI_TICKET_NEXT);
    ck_assert(are_equal(&key, &set.next));
    ck_assert_int_eq(thi_ticket_keys_find(keys, name, &key), THI_TICKET_UNKNOWN);
    thi_ticket_keys_current(keys, &key);
    ck_assert(are_equal(&key, &set.current));
    th_tls_ticket_keys_unref(keys);
}
END_TEST

START_TEST(keys_that_are_set_stay)
{
    stop_clock();
    th_tls_ticket_keys *one = keys_with((th_tls_ticket_opts){ .size = 0 });
    th_tls_ticket_keys *other = keys_with((th_tls_ticket_opts){ .size = 0 });
    th_tls_ticket_set set = set_of(one);
    ck_assert_int_eq(th_tls_ticket_keys_set(other, &set), 0);
    now_is += 1000 * TH_HOUR;
    th_tls_ticket_set got = set_of(other);
    ck_assert_int_eq(memcmp(&set, &got, sizeof got), 0);
    th_tls_ticket_keys_unref(one);
    th_tls_ticket_keys_unref(other);
    start_clock();
}
END_TEST

static int no_source(th_tls_ticket_set *set, void *arg)
{
    (void)set, (void)arg;
    return -ENOLINK;
}

START_TEST(misuse_is_refused)
{
    th_tls_ticket_keys *keys = NULL;
    th_tls_ticket_set set;
    th_tls_ticket_opts wrong[] = {
        { .size = sizeof(th_tls_ticket_opts) + 1 },
        { .period = -1 },
        { .look_after = -1 },
        { .look_after = TH_SECOND }, /* in memory there is nothing to look at */
        { .file = "x", .look_after = TH_HOUR + 1 },
        { .file = "x", .period = TH_HOUR },
        { .file = "x", .source = no_source },
    };
    for (size_t i = 0; i < thi_array_len(wrong); i++)
        ck_assert_int_eq(th_tls_ticket_keys_new(&wrong[i], &keys), -EINVAL);
    ck_assert_int_eq(th_tls_ticket_keys_new(NULL, NULL), -EINVAL);
    ck_assert_int_eq(th_tls_ticket_keys_rotate(NULL), -EINVAL);
    ck_assert_int_eq(th_tls_ticket_keys_get(NULL, &set), -EINVAL);
    ck_assert_int_eq(th_tls_ticket_file_rotate(NULL), -EINVAL);
    ck_assert_ptr_null(keys);
    keys = keys_with((th_tls_ticket_opts){ .size = 0 });
    set = set_of(keys);
    set.next = set.previous;
    ck_assert_int_eq(th_tls_ticket_keys_set(keys, &set), -EINVAL);
    memset(&set.next, 0, sizeof set.next);
    ck_assert_int_eq(th_tls_ticket_keys_set(keys, &set), -EINVAL);
    th_tls_ticket_keys_unref(keys);
    th_tls_ticket_keys_unref(NULL);
    ck_assert_ptr_null(th_tls_ticket_keys_ref(NULL));
}
END_TEST

/* ---- tickets ---- */

static const thi_tls_ticket_rules usual = {
    .count = 2, .session_time = TH_HOUR, .id = "test", .id_size = 4
};

static SSL_SESSION *last_session;
static int sessions_given;

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(last_session);
    last_session = SSL_SESSION_dup(session);
    sessions_given++;
    return 0;
}

static SSL_CTX *make_keeping_client(void)
{
    SSL_CTX *ctx = make_client();
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
    return ctx;
}

/* Connects with the last session, if there is one: whether it was resumed. */
static bool connect_with(SSL_CTX *server, SSL_CTX *client, SSL_SESSION *session)
{
    ssl_pair p = tie(server, client);
    SSL_SESSION *copy = session ? SSL_SESSION_dup(session) : NULL; /* SSL_free() spoils it */
    if (copy)
        ck_assert_int_eq(SSL_set_session(p.client, copy), 1);
    SSL_SESSION_free(copy);
    sessions_given = 0;
    ck_assert(shake(&p));
    bool resumed = SSL_session_reused(p.client);
    ck_assert_int_eq(resumed, SSL_session_reused(p.server));
    untie(&p);
    return resumed;
}

static SSL_CTX *server_of(int version, th_tls_ticket_keys *keys, const thi_tls_ticket_rules *rules)
{
    SSL_CTX *ctx = make_server(version);
    ck_assert_int_eq(thi_tls_tickets_attach(ctx, keys, rules), 0);
    return ctx;
}

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

/* Two processes, as far as tickets are concerned: they have nothing in common but the keys. */
START_TEST(who_shares_keys_resumes_the_others_sessions)
{
    int version = versions[_i];
    make_authority();
    th_tls_ticket_keys *keys = keys_with((th_tls_ticket_opts){ .size = 0 });
    th_tls_ticket_keys *same = keys_with((th_tls_ticket_opts){ .size = 0 });
    th_tls_ticket_keys *foreign = keys_with((th_tls_ticket_opts){ .size = 0 });
    th_tls_ticket_set set = set_of(keys);
    ck_assert_int_eq(th_tls_ticket_keys_set(same, &set), 0);
    SSL_CTX *one = server_of(version, keys, &usual);
    SSL_CTX *two = server_of(version, same, &usual);
    SSL_CTX *three = server_of(version, foreign, &usual);
    SSL_CTX *client = make_keeping_client();
    ck_assert(!connect_with(one, client, NULL));
    SSL_SESSION *first = SSL_SESSION_dup(last_session);
    ck_assert(connect_with(one, client, first));
    ck_assert(connect_with(two, client, first));
    ck_assert(!connect_with(three, client, first));
    SSL_SESSION_free(first);
    SSL_SESSION_free(last_session);
    SSL_CTX_free(one);
    SSL_CTX_free(two);
    SSL_CTX_free(three);
    SSL_CTX_free(client);
    th_tls_ticket_keys_unref(keys);
    th_tls_ticket_keys_unref(same);
    th_tls_ticket_keys_unref(foreign);
    drop_authority();
}
END_TEST

START_TEST(a_ticket_lives_through_one_rotation_and_not_through_two)
{
    make_authority();
    th_tls_ticket_keys *keys = keys_with((th_tls_ticket_opts){ .size = 0 });
    SSL_CTX *server = server_of(versions[_i], keys, &usual);
    SSL_CTX *client = make_keeping_client();
    ck_assert(!connect_with(server, client, NULL));
    SSL_SESSION *first = SSL_SESSION_dup(last_session);
    ck_assert_int_eq(th_tls_ticket_keys_rotate(keys), 0);
    ck_assert(connect_with(server, client, first));
    ck_assert_int_eq(th_tls_ticket_keys_rotate(keys), 0);
    ck_assert(!connect_with(server, client, first));
    SSL_SESSION_free(first);
    SSL_SESSION_free(last_session);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    th_tls_ticket_keys_unref(keys);
    drop_authority();
}
END_TEST

/* The host that is ahead has rotated already. */
START_TEST(a_ticket_of_a_host_that_is_ahead_is_taken)
{
    make_authority();
    th_tls_ticket_keys *ahead = keys_with((th_tls_ticket_opts){ .size = 0 });
    th_tls_ticket_keys *behind = keys_with((th_tls_ticket_opts){ .size = 0 });
    th_tls_ticket_set set = set_of(ahead);
    ck_assert_int_eq(th_tls_ticket_keys_set(behind, &set), 0);
    ck_assert_int_eq(th_tls_ticket_keys_rotate(ahead), 0);
    SSL_CTX *one = server_of(versions[_i], ahead, &usual);
    SSL_CTX *two = server_of(versions[_i], behind, &usual);
    SSL_CTX *client = make_keeping_client();
    ck_assert(!connect_with(one, client, NULL));
    ck_assert(connect_with(two, client, last_session));
    SSL_SESSION_free(last_session);
    SSL_CTX_free(one);
    SSL_CTX_free(two);
    SSL_CTX_free(client);
    th_tls_ticket_keys_unref(ahead);
    th_tls_ticket_keys_unref(behind);
    drop_authority();
}
END_TEST

START_TEST(a_resumed_connection_of_13_brings_a_new_ticket)
{
    make_authority();
    th_tls_ticket_keys *keys = keys_with((th_tls_ticket_opts){ .size = 0 });
    SSL_CTX *server = server_of(TLS1_3_VERSION, keys, &usual);
    SSL_CTX *client = make_keeping_client();
    ck_assert(!connect_with(server, client, NULL));
    for (int i = 0; i < 5; i++) {
        ck_assert(connect_with(server, client, last_session));
        ck_assert_int_ge(sessions_given, 1);
    }
    SSL_SESSION_free(last_session);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    th_tls_ticket_keys_unref(keys);
    drop_authority();
}
END_TEST

START_TEST(so_many_tickets_are_sent_as_was_said_and_none_for_0)
{
    static const int counts[] = { 0, 1, 2, 5, THI_TLS_TICKETS_MAX };
    make_authority();
    th_tls_ticket_keys *keys = keys_with((th_tls_ticket_opts){ .size = 0 });
    for (size_t i = 0; i < thi_array_len(counts); i++) {
        thi_tls_ticket_rules rules = usual;
        rules.count = counts[i];
        SSL_CTX *client = make_keeping_client();
        SSL_CTX *server = server_of(TLS1_3_VERSION, keys, &rules);
        ck_assert(!connect_with(server, client, NULL));
        ck_assert_int_eq(sessions_given, counts[i]);
        SSL_CTX_free(server);
        server = server_of(TLS1_2_VERSION, keys, &rules);
        ck_assert(!connect_with(server, client, NULL));
        ck_assert_int_eq(sessions_given, counts[i] > 0);
        SSL_CTX_free(server);
        SSL_CTX_free(client);
    }
    SSL_SESSION_free(last_session);
    th_tls_ticket_keys_unref(keys);
    drop_authority();
}
END_TEST

START_TEST(rules_outside_their_bounds_are_refused)
{
    make_authority();
    th_tls_ticket_keys *keys = keys_with((th_tls_ticket_opts){ .size = 0 });
    SSL_CTX *ctx = make_server(0);
    const char id[33] = "32 bytes are the limit of an id.";
    thi_tls_ticket_rules rules = usual;
    rules.count = -1;
    ck_assert_int_eq(thi_tls_tickets_attach(ctx, keys, &rules), -EINVAL);
    rules.count = THI_TLS_TICKETS_MAX + 1;
    ck_assert_int_eq(thi_tls_tickets_attach(ctx, keys, &rules), -EINVAL);
    rules = usual;
    rules.session_time = TH_SECOND - 1;
    ck_assert_int_eq(thi_tls_tickets_attach(ctx, keys, &rules), -EINVAL);
    rules.session_time = THI_TLS_SESSION_MAX + 1;
    ck_assert_int_eq(thi_tls_tickets_attach(ctx, keys, &rules), -EINVAL);
    rules = usual;
    rules.id_size = 0;
    ck_assert_int_eq(thi_tls_tickets_attach(ctx, keys, &rules), -EINVAL);
    rules.id = id;
    rules.id_size = 33;
    ck_assert_int_eq(thi_tls_tickets_attach(ctx, keys, &rules), -EINVAL);
    rules.id_size = 32;
    ck_assert_int_eq(thi_tls_tickets_attach(ctx, keys, &rules), 0);
    ck_assert_int_eq(thi_tls_tickets_attach(ctx, keys, &usual), 0); /* again: the last one counts */
    SSL_CTX_free(ctx);
    th_tls_ticket_keys_unref(keys);
    drop_authority();
}
END_TEST

START_TEST(a_session_of_another_id_is_not_resumed)
{
    make_authority();
    th_tls_ticket_keys *keys = keys_with((th_tls_ticket_opts){ .size = 0 });
    thi_tls_ticket_rules other = usual;
    other.id = "demands more";
    other.id_size = 12;
    SSL_CTX *one = server_of(versions[_i], keys, &usual);
    SSL_CTX *two = server_of(versions[_i], keys, &other);
    SSL_CTX *client = make_keeping_client();
    ck_assert(!connect_with(one, client, NULL));
    ck_assert(!connect_with(two, client, last_session));
    SSL_SESSION_free(last_session);
    SSL_CTX_free(one);
    SSL_CTX_free(two);
    SSL_CTX_free(client);
    th_tls_ticket_keys_unref(keys);
    drop_authority();
}
END_TEST

/* ---- a file ---- */

static char folder[64];
static char path[96];

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/thrum-tickets-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/keys", folder);
}

static void remove_folder(void)
{
    (void)unlink(path);
    ck_assert_int_eq(rmdir(folder), 0);
}

static void write_file(const char *text, mode_t mode)
{
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(chmod(path, mode), 0);
}

/* Lines of a digit that is repeated; '-' gives none, '#' a comment, ' ' an empty one. */
static char *lines_of(const char *digits, char *text)
{
    char *at = text;
    for (; *digits; digits++) {
        if (*digits == '#') {
            at += sprintf(at, "# a comment\n");
        } else if (*digits == ' ') {
            at += sprintf(at, "  \r\n");
        } else {
            memset(at, *digits, 160);
            at += 160;
            *at++ = '\n';
        }
    }
    *at = '\0';
    return text;
}

START_TEST(a_file_is_three_lines_of_160_digits)
{
    char text[2048];
    th_tls_ticket_set set;
    thi_stamp stamp;
    make_folder();
    write_file(lines_of("#1 2#F ", text), 0600);
    ck_assert_int_eq(thi_ticket_file_read(path, &set, &stamp), 0);
    ck_assert_uint_eq(set.previous.bytes[0], 0x11);
    ck_assert_uint_eq(set.current.bytes[79], 0x22);
    ck_assert_uint_eq(set.next.bytes[40], 0xff);
    lines_of("abc", text);
    text[strlen(text) - 1] = '\0'; /* the last line without its end */
    write_file(text, 0640);
    ck_assert_int_eq(thi_ticket_file_read(path, &set, &stamp), 0);
    ck_assert_uint_eq(set.previous.bytes[1], 0xaa);
    remove_folder();
}
END_TEST

START_TEST(a_file_that_is_broken_is_refused_with_line_and_reason)
{
    static const struct {
        const char *digits;
        const char *words;
    } broken[] = {
        { "", "0 keys, not three" },
        { "12", "2 keys, not three" },
        { "1234", ":4: a fourth key" },
        { "1#x3", ":3: a key is 160 hexadecimal digits" },
        { "121", "two keys of the same name" },
        { "012", "or an empty one" },
    };
    char text[2048];
    char longer[20000];
    th_tls_ticket_set set;
    thi_stamp stamp;
    make_folder();
    for (size_t i = 0; i < thi_array_len(broken); i++) {
        write_file(lines_of(broken[i].digits, text), 0600);
        ck_assert_int_eq(thi_ticket_file_read(path, &set, &stamp), TH_ECONFIG);
        ck_assert_ptr_nonnull(strstr(th_err_detail(), path));
        ck_assert_msg(strstr(th_err_detail(), broken[i].words) != NULL, "%s", th_err_detail());
    }
    lines_of("123", text);
    memmove(text + 10, text + 11, strlen(text + 10)); /* a digit less */
    write_file(text, 0600);
    ck_assert_int_eq(thi_ticket_file_read(path, &set, &stamp), TH_ECONFIG);
    memset(longer, '#', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    write_file(longer, 0600);
    ck_assert_int_eq(thi_ticket_file_read(path, &set, &stamp), TH_ELIMIT);
    remove_folder();
}
END_TEST

START_TEST(a_file_that_others_may_use_is_refused)
{
    static const mode_t wrong[] = { 0644, 0604, 0602, 0601, 0620, 0610 };
    char text[2048];
    th_tls_ticket_set set;
    thi_stamp stamp;
    make_folder();
    for (size_t i = 0; i < thi_array_len(wrong); i++) {
        write_file(lines_of("123", text), wrong[i]);
        ck_assert_int_eq(thi_ticket_file_read(path, &set, &stamp),
                         wrong[i] == 0610 ? 0 : -EACCES); /* the group's x means nothing */
    }
    ck_assert_ptr_nonnull(strstr(th_err_detail(), "chmod"));
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(thi_ticket_file_read(path, &set, &stamp), -ENOENT);
    ck_assert_int_eq(thi_ticket_file_read(folder, &set, &stamp), -EISDIR);
    remove_folder();
}
END_TEST

/* What the library says, as far as a test wants to know. */
static char said[1024];
static pthread_mutex_t said_lock = PTHREAD_MUTEX_INITIALIZER;

static void on_log(void *ctx, th_log_level level, th_str text)
{
    (void)ctx, (void)level;
    pthread_mutex_lock(&said_lock);
    snprintf(said, sizeof said, "%.*s", (int)text.len, text.ptr);
    pthread_mutex_unlock(&said_lock);
}

static bool has_said(const char *words)
{
    pthread_mutex_lock(&said_lock);
    bool has = strstr(said, words) != NULL;
    pthread_mutex_unlock(&said_lock);
    return has;
}

/* Uses the keys until the first digit of the current one is so. */
static void use_until(th_tls_ticket_keys *keys, unsigned char byte)
{
    while (set_of(keys).current.bytes[0] != byte)
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
}

FIBER_TEST(a_file_that_changes_is_read_again_and_a_broken_one_leaves_the_keys)
{
    char text[2048];
    make_folder();
    ck_assert_int_eq(th_log_set_sink(on_log, NULL, TH_LOG_WARNING), 0);
    write_file(lines_of("123", text), 0600);
    th_tls_ticket_keys *keys =
        keys_with((th_tls_ticket_opts){ .file = path, .look_after = TH_MILLISECOND });
    ck_assert_uint_eq(set_of(keys).current.bytes[0], 0x22);
    write_file(lines_of("234", text), 0600);
    use_until(keys, 0x33);
    write_file("nonsense\n", 0600);
    while (!has_said("160 hexadecimal digits")) {
        ck_assert_uint_eq(set_of(keys).current.bytes[0], 0x33);
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    }
    ck_assert_int_eq(th_tls_ticket_keys_rotate(keys), TH_ECONFIG);
    ck_assert_uint_eq(set_of(keys).current.bytes[0], 0x33);
    write_file(lines_of("345", text), 0600);
    use_until(keys, 0x44);
    th_tls_ticket_set set = set_of(keys);
    ck_assert_int_eq(th_tls_ticket_keys_set(keys, &set), -EINVAL);
    th_tls_ticket_keys_unref(keys);
    ck_assert_int_eq(th_log_set_sink(NULL, NULL, TH_LOG_OFF), 0);
    remove_folder();
}

FIBER_TEST(rotating_a_file_makes_it_or_moves_each_key_up)
{
    th_tls_ticket_set before;
    th_tls_ticket_set after;
    thi_stamp stamp;
    struct stat st;
    make_folder();
    ck_assert_int_eq(th_tls_ticket_file_rotate(path), 0);
    ck_assert_int_eq(thi_ticket_file_read(path, &before, &stamp), 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(th_tls_ticket_file_rotate(path), 0);
    ck_assert_int_eq(thi_ticket_file_read(path, &after, &stamp), 0);
    ck_assert(is_next(&before, &after));
    write_file("nonsense\n", 0600);
    ck_assert_int_eq(th_tls_ticket_file_rotate(path), TH_ECONFIG);
    remove_folder();
}

/* ---- a source ---- */

typedef struct origin {
    pthread_mutex_t lock;
    th_tls_ticket_set set;
    int result;
    int asked;
} origin;

static int give(th_tls_ticket_set *set, void *arg)
{
    origin *o = arg;
    pthread_mutex_lock(&o->lock);
    *set = o->set;
    int result = o->result;
    o->asked++;
    pthread_mutex_unlock(&o->lock);
    return result;
}

static void change(origin *o, unsigned char byte, int result)
{
    pthread_mutex_lock(&o->lock);
    memset(&o->set.previous, byte - 1, sizeof o->set.previous);
    memset(&o->set.current, byte, sizeof o->set.current);
    memset(&o->set.next, byte + 1, sizeof o->set.next);
    o->result = result;
    o->asked = 0;
    pthread_mutex_unlock(&o->lock);
}

static int times_asked(origin *o)
{
    pthread_mutex_lock(&o->lock);
    int asked = o->asked;
    pthread_mutex_unlock(&o->lock);
    return asked;
}

FIBER_TEST_ON(2, a_source_is_asked_again_and_its_failure_leaves_the_keys)
{
    origin o = { .lock = PTHREAD_MUTEX_INITIALIZER };
    th_tls_ticket_keys *keys = NULL;
    th_tls_ticket_opts opts = { .source = give, .arg = &o, .look_after = TH_MILLISECOND };
    change(&o, 10, -ENOLINK);
    ck_assert_int_eq(th_tls_ticket_keys_new(&opts, &keys), -ENOLINK);
    ck_assert_int_eq(th_tls_ticket_keys_new(&opts, &keys), -ENOLINK);
    change(&o, 10, 0);
    memcpy(&o.set.next, &o.set.current, sizeof o.set.next);
    ck_assert_int_eq(th_tls_ticket_keys_new(&opts, &keys), TH_ECONFIG);
    change(&o, 10, 0);
    keys = keys_with(opts);
    ck_assert_uint_eq(set_of(keys).current.bytes[0], 10);
    change(&o, 20, 0);
    use_until(keys, 20);
    change(&o, 30, -ENOLINK);
    while (times_asked(&o) < 3) {
        ck_assert_uint_eq(set_of(keys).current.bytes[0], 20);
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    }
    change(&o, 40, 0);
    while (th_tls_ticket_keys_rotate(keys) == -EBUSY) /* somebody looks just now */
        ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    ck_assert_uint_eq(set_of(keys).current.bytes[0], 40);
    th_tls_ticket_keys_unref(keys);
}

/* ---- faults ---- */

START_TEST(without_memory_or_randomness_nothing_is_made)
{
    int64_t live = thi_alloc_live();
    th_tls_ticket_keys *keys = NULL;
    char text[2048];
    make_folder();
    write_file(lines_of("123", text), 0600);
    th_tls_ticket_opts opts = { .file = path };
    for (int64_t n = 1;; n++) {
        thi_alloc_fail_at(n);
        int err = th_tls_ticket_keys_new(&opts, &keys);
        if (thi_alloc_fail_at(0) > 0)
            break;
        ck_assert_int_eq(err, -ENOMEM);
        ck_assert_ptr_null(keys);
        ck_assert_int_eq(thi_alloc_live(), live);
    }
    th_tls_ticket_keys_unref(keys);
    ck_assert_int_eq(thi_alloc_live(), live);
    thi_fault_begin(0, 0);
    thi_fault_order("random", 1, EIO);
    ck_assert_int_eq(th_tls_ticket_keys_new(NULL, &keys), -EIO);
    (void)thi_fault_end();
    ck_assert_int_eq(thi_alloc_live(), live);
    remove_folder();
}
END_TEST

/* Many threads use keys that rotate all the time; for ThreadSanitizer. */
static void *use_keys(void *arg)
{
    th_tls_ticket_key key;
    for (int i = 0; i < 2000; i++) {
        thi_ticket_keys_current(arg, &key);
        (void)thi_ticket_keys_find(arg, key.bytes, &key);
        if (i % 100 == 0)
            ck_assert_int_eq(th_tls_ticket_keys_rotate(arg), 0);
    }
    return NULL;
}

START_TEST(threads_use_keys_without_a_lock_of_theirs)
{
    pthread_t threads[4];
    th_tls_ticket_keys *keys = keys_with((th_tls_ticket_opts){ .period = 10 * TH_MICROSECOND });
    for (size_t i = 0; i < thi_array_len(threads); i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, use_keys, keys), 0);
    for (size_t i = 0; i < thi_array_len(threads); i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    th_tls_ticket_keys_unref(keys);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "keys");
    tcase_add_test(tcase, keys_in_memory_differ_and_rotate_when_told);
    tcase_add_test(tcase, they_rotate_by_time_at_the_period_and_not_before);
    tcase_add_test(tcase, a_key_is_found_by_its_name_with_its_age);
    tcase_add_test(tcase, keys_that_are_set_stay);
    tcase_add_test(tcase, misuse_is_refused);
    tcase_add_test(tcase, without_memory_or_randomness_nothing_is_made);
    tcase_add_test(tcase, threads_use_keys_without_a_lock_of_theirs);
    tcase = thi_check_case(suite, "tickets");
    tcase_add_loop_test(tcase, who_shares_keys_resumes_the_others_sessions, 0, 2);
    tcase_add_loop_test(tcase, a_ticket_lives_through_one_rotation_and_not_through_two, 0, 2);
    tcase_add_loop_test(tcase, a_ticket_of_a_host_that_is_ahead_is_taken, 0, 2);
    tcase_add_loop_test(tcase, a_session_of_another_id_is_not_resumed, 0, 2);
    tcase_add_test(tcase, a_resumed_connection_of_13_brings_a_new_ticket);
    tcase_add_test(tcase, so_many_tickets_are_sent_as_was_said_and_none_for_0);
    tcase_add_test(tcase, rules_outside_their_bounds_are_refused);
    tcase = thi_check_case(suite, "files and sources");
    tcase_add_test(tcase, a_file_is_three_lines_of_160_digits);
    tcase_add_test(tcase, a_file_that_is_broken_is_refused_with_line_and_reason);
    tcase_add_test(tcase, a_file_that_others_may_use_is_refused);
    tcase_add_test(tcase, a_file_that_changes_is_read_again_and_a_broken_one_leaves_the_keys);
    tcase_add_test(tcase, rotating_a_file_makes_it_or_moves_each_key_up);
    tcase_add_test(tcase, a_source_is_asked_again_and_its_failure_leaves_the_keys);
}

int main(void)
{
    return thi_check_run("tls/tickets", fill);
}
