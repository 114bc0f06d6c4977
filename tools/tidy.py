#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs clang-tidy over the .c files of src/ and thrum/, those that changed since they last passed.

A file passed if it, all it includes and .clang-tidy are what they were: the preprocessed text,
comments included, is hashed, and the hashes that passed are kept in the build folder.

Usage: tidy.py [--root ROOT] BUILD [FILE...]
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

FOLDERS = ("src", "thrum")


def units(root, build):
    """Yields (path, command) of each C file that the build compiles in our folders, once."""
    seen = set()
    for unit in json.loads((build / "compile_commands.json").read_text()):
        path = (pathlib.Path(unit["directory"]) / unit["file"]).resolve()
        inside = any(path.is_relative_to(root / folder) for folder in FOLDERS)
        if inside and path.suffix == ".c" and path not in seen:
            seen.add(path)
            yield path, shlex.split(unit["command"]), unit["directory"]


def digest(root, command, directory):
    """Hashes what the compiler sees of a file, and our settings."""
    out = command.index("-o")
    run = subprocess.run(command[:out] + command[out + 2:] + ["-E", "-C", "-o", "-"], cwd=directory,
                         capture_output=True)
    settings = (root / ".clang-tidy").read_bytes()
    return hashlib.sha256(run.stdout + settings).hexdigest() if run.returncode == 0 else None


def tidy(root, build, unit):
    """Returns what clang-tidy says of a file; nothing is good."""
    path, command, directory = unit
    key = digest(root, command, directory)
    passed = build / "tidy" / (key or "-")
    if key and passed.exists():
        return None
    run = subprocess.run(["clang-tidy", "--quiet", "-p", build, path], text=True,
                         capture_output=True)
    if run.returncode == 0 and key:
        passed.touch()
        return None
    return run.stdout.strip() or run.stderr.strip()


def main():
    parser = argparse.ArgumentParser()
    def resolved(path):
        return pathlib.Path(path).resolve()

    parser.add_argument("--root", type=resolved, default=ROOT)
    parser.add_argument("build", type=resolved)
    parser.add_argument("file", nargs="*", type=resolved)
    args = parser.parse_args()
    (args.build / "tidy").mkdir(exist_ok=True)
    chosen = [unit for unit in units(args.root, args.build)
              if not args.file or unit[0] in args.file]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        said = pool.map(lambda unit: tidy(args.root, args.build, unit), chosen)
        errors = [error for error in said if error]
    print(*errors, sep="\n", end="\n" if errors else "")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
