#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs clang-tidy over the C files of a build, those that changed since they last passed.

The product gets all checks of .clang-tidy; tests, examples and benchmarks get clang's own warnings,
so that every file is seen by two compilers.

A file passed if it, all it includes and .clang-tidy are what they were: the preprocessed text,
comments included, is hashed, and the hashes that passed are kept in the build folder.

Usage: tidy.py [--root ROOT] [--nodes N] BUILD [FILE...]
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys

from csource import ROOT

# The path-sensitive analyser is nine tenths of the time. A third of its usual bound on states per
# function takes less than half as long, and what it then no longer finds is in the longest
# functions only; `--nodes 225000` is its own.
NODES = 75000

PRODUCT = ("src", "thrum")
OTHERS = ("tests", "examples", "bench")


def units(root, build):
    """Yields (path, whether we ship it, database entry) of each C file of the build, once."""
    seen = set()
    for unit in json.loads((build / "compile_commands.json").read_text()):
        path = (pathlib.Path(unit["directory"]) / unit["file"]).resolve()
        product = any(path.is_relative_to(root / folder) for folder in PRODUCT)
        other = any(path.is_relative_to(root / folder) for folder in OTHERS)
        if (product or other) and path.suffix == ".c" and path not in seen:
            seen.add(path)
            yield path, product, unit


def compile_with(unit, compiler, *options):
    """Runs the entry's command with another compiler and end, without what it would write."""
    words = iter(shlex.split(unit["command"])[1:])
    if pathlib.Path(shlex.split(unit["command"])[0]).name == "ccache":
        next(words)  # Meson puts it before the compiler where it is installed
    kept = []
    for word in words:
        if word in ("-o", "-MF", "-MQ"):
            next(words)
        elif word != "-MD":
            kept.append(word)
    return subprocess.run([compiler, *kept, *options], text=True, cwd=unit["directory"],
                          capture_output=True)


def digest(root, unit, nodes):
    """Hashes what the compiler sees of a file, and our settings."""
    run = compile_with(unit, "cc", "-E", "-C", "-o", "-")
    text = run.stdout + unit["command"] + (root / ".clang-tidy").read_text() + str(nodes)
    return hashlib.sha256(text.encode()).hexdigest() if run.returncode == 0 else None


def analyser(option):
    """clang-tidy's words for an option of the analyser."""
    return [f"--extra-arg={word}" for word in ("-Xclang", "-analyzer-config", "-Xclang", option)]


def tidy(root, build, nodes, path, product, unit):
    """Returns what clang or clang-tidy says of a file; nothing is good."""
    key = digest(root, unit, nodes)
    passed = build / "tidy" / (key or "-")
    if key and passed.exists():
        return None
    if product:
        run = subprocess.run(["clang-tidy", "--quiet", *analyser(f"max-nodes={nodes}"), "-p", build,
                              path], text=True, capture_output=True)
    else:
        run = compile_with(unit, "clang", "-fsyntax-only", "-Werror", "-fno-color-diagnostics")
    if run.returncode == 0 and key:
        passed.touch()
        return None
    return run.stdout.strip() or run.stderr.strip()


def main():
    def resolved(path):
        return pathlib.Path(path).resolve()

    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=resolved, default=ROOT)
    parser.add_argument("--nodes", type=int, default=NODES, help="states the analyser looks at")
    parser.add_argument("build", type=resolved)
    parser.add_argument("file", nargs="*", type=resolved)
    args = parser.parse_args()
    (args.build / "tidy").mkdir(exist_ok=True)
    chosen = [unit for unit in units(args.root, args.build)
              if not args.file or unit[0] in args.file]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        said = pool.map(lambda unit: tidy(args.root, args.build, args.nodes, *unit), chosen)
        errors = [error for error in said if error]
    print(*errors, sep="\n", end="\n" if errors else "")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
