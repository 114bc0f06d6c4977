/* SPDX-License-Identifier: MIT */

/* HTTPS whose records are made by the kernel, or not: the same answers, and files by sendfile(2).
 */
#include "tls/kernel_peer.h"

#include "sys/sys.h"

#include <thrum/http.h>
#include <thrum/serve.h>

#define FILE_SIZE ((size_t)700001)

static char folder[] = "/tmp/thrum-https-XXXXXX";
static char file[64];
static int kernel_made; /* requests over a connection whose records the kernel makes */

static int hello(th_http_request *request, th_http_reply *reply, void *arg)
{
    th_tls_info info = { .size = sizeof info };
    (void)arg;
    ck_assert_int_eq(th_http_request_tls(request, &info), 0);
    kernel_made += info.kernel_sends;
    return th_http_reply_text(reply, 200, "hello, world\n");
}

/* ---- counting ---- */

static thi_sys counting;
static int64_t by_sendfile; /* bytes */

static ssize_t counted_sendfile(int out, int in, off_t *at, size_t n)
{
    ssize_t done = thi_sys_real.sendfile(out, in, at, n);
    by_sendfile += done > 0 ? done : 0;
    return done;
}

static void count_sendfile(void)
{
    counting = *thi_sys_table;
    counting.sendfile = counted_sendfile;
    thi_sys_table = &counting;
}

/* ---- the server ---- */

typedef struct service {
    th_listener *listener;
    th_http_router *router;
    th_http_site *site;
    int served;
    uint16_t port;
} service;

static int serve(void *arg)
{
    service *s = arg;
    th_http_opts opts = { .tls = server_tls };
    s->served = th_http_serve_on(&s->listener, 1, th_http_router_handle, s->router, &opts);
    th_listener_close(s->listener);
    return 0;
}

static void start(service *s, th_scope *scope, int kernel)
{
    th_addr addr;
    make_contexts((th_tls_opts){ .kernel_sends = kernel }, (th_tls_opts){ 0 });
    ck_assert_int_eq(th_http_site_new(folder, NULL, &s->site), 0);
    ck_assert_int_eq(th_http_router_new(&s->router), 0);
    ck_assert_int_eq(th_http_router_add(s->router, "GET", "/hello", hello, NULL), 0);
    ck_assert_int_eq(
        th_http_router_add(s->router, "GET", "/files/*path", th_http_site_handle, s->site), 0);
    ck_assert_int_eq(th_listen("tls://127.0.0.1:0", NULL, &s->listener), 0);
    th_listener_addr(s->listener, &addr);
    s->port = addr.port;
    open_scope(scope);
    spawn(scope, serve, s);
}

static void stop(service *s, th_scope *scope)
{
    ck_assert_int_eq(th_stop(), 0);
    close_scope(scope);
    ck_assert_int_eq(s->served, 0);
    th_http_router_free(s->router);
    th_http_site_free(s->site);
    free_contexts();
}

/* ---- the client ---- */

#define GET(path)  "GET " path " HTTP/1.1\r\nHost: server.test\r\n\r\n"
#define LAST(path) "GET " path " HTTP/1.1\r\nHost: server.test\r\nConnection: close\r\n\r\n"

static void write_to(peer *p, const char *text)
{
    (void)SSL_write(p->ssl, text, (int)strlen(text));
}

/* Waits for the end of an answer of the handler's: so the next request finds an idle connection. */
static void read_hello(peer *p)
{
    while (p->size < DATA && !memmem(peer_got, p->size, "world\n", 6)) {
        int n = SSL_read(p->ssl, peer_got + p->size, (int)(DATA - p->size));
        if (n <= 0)
            return;
        p->size += (size_t)n;
    }
}

static void ask_all(peer *p)
{
    write_to(p, GET("/hello"));
    read_hello(p);
    write_to(p, GET("/hello") GET("/files/large") GET("/hello"));
    write_to(p, LAST("/files/none"));
    read_to_end(p);
}

/* ---- answers ---- */

/* The answer at *at: its status and body, and the offset of the next one. */
static int next_answer(const peer *p, size_t *at, th_str *body)
{
    int status = 0;
    size_t size = 0;
    const char *head = peer_got + *at;
    const char *end = memmem(head, p->size - *at, "\r\n\r\n", 4);
    ck_assert_ptr_nonnull(end);
    const char *field = memmem(head, (size_t)(end - head), "\r\nContent-Length: ", 18);
    ck_assert_ptr_nonnull(field);
    ck_assert_int_eq(sscanf(head, "HTTP/1.1 %d ", &status), 1);
    ck_assert_int_eq(sscanf(field + 18, "%zu", &size), 1);
    *body = th_str_make(end + 4, size);
    *at = (size_t)(end + 4 - peer_got) + size;
    ck_assert_uint_le(*at, p->size);
    return status;
}

static void expect(const peer *p, size_t *at, int status, const char *bytes, size_t size)
{
    th_str body;
    ck_assert_int_eq(next_answer(p, at, &body), status);
    if (!bytes)
        return;
    ck_assert_uint_eq(body.len, size);
    ck_assert_mem_eq(body.ptr, bytes, size);
}

static void ask_server(int kernel, int version)
{
    peer p = { .script = ask_all, .version = version, .fd = -1 };
    service s = { .served = -1 };
    th_scope scope;
    size_t at = 0;
    count_sendfile();
    start(&s, &scope, kernel);
    struct sockaddr_in sa = { .sin_family = AF_INET,
                              .sin_port = htons(s.port),
                              .sin_addr = { htonl(INADDR_LOOPBACK) } };
    p.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(p.fd, (struct sockaddr *)&sa, sizeof sa), 0);
    ck_assert_int_eq(pthread_create(&p.thread, NULL, be_peer, &p), 0);
    while (!atomic_load(&p.over))
        ck_assert_int_eq(th_yield(), 0);
    join(&p);
    close(p.fd);
    ck_assert_int_eq(p.end, SSL_ERROR_ZERO_RETURN);
    expect(&p, &at, 200, "hello, world\n", 13);
    expect(&p, &at, 200, "hello, world\n", 13);
    expect(&p, &at, 200, data, FILE_SIZE);
    expect(&p, &at, 200, "hello, world\n", 13);
    expect(&p, &at, 404, NULL, 0);
    ck_assert_uint_eq(at, p.size);
    stop(&s, &scope);
}

FIBER_TEST(without_it_files_are_copied)
{
    ask_server(0, 0);
    ck_assert_int_eq(kernel_made, 0);
    ck_assert_int_eq(by_sendfile, 0);
}

static int with_it(void *arg)
{
    ask_server(1, *(int *)arg == 0 ? TLS1_2_VERSION : TLS1_3_VERSION);
    ck_assert_int_eq(kernel_made, 3);
    ck_assert_int_eq(by_sendfile, FILE_SIZE);
    return 0;
}

START_TEST(with_it_files_are_sent_from_their_pages)
{
    SKIP_UNLESS(kernel_has_tls(), "the kernel has no TLS; `make ktls` starts one that has");
    run_in_fiber(1, 0, with_it, &_i);
}
END_TEST

static void make_files(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/large", folder);
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    ck_assert_int_eq(write(fd, data, FILE_SIZE), (ssize_t)FILE_SIZE);
    close(fd);
}

static void remove_files(void)
{
    unlink(file);
    rmdir(folder);
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "kernel");
    fill_data();
    test_chooses_kernel = true;
    tcase_add_checked_fixture(tcase, make_files, remove_files);
    tcase_add_test(tcase, without_it_files_are_copied);
    tcase_add_loop_test(tcase, with_it_files_are_sent_from_their_pages, 0, 2);
}

int main(void)
{
    return thi_check_run("http/https_kernel", fill_suite);
}
