#!/usr/bin/python3
# SPDX-License-Identifier: MIT

"""Renders results of run.py, tls.py, fibers.py and sync.py as Markdown."""

import argparse
import json
import pathlib
import sys

from harness import evaluate, fiber_cases, scenarios, sync_cases, tls_cases

KINDS = {
    "http": ("Servers", scenarios.ROWS, "bench/run.py"),
    "tls": ("TLS", tls_cases.ROWS, "bench/tls.py"),
    "fibers": ("Fibers", fiber_cases.SET.rows(), "bench/fibers.py"),
    "sync": ("Sync objects and thread pools", sync_cases.SET.rows(), "bench/sync.py"),
}


def render(result):
    """One result as a chapter."""
    title, rows, command = KINDS[result["kind"]]
    m = result["machine"]
    s = result["settings"]
    parts = [f"## {title}",
             f"Measured by `{command}` on {m['date']}: {m['cpu']}, {m['cpus']} CPUs, "
             f"{m['memory_gib']} GiB, {m['system']}, Linux {m['kernel']}; "
             + ", ".join(f"{name} {value:g}" for name, value in s.items()) + "."]
    if result["versions"]:
        parts.append("Versions: " + "; ".join(f"{name}: {v}" for name, v
                                              in result["versions"].items()) + ".")
    parts.append(evaluate.report(result, rows, "thrum", markdown=True))
    return "\n\n".join(parts)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("result", nargs="+", type=pathlib.Path, help="JSON file of one of them")
    a = p.parse_args()
    print("\n\n".join(render(json.loads(path.read_text())) for path in a.result))


if __name__ == "__main__":
    sys.exit(main())
