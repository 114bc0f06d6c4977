/* SPDX-License-Identifier: MIT */

/* Sessions, OCSP and the key log, as contexts and streams have them. */
#include "runtime/in_fiber.h"
#include "tls/certs.h"

#include "base/metrics.h"
#include "tls/sessions.h"
#include "tls/stream.h"

#include <thrum/stream.h>
#include <thrum/tls.h>
#include <thrum/tls_engine.h>
#include <thrum/tls_session.h>
#include <thrum/tls_stream.h>

#include <openssl/ocsp.h>
#include <sys/stat.h>
#include <unistd.h>

/* One connection: who is at its ends, and what came of it. */
typedef struct meeting {
    th_tls *server;
    th_tls *client;
    th_tls_stream_opts opts; /* of the client */
    int server_result;
    int client_result;
    char server_words[256];
    char client_words[256];
    th_tls_info server_info;
    th_tls_info client_info;
    th_tls_session *session; /* taken by the client when `take` is set */
    bool take;
} meeting;

typedef struct side {
    meeting *m;
    th_stream *below;
} side;

/* Answers each byte with one, so that tickets have been read when the client has its answer. */
static int serve(void *arg)
{
    side *s = arg;
    th_stream *stream;
    char byte;
    s->m->server_result = th_tls_server(s->m->server, s->below, NULL, &stream);
    snprintf(s->m->server_words, sizeof s->m->server_words, "%s", th_err_detail());
    if (s->m->server_result < 0) {
        th_stream_free(s->below);
        return 0;
    }
    ck_assert_int_eq(th_tls_info_get(stream, &s->m->server_info), 0);
    while (th_stream_read(stream, &byte, 1) == 1)
        if (th_stream_write(stream, &byte, 1) < 0)
            break;
    th_stream_free(stream);
    return 0;
}

static void talk(meeting *m, th_stream *stream)
{
    char byte = 'x';
    ck_assert_int_eq(th_tls_info_get(stream, &m->client_info), 0);
    if (m->take) /* of 1.3, the tickets have not been read */
        ck_assert_int_eq(th_tls_session_get(stream, &m->session),
                         m->client_info.version == TH_TLS_1_3 ? -EAGAIN : 0);
    if (m->session)
        th_tls_session_unref(m->session);
    m->session = NULL;
    ssize_t n = th_stream_write(stream, &byte, 1);
    if (n >= 0)
        n = th_stream_read(stream, &byte, 1);
    m->client_result = n < 0 ? (int)n : 0;
    if (m->take)
        ck_assert_int_eq(th_tls_session_get(stream, &m->session), 0);
}

static void meet(meeting *m)
{
    th_scope scope;
    th_stream *ends[2];
    th_stream *stream;
    ck_assert_int_eq(th_stream_memory(0, ends), 0);
    side server = { m, ends[0] };
    open_scope(&scope);
    spawn(&scope, serve, &server);
    if (!m->opts.name)
        m->opts.name = "server.test";
    m->client_result = th_tls_client(m->client, ends[1], &m->opts, &stream);
    snprintf(m->client_words, sizeof m->client_words, "%s", th_err_detail());
    if (m->client_result == 0) {
        talk(m, stream);
        th_stream_free(stream);
    } else {
        th_stream_free(ends[1]);
    }
    close_scope(&scope);
}

/* Meets; both have to get through: whether it was resumed. */
static bool resumed(meeting *m)
{
    meet(m);
    ck_assert_msg(m->server_result == 0, "server: %s", m->server_words);
    ck_assert_msg(m->client_result == 0, "client: %s", m->client_words);
    ck_assert_int_eq(m->client_info.resumed, m->server_info.resumed);
    return m->client_info.resumed;
}

static const int versions[] = { TH_TLS_1_2, TH_TLS_1_3 };

static th_tls_opts of_version(int version)
{
    return (th_tls_opts){ .min_version = version, .max_version = version };
}

static meeting begin(int version)
{
    make_certs();
    return (meeting){ .server = test_tls(&test_server, of_version(version)),
                      .client = test_tls(NULL, (th_tls_opts){ 0 }) };
}

static void end(meeting *m)
{
    th_tls_unref(m->server);
    th_tls_unref(m->client);
    free_certs();
}

FIBER_TEST(streams_resume_sessions_by_themselves)
{
    for (size_t i = 0; i < thi_array_len(versions); i++) {
        meeting m = begin(versions[i]);
        int64_t full = thi_metric_read(THI_M_TLS_CLIENT_FULL);
        int64_t again = thi_metric_read(THI_M_TLS_SERVER_RESUMED);
        ck_assert(!resumed(&m));
        for (int k = 0; k < 5; k++)
            ck_assert(resumed(&m));
        ck_assert_int_eq(m.client_info.verified, 1);
        ck_assert_int_eq(thi_metric_read(THI_M_TLS_CLIENT_FULL) - full, 1);
        ck_assert_int_eq(thi_metric_read(THI_M_TLS_SERVER_RESUMED) - again, 5);
        end(&m);
    }
}

FIBER_TEST(another_name_or_port_is_another_server)
{
    meeting m = begin(TH_TLS_1_3);
    ck_assert(!resumed(&m));
    m.opts.name = "x.wild.test";
    ck_assert(!resumed(&m));
    m.opts.port = 8443;
    ck_assert(!resumed(&m));
    ck_assert(resumed(&m));
    end(&m);
}

/* Who verifies nobody leaves no sessions for those who do. */
FIBER_TEST(sessions_of_connections_that_verify_nothing_stay_among_these)
{
    meeting m = begin(TH_TLS_1_3);
    m.opts.verify = TH_TLS_VERIFY_NONE_INSECURE;
    ck_assert(!resumed(&m));
    ck_assert(resumed(&m));
    m.opts.verify = TH_TLS_VERIFY_AS_CONTEXT;
    ck_assert(!resumed(&m));
    ck_assert(resumed(&m));
    end(&m);
}

FIBER_TEST(a_context_that_replaces_another_resumes_its_sessions)
{
    meeting m = begin(TH_TLS_1_3);
    ck_assert(!resumed(&m));
    th_tls *newer = test_tls(&test_server, of_version(TH_TLS_1_3));
    ck_assert_int_eq(th_tls_replace(m.server, newer), 0);
    th_tls_unref(newer);
    ck_assert(resumed(&m));
    newer = test_tls(&test_server, (th_tls_opts){ .client_auth = TH_TLS_CLIENT_AUTH_OPTIONAL });
    ck_assert_int_eq(th_tls_replace(m.server, newer), 0); /* other demands */
    th_tls_unref(newer);
    ck_assert(!resumed(&m));
    ck_assert(resumed(&m));
    end(&m);
}

FIBER_TEST(clients_and_servers_may_do_without_sessions)
{
    meeting m = begin(TH_TLS_1_3);
    th_tls *client = m.client;
    m.client = test_tls(NULL, (th_tls_opts){ .no_sessions = 1 });
    ck_assert(!resumed(&m));
    ck_assert(!resumed(&m));
    th_tls_unref(m.client);
    m.client = client;
    for (size_t i = 0; i < thi_array_len(versions); i++) {
        th_tls_opts opts = of_version(versions[i]);
        opts.tickets = TH_TLS_NO_TICKETS;
        th_tls_unref(m.server);
        m.server = test_tls(&test_server, opts);
        ck_assert(!resumed(&m));
        ck_assert(!resumed(&m));
    }
    end(&m);
}

FIBER_TEST(clients_share_a_cache_only_where_their_contexts_are_one)
{
    meeting m = begin(TH_TLS_1_3);
    th_tls_sessions *sessions = NULL;
    th_tls_sessions_stats stats;
    ck_assert_int_eq(th_tls_sessions_new(NULL, &sessions), 0);
    th_tls_unref(m.client);
    m.client = test_tls(NULL, (th_tls_opts){ .sessions = sessions });
    th_tls *other = test_tls(NULL, (th_tls_opts){ .sessions = sessions });
    ck_assert(!resumed(&m));
    ck_assert_int_eq(th_tls_sessions_get_stats(sessions, sizeof stats, &stats), 0);
    ck_assert_uint_eq(stats.sessions, 2);
    th_tls *first = m.client;
    m.client = other;
    ck_assert(!resumed(&m));
    m.client = first;
    ck_assert(resumed(&m));
    th_tls_unref(other);
    th_tls_sessions_unref(sessions);
    end(&m);
}

/* Two processes with the same keys. */
FIBER_TEST(servers_with_the_same_keys_resume_each_others_sessions)
{
    th_tls_ticket_keys *keys = NULL;
    th_tls_ticket_keys *same = NULL;
    th_tls_ticket_set set;
    meeting m = begin(TH_TLS_1_3);
    th_tls_unref(m.server);
    ck_assert_int_eq(th_tls_ticket_keys_new(NULL, &keys), 0);
    ck_assert_int_eq(th_tls_ticket_keys_new(NULL, &same), 0);
    ck_assert_int_eq(th_tls_ticket_keys_get(keys, &set), 0);
    ck_assert_int_eq(th_tls_ticket_keys_set(same, &set), 0);
    th_tls *one = test_tls(&test_server, (th_tls_opts){ .ticket_keys = keys });
    th_tls *two = test_tls(&test_server, (th_tls_opts){ .ticket_keys = same });
    th_tls *foreign = test_tls(&test_server, (th_tls_opts){ 0 });
    th_tls_ticket_keys_unref(keys); /* the contexts have them */
    th_tls_ticket_keys_unref(same);
    m.server = one;
    ck_assert(!resumed(&m));
    m.server = two;
    ck_assert(resumed(&m));
    m.server = foreign;
    ck_assert(!resumed(&m));
    th_tls_unref(one);
    th_tls_unref(two);
    end(&m);
}

FIBER_TEST(a_session_is_taken_kept_as_bytes_and_given)
{
    for (size_t i = 0; i < thi_array_len(versions); i++) {
        char buf[8192];
        meeting m = begin(versions[i]);
        th_tls_unref(m.client);
        m.client = test_tls(NULL, (th_tls_opts){ .no_sessions = 1 });
        m.take = true;
        ck_assert(!resumed(&m));
        ssize_t size = th_tls_session_export(m.session, buf, sizeof buf);
        ck_assert_int_gt(size, 0);
        ck_assert_int_le(size, (ssize_t)sizeof buf);
        th_tls_session_unref(m.session);
        m.session = NULL;
        m.take = false;
        th_tls_session *session = NULL;
        ck_assert_int_eq(th_tls_session_import(m.client, buf, (size_t)size, &session), 0);
        m.opts.session = session;
        ck_assert(resumed(&m));
        m.opts.name = "x.wild.test";
        meet(&m);
        ck_assert_int_eq(m.client_result, -EINVAL);
        ck_assert_str_eq(m.client_words, "the session is of server.test, not of x.wild.test");
        ck_assert_int_eq(th_tls_session_import(NULL, buf, (size_t)size, &session), -EINVAL);
        ck_assert_int_eq(th_tls_session_import(m.client, NULL, 0, &session), -EINVAL);
        th_tls_session_unref(session);
        end(&m);
    }
}

FIBER_TEST(only_a_clients_stream_has_a_session)
{
    th_tls_session *session = NULL;
    th_stream *ends[2];
    th_tls_engine *engine = NULL;
    meeting m = begin(TH_TLS_1_3);
    ck_assert_int_eq(th_stream_memory(0, ends), 0);
    ck_assert_int_eq(th_tls_session_get(ends[0], &session), -EINVAL);
    ck_assert_int_eq(th_tls_session_get(NULL, &session), -EINVAL);
    ck_assert_int_eq(th_tls_engine_session(NULL, &session), -EINVAL);
    ck_assert_int_eq(th_tls_engine_new(m.server, TH_TLS_SERVER, NULL, &engine), 0);
    ck_assert_int_eq(th_tls_engine_session(engine, &session), -EINVAL);
    th_tls_engine_free(engine);
    th_tls_engine_opts opts = { .connection.name = "server.test" };
    ck_assert_int_eq(th_tls_engine_new(m.client, TH_TLS_CLIENT, &opts, &engine), 0);
    ck_assert_int_eq(th_tls_engine_session(engine, &session), -EAGAIN);
    ck_assert_int_eq(th_tls_engine_session(engine, NULL), -EINVAL);
    th_tls_engine_free(engine);
    th_stream_free(ends[0]);
    th_stream_free(ends[1]);
    end(&m);
}

/* A handshake that fails is counted once at each end. */
FIBER_TEST(failures_are_counted)
{
    meeting m = begin(TH_TLS_1_3);
    int64_t server = thi_metric_read(THI_M_TLS_SERVER_FAILED);
    int64_t client = thi_metric_read(THI_M_TLS_CLIENT_FAILED);
    m.opts.name = "other.test";
    meet(&m);
    ck_assert_int_eq(m.client_result, TH_ETLS);
    ck_assert_int_eq(thi_metric_read(THI_M_TLS_SERVER_FAILED) - server, 1);
    ck_assert_int_eq(thi_metric_read(THI_M_TLS_CLIENT_FAILED) - client, 1);
    end(&m);
}

/* ---- OCSP ---- */

static th_str response; /* what the server's callback gives */
static int staple_result, check_result;
static int stapled, checked;
static size_t seen;
static void *seen_user, *seen_arg;

static int staple(th_str *out, void *user, void *arg)
{
    (void)user, (void)arg;
    stapled++;
    *out = response;
    return staple_result < 0 ? thi_err_set(staple_result, "no pen") : 0;
}

static int check(th_str der, void *user, void *arg)
{
    checked++;
    seen = der.len;
    seen_user = user;
    seen_arg = arg;
    return check_result < 0 ? thi_err_set(check_result, "not to my taste") : 0;
}

static unsigned char *make_response(int *size)
{
    unsigned char *der = NULL;
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    ASN1_TIME *since = X509_gmtime_adj(NULL, -60);
    ASN1_TIME *until = X509_gmtime_adj(NULL, 3600);
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, test_server.cert, test_ca.cert);
    ck_assert_ptr_nonnull(
        OCSP_basic_add1_status(basic, id, V_OCSP_CERTSTATUS_GOOD, 0, NULL, since, until));
    ck_assert_int_eq(OCSP_basic_sign(basic, test_ca.cert, test_ca.key, NULL, NULL, 0), 1);
    OCSP_RESPONSE *whole = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    *size = i2d_OCSP_RESPONSE(whole, &der);
    OCSP_RESPONSE_free(whole);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(since);
    ASN1_TIME_free(until);
    return der;
}

FIBER_TEST(a_response_is_stapled_asked_for_and_shown_to_the_callback)
{
    int size;
    int user, arg;
    for (size_t i = 0; i < thi_array_len(versions); i++) {
        meeting m = begin(versions[i]);
        unsigned char *der = make_response(&size);
        response = th_str_make((const char *)der, (size_t)size);
        th_tls_opts opts = of_version(versions[i]);
        opts.ocsp_staple = staple;
        th_tls_unref(m.server);
        m.server = test_tls(&test_server, opts);
        stapled = checked = 0;
        ck_assert(!resumed(&m)); /* not asked for */
        ck_assert_int_eq(stapled, 0);
        th_tls_unref(m.client);
        m.client = test_tls(
            NULL, (th_tls_opts){ .ocsp = TH_TLS_OCSP_REQUIRED, .ocsp_check = check, .arg = &arg });
        m.opts.user = &user;
        ck_assert(!resumed(&m));
        ck_assert_int_eq(stapled, 1);
        ck_assert_int_eq(checked, 1);
        ck_assert_uint_eq(seen, (size_t)size);
        ck_assert_ptr_eq(seen_user, &user);
        ck_assert_ptr_eq(seen_arg, &arg);
        OPENSSL_free(der);
        end(&m);
    }
}

FIBER_TEST(a_missing_response_and_failing_callbacks_end_the_handshake)
{
    meeting m = begin(TH_TLS_1_3);
    th_tls_unref(m.client);
    th_tls_unref(m.server);
    m.server = test_tls(&test_server, (th_tls_opts){ .ocsp_staple = staple });
    m.client = test_tls(NULL, (th_tls_opts){ .ocsp = TH_TLS_OCSP_REQUIRED, .no_sessions = 1 });
    response = th_str_make("", 0);
    meet(&m);
    ck_assert_int_eq(m.client_result, TH_ETLS);
    ck_assert_ptr_nonnull(strstr(m.client_words, "the OCSP response of the server is missing"));
    ck_assert_int_eq(m.server_result, TH_ETLS); /* by an alert */
    th_tls_unref(m.client);
    m.client = test_tls(
        NULL, (th_tls_opts){ .ocsp = TH_TLS_OCSP_ASK, .ocsp_check = check, .no_sessions = 1 });
    ck_assert(!resumed(&m)); /* the callback decides */
    ck_assert_uint_eq(seen, 0);
    check_result = -EDOM;
    meet(&m);
    ck_assert_int_eq(m.client_result, -EDOM);
    ck_assert_ptr_nonnull(strstr(m.client_words, "not to my taste"));
    check_result = 0;
    staple_result = -ERANGE;
    meet(&m);
    ck_assert_int_eq(m.server_result, -ERANGE);
    ck_assert_ptr_nonnull(strstr(m.server_words, "no pen"));
    ck_assert_int_eq(m.client_result, TH_ETLS);
    staple_result = 0;
    end(&m);
}

static char path[64];

static void write_file(const void *data, size_t size)
{
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

FIBER_TEST(a_file_with_a_response_belongs_to_its_certificate)
{
    int size;
    th_tls *tls = NULL;
    meeting m = begin(TH_TLS_1_3);
    unsigned char *der = make_response(&size);
    snprintf(path, sizeof path, "/tmp/thrum-resume-%d", (int)getpid());
    write_file(der, (size_t)size);
    char chain[sizeof test_server.pem + sizeof test_ca.pem];
    snprintf(chain, sizeof chain, "%s%s", test_server.pem, test_ca.pem);
    th_tls_cert cert = { .cert_pem = th_str_of(chain),
                         .key_pem = th_str_of(test_server.pem),
                         .ocsp_file = path };
    th_tls_opts opts = { .certs = &cert, .certs_count = 1 };
    ck_assert_int_eq(th_tls_new(&opts, &tls), 0);
    th_tls_unref(m.server);
    m.server = tls;
    th_tls_unref(m.client);
    m.client = test_tls(NULL, (th_tls_opts){ .ocsp = TH_TLS_OCSP_REQUIRED, .ocsp_check = check });
    ck_assert(!resumed(&m));
    ck_assert_uint_eq(seen, (size_t)size);
    ck_assert(resumed(&m)); /* it is not said again */
    write_file("nonsense", 8);
    ck_assert_int_eq(th_tls_new(&opts, &tls), TH_ETLS);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), path));
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(th_tls_new(&opts, &tls), -ENOENT);
    OPENSSL_free(der);
    end(&m);
}

/* ---- the key log ---- */

static int lines;

static void on_line(const char *line, void *user, void *arg)
{
    (void)user, (void)arg;
    ck_assert_ptr_nonnull(strchr(line, ' '));
    lines++;
}

FIBER_TEST(the_key_log_is_for_a_file_and_a_callback_at_either_end)
{
    struct stat st;
    th_tls *tls = NULL;
    meeting m = begin(TH_TLS_1_2);
    snprintf(path, sizeof path, "/tmp/thrum-keylog-%d", (int)getpid());
    (void)unlink(path);
    th_tls_unref(m.client);
    m.client = test_tls(NULL, (th_tls_opts){ .keylog_file = path, .keylog = on_line });
    ck_assert(!resumed(&m));
    ck_assert_int_eq(lines, 1);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    off_t once = st.st_size;
    ck_assert_int_gt(once, 100);
    th_tls_unref(m.server);
    th_tls_opts opts = of_version(TH_TLS_1_2);
    opts.keylog_file = path;
    m.server = test_tls(&test_server, opts);
    (void)resumed(&m);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, 3 * once);
    ck_assert_int_eq(chmod(path, 0644), 0);
    opts = (th_tls_opts){ .keylog_file = path };
    ck_assert_int_eq(th_tls_new(&opts, &tls), -EACCES);
    ck_assert_int_eq(unlink(path), 0);
    end(&m);
}

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "sessions");
    tcase_add_test(tcase, streams_resume_sessions_by_themselves);
    tcase_add_test(tcase, another_name_or_port_is_another_server);
    tcase_add_test(tcase, sessions_of_connections_that_verify_nothing_stay_among_these);
    tcase_add_test(tcase, a_context_that_replaces_another_resumes_its_sessions);
    tcase_add_test(tcase, clients_and_servers_may_do_without_sessions);
    tcase_add_test(tcase, clients_share_a_cache_only_where_their_contexts_are_one);
    tcase_add_test(tcase, servers_with_the_same_keys_resume_each_others_sessions);
    tcase_add_test(tcase, a_session_is_taken_kept_as_bytes_and_given);
    tcase_add_test(tcase, only_a_clients_stream_has_a_session);
    tcase_add_test(tcase, failures_are_counted);
    tcase = thi_check_case(suite, "OCSP");
    tcase_add_test(tcase, a_response_is_stapled_asked_for_and_shown_to_the_callback);
    tcase_add_test(tcase, a_missing_response_and_failing_callbacks_end_the_handshake);
    tcase_add_test(tcase, a_file_with_a_response_belongs_to_its_certificate);
    tcase = thi_check_case(suite, "key log");
    tcase_add_test(tcase, the_key_log_is_for_a_file_and_a_callback_at_either_end);
}

int main(void)
{
    return thi_check_run("tls/resume", fill);
}
