/* SPDX-License-Identifier: MIT */

/* The key log: lines as Wireshark reads them, in a file of one's own, and for a function. */
#include "tls/ssl_pair.h"

#include "base/alloc.h"
#include "sys/fault.h"
#include "tls/keylog.h"

#include <thrum/error.h>

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static char path[96];

static void set_up(void)
{
    make_authority();
    snprintf(folder, sizeof folder, "/tmp/thrum-keylog-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log", folder);
}

static void tear_down(void)
{
    (void)unlink(path);
    ck_assert_int_eq(rmdir(folder), 0);
    drop_authority();
}

static char *contents(void)
{
    static char text[16384];
    FILE *file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    ck_assert_int_eq(fclose(file), 0);
    return text;
}

static int lines_with(const char *text, const char *label)
{
    int count = 0;
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        count += strncmp(line, label, strlen(label)) == 0 && line[strlen(label)] == ' ';
    }
    return count;
}

typedef struct heard {
    int lines;
    const SSL *ssl;
    char last[512];
} heard;

static void on_line(const SSL *ssl, const char *line, void *arg)
{
    heard *h = arg;
    h->lines++;
    h->ssl = ssl;
    snprintf(h->last, sizeof h->last, "%s", line);
}

static void connect_once(SSL_CTX *server)
{
    SSL_CTX *client = make_client();
    ssl_pair p = tie(server, client);
    ck_assert(shake(&p));
    untie(&p);
    SSL_CTX_free(client);
}

START_TEST(a_file_gets_the_lines_of_each_version)
{
    struct stat st;
    thi_tls_keylog *log;
    set_up();
    ck_assert_int_eq(thi_tls_keylog_new(path, NULL, NULL, &log), 0);
    SSL_CTX *new_one = make_server(TLS1_3_VERSION);
    SSL_CTX *old_one = make_server(TLS1_2_VERSION);
    ck_assert_int_eq(thi_tls_keylog_attach(new_one, log), 0);
    ck_assert_int_eq(thi_tls_keylog_attach(old_one, log), 0);
    thi_tls_keylog_unref(log); /* the contexts have it */
    connect_once(old_one);
    ck_assert_int_eq(lines_with(contents(), "CLIENT_RANDOM"), 1);
    connect_once(new_one);
    ck_assert_int_eq(lines_with(contents(), "CLIENT_RANDOM"), 1);
    ck_assert_int_eq(lines_with(contents(), "CLIENT_HANDSHAKE_TRAFFIC_SECRET"), 1);
    ck_assert_int_eq(lines_with(contents(), "SERVER_HANDSHAKE_TRAFFIC_SECRET"), 1);
    ck_assert_int_eq(lines_with(contents(), "CLIENT_TRAFFIC_SECRET_0"), 1);
    ck_assert_int_eq(lines_with(contents(), "SERVER_TRAFFIC_SECRET_0"), 1);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    SSL_CTX_free(new_one);
    SSL_CTX_free(old_one);
    tear_down();
}
END_TEST

/* A second log, of another context or process, adds to what is there. */
START_TEST(a_log_is_appended_to)
{
    thi_tls_keylog *one;
    thi_tls_keylog *two;
    set_up();
    ck_assert_int_eq(thi_tls_keylog_new(path, NULL, NULL, &one), 0);
    ck_assert_int_eq(thi_tls_keylog_new(path, NULL, NULL, &two), 0);
    SSL_CTX *a = make_server(TLS1_2_VERSION);
    SSL_CTX *b = make_server(TLS1_2_VERSION);
    ck_assert_int_eq(thi_tls_keylog_attach(a, one), 0);
    ck_assert_int_eq(thi_tls_keylog_attach(b, two), 0);
    for (int i = 1; i <= 3; i++) {
        connect_once(a);
        connect_once(b);
        ck_assert_int_eq(lines_with(contents(), "CLIENT_RANDOM"), 2 * i);
    }
    SSL_CTX_free(a);
    SSL_CTX_free(b);
    thi_tls_keylog_unref(one);
    thi_tls_keylog_unref(two);
    tear_down();
}
END_TEST

START_TEST(a_function_gets_them_with_its_own_connection)
{
    heard h = { 0 };
    thi_tls_keylog *log;
    set_up();
    ck_assert_int_eq(thi_tls_keylog_new(NULL, on_line, &h, &log), 0);
    SSL_CTX *server = make_server(TLS1_2_VERSION);
    SSL_CTX *client = make_client();
    connect_once(server); /* not asked for: nothing */
    ck_assert_int_eq(h.lines, 0);
    ck_assert_int_eq(thi_tls_keylog_attach(server, log), 0);
    ssl_pair p = tie(server, client);
    ck_assert(shake(&p));
    ck_assert_int_eq(h.lines, 1);
    ck_assert_ptr_eq(h.ssl, p.server);
    ck_assert_int_eq(strncmp(h.last, "CLIENT_RANDOM ", 14), 0);
    ck_assert_ptr_null(strchr(h.last, '\n'));
    untie(&p);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    thi_tls_keylog_unref(log);
    tear_down();
}
END_TEST

START_TEST(a_file_that_others_may_read_is_refused)
{
    thi_tls_keylog *log = NULL;
    char other[128];
    set_up();
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(chmod(path, 0640), 0);
    ck_assert_int_eq(thi_tls_keylog_new(path, NULL, NULL, &log), -EACCES);
    ck_assert_ptr_nonnull(strstr(th_err_detail(), path));
    ck_assert_int_eq(chmod(path, 0600), 0);
    snprintf(other, sizeof other, "%s/link", folder);
    ck_assert_int_eq(symlink(path, other), 0);
    ck_assert_int_eq(thi_tls_keylog_new(other, NULL, NULL, &log), -ELOOP);
    ck_assert_int_eq(unlink(other), 0);
    ck_assert_int_eq(mkfifo(other, 0600), 0);
    ck_assert_int_lt(thi_tls_keylog_new(other, NULL, NULL, &log), 0);
    ck_assert_int_eq(unlink(other), 0);
    snprintf(other, sizeof other, "%s/none/log", folder);
    ck_assert_int_eq(thi_tls_keylog_new(other, NULL, NULL, &log), -ENOENT);
    ck_assert_ptr_null(log);
    tear_down();
}
END_TEST

/* The handshake does not suffer from a full disk. */
START_TEST(a_line_that_cannot_be_written_is_lost)
{
    thi_tls_keylog *log;
    set_up();
    ck_assert_int_eq(thi_tls_keylog_new(path, NULL, NULL, &log), 0);
    SSL_CTX *server = make_server(TLS1_2_VERSION);
    ck_assert_int_eq(thi_tls_keylog_attach(server, log), 0);
    thi_tls_keylog_unref(log);
    thi_fault_begin(0, 0);
    thi_fault_order("write", 1, ENOSPC);
    connect_once(server);
    ck_assert_ptr_nonnull(thi_fault_hit());
    (void)thi_fault_end();
    ck_assert_str_eq(contents(), "");
    connect_once(server);
    ck_assert_int_eq(lines_with(contents(), "CLIENT_RANDOM"), 1);
    SSL_CTX_free(server);
    tear_down();
}
END_TEST

START_TEST(without_memory_there_is_no_log)
{
    thi_tls_keylog *log = NULL;
    set_up();
    int64_t live = thi_alloc_live();
    thi_alloc_fail_at(1);
    ck_assert_int_eq(thi_tls_keylog_new(path, NULL, NULL, &log), -ENOMEM);
    ck_assert_int_eq(thi_alloc_fail_at(0), 0);
    ck_assert_int_eq(thi_alloc_live(), live);
    ck_assert_ptr_null(log);
    tear_down();
}
END_TEST

static void fill(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "key log");
    tcase_add_test(tcase, a_file_gets_the_lines_of_each_version);
    tcase_add_test(tcase, a_log_is_appended_to);
    tcase_add_test(tcase, a_function_gets_them_with_its_own_connection);
    tcase_add_test(tcase, a_file_that_others_may_read_is_refused);
    tcase_add_test(tcase, a_line_that_cannot_be_written_is_lost);
    tcase_add_test(tcase, without_memory_there_is_no_log);
}

int main(void)
{
    return thi_check_run("tls/keylog", fill);
}
