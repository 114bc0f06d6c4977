/* SPDX-License-Identifier: MIT */

/* In the place of libuv, where it is not installed. */
#include "pool_peers/peers.h"

static bool start(unsigned threads)
{
    (void)threads;
    return false;
}

const pool_peer pool_peer_libuv = { .name = "libuv", .start = start };
