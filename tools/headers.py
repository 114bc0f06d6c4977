#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Compiles each public header alone, with gcc and clang, as C99 and as C++11, without a warning.

Each is included twice, to try its guard, and again behind <netinet/tcp.h>, whose macros start with
TH_ too. The umbrella <thrum.h> must include them all. Usage: headers.py [ROOT]
"""
import concurrent.futures
import os
import pathlib
import subprocess
import sys

from csource import ROOT, includes, public_headers

WARNINGS = ["-Wall", "-Wextra", "-pedantic-errors", "-Werror", "-Wshadow", "-Wconversion",
            "-Wundef", "-fsyntax-only"]
COMPILERS = [["gcc", "-xc", "-std=c99", "-Wstrict-prototypes"],
             ["clang", "-xc", "-std=c99", "-Wstrict-prototypes"],
             ["g++", "-xc++", "-std=c++11"], ["clang++", "-xc++", "-std=c++11"]]


def compile_header(job):
    """Returns what a compiler says against a header; nothing is good."""
    root, name, compiler, first = job
    source = "".join(f"#include <{header}>\n" for header in [*first, name, name])
    source += "typedef int not_empty;\n"
    run = subprocess.run([*compiler, *WARNINGS, "-I", root / "include", "-"], input=source,
                         text=True, capture_output=True)
    if run.returncode == 0:
        return None
    return f"<{name}> with {' '.join(compiler)}:\n{run.stderr.strip()}"


def main():
    root = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT
    names = [str(path.relative_to(root / "include")) for path in public_headers(root)]
    jobs = [(root, name, compiler, first) for name in names for compiler in COMPILERS
            for first in ([], ["netinet/tcp.h"])]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        errors = [error for error in pool.map(compile_header, jobs) if error]
    umbrella = {path for _, path, _ in includes((root / "include" / "thrum.h").read_text())}
    errors += [f"<{name}> is not in <thrum.h>" for name in names
               if name != "thrum.h" and name not in umbrella]
    print(*errors, sep="\n", end="\n" if errors else "")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
