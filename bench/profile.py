#!/usr/bin/python3
# SPDX-License-Identifier: MIT

"""
Measures what `thrum profile --wait` and `thrum ps` cost the process that is looked into.

For each case and each round a program with 10,000 fibers runs twice, in shuffled order: alone, and
looked into from the other CPU. What is compared is its CPU time for each time that a fiber goes on;
the median over the rounds counts. Asked for: at most 1 % at 10 samples per second.
"""

import argparse
import pathlib
import random
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TARGET = 1.01


def parse_arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--build", type=pathlib.Path, default=HERE.parent / "build" / "bench",
                   help="build directory, configured with -Dbench=true (%(default)s)")
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--seconds", type=float, default=3)
    p.add_argument("--rate", type=int, default=10, help="samples per second")
    p.add_argument("--seed", type=int, default=1, help="of the order")
    p.add_argument("--strict", action="store_true", help="fail when the target is missed")
    return p.parse_args()


def run(a, mode, looked_into):
    """Nanoseconds of CPU time for each time that a fiber goes on."""
    target = subprocess.Popen(["taskset", "-c", "0", a.build / "bench" / "profile_target", mode,
                               str(a.seconds)], stdout=subprocess.PIPE, text=True)
    profiler = None
    if looked_into:
        profiler = subprocess.Popen(
            ["taskset", "-c", "1", a.build / "thrum" / "thrum", "profile", "--wait", "--seconds",
             "3600", "--rate", str(a.rate), "--stats", str(target.pid)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    out, _ = target.communicate()
    stats = profiler.communicate()[1].strip() if profiler else ""
    count, nanoseconds = map(int, out.split())
    return nanoseconds / count, stats


def measure(a, mode):
    ratios, stats = [], ""
    for _ in range(a.rounds):
        result = {}
        for looked_into in random.sample([False, True], 2):
            result[looked_into], text = run(a, mode, looked_into)
            stats = text or stats
        ratios.append(result[True] / result[False])
    median = statistics.median(ratios)
    print(f"{mode:8} {median:.4f} ({min(ratios):.4f} .. {max(ratios):.4f}), "
          f"at most {TARGET} asked; last: {stats}")
    return median


def main():
    a = parse_arguments()
    random.seed(a.seed)
    medians = [measure(a, mode) for mode in ("resting", "moving")]
    if a.strict and max(medians) > TARGET:
        sys.exit("profile.py: the target is missed")


if __name__ == "__main__":
    main()
