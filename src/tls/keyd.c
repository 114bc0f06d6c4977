/* SPDX-License-Identifier: MIT */

/*
 * The key process: who may ask, for what, and how often.
 *
 * A connection has a fiber, which reads a request, answers it and reads the next; so one client has
 * as many requests under way as it has connections. All workers share the keys, which do not
 * change, and the counts.
 *
 * The rate is kept by one number, the time at which the next signature would be due if all had come
 * evenly (a "leaky bucket as a meter"). It may be up to a second in the future: that is the burst.
 */
#include <thrum/keyd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/metrics.h"
#include "runtime/stop.h"
#include "tls/keyd_check.h"
#include "tls/keyd_client.h"
#include "tls/keyd_keys.h"
#include "tls/ossl.h"

#include <thrum/dial.h>
#include <thrum/fiber.h>
#include <thrum/scope.h>
#include <thrum/serve.h>
#include <thrum/stream.h>
#include <thrum/time.h>
#include <thrum/unix.h>

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RATE_DEFAULT        20000
#define CONNECTIONS_DEFAULT 1024
#define USERS_MAX           16
#define BURST               TH_SECOND
#define REFUSAL_TIME        TH_SECOND /* for the request of somebody who may not ask */

typedef struct keyd {
    thi_keyd_keys keys;
    uid_t users[USERS_MAX + 1];
    size_t user_count;
    int64_t spacing;         /* of signatures at the full rate, ns */
    _Atomic(int64_t) due;    /* when the next signature is, if all came evenly */
    atomic_ullong counts[4]; /* of these, as they are in `words` */
} keyd;

enum { SIGNED, REFUSED, LIMITED, FAILED };

static void count(keyd *k, int what)
{
    static const thi_metric metrics[] = { THI_M_KEYD_SIGNED, THI_M_KEYD_REFUSED, THI_M_KEYD_LIMITED,
                                          THI_M_KEYD_FAILED };
    atomic_fetch_add_explicit(&k->counts[what], 1, memory_order_relaxed);
    thi_metric_add(metrics[what], 1);
}

/* ---- who and how often ----------------------------------------------------------------------- */

static bool may_ask(const keyd *k, th_stream *stream)
{
    th_cred who;
    if (th_stream_peer_cred(stream, &who) < 0)
        return false;
    for (size_t i = 0; i < k->user_count; i++)
        if (k->users[i] == who.uid)
            return true;
    thi_log(TH_LOG_WARNING, "keyd: user %u (process %d) may not ask", who.uid, who.pid);
    return false;
}

static bool is_within_rate(keyd *k)
{
    int64_t now = th_now();
    int64_t due = atomic_load_explicit(&k->due, memory_order_relaxed);
    int64_t next;
    do {
        next = thi_max(due, now) + k->spacing;
        if (next - now > BURST)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&k->due, &due, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Room for a request, and for its answer. */
typedef struct talk {
    keyd *keyd;
    th_fiber *fiber;
    thi_stopper stopper;
    bool idle;  /* waits for the next request */
    bool stops; /* there shall be no other one */
    uint8_t in[THI_KEYD_MAX];
    uint8_t out[THI_KEYD_MAX];
} talk;

static size_t say(talk *t, int status, const char *text)
{
    return thi_keyd_put_reply(t->out, status, text, strlen(text));
}

static size_t answer_with(talk *t, const thi_keyd_held *key, const thi_keyd_request *r)
{
    uint8_t signature[THI_SIGN_MAX];
    const thi_sign_request request = { .op = (thi_sign_op)r->op,
                                       .in = r->data,
                                       .len = r->len,
                                       .out = signature,
                                       .room = sizeof signature };
    int len = key->dear ? key->signer->ops->sign(key->signer, &request)
                        : thi_signer_compute(key->signer, &request);
    if (len < 0) {
        count(t->keyd, FAILED);
        return say(t, THI_KEYD_FAILED, th_err_detail());
    }
    count(t->keyd, SIGNED);
    return thi_keyd_put_reply(t->out, THI_KEYD_OK, signature, (size_t)len);
}

static size_t answer_sign(talk *t, const thi_keyd_request *r)
{
    const thi_keyd_held *key = thi_keyd_keys_find(&t->keyd->keys, r);
    if (!key) {
        count(t->keyd, REFUSED);
        return say(t, THI_KEYD_UNKNOWN, "it has no key for this certificate by that name");
    }
    if (!thi_keyd_may_sign(r->op, r->data, r->len, key->bits)) {
        count(t->keyd, REFUSED);
        thi_log(TH_LOG_WARNING, "keyd: asked to use %s for what is no signature of TLS", key->name);
        return say(t, THI_KEYD_REFUSED, "it signs handshakes of TLS and nothing else");
    }
    if (!is_within_rate(t->keyd)) {
        count(t->keyd, LIMITED);
        return say(t, THI_KEYD_LIMITED, "more signatures are wanted than it may make in a second");
    }
    return answer_with(t, key, r);
}

static size_t add_line(char *text, size_t at, size_t size, const char *format, ...) TH_PRINTF(4, 5);

static size_t add_line(char *text, size_t at, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text + at, size - at, format, args);
    va_end(args);
    return n > 0 && (size_t)n < size - at ? at + (size_t)n : at;
}

/* The counts come first: keys of which there are too many for a message are left out. */
static size_t answer_status(talk *t)
{
    static const char *const words[] = { "signed", "refused", "limited", "failed" };
    const keyd *k = t->keyd;
    char *text = (char *)t->in; /* the request has been read */
    size_t size = THI_KEYD_BODY_MAX - 2;
    char id[2 * THI_KEYD_ID_SIZE + 1];
    size_t at = 0;
    for (size_t i = 0; i < thi_array_len(words); i++)
        at = add_line(text, at, size, "%s %llu\n", words[i], atomic_load(&k->counts[i]));
    for (size_t i = 0; i < k->keys.count; i++)
        at = add_line(text, at, size, "key %s %s %s\n", k->keys.list[i].name, k->keys.list[i].kind,
                      thi_keyd_id_text(k->keys.list[i].id, id));
    return thi_keyd_put_reply(t->out, THI_KEYD_OK, text, at);
}

/* ---- connections ----------------------------------------------------------------------------- */

/* Reads a body into t->in: its length; TH_EOF between requests. */
static ssize_t read_body(talk *t, th_stream *stream)
{
    uint8_t head[THI_KEYD_HEAD];
    t->idle = true;
    ssize_t n = th_stream_read_all(stream, head, sizeof head);
    t->idle = false;
    if (n > 0)
        n = thi_keyd_body(head);
    return n > 0 ? th_stream_read_all(stream, t->in, (size_t)n) : n;
}

static int answer_one(talk *t, th_stream *stream)
{
    thi_keyd_request request;
    ssize_t n = read_body(t, stream);
    if (n < 0 && n != TH_EPROTO)
        return (int)n;
    int err = n < 0 ? (int)n : thi_keyd_get_request(t->in, (size_t)n, &request);
    size_t len;
    if (err < 0) {
        count(t->keyd, REFUSED);
        len = say(t, THI_KEYD_MALFORMED, th_err_detail());
    } else {
        len = request.kind == THI_KEYD_SIGN ? answer_sign(t, &request) : answer_status(t);
    }
    n = th_stream_write(stream, t->out, len);
    return err < 0 ? err : n < 0 ? (int)n : 0;
}

/* A client that keeps its connection for later has nothing in progress: a stop ends it at once. */
static void on_stop(thi_stopper *stopper)
{
    talk *t = thi_container_of(stopper, talk, stopper);
    t->stops = true;
    if (t->idle)
        (void)th_fiber_cancel(t->fiber, 0);
}

static int answer_all(talk *t, th_stream *stream)
{
    int err = 0;
    t->fiber = th_fiber_self();
    thi_stopper_add(&t->stopper, on_stop);
    while (err == 0 && !t->stops)
        err = answer_one(t, stream);
    thi_stopper_remove(&t->stopper);
    return t->stops ? 0 : err;
}

/* Its request is read first: who writes to a connection that is gone does not learn why it is. */
static int refuse(talk *t, th_stream *stream)
{
    th_scope scope;
    count(t->keyd, REFUSED);
    int err = th_scope_open(&scope, &(th_scope_opts){ .deadline = th_after(REFUSAL_TIME) });
    if (err < 0)
        return err;
    if (read_body(t, stream) > 0)
        (void)!th_stream_write(stream, t->out,
                               say(t, THI_KEYD_REFUSED, "this user may not ask it"));
    (void)th_scope_close(&scope);
    return -EACCES;
}

static int serve_client(th_stream *stream, void *arg)
{
    keyd *k = arg;
    talk *t = thi_alloc(sizeof *t);
    if (!t)
        return thi_err_clear(-ENOMEM);
    t->keyd = k;
    t->idle = t->stops = false;
    int err = may_ask(k, stream) ? answer_all(t, stream) : refuse(t, stream);
    thi_free(t);
    return err;
}

/* ---- the start ------------------------------------------------------------------------------- */

static int check_opts(const th_keyd_opts *opts)
{
    if (opts->size > sizeof *opts)
        return thi_err_set(-EINVAL, "th_keyd_opts of a later version");
    if (!opts->keys || opts->count == 0 || opts->count > TH_KEYD_KEYS_MAX)
        return thi_err_set(-EINVAL, "a key process holds 1 to %d keys", TH_KEYD_KEYS_MAX);
    if (opts->user_count > USERS_MAX || (opts->user_count > 0 && !opts->users))
        return thi_err_set(-EINVAL, "at most %d users", USERS_MAX);
    return 0;
}

static int init(keyd *k, const th_keyd_opts *opts)
{
    k->users[k->user_count++] = geteuid();
    for (size_t i = 0; i < opts->user_count; i++)
        k->users[k->user_count++] = opts->users[i];
    k->spacing = TH_SECOND / (opts->rate ? opts->rate : RATE_DEFAULT);
    return thi_keyd_keys_load(&k->keys, opts->keys, opts->count);
}

/* Others can open the file only if it is everybody's; who they are is asked afterwards. */
static int listen_at(const char *address, const th_keyd_opts *opts, th_listener **listener)
{
    th_addr addr;
    bool inherited = strncmp(address, "systemd:", 8) == 0 || strncmp(address, "fd:", 3) == 0;
    th_listen_opts how = { .mode = inherited ? 0 : opts->user_count > 0 ? 0666 : 0600 };
    int err = inherited ? 0 : th_addr_parse(address, &addr);
    if (err == 0 && !inherited && addr.kind != TH_ADDR_UNIX)
        err =
            thi_err_set(TH_EADDRESS, "a key process listens on a Unix socket, not at %s", address);
    if (err == 0)
        err = th_listen(address, &how, listener);
    if (err < 0)
        return err;
    th_listener_addr(*listener, &addr);
    if (addr.kind == TH_ADDR_UNIX)
        return 0;
    th_listener_close(*listener);
    return thi_err_set(TH_EADDRESS, "a key process listens on a Unix socket, %s is none", address);
}

static int serve(const char *address, const th_keyd_opts *opts, keyd *k)
{
    th_listener *listener = NULL;
    int err = listen_at(address, opts, &listener);
    if (err < 0)
        return err;
    const th_serve_opts how = { .max_connections = opts->max_connections ? opts->max_connections
                                                                         : CONNECTIONS_DEFAULT };
    if (opts->listening) {
        th_addr addr;
        th_listener_addr(listener, &addr);
        opts->listening(&addr, opts->arg);
    }
    err = th_serve_on(&listener, 1, serve_client, k, &how);
    th_listener_close(listener);
    return err;
}

int th_keyd_serve(const char *address, const th_keyd_opts *opts)
{
    if (!address || !opts)
        return thi_err_clear(-EINVAL);
    int err = check_opts(opts);
    if (err < 0)
        return err;
    keyd *k = thi_calloc(1, sizeof *k);
    if (!k)
        return thi_err_clear(-ENOMEM);
    err = init(k, opts);
    if (err == 0)
        err = serve(address, opts, k);
    thi_keyd_keys_deinit(&k->keys);
    thi_free(k);
    return err;
}

/* ---- asking ---------------------------------------------------------------------------------- */

static int ask_status(th_stream *stream, uint8_t *buf, th_arena *arena, th_str *text)
{
    const uint8_t *data = NULL;
    size_t len = 0;
    const thi_keyd_request request = { .kind = THI_KEYD_STATUS };
    int status = thi_keyd_exchange(stream, &request, buf, &data, &len);
    if (status == TH_EOF || status == TH_ETRUNCATED)
        return thi_err_set(TH_EPROTO, "it ended the connection");
    if (status < 0)
        return status;
    th_str said = th_str_make((const char *)data, len);
    if (status != THI_KEYD_OK)
        return thi_err_set(status == THI_KEYD_REFUSED ? -EACCES : TH_EPROTO, "%.*s",
                           (int)thi_min(len, (size_t)150), said.ptr);
    char *copy = th_arena_strdup(arena, said);
    if (!copy)
        return thi_err_clear(-ENOMEM);
    *text = th_str_make(copy, len);
    return 0;
}

int th_keyd_status(const char *address, th_arena *arena, th_str *text)
{
    th_stream *stream;
    if (!address || !arena || !text)
        return thi_err_clear(-EINVAL);
    uint8_t *buf = thi_alloc(THI_KEYD_MAX);
    if (!buf)
        return thi_err_clear(-ENOMEM);
    int err = th_dial(address, NULL, &stream);
    if (err == 0) {
        err = ask_status(stream, buf, arena, text);
        th_stream_free(stream);
    }
    thi_free(buf);
    return err;
}
