/* SPDX-License-Identifier: MIT */

/* Runs the fragments of docs/guide/streams-and-servers.md, in a simulation. */
#include <thrum.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            return -EINVAL;                                                                        \
        }                                                                                          \
    } while (0)

#include "message.inc"
#include "within.inc"

/* Sends each message back, which stands for the page's other servers, too. */
static int shout(th_stream *stream, void *arg)
{
    char buf[32];
    th_str text;
    int err;
    (void)arg;
    while ((err = receive_message(stream, buf, sizeof buf, &text)) == 0)
        if ((err = send_message(stream, text)) < 0)
            break;
    return err;
}

#include "listeners.inc"

static int serve(void *arg)
{
    (void)arg;
    return serve_both();
}

static int talk(th_stream *stream)
{
    char buf[32];
    th_str text;
    char byte;
    CHECK(send_message(stream, TH_STR("warp")) == 0);
    CHECK(receive_message(stream, buf, sizeof buf, &text) == 0);
    CHECK(th_str_eq(text, TH_STR("warp")));
    CHECK(send_message(stream, TH_STR("")) == 0);
    CHECK(receive_message(stream, buf, sizeof buf, &text) == 0 && text.len == 0);
    CHECK(read_within(TH_MINUTE, stream, &byte, 1) == -ETIMEDOUT);
    CHECK(send_message(stream, TH_STR("12345678901234567890123456789012+")) == 0);
    CHECK(read_within(TH_MINUTE, stream, &byte, 1) < 0); /* too long for the other side */
    return 0;
}

static int app(void *arg)
{
    th_stream *stream;
    (void)arg;
    CHECK(th_spawn(th_scope_root(), serve, NULL) == 0);
    th_yield();
    CHECK(th_dial("unix:shout.sock", NULL, &stream) == 0);
    int err = talk(stream);
    th_stream_free(stream);
    th_stop();
    return err;
}

int main(void)
{
    th_sim_result result;
    int err = th_sim_run(app, NULL, &(th_sim_opts){ .seed = 1, .workers = 2 }, &result);
    if (err < 0 || result.open_descriptors > 0)
        printf("%s %s, %zu descriptors open\n", th_errname(err), th_err_detail(),
               result.open_descriptors);
    return err < 0;
}
