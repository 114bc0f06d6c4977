/* SPDX-License-Identifier: MIT */

/*
 * The floor under every fiber library: contexts that switch to each other with bare_switch.S.
 *
 * There is no scheduler, no queue and no object: what a library needs beyond this time is the
 * price of its services. Each context hands over to the next one of a ring of two (`switch`) or of
 * a thousand (`ring`, where caches begin to matter).
 *
 * The tops of the stacks lie at different offsets in their pages. With equal ones the saved
 * registers of all contexts would compete for the same few cache sets, and on some processors a
 * load would wait for a store to another stack that agrees in the low twelve address bits.
 */
#include "fiber_peers/peer.h"

#include <stdint.h>

enum {
    RING = 1000,
    COLOUR_STEP = 1088, /* 17 cache lines, so that neighbours fall on different sets */
    COLOUR_RANGE = 8192,
};

/* Implemented in bare_switch.S: stores the present context in *save and continues at `to`. */
void bare_switch(void **save, void *to);

static void *contexts[RING];
static unsigned contexts_used;
static unsigned running;
static void *main_context;
static unsigned long left;

static _Noreturn void hand_over(void)
{
    for (;;) {
        unsigned me = running;
        running = me + 1 == contexts_used ? 0 : me + 1;
        if (left-- == 0)
            bare_switch(&contexts[me], main_context);
        bare_switch(&contexts[me], contexts[running]);
    }
}

/* What bare_switch pops from a stack, lowest address first. */
struct first_frame {
    uint32_t mxcsr;
    uint32_t x87cw;
    uint64_t r15_to_rbp[6];
    void (*entry)(void);
    uint64_t padding; /* rsp at the entry is then 8 above a multiple of 16, as after a call */
};

/* A context that begins with hand_over() on the stack that ends at `top`. */
static void *new_context(char *top)
{
    struct first_frame *frame = (struct first_frame *)(void *)(top - sizeof *frame);

    *frame = (struct first_frame){ .mxcsr = 0x1f80, .x87cw = 0x37f, .entry = hand_over };
    return frame;
}

static int run_ring_of(unsigned contexts_wanted, unsigned long count, struct peer_result *r)
{
    char *stacks = aligned_alloc(4096, (size_t)contexts_wanted * PEER_STACK_SIZE);

    if (stacks == NULL)
        return -1;
    for (unsigned i = 0; i < contexts_wanted; i++) {
        char *top = stacks + (size_t)(i + 1) * PEER_STACK_SIZE;
        contexts[i] = new_context(top - i * COLOUR_STEP % COLOUR_RANGE);
    }
    contexts_used = contexts_wanted;
    running = 0;
    left = count;
    double begin = peer_seconds();
    bare_switch(&main_context, contexts[0]);
    r->value = (peer_seconds() - begin) * 1e9 / (double)count;
    free(stacks);
    return 0;
}

static int run_switch(unsigned long count, struct peer_result *r)
{
    return run_ring_of(2, count, r);
}

static int run_ring(unsigned long count, struct peer_result *r)
{
    return run_ring_of(RING, count, r);
}

int main(int argc, char **argv)
{
    static const struct peer_case cases[] = { { "switch", run_switch },
                                              { "ring", run_ring },
                                              { NULL, NULL } };

    return peer_main(argc, argv, cases);
}
