/* SPDX-License-Identifier: MIT */

/*
 * What foreign_glib.c, foreign_libuv.c and foreign_libevent.c have in common: two fibers that talk
 * to each other through pipes until a timer of the other library has ticked for the last time.
 */
#ifndef FOREIGN_H
#define FOREIGN_H

#include <thrum.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TICKS   5
#define TICK_MS 10

static th_event ticked_out = TH_EVENT_INIT;
static int ticks;
static int answers;

/* For the timer of the other library: whether that was the last one. Fibers are woken from outside
 * of any, as a plain thread would do it. */
static inline int tick(void)
{
    if (++ticks < TICKS)
        return 0;
    th_event_set(&ticked_out);
    return 1;
}

/* The ends of two pipes: questions and answers. */
typedef struct pipes {
    th_stream *ask_from;
    th_stream *ask_to;
    th_stream *answer_from;
    th_stream *answer_to;
} pipes;

static inline int answer(void *arg)
{
    pipes *p = arg;
    char word[4];
    ssize_t n;
    while ((n = th_stream_read_all(p->ask_from, word, sizeof word)) > 0) {
        n = th_stream_write(p->answer_to, word, sizeof word);
        if (n < 0)
            return (int)n;
    }
    return n == TH_EOF ? 0 : (int)n;
}

static inline int ask(void *arg)
{
    pipes *p = arg;
    char word[4];
    while (!th_event_is_set(&ticked_out)) {
        ssize_t n = th_stream_write(p->ask_to, "warp", 4);
        if (n >= 0)
            n = th_stream_read_all(p->answer_from, word, sizeof word);
        if (n < 0)
            return (int)n;
        if (memcmp(word, "warp", 4) != 0)
            return TH_EPROTO;
        answers++;
        int err = th_sleep(TH_MILLISECOND);
        if (err < 0)
            return err;
    }
    return th_stream_shutdown(p->ask_to);
}

static inline int talk_through(pipes *p)
{
    th_scope scope;
    int err = th_scope_open(&scope, &(th_scope_opts){ .cancel_rest = 1 });
    if (err < 0)
        return err;
    err = th_spawn(&scope, answer, p);
    if (err == 0)
        err = th_spawn(&scope, ask, p);
    int closed = th_scope_close(&scope);
    return err < 0 ? err : closed;
}

/* The main fiber, or a part of it. */
static inline int talk(void *arg)
{
    pipes p = { NULL, NULL, NULL, NULL };
    (void)arg;
    int err = th_pipe(&p.ask_from, &p.ask_to);
    if (err == 0)
        err = th_pipe(&p.answer_from, &p.answer_to);
    if (err == 0)
        err = talk_through(&p);
    th_stream_free(p.ask_from);
    th_stream_free(p.ask_to);
    th_stream_free(p.answer_from);
    th_stream_free(p.answer_to);
    return err;
}

/* A fiber runs the other library's loop while others talk. */
static inline int talk_beside(th_fiber_fn run_loop, void *loop)
{
    th_scope scope;
    int err = th_scope_open(&scope, &(th_scope_opts){ .cancel_rest = 1 });
    if (err < 0)
        return err;
    err = th_spawn(&scope, run_loop, loop);
    if (err == 0)
        err = talk(NULL);
    int closed = th_scope_close(&scope);
    return err < 0 ? err : closed;
}

/* The whole program: either way round, and what became of it. */
static inline int foreign_main(int argc, char **argv, const char *library, int (*hosted)(void),
                               th_fiber_fn hosting)
{
    int err = -EINVAL;
    if (argc == 2 && strcmp(argv[1], "hosted") == 0)
        err = hosted();
    else if (argc == 2 && strcmp(argv[1], "hosting") == 0)
        err = th_run(hosting, NULL, &(th_run_opts){ .workers = 1 });
    if (err == -EINVAL) {
        fprintf(stderr, "usage: %s hosted | hosting\n", argc > 0 ? argv[0] : "foreign");
        return 2;
    }
    if (err < 0) {
        fprintf(stderr, "%s: %s\n", argv[0], th_strerror(err));
        return 1;
    }
    printf("%d ticks of %s, %s answers of fibers\n", ticks, library,
           answers > TICKS ? "many" : "few");
    return 0;
}

#endif
