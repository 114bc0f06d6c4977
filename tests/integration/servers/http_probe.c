/* SPDX-License-Identifier: MIT */

/*
 * An HTTP server for tests: a handler for each way in which handlers behave, well and badly.
 *
 * Any target that does not start with /x/ is answered with what the handler saw of the request.
 * Numbers are given in the query: /x/stream?pieces=3&size=100.
 */
#include "settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATTERN_SIZE ((size_t)26 << 18)

static settings set;
static th_access_log *access_log;
static char *pattern; /* bytes to answer with: byte i is 'a' + i % 26 */
static atomic_int handled;
static atomic_int waiting; /* handlers at the gate */
static atomic_int opened;  /* how often the gate was opened */
static atomic_int last_read = 1;

/* ---- questions to the request ---- */

static bool has_param(const th_http_request *q, const char *name, th_str *value)
{
    th_str query = th_http_request_query(q);
    size_t len = strlen(name);
    const char *end = query.ptr + query.len;
    for (const char *at = query.ptr; at < end;) {
        const char *stop = memchr(at, '&', (size_t)(end - at));
        stop = stop ? stop : end;
        if ((size_t)(stop - at) > len && memcmp(at, name, len) == 0 && at[len] == '=') {
            *value = (th_str){ at + len + 1, (size_t)(stop - at) - len - 1 };
            return true;
        }
        at = stop + 1;
    }
    return false;
}

static int64_t number(const th_http_request *q, const char *name, int64_t other)
{
    char text[24] = "";
    th_str value;
    if (!has_param(q, name, &value) || value.len >= sizeof text)
        return other;
    memcpy(text, value.ptr, value.len);
    return strtoll(text, NULL, 10);
}

static int answer_number(th_http_request *q, th_http_reply *r, int64_t n)
{
    char *text = th_arena_printf(th_http_request_arena(q), "%lld", (long long)n);
    return text ? th_http_reply_text(r, 200, text) : -ENOMEM;
}

/* Remembers how reading ended, for /x/last. */
static ssize_t read_body(th_http_request *q, void *buf, size_t size)
{
    ssize_t n = th_http_request_read(q, buf, size);
    atomic_store(&last_read, n < 0 ? (int)n : 1);
    return n;
}

/* ---- what was seen ---- */

static int add_header(th_http_request *q, th_http_reply *r, const char *name, th_str value)
{
    char *text = th_arena_printf(th_http_request_arena(q), "%.*s", (int)value.len,
                                 value.ptr ? value.ptr : "");
    return text ? th_http_reply_header(r, name, text) : -ENOMEM;
}

static int seen(th_http_request *q, th_http_reply *r)
{
    th_str body;
    if (set.length_required && !th_http_request_header(q, "content-length").ptr)
        return th_http_reply_text(r, 411, "how long is it?\n");
    int err = th_http_request_read_all(q, (size_t)set.read_all, &body);
    atomic_store(&last_read, err);
    if (err < 0)
        return err;
    (void)add_header(q, r, "X-Method", th_http_request_method(q));
    (void)add_header(q, r, "X-Target", th_http_request_target(q));
    (void)add_header(q, r, "X-Path", th_http_request_path(q));
    (void)add_header(q, r, "X-Query", th_http_request_query(q));
    (void)add_header(q, r, "X-Host", th_http_request_host(q));
    return th_http_reply_bytes(r, 200, "application/octet-stream", body.ptr, body.len);
}

static int fields(th_http_request *q, th_http_reply *r)
{
    th_str name;
    th_str value;
    int err = th_http_reply_begin(r, 200, -1);
    for (size_t i = 0; err == 0 && th_http_request_header_at(q, i, &name, &value) == 0; i++) {
        err = th_http_reply_write(r, name.ptr, name.len);
        err = err == 0 ? th_http_reply_write(r, "=", 1) : err;
        err = err == 0 ? th_http_reply_write(r, value.ptr, value.len) : err;
        err = err == 0 ? th_http_reply_write(r, "\n", 1) : err;
    }
    return err;
}

static int peer(th_http_request *q, th_http_reply *r)
{
    th_addr addr;
    char text[TH_ADDR_TEXT];
    int err = th_http_request_peer(q, &addr);
    return err < 0 ? err : th_http_reply_text(r, 200, th_addr_format(&addr, text, sizeof text));
}

static int tell_tls(th_http_request *q, th_http_reply *r)
{
    th_tls_info info = { .size = sizeof info };
    th_str scheme = th_http_request_scheme(q);
    int err = th_http_request_tls(q, &info);
    ssize_t cert = th_http_request_cert(q, 0, NULL, 0);
    char *text = th_arena_printf(
        th_http_request_arena(q), "%.*s %s %s %s %.*s %d %zd", (int)scheme.len, scheme.ptr,
        err < 0 ? th_errname(err) : info.version_name, info.cipher ? info.cipher : "-",
        info.name ? info.name : "-", (int)info.alpn.len, info.alpn.ptr ? info.alpn.ptr : "",
        info.verified, cert);
    return text ? th_http_reply_text(r, 200, text) : -ENOMEM;
}

static int early(th_http_request *q, th_http_reply *r)
{
    return answer_number(q, r, th_http_request_early(q));
}

/* ---- bodies ---- */

static int ignore(th_http_request *q, th_http_reply *r)
{
    (void)q;
    return th_http_reply_text(r, 200, "ignored");
}

/* Reads n bytes at most, and leaves the rest. */
static int part(th_http_request *q, th_http_reply *r)
{
    char buf[256];
    size_t len = 0;
    size_t wanted = (size_t)number(q, "n", 10);
    ssize_t n = 0;
    while (len < wanted && (n = read_body(q, buf + len, wanted - len)) > 0)
        len += (size_t)n;
    if (n < 0 && n != TH_EOF)
        return (int)n;
    return th_http_reply_bytes(r, 200, NULL, buf, len);
}

/* Sends the body back while it comes, read into a buffer of `size`. */
static int echo(th_http_request *q, th_http_reply *r)
{
    size_t size = (size_t)number(q, "size", 4096);
    char *buf = th_arena_alloc(th_http_request_arena(q), size);
    int err = buf ? th_http_reply_begin(r, 200, number(q, "length", -1)) : -ENOMEM;
    ssize_t n = 0;
    while (err == 0 && (n = read_body(q, buf, size)) > 0)
        err = th_http_reply_write(r, buf, (size_t)n);
    return err < 0 ? err : n == TH_EOF ? 0 : (int)n;
}

/* Reads all of the body, as large as it may be, and tells its length and the sum of its bytes. */
static int sum(th_http_request *q, th_http_reply *r)
{
    unsigned char *buf = th_arena_alloc(th_http_request_arena(q), 32 * 1024);
    unsigned long long len = 0;
    unsigned long long total = 0;
    ssize_t n = -ENOMEM;
    while (buf && (n = read_body(q, buf, 32 * 1024)) > 0) {
        len += (size_t)n;
        for (ssize_t i = 0; i < n; i++)
            total += buf[i];
    }
    if (n != TH_EOF)
        return (int)n;
    char *text = th_arena_printf(th_http_request_arena(q), "%llu %llu", len, total);
    return text ? th_http_reply_text(r, 200, text) : -ENOMEM;
}

/* Goes on as if nothing had happened when the body cannot be read. */
static int forgive(th_http_request *q, th_http_reply *r)
{
    char buf[256];
    while (read_body(q, buf, sizeof buf) > 0)
        continue;
    return th_http_reply_text(r, 200, "forgiven");
}

/* ---- replies ---- */

static int stream(th_http_request *q, th_http_reply *r)
{
    int64_t pieces = number(q, "pieces", 3);
    size_t size = (size_t)number(q, "size", 10);
    bool flush = number(q, "flush", 0);
    int err = th_http_reply_begin(r, 200, number(q, "length", 0) ? pieces * (int64_t)size : -1);
    for (int64_t i = 0; err == 0 && i < pieces; i++) {
        err = th_http_reply_write(r, pattern, size);
        if (err == 0 && flush)
            err = th_http_reply_flush(r);
    }
    return err;
}

static int empty_pieces(th_http_request *q, th_http_reply *r)
{
    static const char *const pieces[] = { "", "a", "", "", "b", "" };
    int err = th_http_reply_begin(r, 200, -1);
    for (size_t i = 0; err == 0 && i < 6 && !number(q, "none", 0); i++)
        err = th_http_reply_write(r, pieces[i], strlen(pieces[i]));
    return err;
}

static int bytes(th_http_request *q, th_http_reply *r)
{
    return th_http_reply_bytes(r, (int)number(q, "status", 200), "text/plain", pattern,
                               (size_t)number(q, "size", 0));
}

static int begin_and_write(th_http_request *q, th_http_reply *r)
{
    int err = th_http_reply_begin(r, (int)number(q, "status", 200), number(q, "length", -1));
    return err < 0 ? err : th_http_reply_write(r, "some text", 9);
}

static int file(th_http_request *q, th_http_reply *r)
{
    int fd = open(set.file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = th_http_reply_file(r, 200, fd, number(q, "offset", 0), number(q, "size", 0));
    close(fd);
    return err;
}

/* ---- misbehaviour ---- */

static int fail(th_http_request *q, th_http_reply *r)
{
    (void)q;
    (void)th_http_reply_header(r, "X-Half-Done", "1");
    return -EIO;
}

/* Fails with 8 of 13 bytes written. */
static int fail_later(th_http_request *q, th_http_reply *r)
{
    int err = th_http_reply_begin(r, 200, number(q, "length", 0) ? 13 : -1);
    if (err == 0)
        err = th_http_reply_write(r, "12345678", 8);
    if (err == 0 && number(q, "flush", 0))
        err = th_http_reply_flush(r);
    return err < 0 ? err : number(q, "silently", 0) ? 0 : -EIO;
}

static int too_much(th_http_request *q, th_http_reply *r)
{
    (void)q;
    int err = th_http_reply_begin(r, 200, 5);
    if (err == 0)
        err = th_http_reply_write(r, "12345", 5);
    return err < 0 ? err : th_http_reply_write(r, "678", 3) == TH_ELIMIT ? 0 : -EINVAL;
}

static int no_reply(th_http_request *q, th_http_reply *r)
{
    (void)q;
    (void)r;
    return 0;
}

static int twice(th_http_request *q, th_http_reply *r)
{
    (void)q;
    int err = th_http_reply_text(r, 200, "once");
    return err < 0 ? err : th_http_reply_text(r, 200, "twice") == -EINVAL ? 0 : -EIO;
}

/* Tries what must not come out on the wire; answers with what was let through, or "nothing". */
static int forge(th_http_request *q, th_http_reply *r)
{
    static const char *const names[] = { "",           "A B",        "A:",
                                         "A\r\nB",     "\xc3\xa4",   "Date",
                                         "date",       "Upgrade\n",  "Content-Length",
                                         "Connection", "Keep-Alive", "Transfer-Encoding" };
    static const char *const values[] = { "a\r\nB: c", "a\nB: c", "a\rb", "\x01", "\x7f" };
    char let[64] = "";
    (void)q;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (th_http_reply_header(r, names[i], "x") != -EINVAL)
            strcat(let, "n");
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (th_http_reply_header(r, "X-A", values[i]) != -EINVAL)
            strcat(let, "v");
    if (th_http_reply_bytes(r, 200, "text/plain\r\nX-B: c", "a type", 6) != -EINVAL)
        return 0; /* that was the answer */
    if (th_http_reply_text(r, 199, "") != -EINVAL || th_http_reply_text(r, 600, "") != -EINVAL)
        strcat(let, "s");
    return th_http_reply_text(r, 200, *let ? let : "nothing");
}

/* ---- time ---- */

/* Waits until the gate is opened. Who opens it once somebody is waiting opens it for them. */
static int pass_gate(void)
{
    int before = atomic_load(&opened);
    int err = 0;
    atomic_fetch_add(&waiting, 1);
    while (err == 0 && atomic_load(&opened) == before)
        err = th_sleep(TH_MILLISECOND);
    atomic_fetch_sub(&waiting, 1);
    return err;
}

static int gate(th_http_request *q, th_http_reply *r)
{
    (void)q;
    int err = pass_gate();
    return err < 0 ? err : th_http_reply_text(r, 200, "through");
}

/* Lets the client see the head before the gate and the body behind it. */
static int flush(th_http_request *q, th_http_reply *r)
{
    (void)q;
    int err = th_http_reply_begin(r, 200, -1);
    if (err == 0)
        err = th_http_reply_flush(r);
    if (err == 0)
        err = pass_gate();
    return err < 0 ? err : th_http_reply_write(r, "through", 7);
}

/* Writes more than the client takes in time, and behind the gate goes on as if all were well. */
static int careless(th_http_request *q, th_http_reply *r)
{
    (void)q;
    th_scope scope;
    th_scope_opts hurry = { .deadline = th_after(20 * TH_MILLISECOND) };
    int err = th_http_reply_begin(r, 200, -1);
    if (err == 0)
        err = th_scope_open(&scope, &hurry);
    if (err < 0)
        return err;
    (void)!th_http_reply_write(r, pattern, PATTERN_SIZE);
    (void)th_scope_close(&scope);
    err = pass_gate();
    (void)!th_http_reply_write(r, "more", 4);
    return err;
}

static int open_gate(th_http_request *q, th_http_reply *r)
{
    (void)q;
    atomic_fetch_add(&opened, 1);
    return th_http_reply_text(r, 200, "open");
}

static int count_waiting(th_http_request *q, th_http_reply *r)
{
    return answer_number(q, r, atomic_load(&waiting));
}

static int count_handled(th_http_request *q, th_http_reply *r)
{
    return answer_number(q, r, atomic_load(&handled));
}

static int tell_last(th_http_request *q, th_http_reply *r)
{
    (void)q;
    int last = atomic_load(&last_read);
    return th_http_reply_text(r, 200, last < 0 ? th_errname(last) : "fine");
}

static int stop(th_http_request *q, th_http_reply *r)
{
    (void)q;
    int err = th_stop();
    return err < 0 ? err : th_http_reply_text(r, 200, "stopping");
}

static int metrics(th_http_request *q, th_http_reply *r)
{
    return th_metrics_handle(q, r, NULL);
}

/* ---- all of them ---- */

static const struct {
    const char *name;
    int (*fn)(th_http_request *q, th_http_reply *r);
    bool quiet; /* not counted: it looks on */
} handlers[] = {
    { "fields", fields, false },
    { "peer", peer, false },
    { "tls", tell_tls, false },
    { "early", early, false },
    { "ignore", ignore, false },
    { "part", part, false },
    { "echo", echo, false },
    { "sum", sum, false },
    { "forgive", forgive, false },
    { "stream", stream, false },
    { "empty_pieces", empty_pieces, false },
    { "bytes", bytes, false },
    { "begin_and_write", begin_and_write, false },
    { "file", file, false },
    { "fail", fail, false },
    { "fail_later", fail_later, false },
    { "too_much", too_much, false },
    { "no_reply", no_reply, false },
    { "twice", twice, false },
    { "forge", forge, false },
    { "gate", gate, false },
    { "flush", flush, false },
    { "careless", careless, false },
    { "open", open_gate, true },
    { "waiting", count_waiting, true },
    { "handled", count_handled, true },
    { "last", tell_last, true },
    { "stop", stop, true },
    { "metrics", metrics, true },
};

static int handle(th_http_request *q, th_http_reply *r, void *arg)
{
    (void)arg;
    th_str path = th_http_request_path(q);
    if (path.len > 3 && memcmp(path.ptr, "/x/", 3) == 0) {
        th_str name = { path.ptr + 3, path.len - 3 };
        for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++) {
            if (!th_str_eq(name, (th_str){ handlers[i].name, strlen(handlers[i].name) }))
                continue;
            atomic_fetch_add(&handled, !handlers[i].quiet);
            return handlers[i].fn(q, r);
        }
        return th_http_reply_text(r, 404, "no such behaviour\n");
    }
    atomic_fetch_add(&handled, 1);
    return seen(q, r);
}

static int app(void *arg)
{
    (void)arg;
    int err = settings_listen(&set);
    return err < 0 ? err
                   : th_http_serve_on(set.listeners, set.listen_count, handle, NULL, &set.http);
}

int main(int argc, char **argv)
{
    settings_read(&set, argc, argv);
    pattern = malloc(PATTERN_SIZE);
    if (!pattern)
        return 1;
    memcpy(pattern, "abcdefghijklmnopqrstuvwxyz", 26);
    for (size_t len = 26; len < PATTERN_SIZE; len *= 2)
        memcpy(pattern + len, pattern, len);
    if (set.log) {
        th_access_log_format format =
            strcmp(set.log, "json") == 0 ? TH_ACCESS_LOG_JSON : TH_ACCESS_LOG_COMMON;
        if (th_access_log_open(STDOUT_FILENO, format, &access_log) < 0)
            return 1;
        set.http.log = th_access_log_record;
        set.http.log_arg = access_log;
    }
    int status = settings_run(&set, app);
    th_access_log_close(access_log);
    free(pattern);
    return status;
}
