#!/usr/bin/python3
# SPDX-License-Identifier: MIT

"""
Compares Thrum with other servers on this machine, side by side in one run.

See harness/comparison.py for how, and README.md beside this file.
"""

import sys

from harness import comparison, sample, scenarios, servers


def samples(scenario, server, number, found):
    """One for each time that a server was loaded."""
    yield {"scenario": scenario.row.name, "subject": server.name, "round": number, **found}


HTTP = comparison.Comparison(
    program="run.py", kind="http", servers=servers.all_servers, cases=scenarios.ALL,
    rows=scenarios.ROWS, take=sample.take, samples=samples, loads=("load",))

if __name__ == "__main__":
    sys.exit(comparison.run(HTTP, __doc__))
