# SPDX-License-Identifier: MIT

"""The programs and cases of the sync and pool benchmark, and what is asked of Thrum in each."""

from harness.evaluate import Row, Target
from harness.programs import Case, Set

# name -> program in the build directory
PROGRAMS = {
    "thrum": "micro_sync",
    "bare": "sync_bare",
    "go": "sync_go",
    "boost.fiber": "sync_boost",
    "state-threads": "sync_st",
    "pthread": "sync_pthread",
    "libuv": "sync_libuv",
}

TWO = {"cpus": 2}


def _case(name, title, count, programs, *targets, **more):
    return Case(Row(name, title, "ns", targets=targets, digits=1), count,
                max(count // 10, 1000), ("thrum", *programs), **more)


def _most(bound, *peers, above=False):
    return Target(bound, peers, at_least=False, above=above)


ALL = (
    _case("queue", "An item from one fiber to another by a queue, one worker, one way", 5_000_000,
          ("go", "boost.fiber", "state-threads"), _most(20)),
    _case("queue-2w", "The same between two workers", 200_000,
          ("go", "boost.fiber", "pthread"), **TWO),
    _case("fifo", "An item into a queue and out of it, nobody waits", 20_000_000,
          ("go", "boost.fiber")),
    _case("lifo", "The same, last in, first out", 20_000_000, ()),
    _case("priority", "The same by priority, 64 items in it", 5_000_000, ()),
    _case("select-2", "An item from one of 2 queues, and its answer", 2_000_000, ("go",)),
    _case("select-20", "The same of 20 queues", 500_000, ("go",)),
    _case("mutex", "A mutex that nobody else wants, locked and unlocked", 20_000_000,
          ("bare", "go", "boost.fiber", "state-threads", "pthread"),
          _most(5, "bare", above=True)),
    _case("mutex-8", "A mutex that 8 fibers want, held over a yield, one worker", 2_000_000,
          ("go", "boost.fiber", "pthread")),
    _case("mutex-8-2w", "The same, two workers", 200_000, ("go", "pthread"), **TWO),
    _case("cond", "Two fibers alternate by a mutex and conditions", 3_000_000,
          ("go", "boost.fiber", "state-threads", "pthread")),
    _case("sem", "A unit of a semaphore, taken and given back", 20_000_000, ("go", "pthread")),
    _case("event", "Two fibers set each other's event, one way", 5_000_000, ("state-threads",)),
    _case("waitgroup", "A fiber that a group waits for, 8 at a time", 2_000_000, ("go",)),
    _case("pool-job", "A job of a thread pool, nobody asks for its result", 400_000,
          ("go", "libuv", "pthread"), _most(120), **TWO),
    _case("pool-future", "The same with a future", 400_000, ("go", "libuv", "pthread"), **TWO),
    _case("pool-fiber", "The same, each awaited by a fiber", 200_000, ("go", "libuv"), **TWO),
    _case("pool-trip", "A job and its answer, from a thread", 20_000,
          ("go", "libuv", "pthread"), _most(1, "pthread"), **TWO),
    _case("pool-trip-fiber", "The same from a fiber", 20_000, ("go", "libuv", "pthread"),
          _most(1, "pthread"), **TWO),
)

SET = Set("sync", ALL, PROGRAMS)
