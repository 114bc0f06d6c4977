#!/usr/bin/python3
# SPDX-License-Identifier: MIT

"""
Compares Thrum's fibers with a bare assembly switch, Boost.Context and State Threads.

For each case and each round every program runs once, on one CPU, in shuffled order. Times are CPU
time. What is judged is the ratio of two programs within a round, or the value itself. See README.md
beside this file.
"""

import sys

from harness import fiber_cases, programs

if __name__ == "__main__":
    sys.exit(programs.main(__doc__, fiber_cases.SET))
