# SPDX-License-Identifier: MIT

"""The programs and cases of the fiber benchmark, and what is asked of Thrum in each."""

from harness.evaluate import Row, Target
from harness.programs import Case, Set

# name -> program in the build directory
PROGRAMS = {
    "thrum": "fiber_thrum",
    "bare": "fiber_bare",
    "boost.context": "fiber_boost",
    "state-threads": "fiber_st",
}

ALL = (
    Case(Row("switch", "Switch from one fiber to another, one way, two fibers", "ns",
             targets=(Target(2.5, ("bare",), at_least=False),), digits=1),
         20_000_000, 2_000_000, tuple(PROGRAMS)),
    Case(Row("ring", "The same in turn among 1,000 fibers", "ns", digits=1),
         10_000_000, 1_000_000, tuple(PROGRAMS)),
    Case(Row("spawn", "Start a fiber that does nothing and wait for its end", "ns",
             targets=(Target(34, at_least=False),), digits=1),
         3_000_000, 300_000, ("thrum", "boost.context", "state-threads")),
    Case(Row("join", "The same through a handle, with the fiber's result", "ns", digits=1),
         3_000_000, 300_000, ("thrum",)),
    Case(Row("parked", "Memory of a fiber that waits, 100,000 of them", "bytes",
             targets=(Target(4608, at_least=False),),
             columns=(("CPU seconds", "seconds", 1, 2),)),
         100_000, 20_000, ("thrum", "boost.context", "state-threads")),
    Case(Row("million", "1,000,000 fibers wait, each is woken once and ends", "fibers",
             targets=(Target(1_000_000),), compare=False,
             columns=(("CPU seconds", "seconds", 1, 2), ("bytes each", "bytes", 1, 0))),
         1_000_000, 1_000_000, ("thrum", "boost.context", "state-threads"), rounds=1, partial=True),
)

SET = Set("fibers", ALL, PROGRAMS)
