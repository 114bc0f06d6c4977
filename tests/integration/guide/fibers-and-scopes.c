/* SPDX-License-Identifier: MIT */

/* Runs the fragments of docs/guide/fibers-and-scopes.md, in a simulation, where seconds take no
 * time.
 */
#include <thrum.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            return -EINVAL;                                                                        \
        }                                                                                          \
    } while (0)

/* ---- every.inc ---- */

static int ticks;

static void tick(int i)
{
    ticks += i + 1;
}

static int test_every(void)
{
    const int times = 2;
    int err = 0;
    int64_t start = th_now();
#include "every.inc"
    CHECK(err == 0 && ticks == 3 && th_now() - start >= 2 * TH_SECOND);
    return 0;
}

/* ---- deadline.inc ---- */

static int fetch(const char *address)
{
    (void)address;
    return th_sleep(TH_HOUR);
}

static int fetch_in_time(void)
{
#include "deadline.inc"
}

/* ---- cancel.inc ---- */

#include "cancel.inc"

static int test_cancel(void)
{
    th_scope scope;
    CHECK(th_scope_open(&scope, NULL) == 0);
    CHECK(th_spawn(&scope, wait_for_news, &scope) == 0);
    CHECK(th_sleep(TH_HOUR) == -ECANCELED && th_sleep(TH_HOUR) == -ECANCELED);
    CHECK(th_check() == -ECANCELED && th_scope_reason(&scope) == -ENODATA);
    CHECK(th_scope_close(&scope) == 0);
    return 0;
}

/* ---- shielded.inc ---- */

#include "shielded.inc"

static int say(th_stream *stream, void *arg)
{
    char said[6];
    ssize_t n = th_stream_read_all(stream, said, sizeof said);
    *(int *)arg = n == 6 && memcmp(said, "QUIT\r\n", 6) == 0;
    return th_scope_cancel(th_scope_root(), 0);
}

static int serve(void *arg)
{
    static int heard;
    th_listener *listener = arg;
    int err = th_serve_on(&listener, 1, say, &heard, NULL);
    th_listener_close(listener);
    CHECK(err == -ECANCELED && heard);
    return 0;
}

static int test_shield(void)
{
    th_listener *listener;
    th_stream *stream;
    th_addr addr;
    char address[TH_ADDR_TEXT];
    th_scope scope;
    CHECK(th_listen("127.0.0.1:0", NULL, &listener) == 0);
    th_listener_addr(listener, &addr);
    CHECK(th_spawn(th_scope_root(), serve, listener) == 0);
    CHECK(th_scope_open(&scope, NULL) == 0);
    CHECK(th_dial(th_addr_format(&addr, address, sizeof address), NULL, &stream) == 0);
    th_scope_cancel(&scope, 0);
    CHECK(th_sleep(1) == -ECANCELED);
    CHECK(talk(stream) == -ECANCELED);
    th_stream_free(stream);
    th_scope_close(&scope);
    CHECK(th_sleep(TH_HOUR) == -ECANCELED); /* until it was heard */
    return 0;
}

/* ---- cancel_rest.inc ---- */

typedef struct task {
    int64_t needs;
    int result;
} task;

static int do_task(void *arg)
{
    const task *t = arg;
    int err = th_sleep(t->needs);
    return err < 0 ? err : t->result;
}

#include "cancel_rest.inc"

static int test_cancel_rest(void)
{
    task fails = { .needs = TH_MILLISECOND, .result = -EBADMSG };
    task lasts = { .needs = TH_HOUR };
    CHECK(both(&lasts, &fails) == -EBADMSG);
    return 0;
}

/* ---- join.inc ---- */

static int add_up(void *arg)
{
    const int *numbers = arg;
    CHECK(strcmp(th_fiber_name(th_fiber_self()), "adder") == 0);
    return numbers[0] + numbers[1];
}

static int test_join(void)
{
    int numbers[] = { 20, 22 };
    th_scope scope;
    int err = th_scope_open(&scope, NULL);
    CHECK(err == 0);
#include "join.inc"
    CHECK(err == 0 && sum == 42);
    return th_scope_close(&scope);
}

/* ---- later.inc ---- */

typedef struct user {
    bool has_answered;
    bool reminded;
} user;

static int remind(void *arg)
{
    ((user *)arg)->reminded = true;
    return 0;
}

static int call_user(user user)
{
    th_scope scope;
    int closed = th_scope_open(&scope, NULL);
    CHECK(closed == 0);
#include "later.inc"
    CHECK(err == 0 && th_scope_children(&scope) == 1);
    if (!user.has_answered)
        (void)th_scope_cancel(&scope, 0);
    closed = th_scope_close(&scope);
    CHECK(!user.reminded);
    return closed;
}

static int test_later(void)
{
    CHECK(call_user((user){ .has_answered = false }) == -ECANCELED);
    return call_user((user){ .has_answered = true });
}

/* ---- local.inc ---- */

#include "local.inc"

static int has_its_own(void *arg)
{
    CHECK(strcmp(get_request_id(), "-") == 0);
    CHECK(set_request_id(arg) == 0);
    CHECK(strcmp(get_request_id(), arg) == 0);
    return 0;
}

static int test_local(void)
{
    th_scope scope;
    char id[] = "7";
    CHECK(set_request_id("1") == 0);
    int err = th_scope_open(&scope, NULL);
    CHECK(err == 0);
    CHECK(th_spawn(&scope, has_its_own, id) == 0);
    err = th_scope_close(&scope);
    CHECK(strcmp(get_request_id(), "1") == 0);
    return err;
}

/* ---- limit.inc ---- */

static int running;
static int most;

static int fetch_one(void *arg)
{
    running++;
    most = running > most ? running : most;
    *(int *)arg = 1;
    int err = th_sleep(TH_MILLISECOND);
    running--;
    return err;
}

static int fetch_all(int *jobs, size_t count)
{
#include "limit.inc"
}

static int test_limit(void)
{
    int jobs[25] = { 0 };
    CHECK(fetch_all(jobs, 25) == 0 && most == 10 && jobs[24] == 1);
    return 0;
}

/* ---- spread.inc ---- */

static int crunch(void *arg)
{
    *(uint64_t *)arg = 1;
    return 0;
}

static int test_spread(void)
{
    const size_t count = 8;
    uint64_t parts[8] = { 0 };
    th_scope scope;
    int err = th_scope_open(&scope, NULL);
    CHECK(err == 0);
#include "spread.inc"
    CHECK(err == 0 && th_scope_wait(&scope) == 0 && th_scope_children(&scope) == 0);
    CHECK(parts[0] && parts[7]);
    return th_scope_close(&scope);
}

/* ---- run.inc ---- */

static int work(void *arg)
{
    const int *numbers = arg;
    return numbers[0] + numbers[1];
}

static int test_run(void)
{
    int numbers[] = { 1, 2 };
#include "run.inc"
    CHECK(err == 3);
    return 0;
}

/* ---- move.inc ---- */

static int read_record(int number)
{
    return th_sleep(number < 3 ? 400 * TH_MILLISECOND : TH_SECOND);
}

static int read_records(int records)
{
    th_scope scope;
    int err = th_scope_open(&scope, NULL);
    CHECK(err == 0);
#include "move.inc"
    th_scope_close(&scope);
    return err;
}

/* ---- group_race.inc ---- */

static int ask_mirror(void *arg)
{
    const task *t = arg;
    return do_task((void *)(uintptr_t)t);
}

static const task *fastest;

static void remember(const task *mirror)
{
    fastest = mirror;
}

static int ask_all(void)
{
    static task mirrors[] = { { TH_SECOND, -EIO }, { 3 * TH_SECOND, 3 }, { 2 * TH_SECOND, 2 } };
#include "group_race.inc"
}

/* ---- map.inc ---- */

static int square(size_t i, void *arg)
{
    (void)arg;
    return (int)(i * i);
}

static int next_line(void **item, void *arg)
{
    const char ***at = arg;
    *item = (void *)(uintptr_t) * (*at)++;
    return *item ? 0 : TH_EOF;
}

static int shout(void *item, void *arg)
{
    (void)arg;
    return th_sleep((int64_t)strlen(item));
}

static int print_line(void *item, int result, void *arg)
{
    (void)arg;
    static const char *const expected[] = { "one", "two", "three" };
    static int n;
    CHECK(result == 0 && strcmp(item, expected[n++]) == 0);
    return 0;
}

static int map_both(void)
{
    static const char *lines_of_text[] = { "one", "two", "three", NULL };
    const char **text = lines_of_text;
    int err;
#include "map.inc"
}

static int all(void *arg)
{
    (void)arg;
    CHECK(test_every() == 0);
    CHECK(fetch_in_time() == -ETIMEDOUT);
    CHECK(test_cancel() == 0);
    CHECK(test_cancel_rest() == 0);
    CHECK(test_join() == 0);
    CHECK(test_later() == 0);
    CHECK(test_local() == 0);
    CHECK(test_limit() == 0);
    CHECK(test_spread() == 0);
    CHECK(read_records(3) == 0 && read_records(4) == -ETIMEDOUT);
    CHECK(ask_all() == 2 && fastest->result == 2);
    CHECK(map_both() == 0);
    return test_shield();
}

int main(void)
{
    if (test_run() < 0)
        return 1;
    return th_sim_run(all, NULL, &(th_sim_opts){ .seed = 1, .workers = 2 }, NULL) < 0;
}
