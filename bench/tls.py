#!/usr/bin/python3
# SPDX-License-Identifier: MIT

"""
Compares Thrum's TLS with that of nginx, HAProxy, h2o and Go, side by side in one run.

See harness/comparison.py for how, and README.md beside this file.
"""

import sys

from harness import comparison, tls_cases, tls_servers

TLS = comparison.Comparison(
    program="tls.py", kind="tls", servers=tls_servers.all_servers, cases=tls_cases.MEASURED,
    rows=tls_cases.ROWS, take=tls_cases.take, samples=tls_cases.samples_of,
    loads=("load", "tls_load"))

if __name__ == "__main__":
    sys.exit(comparison.run(TLS, __doc__))
