/* SPDX-License-Identifier: MIT */

/* libuv has no primitives for what runs on its loop; its pool is compared. */
#include "pool_peers/case.h"

static int run_job(unsigned long count, struct peer_result *r)
{
    return pool_measure(&pool_peer_libuv, 0, count, r);
}

static int run_trip(unsigned long count, struct peer_result *r)
{
    return pool_measure(&pool_peer_libuv, 1, count, r);
}

int main(int argc, char **argv)
{
    static const struct peer_case cases[] = {
        { "pool-job", run_job },
        { "pool-future", run_job }, /* there is but one way, with an answer to each job */
        { "pool-fiber", run_job },
        { "pool-trip", run_trip },
        { "pool-trip-fiber", run_trip },
        { NULL, NULL },
    };

    return peer_main(argc, argv, cases);
}
