/* SPDX-License-Identifier: MIT */

/*
 * Taking a PROXY header off a connection.
 *
 * Nothing behind the header may be taken: it is the client's. So what is there is looked at first
 * (MSG_PEEK), the parser says how much of it is the header, and so much is taken. Bytes of an
 * incomplete header are taken as well, all of them: a level-triggered engine would otherwise report
 * them again and again while the rest is on its way.
 */
#include "net/proxy_reader.h"

#include "base/util.h"
#include "sys/sys.h"

#include <thrum/error.h>

#include <errno.h>

static void finish(thi_proxy_reader *r, int result, const thi_proxy_header *header,
                   const char *reason)
{
    thi_proxy_reader_stop(r);
    r->done(r, result, header, reason);
}

static void on_timer(thi_timer *timer)
{
    thi_proxy_reader *r = thi_container_of(timer, thi_proxy_reader, timer);
    finish(r, -ETIMEDOUT, NULL, "the PROXY header did not come in time");
}

/* What is there now; -EAGAIN when that is not all of the header. Positive: the header's length. */
static ssize_t take(thi_proxy_reader *r, thi_proxy_header *header, const char **reason)
{
    for (;;) {
        char *at = r->buf + r->len;
        ssize_t n = thi_sys_recv(r->watch.fd, at, sizeof r->buf - r->len, MSG_PEEK);
        if (n <= 0)
            return n == 0 ? TH_EOF : n;
        ssize_t parsed = thi_proxy_parse(r->buf, r->len + (size_t)n, header, reason);
        if (parsed < 0)
            return parsed;
        size_t own = parsed > 0 ? (size_t)parsed - r->len : (size_t)n;
        n = thi_sys_recv(r->watch.fd, at, own, 0);
        if (n <= 0)
            return n == 0 ? TH_EOF : n;
        r->len += (size_t)n;
        if (parsed > 0 && (size_t)n == own)
            return parsed;
    }
}

static void on_readable(thi_watch *watch, unsigned events)
{
    thi_proxy_reader *r = thi_container_of(watch, thi_proxy_reader, watch);
    thi_proxy_header header;
    const char *reason = "the connection broke before its PROXY header";
    if (!(events & THI_READ))
        return;
    ssize_t n = take(r, &header, &reason);
    if (n == -EAGAIN) {
        watch->ready &= (uint8_t)~THI_READ;
        n = thi_loop_want(r->loop, watch, THI_READ);
        if (n == 0)
            return;
    }
    finish(r, n > 0 ? 0 : (int)n, n > 0 ? &header : NULL, reason);
}

int thi_proxy_reader_start(thi_proxy_reader *r, thi_loop *loop, int fd, int64_t due)
{
    r->loop = loop;
    r->len = 0;
    int err = thi_loop_watch(loop, &r->watch, fd, 0, on_readable);
    if (err < 0)
        return err;
    err = thi_loop_want(loop, &r->watch, THI_READ);
    if (err < 0) {
        thi_loop_unwatch(loop, &r->watch);
        return err;
    }
    thi_timer_init(&r->timer, on_timer);
    thi_loop_timer(loop, &r->timer, due);
    return 0;
}

void thi_proxy_reader_stop(thi_proxy_reader *r)
{
    thi_timer_cancel(&r->loop->timers, &r->timer);
    thi_loop_unwatch(r->loop, &r->watch);
}
