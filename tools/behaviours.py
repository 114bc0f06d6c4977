#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Holds docs/behaviours.md: every row has tests that exist, or says why not.

A row is `| number | behaviour | where |`. Where names tests as `layer/module:name`, or opens a
reason with **Differs**, **None** or **Open**. Numbers count up within a section.

Usage: behaviours.py [--open] [ROOT]       --open lists the rows that are open
"""
import functools
import pathlib
import re
import sys

from csource import ROOT

ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.+?) \|$")
TEST = re.compile(r"`(\w+)/(\w+):(\w+)`")
REASON = re.compile(r"\*\*(Differs|None|Open)\*\*: \S")
DEFINED = re.compile(r"^(?:def |[A-Z_]+\((?:\w+,\s*)?)(\w+)[(),]", re.M)


def file_of(root, layer, module):
    if layer == "integration":
        return root / "tests" / "integration" / f"test_{module}.py"
    if layer in ("sim", "stress"):
        return root / "tests" / layer / f"{layer}_{module}.c"
    return root / "tests" / "unit" / layer / f"test_{module}.c"


@functools.cache
def tests_in(path):
    """The names that a file defines as tests; empty when there is no file."""
    return set(DEFINED.findall(path.read_text())) if path.exists() else set()


def check_row(root, where):
    tests = TEST.findall(where)
    for layer, module, name in tests:
        if name not in tests_in(file_of(root, layer, module)):
            yield f"there is no {layer}/{module}:{name}"
    if not tests and not REASON.search(where):
        yield "neither a test nor a reason"


def main():
    words = [word for word in sys.argv[1:] if word != "--open"]
    root = pathlib.Path(words[0]).resolve() if words else ROOT
    page = root / "docs" / "behaviours.md"
    failed = False
    last, section = 0, ""
    for number, line in enumerate(page.read_text().split("\n") if page.exists() else [], 1):
        if line.startswith("## "):
            last, section = 0, line[3:]
        if not line.startswith("|") or line.startswith(("| # |", "| ---")):
            continue
        row = ROW.match(line)
        problems = list(check_row(root, row[3])) if row else ["is no row"]
        if row and int(row[1]) <= last:
            problems.append(f"{row[1]} is out of order")
        last = int(row[1]) if row else last
        for problem in problems:
            print(f"{page.relative_to(root)}:{number}: {problem}")
            failed = True
        if row and "--open" in sys.argv and "**Open**" in row[3]:
            print(f"{section}: {row[1]}: {row[2]}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
