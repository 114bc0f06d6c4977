#!/usr/bin/python3
# SPDX-License-Identifier: MIT

"""
Compares Thrum's fibers with a bare assembly switch, Boost.Context and State Threads.

For each case and each round every program runs once, on one CPU, in shuffled order. Times are CPU
time. What is judged is the ratio of two programs within a round, or the value itself. See README.md
beside this file.
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import subprocess
import sys

from harness import evaluate, fiber_cases, machine, process

HERE = pathlib.Path(__file__).resolve().parent
SUBJECT = "thrum"
TIME_LIMIT = 120  # seconds that a program may take for a case


def parse_arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--build", type=pathlib.Path, default=HERE.parent / "build" / "bench",
                   help="build directory, configured with -Dbench=true (%(default)s)")
    p.add_argument("--scenario", action="append", choices=sorted(fiber_cases.BY_NAME),
                   metavar="NAME", help="only this one (repeatable): "
                   + ", ".join(fiber_cases.BY_NAME))
    p.add_argument("--programs", metavar="A,B", help="only these: "
                   + ", ".join(fiber_cases.PROGRAMS))
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--quick", action="store_true", help="two short rounds: does it work at all?")
    p.add_argument("--cpu", type=int, default=0)
    p.add_argument("--seed", type=int, default=1, help="of the order of the programs")
    p.add_argument("--realtime", action="store_true",
                   help="run before all ordinary programs (SCHED_FIFO, needs root)")
    p.add_argument("--out", type=pathlib.Path, help="result file (BUILD/bench-fibers-<time>.json)")
    p.add_argument("--strict", action="store_true", help="fail when a target is missed")
    a = p.parse_args()
    if a.quick:
        a.rounds = 2
    return a


def choose_programs(a):
    """name -> path of the programs that are there; a missing one is told."""
    names = a.programs.split(",") if a.programs else list(fiber_cases.PROGRAMS)
    unknown = [n for n in names if n not in fiber_cases.PROGRAMS]
    if unknown:
        sys.exit(f"fibers.py: no such program: {', '.join(unknown)}")
    chosen = {}
    for name in names:
        path = a.build / "bench" / fiber_cases.PROGRAMS[name]
        if os.access(path, os.X_OK):
            chosen[name] = path
        else:
            print(f"{name}: {path} is not built; left out", file=sys.stderr)
    return chosen


def run_case(a, case, path):
    """The program's report on one case."""
    count = case.quick if a.quick else case.count
    done = subprocess.run(process.pinned(a.cpu, [str(path), case.row.name, str(count)]),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=TIME_LIMIT, check=False)
    try:
        said = json.loads(done.stdout)
    except ValueError as e:
        raise process.Failed(f"status {done.returncode}: {done.stderr}{done.stdout}") from e
    if not said["ok"] and case.row.name != "million":
        raise process.Failed(f"could not do it: {said}")
    return {"value": said["value"], "seconds": said["seconds"], "bytes": said["bytes"]}


def measure(a, chosen):
    """All samples, interleaved: rounds outside, programs in shuffled order inside."""
    shuffle = random.Random(a.seed)
    for case in [c for c in fiber_cases.ALL if not a.scenario or c.row.name in a.scenario]:
        able = [n for n in chosen if n in case.programs]
        for number in range(1, min(a.rounds, case.rounds or a.rounds) + 1):
            shuffle.shuffle(able)
            for name in list(able):
                try:
                    found = run_case(a, case, chosen[name])
                except (process.Failed, subprocess.TimeoutExpired) as e:
                    able.remove(name)
                    print(f"{name} left out of {case.row.name}: {e}", file=sys.stderr)
                    continue
                yield {"scenario": case.row.name, "subject": name, "round": number, **found}


def main():
    a = parse_arguments()
    process.unwind_on_signals()
    if a.realtime:
        machine.before_all_others()
    chosen = choose_programs(a)
    result = {
        "kind": "fibers", "machine": machine.describe(),
        "settings": {"rounds": a.rounds, "seed": a.seed, "realtime": a.realtime},
        "subjects": list(chosen), "versions": {}, "samples": list(measure(a, chosen)),
    }
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    out = a.out or a.build / f"bench-fibers-{stamp}.json"
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(evaluate.report(result, fiber_cases.ROWS, SUBJECT))
    print(f"\nresult: {out}")
    return 1 if a.strict and evaluate.unmet(result, fiber_cases.ROWS, SUBJECT) else 0


if __name__ == "__main__":
    sys.exit(main())
