#!/usr/bin/python3
# SPDX-License-Identifier: MIT

"""
Measures what `thrum profile --wait` costs the process that is looked into.

A program with 10,000 fibers runs on one CPU, the profiler on another, where it is stopped and let go
on in turn, each time for a quarter of a second. What is compared is the program's CPU time for each
time that a fiber goes on, in a window and the one before it; the median over all pairs counts. Asked
for: at most 1 % at 10 samples per second.
"""

import argparse
import pathlib
import signal
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TARGET = 1.01


def parse_arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--build", type=pathlib.Path, default=HERE.parent / "build" / "bench",
                   help="build directory, configured with -Dbench=true (%(default)s)")
    p.add_argument("--seconds", type=float, default=30, help="of each case")
    p.add_argument("--rate", type=int, default=10, help="samples per second")
    p.add_argument("--idle", action="store_true",
                   help="keep the profiler stopped: what comes out is what noise makes")
    p.add_argument("--strict", action="store_true", help="fail when the target is missed")
    return p.parse_args()


def windows(a, target, profiler):
    """Yields (profiler ran, nanoseconds of CPU time per step) of each quarter of a second."""
    running = True
    first = True
    for line in target.stdout:
        steps, nanoseconds = map(int, line.split())
        if not first and steps:
            yield running, nanoseconds / steps
        first = False
        running = not running
        if not a.idle:
            profiler.send_signal(signal.SIGCONT if running else signal.SIGSTOP)


def measure(a, mode):
    target = subprocess.Popen(["taskset", "-c", "0", a.build / "bench" / "profile_target", mode,
                               str(a.seconds)], stdout=subprocess.PIPE, text=True)
    target.stdout.readline()  # by now all fibers are there
    profiler = subprocess.Popen(
        ["taskset", "-c", "1", a.build / "thrum" / "thrum", "profile", "--wait", "--seconds",
         "3600", "--rate", str(a.rate), "--stats", str(target.pid)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if a.idle:
        profiler.send_signal(signal.SIGSTOP)
    seen = list(windows(a, target, profiler))
    target.wait()
    profiler.send_signal(signal.SIGCONT)
    stats = profiler.communicate()[1].strip()
    ratios = sorted(now / before if ran else before / now
                    for (ran, now), (_, before) in zip(seen[1:], seen))
    median = statistics.median(ratios)
    quarter = len(ratios) // 4
    print(f"{mode:8} {median:.4f} (half of them {ratios[quarter]:.4f} .. {ratios[-quarter - 1]:.4f}), "
          f"at most {TARGET} asked; {len(ratios)} pairs; {stats}")
    return median


def main():
    a = parse_arguments()
    medians = [measure(a, mode) for mode in ("resting", "moving")]
    if a.strict and max(medians) > TARGET:
        sys.exit("profile.py: the target is missed")


if __name__ == "__main__":
    main()
