#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Holds sizes: files of src/, thrum/ and include/ up to 800 lines, functions up to 60.

tools/sizes.allow names the exceptions, one a line: `path:function limit reason`, or `path limit
reason` for a file. An exception that is no longer needed is an error too.

Usage: sizes.py [ROOT]
"""
import pathlib
import sys

from csource import ROOT, functions

MAX_FILE = 800
MAX_FUNCTION = 60


def read_allowed(path):
    """Returns {name: limit}, and the errors found."""
    allowed, errors = {}, []
    lines = path.read_text().split("\n") if path.exists() else []
    for number, line in enumerate(lines, 1):
        words = line.split(None, 2)
        if not words or line.startswith("#"):
            continue
        if len(words) < 3 or not words[1].isdigit():
            errors.append(f"{path.name}:{number}: say `name limit reason`")
        else:
            allowed[words[0]] = int(words[1])
    return allowed, errors


def main():
    root = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT
    allowed, errors = read_allowed(root / "tools" / "sizes.allow")
    needed = set()

    def hold(name, where, size, limit):
        if size <= limit:
            return
        needed.add(name)
        limit = allowed.get(name, limit)
        if size > limit:
            errors.append(f"{where}: {name.split(':')[-1]} has {size} lines, the limit is {limit}")

    for folder in ("src", "thrum", "include"):
        for path in sorted((root / folder).rglob("*.[chS]")):
            name = str(path.relative_to(root))
            text = path.read_text()
            hold(name, f"{name}:1", text.count("\n"), MAX_FILE)
            for function, line, length in functions(text):
                hold(f"{name}:{function}", f"{name}:{line}", length, MAX_FUNCTION)
    errors += [f"tools/sizes.allow: {name} needs no exception" for name in allowed
               if name not in needed]
    print(*errors, sep="\n", end="\n" if errors else "")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
