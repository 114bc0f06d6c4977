#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs the tests of a build folder: meson's (unit, sim, fuzz corpora), then pytest's (integration).

Usage: run_tests.py [--unit] [--valgrind] [--slow FACTOR] BUILD

The integration tests find the program in THRUM_BIN and the build folder in THRUM_BUILD.
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
JOBS_MAX = 4
VALGRIND = "valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite"


def run_meson(build, valgrind, slow):
    command = ["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs",
               "--timeout-multiplier", str(slow)]
    if valgrind:
        command += ["--wrap", VALGRIND, "--suite", "unit", "--suite", "sim"]
    env = dict(os.environ, CK_TIMEOUT_MULTIPLIER=str(slow))
    return subprocess.run(command, env=env).returncode


def run_pytest(build, folder, report, jobs):
    """Tests of one file stay in one process: they share servers, and some count what is there."""
    env = dict(os.environ, THRUM_BUILD=str(build), THRUM_BIN=str(build / "thrum" / "thrum"))
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider",
               "-n", str(jobs), "--dist", "loadfile", "--junitxml", str(report), str(folder)]
    status = subprocess.run(command, env=env, cwd=ROOT).returncode
    return 0 if status == 5 else status  # 5: there are no tests yet to collect


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--unit", action="store_true", help="meson's tests only")
    parser.add_argument("--valgrind", action="store_true", help="unit and sim tests under valgrind")
    parser.add_argument("--slow", type=int, default=1, help="stretches the time limits of tests")
    parser.add_argument("build", type=lambda path: pathlib.Path(path).resolve())
    args = parser.parse_args()

    results = args.build / "results"
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir()
    status = run_meson(args.build, args.valgrind, args.slow)
    if not args.unit and not args.valgrind:
        # A sanitizer takes the CPUs for itself, and has tests wait long enough as it is.
        jobs = len(os.sched_getaffinity(0)) if args.slow == 1 else 1
        status |= run_pytest(args.build, ROOT / "tests" / "integration",
                             results / "integration.xml", min(jobs, JOBS_MAX))
    return subprocess.run([ROOT / "tools" / "results.py", "--status", str(status),
                           args.build]).returncode


if __name__ == "__main__":
    sys.exit(main())
