/* SPDX-License-Identifier: MIT */

/*
 * Commits one mistake, chosen by name, the way a user's fiber would. Each sanitizer must report the
 * ones that are its business; if it stays silent, it does not understand our stacks, and then its
 * silence about everything else is worth nothing.
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <thrum.h>

/* Volatile, so that the compiler neither sees the mistake nor removes it. */
static volatile int past_the_end = 16;
static volatile int largest = 0x7fffffff;
static int counter;
static char *volatile shared;

static int overflow_stack(void *arg)
{
    (void)arg;
    char buf[16] = "";
    shared = buf;
    (void)th_yield();
    shared[past_the_end] = 1;
    return buf[0];
}

static int allocate(void *arg)
{
    (void)arg;
    shared = malloc(16);
    (void)th_yield();
    free(shared);
    return 0;
}

static int use_freed(void *arg)
{
    (void)arg;
    (void)th_yield();
    (void)th_yield();
    shared[0] = 1;
    return 0;
}

static int show_frame(void *arg)
{
    (void)arg;
    char buf[16];
    shared = buf;
    return th_yield();
}

static int add(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++) {
        counter++;
        (void)th_yield();
    }
    return 0;
}

static void *add_in_thread(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++)
        counter++;
    return NULL;
}

static int overflow_integer(void *arg)
{
    (void)arg;
    largest = largest + 1;
    return 0;
}

/* Runs up to two functions as fibers of one scope. */
static int run(th_fiber_fn first, th_fiber_fn second)
{
    th_scope scope;
    int err = th_scope_open(&scope, NULL);
    if (err == 0)
        err = th_spawn(&scope, first, NULL);
    if (err == 0 && second)
        err = th_spawn(&scope, second, NULL);
    int closed = th_scope_close(&scope);
    return err < 0 ? err : closed;
}

static int race(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, add_in_thread, NULL) != 0)
        return -1;
    int err = run(add, NULL);
    pthread_join(thread, NULL);
    return err;
}

static int app(int argc, char **argv)
{
    const char *mistake = argc == 2 ? argv[1] : "";
    if (strcmp(mistake, "overflow") == 0)
        return run(overflow_stack, NULL);
    if (strcmp(mistake, "freed") == 0)
        return run(allocate, use_freed);
    if (strcmp(mistake, "frame") == 0) {
        int err = run(show_frame, NULL);
        shared[0] = 1;
        return err;
    }
    if (strcmp(mistake, "race") == 0)
        return race();
    if (strcmp(mistake, "undefined") == 0)
        return run(overflow_integer, NULL);
    return strcmp(mistake, "none") == 0 ? run(add, add) : 2;
}

int main(int argc, char **argv)
{
    int status = th_main(app, argc, argv, &(th_run_opts){ .workers = 1 });
    puts("went on");
    return status;
}
