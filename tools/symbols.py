#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Holds the names that the library exports.

- What the built libthrum.so exports, src/libthrum.map and the TH_API prototypes are the same.
- No name of ours is one of libtheora's (which also starts with th_) or a macro of <netinet/tcp.h>.

Usage: symbols.py [--root ROOT] LIBRARY
"""
import argparse
import pathlib
import re
import subprocess
import sys

from csource import ROOT, code_only, prototypes, public_headers, strip_comments


def exports_of(library):
    out = subprocess.run(["nm", "-D", "--defined-only", library], check=True, text=True,
                         capture_output=True).stdout
    names = {line.split()[-1].split("@")[0] for line in out.splitlines()
             if line.split()[-2] != "A"}
    return names


def exports_of_map(text):
    names = re.findall(r"\bth_\w+(?=;)", strip_comments(text))
    return set(names), [name for name in set(names) if names.count(name) > 1]


def declared(texts):
    """Returns the names that headers mark TH_API: functions and variables."""
    names = set()
    for text in texts:
        names |= {proto.name for proto in prototypes(text) if proto.exported}
        names |= set(re.findall(r"^TH_API extern\b[^;(]*?\b(th_\w+)(?:\[[^;]*\])?;",
                                code_only(text), re.M))
    return names


def names_in(texts):
    """Returns all th_ and TH_ words of the headers: types, constants, macros, functions."""
    return {word for text in texts
            for word in re.findall(r"\b(?:th|TH)_\w+", strip_comments(text))}


def macros_of(header):
    """Returns the macros that a system header defines."""
    out = subprocess.run(["cc", "-D_GNU_SOURCE", "-dM", "-E", "-include", header, "-xc",
                          "/dev/null"], check=True, text=True, capture_output=True).stdout
    return set(re.findall(r"^#define (\w+)", out, re.M))


def compare(left, left_name, right, right_name):
    for name in sorted(left - right):
        yield f"{name}: in {left_name}, not in {right_name}"
    for name in sorted(right - left):
        yield f"{name}: in {right_name}, not in {left_name}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=pathlib.Path, default=ROOT)
    parser.add_argument("library")
    args = parser.parse_args()
    texts = [path.read_text() for path in public_headers(args.root)]
    in_map, twice = exports_of_map((args.root / "src" / "libthrum.map").read_text())
    errors = [f"{name}: twice in src/libthrum.map" for name in twice]
    errors += compare(declared(texts), "the headers", in_map, "src/libthrum.map")
    errors += compare(in_map, "src/libthrum.map", exports_of(args.library), "the library")

    foreign = {name: "libtheora" for name in
               (ROOT / "tools" / "libtheora_names.txt").read_text().split("\n")
               if name and not name.startswith("#")}
    foreign |= {name: "<netinet/tcp.h>" for name in macros_of("netinet/tcp.h")}
    errors += [f"{name}: taken by {foreign[name]}" for name in sorted(names_in(texts))
               if name in foreign]
    print(*errors, sep="\n", end="\n" if errors else "")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
