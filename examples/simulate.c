/* SPDX-License-Identifier: MIT */

/*
 * A service and its client in simulations, from friendly to hostile, by the seeds 1 to 200.
 *
 * `simulate` runs them all; `simulate SEED` runs one and prints every event of it.
 */
#include <thrum.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the service: upper case for every byte ---- */

static int shout(th_stream *stream, void *arg)
{
    char buf[64];
    ssize_t n;
    (void)arg;
    while ((n = th_stream_read(stream, buf, sizeof buf)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            if (buf[i] >= 'a' && buf[i] <= 'z')
                buf[i] = (char)(buf[i] - 'a' + 'A');
        if ((n = th_stream_write(stream, buf, (size_t)n)) < 0)
            break;
    }
    return (int)n;
}

static int serve(void *arg)
{
    th_listener *listener = arg;
    return th_serve_on(&listener, 1, shout, NULL, NULL);
}

/* ---- the client: what it asks, and what must come back ---- */

static int ask(const char *address)
{
    th_stream *stream;
    char answer[6] = "";
    int err = th_dial(address, NULL, &stream);
    if (err < 0)
        return err;
    ssize_t n = th_stream_write(stream, "hello", 5);
    if (n > 0)
        n = th_stream_read_all(stream, answer, 5);
    th_stream_free(stream);
    if (n > 0 && strcmp(answer, "HELLO") != 0) {
        printf("wrong answer: %s\n", answer);
        return TH_EPROTO;
    }
    return n < 0 ? (int)n : 0;
}

/* Under faults a client fails now and then; what it gets must be right, and in the end it succeeds.
 */
static int ask_until_it_works(const char *address)
{
    int err;
    do {
        th_scope patient;
        err = th_scope_open(&patient, &(th_scope_opts){ .deadline = th_after(TH_SECOND) });
        if (err < 0)
            return err;
        err = ask(address);
        th_scope_close(&patient);
    } while (err < 0 && err != TH_EPROTO && th_sleep(TH_SECOND) == 0);
    return err;
}

static int scenario(void *arg)
{
    (void)arg;
    th_listener *listener;
    th_addr addr;
    char address[TH_ADDR_TEXT];
    th_scope serving;
    int err = th_listen("127.0.0.1:0", NULL, &listener);
    if (err < 0)
        return err;
    th_listener_addr(listener, &addr);
    th_addr_format(&addr, address, sizeof address);
    err = th_scope_open(&serving, &(th_scope_opts){ .cancel_rest = 1 }); /* no server, no client */
    if (err == 0)
        err = th_spawn(&serving, serve, listener);
    for (int i = 0; i < 5 && err == 0; i++)
        err = ask_until_it_works(address);
    th_scope_cancel(&serving, 0);
    (void)th_scope_close(&serving);
    th_listener_close(listener);
    return err;
}

/* ---- the worlds ---- */

static void print(void *arg, const char *line)
{
    (void)arg;
    puts(line);
}

static int simulate(uint64_t seed, uint64_t cancel_at, int verbose)
{
    th_sim_result result;
    th_sim_opts opts = { .seed = seed,
                         .workers = 1 + (unsigned)(seed % 3),
                         .cancel_at = cancel_at };
    opts.fault_until = TH_MINUTE; /* then everything has to work */
    opts.faults[TH_SIM_RESET].per_million = 20000;
    opts.faults[TH_SIM_REFUSE].per_million = 50000;
    opts.faults[TH_SIM_SHORT_READ].per_million = 200000;
    opts.faults[TH_SIM_DELAY].per_million = 50000;
    if (verbose)
        opts.trace = print;
    int err = th_sim_run(scenario, NULL, &opts, &result);
    if (err < 0 || result.open_descriptors > 0 || result.live_allocations > 0)
        printf("seed %llu: %s %s\n", (unsigned long long)seed, th_errname(err), th_err_detail());
    if (cancel_at > 0)
        printf("%llu waits; left: %zu descriptors, %lld allocations\n",
               (unsigned long long)result.waits, result.open_descriptors,
               (long long)result.live_allocations);
    return err;
}

int main(int argc, char **argv)
{
    if (argc > 2) /* cancelled at the wait of that number: it may fail, but leaves nothing behind */
        return simulate(strtoull(argv[1], NULL, 0), strtoull(argv[2], NULL, 0), 0) < 0;
    if (argc > 1)
        return simulate(strtoull(argv[1], NULL, 0), 0, 1) < 0;
    for (uint64_t seed = 1; seed <= 200; seed++)
        if (simulate(seed, 0, 0) < 0)
            return 1;
    puts("200 worlds, all answers right");
    return 0;
}
