/* SPDX-License-Identifier: MIT */

/*
 * Asking a key process from inside of a handshake.
 *
 * What a worker keeps, its posts, belongs to it alone: no locks. A post is found by its address and
 * stays until the worker ends; there are as many as there are key processes.
 *
 * Clients learn nothing but that the handshake failed, so the log tells who runs the server: once
 * when a key begins to fail, on whatever worker, and once when it is over.
 */
#include "tls/keyd_client.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/metrics.h"
#include "runtime/annex.h"
#include "runtime/sched.h"
#include "tls/ossl.h"

#include <thrum/dial.h>
#include <thrum/scope.h>

#include <openssl/evp.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#define IDLE_MAX    16                    /* connections that a post keeps */
#define ANSWER_TIME (5 * TH_SECOND)       /* for a connection and a reply */
#define PAUSE_FIRST (20 * TH_MILLISECOND) /* after a first failure to connect */
#define PAUSE_MAX   (1 * TH_SECOND)

/* ---- posts ----------------------------------------------------------------------------------- */

typedef struct post {
    struct post *next;
    char *address;
    th_stream *idle[IDLE_MAX];
    unsigned idle_count;
    int64_t not_before; /* no attempt to connect */
    int64_t pause;      /* the last one; 0 after an answer */
    int failure;        /* what came of the last attempt; TH_ETLS: no answer in time */
} post;

typedef struct posts {
    thi_annex annex;
    post *first;
} posts;

static const char posts_kind;

static void drop_idle(post *p)
{
    while (p->idle_count > 0)
        th_stream_free(p->idle[--p->idle_count]);
}

static void close_posts(thi_annex *annex, thi_worker *worker)
{
    (void)worker;
    posts *all = thi_container_of(annex, posts, annex);
    while (all->first) {
        post *p = all->first;
        all->first = p->next;
        drop_idle(p);
        thi_free(p->address);
        thi_free(p);
    }
    thi_free(all);
}

static posts *posts_of(thi_worker *worker)
{
    thi_annex *annex = thi_annex_find(worker, &posts_kind);
    if (annex)
        return thi_container_of(annex, posts, annex);
    posts *all = thi_calloc(1, sizeof *all);
    if (!all)
        return NULL;
    all->annex.kind = &posts_kind;
    all->annex.close = close_posts;
    thi_annex_add(worker, &all->annex);
    return all;
}

static post *find_post(const char *address)
{
    posts *all = posts_of(thi_worker_self);
    if (!all)
        return NULL;
    for (post *p = all->first; p; p = p->next)
        if (strcmp(p->address, address) == 0)
            return p;
    post *p = thi_calloc(1, sizeof *p);
    if (!p || !(p->address = thi_strdup_n(address, strlen(address)))) {
        thi_free(p);
        return NULL;
    }
    p->next = all->first;
    all->first = p;
    return p;
}

/* ---- connections ----------------------------------------------------------------------------- */

/* Never -ETIMEDOUT: that would be the end of the caller's time, and this is of the request's. */
static int tell(const post *p, const char *more)
{
    if (p->failure == TH_ETLS)
        return thi_err_set(TH_ETLS, "the key process at %s does not answer%s", p->address, more);
    return thi_err_set(p->failure, "the key process at %s is not there: %s%s", p->address,
                       th_strerror(p->failure), more);
}

static void begin_pause(post *p)
{
    p->pause = p->pause == 0 ? PAUSE_FIRST : thi_min(p->pause * 2, PAUSE_MAX);
    p->not_before = th_now() + p->pause;
}

/* Of several that fail together, the first begins the pause. */
static int note_failure(post *p, int err)
{
    if (th_now() >= p->not_before)
        begin_pause(p);
    p->failure = err;
    return tell(p, "");
}

/*
 * After a failure, one request at a time finds out whether there are answers again. A connection
 * alone tells nothing: the kernel makes one to a process that hangs as well.
 */
static int connect_to(post *p, th_stream **stream)
{
    if (p->pause > 0 && th_now() < p->not_before)
        return tell(p, "; it will be asked again in a moment");
    if (p->pause > 0)
        begin_pause(p);
    int err = th_dial(p->address, NULL, stream);
    if (err == 0 || err == -ECANCELED || err == -ETIMEDOUT)
        return err;
    return note_failure(p, err);
}

int thi_keyd_exchange(th_stream *stream, const thi_keyd_request *request, uint8_t *reply,
                      const uint8_t **data, size_t *len)
{
    int status;
    ssize_t n = th_stream_write(stream, reply, thi_keyd_put_request(reply, request));
    if (n > 0)
        n = th_stream_read_all(stream, reply, THI_KEYD_HEAD);
    if (n > 0)
        n = thi_keyd_body(reply);
    if (n > 0)
        n = th_stream_read_all(stream, reply, (size_t)n);
    if (n < 0)
        return (int)n;
    int err = thi_keyd_get_reply(reply, (size_t)n, &status, data, len);
    return err < 0 ? err : status;
}

/* ---- keys ------------------------------------------------------------------------------------ */

typedef struct remote_signer {
    thi_signer base;
    char *address;
    char *name;
    uint8_t id[THI_KEYD_ID_SIZE];
    atomic_bool failing; /* and the log has told so */
} remote_signer;

/* A request that one connection carries, and then perhaps another. */
typedef struct call {
    const remote_signer *signer;
    const thi_sign_request *request;
    uint8_t *buf; /* THI_KEYD_MAX bytes */
    post *post;
} call;

/* What a reply means for the handshake. */
static int judge(const call *c, int status, const uint8_t *data, size_t len)
{
    if (status == THI_KEYD_OK && len > 0 && len <= c->request->room) {
        memcpy(c->request->out, data, len);
        return (int)len;
    }
    if (status == THI_KEYD_OK)
        return thi_err_set(TH_EPROTO, "the key process at %s sent a signature of %zu bytes",
                           c->signer->address, len);
    int code = status == THI_KEYD_LIMITED   ? TH_ELIMIT
               : status == THI_KEYD_REFUSED ? -EACCES
                                            : TH_ETLS;
    return thi_err_set(code, "the key process at %s: %.*s", c->signer->address,
                       (int)thi_min(len, (size_t)150), (const char *)data);
}

/* Over one connection, which is kept when it is good. *dead: it did not get so far as to an answer.
 */
static int ask_over(const call *c, th_stream *stream, bool *dead)
{
    const uint8_t *data = NULL;
    size_t len = 0;
    const remote_signer *s = c->signer;
    const thi_keyd_request request = { .kind = THI_KEYD_SIGN,
                                       .name = s->name,
                                       .name_len = strlen(s->name),
                                       .op = (int)c->request->op,
                                       .data = c->request->in,
                                       .len = c->request->len };
    thi_keyd_request full = request;
    memcpy(full.id, s->id, sizeof full.id);
    int status = thi_keyd_exchange(stream, &full, c->buf, &data, &len);
    *dead = status == TH_EOF || status == -EPIPE || status == -ECONNRESET;
    if (status >= 0)
        c->post->pause = 0;
    if (status < 0 || status == THI_KEYD_MALFORMED || c->post->idle_count == IDLE_MAX)
        th_stream_free(stream);
    else
        c->post->idle[c->post->idle_count++] = stream;
    return status < 0 ? status : judge(c, status, data, len);
}

/* One that was kept may be dead since: then the others are as well, and a new one is made. */
static int ask(const call *c)
{
    bool dead = false;
    th_stream *stream = NULL;
    if (c->post->idle_count > 0) {
        int result = ask_over(c, c->post->idle[--c->post->idle_count], &dead);
        if (!dead)
            return result;
        drop_idle(c->post);
    }
    int err = connect_to(c->post, &stream);
    if (err < 0)
        return err;
    int result = ask_over(c, stream, &dead);
    if (dead)
        return thi_err_set(TH_ETLS, "the key process at %s has ended", c->signer->address);
    return result;
}

/* Within a time of its own, whose end is no failure of the caller's scope. */
static int ask_in_time(const call *c)
{
    th_scope scope;
    int err = th_scope_open(&scope, &(th_scope_opts){ .deadline = th_after(ANSWER_TIME) });
    if (err < 0)
        return err;
    int result = ask(c);
    (void)th_scope_close(&scope);
    if (result != -ETIMEDOUT || th_check() < 0)
        return result;
    return note_failure(c->post, TH_ETLS);
}

/* A limit that is reached says nothing about the key process, nor does a caller who is cancelled.
 */
static void tell_log(remote_signer *s, int result)
{
    if (result >= 0) {
        if (TH_UNLIKELY(atomic_load_explicit(&s->failing, memory_order_relaxed)) &&
            atomic_exchange(&s->failing, false))
            thi_log(TH_LOG_INFO, "the key process at %s signs again", s->address);
        return;
    }
    if (result == TH_ELIMIT || result == -ENOMEM || th_check() < 0)
        return;
    if (!atomic_exchange(&s->failing, true))
        thi_log(TH_LOG_WARNING, "handshakes fail: %s", th_err_detail());
}

static int sign(thi_signer *signer, const thi_sign_request *request)
{
    remote_signer *s = thi_container_of(signer, remote_signer, base);
    if (!thi_sched_self())
        return thi_err_set(-EPERM, "a key in a key process can be used in fibers only");
    if (request->len > THI_KEYD_DATA_MAX)
        return thi_err_set(-EINVAL, "too much to sign");
    call c = { .signer = s, .request = request, .post = find_post(s->address) };
    c.buf = c.post ? thi_alloc(THI_KEYD_MAX) : NULL;
    if (!c.buf)
        return thi_err_clear(-ENOMEM);
    int result = ask_in_time(&c);
    thi_free(c.buf);
    tell_log(s, result);
    if (result >= 0)
        thi_metric_add(THI_M_TLS_SIGNED_KEYD, 1);
    return result;
}

static void free_remote(thi_signer *signer)
{
    remote_signer *s = thi_container_of(signer, remote_signer, base);
    thi_free(s->address);
    thi_free(s->name);
    thi_free(s);
}

static const thi_signer_ops ops = { sign, free_remote };

/* ---- making keys ----------------------------------------------------------------------------- */

static const char prefix[] = "keyd:";

bool thi_keyd_is_spec(const char *text)
{
    return strncmp(text, prefix, sizeof prefix - 1) == 0;
}

static int check_address(const char *address)
{
    th_addr addr;
    int err = th_addr_parse(address, &addr);
    if (err == 0 && addr.kind != TH_ADDR_UNIX)
        err = thi_err_set(TH_EADDRESS, "a key process is at a Unix socket, not at %s", address);
    return err;
}

/* A fingerprint must be that of the certificate's key; any other word is a name. */
static int check_which(remote_signer *s, const char *which)
{
    char text[2 * THI_KEYD_ID_SIZE + 1];
    if (strlen(which) > THI_KEYD_ID_SIZE + THI_KEYD_ID_SIZE - 1) {
        if (strcasecmp(which, thi_keyd_id_text(s->id, text)) != 0)
            return thi_err_set(TH_ETLS,
                               "the key %.16s... is not that of the certificate, which is "
                               "%.16s...",
                               which, text);
        which = "";
    }
    s->name = thi_strdup_n(which, strlen(which));
    return s->name ? 0 : thi_err_clear(-ENOMEM);
}

static int fill(remote_signer *s, const char *spec, const EVP_PKEY *public)
{
    const char *address = spec + sizeof prefix - 1;
    const char *hash = strrchr(address, '#');
    size_t len = hash ? (size_t)(hash - address) : strlen(address);
    s->base.ops = &ops;
    s->base.refs = 1;
    s->address = thi_strdup_n(address, len);
    if (!s->address)
        return thi_err_clear(-ENOMEM);
    int err = check_address(s->address);
    if (err == 0)
        err = thi_keyd_id(public, s->id);
    if (err == 0)
        err = check_which(s, hash ? hash + 1 : "");
    return err;
}

int thi_keyd_key(const char *spec, const EVP_PKEY *public, EVP_PKEY **key)
{
    if (!thi_keyd_is_spec(spec))
        return thi_err_set(TH_EADDRESS, "'%s' names no key in a key process", spec);
    remote_signer *s = thi_calloc(1, sizeof *s);
    if (!s)
        return thi_err_clear(-ENOMEM);
    int err = fill(s, spec, public);
    if (err == 0)
        err = thi_signer_key(public, &s->base, key);
    if (err < 0)
        thi_signer_unref(&s->base);
    return err;
}
