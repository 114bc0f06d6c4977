#!/usr/bin/python3
# SPDX-License-Identifier: MIT

"""
Compares Thrum's sync objects and thread pool with those of Go, Boost.Fiber, State Threads, POSIX
and libuv.

For each case and each round every program runs once, in shuffled order: on one CPU in CPU time, or
on two by the wall clock. What is judged is the ratio of two programs within a round, their
difference, or the value itself. See README.md beside this file.
"""

import sys

from harness import programs, sync_cases

if __name__ == "__main__":
    sys.exit(programs.main(__doc__, sync_cases.SET))
