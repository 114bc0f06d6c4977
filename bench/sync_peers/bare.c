/* SPDX-License-Identifier: MIT */

/* The floor under a mutex: one atomic exchange, and one store that gives back. */
#include "fiber_peers/peer.h"

#include <stdatomic.h>

static int run_mutex(unsigned long count, struct peer_result *r)
{
    static atomic_uint word;
    unsigned before = 0;
    double begin = peer_seconds();

    for (unsigned long i = 0; i < count; i++) {
        before |= atomic_exchange_explicit(&word, 1, memory_order_acquire);
        atomic_store_explicit(&word, 0, memory_order_release);
    }
    r->value = (peer_seconds() - begin) * 1e9 / (double)count;
    return before == 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
    static const struct peer_case cases[] = { { "mutex", run_mutex }, { NULL, NULL } };

    return peer_main(argc, argv, cases);
}
