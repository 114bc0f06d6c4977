#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs every check of the source, then the checks' own tests, and says what failed.

Usage: run_checks.py BUILD      a build folder with the library and compile_commands.json
Results go to BUILD/../check/results, in JUnit form.
"""
import pathlib
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOLS = ROOT / "tools"


def c_files():
    """The C files that git knows or would add."""
    out = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard",
                          "*.c", "*.h"], cwd=ROOT, text=True, check=True, capture_output=True)
    return [path for path in sorted(set(out.stdout.split())) if (ROOT / path).exists()]


def checks(build):
    yield "format", ["clang-format", "--dry-run", "-Werror", *c_files()]
    yield "layers", [TOOLS / "layers.py"]
    yield "sizes", [TOOLS / "sizes.py"]
    yield "docstrings", [TOOLS / "docstrings.py"]
    yield "symbols", [TOOLS / "symbols.py", build / "libthrum.so"]
    yield "headers", [TOOLS / "headers.py"]
    yield "guide", [TOOLS / "guide.py"]
    yield "behaviours", [TOOLS / "behaviours.py"]
    yield "man", [TOOLS / "man.py", build.parent / "check" / "man"]
    yield "tidy", [TOOLS / "tidy.py", build]


def run(name, command):
    """Runs a check; returns its JUnit element."""
    start = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    seconds = time.monotonic() - start
    case = ET.Element("testcase", classname="check", name=name, time=f"{seconds:.3f}")
    print(f"{'ok    ' if done.returncode == 0 else 'FAILED'} {name} ({seconds:.1f} s)", flush=True)
    if done.returncode != 0:
        print(done.stdout, flush=True)
        ET.SubElement(case, "failure", message=f"exit status {done.returncode}")
    return case


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    results = build.parent / "check" / "results"
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    suite = ET.Element("testsuite", name="check")
    suite.extend(run(name, command) for name, command in checks(build))
    ET.ElementTree(suite).write(results / "checks.xml")
    status = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
                             f"--junitxml={results / 'tools.xml'}", ROOT / "tests" / "tools"],
                            cwd=ROOT).returncode
    return subprocess.run([TOOLS / "results.py", "--status", str(status),
                           build.parent / "check"]).returncode


if __name__ == "__main__":
    sys.exit(main())
